#include <math.h>

#include "tensor/tensor.h"
#include "test.h"

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void dtypes_have_size_and_name(void **state)
{
    (void)state;
    assert_int_equal(loam_dtype_size(LOAM_F32), 4);
    assert_int_equal(loam_dtype_size(LOAM_F16), 2);
    assert_int_equal(loam_dtype_size(LOAM_BF16), 2);
    assert_int_equal(loam_dtype_size(LOAM_I32), 4);
    assert_int_equal(loam_dtype_size(LOAM_F64), 8);
    assert_int_equal(loam_dtype_size(LOAM_DTYPE_NONE), 0);
    assert_string_equal(loam_dtype_name(LOAM_BF16), "bf16");
    assert_string_equal(loam_dtype_name(LOAM_F32), "f32");
}

static void views_count_and_slice(void **state)
{
    (void)state;
    float data[24];
    struct loam_tensor tensor = loam_tensor_3d(data, LOAM_F32, 4, 3, 2);
    assert_true(loam_tensor_contiguous(&tensor));
    assert_int_equal(loam_tensor_count(&tensor), 24);
    assert_int_equal(loam_tensor_bytes(&tensor), 96);
    struct loam_tensor rows = loam_tensor_rows(&tensor, 1, 2);
    assert_ptr_equal(rows.data, data + 6);
    assert_int_equal(rows.shape[0], 2);
    assert_int_equal(loam_tensor_count(&rows), 12);
    assert_true(loam_tensor_contiguous(&rows));
    struct loam_tensor columns = loam_tensor_2d(data, LOAM_F32, 4, 2);
    columns.stride[0] = 6; // two of six columns
    assert_false(loam_tensor_contiguous(&columns));
    assert_ptr_equal(loam_tensor_rows(&columns, 3, 1).data, data + 18);
    columns.shape[0] = 1; // the stride of a single row does not matter
    assert_true(loam_tensor_contiguous(&columns));
    struct loam_tensor nothing = loam_tensor_2d(NULL, LOAM_BF16, 4, 2);
    assert_null(loam_tensor_rows(&nothing, 2, 2).data);
    struct loam_tensor halves = loam_tensor_2d(data, LOAM_BF16, 4, 6);
    assert_ptr_equal(loam_tensor_rows(&halves, 1, 1).data, data + 3);
}

static void bf16_rounds_to_nearest_even(void **state)
{
    (void)state;
    static const struct {
        uint32_t in;
        uint16_t out;
    } cases[] = {
        {0x00000000, 0x0000}, {0x80000000, 0x8000}, {0x3f800000, 0x3f80},
        {0x3f808000, 0x3f80}, // a tie goes to the even one: down
        {0x3f818000, 0x3f82}, // and up
        {0x3f808001, 0x3f81}, {0x3f807fff, 0x3f80}, {0xbf808001, 0xbf81},
        {0x7f7fffff, 0x7f80}, // the largest f32 is beyond the largest bf16
        {0x7f7f7fff, 0x7f7f}, {0x7f800000, 0x7f80}, {0xff800000, 0xff80},
        {0x00008000, 0x0000}, {0x00008001, 0x0001}, {0x00018000, 0x0002}, // subnormals
        {0x007fffff, 0x0080},                                             // into the smallest normal
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(loam_f32_to_bf16(float_of(cases[i].in)), cases[i].out);
    // Every NaN stays one, with its sign: also those whose bits all lie in the half that is cut off.
    for (uint32_t payload = 1; payload < 0x800000; payload = payload * 3 + 1)
        for (uint32_t sign = 0; sign < 2; sign++) {
            uint16_t half = loam_f32_to_bf16(float_of(sign << 31 | 0x7f800000 | (payload & 0x7fffff)));
            assert_true((half & 0x7fff) > 0x7f80);
            assert_int_equal(half >> 15, sign);
        }
    assert_true((loam_f32_to_bf16(float_of(0x7fffffff)) & 0x7fff) > 0x7f80);
}

static void bf16_round_trips(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 65536; i++) {
        float value = loam_bf16_to_f32((uint16_t)i);
        assert_int_equal(bits_of(value), i << 16);
        if (!isnan(value)) assert_int_equal(loam_f32_to_bf16(value), i);
    }
}

// The value of an f16 by its definition.
static double f16_value(uint32_t bits)
{
    int exponent = (int)(bits >> 10 & 31);
    double fraction = (double)(bits & 1023) / 1024;
    double magnitude = exponent == 0 ? ldexp(fraction, -14) : ldexp(1 + fraction, exponent - 15);
    return bits >> 15 != 0 ? -magnitude : magnitude;
}

