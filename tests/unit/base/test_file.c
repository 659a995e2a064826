#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/arena.h"
#include "base/file.h"
#include "test.h"

static char *in(const char *directory, const char *name)
{
    struct loam_error error = {0};
    char *path = loam_path_join(directory, name, &error);
    assert_non_null(path);
    return path;
}

static void map_shows_the_file(void **state)
{
    struct loam_error error = {0};
    struct loam_map map;
    char *path = in(*state, "data");
    test_write_file(path, "hello\0there", 11);
    for (int populate = 0; populate < 2; populate++) {
        assert_ok(loam_map_open(&map, path, populate == 1, &error));
        assert_int_equal(map.size, 11);
        loam_map_populate(map.data + 3, 8);
        assert_memory_equal(map.data, "hello\0there", 11);
        loam_map_release(map.data, map.size);
        assert_memory_equal(map.data, "hello\0there", 11); // read again when touched
        loam_map_close(&map);
        assert_null(map.data);
        loam_map_close(&map); // harmless
    }
    test_write_file(path, "", 0);
    assert_ok(loam_map_open(&map, path, true, &error));
    assert_null(map.data);
    assert_int_equal(map.size, 0);
    loam_map_close(&map);
    free(path);
}

// Whether writing to an address kills the process that does it.
static bool write_faults(volatile unsigned char *address)
{
    pid_t child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL); // not the sanitiser's report
        signal(SIGBUS, SIG_DFL);
        *address = 1;
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status);
}

static void what_is_read_only_cannot_be_written(void **state)
{
    struct loam_error error = {0};
    struct loam_map map;
    char *path = in(*state, "data");
    test_write_file(path, "base", 4);
    assert_ok(loam_map_open(&map, path, false, &error));
    assert_true(write_faults((volatile unsigned char *)(uintptr_t)map.data));
    loam_map_close(&map);
    struct loam_arena arena;
    assert_ok(loam_arena_init(&arena, 100, false, &error));
    unsigned char *memory = loam_arena_alloc(&arena, 100);
    memory[50] = 7;
    assert_false(write_faults(memory));
    assert_ok(loam_arena_protect(&arena, &error));
    assert_true(write_faults(memory));
    assert_int_equal(memory[50], 7);
    loam_arena_deinit(&arena);
    free(path);
}

static void whole_file_is_read(void **state)
{
    struct loam_error error = {0};
    struct loam_bytes bytes = {0};
    char *path = in(*state, "data");
    char content[100000];
    for (size_t i = 0; i < sizeof content; i++)
        content[i] = (char)(i * 31 % 251);
    test_write_file(path, content, sizeof content);
    assert_ok(loam_bytes_append_text(&bytes, "before", &error));
    assert_ok(loam_file_read(path, sizeof content, &bytes, &error));
    assert_int_equal(bytes.size, 6 + sizeof content);
    assert_memory_equal(bytes.data + 6, content, sizeof content);
    loam_bytes_clear(&bytes);
    assert_fails(loam_file_read(path, sizeof content - 1, &bytes, &error), LOAM_ERROR_FORMAT, path);
    assert_int_equal(bytes.size, 0);
    loam_bytes_deinit(&bytes);
    free(path);
}

static void what_is_no_file_is_refused(void **state)
{
    struct loam_error error = {0};
    struct loam_map map;
    struct loam_bytes bytes = {0};
    char *path = in(*state, "absent");
    assert_fails(loam_map_open(&map, path, false, &error), LOAM_ERROR_IO, path);
    assert_fails(loam_file_read(path, 10, &bytes, &error), LOAM_ERROR_IO, "No such file");
    assert_fails(loam_map_open(&map, *state, false, &error), LOAM_ERROR_IO, "not a regular file");
    assert_fails(loam_file_read(*state, 10, &bytes, &error), LOAM_ERROR_IO, "not a regular file");
    char *pipe = in(*state, "pipe"); // has no writer: nobody waits for one
    assert_int_equal(mkfifo(pipe, 0600), 0);
    assert_fails(loam_map_open(&map, pipe, false, &error), LOAM_ERROR_IO, "not a regular file");
    assert_fails(loam_file_read(pipe, 10, &bytes, &error), LOAM_ERROR_IO, "not a regular file");
    free(pipe);
    assert_false(loam_file_exists(path));
    assert_false(loam_file_exists(*state));
    assert_false(loam_directory_exists(path));
    assert_true(loam_directory_exists(*state));
    test_write_file(path, "x", 1);
    assert_true(loam_file_exists(path));
    assert_false(loam_directory_exists(path));
    loam_bytes_deinit(&bytes);
    free(path);
}

static void paths_join_with_one_slash(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"/", "b", "/b"}, {"", "b", "b"}, {".", "b", "./b"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *path = in(cases[i][0], cases[i][1]);
        assert_string_equal(path, cases[i][2]);
        free(path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_in_directory(map_shows_the_file),       test_in_directory(what_is_read_only_cannot_be_written),
        test_in_directory(whole_file_is_read),       test_in_directory(what_is_no_file_is_refused),
        cmocka_unit_test(paths_join_with_one_slash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
