// Merging adapters into their base, W' = W + sum of factor (alpha/r) B A for every adapted linear, and writing the
// result as a model directory. With DoRA each row of W' is scaled to its magnitude. A bias of B is added to the
// bias of its linear, and rows of trained tokens replace the base's. Where adapters change a tied head or its
// embedding, but not both alike, the head gets a weight of its own.
#ifndef LOAM_LORA_MERGE_H
#define LOAM_LORA_MERGE_H

#include "lora/merge_settings.h"

struct loam_merge_result {
    size_t tensors;
    size_t merged; // tensors that were changed
    size_t files;  // safetensors files
    size_t bytes;  // bytes of all tensors
    int64_t parameters;
};

// Reads all directories and writes `out`: model.safetensors, or shards and an index with transformers'
// names; config.json, with the new dtype if `dtype` is set; and the other small files of the base. Tensors
// keep their names. The update is accumulated in f32 and rounded once, to nearest even. Memory holds one
// block of a tensor and the matrices of one linear, of every adapter, at a time. The files appear in `out` together, after all
// are complete. After a failure nothing is left there. A value that the dtype cannot hold is
// LOAM_ERROR_NUMERIC.
enum loam_status loam_merge(const struct loam_merge_settings *settings, struct loam_merge_result *result,
                            struct loam_error *error);

#endif
