// Attention of a few queries, as in decoding: bound by reading the keys and values, which are read once, in
// the order in which they lie. A task is a stretch of keys, of all heads; the results of the stretches are
// combined in their order, whatever the number of threads.
#include <math.h>
#include <omp.h>

#include "device/cpu/kernels/attention.h"

enum {
    STRETCH = 64,      // keys of a task
    BLOCK = 8,         // keys of which all heads are read before the next ones'
    KEYS_AT_ONCE = 4,  // dot products side by side in registers
    HEADS_AT_ONCE = 3, // query heads that share a row of keys or values in registers
    VALUE_VECS = 4,    // of each output row in registers, and of a single one twice as many
};

// What is kept of one sequence's stretches, and a thread's memory. A row is a query's head.
struct few {
    const struct loam_attention_forward_args *args;
    struct attention_sequence sequence;
    int64_t rows;    // q_count Q
    float *largest;  // [stretches, rows]
    float *sum;      // [stretches, rows]
    float *out;      // [stretches, rows, padded D], not yet divided by `sum`
    float *q;        // [rows, padded D]
    float *scores;   // [rows, STRETCH], then weights
    int64_t stretch; // the task
};

static int64_t stretch_count(int64_t keys)
{
    return (keys + STRETCH - 1) / STRETCH;
}

static int64_t most_rows(const struct loam_attention_forward_args *args)
{
    return FEW_QUERIES * args->q.shape[1];
}

static int64_t kept_floats(const struct loam_attention_forward_args *args)
{
    return stretch_count(args->shape.max_kv) * most_rows(args) * (attention_padded(args->q.shape[2]) + 2);
}

static int64_t thread_floats(const struct loam_attention_forward_args *args)
{
    return most_rows(args) * (attention_padded(args->q.shape[2]) + STRETCH);
}

size_t cpu_attention_few_scratch(const struct loam_device *device,
                                 const struct loam_attention_forward_args *args)
{
    return loam_scratch_bytes(kept_floats(args) + device->threads * thread_floats(args), sizeof(float));
}

// Keys that a query of the sequence sees, of those from the stretch's first on.
static int64_t keys_seen(const struct few *few, int64_t query)
{
    const int64_t seen = query + few->sequence.before + 1 - few->stretch * STRETCH;
    return attention_min(seen, STRETCH);
}

// Keys that a query does not see, of those from the stretch's first on: more than the stretch has where the
// window starts after it.
static int64_t keys_skipped(const struct few *few, int64_t query)
{
    const int64_t skipped = attention_first_key(&few->sequence, query) - few->stretch * STRETCH;
    return skipped > 0 ? skipped : 0;
}

// The first stretch that a query of the sequence sees.
static int64_t first_stretch(const struct few *few)
{
    return attention_first_key(&few->sequence, 0) / STRETCH;
}

INLINE vec load_whole(const char *row, int64_t i, bool bf16)
{
    return bf16 ? load_bf16((const uint16_t *)(const void *)row + i)
                : load_f32((const float *)(const void *)row + i);
}

// ---- scores ----

// scores[n][j] = q[n] . k[j]
INLINE void score_tile(const char *const k[KEYS_AT_ONCE], const float *q, int64_t d, float *scores, int heads,
                       bool bf16)
{
    const int64_t padded = attention_padded(d);
    vec sum[HEADS_AT_ONCE][KEYS_AT_ONCE];
    int64_t i = 0;
    for (int n = 0; n < heads; n++)
        for (int j = 0; j < KEYS_AT_ONCE; j++)
            sum[n][j] = splat(0);
    for (; i + LANES <= d; i += LANES)
        for (int j = 0; j < KEYS_AT_ONCE; j++) {
            const vec key = load_whole(k[j], i, bf16);
            for (int n = 0; n < heads; n++)
                sum[n][j] += load_f32(q + n * padded + i) * key;
        }
    for (int j = 0; j < KEYS_AT_ONCE && i < d; j++)
        for (int n = 0; n < heads; n++)
            sum[n][j] += load_f32(q + n * padded + i) * load(k[j], i, d, bf16);
    for (int n = 0; n < heads; n++)
        for (int j = 0; j < KEYS_AT_ONCE; j++)
            scores[n * STRETCH + j] = sum_lanes(sum[n][j]);
}

