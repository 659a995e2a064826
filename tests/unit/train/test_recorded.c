// What a person is told of options that have changed since a checkpoint.
#include "test.h"

#include <jansson.h>

#include "train/recorded.h"

static char heard[600];

static void hear(void *user, enum loam_log_level level, const char *line)
{
    (void)user, (void)level;
    snprintf(heard, sizeof heard, "%s", line);
}

// Names of files may hold anything; the line stays one.
static void names_do_not_break_the_line(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_log log = {.write = hear};
    json_t *before =
        json_pack("{s:{s:s, s:s}, s:s}", "data", "path", "old\ndata", "sha256", "1", "template", "a\nb");
    json_t *now =
        json_pack("{s:{s:s, s:s}, s:s}", "data", "path", "new\r\x1b[0mdata", "sha256", "2", "template", "c");
    assert_fails(loam_recorded_compare(before, now, "checkpoint\n5", false, &log, &error),
                 LOAM_ERROR_ARGUMENT,
                 "checkpoint?5 was made with other options: --data was old?data and is new??[0mdata");
    assert_non_null(strstr(error.message, "--template was a?b and is c"));
    assert_null(strchr(error.message, '\n'));
    assert_string_equal(heard, "");
    assert_ok(loam_recorded_compare(before, now, "checkpoint\n5", true, &log, &error));
    assert_non_null(strstr(heard, "since checkpoint?5: --data was old?data and is new??[0mdata"));
    assert_null(strpbrk(heard, "\n\r\x1b"));
    json_decref(before);
    json_decref(now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names_do_not_break_the_line)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
