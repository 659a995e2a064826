#include "data/field_map.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "data/record_tree.h"

enum loam_status loam_field_map_init(struct loam_field_map *map, const struct loam_field_list *list,
                                     struct loam_error *error)
{
    *map = (struct loam_field_map){0};
    if (list == NULL || list->count == 0) return LOAM_OK;
    for (size_t i = 1; i < list->count; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(list->items[i].value, list->items[j].value) == 0)
                return loam_fail(error, LOAM_ERROR_ARGUMENT, "--map: \"%s\" is given two names, %s and %s",
                                 list->items[i].value, list->items[j].name, list->items[i].name);
    map->found = loam_calloc(list->count, sizeof *map->found, error);
    if (map->found == NULL) return LOAM_ERROR_MEMORY;
    map->items = list->items;
    map->count = list->count;
    return LOAM_OK;
}

void loam_field_map_deinit(struct loam_field_map *map)
{
    free(map->found);
    *map = (struct loam_field_map){0};
}

bool loam_field_map_renames(const struct loam_field_map *map, const char *key)
{
    for (size_t i = 0; i < map->count; i++)
        if (strcmp(map->items[i].value, key) == 0) return true;
    return false;
}

void loam_field_map_note(struct loam_field_map *map, const char *key, size_t size)
{
    for (size_t i = 0; i < map->count; i++) {
        const char *value = map->items[i].value;
        if (strlen(value) == size && memcmp(value, key, size) == 0) map->found[i] = true;
    }
}

enum loam_status loam_field_map_apply(struct loam_field_map *map, json_t *tree, struct loam_error *error)
{
    if (map->count == 0) return LOAM_OK;
    json_t *before;
    LOAM_TRY(loam_record_copy(&before, tree, error));
    enum loam_status status = LOAM_OK;
    for (size_t i = 0; i < map->count; i++)
        (void)json_object_del(tree, map->items[i].value);
    for (size_t i = 0; i < map->count && status == LOAM_OK; i++) {
        json_t *value = json_object_get(before, map->items[i].value);
        if (value == NULL) continue;
        map->found[i] = true;
        status = loam_record_set(tree, map->items[i].name, json_incref(value), error);
    }
    json_decref(before);
    return status;
}

enum loam_status loam_field_map_check(const struct loam_field_map *map, const char *name,
                                      struct loam_error *error)
{
    for (size_t i = 0; i < map->count; i++)
        if (!map->found[i])
            return loam_fail(error, LOAM_ERROR_FORMAT, "--map %s=%s: no record of %s has the field \"%s\"",
                             map->items[i].name, map->items[i].value, name, map->items[i].value);
    return LOAM_OK;
}

enum loam_status loam_field_names_init(struct loam_field_names *fields, const char *const *names,
                                       size_t count, size_t required, const struct loam_field_map *map,
                                       struct loam_error *error)
{
    *fields = (struct loam_field_names){.names = names, .count = count, .required = required};
    fields->keys = loam_calloc(count, sizeof *fields->keys, error);
    fields->others = loam_calloc(count, sizeof *fields->others, error);
    if (fields->keys == NULL || fields->others == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++) {
        const char *own = loam_field_map_renames(map, names[i]) ? NULL : names[i];
        size_t at = 0;
        while (at < map->count && strcmp(map->items[at].name, names[i]) != 0)
            at++;
        fields->keys[i] = at < map->count ? map->items[at].value : own;
        fields->others[i] = at < map->count ? own : NULL;
    }
    return LOAM_OK;
}

void loam_field_names_deinit(struct loam_field_names *fields)
{
    free(fields->keys);
    free(fields->others);
    *fields = (struct loam_field_names){0};
}

static bool is_same(const char *wanted, const char *key, size_t size)
{
    return wanted != NULL && strlen(wanted) == size && memcmp(wanted, key, size) == 0;
}

size_t loam_field_names_find(const struct loam_field_names *fields, const char *key, size_t size,
                             bool *is_other)
{
    size_t i = 0;
    *is_other = false;
    for (; i < fields->count; i++) {
        if (is_same(fields->keys[i], key, size)) break;
        *is_other = is_same(fields->others[i], key, size);
        if (*is_other) break;
    }
    return i;
}

const char *loam_field_names_key(const struct loam_field_names *fields, size_t index)
{
    return fields->keys[index] != NULL ? fields->keys[index] : fields->names[index];
}
