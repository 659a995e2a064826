#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "io/gguf.h"

enum {
    OLDEST_VERSION = 2, // version 1 has sizes of 32 bits
    VERSION = 3,
    MAGIC_SIZE = 4,
    DEFAULT_ALIGN = 32,
    TEXT_LIMIT = 1 << 20, // bytes of a key, a name or a value that is read
    LEAST_ENTRY = 12,     // bytes of the shortest entry: a size and a type
    NUMBER_SIZE = 40,
};

// The types of the format.
enum type { U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64, TYPES };
static const size_t sizes[TYPES] = {[U8] = 1,  [I8] = 1,   [U16] = 2, [I16] = 2, [U32] = 4, [I32] = 4,
                                    [F32] = 4, [BOOL] = 1, [U64] = 8, [I64] = 8, [F64] = 8};

// Where a reader is in the mapped file.
struct cursor {
    const char *path;
    const uint8_t *data;
    size_t size;
    size_t at;
};

static enum loam_status fail_cut(const struct cursor *cursor, struct loam_error *error)
{
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s: the GGUF header goes beyond the %zu bytes of the file",
                     cursor->path, cursor->size);
}

static enum loam_status skip(struct cursor *cursor, size_t size, struct loam_error *error)
{
    if (size > cursor->size - cursor->at) return fail_cut(cursor, error);
    cursor->at += size;
    return LOAM_OK;
}

static enum loam_status read_number(struct cursor *cursor, size_t size, uint64_t *number,
                                    struct loam_error *error)
{
    const size_t at = cursor->at;
    LOAM_TRY(skip(cursor, size, error));
    *number = 0;
    for (size_t i = 0; i < size; i++)
        *number |= (uint64_t)cursor->data[at + i] << (8 * i);
    return LOAM_OK;
}

static enum loam_status skip_text(struct cursor *cursor, struct loam_error *error)
{
    uint64_t size = 0;
    LOAM_TRY(read_number(cursor, 8, &size, error));
    if (size > cursor->size - cursor->at) return fail_cut(cursor, error);
    return skip(cursor, (size_t)size, error);
}

// Reads a text into a copy, released with free().
static enum loam_status read_text(struct cursor *cursor, char **text, struct loam_error *error)
{
    uint64_t size = 0;
    *text = NULL;
    LOAM_TRY(read_number(cursor, 8, &size, error));
    if (size > cursor->size - cursor->at) return fail_cut(cursor, error);
    if (size > TEXT_LIMIT)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: a text of %llu bytes in the GGUF header; at most %d are read", cursor->path,
                         (unsigned long long)size, TEXT_LIMIT);
    if (memchr(cursor->data + cursor->at, '\0', (size_t)size) != NULL)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: a text in the GGUF header has a byte 0",
                         cursor->path);
    *text = loam_strndup((const char *)cursor->data + cursor->at, (size_t)size, error);
    if (*text == NULL) return LOAM_ERROR_MEMORY;
    return skip(cursor, (size_t)size, error);
}

// ---- metadata ----

static enum loam_status fail_type(const struct cursor *cursor, const char *key, uint64_t type,
                                  struct loam_error *error)
{
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"%s\" has the type %llu, which GGUF does not have",
                     cursor->path, key, (unsigned long long)type);
}

// Passes over an array, such as a vocabulary.
static enum loam_status skip_array(struct cursor *cursor, const char *key, struct loam_error *error)
{
    uint64_t type = 0, count = 0;
    size_t bytes;
    LOAM_TRY(read_number(cursor, 4, &type, error));
    LOAM_TRY(read_number(cursor, 8, &count, error));
    if (type >= TYPES || type == ARRAY) return fail_type(cursor, key, type, error);
    if (count > cursor->size - cursor->at) return fail_cut(cursor, error);
    if (type != STRING) {
        if (!loam_mul_size((size_t)count, sizes[type], &bytes)) return fail_cut(cursor, error);
        return skip(cursor, bytes, error);
    }
    for (uint64_t i = 0; i < count; i++)
        LOAM_TRY(skip_text(cursor, error));
    return LOAM_OK;
}

static void format_number(enum type type, uint64_t bits, char text[NUMBER_SIZE])
{
    const uint64_t sign = sizes[type] < 8 ? (uint64_t)1 << (8 * sizes[type] - 1) : 0;
    const uint32_t low = (uint32_t)bits;
    float single;
    double real;
    switch (type) {
    case F32:
        memcpy(&single, &low, sizeof single);
        snprintf(text, NUMBER_SIZE, "%.9g", (double)single);
        return;
    case F64:
        memcpy(&real, &bits, sizeof real);
        snprintf(text, NUMBER_SIZE, "%.17g", real);
        return;
    case BOOL:
        snprintf(text, NUMBER_SIZE, "%s", bits != 0 ? "true" : "false");
        return;
    case I8:
    case I16:
    case I32:
    case I64:
        snprintf(text, NUMBER_SIZE, "%" PRId64, (int64_t)((bits ^ sign) - sign));
        return;
    default:
        snprintf(text, NUMBER_SIZE, "%" PRIu64, bits);
    }
}

