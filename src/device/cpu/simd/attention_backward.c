// Gradients of attention. A task is a key/value head of a sequence with the query heads that read it, so that
// every sum belongs to one thread and runs in one order.
#include <omp.h>

#include "device/cpu/simd/attention.h"

struct backward_task {
    const struct loam_attention_backward_args *args;
    struct attention_sequence sequence;
    int64_t d, padded;
    float *k, *v, *dk, *dv;     // [max_kv, padded D]
    float *q, *dout, *dq, *out; // [QUERIES, padded D]
    float *q_columns;           // [D, QUERIES], scaled
    float *dout_columns;        // [D, QUERIES]
    float *p;                   // [KEYS, QUERIES]
    float *ds;                  // [KEYS, QUERIES]: dp, then ds
    float delta[QUERIES];       // sum_d(dout out)
    float lse[QUERIES];
};

static int64_t thread_floats(const struct loam_attention_backward_args *args)
{
    const int64_t d = args->q.shape[2], padded = attention_padded(d);
    const int64_t floats =
        4 * args->shape.max_kv * padded + 4 * QUERIES * padded + 2 * d * QUERIES + 2 * KEYS * QUERIES;
    return (floats + LANES - 1) / LANES * LANES;
}

static void task_init(struct backward_task *task, const struct loam_attention_backward_args *args,
                      float *memory)
{
    const int64_t d = args->q.shape[2], padded = attention_padded(d), whole = args->shape.max_kv * padded;
    task->args = args;
    task->d = d;
    task->padded = padded;
    task->k = memory;
    task->v = task->k + whole;
    task->dk = task->v + whole;
    task->dv = task->dk + whole;
    task->q = task->dv + whole;
    task->dout = task->q + QUERIES * padded;
    task->dq = task->dout + QUERIES * padded;
    task->out = task->dq + QUERIES * padded;
    task->q_columns = task->out + QUERIES * padded;
    task->dout_columns = task->q_columns + d * QUERIES;
    task->p = task->dout_columns + d * QUERIES;
    task->ds = task->p + KEYS * QUERIES;
}

static void gather_queries(struct backward_task *task, int64_t query, int64_t count, int64_t head)
{
    const struct loam_attention_backward_args *args = task->args;
    const int64_t row = task->sequence.q_first + query;
    attention_gather(task->q, &args->q, row, count, head);
    attention_gather(task->dout, &args->dout, row, count, head);
    attention_gather(task->out, &args->out, row, count, head);
    attention_transpose(task->q_columns, task->q, count, task->d, args->shape.scale);
    attention_transpose(task->dout_columns, task->dout, count, task->d, 1);
    for (int64_t i = 0; i < QUERIES; i++) {
        vec product = splat(0);
        for (int64_t j = 0; j < task->padded && i < count; j += LANES)
            product +=
                load_f32(task->dout + i * task->padded + j) * load_f32(task->out + i * task->padded + j);
        task->delta[i] = sum_lanes(product);
        task->lse[i] = i < count ? ((const float *)args->lse.data)[head * args->q.shape[0] + row + i] : 0;
    }
}

// One vector of queries: p = exp(score - lse), ds = p (dp - delta) for `keys` keys from `key`.
static void score_gradient(struct backward_task *task, int64_t query, int64_t lane, int64_t key, int64_t keys,
                           float slope)
{
    const bool all_seen = key + keys - 1 <= query + task->sequence.before;
    const vec lse = load_f32(task->lse + lane), delta = load_f32(task->delta + lane);
    for (int64_t j = 0; j < keys; j++) {
        float *p = task->p + j * QUERIES + lane, *ds = task->ds + j * QUERIES + lane;
        vec weight = exp_vec(load_f32(p) + slope * (float)(key + j) - lse);
        if (!all_seen) weight = select_vec(attention_sees(&task->sequence, query, key + j), weight, splat(0));
        store_f32(p, weight);
        store_f32(ds, weight * (load_f32(ds) - delta));
    }
}

