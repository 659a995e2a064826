// Logits that are held: those of generation, and those of a head with adapters, with their loss.
#include <math.h>

#include "device/cpu/kernels/logits.h"
#include "device/cpu/kernels/spans.h"

static enum loam_status cap_logits(struct loam_stream *stream, const struct loam_cap_logits_args *args)
{
    const struct spans spans = cut_spans(1, loam_tensor_count(&args->x), true);
    float *x = args->x.data;
#pragma omp parallel for schedule(static) if (spans.count > 1) num_threads(cpu_threads(stream))
    for (int64_t i = 0; i < spans.count; i++) {
        const struct span span = span_at(&spans, i);
        for (int64_t j = span.first; j < span.last; j += LANES)
            store(x, j, span.last,
                  cap_logits_vec(args->factor * load(x, j, span.last, false), args->softcap).value, false);
    }
    return LOAM_OK;
}

// ---- loss ----

enum { BLOCK = 4096 }; // logits that are summed in f32

struct row_loss {
    double largest, others, own; // logit; sum of exp(logit - largest) without the target; of the target
};

static float largest_logit(const struct loam_cross_entropy_args *args, const float *row, int64_t n)
{
    vec largest = splat(-INFINITY);
    for (int64_t i = 0; i < n; i += LANES) {
        const vec logits =
            cap_logits_vec(args->logit_factor * load(row, i, n, false), args->logit_softcap).value;
        const vec_int inside = lane_index() < splat_int((int32_t)(n - i < LANES ? n - i : LANES));
        largest = larger_vec(largest, select_vec(inside, logits, splat(-INFINITY)));
    }
    float all = -INFINITY;
    for (int lane = 0; lane < LANES; lane++)
        all = fmaxf(all, largest[lane]);
    return all;
}

static struct row_loss sum_row(const struct loam_cross_entropy_args *args, const float *row, int64_t n,
                               int32_t target)
{
    const float largest = largest_logit(args, row, n);
    struct row_loss sums = {.largest = (double)largest};
    for (int64_t first = 0; first < n; first += BLOCK) {
        const int64_t last = first + BLOCK < n ? first + BLOCK : n;
        vec sum = splat(0);
        for (int64_t i = first; i < last; i += LANES) {
            const vec_int column = lane_index() + splat_int((int32_t)i);
            const vec_int others = ~(column == splat_int(target)) & (column < splat_int((int32_t)last));
            const vec logits =
                cap_logits_vec(args->logit_factor * load(row, i, last, false), args->logit_softcap).value;
            sum += select_vec(others, exp_vec(logits - largest), splat(0));
        }
        sums.others += (double)sum_lanes(sum);
    }
    const vec own = cap_logits_vec(splat(args->logit_factor * row[target]), args->logit_softcap).value;
    sums.own = exp((double)own[0] - sums.largest);
    return sums;
}

// row = factor d loss / d row
static void row_gradient(const struct loam_cross_entropy_args *args, float *row, int64_t n, int32_t target,
                         const struct row_loss *sums, float factor)
{
    const double total = sums->others + sums->own;
    const float share = factor * args->logit_factor / (float)total, largest = (float)sums->largest;
    const vec of_target = splat(-factor * args->logit_factor * (float)(sums->others / total));
    for (int64_t i = 0; i < n; i += LANES) {
        const struct logits logits =
            cap_logits_vec(args->logit_factor * load(row, i, n, false), args->logit_softcap);
        const vec_int is_target = lane_index() + splat_int((int32_t)i) == splat_int(target);
        const vec weights = select_vec(is_target, of_target, share * exp_vec(logits.value - largest));
        store(row, i, n, weights * logits.slope, false);
    }
}

static enum loam_status cross_entropy(struct loam_stream *stream, const struct loam_cross_entropy_args *args)
{
    const int64_t tokens = args->products.shape[0], n = args->products.shape[1];
    const int32_t *targets = args->targets.data;
    const float *factors = args->factors.data;
    float *losses = args->losses.data;
#pragma omp parallel for schedule(dynamic) if (tokens > 1) num_threads(cpu_threads(stream))
    for (int64_t t = 0; t < tokens; t++) {
        float *row = cpu_row(&args->products, t);
        if (targets[t] == LOAM_NO_TARGET) {
            losses[t] = 0;
            if (factors != NULL) memset(row, 0, (size_t)n * sizeof *row);
            continue;
        }
        const struct row_loss sums = sum_row(args, row, n, targets[t]);
        losses[t] = (float)(log(sums.others + sums.own) - log(sums.own));
        if (factors != NULL) row_gradient(args, row, n, targets[t], &sums, factors[t]);
    }
    return LOAM_OK;
}

void CPU_NAME(logits)(struct loam_op_table *ops)
{
    ops->cap_logits.run = cap_logits;
    ops->cross_entropy.run = cross_entropy;
}
