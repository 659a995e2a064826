// The table of the ops that the kernels make.
#include "device/gpu/ops/ops.h"

_Static_assert((int)DTYPE_F32 == (int)LOAM_F32 && (int)DTYPE_F16 == (int)LOAM_F16 &&
                   (int)DTYPE_BF16 == (int)LOAM_BF16,
               "kernels number the dtypes as the host does");
_Static_assert((int)ACTIVATION_GELU_TANH == (int)LOAM_GELU_TANH && (int)ACTIVATION_SILU == (int)LOAM_SILU &&
                   (int)ACTIVATION_GELU == (int)LOAM_GELU && (int)ACTIVATION_RELU == (int)LOAM_RELU &&
                   (int)ACTIVATION_RELU2 == (int)LOAM_RELU2 &&
                   (int)ACTIVATION_QUICK_GELU == (int)LOAM_QUICK_GELU && (int)LOAM_ACTIVATION_COUNT == 6,
               "kernels number the activations as the host does");

void loam_gpu_set_ops(struct loam_op_table *ops)
{
    *ops = (struct loam_op_table){
#define LOAM_OP(name) .name = {.run = loam_gpu_##name},
#include "device/op_list.def"
#undef LOAM_OP
    };
    ops->linear_forward.scratch = loam_gpu_linear_forward_scratch;
    ops->linear_backward_input.scratch = loam_gpu_linear_backward_input_scratch;
    ops->linear_backward_weight.scratch = loam_gpu_linear_backward_weight_scratch;
    ops->lora_forward.scratch = loam_gpu_lora_forward_scratch;
    ops->lora_backward.scratch = loam_gpu_lora_backward_scratch;
    ops->lora_linear_forward.scratch = loam_gpu_lora_linear_forward_scratch;
    ops->lora_linear_backward.scratch = loam_gpu_lora_linear_backward_scratch;
    ops->linears_forward.scratch = loam_gpu_linears_forward_scratch;
    ops->linears_backward.scratch = loam_gpu_linears_backward_scratch;
    ops->lora_embedding_forward.scratch = loam_gpu_lora_embedding_forward_scratch;
    ops->lora_embedding_backward.scratch = loam_gpu_lora_embedding_backward_scratch;
    ops->embedding_backward.scratch = loam_gpu_embedding_backward_scratch;
    ops->replace_rows_backward.scratch = loam_gpu_replace_rows_backward_scratch;
    ops->attention_forward.scratch = loam_gpu_attention_forward_scratch;
    ops->attention_backward.scratch = loam_gpu_attention_backward_scratch;
    ops->linear_cross_entropy.scratch = loam_gpu_linear_cross_entropy_scratch;
    ops->cross_entropy.scratch = loam_gpu_cross_entropy_scratch;
    ops->top_logits.scratch = loam_gpu_top_logits_scratch;
    ops->squared_norm.scratch = loam_gpu_squared_norm_scratch;
    ops->attention_forward.refuses = loam_gpu_attention_forward_refuses;
    ops->attention_backward.refuses = loam_gpu_attention_backward_refuses;
}
