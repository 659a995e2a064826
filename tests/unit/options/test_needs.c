// Options without effect: every option always has an effect or has a row in the table, and every row is
// reported.
#include "test.h"

#include <math.h>

#include "base/bytes.h"
#include "options/option_needs.h"
#include "options/option_values.h"
#include "options/run_file.h"

static struct loam_options *create(enum loam_command command)
{
    struct loam_error error;
    struct loam_options *options = NULL;
    assert_ok(loam_options_create(&options, command, &error));
    return options;
}

static const struct loam_option_row *row_of(enum loam_command command, const char *name)
{
    bool negated;
    const struct loam_option_row *row = loam_option_row_find(command, name, &negated);
    if (row == NULL) fail_msg("loam %s has no option %s", loam_command_name(command), name);
    return row;
}

// Options that always have an effect. A new option belongs here or into loam_option_needs.
static const char *const independent[LOAM_COMMAND_COUNT] = {
    [LOAM_COMMAND_TRAIN] =
        " model data eval-data map template chat-template special-in-content loss-on max-length too-long "
        "token-budget skip-bad shuffle preflight method "
        "learning-rate lr-scheduler-type max-steps per-device-train-batch-size gradient-accumulation-steps "
        "weight-decay adam-beta1 adam-beta2 adam-epsilon max-grad-norm gradient-checkpointing seed "
        "on-nonfinite save-steps save-wait resume logging-steps logging-dir out overwrite json quiet "
        "push-to-hub device dtype memory-limit config print-config ",
    [LOAM_COMMAND_PLAN] =
        " model data lengths eval-data map template chat-template special-in-content loss-on max-length "
        "too-long token-budget skip-bad shuffle preflight "
        "method learning-rate lr-scheduler-type max-steps per-device-train-batch-size "
        "gradient-accumulation-steps weight-decay adam-beta1 adam-beta2 adam-epsilon max-grad-norm "
        "gradient-checkpointing seed on-nonfinite save-steps save-wait resume logging-steps logging-dir out "
        "overwrite json quiet push-to-hub device dtype memory-limit config print-config ",
    [LOAM_COMMAND_GENERATE] =
        " model adapter prompt prompt-file template messages max-new-tokens stop "
        "temperature repetition-penalty json quiet yes device dtype config print-config ",
    [LOAM_COMMAND_CHAT] =
        " model adapter chat-template special-in-content system max-length max-new-tokens stop "
        "temperature repetition-penalty json quiet yes device dtype config print-config ",
    [LOAM_COMMAND_EVAL] = " model data adapter limit map template chat-template special-in-content loss-on "
                          "max-length too-long token-budget "
                          "skip-bad generate json quiet yes device dtype config print-config ",
    [LOAM_COMMAND_MERGE] =
        " model adapter check out overwrite dtype max-shard-size json quiet yes config print-config ",
    [LOAM_COMMAND_EXPORT] = " model adapter gguf overwrite dtype json quiet yes config print-config ",
    [LOAM_COMMAND_INSPECT] = " families json quiet ",
    [LOAM_COMMAND_INIT] = " config tokenizer seed out overwrite dtype json quiet ",
    [LOAM_COMMAND_TOKENIZE] = " model lines messages json quiet ",
    [LOAM_COMMAND_PULL] = " json quiet repository include update ",
    [LOAM_COMMAND_PUSH] = " json quiet directory repository private message ",
    [LOAM_COMMAND_CONVERT] = " path model to out overwrite json quiet yes ",
    [LOAM_COMMAND_DEVICES] = " json quiet ",
    [LOAM_COMMAND_COMBINE] = " adapters combination-type out overwrite json quiet ",
    [LOAM_COMMAND_DATA] = " model data eval-data map template chat-template special-in-content loss-on "
                          "max-length too-long skip-bad limit tokens summary color html json quiet ",
    [LOAM_COMMAND_BENCH] = " what model seed steps json quiet device dtype config print-config ",
};

