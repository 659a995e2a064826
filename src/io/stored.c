#include "io/stored.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/grow.h"
#include "base/heap.h"

static void release_text(const char *text)
{
    free((void *)(uintptr_t)text);
}

void loam_stored_list_deinit(struct loam_stored_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        release_text(list->tensors[i].name);
    for (size_t i = 0; i < list->metadata_count; i++) {
        release_text(list->metadata[i].key);
        release_text(list->metadata[i].text);
    }
    free(list->tensors);
    free(list->metadata);
    *list = (struct loam_stored_list){0};
}

struct loam_stored_tensor *loam_stored_list_append(struct loam_stored_list *list, const char *name,
                                                   const char *file, struct loam_error *error)
{
    struct loam_stored_tensor *tensors =
        loam_grow(list->tensors, &list->capacity, list->count + 1, sizeof *tensors, error);
    if (tensors == NULL) return NULL;
    list->tensors = tensors;
    char *copy = loam_strdup(name, error);
    if (copy == NULL) return NULL;
    tensors[list->count] = (struct loam_stored_tensor){.name = copy, .file = file};
    return &tensors[list->count++];
}

static int compare_data(const void *a, const void *b)
{
    const struct loam_stored_tensor *left = a;
    const struct loam_stored_tensor *right = b;
    if (left->data != right->data) return left->data < right->data ? -1 : 1;
    if (left->bytes != right->bytes) return left->bytes < right->bytes ? -1 : 1;
    return strcmp(left->name, right->name);
}

void loam_stored_list_sort(struct loam_stored_list *list, size_t first)
{
    if (list->count > first)
        qsort(list->tensors + first, list->count - first, sizeof *list->tensors, compare_data);
}

enum loam_status loam_stored_list_describe(struct loam_stored_list *list, const char *key, const char *text,
                                           struct loam_error *error)
{
    struct loam_metadata *metadata = loam_grow(list->metadata, &list->metadata_capacity,
                                               list->metadata_count + 1, sizeof *metadata, error);
    if (metadata == NULL) return LOAM_ERROR_MEMORY;
    list->metadata = metadata;
    const struct loam_metadata entry = {.key = loam_strdup(key, error), .text = loam_strdup(text, error)};
    if (entry.key == NULL || entry.text == NULL) {
        release_text(entry.key);
        release_text(entry.text);
        return LOAM_ERROR_MEMORY;
    }
    metadata[list->metadata_count++] = entry;
    return LOAM_OK;
}
