#include "io/torch_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "io/pickle.h"
#include "io/zip.h"

enum { KEY_LIMIT = 256 }; // bytes of the name of a storage

// ---- one tensor ----

// The elements of a shape; false on overflow.
static bool count_elements(const struct loam_stored_tensor *tensor, size_t *count)
{
    *count = 1;
    for (int i = 0; i < tensor->rank; i++)
        if (!loam_mul_size(*count, (size_t)tensor->shape[i], count)) return false;
    return true;
}

// The stride of a dimension of one element has no effect.
static bool is_contiguous(const struct loam_pickled_tensor *tensor)
{
    int64_t expected = 1;
    for (int i = tensor->rank - 1; i >= 0; i--) {
        if (tensor->shape[i] == 1) continue;
        if (tensor->stride[i] != expected) return false;
        expected *= tensor->shape[i];
    }
    return true;
}

// Finds the bytes of a storage, which are exactly those of its elements.
static enum loam_status find_storage(const struct loam_zip *zip, const struct loam_pickled_tensor *tensor,
                                     const char *name, const uint8_t **data, struct loam_error *error)
{
    size_t size = 0, expected;
    if (tensor->storage.size > KEY_LIMIT)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: the storage of tensor %s has a name of %zu bytes",
                         zip->path, name, tensor->storage.size);
    char *entry =
        loam_format(error, "data/%.*s", (int)tensor->storage.size, (const char *)tensor->storage.text);
    if (entry == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = loam_zip_find(zip, entry, strlen(entry), data, &size, error);
    if (status == LOAM_OK && *data == NULL)
        status = loam_fail(error, LOAM_ERROR_FORMAT, "%s: tensor %s is in %s, which the archive lacks",
                           zip->path, name, entry);
    free(entry);
    LOAM_TRY(status);
    if (!loam_mul_size((size_t)tensor->elements, tensor->type->size, &expected) || expected != size)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: the storage of tensor %s has %zu bytes, which is not %lld elements of %s",
                         zip->path, name, size, (long long)tensor->elements, tensor->type->name);
    return LOAM_OK;
}

static enum loam_status place(struct loam_stored_tensor *stored, const struct loam_zip *zip,
                              const struct loam_pickled_tensor *tensor, struct loam_error *error)
{
    size_t count;
    const uint8_t *data;
    LOAM_TRY(find_storage(zip, tensor, stored->name, &data, error));
    stored->format = tensor->type->format;
    stored->rank = tensor->rank;
    memcpy(stored->shape, tensor->shape, sizeof stored->shape);
    const bool counted = count_elements(stored, &count);
    if (!counted || tensor->offset > tensor->elements || count > (size_t)(tensor->elements - tensor->offset))
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: tensor %s leaves its storage of %lld elements",
                         zip->path, stored->name, (long long)tensor->elements);
    if (count > 0 && !is_contiguous(tensor))
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                         "%s: tensor %s is not contiguous: call .contiguous() on it before torch.save",
                         zip->path, stored->name);
    // The storage has these bytes, so the products do not overflow.
    stored->data = data + (size_t)tensor->offset * tensor->type->size;
    stored->bytes = count * tensor->type->size;
    return LOAM_OK;
}

// ---- the file ----

static enum loam_status append_tensors(struct loam_stored_list *list, const struct loam_zip *zip,
                                       const struct loam_pickled_tensors *tensors, struct loam_error *error)
{
    const size_t first = list->count;
    for (size_t i = 0; i < tensors->count; i++) {
        const struct loam_pickled_tensor *tensor = &tensors->items[i];
        char *name = loam_strndup((const char *)tensor->name.text, tensor->name.size, error);
        struct loam_stored_tensor *stored =
            name == NULL ? NULL : loam_stored_list_append(list, name, zip->path, error);
        free(name);
        if (stored == NULL) return LOAM_ERROR_MEMORY;
        LOAM_TRY(place(stored, zip, tensor, error));
    }
    loam_stored_list_sort(list, first);
    return LOAM_OK;
}

static enum loam_status check_byte_order(const struct loam_zip *zip, struct loam_error *error)
{
    static const char entry[] = "byteorder", expected[] = "little";
    const uint8_t *data;
    size_t size;
    LOAM_TRY(loam_zip_find(zip, entry, sizeof entry - 1, &data, &size, error));
    // Archives of PyTorch before 2.1 do not have the entry.
    if (data == NULL || (size == sizeof expected - 1 && memcmp(data, expected, size) == 0)) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_UNSUPPORTED, "%s: the byte order is not \"little\"", zip->path);
}

static enum loam_status read_archive(struct loam_stored_list *list, const struct loam_zip *zip,
                                     struct loam_error *error)
{
    static const char entry[] = "data.pkl";
    const uint8_t *pickle;
    size_t size;
    LOAM_TRY(check_byte_order(zip, error));
    LOAM_TRY(loam_zip_find(zip, entry, sizeof entry - 1, &pickle, &size, error));
    if (pickle == NULL)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: the zip archive has no data.pkl, which torch.save writes", zip->path);
    struct loam_pickled_tensors tensors = {0};
    char *name = loam_format(error, "%s (%s)", zip->path, entry);
    enum loam_status status =
        name == NULL ? LOAM_ERROR_MEMORY : loam_pickle_read(&tensors, pickle, size, name, error);
    free(name);
    if (status == LOAM_OK) status = append_tensors(list, zip, &tensors, error);
    loam_pickled_tensors_deinit(&tensors);
    return status;
}

// Files of PyTorch before 1.6 are pickles one after another; each begins with its protocol.
static bool is_bare_pickle(const struct loam_map *map)
{
    return map->size >= 2 && map->data[0] == 0x80 && map->data[1] <= 5;
}

enum loam_status loam_torch_file_read(struct loam_stored_list *list, const char *path,
                                      const struct loam_map *map, struct loam_error *error)
{
    struct loam_zip zip;
    if (is_bare_pickle(map))
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                         "%s has the format of PyTorch before 1.6, which loam does not read: save it again, "
                         "torch.save(torch.load(OLD, weights_only=True), NEW)",
                         path);
    LOAM_TRY(loam_zip_open(&zip, path, map, error));
    const enum loam_status status = read_archive(list, &zip, error);
    loam_zip_close(&zip);
    return status;
}
