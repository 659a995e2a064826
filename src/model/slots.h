// Adapters as a pass takes them. A loaded model never changes: an adapter owns a slot for each linear and the
// parameters that stand in place of the model's, and a pass is told which rows of its batch go through which
// adapter.
#ifndef LOAM_MODEL_SLOTS_H
#define LOAM_MODEL_SLOTS_H

#include "model/weight.h"

// LoRA is an attribute of a linear: y = x WT + b + scale ((drop(x) AT) BT + bias). With a magnitude (DoRA) it is
// y = x WT + b + (g - 1) drop(x) WT + g scale (drop(x) AT) BT, g = magnitude / ||W + scale B A|| by rows.
struct loam_lora_slot {
    int rank;                 // 0: the adapter leaves this linear as it is
    float scale;              // alpha / rank
    float dropout;            // probability
    uint32_t index;           // among the adapted linears, in model order: keeps the random streams apart
    struct loam_tensor a;     // [rank, in] f32
    struct loam_tensor b;     // [out, rank] f32
    struct loam_tensor da;    // [rank, in] f32; data NULL: the adapter is not trained
    struct loam_tensor db;    // [out, rank] f32
    struct loam_tensor bias;  // [out] f32, of B; data NULL: none
    struct loam_tensor dbias; // [out] f32; data NULL: not trained
    // A frozen update that is taken from the base, with the same factor: PiSSA and OLoRA start from W - scale
    // B0 A0. NULL: none.
    const struct loam_lora_slot *taken;
    bool dora;
    // Of DoRA, [out] f32; an embedding has one for each column, [in].
    struct loam_tensor magnitude;
    struct loam_tensor dmagnitude; // data NULL: not trained
    struct loam_tensor norms;      // of an adapter that does not change; data NULL: computed in a pass
};

// Tokens that have rows of their own in the embedding or the head.
struct loam_token_rows {
    struct loam_tensor tokens; // [n] i32, rising; data NULL: there are none
    struct loam_tensor rows;   // [n, H] f32
    struct loam_tensor drows;  // [n, H] f32; data NULL: not trained
};
enum loam_token_place { LOAM_TOKENS_OF_EMBEDDING, LOAM_TOKENS_OF_HEAD, LOAM_TOKEN_PLACES };

// What stands in place of a parameter of the model.
struct loam_replacement {
    struct loam_tensor value;         // in the shape of the parameter and the dtype of the model
    struct loam_weight_handle handle; // of a matrix
    struct loam_tensor gradient;      // f32; data NULL: not trained
};

// An adapter: one slot for each linear of the model, in model order (struct loam_linear.index), one for the
// head and one for the embedding, which is W [V, H] there: each token selects a row of W + scale B A. An
// adapter that replaces parameters goes over whole batches, with the factor 1.
struct loam_adapter_slots {
    size_t count;
    struct loam_lora_slot *slots; // [count]
    struct loam_token_rows tokens[LOAM_TOKEN_PLACES];
    // One for each parameter of the model, in its order, and last one for the weight of a tied head, which may
    // differ from that of the embedding. NULL: the parameter of the model is used.
    const struct loam_replacement **replaced; // [replaced_count]
    size_t replaced_count;                    // 0: the adapter replaces none
};

enum { LOAM_ALL_ROWS = -1 };

// Rows of a batch that go through an adapter. Segments may share rows: their updates add up.
struct loam_segment {
    const struct loam_adapter_slots *adapter;
    int32_t first; // row
    int32_t rows;  // LOAM_ALL_ROWS: up to the end of the batch
    float factor;  // of the adapter's update; 1 as the adapter was trained, 0 none, -1 taken away
};

// The segments of a pass. An empty list is the base model.
struct loam_segments {
    const struct loam_segment *items;
    size_t count;
};

#endif
