#include <math.h>

#include "device/ref/ref.h"

// One call's inputs, forward and backward alike.
struct attention {
    const struct loam_tensor *q; // [Tq, Q, D]
    const struct loam_tensor *k; // [Tkv, G, D]
    const struct loam_tensor *v; // [Tkv, G, D]
    const struct loam_attention_shape *shape;
    int64_t heads_per_group; // Q / G
    int64_t size;            // D
};

static struct attention attention_of(const struct loam_tensor *q, const struct loam_tensor *k,
                                     const struct loam_tensor *v, const struct loam_attention_shape *shape)
{
    return (struct attention){q, k, v, shape, q->shape[1] / k->shape[1], q->shape[2]};
}

// One sequence: its first rows and how many there are.
struct span {
    int64_t q_first, q_count;
    int64_t kv_first, kv_count;
};

static int64_t sequence_count(const struct attention *a)
{
    return loam_tensor_count(&a->shape->q_offsets) - 1;
}

static struct span sequence(const struct attention *a, int64_t s)
{
    int64_t q = ref_index(&a->shape->q_offsets, s), kv = ref_index(&a->shape->kv_offsets, s);
    return (struct span){q, ref_index(&a->shape->q_offsets, s + 1) - q, kv,
                         ref_index(&a->shape->kv_offsets, s + 1) - kv};
}

// The keys that a query sees.
struct visible {
    int64_t first, end;
};

// Of query i of the sequence: the queries are its last rows.
static struct visible visible(const struct attention *a, const struct span *span, int64_t i)
{
    const int64_t end = i + span->kv_count - span->q_count + 1, window = a->shape->window;
    return (struct visible){window > 0 && window < end ? end - window : 0, end};
}

static double dot(const struct loam_tensor *x, int64_t x_at, const struct loam_tensor *y, int64_t y_at,
                  int64_t count)
{
    double sum = 0.0;
    for (int64_t d = 0; d < count; d++)
        sum += ref_load(x, x_at + d) * ref_load(y, y_at + d);
    return sum;
}

// scale q.k + slope j, or cap tanh(scale q.k / cap), of query i and key j of the sequence
static double score(const struct attention *a, const struct span *span, int64_t head, int64_t i, int64_t j)
{
    int64_t q_at = ref_at(a->q, span->q_first + i, head);
    int64_t k_at = ref_at(a->k, span->kv_first + j, head / a->heads_per_group);
    double slope = a->shape->slopes.data != NULL ? ref_load(&a->shape->slopes, head) : 0.0;
    double product = (double)a->shape->scale * dot(a->q, q_at, a->k, k_at, a->size);
    double cap = (double)a->shape->softcap;
    return cap > 0.0 ? cap * tanh(product / cap) : product + slope * (double)j;
}

size_t loam_ref_attention_forward_scratch(const struct loam_device *device,
                                          const struct loam_attention_forward_args *args)
{
    (void)device;
    return loam_scratch_bytes(args->shape.max_kv, sizeof(double));
}

// out [D] of one query and its log-sum-exp; `p` has room for the keys of the sequence.
static double attend(const struct attention *a, const struct span *span, int64_t head, int64_t i, double *p,
                     const struct loam_tensor *out)
{
    const struct visible keys = visible(a, span, i);
    int64_t group = head / a->heads_per_group;
    double largest = -INFINITY, sum = 0.0;
    for (int64_t j = keys.first; j < keys.end; j++) {
        p[j] = score(a, span, head, i, j);
        largest = fmax(largest, p[j]);
    }
    for (int64_t j = keys.first; j < keys.end; j++) {
        p[j] = exp(p[j] - largest);
        sum += p[j];
    }
    int64_t out_at = ((span->q_first + i) * a->q->shape[1] + head) * a->size;
    for (int64_t d = 0; d < a->size; d++) {
        double value = 0.0;
        for (int64_t j = keys.first; j < keys.end; j++) {
            value += p[j] / sum * ref_load(a->v, ref_at(a->v, span->kv_first + j, group) + d);
        }
        ref_store(out, out_at + d, value);
    }
    return largest + log(sum);
}

enum loam_status loam_ref_attention_forward(struct loam_stream *stream,
                                            const struct loam_attention_forward_args *args)
{
    struct attention a = attention_of(&args->q, &args->k, &args->v, &args->shape);
    int64_t tokens = args->q.shape[0], heads = args->q.shape[1];
    double *p = loam_stream_scratch(stream, loam_ref_attention_forward_scratch(stream->device, args));
    if (p == NULL) return LOAM_ERROR_INTERNAL;
    for (int64_t s = 0; s < sequence_count(&a); s++) {
        struct span span = sequence(&a, s);
        if (span.kv_count > args->shape.max_kv || span.q_count > span.kv_count) {
            loam_stream_fail(stream, LOAM_ERROR_ARGUMENT, stream->op,
                             "a sequence is longer than max_kv or its keys");
            return LOAM_ERROR_ARGUMENT;
        }
        for (int64_t head = 0; head < heads; head++) {
            for (int64_t i = 0; i < span.q_count; i++) {
                double lse = attend(&a, &span, head, i, p, &args->out);
                ref_store(&args->lse, head * tokens + span.q_first + i, lse);
            }
        }
    }
    return LOAM_OK;
}

