// What a decoder is made for.
#ifndef LOAM_MODEL_LIMITS_H
#define LOAM_MODEL_LIMITS_H

#include "model/model.h"
#include "model/slots.h"

// What the layers keep of their forward until their backward; the rest is computed again, with the same
// result to the bit.
enum loam_checkpointing {
    LOAM_CHECKPOINT_NONE,  // all that is read and is no elementwise function of the rest
    LOAM_CHECKPOINT_MLP,   // not the inner tensors of the MLP
    LOAM_CHECKPOINT_BLOCK, // the layer's input alone
};

// What the arenas must hold: the largest packed batch and what may be done with it.
struct loam_decoder_limits {
    int32_t tokens; // of a packed batch (train, evaluate) or of a prompt chunk (generate)
    int32_t sequences;
    int32_t context; // generate: rows of the KV cache
    bool train;
    enum loam_checkpointing checkpointing; // train
    bool evaluate;
    bool generate;
    int32_t logit_rows; // rows of logits that one call may ask for; 0: none
    // Adapters that passes may use, with the segments that they use until loam_decoder_adapt names others.
    // They must be there, with their data, whenever a pass uses them.
    struct loam_segments adapters;
    int32_t adapters_of_row; // that one row of a batch goes through at most; 0: as many as there are
    // train: a gradient [parameter_count] for each parameter of the model, f32 in its shape; no data: frozen.
    // NULL: the whole model is.
    const struct loam_tensor *gradients;
};

#endif