// Keys [key, key + BLOCK) of the stretch, or fewer, against all queries of one key/value head.
INLINE void score_block(const struct few *few, int64_t group, int64_t key, int64_t keys, bool bf16)
{
    const struct loam_attention_forward_args *args = few->args;
    const int64_t d = args->q.shape[2], padded = attention_padded(d), all = args->q.shape[1];
    const int64_t heads = all / args->k.shape[1], step = args->k.stride[0] * (bf16 ? 2 : 4);
    const char *first = cpu_head(&args->k, few->sequence.kv_first + few->stretch * STRETCH + key, group);
    for (int64_t at = 0; at < keys; at += KEYS_AT_ONCE) {
        const char *k[KEYS_AT_ONCE]; // past the end the last row again
        for (int64_t j = 0; j < KEYS_AT_ONCE; j++) {
            k[j] = first + attention_min(at + j, keys - 1) * step;
            attention_prefetch(k[j] + BLOCK * step, d, bf16);
        }
        for (int64_t query = 0; query < few->sequence.q_count; query++)
            for (int64_t head = 0; head < heads; head += HEADS_AT_ONCE) {
                const int64_t row = query * all + group * heads + head;
                const float *q = few->q + row * padded;
                float *scores = few->scores + row * STRETCH + key + at;
                if (heads - head >= 3) score_tile(k, q, d, scores, 3, bf16);
                if (heads - head == 2) score_tile(k, q, d, scores, 2, bf16);
                if (heads - head == 1) score_tile(k, q, d, scores, 1, bf16);
            }
    }
}

// Which of the lanes from key j of the stretch on are in [skipped, keys).
INLINE vec_int lanes_seen(int64_t j, int64_t skipped, int64_t keys)
{
    const vec_int lane = lane_index();
    return (lane < (int32_t)(keys - j)) & (lane >= (int32_t)attention_min(skipped - j, LANES));
}

// The scores of a row become weights, exp(score - largest).
static void weigh_row(const struct few *few, int64_t row)
{
    const struct loam_attention_shape *shape = &few->args->shape;
    const int64_t query = row / few->args->q.shape[1];
    const int64_t keys = keys_seen(few, query), skipped = keys_skipped(few, query);
    const int64_t first = attention_round_down(skipped, LANES);
    const int64_t kept = few->stretch * few->rows + row;
    const float slope = attention_slope(shape, row % few->args->q.shape[1]);
    const vec start = __builtin_convertvector(lane_index(), vec) + (float)(few->stretch * STRETCH);
    float *scores = few->scores + row * STRETCH, lanes[LANES], most = -INFINITY;
    vec largest = splat(-INFINITY), sum = splat(0);
    for (int64_t j = first; j < keys; j += LANES) {
        const vec product = load_f32(scores + j) * shape->scale + slope * (start + (float)j);
        const vec score = cap_logits_vec(product, shape->softcap).value;
        store_f32(scores + j, score);
        largest = larger_vec(select_vec(lanes_seen(j, skipped, keys), score, largest), largest);
    }
    store_f32(lanes, largest);
    for (int i = 0; i < LANES; i++)
        most = lanes[i] > most ? lanes[i] : most;
    const float shift = most == -INFINITY ? 0 : most; // the stretch gets weight 0, unless all stretches do
    for (int64_t j = first; j < keys; j += LANES) {
        const vec weight = exp_vec(load_f32(scores + j) - shift);
        sum += select_vec(lanes_seen(j, skipped, keys), weight, splat(0));
        store_f32(scores + j, weight);
    }
    few->largest[kept] = most;
    few->sum[kept] = sum_lanes(sum);
}

// ---- values ----

