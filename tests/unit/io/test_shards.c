#include "io/safetensors.h"
#include "io/shards.h"

#include "base/file.h"
#include "test.h"

enum { MAX_TENSORS = 8 };

static void cuts_as_the_hub_does(void **state)
{
    (void)state;
    static const struct {
        size_t limit;
        size_t count;
        size_t bytes[MAX_TENSORS];
        size_t shards;
        size_t shard_of[MAX_TENSORS];
    } cases[] = {
        {10, 6, {6, 6, 2, 6, 2, 2}, 3, {0, 1, 1, 2, 2, 2}},
        {10, 3, {4, 4, 2}, 1, {0, 0, 0}},
        {10, 4, {4, 11, 4, 4}, 3, {1, 0, 1, 2}}, // a tensor too large is numbered when it comes
        {10, 3, {11, 12, 13}, 3, {0, 1, 2}},
        {10, 2, {10, 10}, 2, {0, 1}},
        {1, 3, {1, 0, 1}, 2, {0, 0, 1}},
        {SIZE_MAX, 2, {SIZE_MAX / 2, SIZE_MAX / 2}, 1, {0, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t shard_of[MAX_TENSORS];
        assert_int_equal(loam_shards_cut(cases[i].bytes, cases[i].count, cases[i].limit, shard_of),
                         cases[i].shards);
        for (size_t j = 0; j < cases[i].count; j++)
            assert_int_equal(shard_of[j], cases[i].shard_of[j]);
    }
}

static void names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool is_one;
    } cases[] = {
        {"model.safetensors", true},
        {"model.safetensors.index.json", true},
        {"model-00001-of-00002.safetensors", true},
        {"model-00001-of-00002.safetensors.old", false},
        {"model-0001-of-00002.safetensors", false},
        {"model-0000x-of-00002.safetensors", false},
        {"other-00001-of-00002.safetensors", false},
        {"adapter_model.safetensors", false},
        {"", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(loam_shard_is_name(cases[i].name), cases[i].is_one);
    char name[LOAM_SHARD_NAME_SIZE];
    loam_shard_name(0, 1, name);
    assert_string_equal(name, "model.safetensors");
    loam_shard_name(11, 345, name);
    assert_string_equal(name, "model-00012-of-00345.safetensors");
    assert_true(loam_shard_is_name(name));
}

static void index_text(void **state)
{
    struct loam_error error;
    struct loam_bytes text = {0};
    char path[300];
    const struct loam_write_tensor tensors[] = {{.name = "b"}, {.name = "a"}};
    const size_t shard_of[] = {0, 1};
    assert_ok(loam_shards_write_index(*state, tensors, shard_of, 2, 2, 24, 6, &error));
    snprintf(path, sizeof path, "%s/model.safetensors.index.json", (const char *)*state);
    assert_ok(loam_file_read(path, 1000, &text, &error));
    assert_string_equal(text.data,
                        "{\n  \"metadata\": {\n    \"total_parameters\": 6,\n    \"total_size\": 24\n"
                        "  },\n  \"weight_map\": {\n"
                        "    \"a\": \"model-00002-of-00002.safetensors\",\n"
                        "    \"b\": \"model-00001-of-00002.safetensors\"\n  }\n}");
    loam_bytes_deinit(&text);
}

// The files of a checkpoint that had other names, and nothing else.
static void older_ones_go(void **state)
{
    struct loam_error error;
    const char *directory = *state;
    static const struct {
        const char *name;
        bool of_one, of_two; // whether it stays beside a checkpoint of so many files
    } files[] = {
        {"config.json", true, true},
        {"adapter_model.safetensors", true, true},
        {"model-0001-of-0002.safetensors", true, true},
        {"model.safetensors", true, false},
        {"model.safetensors.index.json", false, true},
        {"model-00001-of-00002.safetensors", false, true},
        {"model-00002-of-00002.safetensors", false, true},
        {"model-00001-of-00003.safetensors", false, false},
        {"model-00003-of-00003.safetensors", false, false},
    };
    char path[400];
    for (size_t shards = 1; shards <= 2; shards++) {
        for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
            snprintf(path, sizeof path, "%s/%s", directory, files[i].name);
            test_write_file(path, "x", 1);
        }
        assert_ok(loam_shards_remove_old(directory, shards, &error));
        for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
            snprintf(path, sizeof path, "%s/%s", directory, files[i].name);
            assert_int_equal(loam_file_exists(path), shards == 1 ? files[i].of_one : files[i].of_two);
        }
    }
    snprintf(path, sizeof path, "%s/nowhere", directory);
    assert_fails(loam_shards_remove_old(path, 1, &error), LOAM_ERROR_IO, "nowhere");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_as_the_hub_does),
        cmocka_unit_test(names),
        test_in_directory(index_text),
        test_in_directory(older_ones_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
