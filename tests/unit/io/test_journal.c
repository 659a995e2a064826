// A file that grows by records: what is on disk at each moment, and what becomes of records when it cannot be
// written or goes away.
#include "test.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "io/journal.h"

static char path[300];

static void name_path(void **state, const char *name)
{
    snprintf(path, sizeof path, "%s/%s", (const char *)*state, name);
}

// The whole file; "" when there is none.
static void assert_file(const char *expected)
{
    char text[256] = "";
    FILE *file = fopen(path, "rb");
    if (file != NULL) {
        text[fread(text, 1, sizeof text - 1, file)] = '\0';
        fclose(file);
    }
    assert_string_equal(text, expected);
}

static void append(struct loam_journal *journal, const char *record)
{
    struct loam_error error;
    assert_ok(loam_journal_append(journal, record, strlen(record), &error));
}

static void grows(void **state)
{
    struct loam_error error;
    struct loam_journal journal;
    name_path(state, "file");
    test_write_file(path, "of before", 9);
    assert_ok(loam_journal_open(&journal, path, &error));
    assert_file("of before"); // until there is something to say
    append(&journal, "one ");
    assert_file("one ");
    append(&journal, "two ");
    assert_file("one two ");
    assert_int_equal(loam_journal_size(&journal), 8);
    loam_journal_close(&journal);
    loam_journal_close(&journal);
    assert_ok(loam_journal_reopen(&journal, path, 4, &error));
    assert_file("one ");
    append(&journal, "three ");
    assert_file("one three ");
    assert_int_equal(loam_journal_size(&journal), 10);
    loam_journal_close(&journal);
    name_path(state, "missing");
    assert_fails(loam_journal_reopen(&journal, path, 4, &error), LOAM_ERROR_IO, "missing cannot be opened");
    assert_null(journal.path);
}

static void a_file_that_went_away_comes_back(void **state)
{
    struct loam_error error;
    struct loam_journal journal;
    name_path(state, "file");
    assert_ok(loam_journal_open(&journal, path, &error));
    append(&journal, "one ");
    assert_int_equal(unlink(path), 0);
    append(&journal, "two ");
    assert_file("one two ");
    char aside[320];
    snprintf(aside, sizeof aside, "%s.aside", path);
    assert_int_equal(rename(path, aside), 0);
    append(&journal, "three ");
    assert_file("one two three ");
    assert_int_equal(truncate(path, 2), 0);
    assert_ok(loam_journal_flush(&journal, &error));
    assert_file("one two three ");
    assert_int_equal(journal.lost, 0);
    loam_journal_close(&journal);
    // What an earlier process wrote is not in memory.
    assert_ok(loam_journal_reopen(&journal, path, 4, &error));
    assert_int_equal(unlink(path), 0);
    append(&journal, "four ");
    assert_file("four ");
    assert_int_equal(journal.lost, 1);
    loam_journal_close(&journal);
}

static void a_directory_that_went_away(void **state)
{
    struct loam_error error;
    struct loam_journal journal;
    name_path(state, "directory/file");
    assert_ok(loam_journal_open(&journal, path, &error));
    assert_fails(loam_journal_append(&journal, "one ", 4, &error), LOAM_ERROR_IO, "file cannot be made");
    assert_fails(loam_journal_append(&journal, "two ", 4, &error), LOAM_ERROR_IO, "No such file");
    journal.owns_directory = true;
    append(&journal, "three ");
    assert_file("one two three ");
    test_remove_directory(*state);
    assert_fails(loam_journal_flush(&journal, &error), LOAM_ERROR_IO, "file cannot be made");
    assert_int_equal(mkdir(*state, 0777), 0);
    assert_ok(loam_journal_flush(&journal, &error));
    assert_file("one two three ");
    loam_journal_close(&journal);
}

