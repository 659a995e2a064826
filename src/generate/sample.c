// Choosing the next token from logits.
#include "generate/sample.h"

#include <math.h>
#include <stdlib.h>

#include "base/heap.h"
#include "base/rng.h"

static bool is_allowed(const struct loam_sampling *sampling, int32_t id)
{
    return sampling->allowed == NULL || sampling->allowed[id];
}

static int32_t find_argmax(const struct loam_sampling *sampling, const float *logits, int32_t vocabulary)
{
    int32_t best = -1;
    for (int32_t i = 0; i < vocabulary; i++)
        if (is_allowed(sampling, i) && (best < 0 || logits[i] > logits[best])) best = i;
    return best < 0 ? 0 : best;
}

float loam_sample_penalise(float logit, double penalty)
{
    return (float)(logit > 0 ? logit / penalty : logit * penalty);
}

// Divides the positive logits of all ids in the history by the penalty, and multiplies the negative ones by
// it. `seen` holds a bit for each id, so that an id that occurs twice is penalised once.
static enum loam_status penalise(float *logits, int32_t vocabulary, double penalty, const int32_t *history,
                                 size_t history_count, struct loam_error *error)
{
    uint8_t *seen = loam_calloc(((size_t)vocabulary + 7) / 8, 1, error);
    if (seen == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < history_count; i++) {
        int32_t id = history[i];
        if (id < 0 || id >= vocabulary || (seen[id / 8] >> (id % 8) & 1) != 0) continue;
        seen[id / 8] = (uint8_t)(seen[id / 8] | 1 << (id % 8));
        logits[id] = loam_sample_penalise(logits[id], penalty);
    }
    free(seen);
    return LOAM_OK;
}

// Orders by the highest logit, then by id, so that the result does not depend on the sort algorithm.
static int compare_candidates(const void *left, const void *right)
{
    const struct loam_candidate *a = left, *b = right;
    if (a->logit != b->logit) return a->logit < b->logit ? 1 : -1;
    return a->id < b->id ? -1 : 1;
}

// Restores the heap below `at`. Its root is the worst candidate.
static void sift_down(struct loam_candidate *heap, int32_t count, int32_t at)
{
    for (int32_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && compare_candidates(&heap[child + 1], &heap[child]) > 0) child++;
        if (compare_candidates(&heap[at], &heap[child]) >= 0) return;
        struct loam_candidate swapped = heap[at];
        heap[at] = heap[child];
        heap[child] = swapped;
    }
}

// Moves the best `kept` candidates to the front, in order. A heap of `kept` takes n log k comparisons, fewer
// than a sort of the whole vocabulary.
static void select_best(struct loam_candidate *candidates, int32_t count, int32_t kept)
{
    if (kept < count) {
        for (int32_t at = kept / 2; at-- > 0;)
            sift_down(candidates, kept, at);
        for (int32_t i = kept; i < count; i++) {
            if (compare_candidates(&candidates[i], &candidates[0]) >= 0) continue;
            candidates[0] = candidates[i];
            sift_down(candidates, kept, 0);
        }
    }
    qsort(candidates, (size_t)kept, sizeof *candidates, compare_candidates);
}

// Writes exp((logit - largest) / temperature) of sorted candidates to `weights` and returns their sum.
static double compute_weights(const struct loam_candidate *candidates, int32_t count, double temperature,
                              double *weights)
{
    double sum = 0;
    for (int32_t i = 0; i < count; i++) {
        weights[i] = exp(((double)candidates[i].logit - (double)candidates[0].logit) / temperature);
        sum += weights[i];
    }
    return sum;
}

// Returns the smallest number of best candidates whose weights reach `mass`, at least one; count + 1 where all do not.
static int32_t count_nucleus(const double *weights, int32_t count, double mass)
{
    double reached = 0;
    int32_t kept = 0;
    while (kept < count && (kept == 0 || reached < mass))
        reached += weights[kept++];
    return reached < mass ? count + 1 : kept;
}

