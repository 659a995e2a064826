#include "io/gguf.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "tensor/format.h"

enum { VERSION = 3, DATA_ALIGN = 32, NAME_LIMIT = 63 };

// ---- parts of the header ----

static enum loam_status append_number(struct loam_bytes *header, uint64_t number, size_t size,
                                      struct loam_error *error)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(number >> (8 * i));
    return loam_bytes_append(header, bytes, size, error);
}

static enum loam_status append_string(struct loam_bytes *header, const char *text, struct loam_error *error)
{
    LOAM_TRY(append_number(header, strlen(text), 8, error));
    return loam_bytes_append_text(header, text, error);
}

static enum loam_status append_value(struct loam_bytes *header, const struct loam_gguf_value *value,
                                     struct loam_error *error)
{
    uint32_t bits;
    LOAM_TRY(append_string(header, value->key, error));
    LOAM_TRY(append_number(header, (uint64_t)value->type, 4, error));
    switch (value->type) {
    case LOAM_GGUF_U32:
        return append_number(header, value->number, 4, error);
    case LOAM_GGUF_F32:
        memcpy(&bits, &value->real, sizeof bits);
        return append_number(header, bits, 4, error);
    case LOAM_GGUF_STRING:
        break;
    }
    return append_string(header, value->text, error);
}

// ---- tensors ----

// GGUF's number of a format; false: loam does not write the format.
static bool type_number(enum loam_format format, uint32_t *number)
{
    static const struct {
        enum loam_format format;
        uint32_t number;
    } types[] = {{LOAM_FORMAT_F32, 0}, {LOAM_FORMAT_F16, 1}, {LOAM_FORMAT_BF16, 30}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        *number = types[i].number;
        if (types[i].format == format) return true;
    }
    return false;
}

static bool count_elements(const struct loam_write_tensor *tensor, size_t *count)
{
    *count = 1;
    for (int i = 0; i < tensor->rank; i++)
        if (tensor->shape[i] < 0 || !loam_mul_size(*count, (size_t)tensor->shape[i], count)) return false;
    return true;
}

// Bytes from `offset` to the next multiple of the alignment.
static size_t padding(size_t offset)
{
    return (DATA_ALIGN - offset % DATA_ALIGN) % DATA_ALIGN;
}

// Describes a tensor whose data starts at `*offset`, and moves that to the start of the next one.
static enum loam_status append_tensor(struct loam_bytes *header, const struct loam_write_tensor *tensor,
                                      size_t *offset, struct loam_error *error)
{
    const enum loam_format format = loam_format_of(tensor->dtype);
    size_t count, bytes;
    uint32_t type;
    if (strlen(tensor->name) > NAME_LIMIT)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "tensor %s: GGUF names have at most %d bytes",
                         tensor->name, (int)NAME_LIMIT);
    if (!type_number(format, &type))
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "tensor %s has no dtype that is written as GGUF",
                         tensor->name);
    LOAM_TRY(append_string(header, tensor->name, error));
    LOAM_TRY(append_number(header, (uint64_t)tensor->rank, 4, error));
    for (int i = tensor->rank - 1; i >= 0; i--)
        LOAM_TRY(append_number(header, (uint64_t)tensor->shape[i], 8, error));
    LOAM_TRY(append_number(header, type, 4, error));
    LOAM_TRY(append_number(header, *offset, 8, error));
    if (!count_elements(tensor, &count) || !loam_format_bytes(format, count, &bytes) ||
        !loam_add_size(*offset, bytes, offset) || !loam_add_size(*offset, padding(*offset), offset))
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "tensor %s is too large to write", tensor->name);
    return LOAM_OK;
}

// ---- the file ----

static const char zeros[DATA_ALIGN];

static enum loam_status make_header(struct loam_bytes *header, const struct loam_gguf_value *values,
                                    size_t value_count, const struct loam_write_tensor *tensors,
                                    size_t tensor_count, struct loam_error *error)
{
    size_t offset = 0;
    LOAM_TRY(loam_bytes_append_text(header, "GGUF", error));
    LOAM_TRY(append_number(header, VERSION, 4, error));
    LOAM_TRY(append_number(header, tensor_count, 8, error));
    LOAM_TRY(append_number(header, value_count, 8, error));
    for (size_t i = 0; i < value_count; i++)
        LOAM_TRY(append_value(header, &values[i], error));
    for (size_t i = 0; i < tensor_count; i++)
        LOAM_TRY(append_tensor(header, &tensors[i], &offset, error));
    return loam_bytes_append(header, zeros, padding(header->size), error);
}

static enum loam_status write_tensors(struct loam_atomic_file *file, const struct loam_write_tensor *tensors,
                                      size_t count, const struct loam_write_source *source,
                                      struct loam_error *error)
{
    void *block = loam_calloc(LOAM_STREAM_BLOCK, 1, error);
    enum loam_status status = block == NULL ? LOAM_ERROR_MEMORY : LOAM_OK;
    for (size_t i = 0; i < count && status == LOAM_OK; i++) {
        size_t elements;
        size_t size = loam_dtype_size(tensors[i].dtype);
        (void)count_elements(&tensors[i], &elements); // it fits: append_tensor has checked it
        status = loam_write_streamed(file, source, i, elements, size, block, error);
        if (status == LOAM_OK) status = loam_atomic_write(file, zeros, padding(elements * size), error);
    }
    free(block);
    return status;
}

enum loam_status loam_gguf_write(const char *path, const struct loam_gguf_value *values, size_t value_count,
                                 const struct loam_write_tensor *tensors, size_t tensor_count,
                                 const struct loam_write_source *source, struct loam_error *error)
{
    struct loam_bytes header = {0};
    struct loam_atomic_file file = {0};
    enum loam_status status = make_header(&header, values, value_count, tensors, tensor_count, error);
    if (status == LOAM_OK) status = loam_atomic_open(&file, path, error);
    if (status == LOAM_OK) status = loam_atomic_write(&file, header.data, header.size, error);
    if (status == LOAM_OK) status = write_tensors(&file, tensors, tensor_count, source, error);
    loam_bytes_deinit(&header);
    if (status == LOAM_OK) return loam_atomic_commit(&file, error);
    loam_atomic_abort(&file);
    return status;
}
