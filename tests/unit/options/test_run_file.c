// The options of a run as a YAML file: values that are read, mistakes that are refused with their line, and
// files that are written and read back.
#include "test.h"

#include "options/run_file.h"

static struct loam_options *create(enum loam_command command)
{
    struct loam_error error;
    struct loam_options *options = NULL;
    assert_ok(loam_options_create(&options, command, &error));
    return options;
}

static enum loam_status parse(struct loam_options *options, const char *text, struct loam_error *error)
{
    // A copy without a NUL: a sanitizer finds a read beyond the end.
    size_t size = strlen(text);
    char *exact = malloc(size + (size == 0));
    assert_non_null(exact);
    memcpy(exact, text, size);
    enum loam_status status = loam_run_file_parse(options, exact, size, "run.yaml", error);
    free(exact);
    return status;
}

static void test_values(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_options *options = create(LOAM_COMMAND_TRAIN);
    const struct loam_train_settings *train = &options->settings.train;
    assert_ok(parse(options,
                    "\xEF\xBB\xBF# a comment, after a byte order mark\n"
                    "model: base   # another\n"
                    "data: \"a b\\u00e9.json\"\n"
                    "eval_data: 'it''s.json'\n"
                    "learning_rate: 1e-4\n"
                    "batch-size: 4\n"
                    "shuffle: false\n"
                    "skip-bad: true\n"
                    "gradient-checkpointing: true\n"
                    "lr-scheduler-type: cosine\n"
                    "target-modules:\n  - q_proj\n  - v_proj\n"
                    "memory-limit: 6G\n"
                    "seed: \"18446744073709551615\"\n",
                    &error));
    assert_string_equal(train->model, "base");
    assert_string_equal(train->data.items[0], "a b\xC3\xA9.json");
    assert_string_equal(train->eval_data.items[0], "it's.json");
    assert_true(train->learning_rate == 1e-4);
    assert_int_equal(train->batch_size, 4);
    assert_false(train->shuffle);
    assert_true(train->skip_bad);
    assert_int_equal(train->checkpointing, LOAM_CHECKPOINT_BLOCK);
    assert_int_equal(train->schedule, LOAM_SCHEDULE_COSINE);
    assert_string_equal(train->lora.target_modules, "q_proj,v_proj");
    assert_int_equal(train->memory_limit, (int64_t)6 << 30);
    assert_true(train->seed == UINT64_MAX);
    assert_true(options->settings.with_lora);
    loam_options_destroy(options);
}

static void test_forms(void **state)
{
    (void)state;
    static const char *const same[] = {
        "model: base\nlora-r: 4",
        "{model: base, lora-r: 4}",
        "--- \nmodel: base\nlora-r: 4\n...\n",
        "model: >-\n  base\nrank: !!4\n",
        "\"model\": base\n'lora_r': 4\n",
    };
    struct loam_error error;
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        struct loam_options *options = create(LOAM_COMMAND_TRAIN);
        if (strchr(same[i], '!') != NULL) {
            assert_fails(parse(options, same[i], &error), LOAM_ERROR_FORMAT, "run.yaml:3: ");
        } else {
            assert_ok(parse(options, same[i], &error));
            assert_string_equal(options->settings.train.model, "base");
            assert_int_equal(options->settings.train.lora.rank, 4);
        }
        loam_options_destroy(options);
    }
    static const char *const nothing[] = {"", "# a comment alone\n", "\n\n", "{}", "---\n{}\n"};
    for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++) {
        struct loam_options *options = create(LOAM_COMMAND_TRAIN);
        assert_ok(parse(options, nothing[i], &error));
        assert_null(options->settings.train.model);
        loam_options_destroy(options);
    }
}

