// What loam removes in a directory that may come from anywhere: what it has marked, and never what a link
// leads to.
#include "io/directory.h"

#include <dirent.h>
#include <sys/stat.h>

#include "base/file.h"
#include "test.h"

static struct loam_error error;

// Descriptors that this process has open.
static int descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    int count = 0;
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

static const char *in(const char *directory, const char *name)
{
    static char paths[8][600];
    static int turn;
    char path[sizeof paths[0]]; // `directory` may be one of `paths`
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return memcpy(paths[turn++ % 8], path, sizeof path);
}

static bool is_there(const char *path)
{
    struct stat about;
    return lstat(path, &about) == 0;
}

// A directory with a file, and a mark unless that is NULL.
static void make(const char *path, const char *mark)
{
    assert_int_equal(mkdir(path, 0777), 0);
    test_write_file(in(path, "file"), "x", 1);
    if (mark != NULL) test_write_file(in(path, mark), "", 0);
}

static void names(void **state)
{
    (void)state;
    static const char *const own[] = {".loam-1-0", ".loam-4194304-17"};
    static const char *const others[] = {".loam",    ".loam-",     ".loam-x",   ".loam-backup",
                                         ".loam-1",  ".loam-1-",   ".loam--1",  ".loam-1-0x",
                                         "loam-1-0", ".loam-1-0/", ".loam-1.0", ".loam-checkpoint"};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        assert_true(loam_work_directory_is_name(own[i]));
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_false(loam_work_directory_is_name(others[i]));
}

static void work_directories(void **state)
{
    char *first, *second;
    assert_ok(loam_work_directory_make(*state, &first, &error));
    assert_ok(loam_work_directory_make(*state, &second, &error));
    assert_string_not_equal(first, second);
    assert_true(loam_work_directory_is_name(strrchr(first, '/') + 1));
    assert_true(loam_file_exists(in(first, LOAM_WORK_MARK)));
    test_write_file(in(first, "file"), "x", 1);
    loam_directory_remove(first);
    assert_false(is_there(first));
    assert_ok(loam_work_directory_restore(first, &error));
    assert_true(loam_file_exists(in(first, LOAM_WORK_MARK)));
    assert_ok(loam_work_directory_restore(first, &error));
    loam_directory_remove(first);
    // A link in its place is not followed.
    assert_int_equal(symlink(*state, first), 0);
    assert_fails(loam_work_directory_restore(first, &error), LOAM_ERROR_IO, first);
    assert_false(is_there(in(*state, LOAM_WORK_MARK)));
    free(first);
    free(second);
    assert_fails(loam_work_directory_make("/proc/loam", &first, &error), LOAM_ERROR_IO, "/proc/loam");
}

static void clears_what_is_its_own(void **state)
{
    make(in(*state, "home"), NULL);
    make(in(*state, "marked"), LOAM_WORK_MARK);
    static const struct {
        const char *name;
        const char *mark;
        bool stays;
    } cases[] = {
        {".loam-1-0", LOAM_WORK_MARK, false},     {".loam-2-0", "loam_state.json", false},
        {".loam-3-1", "checksums.sha256", false}, {".loam-4-0", NULL, true},
        {".loam-5-0", "config.json", true},       {".loam-backup", NULL, true},
        {".loam-backup-1", LOAM_WORK_MARK, true}, {"checkpoint-1", LOAM_WORK_MARK, true},
    };
    enum { CASES = sizeof cases / sizeof cases[0] };
    for (size_t i = 0; i < CASES; i++)
        make(in(*state, cases[i].name), cases[i].mark);
    assert_int_equal(mkdir(in(*state, ".loam-6-0"), 0777), 0); // killed before it was marked
    test_write_file(in(*state, ".loam-7-0"), "x", 1);
    static const char *const links[] = {".loam-8-0", ".loam-x"};
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(symlink(i == 0 ? "home" : "marked", in(*state, links[i])), 0);
    loam_work_directories_clear(*state);
    for (size_t i = 0; i < CASES; i++) {
        assert_int_equal(is_there(in(*state, cases[i].name)), cases[i].stays);
        if (cases[i].stays) assert_true(loam_file_exists(in(in(*state, cases[i].name), "file")));
    }
    assert_false(is_there(in(*state, ".loam-6-0")));
    assert_true(is_there(in(*state, ".loam-7-0")));
    assert_true(loam_file_exists(in(*state, "home/file")));
    assert_true(loam_file_exists(in(*state, "marked/file")));
}

