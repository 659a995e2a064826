#include "base/log.h"
#include "base/status.h"
#include "test.h"

static void fills_and_returns(void **state)
{
    (void)state;
    struct loam_error error = {0};
    assert_int_equal(loam_fail(&error, LOAM_ERROR_IO, "cannot open %s", "x"), LOAM_ERROR_IO);
    assert_int_equal(error.status, LOAM_ERROR_IO);
    assert_string_equal(error.message, "cannot open x");
    assert_int_equal(loam_fail(NULL, LOAM_ERROR_MEMORY, "unheard"), LOAM_ERROR_MEMORY);
}

static void message_is_one_line(void **state)
{
    (void)state;
    struct loam_error error = {0};
    assert_fails(loam_fail(&error, LOAM_ERROR_FORMAT, "tensor %s", "a\nb\tc\x1b[0m\x7f"), LOAM_ERROR_FORMAT,
                 "tensor a?b?c?[0m?");
    // Text beyond ASCII stays as it is.
    assert_fails(loam_fail(&error, LOAM_ERROR_FORMAT, "tensor %s", "poids\xc3\xa9"), LOAM_ERROR_FORMAT,
                 "tensor poids\xc3\xa9");
}

static void long_message_is_cut(void **state)
{
    (void)state;
    char text[3000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    struct loam_error error = {0};
    assert_int_equal(loam_fail(&error, LOAM_ERROR_FORMAT, "%s", text), LOAM_ERROR_FORMAT);
    assert_int_equal(strlen(error.message), sizeof error.message - 1);
    assert_int_equal(loam_fail_prefix(&error, "%s", "FILE"), LOAM_ERROR_FORMAT);
    assert_int_equal(strlen(error.message), sizeof error.message - 1);
    assert_memory_equal(error.message, "FILE: xxx", 9);
}

static void message_may_hold_the_old_one(void **state)
{
    (void)state;
    struct loam_error error = {0};
    assert_int_equal(loam_fail(&error, LOAM_ERROR_IO, "inner"), LOAM_ERROR_IO);
    assert_fails(loam_fail(&error, LOAM_ERROR_FORMAT, "outer (%s)", error.message), LOAM_ERROR_FORMAT,
                 "outer (inner)");
    assert_fails(loam_fail_prefix(&error, "file %d", 7), LOAM_ERROR_FORMAT, "file 7: outer (inner)");
    assert_int_equal(loam_fail_prefix(NULL, "nobody"), LOAM_ERROR_INTERNAL);
}

struct heard {
    int lines;
    enum loam_log_level level;
    char line[64];
};

static void hear(void *user, enum loam_log_level level, const char *line)
{
    struct heard *heard = user;
    heard->lines++;
    heard->level = level;
    snprintf(heard->line, sizeof heard->line, "%s", line);
}

static void log_goes_to_the_callback(void **state)
{
    (void)state;
    struct heard heard = {0};
    struct loam_log log = {.write = hear, .user = &heard};
    loam_log_write(&log, LOAM_LOG_WARNING, "%d tensors", 3);
    assert_int_equal(heard.lines, 1);
    assert_int_equal(heard.level, LOAM_LOG_WARNING);
    assert_string_equal(heard.line, "3 tensors");
    loam_log_write(&log, LOAM_LOG_INFO, "since %s", "a\nb\x1b[0m"); // as errors do, it stays one line
    assert_string_equal(heard.line, "since a?b?[0m");
    loam_log_write(NULL, LOAM_LOG_INFO, "unheard");
    loam_log_write(&(struct loam_log){0}, LOAM_LOG_INFO, "unheard");
    assert_int_equal(heard.lines, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_and_returns),        cmocka_unit_test(message_is_one_line),
        cmocka_unit_test(long_message_is_cut),      cmocka_unit_test(message_may_hold_the_old_one),
        cmocka_unit_test(log_goes_to_the_callback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
