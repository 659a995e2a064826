// The module tree of a model as PyTorch prints it.
#ifndef LOAM_MODEL_TREE_H
#define LOAM_MODEL_TREE_H

#include "base/bytes.h"
#include "model/config.h"

// Appends what print(model) shows in Python, with a newline at the end.
enum loam_status loam_model_tree(const struct loam_config *config, struct loam_bytes *out,
                                 struct loam_error *error);

#endif
