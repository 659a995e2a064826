// Scoring generated texts by gold texts: exact match and F1 by the official rules of SQuAD v2 (evaluate-v2.0.py),
// ROUGE-L as the package rouge_score computes it.
#ifndef LOAM_EVALUATE_SCORE_H
#define LOAM_EVALUATE_SCORE_H

#include <stdbool.h>

#include "base/bytes.h"

// Writes the normalised text to `out`: lower case, without ASCII punctuation and the articles a, an and the,
// words separated by single spaces. Letters, white space and lower case are those of Python's str.
enum loam_status loam_score_normalise(const char *text, size_t size, struct loam_bytes *out,
                                      struct loam_error *error);

struct loam_score {
    double exact;   // 0 or 1
    double f1;      // 0 to 1, over bags of words
    double rouge_l; // 0 to 1
};
// Scores a prediction by its best gold text. For exact match and F1, gold texts of only punctuation and articles are
// ignored; without any other, the right text is the empty one.
enum loam_status loam_score_text(const char *prediction, size_t size, const char *const *golds,
                                 size_t gold_count, struct loam_score *score, struct loam_error *error);
// The F-measure of ROUGE-L, 0 to 1, of the best gold text; 0 without words.
enum loam_status loam_score_rouge_l(const char *prediction, size_t size, const char *const *golds,
                                    size_t gold_count, double *score, struct loam_error *error);
// Scores the answer to a question of SQuAD. The prediction "Can not find answer" counts as the empty answer.
enum loam_status loam_score_answer(const char *prediction, size_t size, const char *const *golds,
                                   size_t gold_count, struct loam_score *score, struct loam_error *error);

// Sums over questions; a mean is sum / count. A zeroed struct is an empty sum.
struct loam_score_sum {
    int64_t count;
    double exact;
    double f1;
    double rouge_l;
};
struct loam_score_sums {
    struct loam_score_sum overall;
    struct loam_score_sum answerable;
    struct loam_score_sum unanswerable;
};
// Adds the score of a question. `answerable` is whether it has gold answers.
void loam_score_add(struct loam_score_sums *sums, const struct loam_score *score, bool answerable);

#endif