// Values set before the file override it, whole lists too. The values in the file are still checked.
static void test_what_was_set_wins(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_options *options = create(LOAM_COMMAND_GENERATE);
    assert_ok(loam_options_set(options, "seed", "7", &error));
    assert_ok(loam_options_set(options, "field", "context=mine", &error));
    assert_ok(parse(options, "seed: 8\ntop-k: 3\nfield: [context=run file, question=run file]\n", &error));
    assert_int_equal(options->settings.generate.sampling.seed, 7);
    assert_int_equal(options->settings.generate.sampling.top_k, 3);
    assert_int_equal(options->settings.fields.count, 1);
    assert_string_equal(options->settings.fields.items[0].value, "mine");
    assert_fails(parse(options, "seed: eight\n", &error), LOAM_ERROR_FORMAT, "run.yaml:1: --seed eight");
    loam_options_destroy(options);

    options = create(LOAM_COMMAND_GENERATE);
    assert_ok(parse(options, "field:\n- context=a\n- \"question=b=c\\nd\"\n", &error));
    assert_int_equal(options->settings.fields.count, 2);
    assert_string_equal(options->settings.fields.items[1].value, "b=c\nd");
    // Values set after the file override it too.
    assert_ok(loam_options_set(options, "seed", "9", &error));
    assert_int_equal(options->settings.generate.sampling.seed, 9);
    loam_options_destroy(options);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"model: a\nlearing-rate: 1\n", "run.yaml:2: loam train has no option learing-rate; did you mean "
                                        "learning-rate?"},
        {"frobnicate: 1", "run.yaml:1: loam train has no option frobnicate; loam train --help"},
        {"prompt: x", "run.yaml:1: loam train has no option prompt"}, // an option of another command
        {"\"\": x", "run.yaml:1: loam train has no option "},
        {"config: other.yaml", "run.yaml:1: config is allowed on the command line only"},
        {"print-config: true", "run.yaml:1: print-config is allowed on the command line only"},
        {"no-shuffle: true", "run.yaml:1: no-shuffle: in a file this is \"shuffle: false\""},
        {"lr: 1\n\nlearning_rate: 2\n", "run.yaml:3: learning-rate is already set on line 1"},
        {"lora-r: eight", "run.yaml:1: --lora-r eight: expected a whole number"},
        {"lora-r: 0", "run.yaml:1: --lora-r 0: expected a value in the interval"},
        {"lora-r: 8.0", "a whole number"},
        {"lora-r: true", "a whole number"},
        {"lora-r: [1, 2]", "run.yaml:1: lora-r: expected R, not a list"},
        {"shuffle: [true]", "run.yaml:1: shuffle: expected true or false, not a list"},
        {"shuffle: yes", "run.yaml:1: --shuffle yes: expected true or false"},
        {"shuffle: 1", "expected true or false"},
        {"dtype: fp32", "run.yaml:1: --dtype fp32: expected f32|bf16|f16; did you mean f32?"},
        {"lr-scheduler-type: cosin", "did you mean cosine?"},
        {"model: true", "run.yaml:1: model: expected DIR|NAME, not a truth value"},
        {"model:", "run.yaml:1: model has no value"},
        {"a: b\nmodel: ~", "run.yaml:1: loam train has no option a"},
        {"data: d\nmodel: ~", "run.yaml:2: model has no value"},
        {"model: null", "model has no value"},
        {"target-modules: []", "run.yaml:1: target-modules: the list is empty"},
        {"target-modules: [\"a,b\"]", "run.yaml:1: target-modules: a value of the list has a comma"},
        {"target-modules:\n  - a\n  - null\n", "run.yaml:3: target-modules has no value"},
        {"model: {a: b}", "run.yaml:1: model: expected a value or a list of values"},
        {"target-modules: [[a]]", "run.yaml:1: target-modules: expected a list of plain values"},
        {"target-modules: [{a: b}]", "nothing deeper"},
        {"[a]: b", "run.yaml:1: expected the name of an option"},
        {"? {a: b}\n: c", "expected the name of an option"},
        {"- model\n", "run.yaml:1: expected lines of the form"},
        {"model", "run.yaml:1: expected lines of the form"},
        {"model: &a base\n", "run.yaml:1: anchors, aliases and tags"},
        {"model: &a base\ndata: *a\n", "run.yaml:1: anchors"},
        {"data: *a\n", "run.yaml:1: anchors, aliases and tags"},
        {"&a model: base\n", "run.yaml:1: anchors"},
        {"&a {model: base}\n", "run.yaml:1: anchors"},
        {"target-modules: &a [x]\n", "run.yaml:1: anchors"},
        {"<<: *defaults\n", "run.yaml:1: "},
        {"model: !!str base\n", "run.yaml:1: anchors, aliases and tags"},
        {"model: !x base\n", "run.yaml:1: anchors, aliases and tags"},
        {"!!map {model: base}\n", "run.yaml:1: anchors"},
        {"model: a\n---\ndata: b\n", "run.yaml:2: expected one document; a second"},
        {"model: a\n...\n---\n", "a second one begins here"},
        {"model: \"a\\0b\"\n", "run.yaml:1: a NUL character is not allowed"},
        {"\"mo\\0del\": a\n", "run.yaml:1: a NUL character is not allowed"},
        {"model: \"a\n", "not valid YAML: "},
        {"model: a\n\tdata: b\n", "run.yaml:2: not valid YAML: "},
        {"model: [a\n", "not valid YAML: "},
        {"model: a: b\n", "run.yaml:1: not valid YAML: "},
        {"model: @a\n", "not valid YAML: "},
        {"model: \xff\n", "not valid YAML: "},
        {"model: \x01\n", "not valid YAML: "},
        {"%YAML 3.0\n---\nmodel: a\n", "run.yaml:1: not valid YAML: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct loam_error error;
        struct loam_options *options = create(LOAM_COMMAND_TRAIN);
        assert_fails(parse(options, cases[i].text, &error), LOAM_ERROR_FORMAT, cases[i].message);
        assert_null(strchr(error.message, '\n'));
        loam_options_destroy(options);
    }
}