static enum loam_status read_value(struct loam_stored_list *list, struct cursor *cursor, const char *key,
                                   struct loam_error *error)
{
    uint64_t type = 0, bits = 0;
    char number[NUMBER_SIZE];
    LOAM_TRY(read_number(cursor, 4, &type, error));
    if (type >= TYPES) return fail_type(cursor, key, type, error);
    if (type == ARRAY) return skip_array(cursor, key, error);
    if (type != STRING) {
        LOAM_TRY(read_number(cursor, sizes[type], &bits, error));
        format_number((enum type)type, bits, number);
        LOAM_TRY(loam_stored_list_describe(list, key, number, error));
        list->metadata[list->metadata_count - 1].is_number = true;
        return LOAM_OK;
    }
    char *text;
    enum loam_status status = read_text(cursor, &text, error);
    if (status == LOAM_OK) status = loam_stored_list_describe(list, key, text, error);
    free(text);
    return status;
}

static enum loam_status read_values(struct loam_stored_list *list, struct cursor *cursor, uint64_t count,
                                    struct loam_error *error)
{
    for (uint64_t i = 0; i < count; i++) {
        char *key;
        enum loam_status status = read_text(cursor, &key, error);
        if (status == LOAM_OK) status = read_value(list, cursor, key, error);
        free(key);
        if (status != LOAM_OK) return status;
    }
    return LOAM_OK;
}

// ---- tensors ----

// The format of GGUF's number; LOAM_FORMAT_NONE: one that loam does not read, such as a quantised one.
static enum loam_format format_of(uint64_t number)
{
    static const struct {
        uint32_t number;
        enum loam_format format;
    } formats[] = {{0, LOAM_FORMAT_F32},
                   {1, LOAM_FORMAT_F16},
                   {30, LOAM_FORMAT_BF16},
                   {26, LOAM_FORMAT_I32},
                   {28, LOAM_FORMAT_F64}};
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (formats[i].number == number) return formats[i].format;
    return LOAM_FORMAT_NONE;
}

// Reads a shape, which the file has with the last dimension first.
static enum loam_status read_shape(struct loam_stored_tensor *tensor, struct cursor *cursor,
                                   struct loam_error *error)
{
    uint64_t rank = 0, size = 0;
    LOAM_TRY(read_number(cursor, 4, &rank, error));
    if (rank > LOAM_MAX_RANK)
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                         "%s: tensor %s has %llu dimensions; at most %d are supported", cursor->path,
                         tensor->name, (unsigned long long)rank, LOAM_MAX_RANK);
    tensor->rank = (int)rank;
    for (int i = tensor->rank - 1; i >= 0; i--) {
        LOAM_TRY(read_number(cursor, 8, &size, error));
        tensor->shape[i] = size > INT64_MAX ? INT64_MAX : (int64_t)size;
    }
    return LOAM_OK;
}

// Bytes of shape times format; false on overflow.
static bool count_bytes(struct loam_stored_tensor *tensor)
{
    tensor->bytes = loam_format_row(tensor->format)->bytes;
    for (int i = 0; i < tensor->rank; i++)
        if (!loam_mul_size(tensor->bytes, (size_t)tensor->shape[i], &tensor->bytes)) return false;
    return true;
}

// Reads a tensor's entry. Its offset from the start of the data, which is not known yet, goes to `*offset`.
static enum loam_status read_entry(struct loam_stored_tensor *tensor, struct cursor *cursor, uint64_t *offset,
                                   struct loam_error *error)
{
    uint64_t type = 0;
    LOAM_TRY(read_shape(tensor, cursor, error));
    LOAM_TRY(read_number(cursor, 4, &type, error));
    LOAM_TRY(read_number(cursor, 8, offset, error));
    tensor->format = format_of(type);
    if (count_bytes(tensor)) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s: tensor %s is larger than any file", cursor->path,
                     tensor->name);
}

static enum loam_status read_entries(struct loam_stored_list *list, struct cursor *cursor, size_t count,
                                     uint64_t *offsets, struct loam_error *error)
{
    for (size_t i = 0; i < count; i++) {
        char *name;
        enum loam_status status = read_text(cursor, &name, error);
        struct loam_stored_tensor *tensor = NULL;
        if (status == LOAM_OK) tensor = loam_stored_list_append(list, name, cursor->path, error);
        free(name);
        if (tensor == NULL) return error->status;
        LOAM_TRY(read_entry(tensor, cursor, &offsets[i], error));
    }
    return LOAM_OK;
}

