// An adapter merged into its base: W' = W + (alpha/r) B A for every adapted linear, written as a checkpoint
// of its own.
#ifndef LOAM_LORA_MERGE_H
#define LOAM_LORA_MERGE_H

#include "tensor/tensor.h"

struct loam_merge_settings {
    const char *model;      // directory
    const char *adapter;    // directory
    const char *out;        // directory
    size_t max_shard_bytes; // of the tensors in one file; a larger tensor has a file of its own
    enum loam_dtype dtype;  // of all tensors; LOAM_DTYPE_NONE: each keeps its own
    bool overwrite;
    const struct loam_callbacks *callbacks; // for the log and for progress; NULL: none
};

struct loam_merge_result {
    size_t tensors;
    size_t merged; // of them
    size_t files;  // that hold them
    size_t bytes;  // of them all
    int64_t parameters;
};

// Reads both directories and writes `out`: model.safetensors, or shards with their index, named as
// transformers names them; the names of the base's tensors; config.json (its dtype changed where `dtype` is)
// and the other small files of the base. Sums are f32 and rounded once, to nearest even. One block of a
// tensor and the matrices of one linear are in memory at a time. The files appear in `out` together, when all
// of them are whole; nothing is left there after a failure. A value that the dtype cannot hold is
// LOAM_ERROR_NUMERIC.
enum loam_status loam_merge(const struct loam_merge_settings *settings, struct loam_merge_result *result,
                            struct loam_error *error);

#endif
