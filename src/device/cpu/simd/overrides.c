// Everything that a level overrides.
#include "device/cpu/simd/level.h"

void cpu_overrides(struct loam_op_table *ops)
{
    override_matmul(ops);
    override_lora(ops);
    override_embedding(ops);
    override_norm(ops);
    override_rope(ops);
    override_attention_forward(ops);
    override_attention_backward(ops);
    override_kv_cache(ops);
    override_activation(ops);
    override_loss(ops);
    override_optimiser(ops);
}
