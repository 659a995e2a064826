#include "tensor/tensor.h"

#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    size_t size;
} dtypes[LOAM_DTYPE_COUNT] = {
    [LOAM_DTYPE_NONE] = {"none", 0}, [LOAM_F32] = {"f32", 4}, [LOAM_F16] = {"f16", 2},
    [LOAM_BF16] = {"bf16", 2},       [LOAM_I32] = {"i32", 4}, [LOAM_F64] = {"f64", 8},
};

size_t loam_dtype_size(enum loam_dtype dtype)
{
    return dtypes[dtype].size;
}

const char *loam_dtype_name(enum loam_dtype dtype)
{
    return dtypes[dtype].name;
}

// ---- views ----

struct loam_tensor loam_tensor_1d(void *data, enum loam_dtype dtype, int64_t n)
{
    return (struct loam_tensor){.data = data, .dtype = dtype, .rank = 1, .shape = {n}, .stride = {1}};
}

struct loam_tensor loam_tensor_2d(void *data, enum loam_dtype dtype, int64_t rows, int64_t columns)
{
    return (struct loam_tensor){
        .data = data, .dtype = dtype, .rank = 2, .shape = {rows, columns}, .stride = {columns, 1}};
}

struct loam_tensor loam_tensor_3d(void *data, enum loam_dtype dtype, int64_t a, int64_t b, int64_t c)
{
    return (struct loam_tensor){
        .data = data, .dtype = dtype, .rank = 3, .shape = {a, b, c}, .stride = {b * c, c, 1}};
}

bool loam_tensor_contiguous(const struct loam_tensor *tensor)
{
    int64_t expected = 1;
    for (int i = tensor->rank - 1; i >= 0; i--) {
        if (tensor->shape[i] != 1 && tensor->stride[i] != expected) return false;
        expected *= tensor->shape[i];
    }
    return true;
}

int64_t loam_tensor_count(const struct loam_tensor *tensor)
{
    int64_t count = 1;
    for (int i = 0; i < tensor->rank; i++)
        count *= tensor->shape[i];
    return count;
}

size_t loam_tensor_bytes(const struct loam_tensor *tensor)
{
    return (size_t)loam_tensor_count(tensor) * loam_dtype_size(tensor->dtype);
}

struct loam_tensor loam_tensor_rows(const struct loam_tensor *tensor, int64_t first, int64_t count)
{
    struct loam_tensor rows = *tensor;
    rows.shape[0] = count;
    // A tensor without data has rows without data: NULL means no tensor.
    if (tensor->data != NULL) {
        size_t offset = (size_t)(first * tensor->stride[0]) * loam_dtype_size(tensor->dtype);
        rows.data = (void *)((uintptr_t)tensor->data + offset);
    }
    return rows;
}

// ---- conversions ----
// The conversions have no branches, so that the compiler vectorises the loops below.

static inline float float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t bits_of_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

// Chooses by a mask: the compiler moves work into a branch that alone needs it, and the loop stays scalar.
static inline uint32_t choose(bool condition, uint32_t yes, uint32_t no)
{
    uint32_t mask = 0u - (uint32_t)condition;
    return (yes & mask) | (no & ~mask);
}

static inline float bf16_decode(uint16_t value)
{
    return float_of_bits((uint32_t)value << 16);
}

static inline uint16_t bf16_encode(float value)
{
    uint32_t bits = bits_of_float(value);
    uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    uint32_t quiet_nan = (bits >> 16) | 0x40u; // rounding could turn a NaN into infinity or zero
    return (uint16_t)choose((bits & 0x7fffffffu) > 0x7f800000u, quiet_nan, rounded);
}

static inline float f16_decode(uint16_t value)
{
    uint32_t magnitude = value & 0x7fffu;
    uint32_t sign = (uint32_t)(value & 0x8000u) << 16;
    uint32_t subnormal = bits_of_float((float)(int32_t)magnitude * 0x1p-24f);
    uint32_t normal = (magnitude << 13) + ((127u - 15u) << 23);
    uint32_t special = (magnitude << 13) | 0x7f800000u; // infinity and NaN
    uint32_t bits = choose(magnitude < 0x400u, subnormal, normal);
    bits = choose(magnitude >= 0x7c00u, special, bits);
    return float_of_bits(bits | sign);
}

