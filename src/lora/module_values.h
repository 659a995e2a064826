// Numbers by module: PEFT's rank_pattern and alpha_pattern, JSON objects from regular expressions to numbers.
#ifndef LOAM_LORA_MODULE_VALUES_H
#define LOAM_LORA_MODULE_VALUES_H

#include <jansson.h>

#include "lora/target.h"

struct loam_module_value {
    char *key;                 // the expression in the file
    struct loam_targets where; // "(.*\.)?(KEY)", which must match the whole path
    double value;
};

struct loam_module_values {
    struct loam_module_value *items; // in the file's order; the first match decides
    size_t count;
    size_t used; // items that decide the value of an adapted module; set by loam_adapter_config_note_unused
};

// Reads root[name], an object of numbers above 0 and at most `most`; with `whole`, of integers. If it is null
// or missing, `values` is empty. `path` is for messages.
enum loam_status loam_module_values_read(struct loam_module_values *values, const json_t *root,
                                         const char *path, const char *name, double most, bool whole,
                                         struct loam_error *error);
// Parses "KEY=N,KEY=N" of the option `name`. A comma or "=" within a key is part of the key.
enum loam_status loam_module_values_parse(struct loam_module_values *values, const char *text,
                                          const char *name, double most, bool whole,
                                          struct loam_error *error);
void loam_module_values_deinit(struct loam_module_values *values);
// Finds the first item whose expression matches a module. If none does, `*index` and `*value` keep their
// values.
enum loam_status loam_module_values_index(const struct loam_module_values *values, const char *module,
                                          size_t *index, struct loam_error *error);
enum loam_status loam_module_values_find(const struct loam_module_values *values, const char *module,
                                         double *value, struct loam_error *error);
// Returns the object as JSON; NULL: out of memory.
json_t *loam_module_values_json(const struct loam_module_values *values);

#endif