// Returns the number of best candidates that are at least min_p times as likely as the best one, whose weight is 1.
static int32_t count_likely(const double *weights, int32_t count, double min_p)
{
    int32_t kept = 1;
    while (kept < count && weights[kept] >= min_p)
        kept++;
    return kept;
}

static double draw_share(const struct loam_sampling *sampling, uint64_t draw)
{
    return (double)loam_rng_uniform(sampling->seed, loam_rng_stream(LOAM_RNG_SAMPLE, 0), draw);
}

static int32_t min32(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

// Draws one of `count` candidates, of which top_p and min_p have left these.
static int32_t draw_kept(const struct loam_sampling *sampling, const struct loam_candidate *candidates,
                         int32_t count, double sum, const double *weights, uint64_t draw)
{
    double target = draw_share(sampling, draw) * sum;
    for (int32_t i = 0; i < count - 1; i++) {
        target -= weights[i];
        if (target < 0) return candidates[i].id;
    }
    return candidates[count - 1].id;
}

static int32_t draw_candidate(const struct loam_sampling *sampling, const struct loam_candidate *candidates,
                              int32_t count, double *weights, uint64_t draw)
{
    double sum = compute_weights(candidates, count, sampling->temperature, weights);
    int32_t kept = count;
    if (sampling->top_p < 1) kept = min32(kept, count_nucleus(weights, kept, sampling->top_p * sum));
    if (sampling->min_p > 0) kept = count_likely(weights, kept, sampling->min_p);
    if (kept < count) sum = compute_weights(candidates, kept, sampling->temperature, weights);
    return draw_kept(sampling, candidates, kept, sum, weights, draw);
}

enum loam_status loam_sample_refuse(int32_t id, struct loam_error *error)
{
    return loam_fail(error, LOAM_ERROR_NUMERIC,
                     "the logit of token %d is not finite: the model or the "
                     "adapter is damaged",
                     id);
}

static enum loam_status check_finite(const float *logits, int32_t vocabulary, struct loam_error *error)
{
    for (int32_t i = 0; i < vocabulary; i++)
        if (!isfinite(logits[i])) return loam_sample_refuse(i, error);
    return LOAM_OK;
}

enum loam_status loam_sample(const struct loam_sampling *sampling, float *logits, int32_t vocabulary,
                             const int32_t *history, size_t history_count, uint64_t draw, int32_t *id,
                             struct loam_error *error)
{
    LOAM_TRY(check_finite(logits, vocabulary, error));
    if (sampling->repetition_penalty != 1)
        LOAM_TRY(penalise(logits, vocabulary, sampling->repetition_penalty, history, history_count, error));
    if (sampling->temperature <= 0) {
        *id = find_argmax(sampling, logits, vocabulary);
        return LOAM_OK;
    }
    struct loam_candidate *candidates =
        loam_calloc((size_t)vocabulary, sizeof *candidates + sizeof(double), error);
    if (candidates == NULL) return LOAM_ERROR_MEMORY;
    double *weights = (double *)(void *)(candidates + vocabulary);
    int32_t count = 0;
    for (int32_t i = 0; i < vocabulary; i++)
        if (is_allowed(sampling, i)) candidates[count++] = (struct loam_candidate){logits[i], i};
    int32_t kept = sampling->top_k > 0 && sampling->top_k < count ? sampling->top_k : count;
    select_best(candidates, count, kept);
    *id = draw_candidate(sampling, candidates, kept, weights, draw);
    free(candidates);
    return LOAM_OK;
}

// ---- from the best candidates ----

// The sum of the weights of all candidates lies between these.
struct bounds {
    double least, most;
};

// Of the sum that a device makes in f32.
static const double sum_error = 1e-4;

// The sum over all candidates as weights of the best one. A top-k beyond those that are known takes only a part of it.
static struct bounds bound_sum(const struct loam_sampling *sampling, const struct loam_best *best)
{
    const struct loam_candidate *candidates = best->candidates;
    double first = (double)candidates[0].logit, sum = 0, known = 0;
    for (int32_t i = best->found; i < best->count; i++)
        if ((double)candidates[i].logit > first) first = (double)candidates[i].logit;
    for (int32_t i = 0; i < best->count; i++) {
        const double weight = exp(((double)candidates[i].logit - first) / sampling->temperature);
        known += weight;
        if (i >= best->found) sum += weight;
    }
    sum += best->sum * exp(((double)candidates[0].logit - first) / sampling->temperature);
    return (struct bounds){sampling->top_k > 0 ? known : sum * (1 - sum_error), sum * (1 + sum_error)};
}

// Draws from all candidates. False where a draw falls near the border of two, or beyond those that are known.
static bool draw_from_all(const struct loam_sampling *sampling, const struct loam_best *best,
                          struct bounds sum, const double *weights, uint64_t draw, int32_t *id)
{
    const double share = draw_share(sampling, draw);
    double least = share * sum.least, most = share * sum.most;
    for (int32_t i = 0; i < best->count; i++) {
        least -= weights[i];
        most -= weights[i];
        *id = best->candidates[i].id;
        if (most < 0) return true;
        if (least < 0) return false;
    }
    return false;
}

// Draws where more candidates take part than are known, unless top_p or min_p leaves only known ones. Returns whether the
// result is settled.
static bool draw_from_best(const struct loam_sampling *sampling, const struct loam_best *best,
                           struct bounds sum, double *weights, uint64_t draw, int32_t *id)
{
    const int32_t unknown = best->count + 1;
    int32_t kept = unknown;
    (void)compute_weights(best->candidates, best->count, sampling->temperature, weights);
    if (sampling->top_p < 1) {
        kept = count_nucleus(weights, best->count, sampling->top_p * sum.least);
        if (kept != count_nucleus(weights, best->count, sampling->top_p * sum.most)) return false;
    }
    const int32_t known = min32(kept, best->count);
    if (sampling->min_p > 0) {
        const int32_t likely = count_likely(weights, known, sampling->min_p);
        if (likely < known) kept = likely;
    }
    if (kept == unknown) {
        const bool is_cut = sampling->top_p < 1 || sampling->min_p > 0 || sampling->top_k > 0;
        return !is_cut && draw_from_all(sampling, best, sum, weights, draw, id);
    }
    const double total = compute_weights(best->candidates, kept, sampling->temperature, weights);
    *id = draw_kept(sampling, best->candidates, kept, total, weights, draw);
    return true;
}

// Sorts the candidates. Where not all that were searched are known, those after the last known one are dropped.
static void sort_best(struct loam_best *best)
{
    const int32_t last = best->is_all ? 0 : best->candidates[best->found - 1].id;
    qsort(best->candidates, (size_t)best->count, sizeof *best->candidates, compare_candidates);
    while (!best->is_all && best->candidates[best->count - 1].id != last)
        best->count--;
}

enum loam_status loam_sample_best(const struct loam_sampling *sampling, struct loam_best *best, uint64_t draw,
                                  int32_t *id, bool *is_known, struct loam_error *error)
{
    *id = 0;
    *is_known = true;
    if (best->count == 0) return LOAM_OK;
    const bool samples = sampling->temperature > 0;
    const struct bounds sum = samples ? bound_sum(sampling, best) : (struct bounds){0, 0};
    sort_best(best);
    *id = best->candidates[0].id;
    if (!samples) return LOAM_OK;
    double *weights = loam_calloc((size_t)best->count, sizeof *weights, error);
    if (weights == NULL) return LOAM_ERROR_MEMORY;
    const bool is_cut = sampling->top_k > 0 && sampling->top_k <= best->count;
    if (best->is_all || is_cut)
        *id =
            draw_candidate(sampling, best->candidates, is_cut ? sampling->top_k : best->count, weights, draw);
    else
        *is_known = isfinite(sum.most) && draw_from_best(sampling, best, sum, weights, draw, id);
    free(weights);
    return LOAM_OK;
}
