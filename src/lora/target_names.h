// Matching of targets against the whole module tree of a model, as in PEFT. PEFT matches target_modules
// against every named module, including containers, norms, the embedding and the head.
#ifndef LOAM_LORA_TARGET_NAMES_H
#define LOAM_LORA_TARGET_NAMES_H

#include "lora/target.h"
#include "model/model.h"

// Makes a list of names that PEFT matches to the adapted linears of `model` and to no other module. A name is
// the shortest end of a path whose modules are all adapted in every layer; if there is none, it is the whole
// path. `adapted` [count] are linears of the model.
enum loam_status loam_targets_name(struct loam_targets *names, const struct loam_model *model,
                                   const struct loam_linear *const *adapted, size_t count,
                                   struct loam_error *error);

#endif
