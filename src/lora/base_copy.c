#include "lora/base_copy.h"

#include <string.h>

enum { BLOCK = 4096 }; // elements that are compared at a time

// Whether x and y are equal once both are rounded to one of the dtypes.
static bool equal_rounded(const float *x, const float *y, enum loam_dtype dtype, size_t count)
{
    char left[BLOCK * sizeof(float)], right[BLOCK * sizeof(float)];
    loam_convert(left, dtype, x, LOAM_F32, count);
    loam_convert(right, dtype, y, LOAM_F32, count);
    return memcmp(left, right, count * loam_dtype_size(dtype)) == 0;
}

// Elements [first, first + count) of the weight as f32.
static enum loam_status read_weight(const struct loam_parameter *weight,
                                    const struct loam_stored_tensor *source, struct loam_stream *stream,
                                    size_t first, size_t count, float *values, struct loam_error *error)
{
    if (source != NULL) {
        loam_format_convert(values, LOAM_F32, loam_format_at(source->format, source->data, first),
                            source->format, count);
        return LOAM_OK;
    }
    char block[BLOCK * sizeof(float)];
    const struct loam_tensor *tensor = &weight->value;
    const size_t size = loam_dtype_size(tensor->dtype);
    loam_parameter_read(weight, stream);
    loam_download(stream, block, (const char *)tensor->data + first * size, count * size);
    LOAM_TRY(loam_stream_finish(stream, error));
    loam_convert(values, LOAM_F32, block, tensor->dtype, count);
    return LOAM_OK;
}

static enum loam_status fail_shape(const struct loam_stored_tensor *copy, const struct loam_parameter *weight,
                                   struct loam_error *error)
{
    return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                     "%s: tensor \"%s\" is a copy of the base's %s, and has another shape or format: the "
                     "adapter was trained on another base, or on one with more tokens; merge it into that "
                     "model with PEFT",
                     copy->file, copy->name, weight->name);
}

static enum loam_status compare_values(const struct loam_stored_tensor *copy,
                                       const struct loam_parameter *weight,
                                       const struct loam_stored_tensor *source, struct loam_stream *stream,
                                       bool *differs, struct loam_error *error)
{
    const struct loam_tensor *tensor = &weight->value;
    const enum loam_dtype own = source == NULL ? tensor->dtype : loam_format_row(source->format)->dtype;
    const enum loam_dtype other = loam_format_row(copy->format)->dtype;
    const size_t total = (size_t)loam_tensor_count(tensor);
    for (size_t first = 0; first < total && !*differs; first += BLOCK) {
        float base[BLOCK], values[BLOCK];
        const size_t count = total - first < BLOCK ? total - first : BLOCK;
        LOAM_TRY(read_weight(weight, source, stream, first, count, base, error));
        loam_format_convert(values, LOAM_F32, loam_format_at(copy->format, copy->data, first), copy->format,
                            count);
        *differs = !equal_rounded(base, values, own, count) && !equal_rounded(base, values, other, count);
    }
    return LOAM_OK;
}

enum loam_status loam_base_copy_compare(const struct loam_stored_tensor *copy,
                                        const struct loam_parameter *weight,
                                        const struct loam_stored_tensor *source,
                                        const struct loam_device *device, bool *differs,
                                        struct loam_error *error)
{
    const struct loam_tensor *tensor = &weight->value;
    *differs = false;
    if (!loam_format_decodes(copy->format) || copy->rank != tensor->rank ||
        memcmp(copy->shape, tensor->shape, (size_t)copy->rank * sizeof copy->shape[0]) != 0)
        return fail_shape(copy, weight, error);
    if (source != NULL) return compare_values(copy, weight, source, NULL, differs, error);
    if (tensor->data == NULL || device == NULL || device->planning) return LOAM_OK;
    struct loam_stream stream;
    LOAM_TRY(loam_stream_init(&stream, device, 0, error));
    enum loam_status status = compare_values(copy, weight, NULL, &stream, differs, error);
    loam_stream_deinit(&stream);
    return status;
}
