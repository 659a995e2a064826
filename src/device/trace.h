// What the ops of a stream cost: a stream that carries a trace adds every op that it runs to it.
//
// A floating-point operation is one of a matrix product: linears, LoRA, attention, the head. What is done
// element by element (norms, activations, embeddings, the optimiser) counts as none, and so does what is
// computed a second time to save memory: a pass that recomputes sets loam_stream.recomputing, and what
// an op recomputes within itself is left out. Bytes are the least that the op must move: each input read
// once, each output written once, one that accumulates both.
#ifndef LOAM_DEVICE_TRACE_H
#define LOAM_DEVICE_TRACE_H

#include "device/ops.h"

// LOAM_OP_ID_linear_forward, ...
enum loam_op_id {
#define LOAM_OP(name) LOAM_OP_ID_##name,
#include "device/op_list.def"
#undef LOAM_OP
    LOAM_OP_COUNT
};
const char *loam_op_name(enum loam_op_id op); // "linear_forward"

struct loam_op_cost {
    double flops;
    double bytes;
};
// The cost follows from the shapes and counts in the arguments alone.
#define LOAM_OP(name) struct loam_op_cost loam_##name##_cost(const struct loam_##name##_args *args);
#include "device/op_list.def"
#undef LOAM_OP

struct loam_op_total {
    int64_t calls;
    double seconds;
    double flops;
    double bytes;
};

struct loam_trace {
    struct loam_op_total ops[LOAM_OP_COUNT]; // since the owner cleared them
    bool queued; // ops are not waited for, so that a device computes as without a trace: their seconds stay 0
    // Called after every op that does not recompute; `args` is its struct loam_<op>_args. NULL: none.
    void (*watch)(void *user, enum loam_op_id op, const void *args);
    void *user;
};

#endif