// A large file does not take much time or memory.
static void test_large(void **state)
{
    (void)state;
    struct loam_error error;
    enum { DEEP = 100000, VALUES = 2000 };
    struct loam_options *options = create(LOAM_COMMAND_TRAIN);
    char *text = calloc(1, DEEP + 64);
    assert_non_null(text);
    memset(text + sprintf(text, "model: "), '[', DEEP);
    assert_fails(parse(options, text, &error), LOAM_ERROR_FORMAT, "run.yaml:1: model: ");
    memset(text, '{', DEEP);
    assert_fails(parse(options, text, &error), LOAM_ERROR_FORMAT, "run.yaml:1: ");
    char *end = text + sprintf(text, "target-modules:\n");
    for (int i = 0; i < VALUES; i++)
        end += sprintf(end, "- m%d\n", i);
    assert_fails(parse(options, text, &error), LOAM_ERROR_FORMAT,
                 "run.yaml:1: target-modules: more than 1024 values");
    free(text);
    loam_options_destroy(options);
}

static void test_files(void **state)
{
    struct loam_error error;
    char path[300];
    const char *directory = *state;
    snprintf(path, sizeof path, "%s/run.yaml", directory);
    struct loam_options *options = create(LOAM_COMMAND_TRAIN);
    assert_fails(loam_run_file_load(options, path, &error), LOAM_ERROR_IO, path);
    assert_fails(loam_run_file_load(options, directory, &error), LOAM_ERROR_IO, directory);
    size_t size = (1 << 20) + 1;
    char *large = malloc(size);
    assert_non_null(large);
    memset(large, '\n', size);
    test_write_file(path, large, size);
    assert_int_not_equal(loam_run_file_load(options, path, &error), LOAM_OK);
    assert_non_null(strstr(error.message, path));
    test_write_file(path, large, size - 1);
    assert_ok(loam_run_file_load(options, path, &error));
    free(large);

    static const char text[] = "lora-r: 4\n";
    test_write_file(path, text, sizeof text - 1);
    assert_ok(loam_options_read_config(options, &error)); // there is no --config
    assert_int_equal(options->settings.train.lora.rank, 8);
    assert_ok(loam_options_set(options, "config", path, &error));
    assert_ok(loam_options_read_config(options, &error));
    assert_int_equal(options->settings.train.lora.rank, 4);
    loam_options_destroy(options);
}

// ---- Writing ----

static void write_and_read(struct loam_options *options, enum loam_command command)
{
    struct loam_error error;
    struct loam_bytes first = {0}, second = {0};
    assert_ok(loam_run_file_write(options, &first, &error));
    struct loam_options *again = create(command);
    assert_ok(loam_run_file_parse(again, first.data, first.size, "again.yaml", &error));
    assert_ok(loam_run_file_write(again, &second, &error));
    assert_string_equal(first.data, second.data);
    const struct loam_option_info *info;
    for (size_t i = 0; (info = loam_option_describe(command, i)) != NULL; i++) {
        const char *a = loam_options_get(options, info->name), *b = loam_options_get(again, info->name);
        if (info->argument == NULL) continue;
        assert_int_equal(a == NULL, b == NULL);
        if (a != NULL) assert_string_equal(a, b);
    }
    loam_bytes_deinit(&first);
    loam_bytes_deinit(&second);
    loam_options_destroy(again);
}

