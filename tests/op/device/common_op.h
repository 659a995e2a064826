// One op call with its memory: built from a case, run on a device, checked around every byte.
#ifndef LOAM_TESTS_OP_COMMON_OP_H
#define LOAM_TESTS_OP_COMMON_OP_H

#include "test.h"

#include "device/device.h"

enum op {
#define LOAM_OP(name) OP_##name,
#include "device/op_list.def"
#undef LOAM_OP
    OP_COUNT
};
const char *op_name(enum op op);

union op_args {
#define LOAM_OP(name) struct loam_##name##_args name;
#include "device/op_list.def"
#undef LOAM_OP
};
void op_dispatch(struct loam_stream *stream, enum op op, const union op_args *args);

// What is special about a case.
enum op_flag {
    OP_NO_OPTIONAL = 1 << 0, // every optional tensor absent
    OP_IN_PLACE = 1 << 1,    // the output that may be an input is it
    OP_ACCUMULATE = 1 << 2,
    OP_F32_OUTPUT = 1 << 3, // of a linear
    OP_DROPOUT = 1 << 4,
    OP_ALIBI = 1 << 5,
    OP_FUSED_HEADS = 1 << 6,  // q k v are views of [T, heads, 3, D]
    OP_FUSED_BLOCKS = 1 << 7, // q k v are views of [T, (Q + 2 G) D], gate and up of [T, 2 F]
    OP_INVERSE = 1 << 8,
    OP_BIAS = 1 << 9,                // of linear_cross_entropy, with its gradient
    OP_NO_HIDDEN_GRADIENT = 1 << 10, // linear_cross_entropy with dw but without dh
    OP_NO_WEIGHT_GRADIENT = 1 << 11, // ... with dh but without dw
    OP_NO_TARGETS = 1 << 12,
    OP_LARGE = 1 << 13,       // values far from zero
    OP_HALF_WEIGHT = 1 << 14, // bf16 with activations of f32
    OP_F16_WEIGHT = 1 << 15,  // f16 with activations of f32
    OP_TRANSPOSED = 1 << 16,  // the weight is [K, N]
    OP_OFFSET = 1 << 17,      // 1 is added to the weight of rmsnorm
    OP_INTERLEAVED = 1 << 18, // of rope
    OP_FACTOR = 1 << 19,      // a factor that is not 1
    OP_SOFTCAP = 1 << 20,
    OP_QUERY_SCALE = 1 << 21, // of rope_table
    OP_COLUMNS = 1 << 22,     // norms of columns, of dora_norm
    OP_GROUPS = 1 << 23,      // of adamw: ranges of elements with rates of their own
    OP_NOT_FINITE = 1 << 24,  // of adamw: the norm; with OP_IN_PLACE: the guard
};

enum { OP_MAX_SEQUENCES = 6 };

// A row of the case table. A dimension has the letter that it has in ops.h; `pad` is what rows are longer
// than their length where they may be strided, and moves every buffer off its alignment by an element.
struct op_case {
    enum op op;
    int64_t t, k, n, r;                  // tokens; inputs, hidden or inner size; outputs or vocabulary; rank
    int64_t heads, groups, size;         // Q, G, D
    int32_t q_lengths[OP_MAX_SEQUENCES]; // rows of each sequence, up to the first 0
    int32_t kv_extra;                    // keys that a sequence has before its queries
    int32_t window;                      // of attention; 0: none
    int64_t pad;
    enum loam_activation kind;
    unsigned flags;
};

enum op_role { OP_INPUT, OP_OUTPUT, OP_UPDATED };

struct op_buffer {
    const char *name;
    enum op_role role;
    bool exact;                // summed in f32 from exact products, also when the activations are bf16
    struct loam_tensor tensor; // its data is inside `memory`, guards on both sides
    char *memory;
    char *before;   // the same bytes when the case was built
    char *expected; // ... and after the reference ran
    size_t bytes;
};

enum { OP_MAX_BUFFERS = 29 };

struct op_run {
    const struct op_case *test;
    enum loam_dtype dtype; // of activations
    union op_args args;
    struct op_buffer buffers[OP_MAX_BUFFERS];
    size_t count;
    // An output is a sum of about `reduction` terms no larger than `magnitude`.
    double reduction;
    double magnitude;
};

// Buffers for the builders. Inputs and updated tensors hold random numbers in [-1, 1), outputs NaN, and so do
// the gaps between strided rows and the guards: what is read from there shows in the results.
struct loam_tensor op_vector(struct op_run *run, const char *name, enum op_role role, enum loam_dtype dtype,
                             int64_t count);
struct loam_tensor op_matrix(struct op_run *run, const char *name, enum op_role role, enum loam_dtype dtype,
                             int64_t rows, int64_t columns, int64_t pad);
struct loam_tensor op_heads(struct op_run *run, const char *name, enum op_role role, enum loam_dtype dtype,
                            int64_t rows, int64_t heads, int64_t size, int64_t pad);
struct loam_tensor op_indices(struct op_run *run, const char *name, const int32_t *values, int64_t count);
void op_mark_exact(struct op_run *run); // the buffer made last

// Elements by their row-major number, of any float dtype.
double op_get(const struct loam_tensor *tensor, int64_t index);
void op_set(const struct loam_tensor *tensor, int64_t index, double value);
bool op_flagged(const struct op_run *run, unsigned flag);

// A block of host memory that tensors of an op's arguments point into.
struct op_block {
    char *memory;
    size_t bytes;
    size_t guard_before, guard_after; // bytes at its ends that no op may touch
};
// Runs an op in memory of the device: uploads the blocks, runs it with exactly the scratch that the device
// plans for it, which holds NaN before, and downloads the blocks; it must succeed. Where the device's memory
// is the host's, AddressSanitizer catches even a read of a guard.
void op_run_blocks(const struct loam_device *device, enum op op, const union op_args *args,
                   const struct op_block *blocks, size_t count);
void op_run_case(const struct loam_device *device, struct op_run *run);
// Runs an op whose arguments are in the device's memory already.
void op_run_on(const struct loam_device *device, enum op op, const union op_args *args);
// Runs on the reference device, for what a backward needs from its forward.
void op_prepare(enum op op, const union op_args *args);

void op_snapshot(struct op_run *run); // remembers `before`
void op_restore(struct op_run *run);
void op_expect(struct op_run *run); // remembers `expected`
// Guards, gaps and inputs hold what they held before.
void op_check_untouched(const struct op_run *run);
// Outputs agree with `expected` within the tolerance of the run.
void op_check_expected(const struct op_run *run);
void op_run_free(struct op_run *run);

// The case table (common_cases.c), and its builder: every tensor of the op's arguments.
extern const struct op_case op_cases[];
extern const size_t op_case_count;
void op_build(struct op_run *run, const struct op_case *test, enum loam_dtype dtype);
// Runs a case on the reference device and twice on another (common_check.c).
void op_check_case(const struct op_case *test, enum loam_dtype dtype, const struct loam_device *ref,
                   const struct loam_device *device);
// The same with one run on the other device.
void op_check_case_once(const struct op_case *test, enum loam_dtype dtype, const struct loam_device *ref,
                        const struct loam_device *device);
// Runs every case of the table, in each of the set `dtypes` of activations.
void op_check_device(const struct loam_device *device, unsigned dtypes);
// "layernorm_forward case 12 (bf16)", for messages; the sizes where the case is not of the table.
const char *op_describe(const struct op_run *run, char text[96]);

#endif
