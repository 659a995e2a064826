// Messages about options that have changed since a checkpoint.
#include "test.h"

#include <jansson.h>

#include "run/recorded.h"

static char collected[600];

static void collect_line(void *user, enum loam_log_level level, const char *line)
{
    (void)user, (void)level;
    snprintf(collected, sizeof collected, "%s", line);
}

// A file name with a line break does not break the line of the message.
static void names_do_not_break_the_line(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_log log = {.write = collect_line};
    struct loam_bytes refused = {0}, changes = {0};
    json_t *before =
        json_pack("{s:{s:s, s:s}, s:s}", "data", "path", "old\ndata", "sha256", "1", "template", "a\nb");
    json_t *now =
        json_pack("{s:{s:s, s:s}, s:s}", "data", "path", "new\r\x1b[0mdata", "sha256", "2", "template", "c");
    assert_fails(loam_recorded_compare(before, now, "checkpoint\n5", false, &log, &refused, &error),
                 LOAM_ERROR_ARGUMENT,
                 "checkpoint?5 was made with other options: --data was old?data and is new??[0mdata");
    assert_non_null(strstr(error.message, "--template was a?b and is c"));
    assert_null(strchr(error.message, '\n'));
    assert_string_equal(collected, "");
    assert_ok(loam_recorded_compare(before, now, "checkpoint\n5", true, &log, &changes, &error));
    assert_non_null(strstr(collected, "since checkpoint?5: --data was old?data and is new??[0mdata"));
    assert_null(strpbrk(collected, "\n\r\x1b"));
    assert_string_equal(changes.data, refused.data);
    assert_null(strpbrk(changes.data, "\n\r\x1b"));
    loam_bytes_deinit(&changes);
    loam_bytes_deinit(&refused);
    json_decref(before);
    json_decref(now);
}

static json_t *make_evaluation(const char *best, const char *patience, const char *metric,
                               const char *eval_steps)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "load-best-at-end", best, "early-stopping-patience",
                     patience, "metric-for-best-model", metric, "eval-steps", eval_steps, "eval-data",
                     eval_steps, "max-new-tokens", eval_steps);
}

// `expected` are parts of the message, in any order; NULL: no message.
static void compare(json_t *before, json_t *now, const char *const *expected)
{
    struct loam_error error = {0};
    struct loam_bytes changes = {0};
    enum loam_status status = loam_recorded_compare(before, now, "checkpoint", false, NULL, &changes, &error);
    loam_bytes_deinit(&changes);
    assert_int_equal(status, expected != NULL ? LOAM_ERROR_ARGUMENT : LOAM_OK);
    size_t count = 0, said = 0;
    for (; expected != NULL && expected[count] != NULL; count++)
        assert_non_null(strstr(error.message, expected[count]));
    for (const char *at = error.message; status != LOAM_OK && (at = strstr(at, " and is ")) != NULL; at++)
        said++;
    assert_int_equal(said, count);
    json_decref(before);
    json_decref(now);
}

// Options of evaluation must stay the same only if evaluations decide the result.
static void evaluations_count_where_they_decide(void **state)
{
    (void)state;
#define SAYS(...) (const char *const[]){__VA_ARGS__, NULL}
    compare(make_evaluation("false", "never", "eval_loss", "2"),
            make_evaluation("false", "never", "eval_loss", "3"), NULL);
    compare(make_evaluation("true", "never", "eval_loss", "2"),
            make_evaluation("true", "never", "eval_loss", "3"),
            SAYS("--eval-steps was 2 and is 3", "--eval-data was 2 and is 3"));
    compare(make_evaluation("false", "4", "exact_match", "2"),
            make_evaluation("false", "4", "exact_match", "3"),
            SAYS("--eval-steps was 2", "--eval-data was 2", "--max-new-tokens was 2 and is 3"));
    compare(make_evaluation("true", "4", "eval_loss", "2"),
            make_evaluation("false", "never", "eval_loss", "2"),
            SAYS("--load-best-at-end was true and is false", "--early-stopping-patience was 4 and is never"));
    compare(make_evaluation("false", "never", "eval_loss", "2"),
            make_evaluation("false", "4", "eval_loss", "2"),
            SAYS("--early-stopping-patience was never and is 4"));
    // A checkpoint of an older version does not record these options.
    compare(json_pack("{s:s}", "metric-for-best-model", "eval_loss"),
            make_evaluation("false", "never", "eval_loss", "2"), NULL);
    compare(json_pack("{s:s}", "metric-for-best-model", "eval_loss"),
            make_evaluation("false", "4", "eval_loss", "2"),
            SAYS("--early-stopping-patience was not there and is 4", "--eval-steps was not there and is 2",
                 "--eval-data was not there", "--load-best-at-end was not there and is false"));
#undef SAYS
}

static json_t *make_schedule(const char *schedule, const char *steps, const char *ratio)
{
    return json_pack("{s:s, s:s, s:s}", "lr-scheduler-type", schedule, "warmup-steps", steps, "warmup-ratio",
                     ratio);
}

// Older versions recorded a constant rate with warm-up as "constant". It is read as "constant_with_warmup".
static void a_warm_up_is_kept(void **state)
{
    (void)state;
#define SAYS(...) (const char *const[]){__VA_ARGS__, NULL}
    compare(make_schedule("constant", "3", "0"), make_schedule("constant_with_warmup", "3", "0"), NULL);
    compare(make_schedule("constant", "1", "0"), make_schedule("constant_with_warmup", "1", "0"), NULL);
    compare(make_schedule("constant", "0", "0.1"), make_schedule("constant_with_warmup", "0", "0.1"), NULL);
    compare(make_schedule("constant", "0", "0"), make_schedule("constant", "0", "0"), NULL);
    compare(make_schedule("constant", "3", "0"), make_schedule("constant", "0", "0"),
            SAYS("--lr-scheduler-type was constant_with_warmup and is constant",
                 "--warmup-steps was 3 and is 0"));
    compare(make_schedule("constant", "0", "0"), make_schedule("constant_with_warmup", "0", "0"),
            SAYS("--lr-scheduler-type was constant and is constant_with_warmup"));
#undef SAYS
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names_do_not_break_the_line),
                                       cmocka_unit_test(evaluations_count_where_they_decide),
                                       cmocka_unit_test(a_warm_up_is_kept)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
