// Names of what a level exports, and the overrides of the files beside this one.
#ifndef LOAM_DEVICE_CPU_SIMD_LEVEL_H
#define LOAM_DEVICE_CPU_SIMD_LEVEL_H

#include "device/cpu/cpu.h"

#ifndef CPU_LEVEL
#define CPU_LEVEL portable
#endif
#define CPU_JOIN_EXPANDED(name, level) name##_##level
#define CPU_JOIN(name, level) CPU_JOIN_EXPANDED(name, level)
#define CPU_NAME(name) CPU_JOIN(name, CPU_LEVEL)

#define cpu_overrides CPU_NAME(cpu_overrides)
#define override_matmul CPU_NAME(override_matmul)
#define override_lora CPU_NAME(override_lora)
#define override_embedding CPU_NAME(override_embedding)
#define override_norm CPU_NAME(override_norm)
#define override_rope CPU_NAME(override_rope)
#define override_attention_forward CPU_NAME(override_attention_forward)
#define override_attention_backward CPU_NAME(override_attention_backward)
#define override_kv_cache CPU_NAME(override_kv_cache)
#define override_activation CPU_NAME(override_activation)
#define override_loss CPU_NAME(override_loss)
#define override_optimiser CPU_NAME(override_optimiser)

void cpu_overrides(struct loam_op_table *ops);
void override_matmul(struct loam_op_table *ops);
void override_lora(struct loam_op_table *ops);
void override_embedding(struct loam_op_table *ops);
void override_norm(struct loam_op_table *ops);
void override_rope(struct loam_op_table *ops);
void override_attention_forward(struct loam_op_table *ops);
void override_attention_backward(struct loam_op_table *ops);
void override_kv_cache(struct loam_op_table *ops);
void override_activation(struct loam_op_table *ops);
void override_loss(struct loam_op_table *ops);
void override_optimiser(struct loam_op_table *ops);

#endif