static inline uint16_t f16_encode(float value)
{
    uint32_t bits = bits_of_float(value);
    uint32_t magnitude = bits & 0x7fffffffu;
    uint32_t sign = (bits >> 16) & 0x8000u;
    // 0.5 has the spacing 2^-24 of f16's subnormals: the addition rounds, the bits above 0.5's are the
    // result.
    uint32_t subnormal = bits_of_float(float_of_bits(magnitude) + 0.5f) - 0x3f000000u;
    uint32_t normal = (magnitude + 0xfffu + ((magnitude >> 13) & 1u) - ((127u - 15u) << 23)) >> 13;
    uint32_t nan = ((magnitude >> 13) & 0x3ffu) | 0x7e00u;
    uint32_t half = choose(magnitude < 0x38800000u, subnormal, normal); // 2^-14, the smallest normal
    half = choose(magnitude >= 0x477ff000u, 0x7c00u, half);             // 65520 and above round to infinity
    half = choose(magnitude > 0x7f800000u, nan, half);
    return (uint16_t)(half | sign);
}

float loam_bf16_to_f32(uint16_t value)
{
    return bf16_decode(value);
}

uint16_t loam_f32_to_bf16(float value)
{
    return bf16_encode(value);
}

float loam_f16_to_f32(uint16_t value)
{
    return f16_decode(value);
}

uint16_t loam_f32_to_f16(float value)
{
    return f16_encode(value);
}

// Elements are read and written by memcpy: file data may have any address.
static void decode_f32(float *restrict out, const unsigned char *restrict in, size_t count)
{
    memcpy(out, in, count * sizeof *out);
}

static void decode_f16(float *restrict out, const unsigned char *restrict in, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint16_t value;
        memcpy(&value, in + 2 * i, sizeof value);
        out[i] = f16_decode(value);
    }
}

static void decode_bf16(float *restrict out, const unsigned char *restrict in, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint16_t value;
        memcpy(&value, in + 2 * i, sizeof value);
        out[i] = bf16_decode(value);
    }
}

static void encode_f32(unsigned char *restrict out, const float *restrict in, size_t count)
{
    memcpy(out, in, count * sizeof *in);
}

static void encode_f16(unsigned char *restrict out, const float *restrict in, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint16_t value = f16_encode(in[i]);
        memcpy(out + 2 * i, &value, sizeof value);
    }
}

static void encode_bf16(unsigned char *restrict out, const float *restrict in, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint16_t value = bf16_encode(in[i]);
        memcpy(out + 2 * i, &value, sizeof value);
    }
}

static const struct {
    void (*decode)(float *restrict out, const unsigned char *restrict in, size_t count);
    void (*encode)(unsigned char *restrict out, const float *restrict in, size_t count);
} codecs[LOAM_DTYPE_COUNT] = {
    [LOAM_F32] = {decode_f32, encode_f32},
    [LOAM_F16] = {decode_f16, encode_f16},
    [LOAM_BF16] = {decode_bf16, encode_bf16},
};

void loam_convert(void *target, enum loam_dtype target_dtype, const void *source,
                  enum loam_dtype source_dtype, size_t count)
{
    size_t out_size = loam_dtype_size(target_dtype);
    size_t in_size = loam_dtype_size(source_dtype);
    unsigned char *out = target;
    const unsigned char *in = source;
    if (target_dtype == source_dtype) {
        if (count > 0) memcpy(out, in, count * in_size);
        return;
    }
    // Blocks stay in the first-level cache. They allow three decoders and three encoders instead of nine
    // loops.
    float block[1024];
    for (size_t done = 0; done < count;) {
        size_t step = count - done < 1024 ? count - done : 1024;
        codecs[source_dtype].decode(block, in + done * in_size, step);
        codecs[target_dtype].encode(out + done * out_size, block, step);
        done += step;
    }
}

bool loam_all_finite(const void *data, enum loam_dtype dtype, size_t count)
{
    float block[1024];
    const unsigned char *in = data;
    for (size_t done = 0; done < count;) {
        size_t step = count - done < 1024 ? count - done : 1024;
        codecs[dtype].decode(block, in + done * loam_dtype_size(dtype), step);
        for (size_t i = 0; i < step; i++)
            if (!isfinite(block[i])) return false;
        done += step;
    }
    return true;
}
