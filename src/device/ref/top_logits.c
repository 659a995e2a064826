#include <math.h>

#include "device/ref/ref.h"

static bool is_candidate(const struct loam_top_logits_args *args, int64_t t, int64_t v)
{
    const struct loam_tensor *allowed = &args->allowed;
    if (v >= args->limit || !isfinite(ref_load(&args->x, ref_at(&args->x, t, v)))) return false;
    return allowed->data == NULL ||
           ((uint32_t)ref_index(allowed, t * allowed->shape[1] + v / 32) >> (v % 32) & 1) != 0;
}

// The best candidate that comes after one with this logit and id; -1: there is none.
static int32_t find_next(const struct loam_top_logits_args *args, int64_t t, double logit, int32_t id)
{
    int32_t best = -1;
    double largest = -INFINITY;
    for (int64_t v = 0; v < args->x.shape[1]; v++) {
        const double x = ref_load(&args->x, ref_at(&args->x, t, v));
        const bool after = x < logit || (x == logit && v > id);
        if (!is_candidate(args, t, v) || !after || x <= largest) continue;
        best = (int32_t)v;
        largest = x;
    }
    return best;
}

static void top_of_row(const struct loam_top_logits_args *args, int64_t t)
{
    const int64_t k = args->values.shape[1];
    double last = INFINITY, sum = 0.0;
    int32_t id = -1, *const ids = args->ids.data, *const faults = args->faults.data;
    for (int64_t j = 0; j < k; j++) {
        const bool ended = j > 0 && ids[t * k + j - 1] < 0;
        id = ended ? -1 : find_next(args, t, last, id);
        last = id < 0 ? -INFINITY : ref_load(&args->x, ref_at(&args->x, t, id));
        ids[t * k + j] = id;
        ref_store(&args->values, t * k + j, last);
    }
    faults[t] = -1;
    for (int64_t v = args->x.shape[1]; v-- > 0;) {
        const double x = ref_load(&args->x, ref_at(&args->x, t, v));
        if (!isfinite(x)) faults[t] = (int32_t)v;
        if (args->sums.data != NULL && is_candidate(args, t, v))
            sum += exp(ref_load(&args->factors, t) * (x - ref_load(&args->values, t * k)));
    }
    if (args->sums.data != NULL) ref_store(&args->sums, t, sum);
}

enum loam_status loam_ref_top_logits(struct loam_stream *stream, const struct loam_top_logits_args *args)
{
    (void)stream;
    const int64_t asked = args->asked.data != NULL ? args->asked.shape[1] : 0;
    for (int64_t t = 0; t < args->x.shape[0]; t++) {
        top_of_row(args, t);
        for (int64_t j = 0; j < asked; j++) {
            const int32_t id = ref_index(&args->asked, t * asked + j);
            ref_store(&args->answers, t * asked + j,
                      id < 0 ? 0.0 : ref_load(&args->x, ref_at(&args->x, t, id)));
        }
    }
    return LOAM_OK;
}
