#include "evaluate/outcome.h"

#include <math.h>

static void consider(struct loam_best_option *best, size_t option, double value)
{
    const bool better = value > best->value || (value == best->value && option < best->option);
    if (best->found && !better) return;
    *best = (struct loam_best_option){option, value, true};
}

// lm-evaluation-harness divides by the characters of an option, too; an empty one would have no value there.
void loam_outcome_choose(struct loam_outcome *outcome, size_t option, double likelihood, size_t characters)
{
    consider(&outcome->best, option, likelihood);
    consider(&outcome->best_short, option, likelihood / (double)(characters > 0 ? characters : 1));
}

static double percent(double sum, int64_t count)
{
    return count > 0 ? 100 * sum / (double)count : NAN;
}

static struct loam_answer_scores compute_percent(const struct loam_score_sum *sum)
{
    return (struct loam_answer_scores){
        .count = sum->count,
        .exact = percent(sum->exact, sum->count),
        .f1 = percent(sum->f1, sum->count),
        .rouge_l = percent(sum->rouge_l, sum->count),
    };
}

static bool is_answer(const struct loam_outcome *outcome)
{
    return outcome->kind == LOAM_QUESTION_ANSWER || outcome->kind == LOAM_QUESTION_SQUAD;
}

static void sum_answers(const struct loam_outcome *outcomes, size_t count,
                        struct loam_evaluate_result *result)
{
    struct loam_score_sums sums = {0};
    result->scored = result->is_squad = true;
    for (size_t i = 0; i < count; i++) {
        const struct loam_outcome *outcome = &outcomes[i];
        if (outcome->kind == LOAM_QUESTION_NONE) result->unscored++;
        if (!is_answer(outcome)) continue;
        loam_score_add(&sums, &outcome->score, outcome->answerable);
        if (outcome->kind != LOAM_QUESTION_SQUAD) result->is_squad = false;
    }
    if (sums.overall.count == 0) result->is_squad = false;
    result->overall = compute_percent(&sums.overall);
    result->answerable = compute_percent(&sums.answerable);
    result->unanswerable = compute_percent(&sums.unanswerable);
}

static void sum_choices(const struct loam_outcome *outcomes, size_t count, struct loam_choice_scores *scores)
{
    double right = 0, right_short = 0;
    for (size_t i = 0; i < count; i++) {
        const struct loam_outcome *outcome = &outcomes[i];
        if (outcome->kind != LOAM_QUESTION_CHOICE) continue;
        if (outcome->lacks_option) {
            scores->too_long++;
            continue;
        }
        scores->count++;
        right += outcome->best.option == outcome->right;
        right_short += outcome->best_short.option == outcome->right;
    }
    scores->accuracy = percent(right, scores->count);
    scores->accuracy_normalised = percent(right_short, scores->count);
}

void loam_outcomes_sum(const struct loam_outcome *outcomes, size_t count, bool answers,
                       struct loam_evaluate_result *result, double *loss_sum)
{
    *loss_sum = 0;
    for (size_t i = 0; i < count; i++) {
        const struct loam_outcome *outcome = &outcomes[i];
        if (!outcome->read) continue;
        result->loss.examples++;
        result->loss.tokens += outcome->tokens;
        loam_labels_add(&result->loss.labels, outcome->labels);
        *loss_sum += outcome->loss;
    }
    sum_choices(outcomes, count, &result->choices);
    result->overall = result->answerable = result->unanswerable =
        compute_percent(&(struct loam_score_sum){0});
    if (answers) sum_answers(outcomes, count, result);
}
