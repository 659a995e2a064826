// Packed batches of loam.h as a decoder takes them: checked, copied into a batch of the library's own, with
// the segments of their adapters.
#ifndef LOAM_API_PACKING_H
#define LOAM_API_PACKING_H

#include "api/handles.h"
#include "model/decoder.h"

struct loam_packing {
    struct loam_model_handle *model;    // held
    struct loam_held_adapters adapters; // those that batches may name
    struct loam_batch batch;
    struct loam_segment *segments; // [sequences]
    float *ones;                   // [tokens] the weights of a batch that has none
};

// Room for batches of so many tokens and sequences. On failure nothing is held.
enum loam_status loam_packing_init(struct loam_packing *packing, struct loam_model_handle *model,
                                   struct loam_adapter_handle *const *adapters, size_t adapter_count,
                                   int32_t tokens, int32_t sequences, struct loam_error *error);
void loam_packing_deinit(struct loam_packing *packing);

// Checks the batch, copies it into packing->batch, and sets the adapters that it names in the decoder.
enum loam_status loam_packing_fill(struct loam_packing *packing, struct loam_decoder *decoder,
                                   const struct loam_packed_batch *batch, struct loam_error *error);
// losses [tokens] of the last pass over the batch; NULL: not wanted.
void loam_packing_copy_losses(const struct loam_packing *packing, float *losses);

#endif