// out[n] += p[n] v, `vecs` vectors of it from column i on
INLINE void value_tile(const char *v, int64_t step, int64_t keys, const float *p, float *out, int64_t padded,
                       int64_t i, int heads, int vecs, bool bf16)
{
    vec sum[HEADS_AT_ONCE][2 * VALUE_VECS];
    for (int n = 0; n < heads; n++)
        for (int m = 0; m < vecs; m++)
            sum[n][m] = load_f32(out + n * padded + i + m * LANES);
    for (int64_t j = 0; j < keys; j++, v += step)
        for (int m = 0; m < vecs; m++) {
            const vec value = load_whole(v, i + m * LANES, bf16);
            for (int n = 0; n < heads; n++)
                sum[n][m] += value * p[n * STRETCH + j];
        }
    for (int n = 0; n < heads; n++)
        for (int m = 0; m < vecs; m++)
            store_f32(out + n * padded + i + m * LANES, sum[n][m]);
}

INLINE void value_heads(const char *v, int64_t step, int64_t keys, const float *p, float *out, int64_t d,
                        int heads, bool bf16)
{
    const int64_t padded = attention_padded(d);
    int64_t i = 0;
    for (; heads == 1 && i + 2 * VALUE_VECS * LANES <= d; i += 2 * VALUE_VECS * LANES)
        value_tile(v, step, keys, p, out, padded, i, 1, 2 * VALUE_VECS, bf16);
    for (; i + VALUE_VECS * LANES <= d; i += VALUE_VECS * LANES)
        value_tile(v, step, keys, p, out, padded, i, heads, VALUE_VECS, bf16);
    for (; i + LANES <= d; i += LANES)
        value_tile(v, step, keys, p, out, padded, i, heads, 1, bf16);
    for (int n = 0; n < heads && i < d; n++) {
        vec sum = load_f32(out + n * padded + i);
        for (int64_t j = 0; j < keys; j++)
            sum += load(v + j * step, i, d, bf16) * p[n * STRETCH + j];
        store_f32(out + n * padded + i, sum);
    }
}

INLINE void value_block(const struct few *few, int64_t group, int64_t key, int64_t keys, bool bf16)
{
    const struct loam_attention_forward_args *args = few->args;
    const int64_t d = args->v.shape[2], padded = attention_padded(d), all = args->q.shape[1];
    const int64_t heads = all / args->v.shape[1], step = args->v.stride[0] * (bf16 ? 2 : 4);
    const char *v = cpu_head(&args->v, few->sequence.kv_first + few->stretch * STRETCH + key, group);
    for (int64_t j = 0; j < keys; j++)
        attention_prefetch(v + (j + BLOCK) * step, d, bf16);
    for (int64_t query = 0; query < few->sequence.q_count; query++) {
        const int64_t skipped = keys_skipped(few, query), first = skipped > key ? skipped - key : 0;
        const int64_t seen = attention_min(keys, keys_seen(few, query) - key) - first;
        if (seen <= 0) continue;
        for (int64_t head = 0; head < heads; head += HEADS_AT_ONCE) {
            const int64_t row = query * all + group * heads + head;
            const float *p = few->scores + row * STRETCH + key + first;
            float *out = few->out + (few->stretch * few->rows + row) * padded;
            if (heads - head >= 3) value_heads(v + first * step, step, seen, p, out, d, 3, bf16);
            if (heads - head == 2) value_heads(v + first * step, step, seen, p, out, d, 2, bf16);
            if (heads - head == 1) value_heads(v + first * step, step, seen, p, out, d, 1, bf16);
        }
    }
}

// ---- the op ----

