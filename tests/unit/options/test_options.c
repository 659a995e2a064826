#include "test.h"

#include "options/nearest.h"
#include "options/options.h"

static struct loam_options *create(enum loam_command command)
{
    struct loam_error error;
    struct loam_options *options = NULL;
    assert_ok(loam_options_create(&options, command, &error));
    return options;
}

// The defaults are those of Hugging Face's TrainingArguments where it has the option.
static void test_train_defaults(void **state)
{
    (void)state;
    struct loam_options *options = create(LOAM_COMMAND_TRAIN);
    const struct loam_train_settings *train = &options->settings.train;
    assert_true(train->learning_rate == 5e-5);
    assert_true(train->weight_decay == 0);
    assert_true(train->adam_beta1 == 0.9);
    assert_true(train->adam_beta2 == 0.999);
    assert_true(train->adam_epsilon == 1e-8);
    assert_true(train->max_grad_norm == 1);
    assert_true(train->epochs == 3);
    assert_int_equal(train->batch_size, 8);
    assert_int_equal(train->accumulation, 1);
    assert_int_equal(train->logging_steps, 10);
    assert_int_equal(train->seed, 42);
    assert_int_equal(train->schedule, LOAM_SCHEDULE_LINEAR);
    assert_int_equal(train->max_steps, 0);
    assert_int_equal(train->warmup_steps, 0);
    assert_true(train->shuffle);
    assert_false(train->full);
    assert_int_equal(train->lora.rank, 8);
    assert_true(train->lora.alpha == 16);
    assert_true(train->lora.dropout == 0);
    assert_string_equal(train->lora.init, "gaussian");
    assert_null(train->lora.target_modules);
    assert_int_equal(train->dtype, LOAM_DTYPE_NONE);
    assert_string_equal(train->device, "auto");
    loam_options_destroy(options);
}

