// Targets compared with the whole module tree of a model. PEFT matches target_modules against every named
// module, including containers, norms, the embedding and the head.
#ifndef LOAM_LORA_TARGET_NAMES_H
#define LOAM_LORA_TARGET_NAMES_H

#include "lora/target.h"
#include "model/model.h"

// The first module that the targets name, that PEFT would adapt, and that loam does not: the head or the
// embedding. NULL: none. `*target` is the entry of a list, or the expression, that names it.
enum loam_status loam_targets_beyond(const struct loam_targets *targets, const struct loam_family *family,
                                     const char **module, const char **target, struct loam_error *error);

// The adapted linears of `model` as a list of names that PEFT matches to the same modules and no other: the
// end of a path, as short as it can be, where all modules that end so are adapted, in every layer; else the
// whole path. `adapted` are `count` linears of the model.
enum loam_status loam_targets_name(struct loam_targets *names, const struct loam_model *model,
                                   const struct loam_linear *const *adapted, size_t count,
                                   struct loam_error *error);

#endif
