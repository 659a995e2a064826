#include "run/scores.h"

#include <math.h>
#include <stdio.h>

struct loam_scores loam_scores_empty(void)
{
    return (struct loam_scores){.loss = NAN, .exact_match = NAN, .f1 = NAN, .rouge_l = NAN, .accuracy = NAN};
}

// The value of the metric; more is better.
static double value_of(const struct loam_scores *scores, enum loam_best_metric metric)
{
    const double values[] = {[LOAM_BEST_EVAL_LOSS] = -scores->loss,
                             [LOAM_BEST_EXACT_MATCH] = scores->exact_match,
                             [LOAM_BEST_F1] = scores->f1,
                             [LOAM_BEST_ROUGE_L] = scores->rouge_l,
                             [LOAM_BEST_ACCURACY] = scores->accuracy};
    return values[metric];
}

bool loam_scores_are_better(const struct loam_scores *scores, const struct loam_scores *best,
                            enum loam_best_metric metric)
{
    const double value = value_of(scores, metric), most = value_of(best, metric);
    if (!isfinite(scores->loss) || isnan(value)) return false;
    return isnan(most) || value > most;
}

const char *loam_scores_describe(const struct loam_scores *scores, enum loam_best_metric metric,
                                 char text[LOAM_SCORE_SIZE])
{
    static const char *const names[] = {[LOAM_BEST_EXACT_MATCH] = "an exact match",
                                        [LOAM_BEST_F1] = "an F1",
                                        [LOAM_BEST_ROUGE_L] = "a ROUGE-L",
                                        [LOAM_BEST_ACCURACY] = "an accuracy"};
    if (metric == LOAM_BEST_EVAL_LOSS)
        snprintf(text, LOAM_SCORE_SIZE, "an evaluation loss of %.4f", scores->loss);
    else
        snprintf(text, LOAM_SCORE_SIZE, "%s of %.2f %%", names[metric], value_of(scores, metric));
    return text;
}
