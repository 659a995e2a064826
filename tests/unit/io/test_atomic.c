#include <dirent.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/file.h"
#include "io/atomic.h"
#include "test.h"

static const char *in(const char *directory, const char *name)
{
    static char path[400];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static int entries(const char *directory)
{
    DIR *stream = opendir(directory);
    assert_non_null(stream);
    int count = 0;
    for (const struct dirent *entry = readdir(stream); entry != NULL; entry = readdir(stream))
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(stream);
    return count;
}

static void assert_content(const char *path, const char *expected)
{
    struct loam_error error = {0};
    struct loam_bytes bytes = {0};
    assert_ok(loam_file_read(path, 1 << 20, &bytes, &error));
    assert_string_equal(bytes.data, expected);
    loam_bytes_deinit(&bytes);
}

static void appears_on_commit_only(void **state)
{
    struct loam_error error = {0};
    struct loam_atomic_file file;
    const char *path = in(*state, "out.bin");
    assert_ok(loam_atomic_open(&file, path, &error));
    assert_ok(loam_atomic_write(&file, "new", 3, &error));
    assert_ok(loam_atomic_write(&file, NULL, 0, &error));
    assert_false(loam_file_exists(path));
    assert_ok(loam_atomic_commit(&file, &error));
    assert_content(path, "new");
    assert_int_equal(entries(*state), 1);
    loam_atomic_abort(&file); // harmless
    assert_content(path, "new");
}

static void mode_is_that_of_any_new_file(void **state)
{
    struct loam_error error = {0};
    struct stat about;
    mode_t mask = umask(022);
    assert_ok(loam_atomic_write_file(in(*state, "out"), "x", 1, &error));
    umask(mask);
    assert_int_equal(stat(in(*state, "out"), &about), 0);
    assert_int_equal(about.st_mode & 0777, 0644);
}

static void abort_leaves_the_old_file(void **state)
{
    struct loam_error error = {0};
    struct loam_atomic_file file;
    const char *path = in(*state, "out");
    assert_ok(loam_atomic_write_file(path, "old", 3, &error));
    assert_ok(loam_atomic_open(&file, path, &error));
    assert_ok(loam_atomic_write(&file, "new", 3, &error));
    loam_atomic_abort(&file);
    assert_content(path, "old");
    assert_int_equal(entries(*state), 1);
}

static void two_writers_do_not_meet(void **state)
{
    struct loam_error error = {0};
    struct loam_atomic_file first, second;
    const char *path = in(*state, "out");
    assert_ok(loam_atomic_open(&first, path, &error));
    assert_ok(loam_atomic_open(&second, path, &error));
    assert_ok(loam_atomic_write(&first, "first", 5, &error));
    assert_ok(loam_atomic_write(&second, "second", 6, &error));
    assert_ok(loam_atomic_commit(&second, &error));
    assert_ok(loam_atomic_commit(&first, &error));
    assert_content(path, "first");
    assert_int_equal(entries(*state), 1);
}

static void failures_leave_nothing(void **state)
{
    struct loam_error error = {0};
    assert_fails(loam_atomic_write_file(in(*state, "absent/out"), "x", 1, &error), LOAM_ERROR_IO,
                 "absent/out");
    // A directory stands where the file should go: only the rename finds out.
    assert_int_equal(mkdir(in(*state, "out"), 0777), 0);
    assert_fails(loam_atomic_write_file(in(*state, "out"), "x", 1, &error), LOAM_ERROR_IO, "out: ");
    assert_int_equal(entries(*state), 1);
    // A device that is always full.
    struct loam_atomic_file file;
    assert_ok(loam_atomic_open(&file, in(*state, "full"), &error));
    assert_non_null(freopen("/dev/full", "wb", file.stream));
    assert_ok(loam_atomic_write(&file, "x", 1, &error)); // still in the buffer
    assert_fails(loam_atomic_commit(&file, &error), LOAM_ERROR_IO, "No space left");
    assert_int_equal(entries(*state), 1);
}

static void copies(void **state)
{
    struct loam_error error = {0};
    char from[300];
    snprintf(from, sizeof from, "%s/from", (const char *)*state);
    assert_ok(loam_atomic_write_file(from, "tokenizer", 9, &error));
    assert_ok(loam_atomic_copy_file(from, in(*state, "to"), &error));
    assert_content(in(*state, "to"), "tokenizer");
    test_write_file(from, "", 0);
    assert_ok(loam_atomic_copy_file(from, in(*state, "to"), &error));
    assert_content(in(*state, "to"), "");
    assert_int_equal(remove(from), 0);
    assert_fails(loam_atomic_copy_file(from, in(*state, "to"), &error), LOAM_ERROR_IO, from);
}

static void output_directories(void **state)
{
    struct loam_error error = {0};
    assert_ok(loam_output_directory_prepare(in(*state, "a/b/c"), false, NULL, &error));
    assert_true(loam_directory_exists(in(*state, "a/b/c")));
    assert_ok(
        loam_output_directory_prepare(in(*state, "a/b/c"), false, NULL, &error)); // empty: as good as new
    assert_ok(loam_output_directory_prepare(in(*state, "a/d/"), false, NULL, &error));
    assert_true(loam_directory_exists(in(*state, "a/d")));
    assert_ok(loam_output_directory_prepare(in(*state, "a//e"), false, NULL, &error));
    assert_fails(loam_output_directory_prepare(in(*state, "a"), false, NULL, &error), LOAM_ERROR_EXISTS,
                 "--overwrite");
    assert_ok(loam_output_directory_prepare(in(*state, "a"), true, NULL, &error));
    assert_true(loam_directory_exists(in(*state, "a/b/c"))); // nothing is deleted
    test_write_file(in(*state, "file"), "x", 1);
    assert_fails(loam_output_directory_prepare(in(*state, "file"), true, NULL, &error), LOAM_ERROR_EXISTS,
                 "not a directory");
    assert_fails(loam_output_directory_prepare(in(*state, "file/below"), false, NULL, &error), LOAM_ERROR_IO,
                 "file");
    assert_fails(loam_output_directory_prepare("", false, NULL, &error), LOAM_ERROR_ARGUMENT, "empty name");
    assert_fails(loam_output_directory_prepare("/proc/loam/out", false, NULL, &error), LOAM_ERROR_IO,
                 "/proc/loam");
}

// As somebody who is not root, for whom nothing is locked.
static int statuses_as_nobody(const char *locked, const char *below)
{
    pid_t child = fork();
    if (child == 0) {
        struct loam_error error = {0};
        if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) _exit(99);
        bool first = loam_output_directory_prepare(locked, true, NULL, &error) == LOAM_ERROR_IO;
        bool second = loam_output_directory_prepare(below, true, NULL, &error) == LOAM_ERROR_IO;
        _exit(first && second && strstr(error.message, below) != NULL ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void unwritable_directory_is_refused(void **state)
{
    char locked[300], below[320];
    snprintf(locked, sizeof locked, "%s/locked", (const char *)*state);
    snprintf(below, sizeof below, "%s/out", locked);
    assert_int_equal(chmod(*state, 0755), 0);
    assert_int_equal(mkdir(locked, 0555), 0);
    assert_int_equal(statuses_as_nobody(locked, below), 0);
}

// What killed processes left goes; what belongs to a process, or is something else, stays.
static void temporaries_are_cleared(void **state)
{
    struct loam_error error;
    char dead[64], alive[64];
    pid_t child = fork();
    if (child == 0) _exit(0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    snprintf(dead, sizeof dead, "file.tmp-%ld-0", (long)child);
    snprintf(alive, sizeof alive, "file.tmp-%ld-1", (long)getppid());
    const char *const stay[] = {alive,
                                "file",
                                "file.tmp-",
                                "file.tmp-1x-0",
                                "file.tmp-12",
                                "other.tmp-999999999-0",
                                "file.tmp-999999999-0x"};
    for (size_t i = 0; i < sizeof stay / sizeof stay[0]; i++)
        test_write_file(in(*state, stay[i]), "x", 1);
    test_write_file(in(*state, dead), "x", 1);
    test_write_file(in(*state, "file.tmp-999999999-17"), "x", 1);
    assert_int_equal(symlink("file", in(*state, "file.tmp-999999999-18")), 0);
    assert_int_equal(mkdir(in(*state, "file.tmp-999999999-19"), 0777), 0);
    struct loam_atomic_file file;
    assert_ok(loam_atomic_open(&file, in(*state, "file"), &error)); // this process is at it
    char own[400];
    snprintf(own, sizeof own, "%s", file.temporary);
    loam_atomic_clear(in(*state, "file"));
    assert_int_equal(access(in(*state, dead), F_OK), -1);
    assert_int_equal(access(in(*state, "file.tmp-999999999-17"), F_OK), -1);
    assert_int_equal(access(in(*state, "file.tmp-999999999-18"), F_OK), 0);
    assert_int_equal(access(in(*state, "file.tmp-999999999-19"), F_OK), 0);
    for (size_t i = 0; i < sizeof stay / sizeof stay[0]; i++)
        assert_int_equal(access(in(*state, stay[i]), F_OK), 0);
    assert_int_equal(access(own, F_OK), 0);
    assert_ok(loam_atomic_commit(&file, &error));
    // One of this process's number, from before: containers begin to count again.
    test_write_file(own, "x", 1);
    loam_atomic_clear(in(*state, "file"));
    assert_int_equal(access(own, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_in_directory(appears_on_commit_only),    test_in_directory(mode_is_that_of_any_new_file),
        test_in_directory(abort_leaves_the_old_file), test_in_directory(two_writers_do_not_meet),
        test_in_directory(failures_leave_nothing),    test_in_directory(copies),
        test_in_directory(output_directories),        test_in_directory(unwritable_directory_is_refused),
        test_in_directory(temporaries_are_cleared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
