// The state of a merge, which its parts share.
#ifndef LOAM_LORA_MERGE_STATE_H
#define LOAM_LORA_MERGE_STATE_H

#include "io/staging.h"
#include "lora/adapter.h"
#include "lora/merge_settings.h"

// The update that an adapter has for the linear that is merged now.
struct loam_merge_term {
    const struct loam_adapted *item;
    float scale;  // with the adapter's factor
    float *left;  // [rows, r] of the stored matrix: B, or AT where that is transposed
    float *right; // [r, columns] A, or BT
};

// The state of a merge. Arrays are [parameter_count] if no other size is given.
struct loam_merge_state {
    const struct loam_merge_settings *settings;
    struct loam_model *model; // names and shapes
    struct loam_container *base;
    struct loam_adapter **adapters; // [adapter_count]
    size_t adapter_count;
    const struct loam_stored_tensor **sources;
    const struct loam_adapted **adapted; // [parameter_count, adapters] the updates of a parameter; NULL: none
    const struct loam_linear **merged;   // the module of a parameter that has an update; NULL: none
    bool *has_tokens;                    // whether rows of a parameter are those of trained tokens
    const struct loam_stored_tensor **replaced; // an adapter's values of a parameter; NULL: those of the base
    struct loam_write_tensor *tensors;          // the tensors to write
    size_t *bytes;
    size_t *shard_of;
    size_t shards;
    size_t untied;                      // the parameter of a head that the merge unties; 0: none
    struct loam_write_tensor *of_shard; // the tensors of the current file
    size_t *parameter_of;               // the parameters of these tensors
    struct loam_staging staging;
    int64_t done;  // bytes written
    int64_t total; // bytes to write
    // The linear that is merged now, and its buffers.
    const struct loam_linear *current;
    struct loam_merge_term *terms; // [adapter_count], with `term_count` in use
    size_t term_count;
    float **buffers;     // [2 adapter_count] for left and right of each adapter
    float *row;          // [columns] W, then W'
    float *delta;        // [columns] left right
    bool has_other_chat; // the result has an adapter's chat template
    double *gains;       // [out] of DoRA: magnitude / ||W + scale B A|| by outputs
};

// Opens the base and the adapters of the settings, and notes what each parameter is made of. loam_merge_state_deinit
// releases it, also after a failure.
enum loam_status loam_merge_state_init(struct loam_merge_state *merge,
                                       const struct loam_merge_settings *settings, struct loam_error *error);
void loam_merge_state_deinit(struct loam_merge_state *merge);

// Where log lines go; NULL: nowhere.
const struct loam_log *loam_merge_log(const struct loam_merge_settings *settings);
// The weight that the rows of tokens go to: that of their module, or that of the head that shares them.
const struct loam_parameter *loam_merge_token_weight(const struct loam_merge_state *merge,
                                                     const struct loam_trained_tokens *tokens, size_t place);

#endif
