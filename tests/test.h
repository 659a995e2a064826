// What every test includes: cmocka and a few helpers that name what failed.
#ifndef LOAM_TEST_H
#define LOAM_TEST_H

// cmocka needs these four first, in this order.
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
// clang-format on
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <loam.h>

// The call succeeds; a failure shows loam's own message.
#define assert_ok(call)                                                                                      \
    do {                                                                                                     \
        enum loam_status assert_ok_status_ = (call);                                                         \
        if (assert_ok_status_ != LOAM_OK) fail_msg("%s: %s", #call, error.message);                          \
    } while (0)

// The call fails with the status, and its message contains the text.
#define assert_fails(call, expected_status, text)                                                            \
    do {                                                                                                     \
        enum loam_status assert_fails_status_ = (call);                                                      \
        if (assert_fails_status_ != (expected_status) || strstr(error.message, (text)) == NULL)              \
            fail_msg("%s: status %d, message \"%s\"; expected status %d and \"%s\"", #call,                  \
                     (int)assert_fails_status_, error.message, (int)(expected_status), (text));              \
    } while (0)

// A fresh directory under TMPDIR, removed by test_remove_directory.
static inline char *test_make_directory(char path[256])
{
    const char *root = getenv("TMPDIR");
    snprintf(path, 256, "%s/loam-test-XXXXXX", root != NULL ? root : "/tmp");
    return mkdtemp(path);
}
static inline void test_remove_directory(const char *path)
{
    char command[512];
    snprintf(command, sizeof command, "rm -rf '%s'", path);
    if (system(command) != 0) fprintf(stderr, "could not remove %s\n", path);
}
// A test whose state is the path of a fresh directory, removed after it.
static inline int test_directory_setup(void **state)
{
    char *directory = malloc(256);
    *state = directory;
    return directory == NULL || test_make_directory(directory) == NULL;
}
static inline int test_directory_teardown(void **state)
{
    test_remove_directory(*state);
    free(*state);
    return 0;
}
#define test_in_directory(function)                                                                          \
    cmocka_unit_test_setup_teardown(function, test_directory_setup, test_directory_teardown)

static inline void test_write_file(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

#endif
