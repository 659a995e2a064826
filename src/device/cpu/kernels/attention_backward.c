// Gradients of attention. A task is a key/value head of a sequence with the query heads that read it, so that
// every sum belongs to one thread and runs in one order. Where there are few of these, the blocks of queries
// are dealt into parts, each a task with sums of its own for dk and dv, which are added up in order. How many
// parts there are depends on the shape alone, so every number of threads gives the same bits.
#include <math.h>
#include <omp.h>

#include "device/cpu/kernels/attention_backward.h"

// ---- gradients of scores ----

INLINE void put_f32(const struct backward_task *task, int64_t lane, int64_t j, const vec p[2],
                    const vec ds[2])
{
    for (int n = 0; n < 2; n++) {
        store_f32(task->p + (j + n) * QUERIES + lane, p[n]);
        store_f32(task->ds + (j + n) * QUERIES + lane, ds[n]);
    }
}

static void gradient_f32(struct backward_task *task, int64_t query, int64_t lane, int64_t key, int64_t keys,
                         float slope)
{
    gradient_lanes(task, query, lane, key, keys, slope, put_f32);
}

static const struct attention_backward_kernel backward_f32 = {1, small_matmul_f32, gradient_f32};

static const struct attention_backward_kernel *
backward_kernel(const struct loam_device *device, const struct loam_attention_backward_args *args)
{
    const struct attention_backward_kernel *bf16 = cpu_context(device)->attention_backward_bf16;
    return args->q.dtype == LOAM_BF16 && bf16 != NULL ? bf16 : &backward_f32;
}

// ---- parts ----

enum {
    MANY_TASKS = 8, // enough to keep threads busy
    MOST_PARTS = 4,
    ADD_KEYS = 64, // rows of dk and dv that a task adds up
};

// Parts of a key/value head of a sequence, of which there are `heads`.
static int64_t part_count(const struct loam_attention_backward_args *args, int64_t heads)
{
    const int64_t blocks = (args->shape.max_q + QUERIES - 1) / QUERIES;
    const int64_t wanted = heads > 0 ? (MANY_TASKS + heads - 1) / heads : 1;
    return attention_min(attention_min(wanted, MOST_PARTS), blocks > 0 ? blocks : 1);
}

// Of dk or of dv of a part.
static int64_t sums_floats(const struct loam_attention_backward_args *args)
{
    return attention_round_up(args->shape.max_kv, KEY_STEP) * attention_padded(args->q.shape[2]);
}

// ---- a block ----

// Returns how many floats it takes. In f32 some parts are the same numbers in the same order.
static int64_t task_init(struct backward_task *task, const struct loam_attention_backward_args *args,
                         const struct attention_backward_kernel *kernel, float *memory)
{
    const int64_t d = args->q.shape[2], padded = attention_padded(d), per = kernel->per;
    const int64_t cells = attention_cells(d, per), keys = attention_round_up(args->shape.max_kv, KEY_STEP);
    int64_t used = 0;
    *task = (struct backward_task){.args = args, .kernel = kernel, .d = d, .padded = padded, .cells = cells};
    task->k = attention_take(memory, &used, keys * cells);
    task->v = attention_take(memory, &used, keys * cells);
    task->k_pairs = per == 1 ? task->k : attention_take(memory, &used, keys / per * padded);
    task->dk = attention_take(memory, &used, keys * padded);
    task->dv = attention_take(memory, &used, keys * padded);
    task->q = attention_take(memory, &used, QUERIES * cells);
    task->dout = attention_take(memory, &used, QUERIES * cells);
    task->q_columns = attention_take(memory, &used, cells * QUERIES);
    task->dout_columns = attention_take(memory, &used, cells * QUERIES);
    task->q_pairs = per == 1 ? task->q : attention_take(memory, &used, QUERIES / per * padded);
    task->dout_pairs = per == 1 ? task->dout : attention_take(memory, &used, QUERIES / per * padded);
    task->scores = attention_take(memory, &used, KEYS * QUERIES);
    task->dp = attention_take(memory, &used, KEYS * QUERIES);
    task->p = per == 1 ? task->scores : attention_take(memory, &used, KEYS * QUERIES / per);
    task->ds = per == 1 ? task->dp : attention_take(memory, &used, KEYS * QUERIES / per);
    task->ds_pairs = per == 1 ? task->ds : attention_take(memory, &used, KEYS * QUERIES / per);
    task->dq = attention_take(memory, &used, QUERIES * padded);
    return used;
}

static float delta_of(const struct loam_attention_backward_args *args, int64_t row, int64_t head)
{
    const int64_t d = args->q.shape[2];
    const bool bf16 = args->dout.dtype == LOAM_BF16;
    const void *dout = cpu_head(&args->dout, row, head), *out = cpu_head(&args->out, row, head);
    vec product = splat(0);
    for (int64_t j = 0; j < d; j += LANES)
        product += load(dout, j, d, bf16) * load(out, j, d, bf16);
    return sum_lanes(product);
}

