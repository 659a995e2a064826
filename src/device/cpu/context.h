// What the CPU device computes with at one level of instructions: sizes of blocks and pointers to kernels.
// The ops read them from here, and none of them asks for a level.
#ifndef LOAM_DEVICE_CPU_CONTEXT_H
#define LOAM_DEVICE_CPU_CONTEXT_H

#include "device/cpu/onednn.h"
#include "device/device.h"

// loam_convert by `threads` threads.
typedef void cpu_convert(void *target, enum loam_dtype to, const void *source, enum loam_dtype from,
                         int64_t count, int threads);

struct gemm;
struct gemm_tile;
struct gemm_kernel;
struct attention_forward_kernel;
struct attention_backward_kernel;

// How a large product is cut (ops/gemm.c).
struct gemm_blocks {
    int64_t lanes;         // f32 in a vector; reads and writes may go so far past an end
    int64_t rows, columns; // of a tile, whose sums are in registers
    int64_t depth;         // along the sum, of a slice
    int64_t task_columns;  // of a task, at most
    int64_t tasks_each;    // tasks for each thread, where there are enough columns
};

// One way to compute LoRA beside a linear.
struct lora_kernel {
    enum loam_status (*forward)(struct loam_stream *stream, const struct loam_lora_forward_args *args);
    size_t (*forward_scratch)(const struct loam_device *device, const struct loam_lora_forward_args *args);
    enum loam_status (*backward)(struct loam_stream *stream, const struct loam_lora_backward_args *args);
    size_t (*backward_scratch)(const struct loam_device *device, const struct loam_lora_backward_args *args);
};

// linear_forward of few tokens, which is bound by reading the weight.
struct few_kernel {
    int64_t tokens; // that it takes at most
    size_t (*scratch)(const struct loam_linear_forward_args *args);
    enum loam_status (*forward)(struct loam_stream *stream, const struct loam_linear_forward_args *args);
};

struct cpu_context {
    const char *name; // of the level: "avx2"
    bool (*runs_here)(void);
    enum matmul_isa matmul;                     // what oneDNN is limited to when the level is forced
    void (*set_ops)(struct loam_op_table *ops); // sets the ops that are vector code throughout
    cpu_convert *convert;
    const struct few_kernel *few;
    // Large products, by the dtypes of their operands; NULL: oneDNN makes them.
    struct gemm_blocks gemm;
    void (*gemm_finish)(const struct gemm *gemm, const struct gemm_tile *tile);
    const struct gemm_kernel *gemm_f32;   // f32 with f32
    const struct gemm_kernel *gemm_bf16;  // bf16 with bf16
    const struct gemm_kernel *gemm_mixed; // two dtypes, or f16
    const struct lora_kernel *lora;
    // By the processor's products of bf16, where it has them; NULL: as the rest.
    const struct lora_kernel *lora_bf16; // activations of bf16 without dropout
    const struct attention_forward_kernel *attention_forward_bf16;
    const struct attention_backward_kernel *attention_backward_bf16;
    const struct loam_limits *limits;
};

// The best that the processor has, or the one that LOAM_ISA names. A name that does not exist is
// LOAM_ERROR_ARGUMENT, a level that cannot be had LOAM_ERROR_UNSUPPORTED.
enum loam_status loam_cpu_choose_context(const struct cpu_context **out, struct loam_error *error);
bool loam_cpu_has_f16c(void); // __builtin_cpu_supports does not know F16C in every compiler
// "avx2, portable": every level, or those that run here.
void loam_cpu_list_levels(bool all, char *text, size_t size);

#endif
