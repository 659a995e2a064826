#include "evaluate/score.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "data/dataset.h"

struct word {
    const char *text;
    size_t size;
};

static int compare_words(const void *left, const void *right)
{
    const struct word *a = left;
    const struct word *b = right;
    if (a->size != b->size) return a->size < b->size ? -1 : 1;
    return memcmp(a->text, b->text, a->size);
}

// Returns the sorted words [*count] of a normalised text, released with free().
static struct word *split_words(const struct loam_bytes *text, size_t *count, struct loam_error *error)
{
    size_t spaces = 0;
    for (size_t i = 0; i < text->size; i++)
        spaces += text->data[i] == ' ';
    *count = text->size > 0 ? spaces + 1 : 0;
    struct word *words = loam_calloc(*count, sizeof *words, error);
    if (words == NULL) return NULL;
    const char *at = text->data;
    for (size_t i = 0; i < *count; i++) {
        const char *end =
            i < spaces ? memchr(at, ' ', (size_t)(text->data + text->size - at)) : text->data + text->size;
        words[i] = (struct word){at, (size_t)(end - at)};
        at = end + 1;
    }
    qsort(words, *count, sizeof *words, compare_words);
    return words;
}

// Counts the words that two sorted bags have in common.
static size_t count_common(const struct word *a, size_t a_count, const struct word *b, size_t b_count)
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
    struct word *prediction_words = split_words(prediction, &prediction_count, error);
    struct word *gold_words = prediction_words != NULL ? split_words(gold, &gold_count, error) : NULL;
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

enum loam_status loam_score_answer(const char *prediction, size_t size, const char *const *golds,
                                   size_t gold_count, struct loam_score *score, struct loam_error *error)
{
    *score = (struct loam_score){0};
    struct loam_bytes normal = {0};
    struct loam_bytes no_answer = {0};
    enum loam_status status = loam_score_normalise(prediction, size, &normal, error);
    if (status == LOAM_OK)
        status = loam_score_normalise(LOAM_NO_ANSWER, sizeof LOAM_NO_ANSWER - 1, &no_answer, error);
    if (status == LOAM_OK) {
        if (strcmp(normal.data, no_answer.data) == 0) loam_bytes_clear(&normal);
        status = score_golds(&normal, golds, gold_count, score, error);
    }
    loam_bytes_deinit(&normal);
    loam_bytes_deinit(&no_answer);
    return status;
}

static void add_to(struct loam_score_sum *sum, const struct loam_score *score)
{
    sum->count++;
    sum->exact += score->exact;
    sum->f1 += score->f1;
}

void loam_score_add(struct loam_score_sums *sums, const struct loam_score *score, bool answerable)
{
    add_to(&sums->overall, score);
    add_to(answerable ? &sums->answerable : &sums->unanswerable, score);
}