INLINE void run_stretch(const struct few *few, bool bf16)
{
    const struct loam_attention_forward_args *args = few->args;
    const int64_t heads = args->q.shape[1], groups = args->k.shape[1];
    const int64_t padded = attention_padded(args->q.shape[2]);
    const int64_t keys = attention_min(STRETCH, few->sequence.kv_count - few->stretch * STRETCH);
    const int64_t first = attention_round_down(keys_skipped(few, 0), BLOCK);
    for (int64_t row = 0; row < few->rows; row++)
        attention_gather(few->q + row * padded, &args->q, few->sequence.q_first + row / heads, 1,
                         row % heads);
    for (int64_t key = first; key < keys; key += BLOCK)
        for (int64_t group = 0; group < groups; group++)
            score_block(few, group, key, attention_min(BLOCK, keys - key), bf16);
    for (int64_t row = 0; row < few->rows; row++)
        weigh_row(few, row);
    memset(few->out + few->stretch * few->rows * padded, 0, (size_t)(few->rows * padded) * sizeof(float));
    for (int64_t key = first; key < keys; key += BLOCK)
        for (int64_t group = 0; group < groups; group++)
            value_block(few, group, key, attention_min(BLOCK, keys - key), bf16);
}

// A row of the stretches together: out = sum_s(exp(largest_s - largest) out_s) / sum; the first takes the
// sum.
static void merge_row(const struct few *few, int64_t row)
{
    const struct loam_attention_forward_args *args = few->args;
    const int64_t heads = args->q.shape[1], padded = attention_padded(args->q.shape[2]);
    const int64_t query = row / heads, to = few->sequence.q_first + query;
    const int64_t first = first_stretch(few), stretches = stretch_count(query + few->sequence.before + 1);
    float *out = few->out + (first * few->rows + row) * padded, largest = -INFINITY, sum = 0;
    for (int64_t s = first; s < stretches; s++)
        largest = fmaxf(largest, few->largest[s * few->rows + row]);
    for (int64_t s = first; s < stretches; s++) {
        const float weight = expf(few->largest[s * few->rows + row] - largest);
        const float *part = few->out + (s * few->rows + row) * padded;
        sum += few->sum[s * few->rows + row] * weight;
        for (int64_t i = 0; i < padded; i += LANES)
            store_f32(out + i, (s > first ? load_f32(out + i) : splat(0)) + load_f32(part + i) * weight);
    }
    attention_scatter(&args->out, out, to, 1, row % heads, 1.0f / sum);
    ((float *)args->lse.data)[row % heads * args->q.shape[0] + to] = largest + logf(sum);
}

static void few_init(struct few *few, const struct loam_attention_forward_args *args, float *kept,
                     float *thread)
{
    const int64_t most = stretch_count(args->shape.max_kv) * most_rows(args);
    few->args = args;
    few->out = kept;
    few->largest = few->out + most * attention_padded(args->q.shape[2]);
    few->sum = few->largest + most;
    few->q = thread;
    few->scores = thread + most_rows(args) * attention_padded(args->q.shape[2]);
}

enum loam_status cpu_attention_few(struct loam_stream *stream, const struct loam_attention_forward_args *args)
{
    const int64_t sequences = loam_tensor_count(&args->shape.q_offsets) - 1;
    float *memory = loam_stream_scratch(stream, cpu_attention_few_scratch(stream->device, args));
    if (memory == NULL) return LOAM_ERROR_INTERNAL;
    float *threads = memory + kept_floats(args);
#pragma omp parallel num_threads(cpu_threads(stream))
    {
        struct few few;
        few_init(&few, args, memory, threads + omp_get_thread_num() * thread_floats(args));
        for (int64_t s = 0; s < sequences; s++) {
            few.sequence = attention_sequence(&args->shape, s);
            few.rows = few.sequence.q_count * args->q.shape[1];
            if (few.rows == 0) continue; // keys that no query reads
#pragma omp for schedule(dynamic)
            for (int64_t stretch = first_stretch(&few); stretch < stretch_count(few.sequence.kv_count);
                 stretch++) {
                few.stretch = stretch;
                if (args->k.dtype == LOAM_BF16) run_stretch(&few, true);
                if (args->k.dtype != LOAM_BF16) run_stretch(&few, false);
            }
#pragma omp for schedule(static)
            for (int64_t row = 0; row < few.rows; row++)
                merge_row(&few, row);
        }
    }
    return LOAM_OK;
}