static bool is_about(const struct loam_option_need *need, enum loam_command command, const char *name)
{
    if ((need->commands >> command & 1) == 0) return false;
    for (size_t i = 0; i < LOAM_NEED_OPTIONS && need->options[i] != NULL; i++)
        if (strcmp(need->options[i], name) == 0) return true;
    return false;
}

static void test_each_option_is_listed(void **state)
{
    (void)state;
    for (int c = 0; c < LOAM_COMMAND_COUNT; c++) {
        enum loam_command command = (enum loam_command)c;
        const struct loam_option_info *info;
        for (size_t i = 0; (info = loam_option_describe(command, i)) != NULL; i++) {
            char word[64];
            bool has_need = false;
            snprintf(word, sizeof word, " %s ", info->name);
            for (size_t n = 0; n < loam_option_need_count; n++)
                has_need = has_need || is_about(&loam_option_needs[n], command, info->name);
            if ((strstr(independent[command], word) != NULL) == has_need)
                fail_msg("loam %s --%s: it is in %s lists", loam_command_name(command), info->name,
                         has_need ? "both" : "none of the");
        }
    }
}

// ---- Every row, with its need met and not met ----

// Finds a text that the option takes, other than the values `first` and `second` (NULL: none).
static void find_value(const struct loam_options *like, const char *name, const char *first,
                       const char *second, char value[64])
{
    static const char *const candidates[] = {"7",   "8",    "0.5",   "0.25", "x",   "a=b",      "a=2",
                                             "b=3", "true", "false", "cpu",  "ref", "layers=3", "layers=4"};
    const struct loam_option_row *row = row_of(like->command, name);
    struct loam_options *scratch = create(like->command);
    struct loam_error error;
    const size_t count = sizeof candidates / sizeof *candidates;
    for (size_t i = 0;; i++) {
        const char *text = row->choices != NULL ? row->choices[i].name : i < count ? candidates[i] : NULL;
        if (text == NULL) fail_msg("no other value for --%s", name);
        if (loam_options_set(scratch, name, text, &error) != LOAM_OK) continue;
        if (first != NULL && loam_option_values_equal(row, text, first)) continue;
        if (second != NULL && loam_option_values_equal(row, text, second)) continue;
        snprintf(value, 64, "%s", text);
        break;
    }
    loam_options_destroy(scratch);
}

// Makes the term true or false. Where only the absence of the option does that, nothing is left to do.
static void set_term(struct loam_options *options, const struct loam_option_term *term, bool truth)
{
    struct loam_error error;
    char value[64] = "";
    const struct loam_option_row *row = row_of(options->command, term->name);
    bool is_switch = row->type == LOAM_OPTION_BOOL && row->choices == NULL;
    if (term->kind == LOAM_TERM_GIVEN || term->kind == LOAM_TERM_ABSENT) {
        bool given = (term->kind == LOAM_TERM_GIVEN) == truth;
        if (!given && !is_switch) return;
        find_value(options, term->name, given ? "false" : "true", NULL, value);
    } else if ((term->kind == LOAM_TERM_IS) == truth) {
        snprintf(value, sizeof value, "%s", term->value);
    } else {
        find_value(options, term->name, term->value, "-1", value);
    }
    assert_ok(loam_options_set(options, term->name, value, &error));
}

// Options of a command with the option given, and the need met by its first term or not met.
static struct loam_options *create_with(enum loam_command command, const struct loam_option_need *need,
                                        const char *name, bool met)
{
    struct loam_error error;
    struct loam_options *options = create(command);
    char value[64];
    find_value(options, name, need->idle, "false", value);
    assert_ok(loam_options_set(options, name, value, &error));
    for (size_t i = 0; i < LOAM_NEED_TERMS && need->any[i].kind != LOAM_TERM_NONE && (i == 0 || !met); i++)
        set_term(options, &need->any[i], met);
    return options;
}