// Every way to set a value fills the field of the option.
static void test_set(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_options *options = create(LOAM_COMMAND_TRAIN);
    const struct loam_train_settings *train = &options->settings.train;
    static const char *const pairs[][2] = {
        {"model", "dir"},
        {"learning_rate", "1e-4"},
        {"epochs", "0.5"},
        {"batch-size", "4"},
        {"lora_r", "16"},
        {"target-modules", "q_proj,v_proj"},
        {"method", "full"},
        {"lr-scheduler-type", "cosine"},
        {"dtype", "bf16"},
        {"loss-on", "completion"},
        {"too_long", "drop"},
        {"init-lora-weights", "kaiming"},
        {"seed", "18446744073709551615"},
        {"no-shuffle", NULL},
        {"skip-bad", NULL},
        {"overwrite", "true"},
        {"max-steps", "-1"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        assert_ok(loam_options_set(options, pairs[i][0], pairs[i][1], &error));
    assert_string_equal(train->model, "dir");
    assert_true(train->learning_rate == 1e-4);
    assert_true(train->epochs == 0.5);
    assert_int_equal(train->batch_size, 4);
    assert_int_equal(train->lora.rank, 16);
    assert_string_equal(train->lora.target_modules, "q_proj,v_proj");
    assert_true(train->full);
    assert_int_equal(train->schedule, LOAM_SCHEDULE_COSINE);
    assert_int_equal(train->dtype, LOAM_BF16);
    assert_int_equal(train->loss_on, LOAM_LOSS_ON_COMPLETION);
    assert_int_equal(train->too_long, LOAM_TOO_LONG_DROP);
    assert_string_equal(train->lora.init, "kaiming");
    assert_true(train->seed == UINT64_MAX);
    assert_false(train->shuffle);
    assert_true(train->skip_bad);
    assert_true(train->overwrite);
    assert_int_equal(train->max_steps, -1);
    assert_true(options->settings.with_lora);

    // The last value is used, and loam_options_get gives it.
    assert_ok(loam_options_set(options, "model", "other", &error));
    assert_string_equal(train->model, "other");
    assert_string_equal(loam_options_get(options, "model"), "other");
    assert_string_equal(loam_options_get(options, "rank"), "16");
    assert_string_equal(loam_options_get(options, "logging-steps"), "10");
    assert_null(loam_options_get(options, "eval-data"));
    assert_null(loam_options_get(options, "threads")); // its default is words
    loam_options_destroy(options);
}

static void test_value_may_be_left_out(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
        enum loam_checkpointing level;
    } cases[] = {
        {"gradient-checkpointing", NULL, LOAM_CHECKPOINT_BLOCK},
        {"gradient-checkpointing", "true", LOAM_CHECKPOINT_BLOCK},
        {"gradient_checkpointing", "block", LOAM_CHECKPOINT_BLOCK},
        {"gradient-checkpointing", "mlp", LOAM_CHECKPOINT_MLP},
        {"gradient-checkpointing", "none", LOAM_CHECKPOINT_NONE},
        {"gradient-checkpointing", "false", LOAM_CHECKPOINT_NONE},
        {"no-gradient-checkpointing", NULL, LOAM_CHECKPOINT_NONE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct loam_error error;
        struct loam_options *options = create(LOAM_COMMAND_TRAIN);
        assert_int_equal(options->settings.train.checkpointing, LOAM_CHECKPOINT_NONE);
        assert_ok(loam_options_set(options, "gradient-checkpointing", "mlp", &error));
        assert_ok(loam_options_set(options, cases[i].name, cases[i].value, &error));
        assert_int_equal(options->settings.train.checkpointing, cases[i].level);
        loam_options_destroy(options);
    }
}

static void test_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t bytes;
    } cases[] = {
        {"1", 1},
        {"4096B", 4096},
        {"512K", 512 << 10},
        {"1.5M", 3 << 19},
        {"6G", (int64_t)6 << 30},
        {"6GB", (int64_t)6 << 30},
        {"6GiB", (int64_t)6 << 30},
        {"6Gi", (int64_t)6 << 30},
        {"6g", (int64_t)6 << 30},
        {"6gib", (int64_t)6 << 30},
        {"7b", 7},
        {"2T", (int64_t)2 << 40},
        {"none", INT64_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct loam_error error;
        struct loam_options *options = create(LOAM_COMMAND_PLAN);
        assert_int_equal(options->settings.train.memory_limit, 0);
        assert_ok(loam_options_set(options, "memory-limit", cases[i].text, &error));
        assert_int_equal(options->settings.train.memory_limit, cases[i].bytes);
        loam_options_destroy(options);
    }
}

static void test_set_fails(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
        enum loam_status status;
        const char *message;
    } cases[] = {
        {"lora-rank", "4", LOAM_ERROR_USAGE, "did you mean --lora-r?"},
        {"learing-rate", "4", LOAM_ERROR_USAGE, "did you mean --learning-rate?"},
        {"outptu-dir", "4", LOAM_ERROR_USAGE, "did you mean --output-dir?"},
        {"frobnicate", "4", LOAM_ERROR_USAGE, "loam train --help"},
        {"no-model", NULL, LOAM_ERROR_USAGE, "no option --no-model"},
        {"prompt", "x", LOAM_ERROR_USAGE, "no option --prompt"}, // an option of another command
        {"model", NULL, LOAM_ERROR_USAGE, "--model needs a value: DIR"},
        {"lora-r", "0", LOAM_ERROR_USAGE, "--lora-r 0: expected a value in the interval [1,65536]"},
        {"lora-r", "eight", LOAM_ERROR_USAGE, "--lora-r eight: expected a whole number"},
        {"lora-r", "8.5", LOAM_ERROR_USAGE, "a whole number"},
        {"lora-r", "", LOAM_ERROR_USAGE, "it is empty"},
        {"lora-r", "99999999999999999999", LOAM_ERROR_USAGE, "a whole number"},
        {"lora-dropout", "1", LOAM_ERROR_USAGE, "[0,1)"},
        {"lora-dropout", "0.99999999", LOAM_ERROR_USAGE, "it is rounded to 1; expected a value in"},
        {"lora-dropout", "-0.1", LOAM_ERROR_USAGE, "[0,1)"},
        {"lora-alpha", "0", LOAM_ERROR_USAGE, "(0,inf)"},
        {"learning-rate", "fast", LOAM_ERROR_USAGE, "expected a number"},
        {"learning-rate", "nan", LOAM_ERROR_USAGE, "expected a number"},
        {"learning-rate", "inf", LOAM_ERROR_USAGE, "expected a number"},
        {"learning-rate", "1e-4x", LOAM_ERROR_USAGE, "expected a number"},
        {"gradient-checkpointing", "mpl", LOAM_ERROR_USAGE, "expected [none|mlp|block]"},
        {"no-gradient-checkpointing", "mlp", LOAM_ERROR_USAGE, "takes no value"},
        {"memory-limit", "much", LOAM_ERROR_USAGE, "a size such as 512M, 6G or 1.5GiB, or none"},
        {"memory-limit", "0", LOAM_ERROR_USAGE, "a size such as"},
        {"memory-limit", "-1G", LOAM_ERROR_USAGE, "a size such as"},
        {"memory-limit", "nan", LOAM_ERROR_USAGE, "a size such as"},
        {"memory-limit", "6i", LOAM_ERROR_USAGE, "a size such as"},
        {"memory-limit", "6iB", LOAM_ERROR_USAGE, "a size such as"},
        {"memory-limit", "6P", LOAM_ERROR_USAGE, "a size such as"},
        {"memory-limit", "0x10", LOAM_ERROR_USAGE, "--memory-limit 0x10: expected a size such as"},
        {"memory-limit", "1e9", LOAM_ERROR_USAGE, "a size such as"},
        {"memory-limit", "+6G", LOAM_ERROR_USAGE, "a size such as"},
        {"memory-limit", " 6G", LOAM_ERROR_USAGE, "a size such as"},
        {"memory-limit", "4194304T", LOAM_ERROR_USAGE, "a size such as"},
        {"dtype", "fp16", LOAM_ERROR_USAGE, "--dtype fp16: expected f32|bf16"},
        {"seed", "-1", LOAM_ERROR_USAGE, "expected a whole number from 0"},
        {"skip-bad", "yes", LOAM_ERROR_USAGE, "expected true or false"},
        {"no-shuffle", "true", LOAM_ERROR_USAGE, "takes no value"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct loam_error error;
        struct loam_options *options = create(LOAM_COMMAND_TRAIN);
        assert_fails(loam_options_set(options, cases[i].name, cases[i].value, &error), cases[i].status,
                     cases[i].message);
        loam_options_destroy(options);
    }
}

static void test_fields(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_options *options = create(LOAM_COMMAND_GENERATE);
    assert_ok(loam_options_set(options, "field", "context=a=b", &error));
    assert_ok(loam_options_set(options, "field", "question=", &error));
    assert_int_equal(options->settings.fields.count, 2);
    assert_string_equal(options->settings.fields.items[0].name, "context");
    assert_string_equal(options->settings.fields.items[0].value, "a=b");
    assert_int_equal(options->settings.fields.items[0].size, 3);
    assert_string_equal(options->settings.fields.items[1].name, "question");
    assert_int_equal(options->settings.fields.items[1].size, 0);
    assert_fails(loam_options_set(options, "field", "context", &error), LOAM_ERROR_USAGE, "NAME=VALUE");
    assert_fails(loam_options_set(options, "field", "=x", &error), LOAM_ERROR_USAGE, "NAME=VALUE");
    assert_fails(loam_options_set(options, "field", "context=x", &error), LOAM_ERROR_USAGE, "given twice");
    assert_ok(loam_options_set(options, "field", "con=x", &error));
    assert_int_equal(options->settings.fields.count, 3);
    loam_options_destroy(options);
}

// A value that the option takes: the first choice where there are choices.
static const char *some_value(const struct loam_option_info *info, char value[64])
{
    const size_t size = strcspn(info->argument, "|");
    if (info->argument[size] == '\0') return "x";
    assert_true(size < 64);
    memcpy(value, info->argument, size);
    value[size] = '\0';
    return value;
}

static void test_required(void **state)
{
    (void)state;
    struct loam_error error;
    for (int command = 0; command < LOAM_COMMAND_COUNT; command++) {
        struct loam_options *options = create((enum loam_command)command);
        const struct loam_option_info *info;
        for (size_t i = 0; (info = loam_option_describe(options->command, i)) != NULL; i++) {
            if (!info->required) continue;
            const char *missing = info->positional ? info->argument : info->name;
            assert_fails(loam_options_check(options, NULL, &error), LOAM_ERROR_USAGE, missing);
            char value[64];
            assert_ok(loam_options_set(options, info->name, some_value(info, value), &error));
        }
        if (options->command == LOAM_COMMAND_GENERATE) // needs one of several
            assert_ok(loam_options_set(options, "prompt", "x", &error));
        assert_ok(loam_options_check(options, NULL, &error));
        loam_options_destroy(options);
    }
}

// --help needs help texts that are sentences, rows in the order of groups, and names that are unique in a command.
static void test_table(void **state)
{
    (void)state;
    for (int c = 0; c < LOAM_COMMAND_COUNT; c++) {
        enum loam_command command = (enum loam_command)c;
        const struct loam_option_info *info, *before, *other;
        for (size_t i = 0; (info = loam_option_describe(command, i)) != NULL; i++) {
            assert_true(info->help[strlen(info->help) - 1] == '.');
            assert_ptr_equal(loam_option_find(command, info->name), info);
            if (info->alias != NULL) assert_ptr_equal(loam_option_find(command, info->alias), info);
            before = i == 0 ? NULL : loam_option_describe(command, i - 1);
            for (size_t j = 0; j < i && strcmp(before->group, info->group) != 0; j++) {
                other = loam_option_describe(command, j);
                if (strcmp(other->group, info->group) == 0)
                    fail_msg("%s: --%s stands apart from its group", loam_command_name(command), info->name);
            }
        }
        enum loam_command found;
        struct loam_error error;
        assert_ok(loam_command_find(&found, loam_command_name(command), &error));
        assert_int_equal(found, command);
    }
}

static void test_commands(void **state)
{
    (void)state;
    struct loam_error error;
    enum loam_command command;
    assert_fails(loam_command_find(&command, "trian", &error), LOAM_ERROR_USAGE, "did you mean \"train\"?");
    assert_fails(loam_command_find(&command, "evaluate", &error), LOAM_ERROR_USAGE, "loam --help");
    assert_fails(loam_command_find(&command, "", &error), LOAM_ERROR_USAGE, "loam --help");

    struct loam_options *options;
    assert_fails(loam_options_create(&options, LOAM_COMMAND_COUNT, &error), LOAM_ERROR_ARGUMENT, "command");
    assert_null(loam_command_name(LOAM_COMMAND_COUNT));
    assert_null(loam_command_help(LOAM_COMMAND_COUNT));
    assert_null(loam_option_describe(LOAM_COMMAND_COUNT, 0));
    assert_null(loam_option_find(LOAM_COMMAND_COUNT, "json"));
}

static void test_nearest(void **state)
{
    (void)state;
    static const struct {
        const char *name, *candidate;
        bool near;
        size_t distance;
    } cases[] = {
        {"train", "train", true, 0},    {"trian", "train", true, 1}, // one swap
        {"tain", "train", true, 1},     {"trrain", "train", true, 1}, {"brain", "train", true, 1},
        {"ca", "abc", false, 0},        {"x", "train", false, 0},     {"seed", "speed", true, 1},
        {"kitten", "sitting", true, 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct loam_nearest nearest;
        loam_nearest_init(&nearest, cases[i].name);
        loam_nearest_offer(&nearest, NULL);
        loam_nearest_offer(&nearest, cases[i].candidate);
        assert_int_equal(nearest.best != NULL, cases[i].near);
        if (cases[i].near) assert_int_equal(nearest.distance, cases[i].distance);
    }
    char longest[300];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    struct loam_nearest nearest;
    loam_nearest_init(&nearest, longest);
    loam_nearest_offer(&nearest, longest);
    assert_null(nearest.best);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_train_defaults),
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_value_may_be_left_out),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_set_fails),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_required),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
