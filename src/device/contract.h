// The contract of each op: what it accepts on every device. Dispatch checks it, so that a backend's own
// `refuses` names only what that backend lacks.
#ifndef LOAM_DEVICE_CONTRACT_H
#define LOAM_DEVICE_CONTRACT_H

#include "device/trace.h"

// Why the arguments break the op's contract (shapes, dtypes, strides, ranges); NULL where they keep it. Reads
// no memory of the device.
#define LOAM_OP(name) const char *loam_check_##name(const struct loam_##name##_args *args);
#include "device/op_list.def"
#undef LOAM_OP

enum loam_op_access {
    LOAM_READS,
    LOAM_READS_WEIGHT,   // of a dtype that activations need not have
    LOAM_READS_IN_PLACE, // an output may be this very tensor
    LOAM_WRITES,         // written whole
    LOAM_UPDATES,        // read and written: it accumulates, or is changed in place
};
struct loam_op_tensor {
    const char *name; // "w.tensor"
    enum loam_op_access access;
    size_t offset; // of the struct loam_tensor in the op's arguments
};
enum { LOAM_MAX_OP_TENSORS = 23 };
// Why a device that computes in `formats` (a set of dtypes) cannot do an op: a tensor is in another half; NULL where it
// can. Weights may be in both halves on every device.
const char *loam_check_formats(enum loam_op_id op, const void *args, unsigned formats);
// The tensors of an op's arguments; their number.
size_t loam_op_tensors(enum loam_op_id op, struct loam_op_tensor tensors[LOAM_MAX_OP_TENSORS]);

// Why the memory of an op's tensors breaks its contract: an output overlaps another tensor. NULL where it
// does not. `args` is the op's struct loam_<op>_args, with addresses of real memory.
const char *loam_check_memory(enum loam_op_id op, const void *args);

#endif