typedef void check_need(enum loam_command command, const struct loam_option_need *need, const char *name);

static void for_each_need(check_need *check)
{
    for (size_t n = 0; n < loam_option_need_count; n++)
        for (int c = 0; c < LOAM_COMMAND_COUNT; c++)
            for (size_t i = 0; i < LOAM_NEED_OPTIONS && loam_option_needs[n].options[i] != NULL; i++)
                if ((loam_option_needs[n].commands >> c & 1) != 0)
                    check((enum loam_command)c, &loam_option_needs[n], loam_option_needs[n].options[i]);
}

static void check_reported(enum loam_command command, const struct loam_option_need *need, const char *name)
{
    const struct loam_option_row *row = row_of(command, name);
    struct loam_options *options = create_with(command, need, name, false);
    if (!loam_option_is_idle(options, row))
        fail_msg("loam %s --%s is ignored in silence", loam_command_name(command), name);
    loam_options_destroy(options);

    options = create(command);
    assert_false(loam_option_is_idle(options, row)); // a default is not reported
    loam_options_destroy(options);
    if (need->any[0].kind == LOAM_TERM_NONE) return;
    // All other rows of the same option have to be met too.
    options = create_with(command, need, name, true);
    for (size_t n = 0; n < loam_option_need_count; n++)
        if (is_about(&loam_option_needs[n], command, name) &&
            loam_option_needs[n].any[0].kind == LOAM_TERM_GIVEN)
            set_term(options, &loam_option_needs[n].any[0], true);
    if (loam_option_is_idle(options, row))
        fail_msg("loam %s --%s has an effect and is reported to have none", loam_command_name(command), name);
    loam_options_destroy(options);
}

static void test_each_need_is_reported(void **state)
{
    (void)state;
    for_each_need(check_reported);
}

// The first option of the command that is ignored; NULL: none.
static const char *find_idle(const struct loam_options *options)
{
    for (size_t i = 0; i < loam_option_row_count; i++)
        if (loam_option_row_of(options->command, &loam_option_rows[i]) &&
            loam_option_is_idle(options, &loam_option_rows[i]))
            return loam_option_rows[i].info.name;
    return NULL;
}

// The file that loam writes for a run without warnings is read back without warnings.
static void check_written(enum loam_command command, const struct loam_option_need *need, const char *name)
{
    struct loam_error error;
    struct loam_options *options = create_with(command, need, name, true);
    struct loam_bytes text = {0};
    assert_ok(loam_run_file_write(options, &text, &error));
    struct loam_options *again = create(command);
    if (find_idle(options) == NULL && loam_option_find(command, "print-config") != NULL) {
        if (loam_run_file_parse(again, text.data, text.size, "run.yaml", &error) != LOAM_OK)
            fail_msg("%s\n%s", error.message, text.data);
        if (find_idle(again) != NULL)
            fail_msg("loam %s: %s is reported (--%s)", loam_command_name(command), find_idle(again), name);
    }
    loam_options_destroy(again);
    loam_bytes_deinit(&text);
    loam_options_destroy(options);
}

static void test_run_files_are_quiet(void **state)
{
    (void)state;
    for_each_need(check_written);
}

// ---- Command line and file ----

struct heard {
    int warnings;
    char last[1024];
};

static void hear(void *user, enum loam_log_level level, const char *line)
{
    struct heard *heard = user;
    heard->warnings += level == LOAM_LOG_WARNING;
    snprintf(heard->last, sizeof heard->last, "%s", line);
}

static enum loam_status check(struct loam_options *options, struct heard *heard, struct loam_error *error)
{
    *heard = (struct heard){0};
    const struct loam_log log = {hear, heard};
    return loam_options_check(options, &log, error);
}

static struct loam_options *create_train(void)
{
    struct loam_error error;
    struct loam_options *options = create(LOAM_COMMAND_TRAIN);
    static const char *const needed[][2] = {{"model", "m"}, {"data", "d"}, {"out", "o"}};
    for (size_t i = 0; i < 3; i++)
        assert_ok(loam_options_set_argument(options, needed[i][0], needed[i][1], &error));
    return options;
}

