// What an evaluation measures, and which of two is better.
#ifndef LOAM_RUN_SCORES_H
#define LOAM_RUN_SCORES_H

#include "run/settings.h"

// NAN: not measured.
struct loam_scores {
    double loss;
    double exact_match; // of generated answers, percent
    double f1;          // of generated answers, percent
    double rouge_l;     // of generated answers, percent
    double accuracy;    // of choices, percent
};

// Nothing is measured.
struct loam_scores loam_scores_empty(void);
// Returns whether `scores` are better than `best` by the metric. An equal value is not better, nor is one that is not
// finite. `best` may lack the metric, which a resumed run may change; then any value is better.
bool loam_scores_are_better(const struct loam_scores *scores, const struct loam_scores *best,
                            enum loam_best_metric metric);

enum { LOAM_SCORE_SIZE = 64 };
// Writes the score of the metric to `text`: "an evaluation loss of 1.2345".
const char *loam_scores_describe(const struct loam_scores *scores, enum loam_best_metric metric,
                                 char text[LOAM_SCORE_SIZE]);

#endif
