#include "test.h"

#include "tensor/format.h"

static void test_rows(void **state)
{
    (void)state;
    for (enum loam_format format = LOAM_FORMAT_NONE + 1; format < LOAM_FORMAT_COUNT; format++) {
        const struct loam_format_row *row = loam_format_row(format);
        assert_string_equal(row->name, loam_dtype_name(row->dtype)); // all are plain
        assert_int_equal(row->elements, 1);
        assert_int_equal(row->bytes, loam_dtype_size(row->dtype));
        assert_int_equal(loam_format_of(row->dtype), format);
    }
    assert_int_equal(loam_format_of(LOAM_DTYPE_NONE), LOAM_FORMAT_NONE);
    assert_string_equal(loam_format_name(LOAM_FORMAT_NONE), "none");
}

static void test_sizes(void **state)
{
    (void)state;
    static const uint8_t data[16] = {0};
    size_t bytes;
    assert_true(loam_format_bytes(LOAM_FORMAT_BF16, 7, &bytes));
    assert_int_equal(bytes, 14);
    assert_true(loam_format_bytes(LOAM_FORMAT_F64, 0, &bytes));
    assert_int_equal(bytes, 0);
    assert_false(loam_format_bytes(LOAM_FORMAT_F32, SIZE_MAX / 2, &bytes));
    assert_int_equal(loam_format_elements(LOAM_FORMAT_F32, 12), 3);
    assert_int_equal(loam_format_elements(LOAM_FORMAT_NONE, 12), 0);
    assert_ptr_equal(loam_format_at(LOAM_FORMAT_F16, data, 5), data + 10);
}

// As loam_convert does, from and to every float, for more than a chunk, at an odd address.
static void test_converts(void **state)
{
    (void)state;
    enum { COUNT = 2500 };
    static const enum loam_dtype floats[] = {LOAM_F32, LOAM_F16, LOAM_BF16};
    static float values[COUNT];
    static uint8_t stored[4 * COUNT + 1], expected[4 * COUNT], got[4 * COUNT];
    for (int i = 0; i < COUNT; i++)
        values[i] = (float)(i - COUNT / 2) / 7;
    for (size_t from = 0; from < 3; from++)
        for (size_t to = 0; to < 3; to++) {
            const enum loam_format format = loam_format_of(floats[from]);
            assert_true(loam_format_decodes(format));
            memset(got, 0, sizeof got);
            memset(expected, 0, sizeof expected);
            loam_convert(stored + 1, floats[from], values, LOAM_F32, COUNT);
            loam_convert(expected, floats[to], stored + 1, floats[from], COUNT);
            loam_format_convert(got, floats[to], stored + 1, format, COUNT);
            assert_memory_equal(got, expected, sizeof got);
        }
    assert_false(loam_format_decodes(LOAM_FORMAT_NONE));
    assert_false(loam_format_decodes(LOAM_FORMAT_I32));
    assert_false(loam_format_decodes(LOAM_FORMAT_F64));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_converts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