static void read_file(struct loam_options *options, const char *text)
{
    struct loam_error error;
    assert_ok(loam_run_file_parse(options, text, strlen(text), "run.yaml", &error));
    options->settings.config_file = "run.yaml";
    options->config_read = true;
}

// A mistake on the command line alone exits with 2, one that involves a file with 1. A value from a file
// without effect is a warning.
static void test_origins(void **state)
{
    (void)state;
    struct loam_error error;
    struct heard heard;
    struct loam_options *options = create_train();
    assert_ok(loam_options_set_argument(options, "adapter", "a", &error));
    assert_ok(check(options, &heard, &error));
    assert_int_equal(heard.warnings, 0);
    assert_ok(loam_options_set_argument(options, "lora-r", "8", &error));
    assert_fails(check(options, &heard, &error), LOAM_ERROR_USAGE, "--lora-r has no effect with --adapter");
    loam_options_destroy(options);

    options = create_train();
    assert_ok(loam_options_set_argument(options, "lora-r", "16", &error));
    read_file(options, "adapter: a\n");
    assert_fails(check(options, &heard, &error), LOAM_ERROR_ARGUMENT, "--lora-r has no effect");
    loam_options_destroy(options);

    options = create_train();
    assert_ok(loam_options_set_argument(options, "adapter", "a", &error));
    read_file(options, "lora-r: 16\nlora-alpha: 16.0\n"); // the second is the default
    assert_ok(check(options, &heard, &error));
    assert_int_equal(heard.warnings, 1);
    assert_non_null(strstr(heard.last, "run.yaml: lora-r has no effect with --adapter"));
    loam_options_destroy(options);

    options = create_train();
    assert_ok(loam_options_set_argument(options, "warmup-steps", "0", &error)); // no warm-up
    assert_ok(loam_options_set_argument(options, "lr-scheduler-type", "constant", &error));
    assert_ok(check(options, &heard, &error));
    assert_int_equal(heard.warnings, 0);
    assert_ok(loam_options_set_argument(options, "threads", "1", &error)); // the number that ref uses
    assert_ok(loam_options_set_argument(options, "device", "ref", &error));
    assert_ok(check(options, &heard, &error));
    assert_int_equal(heard.warnings, 0);
    assert_ok(loam_options_set_argument(options, "load-best-at-end", "false", &error)); // off
    assert_ok(check(options, &heard, &error));
    assert_int_equal(heard.warnings, 0);
    loam_options_destroy(options);
}

// A second value is refused for options in loam_options_refused_twice; for others the last value is used and
// the first is reported.
static void check_given_twice(enum loam_command command, const char *name)
{
    struct loam_error error;
    char first[64], second[64];
    struct loam_options *options = create(command);
    const struct loam_option_row *row = row_of(command, name);
    const struct loam_option_origin *origin = &options->origins[row - loam_option_rows];
    find_value(options, name, NULL, NULL, first);
    find_value(options, name, first, NULL, second);
    assert_ok(loam_options_set_argument(options, name, first, &error));
    assert_ok(loam_options_set_argument(options, name, first, &error)); // the same value
    assert_null(origin->replaced);
    enum loam_status status = loam_options_set_argument(options, name, second, &error);
    bool is_refused = false;
    for (size_t i = 0; loam_options_refused_twice[i] != NULL; i++)
        is_refused = is_refused || strcmp(loam_options_refused_twice[i], name) == 0;
    if (is_refused)
        assert_fails(status, LOAM_ERROR_USAGE, "is given twice");
    else if (status != LOAM_OK || origin->replaced == NULL)
        fail_msg("loam %s --%s %s replaces %s in silence", loam_command_name(command), name, second, first);
    loam_options_destroy(options);
}

