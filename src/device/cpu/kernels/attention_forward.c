// Attention without its score matrix (Dao et al. 2022): blocks of keys, and a softmax that is rescaled as
// they come.
#include <math.h>
#include <omp.h>

#include "device/cpu/kernels/attention_forward.h"

// ---- softmax ----

INLINE void put_f32(float *p, int64_t j, vec even, vec odd)
{
    store_f32(p + j * QUERIES, even);
    store_f32(p + (j + 1) * QUERIES, odd);
}

static void softmax_f32(struct forward_work *work, const struct scores *scores)
{
    softmax_lanes(work, scores, put_f32);
}

static const struct attention_forward_kernel forward_f32 = {1, small_matmul_f32, softmax_f32};

static const struct attention_forward_kernel *forward_kernel(const struct loam_device *device,
                                                             const struct loam_attention_forward_args *args)
{
    const struct attention_forward_kernel *bf16 = cpu_context(device)->attention_forward_bf16;
    return args->q.dtype == LOAM_BF16 && bf16 != NULL ? bf16 : &forward_f32;
}

// ---- a block ----

// Returns how many floats it takes.
static int64_t work_init(struct forward_work *work, float *memory,
                         const struct loam_attention_forward_args *args,
                         const struct attention_forward_kernel *kernel)
{
    const int64_t d = args->q.shape[2], padded = attention_padded(d);
    const int64_t cells = attention_cells(d, kernel->per);
    const int64_t keys = attention_round_up(args->shape.max_kv, KEY_STEP);
    int64_t used = 0;
    work->kernel = kernel;
    work->k = attention_take(memory, &used, keys * cells);
    work->v = attention_take(memory, &used, keys / kernel->per * padded);
    work->rows = attention_take(memory, &used, QUERIES * cells);
    work->q = attention_take(memory, &used, cells * QUERIES);
    work->p = attention_take(memory, &used, KEYS * QUERIES);
    work->out = attention_take(memory, &used, padded * QUERIES);
    return used;
}

// The block of queries, divided by their sums, and their lse.
static void write_block(const struct loam_attention_forward_args *args, const struct forward_work *work,
                        int64_t row, int64_t count, int64_t head)
{
    const int64_t d = args->q.shape[2], tokens = args->q.shape[0];
    const bool bf16 = args->out.dtype == LOAM_BF16;
    float *lse = (float *)args->lse.data + head * tokens + row;
    for (int64_t i = 0; i < count; i += LANES)
        for (int64_t j = 0; j < d; j += LANES) {
            const vec inverse = 1.0f / load_f32(work->sum + i);
            vec block[LANES];
            for (int n = 0; n < LANES; n++)
                block[n] = load_f32(work->out + (j + n) * QUERIES + i) * inverse;
            transpose_vec(block);
            for (int n = 0; n < LANES && i + n < count; n++)
                store(cpu_head(&args->out, row + i + n, head), j, d, block[n], bf16);
        }
    for (int64_t i = 0; i < count; i++)
        lse[i] = work->largest[i] + logf(work->sum[i]);
}

// Keys [from, kv_count).
static void gather_keys(const struct loam_attention_forward_args *args,
                        const struct attention_sequence *sequence, int64_t group, int64_t from,
                        struct forward_work *work)
{
    const int64_t per = work->kernel->per, count = sequence->kv_count - from;
    attention_rows(work->k + from * attention_cells(args->k.shape[2], per), &args->k,
                   sequence->kv_first + from, count, attention_round_up(count, KEY_STEP), group, per);
}

// Values [from, kv_count); they lie in cells along the keys.
static void gather_values(const struct loam_attention_forward_args *args,
                          const struct attention_sequence *sequence, int64_t group, int64_t from,
                          struct forward_work *work)
{
    const int64_t d = args->v.shape[2], per = work->kernel->per, first = sequence->kv_first;
    const int64_t all = sequence->kv_count, left = all - from;
    if (per == 1)
        attention_rows(work->v + from * attention_padded(d), &args->v, first + from, left,
                       attention_round_up(left, KEY_STEP), group, per);
    for (int64_t i = from; i < all && per == 2; i += QUERIES) {
        const int64_t count = attention_min(QUERIES, all - i), rows = attention_round_up(count, KEY_STEP);
        attention_rows(work->rows, &args->v, first + i, count, rows, group, per);
        attention_pairs(work->v + i / 2 * attention_padded(d), work->rows, rows, d);
    }
}

// The products q.k of a block become capped scores.
static void cap_block(const struct loam_attention_shape *shape, float *products, int64_t keys, int64_t width)
{
    for (int64_t j = 0; j < keys; j++, products += QUERIES)
        for (int64_t lane = 0; lane < width; lane += LANES)
            store_f32(products + lane,
                      cap_logits_vec(load_f32(products + lane) * shape->scale, shape->softcap).value);
}

