// A written GGUF file against its bytes, put together here by the format's description.
#include "io/gguf.h"

#include <math.h>

#include "base/file.h"
#include "helpers/gguf.h"
#include "io/safetensors.h"
#include "test.h"

static struct loam_error error;

// ---- the bytes that are expected ----

static void align(struct loam_bytes *bytes)
{
    while (bytes->size % 32 != 0)
        test_gguf_put(bytes, 0, 1);
}

static void bytes_of_a_file(void **state)
{
    char path[300];
    snprintf(path, sizeof path, "%s/x.gguf", (const char *)*state);
    const struct loam_gguf_value values[] = {
        {.key = "general.type", .type = LOAM_GGUF_STRING, .text = "adapter"},
        {.key = "a.alpha", .type = LOAM_GGUF_F32, .real = 16.5f},
        {.key = "n", .type = LOAM_GGUF_U32, .number = 0x01020304},
        {.key = "empty", .type = LOAM_GGUF_STRING, .text = ""},
    };
    const struct loam_write_tensor tensors[] = {
        {.name = "first", .dtype = LOAM_F32, .rank = 2, .shape = {2, 3}},
        {.name = "second", .dtype = LOAM_F16, .rank = 2, .shape = {5, 1}},
        {.name = "third", .dtype = LOAM_BF16, .rank = 1, .shape = {16}},
    };
    const struct loam_write_source source = {test_gguf_fill, (void *)(uintptr_t)tensors};
    assert_ok(loam_gguf_write(path, values, 4, tensors, 3, &source, &error));

    struct loam_bytes expected = {0};
    assert_ok(loam_bytes_append_text(&expected, "GGUF", &error));
    test_gguf_put(&expected, 3, 4);
    test_gguf_put(&expected, 3, 8); // tensors
    test_gguf_put(&expected, 4, 8); // values
    test_gguf_put_text(&expected, "general.type");
    test_gguf_put(&expected, 8, 4);
    test_gguf_put_text(&expected, "adapter");
    test_gguf_put_text(&expected, "a.alpha");
    test_gguf_put(&expected, 6, 4);
    test_gguf_put(&expected, 0x41840000, 4); // 16.5
    test_gguf_put_text(&expected, "n");
    test_gguf_put(&expected, 4, 4);
    test_gguf_put(&expected, 0x01020304, 4);
    test_gguf_put_text(&expected, "empty");
    test_gguf_put(&expected, 8, 4);
    test_gguf_put_text(&expected, "");
    test_gguf_put_text(&expected, "first");
    test_gguf_put(&expected, 2, 4);
    test_gguf_put(&expected, 3, 8); // the fastest dimension first
    test_gguf_put(&expected, 2, 8);
    test_gguf_put(&expected, 0, 4);
    test_gguf_put(&expected, 0, 8);
    test_gguf_put_text(&expected, "second");
    test_gguf_put(&expected, 2, 4);
    test_gguf_put(&expected, 1, 8);
    test_gguf_put(&expected, 5, 8);
    test_gguf_put(&expected, 1, 4);
    test_gguf_put(&expected, 32, 8); // 24 bytes before it, and 8 that align
    test_gguf_put_text(&expected, "third");
    test_gguf_put(&expected, 1, 4);
    test_gguf_put(&expected, 16, 8);
    test_gguf_put(&expected, 30, 4);
    test_gguf_put(&expected, 64, 8);
    align(&expected);
    static const uint32_t first[] = {0x3f800000, 0x40000000, 0x40400000, 0x40800000, 0x40a00000, 0x40c00000};
    static const uint16_t second[] = {0x4000, 0x4200, 0x4400, 0x4500, 0x4600};
    for (size_t i = 0; i < 6; i++)
        test_gguf_put(&expected, first[i], 4);
    align(&expected);
    for (size_t i = 0; i < 5; i++)
        test_gguf_put(&expected, second[i], 2);
    align(&expected);
    for (size_t i = 0; i < 16; i++)
        test_gguf_put(&expected, loam_f32_to_bf16((float)(3 + i)), 2);
    align(&expected);

    struct loam_bytes found = {0};
    assert_ok(loam_file_read(path, 4096, &found, &error));
    assert_int_equal(found.size, expected.size);
    assert_memory_equal(found.data, expected.data, expected.size);
    loam_bytes_deinit(&found);
    loam_bytes_deinit(&expected);
}

// More than one block of a tensor.
static void long_tensors(void **state)
{
    char path[300];
    snprintf(path, sizeof path, "%s/x.gguf", (const char *)*state);
    const struct loam_write_tensor tensor = {
        .name = "long", .dtype = LOAM_F32, .rank = 2, .shape = {700001, 1}};
    const struct loam_write_source source = {test_gguf_fill, (void *)(uintptr_t)&tensor};
    assert_ok(loam_gguf_write(path, NULL, 0, &tensor, 1, &source, &error));
    struct loam_bytes found = {0};
    assert_ok(loam_file_read(path, 1 << 24, &found, &error));
    size_t start = found.size - (700001 * 4 + 28); // the data ends in 28 bytes that align
    assert_int_equal(start % 32, 0);
    for (size_t i = 0; i < 700001; i += 999) {
        float value;
        memcpy(&value, found.data + start + 4 * i, sizeof value);
        assert_true(value == (float)(i + 1));
    }
    loam_bytes_deinit(&found);
}

static enum loam_status fail_late(void *user, size_t index, size_t first, size_t count, void *block,
                                  struct loam_error *fill_error)
{
    (void)user, (void)first, (void)count, (void)block;
    memset(block, 0, count * 4);
    return index == 0 ? LOAM_OK : loam_fail(fill_error, LOAM_ERROR_NUMERIC, "no more");
}

static void refuses(void **state)
{
    char path[300];
    char name[65];
    snprintf(path, sizeof path, "%s/x.gguf", (const char *)*state);
    struct loam_write_tensor tensors[] = {{.name = "a", .dtype = LOAM_F32, .rank = 1, .shape = {8}},
                                          {.name = "b", .dtype = LOAM_F32, .rank = 1, .shape = {8}}};
    const struct loam_write_source source = {fail_late, NULL};
    assert_fails(loam_gguf_write(path, NULL, 0, tensors, 2, &source, &error), LOAM_ERROR_NUMERIC, "no more");
    memset(name, 'n', 64);
    name[64] = '\0';
    tensors[1].name = name;
    assert_fails(loam_gguf_write(path, NULL, 0, tensors, 2, &source, &error), LOAM_ERROR_ARGUMENT, "63");
    name[63] = '\0';
    assert_ok(loam_gguf_write(path, NULL, 0, &tensors[1], 1, &source, &error));
    assert_int_equal(remove(path), 0);
    tensors[1].dtype = LOAM_I32;
    assert_fails(loam_gguf_write(path, NULL, 0, tensors, 2, &source, &error), LOAM_ERROR_ARGUMENT, "dtype");
    tensors[1] = (struct loam_write_tensor){
        .name = "c", .dtype = LOAM_F32, .rank = 3, .shape = {INT64_MAX, INT64_MAX, 4}};
    assert_fails(loam_gguf_write(path, NULL, 0, tensors, 2, &source, &error), LOAM_ERROR_ARGUMENT,
                 "too large");
    assert_false(loam_file_exists(path));
    assert_int_equal(rmdir(*state), 0); // nothing stayed
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_in_directory(bytes_of_a_file),
        test_in_directory(long_tensors),
        test_in_directory(refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
