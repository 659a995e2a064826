// The kernels of attention by AVX-512 BF16: weights and gradients of scores are rounded to bf16 for their
// products. Weights are powers of two, so that the scale of the scores, its factor log2(e) and the reference of
// the exponentials are one multiply-add.
#include <math.h>

#include "device/cpu/kernels/attention_backward.h"
#include "device/cpu/kernels/attention_forward.h"
#include "device/cpu/kernels/bf16/tile_bf16.h"

static const float log2_e = 1.44269504f;

// 2^x to 2e-7 of itself: x = n + f with |f| <= 1/2, 2^f by a polynomial, n added to its exponent. Below -125 it
// ends at 2^-125 instead of 0; NaN stays NaN. Above 126, where only keys are that the query does not see, the result
// has no meaning: attention discards it.
INLINE vec exp2_vec(vec x)
{
    x = larger_vec(splat(-125.0f), x);
    const vec magic = splat(12582912.0f); // 1.5 * 2^23: adding it rounds to an integer, held in the low bits
    const vec shifted = x + magic, f = x - (shifted - magic);
    vec p = f * 0.00132764713f + 0.00967554189f;
    p = p * f + 0.0555071309f;
    p = p * f + 0.240221202f;
    p = p * f + 0.693146944f;
    p = p * f + 1.0f;
    return (vec)((vec_uint)p + ((vec_uint)shifted << 23)); // the bits of magic are shifted out
}

// ---- forward ----

// The largest score of each query, of all keys so far. `sloped`: the scores have a slope.
INLINE vec largest_score(const struct scores *scores, vec largest, bool all_seen, bool sloped)
{
    if (all_seen && !sloped) { // the scale is positive
        vec product = load_f32(scores->first);
        for (int64_t j = 1; j < scores->keys; j++)
            product = larger_vec(load_f32(scores->first + j * QUERIES), product);
        return larger_vec(product * scores->scale, largest);
    }
    for (int64_t j = 0; j < scores->keys; j++) {
        vec score = score_of(scores, j);
        if (!all_seen)
            score = select_vec(attention_sees(&scores->sequence, scores->query, scores->key + j), score,
                               splat(-INFINITY));
        largest = larger_vec(score, largest);
    }
    return largest;
}

INLINE void softmax_by(struct forward_work *work, const struct scores *scores, bool all_seen, bool sloped)
{
    const int64_t keys = scores->keys, lane = scores->lane;
    const vec before = load_f32(work->largest + lane);
    const vec largest = largest_score(scores, before, all_seen, sloped);
    const vec rescale = exp2_vec((before - largest) * log2_e), reference = largest * log2_e;
    const float scale = scores->scale * log2_e, slope = scores->slope * log2_e;
    vec sum = load_f32(work->sum + lane) * rescale;
    for (int64_t j = 0; j < keys; j += 2) {
        vec weight[2];
        for (int n = 0; n < 2; n++) {
            const vec product = load_f32(scores->first + (j + n) * QUERIES);
            const vec less = sloped ? slope * (float)(scores->key + j + n) - reference : -reference;
            weight[n] = exp2_vec(product * scale + less);
            if (!all_seen)
                weight[n] = select_vec(attention_sees(&scores->sequence, scores->query, scores->key + j + n),
                                       weight[n], splat(0));
        }
        sum += weight[0] + weight[1];
        store_f32(scores->first + j / 2 * QUERIES, pair_bf16(weight[0], weight[1]));
    }
    store_f32(work->largest + lane, largest);
    store_f32(work->sum + lane, sum);
    store_f32(work->rescale + lane, rescale);
}

static void softmax_bf16(struct forward_work *work, const struct scores *scores)
{
    const bool all_seen = attention_sees_all(&scores->sequence, scores->query, scores->key, scores->keys);
    if (scores->slope != 0)
        softmax_by(work, scores, all_seen, true);
    else if (all_seen)
        softmax_by(work, scores, true, false);
    else
        softmax_by(work, scores, false, false);
}

const struct attention_forward_kernel CPU_NAME(attention_forward_bf16) = {2, small_matmul_bf16, softmax_bf16};

// ---- backward ----

INLINE void gradient_by(struct backward_task *task, int64_t query, int64_t lane, int64_t key, int64_t keys,
                        float slope, bool all_seen, bool capped)
{
    const vec reference = load_f32(task->lse + lane) * log2_e, delta = load_f32(task->delta + lane);
    const float cap = task->args->shape.softcap, scale = task->args->shape.scale;
    for (int64_t j = 0; j < keys; j += 2) {
        vec p[2], ds[2];
        for (int n = 0; n < 2; n++) {
            const int64_t at = (j + n) * QUERIES + lane;
            const vec product = load_f32(task->scores + at);
            struct logits score = {product, splat(1)};
            if (capped) score = cap_logits_vec(product * scale, cap);
            const vec less = slope * log2_e * (float)(key + j + n) - reference;
            p[n] = exp2_vec(score.value * (capped ? log2_e : scale * log2_e) + less);
            if (!all_seen)
                p[n] = select_vec(attention_sees(&task->sequence, query, key + j + n), p[n], splat(0));
            ds[n] = p[n] * (load_f32(task->dp + at) - delta);
            if (capped) ds[n] *= score.slope;
            const int64_t to = (j + n) * (QUERIES / 2) + lane / 2;
            store_bf16((uint16_t *)(void *)(task->p + to), p[n]);
            store_bf16((uint16_t *)(void *)(task->ds + to), ds[n]);
        }
        store_f32(task->ds_pairs + j / 2 * QUERIES + lane, pair_bf16(ds[0], ds[1]));
    }
}

static void gradient_bf16(struct backward_task *task, int64_t query, int64_t lane, int64_t key, int64_t keys,
                          float slope)
{
    const bool all_seen = attention_sees_all(&task->sequence, query, key, keys);
    if (task->args->shape.softcap > 0)
        gradient_by(task, query, lane, key, keys, 0, all_seen, true);
    else if (all_seen)
        gradient_by(task, query, lane, key, keys, slope, true, false);
    else
        gradient_by(task, query, lane, key, keys, slope, false, false);
}

const struct attention_backward_kernel CPU_NAME(attention_backward_bf16) = {2, small_matmul_bf16,
                                                                            gradient_bf16};
