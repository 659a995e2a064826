#include <math.h>

#include "device/gpu/ops/ops.h"

// Elements of a part of a sum of squares, and the parts: as many as one block sums.
enum { SHARE = 4096, PARTS = BLOCK_THREADS };

static int64_t share_of(const struct loam_tensor *x)
{
    const int64_t count = loam_tensor_count(x);
    return count <= (int64_t)SHARE * PARTS ? SHARE : loam_blocks(count, PARTS);
}

size_t loam_gpu_squared_norm_scratch(const struct loam_device *device,
                                     const struct loam_squared_norm_args *args)
{
    (void)device;
    (void)args;
    return loam_scratch_bytes(PARTS, sizeof(u64));
}

enum loam_status loam_gpu_squared_norm(struct loam_stream *stream, const struct loam_squared_norm_args *args)
{
    void *const parts = loam_stream_scratch(stream, loam_scratch_bytes(PARTS, sizeof(u64)));
    if (parts == NULL) return LOAM_ERROR_INTERNAL;
    const size_t shared = BLOCK_THREADS * sizeof(u64);
    const struct squared_norm_parts_params p = {.count = loam_tensor_count(&args->x),
                                                .share = share_of(&args->x)};
    const int64_t blocks = loam_blocks(p.count, p.share);
    LOAM_TRY(loam_gpu_launch(stream, &(struct loam_launch){.kernel = LOAM_KERNEL_squared_norm_parts,
                                                           .grid = {blocks},
                                                           .shared = shared,
                                                           .buffers = {args->x.data, parts},
                                                           LOAM_PARAMS(p)}));
    const struct squared_norm_total_params total = {.parts = (i32)blocks};
    return loam_gpu_launch(stream, &(struct loam_launch){.kernel = LOAM_KERNEL_squared_norm_total,
                                                         .grid = {1},
                                                         .shared = shared,
                                                         .buffers = {parts, args->result.data},
                                                         LOAM_PARAMS(total)});
}

_Static_assert((int)ADAMW_GROUPS == (int)LOAM_ADAMW_GROUPS, "kernels have as many groups as the op");

static struct adamw_params adamw_params_of(const struct loam_adamw_args *args)
{
    const double step = (double)args->step, correction = 1.0 - pow((double)args->beta1, step);
    struct adamw_params p = {.cells = loam_cells(loam_tensor_count(&args->param)),
                             .grad_factor = args->grad_factor,
                             .max_norm = args->max_norm,
                             .correction = (float)(1.0 / (1.0 - pow((double)args->beta2, step))),
                             .beta1 = args->beta1,
                             .beta2 = args->beta2,
                             .rest1 = (float)(1.0 - (double)args->beta1),
                             .rest2 = (float)(1.0 - (double)args->beta2),
                             .eps = args->eps,
                             .mirror_dtype = (i32)args->mirror.dtype};
    if (args->starts.data != NULL) p.ranges = (i32)loam_tensor_count(&args->starts);
    for (int i = 0; i < ADAMW_GROUPS; i++) {
        const double rate = (double)args->rates[i].learning_rate;
        p.rates[i].kept = (float)(1.0 - rate * (double)args->rates[i].weight_decay);
        p.rates[i].rate = (float)(rate / correction);
    }
    return p;
}

enum loam_status loam_gpu_adamw(struct loam_stream *stream, const struct loam_adamw_args *args)
{
    const struct adamw_params p = adamw_params_of(args);
    return loam_gpu_launch(
        stream, &(struct loam_launch){.kernel = LOAM_KERNEL_adamw,
                                      .grid = {loam_cell_blocks(1, p.cells)},
                                      .buffers = {args->param.data, args->grad.data, args->m.data,
                                                  args->v.data, args->mirror.data, args->squared_norm.data,
                                                  args->guard.data, args->starts.data, args->groups.data},
                                      LOAM_PARAMS(p)});
}
