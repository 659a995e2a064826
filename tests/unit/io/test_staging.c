#include "io/staging.h"

#include <sys/stat.h>

#include "base/file.h"
#include "test.h"

static struct loam_error error;

static const char *in(const char *directory, const char *name)
{
    static char paths[4][600];
    static int turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", directory, name);
    return path;
}

static void appear_together(void **state)
{
    struct loam_staging staging;
    char out[300];
    snprintf(out, sizeof out, "%s", in(*state, "a/out"));
    assert_ok(loam_staging_open(&staging, out, false, &error));
    test_write_file(in(staging.directory, "one"), "1", 1);
    test_write_file(in(staging.directory, "last"), "2", 1);
    assert_false(loam_file_exists(in(out, "one")));
    assert_ok(loam_staging_commit(&staging, "last", &error));
    loam_staging_close(&staging);
    assert_true(loam_file_exists(in(out, "one")));
    assert_true(loam_file_exists(in(out, "last")));
    assert_int_equal(remove(in(out, "one")), 0);
    assert_int_equal(remove(in(out, "last")), 0);
    assert_int_equal(rmdir(out), 0); // nothing else is there
}

static void nothing_stays_of_a_failure(void **state)
{
    struct loam_staging staging;
    char out[300];
    snprintf(out, sizeof out, "%s", in(*state, "out"));
    assert_ok(loam_staging_open(&staging, out, false, &error));
    test_write_file(in(staging.directory, "one"), "1", 1);
    loam_staging_close(&staging);
    assert_false(loam_directory_exists(out));

    assert_int_equal(mkdir(out, 0777), 0); // the caller's own
    assert_ok(loam_staging_open(&staging, out, false, &error));
    test_write_file(in(staging.directory, "one"), "1", 1);
    assert_fails(loam_staging_commit(&staging, "last", &error), LOAM_ERROR_IO, "last");
    assert_int_equal(mkdir(in(out, "last"), 0777), 0); // in the way of one: none is moved
    test_write_file(in(staging.directory, "last"), "2", 1);
    assert_fails(loam_staging_commit(&staging, "last", &error), LOAM_ERROR_IO, "last: Is a directory");
    loam_staging_close(&staging);
    assert_int_equal(rmdir(in(out, "last")), 0);
    assert_int_equal(rmdir(out), 0); // nothing else is there
}

// Whatever comes of it, what was made goes with the staging, and nothing else.
static void directories_that_were_made_go(void **state)
{
    static const struct {
        const char *target;
        const char *stays; // of it
    } cases[] = {
        {"a/b/c", "."},     {"a/d/", "."},          {"a//e", "."},
        {"there", "there"}, {"there/f/g", "there"}, {"file/h", "file"},
    };
    assert_int_equal(mkdir(in(*state, "there"), 0777), 0);
    test_write_file(in(*state, "file"), "x", 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loam_staging staging;
        (void)loam_staging_open(&staging, in(*state, cases[i].target), true, &error);
        loam_staging_close(&staging);
        assert_int_equal(access(in(*state, cases[i].stays), F_OK), 0);
        if (access(in(*state, "a"), F_OK) == 0 || access(in(*state, "there/f"), F_OK) == 0)
            fail_msg("%s: left behind", cases[i].target);
    }
    struct loam_staging staging;
    assert_ok(loam_staging_open(&staging, in(*state, "a/b/c"), false, &error));
    test_write_file(in(*state, "a/notes"), "x", 1); // by somebody else, meanwhile
    loam_staging_close(&staging);
    assert_int_equal(access(in(*state, "a/b"), F_OK), -1);
    assert_int_equal(access(in(*state, "a/notes"), F_OK), 0);
}

static void takes_the_place_of_files(void **state)
{
    struct loam_staging staging;
    struct loam_bytes text = {0};
    test_write_file(in(*state, "last"), "old", 3);
    assert_fails(loam_staging_open(&staging, *state, false, &error), LOAM_ERROR_EXISTS, "--overwrite");
    assert_ok(loam_staging_open(&staging, *state, true, &error));
    test_write_file(in(staging.directory, "last"), "new", 3);
    assert_ok(loam_staging_commit(&staging, "last", &error));
    loam_staging_close(&staging);
    assert_ok(loam_file_read(in(*state, "last"), 10, &text, &error));
    assert_string_equal(text.data, "new");
    loam_bytes_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_in_directory(appear_together),
        test_in_directory(nothing_stays_of_a_failure),
        test_in_directory(directories_that_were_made_go),
        test_in_directory(takes_the_place_of_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
