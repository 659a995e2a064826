#include "base/text_list.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "base/heap.h"

enum loam_status loam_text_list_add(struct loam_text_list *list, const char *text, struct loam_error *error)
{
    const char **items = loam_grow(list->items, &list->capacity, list->count + 1, sizeof *items, error);
    if (items == NULL) return LOAM_ERROR_MEMORY;
    list->items = items;
    const char *copy = loam_strdup(text, error);
    if (copy == NULL) return LOAM_ERROR_MEMORY;
    items[list->count++] = copy;
    return LOAM_OK;
}

static int compare(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

void loam_text_list_sort(struct loam_text_list *list, size_t first)
{
    if (list->count > first) qsort(list->items + first, list->count - first, sizeof *list->items, compare);
}

void loam_text_list_deinit(struct loam_text_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free((char *)(uintptr_t)list->items[i]);
    free(list->items);
    *list = (struct loam_text_list){0};
}
