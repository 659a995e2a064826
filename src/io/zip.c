#include "io/zip.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap.h"

// Sizes in bytes and signatures of the records of the format.
enum {
    END_SIZE = 22, // end of the directory, without its comment
    COMMENT_LIMIT = 65535,
    LOCATOR_SIZE = 20, // of the zip64 end of the directory
    END64_SIZE = 56,
    ENTRY_SIZE = 46,  // of the directory, without name, extra fields and comment
    HEADER_SIZE = 30, // before the contents, without name and extra fields
    FIELD_SIZE = 4,   // tag and size of an extra field
    FIELD_ZIP64 = 1,  // tag
    FLAG_ENCRYPTED = 1,
    NAME_LIMIT = 65535,
    IN_ZIP64_16 = 0xFFFF, // the number is in the zip64 record
};
static const uint32_t end_sign = 0x06054b50, locator_sign = 0x07064b50, end64_sign = 0x06064b50,
                      entry_sign = 0x02014b50, header_sign = 0x04034b50, in_zip64_32 = 0xFFFFFFFF;

// The little-endian number of `size` bytes.
static uint64_t number(const uint8_t *at, int size)
{
    uint64_t value = 0;
    for (int i = 0; i < size; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

// `size` bytes of the file; NULL: they leave it.
static const uint8_t *bytes_at(const struct loam_zip *zip, uint64_t offset, uint64_t size)
{
    const uint64_t total = zip->map->size;
    return offset <= total && size <= total - offset ? zip->map->data + offset : NULL;
}

static enum loam_status fail_damaged(const struct loam_zip *zip, const char *what, struct loam_error *error)
{
    return loam_fail(error, LOAM_ERROR_FORMAT,
                     "%s: %s of the zip archive is damaged, or the file is truncated", zip->path, what);
}

// ---- where the directory is ----

struct directory {
    uint64_t offset, size, count;
};

// The end record, which a comment may follow.
static const uint8_t *find_end(const struct loam_zip *zip)
{
    const uint64_t total = zip->map->size;
    for (uint64_t comment = 0; comment <= COMMENT_LIMIT && comment + END_SIZE <= total; comment++) {
        const uint8_t *end = zip->map->data + (total - END_SIZE - comment);
        if (number(end, 4) == end_sign && number(end + 20, 2) == comment) return end;
    }
    return NULL;
}

static enum loam_status read_end64(const struct loam_zip *zip, const uint8_t *end,
                                   struct directory *directory, struct loam_error *error)
{
    const uint64_t place = (uint64_t)(end - zip->map->data);
    const uint8_t *locator = place < LOCATOR_SIZE ? NULL : end - LOCATOR_SIZE;
    if (locator == NULL || number(locator, 4) != locator_sign)
        return fail_damaged(zip, "the zip64 locator", error);
    const uint8_t *end64 = bytes_at(zip, number(locator + 8, 8), END64_SIZE);
    if (end64 == NULL || number(end64, 4) != end64_sign) return fail_damaged(zip, "the zip64 end", error);
    directory->count = number(end64 + 32, 8);
    directory->size = number(end64 + 40, 8);
    directory->offset = number(end64 + 48, 8);
    return LOAM_OK;
}

static enum loam_status find_directory(const struct loam_zip *zip, struct directory *directory,
                                       struct loam_error *error)
{
    const uint8_t *end = find_end(zip);
    if (end == NULL)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: no zip archive, as torch.save writes it, or the file is truncated", zip->path);
    directory->count = number(end + 10, 2);
    directory->size = number(end + 12, 4);
    directory->offset = number(end + 16, 4);
    if (directory->count == IN_ZIP64_16 || directory->size == in_zip64_32 || directory->offset == in_zip64_32)
        LOAM_TRY(read_end64(zip, end, directory, error));
    // An entry takes at least ENTRY_SIZE bytes, which bounds the memory for the directory.
    if (bytes_at(zip, directory->offset, directory->size) == NULL ||
        directory->count > directory->size / ENTRY_SIZE)
        return fail_damaged(zip, "the directory", error);
    return LOAM_OK;
}

// ---- the directory ----

// Numbers that do not fit into their 32 bits are in the zip64 field: size, compressed size, offset.
static bool read_zip64(struct loam_zip_entry *entry, const uint8_t *fields, size_t size, bool size_there,
                       bool packed_there, bool header_there)
{
    while (size >= FIELD_SIZE) {
        const size_t tag = (size_t)number(fields, 2), field = (size_t)number(fields + 2, 2);
        if (field > size - FIELD_SIZE) return false;
        if (tag == FIELD_ZIP64) {
            const size_t needed = 8 * ((size_t)size_there + packed_there + header_there);
            const uint8_t *at = fields + FIELD_SIZE;
            if (field < needed) return false;
            if (size_there) entry->size = number(at, 8);
            if (size_there) at += 8;
            if (packed_there) at += 8;
            if (header_there) entry->header = number(at, 8);
            return true;
        }
        fields += FIELD_SIZE + field;
        size -= FIELD_SIZE + field;
    }
    return false;
}

// Reads the entry at `at`, of which `left` bytes are in the directory, and returns its bytes; 0: damaged.
static size_t read_entry(struct loam_zip_entry *entry, const uint8_t *at, size_t left)
{
    if (left < ENTRY_SIZE || number(at, 4) != entry_sign) return 0;
    const uint64_t packed = number(at + 20, 4);
    const size_t name = (size_t)number(at + 28, 2), extra = (size_t)number(at + 30, 2);
    const size_t total = ENTRY_SIZE + name + extra + (size_t)number(at + 32, 2);
    if (total > left) return 0;
    *entry = (struct loam_zip_entry){
        .name = at + ENTRY_SIZE,
        .name_size = name,
        .header = number(at + 42, 4),
        .size = number(at + 24, 4),
        .stored = number(at + 10, 2) == 0 && (number(at + 8, 2) & FLAG_ENCRYPTED) == 0,
    };
    const bool size64 = entry->size == in_zip64_32, packed64 = packed == in_zip64_32,
               header64 = entry->header == in_zip64_32;
    if ((size64 || packed64 || header64) &&
        !read_zip64(entry, at + ENTRY_SIZE + name, extra, size64, packed64, header64))
        return 0;
    return total;
}

static int compare_text(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    const int order = memcmp(a, b, a_size < b_size ? a_size : b_size);
    return order != 0 ? order : (a_size > b_size) - (a_size < b_size);
}

static int compare_entries(const void *a, const void *b)
{
    const struct loam_zip_entry *left = a;
    const struct loam_zip_entry *right = b;
    return compare_text(left->name, left->name_size, right->name, right->name_size);
}

static enum loam_status read_directory(struct loam_zip *zip, const struct directory *directory,
                                       struct loam_error *error)
{
    const uint8_t *at = zip->map->data + directory->offset;
    size_t left = (size_t)directory->size;
    for (; zip->count < directory->count; zip->count++) {
        const size_t size = read_entry(&zip->entries[zip->count], at, left);
        if (size == 0) return fail_damaged(zip, "the directory", error);
        at += size;
        left -= size;
    }
    return LOAM_OK;
}

static enum loam_status refuse_repeated(const struct loam_zip *zip, struct loam_error *error)
{
    for (size_t i = 1; i < zip->count; i++)
        if (compare_entries(&zip->entries[i - 1], &zip->entries[i]) == 0)
            return loam_fail(error, LOAM_ERROR_FORMAT, "%s: the zip archive has two entries %.*s", zip->path,
                             (int)zip->entries[i].name_size, (const char *)zip->entries[i].name);
    return LOAM_OK;
}

// The directory that torch.save puts every entry into.
static void find_root(struct loam_zip *zip)
{
    if (zip->count == 0) return;
    const struct loam_zip_entry *first = &zip->entries[0];
    const uint8_t *slash = memchr(first->name, '/', first->name_size);
    zip->root = first->name;
    zip->root_size = slash == NULL ? 0 : (size_t)(slash - first->name);
}

static enum loam_status read_archive(struct loam_zip *zip, struct loam_error *error)
{
    struct directory directory = {0};
    LOAM_TRY(find_directory(zip, &directory, error));
    zip->entries = loam_calloc((size_t)directory.count, sizeof *zip->entries, error);
    if (zip->entries == NULL) return LOAM_ERROR_MEMORY;
    LOAM_TRY(read_directory(zip, &directory, error));
    find_root(zip);
    qsort(zip->entries, zip->count, sizeof *zip->entries, compare_entries);
    return refuse_repeated(zip, error);
}

enum loam_status loam_zip_open(struct loam_zip *zip, const char *path, const struct loam_map *map,
                               struct loam_error *error)
{
    *zip = (struct loam_zip){.path = path, .map = map};
    const enum loam_status status = read_archive(zip, error);
    if (status != LOAM_OK) loam_zip_close(zip);
    return status;
}

void loam_zip_close(struct loam_zip *zip)
{
    free(zip->entries);
    *zip = (struct loam_zip){0};
}

// ---- the contents ----

// The contents begin after the header of the entry, whose name and extra fields have sizes of their own.
static enum loam_status locate(const struct loam_zip *zip, const struct loam_zip_entry *entry,
                               const uint8_t **data, struct loam_error *error)
{
    const uint8_t *header = bytes_at(zip, entry->header, HEADER_SIZE);
    *data = NULL;
    if (header != NULL && number(header, 4) == header_sign)
        *data = bytes_at(zip, entry->header + HEADER_SIZE + number(header + 26, 2) + number(header + 28, 2),
                         entry->size);
    if (*data != NULL) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_FORMAT,
                     "%s: the entry %.*s of the zip archive is damaged, or the file is truncated", zip->path,
                     (int)entry->name_size, (const char *)entry->name);
}

enum loam_status loam_zip_find(const struct loam_zip *zip, const char *name, size_t name_size,
                               const uint8_t **data, size_t *size, struct loam_error *error)
{
    *data = NULL;
    *size = 0;
    if (zip->count == 0 || name_size > NAME_LIMIT) return LOAM_OK;
    char *full =
        loam_format(error, "%.*s/%.*s", (int)zip->root_size, (const char *)zip->root, (int)name_size, name);
    if (full == NULL) return LOAM_ERROR_MEMORY;
    const struct loam_zip_entry key = {.name = (const uint8_t *)full, .name_size = strlen(full)};
    const struct loam_zip_entry *entry =
        bsearch(&key, zip->entries, zip->count, sizeof *zip->entries, compare_entries);
    free(full);
    if (entry == NULL) return LOAM_OK;
    if (!entry->stored)
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                         "%s: the entry %.*s of the zip archive is compressed or encrypted, which torch.save "
                         "does not do: save the model again with PyTorch",
                         zip->path, (int)entry->name_size, (const char *)entry->name);
    *size = (size_t)entry->size;
    return locate(zip, entry, data, error);
}
