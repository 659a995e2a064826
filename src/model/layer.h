// A layer runs the branches of its family's rows; a branch is a body between norms. Each body, attention or
// MLP, is a table of functions that the layer calls.
#ifndef LOAM_MODEL_LAYER_H
#define LOAM_MODEL_LAYER_H

#include "model/linear.h"

// One branch of one layer in a pass.
struct loam_branch_run {
    struct loam_pass *pass;
    int64_t index; // of the layer
    const struct loam_layer *layer;
    const struct loam_branch *row;
    struct loam_layer_state *layer_state;
    struct loam_branch_state *state;
    bool last; // of the layer
    // Backward.
    bool through_input;        // the gradient goes down to the branch's input, or to the norm before the body
    struct loam_tensor target; // [T, H] += the gradient of what the branch reads
};

struct loam_body_table {
    enum loam_linear_slot inner[4]; // linears that read the branch's input
    int inner_count;
    enum loam_norm_slot norms[2]; // norms inside the body
    int norm_count;
    enum loam_linear_slot output; // the linear that ends the body
    // Memory for what `project` and `mix` make.
    void (*allocate)(const struct loam_branch_run *run);
    // The inner linears of n [T, H], the input after its norm.
    void (*project)(const struct loam_branch_run *run, struct loam_tensor n);
    // What comes between and does not read n; NULL: nothing does.
    void (*mix)(const struct loam_branch_run *run);
    // What the output linear reads: kept, or made in memory from the arena.
    struct loam_tensor (*source)(const struct loam_branch_run *run);
    // From dy [T, H], the gradient of what the output linear wrote, down to run->target.
    void (*backward)(const struct loam_branch_run *run, struct loam_tensor dy);
};
extern const struct loam_body_table loam_attention_body;
extern const struct loam_body_table loam_mlp_body;

// The input of a branch after its norm, for the backward of the inner linears: n [T, H] where `wanted`, else
// none, and where its gradient goes: dn [T, H], to which the first linear adds where `accumulate`.
struct loam_branch_input {
    struct loam_tensor n;
    struct loam_tensor dn;
    bool accumulate;
};
struct loam_branch_input loam_branch_input_open(const struct loam_branch_run *run, bool wanted);
// dn goes through the norm to run->target.
void loam_branch_input_close(const struct loam_branch_run *run, const struct loam_branch_input *input);

// Runs a layer from pass->x to pass->x, and keeps what its backward reads.
void loam_layer_forward(struct loam_pass *pass, int64_t index);
// dres [T, H] is the gradient of the layer's output. On return it is the gradient of the layer's input where
// `below`, and undefined otherwise.
void loam_layer_backward(struct loam_pass *pass, int64_t index, struct loam_tensor dres, bool below);

bool loam_layer_trained(const struct loam_decoder *decoder, const struct loam_layer *layer);
// The branch whose attention, in the top layer, is the last op that reads rows without labels, so that they
// are dropped there. -1: rows are never dropped.
int loam_family_drop_branch(const struct loam_family *family);
// Whether later branches read the layer's input behind the norm of the first: it is computed once for all of them.
bool loam_family_shares_norm(const struct loam_family *family);
// Whether rows are dropped within a branch of this pass.
bool loam_branch_drops_rows(const struct loam_pass *pass, int64_t index, const struct loam_branch *row);

#endif
