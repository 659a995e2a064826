// What a family and a model of it are made of, in words.
#ifndef LOAM_MODEL_DESCRIBE_H
#define LOAM_MODEL_DESCRIBE_H

#include "base/bytes.h"
#include "model/config.h"

enum loam_trait {
    LOAM_TRAIT_NORMS,
    LOAM_TRAIT_POSITIONS,
    LOAM_TRAIT_ATTENTION,
    LOAM_TRAIT_WINDOWS,
    LOAM_TRAIT_MLP,
    LOAM_TRAIT_FACTORS,
    LOAM_TRAIT_HEAD,
    LOAM_TRAIT_TARGETS, // of LoRA, where none are given
    LOAM_TRAIT_COUNT,
};

const char *loam_trait_name(enum loam_trait trait); // "norms"

// Appends a trait of a family, from its rows, to `out`; with `config` that of a model of this family, with its
// numbers. "none" where there is nothing.
enum loam_status loam_describe_trait(const struct loam_family *family, const struct loam_config *config,
                                     enum loam_trait trait, struct loam_bytes *out, struct loam_error *error);

#endif
