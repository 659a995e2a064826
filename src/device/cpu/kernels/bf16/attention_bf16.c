// The kernels of attention by AVX-512 BF16: weights and gradients of scores are rounded to bf16 for their
// products.
#include "device/cpu/kernels/attention_backward.h"
#include "device/cpu/kernels/attention_forward.h"
#include "device/cpu/kernels/bf16/tile_bf16.h"

// ---- forward ----

WITH_BF16 INLINE void put_weights_bf16(float *p, int64_t j, vec even, vec odd)
{
    store_f32(p + j / 2 * QUERIES, pair_bf16(even, odd));
}

WITH_BF16 static void softmax_bf16(struct forward_work *work, const struct scores *scores)
{
    softmax_lanes(work, scores, put_weights_bf16);
}

const struct attention_forward_kernel CPU_NAME(attention_forward_bf16) = {2, small_matmul_bf16, softmax_bf16};

// ---- backward ----

WITH_BF16 INLINE void put_gradients_bf16(const struct backward_task *task, int64_t lane, int64_t j,
                                         const vec p[2], const vec ds[2])
{
    for (int n = 0; n < 2; n++) {
        const int64_t at = (j + n) * (QUERIES / 2) + lane / 2;
        store_round_bf16(task->p + at, p[n]);
        store_round_bf16(task->ds + at, ds[n]);
    }
    store_f32(task->ds_pairs + j / 2 * QUERIES + lane, pair_bf16(ds[0], ds[1]));
}

WITH_BF16 static void gradient_bf16(struct backward_task *task, int64_t query, int64_t lane, int64_t key,
                                    int64_t keys, float slope)
{
    gradient_lanes(task, query, lane, key, keys, slope, put_gradients_bf16);
}

const struct attention_backward_kernel CPU_NAME(attention_backward_bf16) = {2, small_matmul_bf16,
                                                                            gradient_bf16};
