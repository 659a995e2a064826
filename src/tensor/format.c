#include "tensor/format.h"

#include "base/heap.h"

static void decode_f32(float *restrict out, const uint8_t *restrict in, size_t count)
{
    loam_convert(out, LOAM_F32, in, LOAM_F32, count);
}

static void decode_f16(float *restrict out, const uint8_t *restrict in, size_t count)
{
    loam_convert(out, LOAM_F32, in, LOAM_F16, count);
}

static void decode_bf16(float *restrict out, const uint8_t *restrict in, size_t count)
{
    loam_convert(out, LOAM_F32, in, LOAM_BF16, count);
}

static const struct loam_format_row rows[LOAM_FORMAT_COUNT] = {
    [LOAM_FORMAT_NONE] = {"none", 1, 0, LOAM_DTYPE_NONE, NULL},
    [LOAM_FORMAT_F32] = {"f32", 1, 4, LOAM_F32, decode_f32},
    [LOAM_FORMAT_F16] = {"f16", 1, 2, LOAM_F16, decode_f16},
    [LOAM_FORMAT_BF16] = {"bf16", 1, 2, LOAM_BF16, decode_bf16},
    [LOAM_FORMAT_I32] = {"i32", 1, 4, LOAM_I32, NULL},
    [LOAM_FORMAT_F64] = {"f64", 1, 8, LOAM_F64, NULL},
};

const struct loam_format_row *loam_format_row(enum loam_format format)
{
    return &rows[format];
}

const char *loam_format_name(enum loam_format format)
{
    return rows[format].name;
}

enum loam_format loam_format_of(enum loam_dtype dtype)
{
    enum loam_format format = LOAM_FORMAT_COUNT;
    while (format-- > 1)
        if (rows[format].dtype == dtype) return format;
    return LOAM_FORMAT_NONE;
}

bool loam_format_decodes(enum loam_format format)
{
    return rows[format].decode != NULL;
}

bool loam_format_bytes(enum loam_format format, size_t count, size_t *bytes)
{
    const struct loam_format_row *row = &rows[format];
    return count % row->elements == 0 && loam_mul_size(count / row->elements, row->bytes, bytes);
}

size_t loam_format_elements(enum loam_format format, size_t bytes)
{
    const struct loam_format_row *row = &rows[format];
    return row->bytes == 0 ? 0 : bytes / row->bytes * row->elements;
}

const uint8_t *loam_format_at(enum loam_format format, const uint8_t *data, size_t index)
{
    return data + index / rows[format].elements * rows[format].bytes;
}

void loam_format_convert(void *target, enum loam_dtype dtype, const void *source, enum loam_format format,
                         size_t count)
{
    enum { CHUNK = 1024 }; // elements, a multiple of every block, in the first-level cache
    const struct loam_format_row *row = &rows[format];
    if (row->dtype == dtype) {
        loam_convert(target, dtype, source, dtype, count);
        return;
    }
    float values[CHUNK];
    for (size_t done = 0; done < count; done += CHUNK) {
        const size_t step = count - done < CHUNK ? count - done : CHUNK;
        row->decode(values, loam_format_at(format, source, done), step);
        loam_convert((uint8_t *)target + done * loam_dtype_size(dtype), dtype, values, LOAM_F32, step);
    }
}