// A link there, or another name of the file, leads to nothing that is written.
static void links_are_replaced(void **state)
{
    struct loam_error error;
    struct loam_journal journal;
    struct stat about;
    char mine[320];
    for (int kind = 0; kind < 3; kind++) {
        name_path(state, "mine");
        snprintf(mine, sizeof mine, "%s", path);
        if (kind != 1) test_write_file(mine, "mine", 4);
        name_path(state, "file");
        assert_int_equal(kind < 2 ? symlink(kind == 0 ? "mine" : "nowhere", path) : link(mine, path), 0);
        if (kind == 0)
            assert_fails(loam_journal_reopen(&journal, path, 0, &error), LOAM_ERROR_IO, "cannot be opened");
        assert_ok(loam_journal_open(&journal, path, &error));
        append(&journal, "one ");
        assert_file("one ");
        loam_journal_close(&journal);
        assert_int_equal(lstat(path, &about), 0);
        assert_true(S_ISREG(about.st_mode));
        assert_int_equal(unlink(path), 0);
        name_path(state, "nowhere");
        assert_file("");
        name_path(state, "mine");
        assert_file("mine");
    }
}

// No room: the file ends with a whole record, and has all of them once there is some.
static void no_room(void **state)
{
    struct loam_error error;
    struct loam_journal journal;
    struct rlimit usual;
    name_path(state, "file");
    assert_ok(loam_journal_open(&journal, path, &error));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &usual), 0);
    signal(SIGXFSZ, SIG_IGN); // the write fails instead
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){2, usual.rlim_max}), 0);
    enum loam_status first = loam_journal_append(&journal, "one ", 4, &error);
    bool nothing = access(path, F_OK) != 0;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){6, usual.rlim_max}), 0);
    enum loam_status second = loam_journal_append(&journal, "two ", 4, &error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){10, usual.rlim_max}), 0);
    enum loam_status third = loam_journal_flush(&journal, NULL);
    enum loam_status fourth = loam_journal_append(&journal, "three ", 6, &error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &usual), 0);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(first, LOAM_ERROR_IO);
    assert_true(nothing);
    assert_int_equal(second, LOAM_ERROR_IO);
    assert_int_equal(third, LOAM_OK);
    assert_int_equal(fourth, LOAM_ERROR_IO);
    assert_non_null(strstr(error.message, "file cannot be written"));
    assert_file("one two ");
    append(&journal, "four ");
    assert_file("one two three four ");
    loam_journal_close(&journal);
}

// Memory is bounded: of what waits for the disk, what comes too late is lost, and counted.
static void memory_is_bounded(void **state)
{
    struct loam_error error;
    struct loam_journal journal;
    enum { RECORD = LOAM_JOURNAL_BYTES / 4 + 1 };
    struct stat about;
    char *record = calloc(1, RECORD);
    assert_non_null(record);
    name_path(state, "directory/file");
    assert_ok(loam_journal_open(&journal, path, &error));
    for (int i = 0; i < 5; i++) {
        memset(record, '0' + i, RECORD);
        assert_int_equal(loam_journal_append(&journal, record, RECORD, &error), LOAM_ERROR_IO);
    }
    assert_int_equal(journal.lost, 2);
    journal.owns_directory = true;
    assert_ok(loam_journal_flush(&journal, &error));
    // On disk they make room: there is no end to them.
    for (int i = 5; i < 12; i++) {
        memset(record, '0' + i, RECORD);
        assert_ok(loam_journal_append(&journal, record, RECORD, &error));
    }
    assert_int_equal(journal.lost, 2);
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_size, (3 + 7) * (long)RECORD);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    static const char kept[] = "012"
                               "56789:;";
    for (size_t i = 0; i + 1 < sizeof kept; i++) {
        assert_int_equal(fread(record, 1, RECORD, file), RECORD);
        assert_int_equal(record[0], kept[i]);
        assert_int_equal(record[RECORD - 1], kept[i]);
    }
    fclose(file);
    free(record);
    loam_journal_close(&journal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_in_directory(grows),
        test_in_directory(a_file_that_went_away_comes_back),
        test_in_directory(a_directory_that_went_away),
        test_in_directory(links_are_replaced),
        test_in_directory(no_room),
        test_in_directory(memory_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
