#include "io/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "base/json.h"
#include "io/safetensors_format.h"

enum {
    HEADER_LIMIT = 100 * 1000 * 1000, // bytes; the limit of the format's own implementation
    SIZE_FIELD = 8,
};

// ---- one entry of the header ----

// Reads the whole numbers of 0 or more of a JSON array.
static enum loam_status read_numbers(const json_t *array, const char *path, const char *tensor,
                                     const char *what, size_t count, int64_t *out, struct loam_error *error)
{
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(array, i);
        if (!json_is_integer(item) || json_integer_value(item) < 0)
            return loam_fail(error, LOAM_ERROR_FORMAT,
                             "%s: tensor %s: \"%s\" must hold whole numbers, none negative", path, tensor,
                             what);
        out[i] = json_integer_value(item);
    }
    return LOAM_OK;
}

static enum loam_status read_shape(struct loam_stored_tensor *tensor, const json_t *entry,
                                   struct loam_error *error)
{
    const json_t *shape = json_object_get(entry, "shape");
    if (!json_is_array(shape))
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: tensor %s has no \"shape\" array", tensor->file,
                         tensor->name);
    size_t rank = json_array_size(shape);
    if (rank > LOAM_MAX_RANK)
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                         "%s: tensor %s has %zu dimensions; at most %d are supported", tensor->file,
                         tensor->name, rank, LOAM_MAX_RANK);
    tensor->rank = (int)rank;
    return read_numbers(shape, tensor->file, tensor->name, "shape", rank, tensor->shape, error);
}

// Bytes of shape times dtype; false on overflow.
static bool expected_bytes(const struct loam_stored_tensor *tensor, size_t element, size_t *bytes)
{
    *bytes = element;
    for (int i = 0; i < tensor->rank; i++)
        if (!loam_mul_size(*bytes, (size_t)tensor->shape[i], bytes)) return false;
    return true;
}

static enum loam_status read_data(struct loam_stored_tensor *tensor, const json_t *entry, size_t element,
                                  const uint8_t *data, size_t data_size, struct loam_error *error)
{
    const json_t *offsets = json_object_get(entry, "data_offsets");
    if (!json_is_array(offsets) || json_array_size(offsets) != 2)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: tensor %s has no \"data_offsets\" pair", tensor->file,
                         tensor->name);
    int64_t range[2];
    LOAM_TRY(read_numbers(offsets, tensor->file, tensor->name, "data_offsets", 2, range, error));
    if (range[0] > range[1] || (uint64_t)range[1] > data_size)
        return loam_fail(
            error, LOAM_ERROR_FORMAT,
            "%s: tensor %s lies at bytes %lld to %lld, but the file holds %zu bytes of data (is it "
            "truncated?)",
            tensor->file, tensor->name, (long long)range[0], (long long)range[1], data_size);
    size_t bytes;
    tensor->bytes = (size_t)(range[1] - range[0]);
    tensor->data = data + range[0];
    if (!expected_bytes(tensor, element, &bytes) || bytes != tensor->bytes)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: tensor %s has %zu bytes, which is not what its shape and dtype make",
                         tensor->file, tensor->name, tensor->bytes);
    return LOAM_OK;
}

static enum loam_status read_entry(struct loam_stored_tensor *tensor, const json_t *entry,
                                   const uint8_t *data, size_t data_size, struct loam_error *error)
{
    const char *name = json_string_value(json_object_get(entry, "dtype"));
    if (name == NULL)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: tensor %s has no \"dtype\"", tensor->file,
                         tensor->name);
    const struct loam_safetensors_format *format = loam_safetensors_format_by_name(name);
    if (format == NULL)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: tensor %s has the unknown dtype \"%s\"", tensor->file,
                         tensor->name, name);
    tensor->format = format->format;
    LOAM_TRY(read_shape(tensor, entry, error));
    return read_data(tensor, entry, format->size, data, data_size, error);
}

