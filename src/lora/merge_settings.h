// What a merge is asked for.
#ifndef LOAM_LORA_MERGE_SETTINGS_H
#define LOAM_LORA_MERGE_SETTINGS_H

#include "lora/adapter_list.h"

struct loam_merge_settings {
    const char *model;                    // directory
    struct loam_adapter_choices adapters; // one at least
    const char *out;                      // directory
    size_t max_shard_bytes; // limit of the tensors in a file; a larger tensor has a file of its own
    enum loam_dtype dtype;  // dtype of all tensors; LOAM_DTYPE_NONE: each keeps its own
    bool overwrite;
    const struct loam_callbacks *callbacks; // for the log and for progress; NULL: none
};

#endif
