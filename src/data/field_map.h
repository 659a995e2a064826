// Names of fields: those that are read, and the keys that have them in the file (--map FIELD=KEY).
#ifndef LOAM_DATA_FIELD_MAP_H
#define LOAM_DATA_FIELD_MAP_H

#include <jansson.h>
#include <stdbool.h>

#include "data/template.h"

// A zeroed map renames nothing.
struct loam_field_map {
    const struct loam_field *items; // [count] name: the field; value: its key in the file; names are distinct
    size_t count;
    bool *found; // [count] whether a record has the key
};

// The list must outlive the map.
enum loam_status loam_field_map_init(struct loam_field_map *map, const struct loam_field_list *list,
                                     struct loam_error *error);
void loam_field_map_deinit(struct loam_field_map *map);

// Whether the key has another name, so that no field has its own.
bool loam_field_map_renames(const struct loam_field_map *map, const char *key);
// Notes that a record has the key.
void loam_field_map_note(struct loam_field_map *map, const char *key, size_t size);
// Renames the keys that a tree has, and notes them. A renamed key replaces one that has its new name.
enum loam_status loam_field_map_apply(struct loam_field_map *map, json_t *tree, struct loam_error *error);
// Refuses a key that no record has. `name` is that of the data.
enum loam_status loam_field_map_check(const struct loam_field_map *map, const char *name,
                                      struct loam_error *error);

// The fields that a reader of records gives.
struct loam_field_names {
    const char *const *names; // [count] belong to the caller
    const char **keys;        // [count] in the file; NULL: none
    const char **others;      // [count] keys that are taken where a record lacks the first; NULL: none
    size_t count;
    size_t required; // the first ones; the others are empty where a record lacks them
};
enum loam_status loam_field_names_init(struct loam_field_names *fields, const char *const *names,
                                       size_t count, size_t required, const struct loam_field_map *map,
                                       struct loam_error *error);
void loam_field_names_deinit(struct loam_field_names *fields);
// Index of the field with that key; `count`: none. `*is_other`: it is the second choice.
size_t loam_field_names_find(const struct loam_field_names *fields, const char *key, size_t size,
                             bool *is_other);
// The key to name in a message about a field that is missing.
const char *loam_field_names_key(const struct loam_field_names *fields, size_t index);

#endif
