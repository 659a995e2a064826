// What the kernels of attention's backward share, in f32 and in bf16.
#ifndef LOAM_DEVICE_CPU_KERNELS_ATTENTION_BACKWARD_H
#define LOAM_DEVICE_CPU_KERNELS_ATTENTION_BACKWARD_H

#include "device/cpu/kernels/attention.h"

struct backward_task {
    const struct loam_attention_backward_args *args;
    const struct attention_backward_kernel *kernel;
    struct attention_sequence sequence;
    int64_t part, parts; // it has every `parts`-th block of queries, from `part` on
    int64_t d, padded, cells;
    float *k, *v;                    // [max_kv, cells of D]
    float *k_pairs;                  // [max_kv / per, padded D]
    float *dk, *dv;                  // [max_kv, padded D]
    float *q, *dout;                 // [QUERIES, cells of D]
    float *q_columns, *dout_columns; // [cells of D, QUERIES]
    float *q_pairs, *dout_pairs;     // [QUERIES / per, padded D]
    float *scores, *dp;              // [KEYS, QUERIES]
    float *p, *ds;                   // [KEYS, QUERIES / per]
    float *ds_pairs;                 // [KEYS / per, QUERIES]
    float *dq;                       // [QUERIES, padded D]
    float delta[QUERIES];            // sum_d(dout out)
    float lse[QUERIES];
    int64_t first_key;                         // of the blocks of keys of this block of queries
    int64_t next_head, next_query, next_count; // the block of queries after this one
};

struct attention_backward_kernel {
    int64_t per;
    void (*multiply)(const struct small_matmul *mm, const float *factor, int64_t m, int64_t n, int64_t k);
    // One vector of queries: p = exp(score - lse), ds = p (dp - delta) for `keys` keys from `key`; ds is the
    // gradient of scale q.k, so that a soft cap's slope is a factor of it.
    void (*gradient)(struct backward_task *task, int64_t query, int64_t lane, int64_t key, int64_t keys,
                     float slope);
};

// ---- gradients of scores ----

// Writes p and ds of a vector of queries and of keys j and j + 1.
typedef void put_gradients(const struct backward_task *task, int64_t lane, int64_t j, const vec p[2],
                           const vec ds[2]);

// `capped`: the scores have a soft cap, and no slope. Callers pass a constant.
INLINE void gradient_lanes_by(struct backward_task *task, int64_t query, int64_t lane, int64_t key,
                              int64_t keys, float slope, put_gradients *put, bool capped)
{
    const bool all_seen = attention_sees_all(&task->sequence, query, key, keys);
    const vec lse = load_f32(task->lse + lane), delta = load_f32(task->delta + lane);
    const float scale = task->args->shape.scale, cap = task->args->shape.softcap;
    for (int64_t j = 0; j < keys; j += 2) {
        vec p[2], ds[2];
        for (int n = 0; n < 2; n++) {
            const int64_t at = (j + n) * QUERIES + lane;
            const vec product = load_f32(task->scores + at);
            struct logits score = {splat(0), splat(1)};
            if (capped) score = cap_logits_vec(product * scale, cap);
            p[n] = capped ? exp_vec(score.value - lse)
                          : exp_vec(product * scale + (slope * (float)(key + j + n) - lse));
            if (!all_seen)
                p[n] = select_vec(attention_sees(&task->sequence, query, key + j + n), p[n], splat(0));
            ds[n] = p[n] * (load_f32(task->dp + at) - delta);
            if (capped) ds[n] *= score.slope;
        }
        put(task, lane, j, p, ds);
    }
}

INLINE void gradient_lanes(struct backward_task *task, int64_t query, int64_t lane, int64_t key, int64_t keys,
                           float slope, put_gradients *put)
{
    if (task->args->shape.softcap > 0)
        gradient_lanes_by(task, query, lane, key, keys, 0, put, true);
    else
        gradient_lanes_by(task, query, lane, key, keys, slope, put, false);
}

#endif