static void f16_round_trips(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 65536; i++) {
        float value = loam_f16_to_f32((uint16_t)i);
        if ((i & 0x7c00) == 0x7c00) {
            assert_int_equal(isnan(value) != 0, (i & 1023) != 0);
            assert_int_equal(signbit(value) != 0, i >> 15);
        } else {
            assert_true((double)value == f16_value(i));
            assert_int_equal(bits_of(value) >> 31, i >> 15);
        }
        if (isnan(value))
            assert_true((loam_f32_to_f16(value) & 0x7fff) > 0x7c00);
        else
            assert_int_equal(loam_f32_to_f16(value), i);
    }
}

// Between each two neighbours: just below, at and just above the middle.
static void f16_rounds_to_nearest_even(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 0x7c00; i++) {
        double low = f16_value(i);
        double high = i == 0x7bff ? 65536 : f16_value(i + 1);
        float middle = (float)((low + high) / 2);
        assert_true((double)middle == (low + high) / 2);
        uint32_t even = i % 2 == 0 ? i : i + 1;
        for (uint32_t sign = 0; sign < 0x10000; sign += 0x8000) {
            float factor = sign == 0 ? 1.0f : -1.0f;
            assert_int_equal(loam_f32_to_f16(factor * middle), sign | even);
            assert_int_equal(loam_f32_to_f16(factor * nextafterf(middle, 0)), sign | i);
            assert_int_equal(loam_f32_to_f16(factor * nextafterf(middle, 1e9f)), sign | (i + 1));
        }
    }
    assert_int_equal(loam_f32_to_f16(1e30f), 0x7c00);
    assert_int_equal(loam_f32_to_f16(-INFINITY), 0xfc00);
    assert_int_equal(loam_f32_to_f16(1e-30f), 0);
    assert_int_equal(loam_f32_to_f16(-1e-45f), 0x8000);
    // A NaN whose payload is in the bits that are cut off must not become infinity.
    assert_true((loam_f32_to_f16(float_of(0x7f800001)) & 0x7fff) > 0x7c00);
    assert_true((loam_f32_to_f16(float_of(0xff801fff)) & 0x7fff) > 0x7c00);
}

static float decode(const unsigned char *data, enum loam_dtype dtype)
{
    uint16_t half;
    float value;
    memcpy(&half, data, 2);
    if (dtype == LOAM_BF16) return loam_bf16_to_f32(half);
    if (dtype == LOAM_F16) return loam_f16_to_f32(half);
    memcpy(&value, data, 4);
    return value;
}

static uint32_t encode(float value, enum loam_dtype dtype)
{
    return dtype == LOAM_BF16  ? loam_f32_to_bf16(value)
           : dtype == LOAM_F16 ? loam_f32_to_f16(value)
                               : bits_of(value);
}

// All nine pairs, from and to unaligned addresses, across the block size of the converter; nothing is written
// past the end.
static void bulk_is_the_same_as_one_by_one(void **state)
{
    (void)state;
    static const enum loam_dtype dtypes[] = {LOAM_F32, LOAM_F16, LOAM_BF16};
    enum { MAX = 2500 };
    unsigned char source[4 * MAX + 8], target[4 * MAX + 8];
    uint32_t word = 1;
    for (size_t i = 0; i < sizeof source; i++)
        source[i] = (unsigned char)((word = word * 1664525u + 1013904223u) >> 24);
    static const size_t counts[] = {0, 1, 7, 1023, 1024, 1025, MAX};
    for (size_t pair = 0; pair < 9; pair++) {
        enum loam_dtype from = dtypes[pair / 3], to = dtypes[pair % 3];
        size_t in = loam_dtype_size(from), out = loam_dtype_size(to);
        for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
            size_t count = counts[c];
            memset(target, 0xaa, sizeof target);
            loam_convert(target + 1, to, source + 1, from, count);
            for (size_t i = 0; i < count; i++) {
                uint32_t written = 0;
                memcpy(&written, target + 1 + i * out, out);
                float value = decode(source + 1 + i * in, from);
                if (from == to)
                    assert_memory_equal(target + 1 + i * out, source + 1 + i * in, in);
                else
                    assert_int_equal(written, encode(value, to));
            }
            assert_int_equal(target[0], 0xaa);
            assert_int_equal(target[1 + count * out], 0xaa);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dtypes_have_size_and_name),
        cmocka_unit_test(views_count_and_slice),
        cmocka_unit_test(bf16_rounds_to_nearest_even),
        cmocka_unit_test(bf16_round_trips),
        cmocka_unit_test(f16_round_trips),
        cmocka_unit_test(f16_rounds_to_nearest_even),
        cmocka_unit_test(bulk_is_the_same_as_one_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
