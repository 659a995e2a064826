// The level that a kernel file is compiled for, once for each (cmake/LoamCpu.cmake): its name, its sizes, and
// the names under which its files export what they have.
#ifndef LOAM_DEVICE_CPU_KERNELS_LEVEL_H
#define LOAM_DEVICE_CPU_KERNELS_LEVEL_H

#include "device/cpu/cpu.h"
#include "device/cpu/kernels/sizes.h"

#ifndef CPU_LEVEL
#define CPU_LEVEL portable
#endif
#define CPU_JOIN_NAME(name, level) loam_cpu_##name##_##level
#define CPU_JOIN_SIZE(name, level) level##_##name
#define CPU_EXPAND(join, name, level) join(name, level)

// loam_cpu_norm_avx2
#define CPU_NAME(name) CPU_EXPAND(CPU_JOIN_NAME, name, CPU_LEVEL)
// avx2_LANES
#define CPU_SIZE(name) CPU_EXPAND(CPU_JOIN_SIZE, name, CPU_LEVEL)

enum {
    LANES = CPU_SIZE(LANES),
    GEMM_COLUMNS = CPU_SIZE(GEMM_COLUMNS), // of a tile
};

// The subjects whose ops are vector code throughout: each has a file beside this one, which sets its ops.
#define CPU_SUBJECTS(SUBJECT)                                                                                \
    SUBJECT(bias)                                                                                            \
    SUBJECT(dora)                                                                                            \
    SUBJECT(embedding)                                                                                       \
    SUBJECT(tokens)                                                                                          \
    SUBJECT(norm)                                                                                            \
    SUBJECT(stream)                                                                                          \
    SUBJECT(rope)                                                                                            \
    SUBJECT(attention_forward)                                                                               \
    SUBJECT(attention_backward)                                                                              \
    SUBJECT(activation)                                                                                      \
    SUBJECT(loss)                                                                                            \
    SUBJECT(logits)                                                                                          \
    SUBJECT(top_logits)                                                                                      \
    SUBJECT(optimiser)

#define CPU_DECLARE(subject) void CPU_NAME(subject)(struct loam_op_table * ops);
CPU_SUBJECTS(CPU_DECLARE)
#undef CPU_DECLARE

#endif