// ---- one file ----

// Checks that the sorted tensors tile the data: each byte belongs to exactly one.
static enum loam_status check_tiling(const struct loam_stored_list *list, size_t first, const char *path,
                                     const uint8_t *data, size_t data_size, struct loam_error *error)
{
    const uint8_t *expected = data;
    for (size_t i = first; i < list->count; i++) {
        const struct loam_stored_tensor *tensor = &list->tensors[i];
        if (tensor->data != expected)
            return loam_fail(error, LOAM_ERROR_FORMAT, "%s: the data of tensor %s %s", path, tensor->name,
                             tensor->data < expected ? "overlaps that of another"
                                                     : "does not follow that of the tensor before it");
        expected += tensor->bytes;
    }
    size_t covered = (size_t)(expected - data);
    if (covered != data_size)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: %zu bytes at the end belong to no tensor", path,
                         data_size - covered);
    return LOAM_OK;
}

// Reads the texts that describe the file.
static enum loam_status read_metadata(struct loam_stored_list *list, const char *path, json_t *metadata,
                                      struct loam_error *error)
{
    const char *key;
    json_t *value;
    if (json_is_null(metadata)) return LOAM_OK; // of mlx
    if (!json_is_object(metadata))
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"__metadata__\" must be a JSON object", path);
    json_object_foreach(metadata, key, value)
    {
        if (!json_is_string(value))
            return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"%s\" in \"__metadata__\" must be a text", path,
                             key);
        LOAM_TRY(loam_stored_list_describe(list, key, json_string_value(value), error));
    }
    return LOAM_OK;
}

static enum loam_status read_entries(struct loam_stored_list *list, const char *path, json_t *header,
                                     const uint8_t *data, size_t data_size, struct loam_error *error)
{
    const size_t first = list->count;
    const char *key;
    json_t *entry;
    json_object_foreach(header, key, entry)
    {
        if (strcmp(key, "__metadata__") == 0) {
            LOAM_TRY(read_metadata(list, path, entry, error));
            continue;
        }
        struct loam_stored_tensor *tensor = loam_stored_list_append(list, key, path, error);
        if (tensor == NULL) return LOAM_ERROR_MEMORY;
        LOAM_TRY(read_entry(tensor, entry, data, data_size, error));
    }
    loam_stored_list_sort(list, first);
    return check_tiling(list, first, path, data, data_size, error);
}

static enum loam_status header_size(const char *path, const struct loam_map *map, size_t *size,
                                    struct loam_error *error)
{
    if (map->size < SIZE_FIELD)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s is no safetensors file: it has %zu bytes", path,
                         map->size);
    uint64_t value = 0;
    for (int i = 0; i < SIZE_FIELD; i++)
        value |= (uint64_t)map->data[i] << (8 * i);
    if (value > HEADER_LIMIT || value > map->size - SIZE_FIELD)
        return loam_fail(
            error, LOAM_ERROR_FORMAT,
            "%s: its header claims %llu bytes, the file has %zu (truncated, or no safetensors file)", path,
            (unsigned long long)value, map->size);
    *size = (size_t)value;
    return LOAM_OK;
}

enum loam_status loam_safetensors_read(struct loam_stored_list *list, const char *path,
                                       const struct loam_map *map, struct loam_error *error)
{
    size_t size = 0;
    LOAM_TRY(header_size(path, map, &size, error));
    char *name = loam_format(error, "the header of %s", path);
    if (name == NULL) return LOAM_ERROR_MEMORY;
    const uint8_t *data = map->data + SIZE_FIELD + size;
    json_t *header = NULL;
    enum loam_status status =
        loam_json_parse(&header, (const char *)map->data + SIZE_FIELD, size, name, error);
    free(name);
    if (status == LOAM_OK)
        status = read_entries(list, path, header, data, map->size - SIZE_FIELD - size, error);
    json_decref(header);
    return status;
}