// Queries [query, query + QUERIES) of one head; the keys and values are in place.
static void forward_block(const struct loam_attention_forward_args *args,
                          const struct attention_sequence *sequence, int64_t head, int64_t query,
                          struct forward_work *work)
{
    const struct attention_forward_kernel *kernel = work->kernel;
    const int64_t d = args->q.shape[2], padded = attention_padded(d), per = kernel->per;
    const int64_t cells = attention_cells(d, per);
    const int64_t count = attention_min(QUERIES, sequence->q_count - query), width = attention_padded(count);
    const int64_t keys_seen = query + count + sequence->before;
    const int64_t first = attention_round_down(attention_first_key(sequence, query), KEY_STEP);
    const bool capped = args->shape.softcap > 0;
    const float scale = capped ? 1 : args->shape.scale;
    for (int64_t i = 0; i < QUERIES; i++) {
        work->largest[i] = -INFINITY;
        work->sum[i] = 0;
    }
    attention_rows(work->rows, &args->q, sequence->q_first + query, count, width, head, per);
    attention_transpose(work->q, work->rows, count, cells);
    for (int64_t key = first; key < keys_seen; key += KEYS) {
        const int64_t keys = attention_round_up(attention_min(KEYS, keys_seen - key), KEY_STEP);
        const float *k = work->k + key * cells, *v = work->v + key / per * padded;
        const struct small_matmul scores = {.a = k,
                                            .a_row = cells,
                                            .a_column = 1,
                                            .b = work->q,
                                            .b_row = QUERIES,
                                            .c = work->p,
                                            .c_row = QUERIES};
        kernel->multiply(&scores, NULL, keys, width, (d + per - 1) / per);
        if (capped) cap_block(&args->shape, work->p, keys, width);
        for (int64_t lane = 0; lane < width; lane += LANES)
            kernel->softmax(work, &(struct scores){work->p + lane, *sequence, query + lane, lane, key, keys,
                                                   scale, attention_slope(&args->shape, head)});
        const struct small_matmul out = {.a = v,
                                         .a_row = 1,
                                         .a_column = padded,
                                         .b = work->p,
                                         .b_row = QUERIES,
                                         .c = work->out,
                                         .c_row = QUERIES,
                                         .accumulate = key > first};
        kernel->multiply(&out, work->rescale, padded, width, keys / per);
    }
    write_block(args, work, sequence->q_first + query, count, head);
}

// Every `parts`-th block, from `part` on, of the query heads that read one key/value head.
static void forward_group(const struct loam_attention_forward_args *args,
                          const struct attention_sequence *sequence, int64_t group, int64_t part,
                          int64_t parts, const struct attention_forward_kernel *kernel, float *memory)
{
    const int64_t heads = args->q.shape[1] / args->k.shape[1];
    struct forward_work work;
    if (part * QUERIES >= sequence->q_count) return;
    const int64_t from = attention_round_down(attention_first_key(sequence, part * QUERIES), KEY_STEP);
    work_init(&work, memory, args, kernel);
    gather_keys(args, sequence, group, from, &work);
    gather_values(args, sequence, group, from, &work);
    for (int64_t head = group * heads; head < (group + 1) * heads; head++)
        for (int64_t query = part * QUERIES; query < sequence->q_count; query += parts * QUERIES)
            forward_block(args, sequence, head, query, &work);
}

// ---- the op ----

static int64_t thread_floats(const struct loam_device *device, const struct loam_attention_forward_args *args)
{
    struct forward_work work;
    return work_init(&work, NULL, args, forward_kernel(device, args));
}

static size_t attention_forward_scratch(const struct loam_device *device,
                                        const struct loam_attention_forward_args *args)
{
    const size_t few = cpu_attention_few_scratch(device, args);
    const size_t blocks = loam_scratch_bytes(thread_floats(device, args) * device->threads, sizeof(float));
    if (args->shape.max_q <= FEW_QUERIES) return few;
    return few > blocks ? few : blocks; // never less than fewer queries take
}

// Parts that the blocks of a head are dealt into, so that there are a few tasks for each thread.
static int64_t part_count(const struct loam_attention_forward_args *args, int64_t tasks, int64_t threads)
{
    const int64_t blocks = (args->shape.max_q + QUERIES - 1) / QUERIES;
    const int64_t wanted = tasks > 0 ? (4 * threads + tasks - 1) / tasks : 1;
    return wanted < blocks ? wanted : blocks;
}

static enum loam_status attention_forward(struct loam_stream *stream,
                                          const struct loam_attention_forward_args *args)
{
    const int64_t sequences = loam_tensor_count(&args->shape.q_offsets) - 1;
    const struct attention_forward_kernel *kernel = forward_kernel(stream->device, args);
    const int64_t groups = args->k.shape[1], floats = thread_floats(stream->device, args);
    const int64_t parts = part_count(args, sequences * groups, stream->device->threads);
    LOAM_TRY(attention_check(stream, &args->shape));
    if (args->shape.max_q <= FEW_QUERIES) return cpu_attention_few(stream, args);
    float *memory = loam_stream_scratch(stream, attention_forward_scratch(stream->device, args));
    if (memory == NULL) return LOAM_ERROR_INTERNAL;
        // Whichever thread takes a task, its result is the same.
#pragma omp parallel for collapse(3) schedule(dynamic) num_threads(cpu_threads(stream))
    for (int64_t s = 0; s < sequences; s++)
        for (int64_t group = 0; group < groups; group++)
            for (int64_t part = 0; part < parts; part++) {
                const struct attention_sequence sequence = attention_sequence(&args->shape, s);
                forward_group(args, &sequence, group, part, parts, kernel,
                              memory + omp_get_thread_num() * floats);
            }
    return LOAM_OK;
}

void CPU_NAME(attention_forward)(struct loam_op_table *ops)
{
    ops->attention_forward.run = attention_forward;
    ops->attention_forward.scratch = attention_forward_scratch;
}
