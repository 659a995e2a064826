// ROUGE-L as the package rouge_score computes it without a stemmer (Lin 2004): words are runs of a-z and 0-9 in the
// lower-case text.
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "base/utf8.h"
#include "evaluate/score.h"
#include "evaluate/words.h"
#include "text/unicode.h"

// The letter or digit that Python's str.lower() makes of the character at the start of `text`; 0: none. Beyond ASCII
// only U+0130, whose lower case is i and a mark, and the Kelvin sign give one. `*size` is that of the character.
static char find_word_character(const char *text, size_t left, size_t *size)
{
    enum { CAPITAL_I_WITH_DOT = 0x130, KELVIN = 0x212A };
    const unsigned char c = (unsigned char)text[0];
    *size = 1;
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) return (char)c;
    if (c >= 'A' && c <= 'Z') return (char)(c - 'A' + 'a');
    if (c < 0x80 || loam_utf8_sequence(text, left) == 0) return 0;
    const int32_t code_point = loam_utf8_decode(text, size);
    return code_point == CAPITAL_I_WITH_DOT ? 'i' : code_point == KELVIN ? 'k' : 0;
}

// Whether the character ends a word that it is part of: the mark of U+0130 follows the i.
static bool ends_word(char found, size_t size)
{
    return found == 'i' && size == 2;
}

static enum loam_status normalise(const char *text, size_t size, struct loam_bytes *out,
                                  struct loam_error *error)
{
    bool apart = false;
    LOAM_TRY(loam_bytes_reserve(out, size, error));
    for (size_t at = 0, bytes; at < size; at += bytes) {
        const char found = find_word_character(text + at, size - at, &bytes);
        if (found != 0 && apart && out->size > 0) LOAM_TRY(loam_bytes_append(out, " ", 1, error));
        if (found != 0) LOAM_TRY(loam_bytes_append(out, &found, 1, error));
        apart = found == 0 || ends_word(found, bytes);
    }
    return LOAM_OK;
}

// Length of the longest common subsequence. `row` [b_count + 1] is zeroed: row[j] is the length for a's words so far
// and the first j of b.
static size_t measure_common(const struct loam_word *a, size_t a_count, const struct loam_word *b,
                             size_t b_count, size_t *row)
{
    for (size_t i = 0; i < a_count; i++) {
        size_t before = 0; // of row i - 1, column j
        for (size_t j = 0; j < b_count; j++) {
            const size_t above = row[j + 1];
            if (loam_word_compare(&a[i], &b[j]) == 0)
                row[j + 1] = before + 1;
            else if (row[j] > above)
                row[j + 1] = row[j];
            before = above;
        }
    }
    return row[b_count];
}

// F = 2 P R / (P + R), P = common / words of the prediction, R = common / words of the gold answer
static double compute_f(size_t common, size_t prediction, size_t gold)
{
    if (common == 0) return 0;
    const double precision = (double)common / (double)prediction, recall = (double)common / (double)gold;
    return 2 * precision * recall / (precision + recall);
}

static enum loam_status compare_texts(const struct loam_bytes *prediction, const struct loam_bytes *gold,
                                      double *f, struct loam_error *error)
{
    size_t a_count = 0, b_count = 0;
    struct loam_word *a = loam_words_split(prediction, &a_count, error);
    struct loam_word *b = a != NULL ? loam_words_split(gold, &b_count, error) : NULL;
    size_t *row = b != NULL ? loam_calloc(b_count + 1, sizeof *row, error) : NULL;
    if (row != NULL) *f = compute_f(measure_common(a, a_count, b, b_count, row), a_count, b_count);
    const bool done = row != NULL;
    free(row);
    free(b);
    free(a);
    return done ? LOAM_OK : LOAM_ERROR_MEMORY;
}

enum loam_status loam_score_rouge_l(const char *prediction, size_t size, const char *const *golds,
                                    size_t gold_count, double *score, struct loam_error *error)
{
    struct loam_bytes left = {0}, right = {0};
    enum loam_status status = normalise(prediction, size, &left, error);
    *score = 0;
    for (size_t i = 0; i < gold_count && status == LOAM_OK; i++) {
        double f = 0;
        loam_bytes_clear(&right);
        status = normalise(golds[i], strlen(golds[i]), &right, error);
        if (status == LOAM_OK) status = compare_texts(&left, &right, &f, error);
        if (f > *score) *score = f;
    }
    loam_bytes_deinit(&left);
    loam_bytes_deinit(&right);
    return status;
}
