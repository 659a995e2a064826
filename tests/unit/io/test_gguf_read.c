// GGUF files that are read: what loam writes, types of metadata, and every cut of a file.
#include "io/container.h"

#include <string.h>

#include "base/file.h"
#include "helpers/gguf.h"
#include "io/gguf.h"
#include "test.h"

static struct loam_error error;
static struct loam_container *file;

static void write_adapter(const char *path)
{
    const struct loam_gguf_value values[] = {
        {.key = "general.type", .type = LOAM_GGUF_STRING, .text = "adapter"},
        {.key = "alpha", .type = LOAM_GGUF_F32, .real = 0.1f},
        {.key = "n", .type = LOAM_GGUF_U32, .number = 4000000000u},
    };
    const struct loam_write_tensor tensors[] = {
        {.name = "a", .dtype = LOAM_F32, .rank = 2, .shape = {2, 3}},
        {.name = "b", .dtype = LOAM_F16, .rank = 2, .shape = {5, 1}},
        {.name = "c", .dtype = LOAM_BF16, .rank = 1, .shape = {7}},
    };
    const struct loam_write_source source = {test_gguf_fill, (void *)(uintptr_t)tensors};
    assert_ok(loam_gguf_write(path, values, 3, tensors, 3, &source, &error));
}

static void written_files(void **state)
{
    char path[300];
    snprintf(path, sizeof path, "%s/written", (const char *)*state);
    write_adapter(path);
    assert_ok(loam_container_open_file(&file, path, &error));
    assert_int_equal(loam_container_count(file), 3);
    assert_string_equal(loam_container_metadata(file, "general.type"), "adapter");
    assert_true(strtof(loam_container_metadata(file, "alpha"), NULL) == 0.1f);
    assert_string_equal(loam_container_metadata(file, "n"), "4000000000");
    static const enum loam_format formats[] = {LOAM_FORMAT_F32, LOAM_FORMAT_F16, LOAM_FORMAT_BF16};
    static const int64_t counts[] = {6, 5, 7};
    for (size_t t = 0; t < 3; t++) {
        float values[7];
        const struct loam_stored_tensor *tensor = loam_container_at(file, t);
        assert_int_equal(tensor->format, formats[t]);
        loam_format_convert(values, LOAM_F32, tensor->data, tensor->format, (size_t)counts[t]);
        for (int64_t i = 0; i < counts[t]; i++)
            assert_true(values[i] == (float)t + 1 + (float)i);
    }
    const struct loam_stored_tensor *first = loam_container_find(file, "a");
    assert_true(first->rank == 2 && first->shape[0] == 2 && first->shape[1] == 3);
    loam_container_destroy(file);
}

// Every shorter file is refused with its name; only the bytes that align the end may be missing.
static void cut_files(void **state)
{
    char path[300];
    struct loam_bytes bytes = {0};
    snprintf(path, sizeof path, "%s/cut", (const char *)*state);
    write_adapter(path);
    assert_ok(loam_file_read(path, 4096, &bytes, &error));
    const size_t padding = 32 - 7 * 2;
    for (size_t size = 0; size < bytes.size - padding; size++) {
        test_write_file(path, bytes.data, size);
        enum loam_status status = loam_container_open_file(&file, path, &error);
        if (status != LOAM_ERROR_FORMAT && status != LOAM_ERROR_IO)
            fail_msg("%zu bytes: status %d", size, (int)status);
        assert_non_null(strstr(error.message, path));
    }
    test_write_file(path, bytes.data, bytes.size - padding);
    assert_ok(loam_container_open_file(&file, path, &error));
    loam_container_destroy(file);
    loam_bytes_deinit(&bytes);
}

static void types_of_values(void **state)
{
    static const struct {
        const char *text; // as read
        uint32_t type;
        uint64_t bits;
        size_t size;
    } values[] = {
        {"255", 0, 0xff, 1},
        {"-1", 1, 0xff, 1},
        {"65535", 2, 0xffff, 2},
        {"-32768", 3, 0x8000, 2},
        {"4294967295", 4, 0xffffffff, 4},
        {"-2", 5, 0xfffffffe, 4},
        {"16.5", 6, 0x41840000, 4},
        {"true", 7, 1, 1},
        {"false", 7, 0, 1},
        {"18446744073709551615", 10, UINT64_MAX, 8},
        {"-9223372036854775808", 11, (uint64_t)1 << 63, 8},
        {"-0.5", 12, 0xbfe0000000000000u, 8},
    };
    enum { COUNT = sizeof values / sizeof values[0] };
    char path[300], key[8];
    struct loam_bytes bytes = {0};
    snprintf(path, sizeof path, "%s/types", (const char *)*state);
    assert_ok(loam_bytes_append_text(&bytes, "GGUF", &error));
    test_gguf_put(&bytes, 2, 4);
    test_gguf_put(&bytes, 0, 8);
    test_gguf_put(&bytes, COUNT + 1, 8);
    test_gguf_put_text(&bytes, "words"); // an array, which is passed over
    test_gguf_put(&bytes, 9, 4);
    test_gguf_put(&bytes, 8, 4);
    test_gguf_put(&bytes, 2, 8);
    test_gguf_put_text(&bytes, "one");
    test_gguf_put_text(&bytes, "");
    for (size_t i = 0; i < COUNT; i++) {
        snprintf(key, sizeof key, "v%zu", i);
        test_gguf_put_text(&bytes, key);
        test_gguf_put(&bytes, values[i].type, 4);
        test_gguf_put(&bytes, values[i].bits, values[i].size);
    }
    test_write_file(path, bytes.data, bytes.size);
    assert_ok(loam_container_open_file(&file, path, &error));
    assert_null(loam_container_metadata(file, "words"));
    for (size_t i = 0; i < COUNT; i++) {
        snprintf(key, sizeof key, "v%zu", i);
        assert_string_equal(loam_container_metadata(file, key), values[i].text);
    }
    loam_container_destroy(file);
    loam_bytes_deinit(&bytes);
}

static void byte_0_in_a_text(void **state)
{
    char path[300];
    struct loam_bytes bytes = {0};
    snprintf(path, sizeof path, "%s/zero", (const char *)*state);
    assert_ok(loam_bytes_append_text(&bytes, "GGUF", &error));
    test_gguf_put(&bytes, 2, 4);
    test_gguf_put(&bytes, 0, 8);
    test_gguf_put(&bytes, 1, 8);
    test_gguf_put_text(&bytes, "key");
    test_gguf_put(&bytes, 8, 4);
    test_gguf_put(&bytes, 5, 8);
    assert_ok(loam_bytes_append(&bytes, "ab\0cd", 5, &error));
    test_write_file(path, bytes.data, bytes.size);
    assert_fails(loam_container_open_file(&file, path, &error), LOAM_ERROR_FORMAT, "has a byte 0");
    loam_bytes_deinit(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_in_directory(written_files),
        test_in_directory(cut_files),
        test_in_directory(types_of_values),
        test_in_directory(byte_0_in_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