// Two sums of D elements: dq's, or dk's and dv's.
size_t loam_ref_attention_backward_scratch(const struct loam_device *device,
                                           const struct loam_attention_backward_args *args)
{
    (void)device;
    return loam_scratch_bytes(2 * args->q.shape[2], sizeof(double));
}

// p and ds = p (dp - sum_d(dout out)) of one query and one key, with a soft cap times 1 - (score / cap)^2
struct pair {
    double p, ds;
};
static struct pair pair_of(const struct loam_attention_backward_args *args, const struct attention *a,
                           const struct span *span, int64_t head, int64_t i, int64_t j)
{
    int64_t row = span->q_first + i, out_at = (row * a->q->shape[1] + head) * a->size;
    int64_t v_at = ref_at(a->v, span->kv_first + j, head / a->heads_per_group);
    double lse = ref_load(&args->lse, head * a->q->shape[0] + row);
    double value = score(a, span, head, i, j), p = exp(value - lse);
    double dp = dot(&args->dout, out_at, a->v, v_at, a->size);
    double delta = dot(&args->dout, out_at, &args->out, out_at, a->size);
    double ratio = a->shape->softcap > 0.0f ? value / (double)a->shape->softcap : 0.0;
    return (struct pair){p, p * (dp - delta) * (1.0 - ratio * ratio)};
}

// sum [D] += factor x [D]
static void add_scaled(double *sum, double factor, const struct loam_tensor *x, int64_t x_at, int64_t count)
{
    for (int64_t d = 0; d < count; d++)
        sum[d] += factor * ref_load(x, x_at + d);
}

static void store_all(const struct loam_tensor *x, int64_t x_at, const double *sum, int64_t count)
{
    for (int64_t d = 0; d < count; d++)
        ref_store(x, x_at + d, sum[d]);
}

// dq of one query: the sum over the keys that it sees
static void backward_query(const struct loam_attention_backward_args *args, const struct attention *a,
                           const struct span *span, int64_t head, int64_t i, double *sum)
{
    for (int64_t d = 0; d < a->size; d++)
        sum[d] = 0.0;
    const struct visible keys = visible(a, span, i);
    for (int64_t j = keys.first; j < keys.end; j++) {
        struct pair pair = pair_of(args, a, span, head, i, j);
        int64_t k_at = ref_at(a->k, span->kv_first + j, head / a->heads_per_group);
        add_scaled(sum, (double)a->shape->scale * pair.ds, a->k, k_at, a->size);
    }
    store_all(&args->dq, ref_at(&args->dq, span->q_first + i, head), sum, a->size);
}

// dk and dv of one key: the sums over the query heads of its group and the queries that see it
static void backward_key(const struct loam_attention_backward_args *args, const struct attention *a,
                         const struct span *span, int64_t group, int64_t j, double *dk, double *dv)
{
    for (int64_t d = 0; d < a->size; d++)
        dk[d] = dv[d] = 0.0;
    for (int64_t head = group * a->heads_per_group; head < (group + 1) * a->heads_per_group; head++) {
        for (int64_t i = 0; i < span->q_count; i++) {
            const struct visible keys = visible(a, span, i);
            if (j < keys.first || j >= keys.end) continue;
            struct pair pair = pair_of(args, a, span, head, i, j);
            int64_t row = span->q_first + i;
            add_scaled(dk, (double)a->shape->scale * pair.ds, a->q, ref_at(a->q, row, head), a->size);
            add_scaled(dv, pair.p, &args->dout, (row * a->q->shape[1] + head) * a->size, a->size);
        }
    }
    store_all(&args->dk, ref_at(&args->dk, span->kv_first + j, group), dk, a->size);
    store_all(&args->dv, ref_at(&args->dv, span->kv_first + j, group), dv, a->size);
}

enum loam_status loam_ref_attention_backward(struct loam_stream *stream,
                                             const struct loam_attention_backward_args *args)
{
    struct attention a = attention_of(&args->q, &args->k, &args->v, &args->shape);
    double *sums = loam_stream_scratch(stream, loam_ref_attention_backward_scratch(stream->device, args));
    if (sums == NULL) return LOAM_ERROR_INTERNAL;
    for (int64_t s = 0; s < sequence_count(&a); s++) {
        struct span span = sequence(&a, s);
        for (int64_t head = 0; head < a.q->shape[1]; head++) {
            for (int64_t i = 0; i < span.q_count; i++)
                backward_query(args, &a, &span, head, i, sums);
        }
        for (int64_t group = 0; group < a.k->shape[1]; group++) {
            for (int64_t j = 0; j < span.kv_count; j++) {
                backward_key(args, &a, &span, group, j, sums, sums + a.size);
            }
        }
    }
    return LOAM_OK;
}

enum loam_status loam_ref_kv_append(struct loam_stream *stream, const struct loam_kv_append_args *args)
{
    (void)stream;
    const struct loam_tensor *x = &args->x, *cache = &args->cache;
    for (int64_t t = 0; t < x->shape[0]; t++) {
        for (int64_t g = 0; g < x->shape[1]; g++) {
            for (int64_t d = 0; d < x->shape[2]; d++) {
                double value = ref_load(x, ref_at(x, t, g) + d);
                ref_store(cache, ref_at(cache, args->first + t, g) + d, value);
            }
        }
    }
    return LOAM_OK;
}
