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
    assert_ok(loam_staging_open(&staging, out, false, NULL, &error));
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
    assert_ok(loam_staging_open(&staging, out, false, NULL, &error));
    test_write_file(in(staging.directory, "one"), "1", 1);
    loam_staging_close(&staging);
    assert_false(loam_directory_exists(out));

    assert_int_equal(mkdir(out, 0777), 0); // the caller's own
    assert_ok(loam_staging_open(&staging, out, false, NULL, &error));
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
        (void)loam_staging_open(&staging, in(*state, cases[i].target), true, NULL, &error);
        loam_staging_close(&staging);
        assert_int_equal(access(in(*state, cases[i].stays), F_OK), 0);
        if (access(in(*state, "a"), F_OK) == 0 || access(in(*state, "there/f"), F_OK) == 0)
            fail_msg("%s: left behind", cases[i].target);
    }
    struct loam_staging staging;
    assert_ok(loam_staging_open(&staging, in(*state, "a/b/c"), false, NULL, &error));
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
    assert_fails(loam_staging_open(&staging, *state, false, NULL, &error), LOAM_ERROR_EXISTS, "--overwrite");
    assert_ok(loam_staging_open(&staging, *state, true, NULL, &error));
    test_write_file(in(staging.directory, "last"), "new", 3);
    assert_ok(loam_staging_commit(&staging, "last", &error));
    loam_staging_close(&staging);
    assert_ok(loam_file_read(in(*state, "last"), 10, &text, &error));
    assert_string_equal(text.data, "new");
    loam_bytes_deinit(&text);
}

// The target belongs to one command at a time; what one left that was killed goes.
static void one_at_a_time(void **state)
{
    struct loam_staging first, second;
    char out[300];
    snprintf(out, sizeof out, "%s", in(*state, "out"));
    assert_ok(loam_staging_open(&first, out, false, NULL, &error));
    assert_fails(loam_staging_open(&second, out, true, NULL, &error), LOAM_ERROR_EXISTS,
                 "being written by another run");
    assert_true(loam_directory_exists(first.directory));
    char killed[400];
    snprintf(killed, sizeof killed, "%s", first.directory);
    close(first.lock); // as the system does when the process ends
    free(first.directory);
    free(first.target);
    assert_ok(loam_staging_open(&second, out, false, NULL, &error));
    assert_false(loam_file_exists(in(killed, "one")));
    test_write_file(in(second.directory, "last"), "2", 1);
    assert_ok(loam_staging_commit(&second, "last", &error));
    assert_fails(loam_staging_open(&first, out, false, NULL, &error), LOAM_ERROR_EXISTS,
                 "being written"); // until it is closed
    assert_null(second.directory);
    assert_ok(loam_staging_restore(&second, &error)); // to make it all again
    test_write_file(in(second.directory, "last"), "3", 1);
    assert_ok(loam_staging_commit(&second, "last", &error));
    loam_staging_close(&second);
    assert_fails(loam_staging_open(&second, out, false, NULL, &error), LOAM_ERROR_EXISTS, "--overwrite");
}

// Files of a directory join those of the target's; links in the target are not followed.
static void directories_are_joined(void **state)
{
    struct loam_staging staging;
    assert_int_equal(mkdir(in(*state, "out"), 0777), 0);
    assert_int_equal(mkdir(in(*state, "out/templates"), 0777), 0);
    assert_int_equal(mkdir(in(*state, "home"), 0777), 0);
    test_write_file(in(*state, "out/templates/mine"), "1", 1);
    test_write_file(in(*state, "out/templates/new"), "old", 3);
    for (int turn = 0; turn < 2; turn++) {
        assert_ok(loam_staging_open(&staging, in(*state, "out"), true, NULL, &error));
        assert_int_equal(mkdir(in(staging.directory, "templates"), 0777), 0);
        test_write_file(in(staging.directory, "templates/new"), "2", 1);
        test_write_file(in(staging.directory, "last"), "2", 1);
        if (turn == 0) {
            assert_ok(loam_staging_commit(&staging, "last", &error));
            assert_true(loam_file_exists(in(*state, "out/templates/mine")));
            assert_true(loam_file_exists(in(*state, "out/templates/new")));
            assert_int_equal(unlink(in(*state, "out/last")), 0);
            assert_int_equal(rename(in(*state, "out/templates"), in(*state, "aside")), 0);
            assert_int_equal(symlink("../home", in(*state, "out/templates")), 0);
        } else {
            assert_fails(loam_staging_commit(&staging, "last", &error), LOAM_ERROR_IO, "out/templates");
            assert_false(loam_file_exists(in(*state, "home/new")));
            assert_false(loam_file_exists(in(*state, "out/last")));
        }
        loam_staging_close(&staging);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_in_directory(appear_together),
        test_in_directory(nothing_stays_of_a_failure),
        test_in_directory(directories_that_were_made_go),
        test_in_directory(takes_the_place_of_files),
        test_in_directory(one_at_a_time),
        test_in_directory(directories_are_joined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