static void backward_block(struct backward_task *task, int64_t query, int64_t count, int64_t key,
                           int64_t keys, float slope)
{
    const int64_t d = task->d, padded = task->padded, width = attention_padded(count);
    float *k = task->k + key * padded, *v = task->v + key * padded;
    float *dk = task->dk + key * padded, *dv = task->dv + key * padded;
    small_matmul(&(struct small_matmul){k, padded, 1, task->q_columns, QUERIES, task->p, QUERIES, false},
                 keys, width, d);
    small_matmul(&(struct small_matmul){v, padded, 1, task->dout_columns, QUERIES, task->ds, QUERIES, false},
                 keys, width, d);
    for (int64_t lane = 0; lane < width; lane += LANES)
        score_gradient(task, query + lane, lane, key, keys, slope);
    small_matmul(&(struct small_matmul){task->p, QUERIES, 1, task->dout, padded, dv, padded, true}, keys,
                 padded, count);
    small_matmul(&(struct small_matmul){task->ds, QUERIES, 1, task->q, padded, dk, padded, true}, keys,
                 padded, count);
    small_matmul(&(struct small_matmul){task->ds, 1, QUERIES, k, padded, task->dq, padded, true}, count,
                 padded, keys);
}

static void backward_head(struct backward_task *task, int64_t head)
{
    const struct loam_attention_backward_args *args = task->args;
    const struct attention_sequence *sequence = &task->sequence;
    const float slope = attention_slope(&args->shape, head);
    for (int64_t query = 0; query < sequence->q_count; query += QUERIES) {
        const int64_t count = attention_min(QUERIES, sequence->q_count - query);
        const int64_t keys_seen = query + count + sequence->before;
        gather_queries(task, query, count, head);
        memset(task->dq, 0, (size_t)(QUERIES * task->padded) * sizeof(float));
        for (int64_t key = 0; key < keys_seen; key += KEYS)
            backward_block(task, query, count, key, attention_min(KEYS, keys_seen - key), slope);
        attention_scatter(&args->dq, task->dq, sequence->q_first + query, count, head, args->shape.scale);
    }
}

static void backward_group(struct backward_task *task, int64_t group)
{
    const struct loam_attention_backward_args *args = task->args;
    const int64_t first = task->sequence.kv_first, count = task->sequence.kv_count;
    const int64_t heads = args->q.shape[1] / args->k.shape[1];
    const size_t bytes = (size_t)(count * task->padded) * sizeof(float);
    attention_gather(task->k, &args->k, first, count, group);
    attention_gather(task->v, &args->v, first, count, group);
    memset(task->dk, 0, bytes);
    memset(task->dv, 0, bytes);
    for (int64_t head = group * heads; head < (group + 1) * heads; head++)
        backward_head(task, head);
    attention_scatter(&args->dk, task->dk, first, count, group, args->shape.scale);
    attention_scatter(&args->dv, task->dv, first, count, group, 1);
}

static size_t attention_backward_scratch(const struct loam_device *device,
                                         const struct loam_attention_backward_args *args)
{
    return loam_scratch_bytes(thread_floats(args) * device->threads, sizeof(float));
}

static enum loam_status attention_backward(struct loam_stream *stream,
                                           const struct loam_attention_backward_args *args)
{
    const int64_t sequences = loam_tensor_count(&args->shape.q_offsets) - 1, groups = args->k.shape[1];
    const int64_t floats = thread_floats(args);
    float *memory = loam_stream_scratch(stream, attention_backward_scratch(stream->device, args));
    if (memory == NULL) return LOAM_ERROR_INTERNAL;
    LOAM_TRY(attention_check(stream, &args->shape));
#pragma omp parallel for collapse(2) schedule(dynamic) num_threads(stream->device->threads)
    for (int64_t s = 0; s < sequences; s++)
        for (int64_t group = 0; group < groups; group++) {
            struct backward_task task;
            task_init(&task, args, memory + omp_get_thread_num() * floats);
            task.sequence = attention_sequence(&args->shape, s);
            backward_group(&task, group);
        }
    return LOAM_OK;
}

void CPU_OVERRIDES(attention_backward)(struct loam_op_table *ops)
{
    ops->attention_backward.run = attention_backward;
    ops->attention_backward.scratch = attention_backward_scratch;
}