// Points the tensors at their data, which starts at the next multiple of the alignment.
static enum loam_status place_data(struct loam_stored_list *list, size_t first, const struct cursor *cursor,
                                   size_t align, const uint64_t *offsets, struct loam_error *error)
{
    const size_t gap = (align - cursor->at % align) % align;
    const size_t rest = cursor->size - cursor->at, start = gap < rest ? cursor->at + gap : cursor->size;
    for (size_t i = first; i < list->count; i++) {
        struct loam_stored_tensor *tensor = &list->tensors[i];
        const uint64_t offset = offsets[i - first];
        if (offset > cursor->size - start || tensor->bytes > cursor->size - start - offset)
            return loam_fail(error, LOAM_ERROR_FORMAT, "%s: the data of tensor %s goes beyond the file",
                             cursor->path, tensor->name);
        tensor->data = cursor->data + start + (size_t)offset;
    }
    return LOAM_OK;
}

// Checks that the sorted tensors share no byte.
static enum loam_status check_overlap(const struct loam_stored_list *list, size_t first, const char *path,
                                      struct loam_error *error)
{
    for (size_t i = first + 1; i < list->count; i++) {
        const struct loam_stored_tensor *before = &list->tensors[i - 1], *tensor = &list->tensors[i];
        if (tensor->data < before->data + before->bytes)
            return loam_fail(error, LOAM_ERROR_FORMAT, "%s: the data of tensor %s overlaps that of %s", path,
                             tensor->name, before->name);
    }
    return LOAM_OK;
}

static enum loam_status read_alignment(const struct loam_stored_list *list, const char *path, size_t *align,
                                       struct loam_error *error)
{
    *align = DEFAULT_ALIGN;
    for (size_t i = 0; i < list->metadata_count; i++) {
        if (strcmp(list->metadata[i].key, "general.alignment") != 0) continue;
        const unsigned long long value = strtoull(list->metadata[i].text, NULL, 10);
        if (value == 0 || value > TEXT_LIMIT || (value & (value - 1)) != 0)
            return loam_fail(error, LOAM_ERROR_FORMAT,
                             "%s: \"general.alignment\" is %s; expected a power of two", path,
                             list->metadata[i].text);
        *align = (size_t)value;
    }
    return LOAM_OK;
}

// ---- the file ----

static enum loam_status read_counts(struct cursor *cursor, uint64_t *tensors, uint64_t *values,
                                    struct loam_error *error)
{
    uint64_t version = 0;
    LOAM_TRY(skip(cursor, MAGIC_SIZE, error));
    LOAM_TRY(read_number(cursor, 4, &version, error));
    if (version < OLDEST_VERSION || version > VERSION)
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                         "%s: GGUF of the version %llu; expected %d or %d, little-endian", cursor->path,
                         (unsigned long long)version, OLDEST_VERSION, VERSION);
    LOAM_TRY(read_number(cursor, 8, tensors, error));
    LOAM_TRY(read_number(cursor, 8, values, error));
    const uint64_t most = (cursor->size - cursor->at) / LEAST_ENTRY;
    return *tensors > most || *values > most ? fail_cut(cursor, error) : LOAM_OK;
}

bool loam_gguf_is(const struct loam_map *map)
{
    return map->size >= MAGIC_SIZE && memcmp(map->data, "GGUF", MAGIC_SIZE) == 0;
}

// Reads up to the entries of the tensors, whose number goes to `*tensors`.
static enum loam_status read_metadata(struct loam_stored_list *list, struct cursor *cursor,
                                      const struct loam_map *map, uint64_t *tensors, struct loam_error *error)
{
    uint64_t values = 0;
    if (!loam_gguf_is(map)) return loam_fail(error, LOAM_ERROR_FORMAT, "%s is no GGUF file", cursor->path);
    LOAM_TRY(read_counts(cursor, tensors, &values, error));
    return read_values(list, cursor, values, error);
}

enum loam_status loam_gguf_read_metadata(struct loam_stored_list *list, const char *path,
                                         const struct loam_map *map, struct loam_error *error)
{
    struct cursor cursor = {.path = path, .data = map->data, .size = map->size};
    uint64_t tensors = 0;
    return read_metadata(list, &cursor, map, &tensors, error);
}

enum loam_status loam_gguf_read(struct loam_stored_list *list, const char *path, const struct loam_map *map,
                                struct loam_error *error)
{
    struct cursor cursor = {.path = path, .data = map->data, .size = map->size};
    const size_t first = list->count;
    uint64_t tensors = 0;
    size_t align = DEFAULT_ALIGN;
    LOAM_TRY(read_metadata(list, &cursor, map, &tensors, error));
    LOAM_TRY(read_alignment(list, path, &align, error));
    uint64_t *offsets = loam_calloc((size_t)tensors, sizeof *offsets, error);
    if (offsets == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = read_entries(list, &cursor, (size_t)tensors, offsets, error);
    if (status == LOAM_OK) status = place_data(list, first, &cursor, align, offsets, error);
    free(offsets);
    if (status != LOAM_OK) return status;
    loam_stored_list_sort(list, first);
    return check_overlap(list, first, path, error);
}
