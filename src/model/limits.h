// What a decoder is made for.
#ifndef LOAM_MODEL_LIMITS_H
#define LOAM_MODEL_LIMITS_H

#include "model/model.h"
#include "model/slots.h"

// What the layers keep of their forward until their backward. The rest is computed again and gives the same
// bits.
enum loam_checkpointing {
    LOAM_CHECKPOINT_NONE,  // all that the backward reads, except elementwise functions of what is kept
    LOAM_CHECKPOINT_MLP,   // the same without the inner tensors of the MLP
    LOAM_CHECKPOINT_BLOCK, // only the layer's input
};

// Up to so many rows of a pass, a row has the same bits whatever their number, on every device. The products of
// more rows may add up in another order.
enum { LOAM_ROWS_ALIKE = 8 };

// What the arenas must hold: the largest packed batch and what may be done with it.
struct loam_decoder_limits {
    int32_t tokens; // of a packed batch (train, evaluate) or of a prompt chunk (generate)
    int32_t sequences;
    int32_t context; // generate: rows of the KV cache for each sequence
    int32_t cached;  // generate: sequences in the KV cache; 0: one
    bool train;
    enum loam_checkpointing checkpointing; // train
    bool evaluate;
    bool generate;
    int32_t logit_rows; // rows of logits that one call may ask for; 0: none
    // The adapters that passes may use. These segments are in use until loam_decoder_adapt chooses others.
    // An adapter must exist, with its data, whenever a pass uses it.
    struct loam_segments adapters;
    int32_t adapters_of_row; // segments that one row of a batch goes through at most; 0: one for each adapter
    // [parameter_count] The gradient of each parameter of the model when training: f32, in the parameter's
    // shape; no data: the parameter is frozen. NULL: the whole model is frozen.
    const struct loam_tensor *gradients;
};

#endif
