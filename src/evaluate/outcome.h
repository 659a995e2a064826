// What became of each record of an evaluation, and the result that follows from all of them.
#ifndef LOAM_EVALUATE_OUTCOME_H
#define LOAM_EVALUATE_OUTCOME_H

#include "data/question.h"
#include "evaluate/evaluate.h"
#include "evaluate/score.h"

// The option that is most likely so far; of equal ones the first.
struct loam_best_option {
    size_t option;
    double value;
    bool found;
};

// Sums over records add these in the order of the records, whatever the order in which they were evaluated.
struct loam_outcome {
    bool read; // has tokens that were not dropped
    int32_t tokens;
    struct loam_labels labels;
    double loss; // sum over the labels, weighted
    enum loam_question_kind kind;
    size_t parts; // sequences that are not at their end
    // Of an answer.
    struct loam_score score;
    bool answerable;
    // Of a choice.
    size_t right;
    bool lacks_option;                  // an option is longer than the limit
    struct loam_best_option best;       // by log-likelihood
    struct loam_best_option best_short; // by log-likelihood for each character
};

// Takes the log-likelihood of an option, which has so many characters.
void loam_outcome_choose(struct loam_outcome *outcome, size_t option, double likelihood, size_t characters);

// Sets the scores, and all of the loss but its mean. `*loss_sum` is the weighted sum of all losses. `answers`: answers
// were generated.
void loam_outcomes_sum(const struct loam_outcome *outcomes, size_t count, bool answers,
                       struct loam_evaluate_result *result, double *loss_sum);

#endif