static void gather_queries(struct backward_task *task, int64_t query, int64_t count, int64_t head)
{
    const struct loam_attention_backward_args *args = task->args;
    const int64_t row = task->sequence.q_first + query, per = task->kernel->per,
                  width = attention_padded(count);
    attention_rows(task->q, &args->q, row, count, width, head, per);
    attention_rows(task->dout, &args->dout, row, count, width, head, per);
    attention_transpose(task->q_columns, task->q, count, task->cells);
    attention_transpose(task->dout_columns, task->dout, count, task->cells);
    if (per == 2) attention_pairs(task->q_pairs, task->q, width, task->d);
    if (per == 2) attention_pairs(task->dout_pairs, task->dout, width, task->d);
    for (int64_t i = 0; i < QUERIES; i++) {
        task->delta[i] = i < count ? delta_of(args, row + i, head) : 0;
        task->lse[i] =
            i < count ? ((const float *)args->lse.data)[head * args->q.shape[0] + row + i] : INFINITY;
    }
}

// Rows of the block of queries that comes next.
static void fetch_next(const struct backward_task *task, const struct loam_tensor *source)
{
    attention_fetch(source, task->sequence.q_first + task->next_query, task->next_count, task->next_head);
}

static void backward_block(struct backward_task *task, int64_t query, int64_t count, int64_t key,
                           int64_t keys, float slope)
{
    const struct attention_backward_kernel *kernel = task->kernel;
    const int64_t per = kernel->per, padded = task->padded, cells = task->cells,
                  width = attention_padded(count);
    const int64_t along_d = (task->d + per - 1) / per, along_queries = (count + per - 1) / per;
    const int64_t row = QUERIES / per;
    const bool first = key == task->first_key;
    const struct small_matmul scores = {task->k + key * cells, cells,   1,    task->q_columns, QUERIES,
                                        task->scores,          QUERIES, false};
    const struct small_matmul dp = {
        task->v + key * cells, cells, 1, task->dout_columns, QUERIES, task->dp, QUERIES, false};
    const struct small_matmul dv = {task->p, row, 1, task->dout_pairs, padded, task->dv + key * padded,
                                    padded,  true};
    const struct small_matmul dk = {task->ds, row, 1, task->q_pairs, padded, task->dk + key * padded,
                                    padded,   true};
    const struct small_matmul dq = {task->ds_pairs, 1,        QUERIES, task->k_pairs + key / per * padded,
                                    padded,         task->dq, padded,  !first};
    kernel->multiply(&scores, NULL, keys, width, along_d);
    if (first) fetch_next(task, &task->args->q);
    kernel->multiply(&dp, NULL, keys, width, along_d);
    if (first) fetch_next(task, &task->args->dout);
    for (int64_t lane = 0; lane < width; lane += LANES)
        kernel->gradient(task, query + lane, lane, key, keys, slope);
    kernel->multiply(&dv, NULL, keys, padded, along_queries);
    if (first) fetch_next(task, &task->args->out);
    kernel->multiply(&dk, NULL, keys, padded, along_queries);
    kernel->multiply(&dq, NULL, width, padded, keys / per);
}

static void backward_head(struct backward_task *task, int64_t head)
{
    const struct loam_attention_backward_args *args = task->args;
    const struct attention_sequence *sequence = &task->sequence;
    const float slope = attention_slope(&args->shape, head);
    const int64_t from = task->part * QUERIES, step = task->parts * QUERIES;
    for (int64_t query = from; query < sequence->q_count; query += step) {
        const int64_t count = attention_min(QUERIES, sequence->q_count - query);
        const int64_t keys_seen = query + count + sequence->before;
        task->first_key = attention_round_down(attention_first_key(sequence, query), KEY_STEP);
        gather_queries(task, query, count, head);
        const bool last = query + step >= sequence->q_count;
        task->next_head = attention_min(head + last, args->q.shape[1] - 1);
        task->next_query = last ? from : query + step;
        task->next_count = attention_min(QUERIES, sequence->q_count - task->next_query);
        for (int64_t key = task->first_key; key < keys_seen; key += KEYS) {
            const int64_t keys = attention_round_up(attention_min(KEYS, keys_seen - key), KEY_STEP);
            backward_block(task, query, count, key, keys, slope);
        }
        attention_scatter(&args->dq, task->dq, sequence->q_first + query, count, head, args->shape.scale);
    }
}

// f32 [rows, padded D] of dk and dv to rows of the gradients.
static void scatter_keys(const struct loam_attention_backward_args *args, const float *dk, const float *dv,
                         int64_t first, int64_t count, int64_t group)
{
    attention_scatter(&args->dk, dk, first, count, group, args->shape.scale);
    attention_scatter(&args->dv, dv, first, count, group, 1);
}

