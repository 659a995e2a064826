// Numbers that differ by module: PEFT's rank_pattern and alpha_pattern, objects of expressions and numbers.
#ifndef LOAM_LORA_MODULE_VALUES_H
#define LOAM_LORA_MODULE_VALUES_H

#include <jansson.h>

#include "lora/target.h"

struct loam_module_value {
    char *key;                 // as the file has it
    struct loam_targets where; // "(.*\.)?(KEY)" over the whole path
    double value;
};

struct loam_module_values {
    struct loam_module_value *items; // in the file's order, which counts: the first that matches holds
    size_t count;
    size_t used; // items that a module has matched; counted by the search for modules
};

// Reads root[name], an object of numbers above 0 and not above `most`, whole ones if `whole`; null and
// nothing are empty. `path` is for messages.
enum loam_status loam_module_values_read(struct loam_module_values *values, const json_t *root,
                                         const char *path, const char *name, double most, bool whole,
                                         struct loam_error *error);
void loam_module_values_deinit(struct loam_module_values *values);
// The first item whose expression matches a module. `*index` and `*value` are left alone where none does.
enum loam_status loam_module_values_index(const struct loam_module_values *values, const char *module,
                                          size_t *index, struct loam_error *error);
enum loam_status loam_module_values_find(const struct loam_module_values *values, const char *module,
                                         double *value, struct loam_error *error);
// The same object as JSON; NULL: out of memory.
json_t *loam_module_values_json(const struct loam_module_values *values);

#endif
