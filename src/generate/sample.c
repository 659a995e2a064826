// Choosing the next token from logits.
#include "generate/generate.h"

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
        logits[id] = (float)(logits[id] > 0 ? logits[id] / penalty : logits[id] * penalty);
    }
    free(seen);
    return LOAM_OK;
}

struct candidate {
    float logit;
    int32_t id;
};

// Orders by the highest logit, then by id, so that the result does not depend on the sort algorithm.
static int compare_candidates(const void *left, const void *right)
{
    const struct candidate *a = left, *b = right;
    if (a->logit != b->logit) return a->logit < b->logit ? 1 : -1;
    return a->id < b->id ? -1 : 1;
}

// Restores the heap below `at`. Its root is the worst candidate.
static void sift_down(struct candidate *heap, int32_t count, int32_t at)
{
    for (int32_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && compare_candidates(&heap[child + 1], &heap[child]) > 0) child++;
        if (compare_candidates(&heap[at], &heap[child]) >= 0) return;
        struct candidate swapped = heap[at];
        heap[at] = heap[child];
        heap[child] = swapped;
    }
}

// Moves the best `kept` candidates to the front, in order. A heap of `kept` takes n log k comparisons, fewer
// than a sort of the whole vocabulary.
static void select_best(struct candidate *candidates, int32_t count, int32_t kept)
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
static double compute_weights(const struct candidate *candidates, int32_t count, double temperature,
                              double *weights)
{
    double sum = 0;
    for (int32_t i = 0; i < count; i++) {
        weights[i] = exp(((double)candidates[i].logit - (double)candidates[0].logit) / temperature);
        sum += weights[i];
    }
    return sum;
}

// Returns the smallest number of best candidates that hold `top_p` of the mass, at least one.
static int32_t count_nucleus(const double *weights, int32_t count, double sum, double top_p)
{
    double mass = 0;
    int32_t kept = 0;
    while (kept < count && (kept == 0 || mass < top_p * sum))
        mass += weights[kept++];
    return kept;
}

// Returns the number of best candidates that are at least min_p times as likely as the best one, whose weight is 1.
static int32_t count_likely(const double *weights, int32_t count, double min_p)
{
    int32_t kept = 1;
    while (kept < count && weights[kept] >= min_p)
        kept++;
    return kept;
}

static int32_t draw_candidate(const struct loam_sampling *sampling, const struct candidate *candidates,
                              int32_t count, double *weights, uint64_t draw)
{
    double sum = compute_weights(candidates, count, sampling->temperature, weights);
    int32_t kept = count;
    if (sampling->top_p < 1) kept = count_nucleus(weights, kept, sum, sampling->top_p);
    if (sampling->min_p > 0) kept = count_likely(weights, kept, sampling->min_p);
    if (kept < count) sum = compute_weights(candidates, kept, sampling->temperature, weights);
    count = kept;
    double target = (double)loam_rng_uniform(sampling->seed, loam_rng_stream(LOAM_RNG_SAMPLE, 0), draw) * sum;
    for (int32_t i = 0; i < count - 1; i++) {
        target -= weights[i];
        if (target < 0) return candidates[i].id;
    }
    return candidates[count - 1].id;
}

static enum loam_status check_finite(const float *logits, int32_t vocabulary, struct loam_error *error)
{
    for (int32_t i = 0; i < vocabulary; i++)
        if (!isfinite(logits[i]))
            return loam_fail(error, LOAM_ERROR_NUMERIC,
                             "the logit of token %d is not finite: the model or the "
                             "adapter is damaged",
                             i);
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
    struct candidate *candidates =
        loam_calloc((size_t)vocabulary, sizeof *candidates + sizeof(double), error);
    if (candidates == NULL) return LOAM_ERROR_MEMORY;
    double *weights = (double *)(void *)(candidates + vocabulary);
    int32_t count = 0;
    for (int32_t i = 0; i < vocabulary; i++)
        if (is_allowed(sampling, i)) candidates[count++] = (struct candidate){logits[i], i};
    int32_t kept = sampling->top_k > 0 && sampling->top_k < count ? sampling->top_k : count;
    select_best(candidates, count, kept);
    *id = draw_candidate(sampling, candidates, kept, weights, draw);
    free(candidates);
    return LOAM_OK;
}
