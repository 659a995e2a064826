// A choice of layers: PEFT's layers_to_transform and layers_pattern, which narrow a list of targets.
#ifndef LOAM_LORA_LAYER_CHOICE_H
#define LOAM_LORA_LAYER_CHOICE_H

#include <jansson.h>

#include "lora/target.h"

// A name before the number of a layer in a path, such as "h" or "layers".
struct loam_layer_name {
    char *text;                // an expression, as in the file
    struct loam_targets where; // "(?:.*\.)?(?:TEXT)", which must match the whole path before the number
};

struct loam_layer_choice {
    int64_t *layers; // empty: every layer
    size_t count;
    bool is_number;                // the file has one number instead of a list
    struct loam_layer_name *names; // empty: any
    size_t name_count;
    bool is_text; // the file has one name instead of a list
};

// Reads "layers_to_transform" and "layers_pattern" of `root`. `path` is for messages.
enum loam_status loam_layer_choice_read(struct loam_layer_choice *choice, const json_t *root,
                                        const char *path, struct loam_error *error);
// Parses --layers-to-transform "0,2,5" and --layers-pattern "h,layers". Either may be NULL.
enum loam_status loam_layer_choice_parse(struct loam_layer_choice *choice, const char *layers,
                                         const char *names, struct loam_error *error);
void loam_layer_choice_deinit(struct loam_layer_choice *choice);
// Returns whether `module` is in a chosen layer. The number of a layer is the first number in the path that
// follows a name of the choice; without names, the first one after two components. A module without such a
// number is in no layer.
enum loam_status loam_layer_choice_has(const struct loam_layer_choice *choice, const char *module, bool *has,
                                       struct loam_error *error);
// Returns the two keys as JSON; NULL: out of memory.
json_t *loam_layer_choice_layers_json(const struct loam_layer_choice *choice);
json_t *loam_layer_choice_names_json(const struct loam_layer_choice *choice);

#endif
