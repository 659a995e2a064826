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

static const float LOG2_E = 1.4426950408889634f;

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
                                     .softcap = shape->softcap,
                                     .scale_2 = shape->scale * LOG2_E,
                                     .softcap_2 = shape->softcap * LOG2_E,
                                     .capped_scale =
                                         shape->softcap > 0 ? 2 * LOG2_E * shape->scale / shape->softcap : 0,
                                     .uncapped = shape->softcap > 0 ? 1 / (LOG2_E * shape->softcap) : 0};
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

// ---- tensor cores ----

// A size of heads in tiles, and its kernels.
struct form {
    int size;
    enum loam_kernel forward[2], queries[2], keys[2]; // f16, bf16
};

static const struct form forms[] = {
#define FORM(size)                                                                                           \
    {                                                                                                        \
        size, {LOAM_KERNEL_attention_forward_f16_##size, LOAM_KERNEL_attention_forward_bf16_##size},         \
            {LOAM_KERNEL_attention_queries_f16_##size, LOAM_KERNEL_attention_queries_bf16_##size},           \
            {LOAM_KERNEL_attention_keys_f16_##size, LOAM_KERNEL_attention_keys_bf16_##size},                 \
    }
    FORM(64), FORM(80), FORM(96), FORM(128), FORM(256),
#undef FORM
};

// NULL: the device's warps make no products of the dtype.
static const struct form *form_of(const struct loam_device *device, const struct loam_tensor *q)
{
    const struct form *form = forms;
    if (!loam_formats_have(loam_gpu(device)->mma, q->dtype)) return NULL;
    while (form->size < q->shape[2])
        form++;
    return form;
}

// Whether the pieces of 8 numbers of all heads are aligned to 16 bytes.
static bool is_aligned(const struct loam_tensor *x)
{
    return (uintptr_t)x->data % 16 == 0 && x->stride[0] % 8 == 0 && x->stride[1] % 8 == 0 &&
           x->shape[2] % 8 == 0;
}

static size_t bytes_of(int64_t rows, int size)
{
    return (size_t)(rows * HEAD_PITCH(size)) * sizeof(u16);
}

// ---- forward ----

enum {
    SPLIT_QUERIES = 16, // of the longest sequence, at most, for the keys to be split
    SPLIT_KEYS = 256,   // of a part, at least
    SPLIT_BLOCKS = 256, // that fill a device
    SPLIT_ROWS = 4096   // rows of heads of all parts together
};

static size_t split_bytes(int64_t rows, int64_t size)
{
    return loam_scratch_bytes(rows * size, sizeof(f32)) + loam_scratch_bytes(rows, sizeof(f32));
}

size_t loam_gpu_attention_forward_scratch(const struct loam_device *device,
                                          const struct loam_attention_forward_args *args)
{
    if (form_of(device, &args->q) == NULL || args->shape.max_kv < 2 * SPLIT_KEYS) return 0;
    return split_bytes(SPLIT_ROWS, args->q.shape[2]);
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

// The parts of the keys where few queries see many keys. They depend on the shapes alone.
static int64_t splits_of(const struct loam_attention_forward_args *args, int64_t blocks)
{
    const struct loam_attention_shape *shape = &args->shape;
    const int64_t rows = args->q.shape[0] * args->q.shape[1];
    if (shape->max_q > SPLIT_QUERIES || rows == 0) return 1;
    const int64_t splits = least(least(SPLIT_BLOCKS / blocks, SPLIT_ROWS / rows), shape->max_kv / SPLIT_KEYS);
    return splits > 1 ? splits : 1;
}

static enum loam_status merge_splits(struct loam_stream *stream,
                                     const struct loam_attention_forward_args *args,
                                     const struct attention_params *p, void *out, void *lse)
{
    return loam_gpu_launch(
        stream,
        &(struct loam_launch){.kernel = LOAM_KERNEL_attention_merge,
                              .grid = {loam_blocks((int64_t)p->tokens * p->heads * p->size, BLOCK_THREADS)},
                              .buffers = {out, lse, args->out.data, args->lse.data},
                              LOAM_PARAMS(*p)});
}

static enum loam_status forward_tiles(struct loam_stream *stream,
                                      const struct loam_attention_forward_args *args, const struct form *form)
{
    const struct loam_attention_shape *shape = &args->shape;
    struct attention_params p = params_of(&args->q, &args->k, &args->v, shape);
    const int64_t rows = FORWARD_ROWS(form->size), keys = FORWARD_KEYS(form->size);
    p.tiles = (i32)loam_blocks((int64_t)shape->max_q * p.heads / p.groups, rows);
    p.splits = (i32)splits_of(args, p.tiles * p.groups * sequences_of(shape));
    p.is_aligned =
        is_aligned(&args->q) && is_aligned(&args->k) && is_aligned(&args->v) && is_aligned(&args->out);
    void *out = args->out.data, *lse = args->lse.data;
    if (p.splits > 1) {
        const size_t out_bytes = loam_scratch_bytes(SPLIT_ROWS * p.size, sizeof(f32));
        out = loam_stream_scratch(stream, split_bytes(SPLIT_ROWS, p.size));
        if (out == NULL) return LOAM_ERROR_INTERNAL;
        lse = (char *)out + out_bytes;
    }
    LOAM_TRY(loam_gpu_launch(
        stream,
        &(struct loam_launch){.kernel = form->forward[p.dtype == DTYPE_BF16],
                              .grid = {p.tiles * p.splits, p.groups, sequences_of(shape)},
                              .shared = bytes_of(rows + 2 * keys, form->size),
                              .buffers = {args->q.data, args->k.data, args->v.data, shape->q_offsets.data,
                                          shape->kv_offsets.data, shape->slopes.data, out, lse},
                              LOAM_PARAMS(p)}));
    return p.splits > 1 ? merge_splits(stream, args, &p, out, lse) : LOAM_OK;
}

enum loam_status loam_gpu_attention_forward(struct loam_stream *stream,
                                            const struct loam_attention_forward_args *args)
{
    const struct loam_attention_shape *shape = &args->shape;
    const struct form *form = form_of(stream->device, &args->q);
    if (form != NULL) return forward_tiles(stream, args, form);
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

// ---- backward ----

size_t loam_gpu_attention_backward_scratch(const struct loam_device *device,
                                           const struct loam_attention_backward_args *args)
{
    (void)device;
    return loam_scratch_bytes(args->q.shape[0] * args->q.shape[1], sizeof(f32));
}

static enum loam_status launch_delta(struct loam_stream *stream,
                                     const struct loam_attention_backward_args *args,
                                     const struct attention_params *p, void *delta)
{
    return loam_gpu_launch(
        stream, &(struct loam_launch){.kernel = LOAM_KERNEL_attention_delta,
                                      .grid = {loam_blocks((int64_t)p->tokens * p->heads, DELTA_ROWS)},
                                      .shared = BLOCK_THREADS * sizeof(f32),
                                      .buffers = {args->out.data, args->dout.data, delta},
                                      LOAM_PARAMS(*p)});
}

// dq, or dk and dv: a kernel for `blocks` tiles of each of `heads`.
struct backward_launch {
    enum loam_kernel kernel;
    int64_t blocks, heads;
    size_t shared;
    void *out[2]; // dq, or dk and dv
};

static enum loam_status launch_backward(struct loam_stream *stream,
                                        const struct loam_attention_backward_args *args,
                                        const struct attention_params *p, void *delta,
                                        struct backward_launch launch)
{
    const struct loam_attention_shape *shape = &args->shape;
    return loam_gpu_launch(
        stream,
        &(struct loam_launch){.kernel = launch.kernel,
                              .grid = {launch.blocks, launch.heads, sequences_of(shape)},
                              .shared = launch.shared,
                              .buffers = {args->q.data, args->k.data, args->v.data, shape->q_offsets.data,
                                          shape->kv_offsets.data, shape->slopes.data, args->dout.data,
                                          args->lse.data, delta, launch.out[0], launch.out[1]},
                              LOAM_PARAMS(*p)});
}

// Bytes that a block shares.
static size_t queries_bytes(int size, int64_t stages)
{
    return bytes_of(2 * BACKWARD_ROWS + 2 * stages * BACKWARD_KEYS(size), size);
}

static size_t keys_bytes(int size, int64_t stages)
{
    const int64_t queries = 2 * stages * BACKWARD_QUERIES(size);
    return bytes_of(2 * BACKWARD_ROWS + queries, size) + (size_t)queries * sizeof(f32);
}

// Tiles that are in shared memory at a time: two where they fit, so that one is read while the other is used.
static i32 stages_of(const struct loam_device *device, size_t bytes_of_two)
{
    return bytes_of_two <= loam_gpu(device)->shared_most ? 2 : 1;
}

static enum loam_status backward_tiles(struct loam_stream *stream,
                                       const struct loam_attention_backward_args *args, void *delta,
                                       struct attention_params p, const struct form *form)
{
    const int size = form->size, is_bf16 = p.dtype == DTYPE_BF16;
    p.is_aligned = is_aligned(&args->q) && is_aligned(&args->k) && is_aligned(&args->v) &&
                   is_aligned(&args->dout) && is_aligned(&args->dq) && is_aligned(&args->dk) &&
                   is_aligned(&args->dv);
    p.tiles = (i32)loam_blocks((int64_t)args->shape.max_q * p.heads / p.groups, BACKWARD_ROWS);
    p.stages = stages_of(stream->device, queries_bytes(size, 2));
    LOAM_TRY(launch_backward(stream, args, &p, delta,
                             (struct backward_launch){.kernel = form->queries[is_bf16],
                                                      .blocks = p.tiles,
                                                      .heads = p.groups,
                                                      .shared = queries_bytes(size, p.stages),
                                                      .out = {args->dq.data}}));
    p.stages = stages_of(stream->device, keys_bytes(size, 2));
    return launch_backward(stream, args, &p, delta,
                           (struct backward_launch){.kernel = form->keys[is_bf16],
                                                    .blocks = loam_blocks(args->shape.max_kv, BACKWARD_ROWS),
                                                    .heads = p.groups,
                                                    .shared = keys_bytes(size, p.stages),
                                                    .out = {args->dk.data, args->dv.data}});
}

enum loam_status loam_gpu_attention_backward(struct loam_stream *stream,
                                             const struct loam_attention_backward_args *args)
{
    struct attention_params p = params_of(&args->q, &args->k, &args->v, &args->shape);
    const struct loam_attention_shape *shape = &args->shape;
    const struct form *form = form_of(stream->device, &args->q);
    void *const delta =
        loam_stream_scratch(stream, loam_gpu_attention_backward_scratch(stream->device, args));
    if (delta == NULL) return LOAM_ERROR_INTERNAL;
    p.dq = stride_of(&args->dq);
    p.dk = stride_of(&args->dk);
    p.dv = stride_of(&args->dv);
    LOAM_TRY(launch_delta(stream, args, &p, delta));
    const size_t shared_most = loam_gpu(stream->device)->shared_most;
    if (form != NULL && queries_bytes(form->size, 1) <= shared_most &&
        keys_bytes(form->size, 1) <= shared_most)
        return backward_tiles(stream, args, delta, p, form);
    LOAM_TRY(launch_backward(stream, args, &p, delta,
                             (struct backward_launch){.kernel = LOAM_KERNEL_attention_backward_queries,
                                                      .blocks = loam_blocks(shape->max_q, ATTENTION_TILE),
                                                      .heads = p.heads,
                                                      .shared = shared_bytes(1),
                                                      .out = {args->dq.data}}));
    return launch_backward(stream, args, &p, delta,
                           (struct backward_launch){.kernel = LOAM_KERNEL_attention_backward_keys,
                                                    .blocks = loam_blocks(shape->max_kv, ATTENTION_TILE),
                                                    .heads = p.groups,
                                                    .shared = shared_bytes(2),
                                                    .out = {args->dk.data, args->dv.data}});
}