// The part's sums of dk and dv.
static void backward_part(struct backward_task *task, int64_t group)
{
    const struct loam_attention_backward_args *args = task->args;
    const struct attention_sequence *sequence = &task->sequence;
    const int64_t first = sequence->kv_first, count = sequence->kv_count;
    const int64_t heads = args->q.shape[1] / args->k.shape[1];
    const int64_t rows = attention_round_up(count, KEY_STEP), per = task->kernel->per;
    const size_t bytes = (size_t)(rows * task->padded) * sizeof(float);
    memset(task->dk, 0, bytes);
    memset(task->dv, 0, bytes);
    if (task->part * QUERIES >= sequence->q_count) return;
    attention_rows(task->k, &args->k, first, count, rows, group, per);
    attention_rows(task->v, &args->v, first, count, rows, group, per);
    if (per == 2) attention_pairs(task->k_pairs, task->k, rows, task->d);
    for (int64_t head = group * heads; head < (group + 1) * heads; head++)
        backward_head(task, head);
}

// ---- the op ----

// Rows [key, key + count) of dk and of dv: the sums of all parts, of which the first one's are overwritten.
static void add_parts(const struct loam_attention_backward_args *args, float *sums, int64_t parts,
                      int64_t key, int64_t first, int64_t count, int64_t group)
{
    const int64_t padded = attention_padded(args->q.shape[2]), floats = sums_floats(args);
    float *dk = sums + key * padded, *dv = dk + floats;
    for (int64_t part = 1; part < parts; part++)
        for (int64_t i = 0; i < count * padded; i += LANES) {
            store_f32(dk + i, load_f32(dk + i) + load_f32(dk + 2 * part * floats + i));
            store_f32(dv + i, load_f32(dv + i) + load_f32(dv + 2 * part * floats + i));
        }
    scatter_keys(args, dk, dv, first + key, count, group);
}

static void add_all_parts(struct loam_stream *stream, const struct loam_attention_backward_args *args,
                          float *sums, int64_t parts)
{
    const int64_t sequences = loam_tensor_count(&args->shape.q_offsets) - 1, groups = args->k.shape[1];
    const int64_t each = 2 * parts * sums_floats(args), longest = args->shape.max_kv;
#pragma omp parallel for collapse(3) schedule(dynamic) num_threads(cpu_threads(stream))
    for (int64_t s = 0; s < sequences; s++)
        for (int64_t group = 0; group < groups; group++)
            for (int64_t key = 0; key < longest; key += ADD_KEYS) {
                const struct attention_sequence sequence = attention_sequence(&args->shape, s);
                const int64_t count = attention_min(ADD_KEYS, sequence.kv_count - key);
                if (count > 0)
                    add_parts(args, sums + (s * groups + group) * each, parts, key, sequence.kv_first, count,
                              group);
            }
}

static int64_t thread_floats(const struct loam_device *device,
                             const struct loam_attention_backward_args *args)
{
    struct backward_task task;
    return task_init(&task, args, backward_kernel(device, args), NULL);
}

// Enough for fewer sequences too, whose heads may have more parts.
static size_t attention_backward_scratch(const struct loam_device *device,
                                         const struct loam_attention_backward_args *args)
{
    const int64_t sequences = loam_tensor_count(&args->shape.q_offsets) - 1, groups = args->k.shape[1];
    int64_t most = 0; // parts of all heads
    for (int64_t heads = groups; heads <= sequences * groups && heads < MANY_TASKS; heads += groups) {
        const int64_t parts = part_count(args, heads);
        if (parts > 1 && heads * parts > most) most = heads * parts;
    }
    return loam_scratch_bytes(thread_floats(device, args) * device->threads + 2 * most * sums_floats(args),
                              sizeof(float));
}

static enum loam_status attention_backward(struct loam_stream *stream,
                                           const struct loam_attention_backward_args *args)
{
    const int64_t sequences = loam_tensor_count(&args->shape.q_offsets) - 1, groups = args->k.shape[1];
    const int64_t floats = thread_floats(stream->device, args), each = 2 * sums_floats(args);
    const int64_t parts = part_count(args, sequences * groups);
    const struct attention_backward_kernel *kernel = backward_kernel(stream->device, args);
    float *memory = loam_stream_scratch(stream, attention_backward_scratch(stream->device, args));
    if (memory == NULL) return LOAM_ERROR_INTERNAL;
    LOAM_TRY(attention_check(stream, &args->shape));
    float *sums = memory + floats * stream->device->threads;
#pragma omp parallel for collapse(3) schedule(dynamic) num_threads(cpu_threads(stream))
    for (int64_t s = 0; s < sequences; s++)
        for (int64_t group = 0; group < groups; group++)
            for (int64_t part = 0; part < parts; part++) {
                struct backward_task task;
                task_init(&task, args, kernel, memory + omp_get_thread_num() * floats);
                task.sequence = attention_sequence(&args->shape, s);
                task.part = part;
                task.parts = parts;
                if (parts > 1) {
                    task.dk = sums + ((s * groups + group) * parts + part) * each;
                    task.dv = task.dk + each / 2;
                }
                backward_part(&task, group);
                if (parts == 1)
                    scatter_keys(args, task.dk, task.dv, task.sequence.kv_first, task.sequence.kv_count,
                                 group);
            }
    if (parts > 1) add_all_parts(stream, args, sums, parts);
    return LOAM_OK;
}

void CPU_NAME(attention_backward)(struct loam_op_table *ops)
{
    ops->attention_backward.run = attention_backward;
    ops->attention_backward.scratch = attention_backward_scratch;
}
