#include "evaluate/score.h"

#include <stdlib.h>
#include <string.h>

#include "data/dataset.h"
#include "evaluate/words.h"

static int compare_words(const void *left, const void *right)
{
    return loam_word_compare(left, right);
}

// Returns the sorted words [*count] of a normalised text, released with free().
static struct loam_word *sort_words(const struct loam_bytes *text, size_t *count, struct loam_error *error)
{
    struct loam_word *words = loam_words_split(text, count, error);
    if (words != NULL) qsort(words, *count, sizeof *words, compare_words);
    return words;
}

// Counts the words that two sorted bags have in common.
static size_t count_common(const struct loam_word *a, size_t a_count, const struct loam_word *b,
                           size_t b_count)
{
    size_t common = 0;
    for (size_t i = 0, j = 0; i < a_count && j < b_count;) {
        int order = compare_words(&a[i], &b[j]);
        common += order == 0;
        i += order <= 0;
        j += order >= 0;
    }
    return common;
}

static double compute_f1(size_t common, size_t prediction_count, size_t gold_count)
{
    if (prediction_count == 0 || gold_count == 0) return prediction_count == gold_count ? 1 : 0;
    if (common == 0) return 0;
    double precision = (double)common / (double)prediction_count;
    double recall = (double)common / (double)gold_count;
    return 2 * precision * recall / (precision + recall);
}

// Raises `score` to that of one gold answer. Both texts are normalised.
static enum loam_status score_gold(const struct loam_bytes *prediction, const struct loam_bytes *gold,
                                   struct loam_score *score, struct loam_error *error)
{
    size_t prediction_count = 0;
    size_t gold_count = 0;
    struct loam_word *prediction_words = sort_words(prediction, &prediction_count, error);
    struct loam_word *gold_words = prediction_words != NULL ? sort_words(gold, &gold_count, error) : NULL;
    if (gold_words != NULL) {
        size_t common = count_common(prediction_words, prediction_count, gold_words, gold_count);
        double f1 = compute_f1(common, prediction_count, gold_count);
        bool exact = prediction->size == gold->size && memcmp(prediction->data, gold->data, gold->size) == 0;
        if (f1 > score->f1) score->f1 = f1;
        if (exact) score->exact = 1;
    }
    enum loam_status status = gold_words != NULL ? LOAM_OK : LOAM_ERROR_MEMORY;
    free(prediction_words);
    free(gold_words);
    return status;
}

static enum loam_status score_golds(const struct loam_bytes *prediction, const char *const *golds,
                                    size_t gold_count, struct loam_score *score, struct loam_error *error)
{
    struct loam_bytes gold = {0};
    enum loam_status status = loam_bytes_reserve(&gold, 0, error);
    bool any = false;
    for (size_t i = 0; i < gold_count && status == LOAM_OK; i++) {
        status = loam_score_normalise(golds[i], strlen(golds[i]), &gold, error);
        if (status != LOAM_OK || gold.size == 0) continue;
        any = true;
        status = score_gold(prediction, &gold, score, error);
    }
    loam_bytes_clear(&gold);
    if (status == LOAM_OK && !any) status = score_gold(prediction, &gold, score, error);
    loam_bytes_deinit(&gold);
    return status;
}

enum loam_status loam_score_text(const char *prediction, size_t size, const char *const *golds,
                                 size_t gold_count, struct loam_score *score, struct loam_error *error)
{
    *score = (struct loam_score){0};
    struct loam_bytes normal = {0};
    enum loam_status status = loam_score_normalise(prediction, size, &normal, error);
    if (status == LOAM_OK) status = score_golds(&normal, golds, gold_count, score, error);
    loam_bytes_deinit(&normal);
    if (status != LOAM_OK) return status;
    return loam_score_rouge_l(prediction, size, golds, gold_count, &score->rouge_l, error);
}

// Whether both texts are the same after normalisation.
static enum loam_status compare_normalised(const char *text, size_t size, const char *other, bool *same,
                                           struct loam_error *error)
{
    struct loam_bytes a = {0}, b = {0};
    enum loam_status status = loam_score_normalise(text, size, &a, error);
    if (status == LOAM_OK) status = loam_score_normalise(other, strlen(other), &b, error);
    *same = status == LOAM_OK && a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
    loam_bytes_deinit(&a);
    loam_bytes_deinit(&b);
    return status;
}

enum loam_status loam_score_answer(const char *prediction, size_t size, const char *const *golds,
                                   size_t gold_count, struct loam_score *score, struct loam_error *error)
{
    bool none;
    LOAM_TRY(compare_normalised(prediction, size, LOAM_NO_ANSWER, &none, error));
    return loam_score_text(prediction, none ? 0 : size, golds, gold_count, score, error);
}

static void add_to(struct loam_score_sum *sum, const struct loam_score *score)
{
    sum->count++;
    sum->exact += score->exact;
    sum->f1 += score->f1;
    sum->rouge_l += score->rouge_l;
}

void loam_score_add(struct loam_score_sums *sums, const struct loam_score *score, bool answerable)
{
    add_to(&sums->overall, score);
    add_to(answerable ? &sums->answerable : &sums->unanswerable, score);
}
