#include "device/gpu/ops/ops.h"

static const char *check_size(const struct loam_tensor *q)
{
    return q->shape[2] > ATTENTION_MOST ? "heads have more than 256 elements" : NULL;
}

const char *loam_gpu_attention_forward_refuses(const struct loam_device *device,
                                               const struct loam_attention_forward_args *args)
{
    (void)device;
    return check_size(&args->q);
}

const char *loam_gpu_attention_backward_refuses(const struct loam_device *device,
                                                const struct loam_attention_backward_args *args)
{
    (void)device;
    return check_size(&args->q);
}

static struct heads_stride stride_of(const struct loam_tensor *x)
{
    return (struct heads_stride){.row = x->stride[0], .head = x->stride[1]};
}

static struct attention_params params_of(const struct loam_tensor *q, const struct loam_tensor *k,
                                         const struct loam_tensor *v,
                                         const struct loam_attention_shape *shape)
{
    return (struct attention_params){.q = stride_of(q),
                                     .k = stride_of(k),
                                     .v = stride_of(v),
                                     .tokens = (i32)q->shape[0],
                                     .heads = (i32)q->shape[1],
                                     .groups = (i32)k->shape[1],
                                     .size = (i32)q->shape[2],
                                     .dtype = (i32)q->dtype,
                                     .window = shape->window,
                                     .scale = shape->scale,
                                     .softcap = shape->softcap};
}

static int64_t sequences_of(const struct loam_attention_shape *shape)
{
    return loam_tensor_count(&shape->q_offsets) - 1;
}

// `matrices` of a tile, and two of parts of heads
static size_t shared_bytes(size_t matrices)
{
    return ATTENTION_TILE * (matrices * ATTENTION_SCORES + 2 * ATTENTION_PITCH) * sizeof(f32);
}

enum loam_status loam_gpu_attention_forward(struct loam_stream *stream,
                                            const struct loam_attention_forward_args *args)
{
    const struct loam_attention_shape *shape = &args->shape;
    const struct attention_params p = params_of(&args->q, &args->k, &args->v, shape);
    return loam_gpu_launch(
        stream, &(struct loam_launch){
                    .kernel = LOAM_KERNEL_attention_forward,
                    .grid = {loam_blocks(shape->max_q, ATTENTION_TILE), p.heads, sequences_of(shape)},
                    .shared = shared_bytes(1),
                    .buffers = {args->q.data, args->k.data, args->v.data, shape->q_offsets.data,
                                shape->kv_offsets.data, shape->slopes.data, args->out.data, args->lse.data},
                    LOAM_PARAMS(p)});
}

size_t loam_gpu_attention_backward_scratch(const struct loam_device *device,
                                           const struct loam_attention_backward_args *args)
{
    (void)device;
    return loam_scratch_bytes(args->q.shape[0] * args->q.shape[1], sizeof(f32));
}

static enum loam_status backward_queries(struct loam_stream *stream,
                                         const struct loam_attention_backward_args *args,
                                         const struct attention_params *p, void *delta)
{
    const struct loam_attention_shape *shape = &args->shape;
    return loam_gpu_launch(
        stream, &(struct loam_launch){
                    .kernel = LOAM_KERNEL_attention_backward_queries,
                    .grid = {loam_blocks(shape->max_q, ATTENTION_TILE), p->heads, sequences_of(shape)},
                    .shared = shared_bytes(1),
                    .buffers = {args->q.data, args->k.data, args->v.data, shape->q_offsets.data,
                                shape->kv_offsets.data, shape->slopes.data, args->dout.data, args->lse.data,
                                delta, args->dq.data},
                    LOAM_PARAMS(*p)});
}

static enum loam_status backward_keys(struct loam_stream *stream,
                                      const struct loam_attention_backward_args *args,
                                      const struct attention_params *p, void *delta)
{
    const struct loam_attention_shape *shape = &args->shape;
    return loam_gpu_launch(
        stream, &(struct loam_launch){
                    .kernel = LOAM_KERNEL_attention_backward_keys,
                    .grid = {loam_blocks(shape->max_kv, ATTENTION_TILE), p->groups, sequences_of(shape)},
                    .shared = shared_bytes(2),
                    .buffers = {args->q.data, args->k.data, args->v.data, shape->q_offsets.data,
                                shape->kv_offsets.data, shape->slopes.data, args->dout.data, args->lse.data,
                                delta, args->dk.data, args->dv.data},
                    LOAM_PARAMS(*p)});
}

enum loam_status loam_gpu_attention_backward(struct loam_stream *stream,
                                             const struct loam_attention_backward_args *args)
{
    struct attention_params p = params_of(&args->q, &args->k, &args->v, &args->shape);
    void *const delta =
        loam_stream_scratch(stream, loam_gpu_attention_backward_scratch(stream->device, args));
    if (delta == NULL) return LOAM_ERROR_INTERNAL;
    p.dq = stride_of(&args->dq);
    p.dk = stride_of(&args->dk);
    p.dv = stride_of(&args->dv);
    LOAM_TRY(loam_gpu_launch(
        stream, &(struct loam_launch){.kernel = LOAM_KERNEL_attention_delta,
                                      .grid = {loam_blocks((int64_t)p.tokens * p.heads, BLOCK_THREADS)},
                                      .buffers = {args->out.data, args->dout.data, delta},
                                      LOAM_PARAMS(p)}));
    LOAM_TRY(backward_queries(stream, args, &p, delta));
    return backward_keys(stream, args, &p, delta);
}
