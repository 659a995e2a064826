// The reference device: its table of ops and its constructor.
#include "device/ref/ref.h"

#include <stdlib.h>

#include "base/heap.h"

static void set_ops(struct loam_op_table *ops)
{
    *ops = (struct loam_op_table){
#define LOAM_FUSED_OP(name)
#define LOAM_OP(name) .name = {.run = loam_ref_##name},
#include "device/op_list.def"
#undef LOAM_OP
    };
    ops->lora_backward.scratch = loam_ref_lora_backward_scratch;
    ops->attention_forward.scratch = loam_ref_attention_forward_scratch;
    ops->attention_backward.scratch = loam_ref_attention_backward_scratch;
    ops->linear_cross_entropy.scratch = loam_ref_linear_cross_entropy_scratch;
}

static void ref_destroy(struct loam_device *device)
{
    free(device);
}

enum loam_status loam_device_ref_create(struct loam_device **out, int threads, struct loam_error *error)
{
    (void)threads; // one is what the reference uses
    struct loam_device *device = loam_calloc(1, sizeof *device, error);
    if (device == NULL) return LOAM_ERROR_MEMORY;
    *device = (struct loam_device){.name = "ref",
                                   .threads = 1,
                                   .formats = {.compute = 1u << LOAM_F32 | 1u << LOAM_BF16 | 1u << LOAM_F16,
                                               .preferred = 1u << LOAM_F32,
                                               .master = 1u << LOAM_F32},
                                   .host_memory = true,
                                   .alignment = LOAM_ARENA_ALIGN,
                                   .largest_buffer = SIZE_MAX,
                                   .memory = &loam_host_memory,
                                   .destroy = ref_destroy};
    set_ops(&device->ops);
    *out = device;
    return LOAM_OK;
}
