#include <sys/stat.h>

#include "base/arena.h"
#include "base/file.h"
#include "helpers/write_faults.h"
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

static void maps_cannot_be_written(void **state)
{
    struct loam_error error = {0};
    struct loam_map map;
    char *path = in(*state, "data");
    test_write_file(path, "base", 4);
    assert_ok(loam_map_open(&map, path, false, &error));
    assert_true(test_write_faults((volatile unsigned char *)(uintptr_t)map.data));
    loam_map_close(&map);
    struct loam_arena arena;
    assert_ok(loam_arena_init(&arena, 100, false, &error));
    unsigned char *memory = loam_arena_alloc(&arena, 100);
    memory[50] = 7;
    assert_false(test_write_faults(memory));
    assert_ok(loam_arena_protect(&arena, &error));
    assert_true(test_write_faults(memory));
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

static void other_kinds_of_files_are_refused(void **state)
{
    struct loam_error error = {0};
    struct loam_map map;
    struct loam_bytes bytes = {0};
    char *path = in(*state, "absent");
    assert_fails(loam_map_open(&map, path, false, &error), LOAM_ERROR_IO, path);
    assert_fails(loam_file_read(path, 10, &bytes, &error), LOAM_ERROR_IO, "No such file");
    assert_fails(loam_map_open(&map, *state, false, &error), LOAM_ERROR_IO, "not a regular file");
    assert_fails(loam_file_read(*state, 10, &bytes, &error), LOAM_ERROR_IO, "not a regular file");
    char *pipe = in(*state, "pipe"); // without a writer: opening it must not block
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

// Links inside and out of a directory.
static void files_are_inside_their_directory(void **state)
{
    static const char commit[] = "models--a--b/snapshots/0123456789012345678901234567890123456789";
    static const struct {
        const char *directory;
        const char *name;
        const char *target; // NULL: a file
        bool inside;
    } cases[] = {
        {"model", "file", NULL, true},
        {"model", "absent", "nowhere", true},
        {"model", "link", "file", true},
        {"model", "deep/up", "../file", true},
        {"model", "round", "../model/file", true},
        {"model", "out", "../secret", false},
        {"model", "behind/secret", NULL, false}, // "behind" is a link to "..", made below
        {"model", "beside", "../model-2/file", false},
        {"model", "blob", "../models--a--b/blobs/x", false},
        {commit, "blob", "../../blobs/x", true},
        {commit, "deep/blob", "../../../blobs/x", true},
        {commit, "away", "../../../secret", false},
        {commit, "other", "../../../models--c/blobs/x", false},
        {commit, "through", "../../blobs/out", false},
        {"plain/snapshots/c", "blob", "../../blobs/x", false},
    };
    static const char *const directories[] = {"model/deep",      "model-2",     "models--a--b/blobs",
                                              "models--c/blobs", "plain/blobs", "plain/snapshots/c"};
    static const char *const files[] = {"secret", "model-2/file", "models--a--b/blobs/x", "models--c/blobs/x",
                                        "plain/blobs/x"};
    struct loam_error error = {0};
    char command[600];
    for (size_t i = 0; i < sizeof directories / sizeof directories[0]; i++) {
        snprintf(command, sizeof command, "mkdir -p '%s/%s' '%s/%s/deep'", (char *)*state, directories[i],
                 (char *)*state, commit);
        assert_int_equal(system(command), 0);
    }
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char *path = in(*state, files[i]);
        test_write_file(path, "x", 1);
        free(path);
    }
    char *link = in(*state, "models--a--b/blobs/out");
    assert_int_equal(symlink("../../secret", link), 0);
    free(link);
    link = in(*state, "model/behind");
    assert_int_equal(symlink("..", link), 0);
    free(link);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *directory = in(*state, cases[i].directory);
        char *path = in(directory, cases[i].name);
        if (cases[i].target != NULL) assert_int_equal(symlink(cases[i].target, path), 0);
        if (cases[i].target == NULL && cases[i].inside) test_write_file(path, "x", 1);
        enum loam_status status = loam_file_check_inside(directory, cases[i].name, &error);
        if (status != (cases[i].inside ? LOAM_OK : LOAM_ERROR_ARGUMENT))
            fail_msg("%s/%s: %d %s", cases[i].directory, cases[i].name, (int)status, error.message);
        if (!cases[i].inside) assert_non_null(strstr(error.message, path));
        free(path);
        free(directory);
    }
    char *path = in(*state, "model/out");
    assert_true(loam_path_is_link(path));
    free(path);
    assert_false(loam_path_is_link(*state));
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
        test_in_directory(map_shows_the_file),
        test_in_directory(maps_cannot_be_written),
        test_in_directory(whole_file_is_read),
        test_in_directory(other_kinds_of_files_are_refused),
        test_in_directory(files_are_inside_their_directory),
        cmocka_unit_test(paths_join_with_one_slash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
