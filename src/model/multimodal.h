// Multimodal models whose text part is a model of a family. loam uses the text part alone.
#ifndef LOAM_MODEL_MULTIMODAL_H
#define LOAM_MODEL_MULTIMODAL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

// Where "tie_word_embeddings" of such a model comes from. Its own key counts before its text part's.
enum loam_tie_rule {
    LOAM_TIE_UNLESS_FALSE, // true where the key is left out
    LOAM_TIE_IF_TRUE,      // false where it is left out
    LOAM_TIE_IF_EITHER,    // true where it or the text part's is
};

struct loam_multimodal {
    const char *model_type; // config.json's: "llava"
    const char *text_type;  // the model_type of a text_config that names none
    bool text_type_fixed;   // whatever it names
    const char *part;       // the module that holds the text model, in "model.": "language_model."
    enum loam_tie_rule tie;
};

// The row of a model_type; NULL: it is no multimodal model, or not one that is built. `index` enumerates,
// NULL at the end.
const struct loam_multimodal *loam_multimodal_find(const char *model_type);
const struct loam_multimodal *loam_multimodal_at(size_t index);

// The path of a module in the whole model: "model.language_model.layers.0.mlp" of "model.layers.0.mlp". Without a whole it
// stays. Release it with free().
char *loam_multimodal_module_path(const struct loam_multimodal *multimodal, const char *path,
                                  struct loam_error *error);

// Whether a tensor or module is of another part of a multimodal model than its text model.
bool loam_is_of_other_part(const char *name);
// A copy of the path of a module as transformers 5 has it: a path of a text model within an older or newer
// multimodal class becomes "model.language_model.layers.0.mlp"; any other stays. Release it with free().
char *loam_multimodal_path(const char *path, struct loam_error *error);
// What stands behind the path of the text model in such a path, "layers.0.mlp"; NULL: it is no such path.
const char *loam_multimodal_rest(const char *path);
// Whether two such paths are the same module, in the text model alone or within a multimodal one.
bool loam_same_module(const char *a, const char *b);

#endif
