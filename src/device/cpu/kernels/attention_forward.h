// What the kernels of attention's forward share, in f32 and in bf16.
#ifndef LOAM_DEVICE_CPU_KERNELS_ATTENTION_FORWARD_H
#define LOAM_DEVICE_CPU_KERNELS_ATTENTION_FORWARD_H

#include <math.h>

#include "device/cpu/kernels/attention.h"

// A thread's memory: keys and values of one head of a sequence, and a block of its queries.
struct forward_work {
    const struct attention_forward_kernel *kernel;
    float *k;    // [max_kv, cells of D]
    float *v;    // [max_kv / per, padded D]
    float *rows; // [QUERIES, cells of D]: q
    float *q;    // [cells of D, QUERIES]
    float *p;    // [KEYS, QUERIES]: scores, then weights [KEYS / per, QUERIES]
    float *out;  // [padded D, QUERIES], not yet divided by `sum`
    float largest[QUERIES];
    float sum[QUERIES];
    float rescale[QUERIES]; // of what was summed before the block of keys
};

// Scores of a vector of queries and of `keys` keys from `key` on.
struct scores {
    float *first; // of [keys, QUERIES]
    struct attention_sequence sequence;
    int64_t query, lane, key, keys;
    float scale, slope;
};

struct attention_forward_kernel {
    int64_t per;
    void (*multiply)(const struct small_matmul *mm, const float *factor, int64_t m, int64_t n, int64_t k);
    void (*softmax)(struct forward_work *work, const struct scores *scores);
};

// ---- softmax ----

// Writes the weights of keys j and j + 1.
typedef void put_weights(float *p, int64_t j, vec even, vec odd);

INLINE vec score_of(const struct scores *scores, int64_t j)
{
    return load_f32(scores->first + j * QUERIES) * scores->scale + scores->slope * (float)(scores->key + j);
}

// Turns scores into weights. A key that a query does not see gets weight 0.
INLINE void softmax_lanes(struct forward_work *work, const struct scores *scores, put_weights *put)
{
    const struct attention_sequence *sequence = &scores->sequence;
    const int64_t query = scores->query, key = scores->key, keys = scores->keys, lane = scores->lane;
    const bool all_seen = attention_sees_all(sequence, query, key, keys);
    const vec before = load_f32(work->largest + lane);
    vec largest = before;
    for (int64_t j = 0; j < keys; j++) {
        vec score = score_of(scores, j);
        if (!all_seen) score = select_vec(attention_sees(sequence, query, key + j), score, splat(-INFINITY));
        largest = larger_vec(score, largest);
    }
    const vec rescale = exp_vec(before - largest);
    vec sum = load_f32(work->sum + lane) * rescale;
    for (int64_t j = 0; j < keys; j += 2) {
        vec weight[2];
        for (int n = 0; n < 2; n++) {
            weight[n] = exp_vec(score_of(scores, j + n) - largest);
            if (!all_seen)
                weight[n] = select_vec(attention_sees(sequence, query, key + j + n), weight[n], splat(0));
            sum += weight[n];
        }
        put(scores->first, j, weight[0], weight[1]);
    }
    store_f32(work->largest + lane, largest);
    store_f32(work->sum + lane, sum);
    store_f32(work->rescale + lane, rescale);
}

#endif