// Links in it go, what they lead to stays; so does a directory in the place of a mark.
static void follows_no_link(void **state)
{
    char own[300];
    snprintf(own, sizeof own, "%s/own", (char *)*state);
    make(in(*state, "home"), LOAM_WORK_MARK);
    make(own, LOAM_WORK_MARK);
    assert_int_equal(mkdir(in(own, "deep"), 0777), 0);
    assert_int_equal(mkdir(in(own, "deep/er"), 0777), 0);
    test_write_file(in(own, "deep/er/" LOAM_WORK_MARK), "x", 1);
    assert_int_equal(symlink("../home", in(own, "link")), 0);
    assert_int_equal(symlink("../../home", in(own, "deep/link")), 0);
    assert_int_equal(symlink("../home/file", in(own, "checksums.sha256")), 0);
    int before = descriptors();
    loam_directory_remove(own);
    assert_false(is_there(own));
    assert_true(loam_file_exists(in(*state, "home/file")));

    assert_int_equal(symlink("home", in(*state, "link")), 0);
    loam_directory_remove(in(*state, "link"));
    assert_false(is_there(in(*state, "link")));
    assert_true(loam_file_exists(in(*state, "home/file")));

    make(in(*state, "false"), NULL);
    assert_int_equal(mkdir(in(*state, "false/" LOAM_WORK_MARK), 0777), 0);
    loam_directory_remove(in(*state, "false"));
    assert_true(loam_file_exists(in(*state, "false/file")));
    loam_directory_remove(in(*state, "home/file"));
    assert_true(loam_file_exists(in(*state, "home/file")));
    loam_directory_remove(in(*state, "nowhere"));
    assert_int_equal(descriptors(), before);
}

static void takes_away(void **state)
{
    make(in(*state, "home"), "loam_state.json");
    make(in(*state, "checkpoint-1"), "loam_state.json");
    make(in(*state, "checkpoint-2"), NULL);
    assert_int_equal(symlink("home", in(*state, "checkpoint-3")), 0);
    assert_ok(loam_directory_take_away(*state, in(*state, "checkpoint-1"), &error));
    assert_false(is_there(in(*state, "checkpoint-1")));
    assert_fails(loam_directory_take_away(*state, in(*state, "checkpoint-2"), &error), LOAM_ERROR_IO,
                 "checkpoint-2: loam has not made it");
    assert_true(loam_file_exists(in(*state, "checkpoint-2/file")));
    assert_ok(loam_directory_take_away(*state, in(*state, "checkpoint-3"), &error));
    assert_false(is_there(in(*state, "checkpoint-3")));
    assert_true(loam_file_exists(in(*state, "home/file")));
    assert_ok(loam_directory_take_away(*state, in(*state, "checkpoint-4"), &error));
}

static void publishes(void **state)
{
    char *work;
    assert_ok(loam_work_directory_make(*state, &work, &error));
    test_write_file(in(work, "loam_state.json"), "x", 1);
    assert_ok(loam_directory_publish(*state, work, in(*state, "checkpoint-1"), &error));
    assert_false(is_there(work));
    assert_false(is_there(in(*state, "checkpoint-1/" LOAM_WORK_MARK)));
    assert_true(loam_file_exists(in(*state, "checkpoint-1/loam_state.json")));
    free(work);
}

static void locks(void **state)
{
    int first, second;
    bool held;
    assert_ok(loam_directory_lock(*state, &first, &held, NULL, &error));
    assert_true(held);
    assert_true(loam_directory_is_open_as(*state, first));
    assert_fails(loam_directory_lock(*state, &second, &held, NULL, &error), LOAM_ERROR_EXISTS,
                 "being written by another run");
    close(first);
    assert_ok(loam_directory_lock(*state, &second, &held, NULL, &error));
    assert_int_equal(mkdir(in(*state, "other"), 0777), 0);
    assert_false(loam_directory_is_open_as(in(*state, "other"), second));
    assert_false(loam_directory_is_open_as(in(*state, "nowhere"), second));
    close(second);
    assert_fails(loam_directory_lock(in(*state, "nowhere"), &second, &held, NULL, &error), LOAM_ERROR_IO,
                 "nowhere");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        test_in_directory(work_directories),
        test_in_directory(clears_what_is_its_own),
        test_in_directory(follows_no_link),
        test_in_directory(takes_away),
        test_in_directory(publishes),
        test_in_directory(locks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