static void test_given_twice(void **state)
{
    (void)state;
    struct loam_error error;
    struct heard heard;
    for (int c = 0; c < LOAM_COMMAND_COUNT; c++) {
        const struct loam_option_info *info;
        for (size_t i = 0; (info = loam_option_describe((enum loam_command)c, i)) != NULL; i++)
            if (!info->repeated) check_given_twice((enum loam_command)c, info->name);
    }
    struct loam_options *options = create_train();
    assert_ok(loam_options_set_argument(options, "lr", "1", &error));
    assert_ok(loam_options_set_argument(options, "learning-rate", "2", &error));
    assert_ok(check(options, &heard, &error));
    assert_string_equal(heard.last, "--learning-rate is given twice: the last value, 2, is used, not 1");
    loam_options_destroy(options);
}

// ---- Values ----

// Every mistake that the command line alone shows is LOAM_ERROR_USAGE.
static void test_unreadable_values(void **state)
{
    (void)state;
    static const char *const wrong[] = {"nan", "inf", "-inf",  "1e999", "7x", "",
                                        " ",   "0x",  "seven", "--",    NULL};
    for (int c = 0; c < LOAM_COMMAND_COUNT; c++) {
        struct loam_options *options = create((enum loam_command)c);
        const struct loam_option_info *info;
        for (size_t i = 0; (info = loam_option_describe(options->command, i)) != NULL; i++) {
            const struct loam_option_row *row = row_of(options->command, info->name);
            bool text = row->type == LOAM_OPTION_STRING || row->type == LOAM_OPTION_LIST;
            struct loam_error error;
            for (size_t w = 0; wrong[w] != NULL && !text; w++)
                assert_fails(loam_options_set(options, info->name, wrong[w], &error), LOAM_ERROR_USAGE, "");
            if (info->argument == NULL || strcmp(info->argument, "TEXT") != 0)
                assert_fails(loam_options_set(options, info->name, "", &error), LOAM_ERROR_USAGE,
                             "it is empty");
        }
        loam_options_destroy(options);
    }
}

static void refuse_number(struct loam_options *options, const struct loam_option_row *row, double number)
{
    struct loam_error error;
    char text[64];
    bool whole = row->type != LOAM_OPTION_DOUBLE;
    snprintf(text, sizeof text, whole ? "%.0f" : "%.17g", number);
    assert_fails(loam_options_set(options, row->info.name, text, &error), LOAM_ERROR_USAGE, row->info.name);
}

// Just outside each end of the interval, and far outside.
static void test_values_out_of_range(void **state)
{
    (void)state;
    int ranges = 0;
    for (int c = 0; c < LOAM_COMMAND_COUNT; c++) {
        struct loam_options *options = create((enum loam_command)c);
        for (size_t i = 0; i < loam_option_row_count; i++) {
            const struct loam_option_row *row = &loam_option_rows[i];
            if (row->range == NULL || !loam_option_row_of(options->command, row)) continue;
            char *end;
            bool whole = row->type != LOAM_OPTION_DOUBLE;
            double low = strtod(row->range + 1, &end), high = strtod(end + 1, &end);
            refuse_number(options, row,
                          row->range[0] == '(' ? low
                          : whole              ? low - 1
                                               : nextafter(low, -INFINITY));
            refuse_number(options, row, low - 1e6);
            if (isfinite(high)) {
                refuse_number(options, row,
                              *end == ')' ? high
                              : whole     ? high + 1
                                          : nextafter(high, INFINITY));
                refuse_number(options, row, high + 1e6);
            }
            ranges++;
        }
        loam_options_destroy(options);
    }
    assert_true(ranges > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_option_is_listed), cmocka_unit_test(test_each_need_is_reported),
        cmocka_unit_test(test_run_files_are_quiet),   cmocka_unit_test(test_origins),
        cmocka_unit_test(test_given_twice),           cmocka_unit_test(test_unreadable_values),
        cmocka_unit_test(test_values_out_of_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
