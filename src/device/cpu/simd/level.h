// What the levels export under names of their own: for each subject, a file beside this one, its overrides;
// and all of them together.
#ifndef LOAM_DEVICE_CPU_SIMD_LEVEL_H
#define LOAM_DEVICE_CPU_SIMD_LEVEL_H

#include "device/cpu/cpu.h"

#ifndef CPU_LEVEL
#define CPU_LEVEL portable
#endif
#define CPU_JOIN_EXPANDED(name, level) loam_cpu_##name##_##level
#define CPU_JOIN(name, level) CPU_JOIN_EXPANDED(name, level)

// loam_cpu_norm_avx2
#define CPU_OVERRIDES(subject) CPU_JOIN(subject, CPU_LEVEL)

#define CPU_SUBJECTS(SUBJECT)                                                                                \
    SUBJECT(matmul)                                                                                          \
    SUBJECT(lora)                                                                                            \
    SUBJECT(embedding)                                                                                       \
    SUBJECT(norm)                                                                                            \
    SUBJECT(stream)                                                                                          \
    SUBJECT(rope)                                                                                            \
    SUBJECT(attention_forward)                                                                               \
    SUBJECT(attention_backward)                                                                              \
    SUBJECT(kv_cache)                                                                                        \
    SUBJECT(activation)                                                                                      \
    SUBJECT(loss)                                                                                            \
    SUBJECT(optimiser)                                                                                       \
    SUBJECT(limits)

#define CPU_DECLARE(subject) void CPU_OVERRIDES(subject)(struct loam_op_table * ops);
CPU_SUBJECTS(CPU_DECLARE)
CPU_DECLARE(overrides)
void CPU_OVERRIDES(convert)(void *target, enum loam_dtype to, const void *source, enum loam_dtype from,
                            int64_t count, int threads);

#endif