// Texts that YAML would read as another type, and texts that need escapes in quotes.
static void test_texts_come_back(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "x",
        "true",
        "False",
        "null",
        "~",
        "",
        " ",
        " x ",
        "123",
        "1e-4",
        "0x1f",
        "-",
        "- a",
        "a: b",
        "a #b",
        "#a",
        "\"",
        "'",
        "\\",
        "a\"b'c\\",
        "a\nb",
        "a\r\n\tb",
        "\x01\x7f",
        "%x",
        "@x",
        "`x",
        "[a]",
        "{a: b}",
        "&a",
        "*a",
        "!a",
        "---",
        "...",
        "Yes",
        "off",
        "nan",
        ".inf",
        "1_000",
        "a,b",
        "?",
        "a: ",
        "\xC3\xA9",
        ">",
        "|",
        "\xF0\x9F\x8C\xB1",
        "\xEF\xBB\xBF",
        "=",
        "<<",
        "\xC2\x85",
        "\xE2\x80\xA8",
        "2026-01-02",
        "1:30",
        "\xEF\xBF\xBE",
        "\xC2\xA0",
        "\xC2\x80",
        "\xC3\x85",
        "\xE2\x80\xA9 x",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct loam_error error;
        struct loam_options *options = create(LOAM_COMMAND_GENERATE);
        assert_ok(loam_options_set(options, "prompt", texts[i], &error));
        char field[64];
        snprintf(field, sizeof field, "name=%s", texts[i]);
        assert_ok(loam_options_set(options, "field", field, &error));
        assert_ok(loam_options_set(options, "field", "other=x", &error));
        write_and_read(options, LOAM_COMMAND_GENERATE);
        loam_options_destroy(options);
    }
}

// The defaults of every command with --config, and a value of every option, are written and read back.
static void test_every_command(void **state)
{
    (void)state;
    struct loam_error error;
    static const char *const pairs[][2] = {
        {"model", "/somewhere/model"},
        {"learning-rate", "+1E-4"},
        {"learning-rate", " .5"},
        {"learning-rate", "0x1p-10"},
        {"max-steps", "-1"},
        {"memory-limit", "1.5GiB"},
        {"memory-limit", "none"},
        {"seed", "+7"},
        {"target-modules", "q_proj,v_proj"},
        {"target-modules", "a[.]b|c"},
        {"dtype", "bf16"},
        {"method", "full"},
    };
    for (int c = 0; c < LOAM_COMMAND_COUNT; c++) {
        enum loam_command command = (enum loam_command)c;
        if (loam_option_find(command, "print-config") == NULL) continue;
        struct loam_options *options = create(command);
        write_and_read(options, command);
        for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
            const struct loam_option_info *info = loam_option_find(command, pairs[i][0]);
            if (info == NULL || loam_options_set(options, pairs[i][0], pairs[i][1], &error) != LOAM_OK)
                continue;
            write_and_read(options, command);
        }
        loam_options_destroy(options);
    }
}

static bool written(const char *name, const char *value, const char *line)
{
    struct loam_error error;
    struct loam_bytes text = {0};
    struct loam_options *options = create(LOAM_COMMAND_TRAIN);
    assert_ok(loam_options_set(options, name, value, &error));
    assert_ok(loam_run_file_write(options, &text, &error));
    bool found = strstr(text.data, line) != NULL;
    loam_bytes_deinit(&text);
    loam_options_destroy(options);
    return found;
}

// Relative paths become absolute. A value that may be a name does so only if such a file or directory exists.
static void test_paths(void **state)
{
    char before[4096], line[4200], here[4096];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(*state), 0);
    assert_non_null(getcwd(here, sizeof here));
    test_write_file("base", "", 0);
    test_write_file("squad", "", 0);
    snprintf(line, sizeof line, "\ndata: %s/not/there.json\n", here);
    assert_true(written("data", "not/there.json", line));
    snprintf(line, sizeof line, "\nout: %s/o\n", here);
    assert_true(written("output_dir", "o", line));
    assert_true(written("data", "/a/b.json", "\ndata: /a/b.json\n"));
    snprintf(line, sizeof line, "\nmodel: %s/base\n", here);
    assert_true(written("model", "base", line));
    assert_true(written("model", "org/name@main", "\nmodel: org/name@main\n"));
    assert_true(written("template", "squad", "\ntemplate: squad\n")); // the built-in template comes first
    snprintf(line, sizeof line, "\ntemplate: %s/base\n", here);
    assert_true(written("template", "base", line));
    assert_true(written("target-modules", "base", "\ntarget-modules: base\n")); // not a path
    assert_true(written("data", "\xff", "\n# data: (a value that is not UTF-8)\n"));
    assert_true(written("skip-bad", NULL, "\nskip-bad: true\n"));
    assert_true(written("seed", "1", "\nskip-bad: false\n"));
    assert_false(written("overwrite", "true", "overwrite:"));
    assert_int_equal(chdir(before), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_what_was_set_wins),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_large),
        test_in_directory(test_files),
        cmocka_unit_test(test_texts_come_back),
        cmocka_unit_test(test_every_command),
        test_in_directory(test_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
