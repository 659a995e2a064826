#include "run/loop.h"

#include <math.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "run/loop_report.h"
#include "run/loop_save.h"

// ---- evaluation ----

static void compare_with_best(struct loam_loop *loop)
{
    if (loam_scores_are_better(&loop->eval, &loop->best, loop->settings->best_metric)) {
        loop->best = loop->eval;
        loop->best_step = loop->step;
        loop->worse_evaluations = 0;
    } else if (loop->best_step >= 0) {
        loop->worse_evaluations++;
    }
}

static enum loam_status measure_evaluation(struct loam_loop *loop, struct loam_evaluate_result *result,
                                           struct loam_error *error)
{
    if (loop->answerer != NULL)
        return loam_answerer_evaluate(loop->answerer, loop->eval_dataset, 0, result, error);
    return loam_evaluate_loss(loop->trainer->decoder, loop->eval_dataset, 0, &loop->buffers->batch,
                              &loop->buffers->examples[0], loop->callbacks, &result->loss, error);
}

static bool is_skippable(const struct loam_loop *loop, enum loam_status status)
{
    return status == LOAM_ERROR_NUMERIC && loop->settings->on_nonfinite == LOAM_NONFINITE_SKIP;
}

static enum loam_status evaluate(struct loam_loop *loop, struct loam_error *error)
{
    double start = loam_clock_seconds();
    struct loam_evaluate_result result = {
        .overall = {.exact = NAN, .f1 = NAN}, .answerable.rouge_l = NAN, .choices.accuracy = NAN};
    struct loam_error failure = {0};
    enum loam_status status = measure_evaluation(loop, &result, &failure);
    if (!loam_decoder_could_read(loop->trainer->decoder))
        return loam_fail(error, LOAM_ERROR_IO, "a mapped file cannot be read");
    if (is_skippable(loop, status))
        loam_log_write(loam_loop_log(loop), LOAM_LOG_WARNING,
                       "step %lld: %s; it is not the best, and the run goes on", (long long)loop->step,
                       failure.message);
    else if (status != LOAM_OK)
        return loam_fail(error, status, "%s", failure.message);
    loop->eval = (struct loam_scores){.loss = result.loss.loss,
                                      .exact_match = result.overall.exact,
                                      .f1 = result.overall.f1,
                                      .rouge_l = result.answerable.rouge_l,
                                      .accuracy = result.choices.accuracy};
    compare_with_best(loop);
    loop->logged_seconds += loam_clock_seconds() - start;
    return loam_loop_report_evaluation(loop, &result.loss, error);
}

static bool ends_early(const struct loam_loop *loop)
{
    int64_t patience = loop->settings->early_stopping_patience;
    return patience > 0 && loop->worse_evaluations >= patience;
}

// ---- steps ----

static enum loam_status skip_step(struct loam_loop *loop, struct loam_error *error)
{
    loop->step++;
    return loam_loop_report_progress(loop, false, error);
}

// Counts a step without labels; the count is logged at the end. Such a step is the same in every epoch.
static enum loam_status skip_unlabelled(struct loam_loop *loop, struct loam_error *error)
{
    loop->unlabelled++;
    return skip_step(loop, error);
}

// Logs the first of several such steps in a row; the count of all is logged at the end.
static enum loam_status skip_nonfinite(struct loam_loop *loop, const char *why, struct loam_error *error)
{
    if (!loop->logged_skip)
        loam_log_write(loam_loop_log(loop), LOAM_LOG_WARNING,
                       "%s; skipped; others like it are counted at the end", why);
    loop->skipped++;
    loop->logged_skip = true;
    return skip_step(loop, error);
}

// Logs the first of several such steps in a row; the count of all is logged at the end.
static enum loam_status skip_overflow(struct loam_loop *loop, struct loam_error *error)
{
    if (!loop->logged_overflow)
        loam_log_write(
            loam_loop_log(loop), LOAM_LOG_INFO,
            "step %lld: the gradients leave the range of f16; skipped, and the scale of the loss is "
            "%g now; others like it are counted at the end",
            (long long)loop->step + 1, loop->trainer->optimiser.loss_scale.factor);
    loop->overflows++;
    loop->logged_overflow = true;
    return skip_step(loop, error);
}

static enum loam_status collect(const struct loam_loop *loop, struct loam_step_buffers *buffers, int64_t step,
                                struct loam_error *error)
{
    size_t count;
    const uint32_t *indices = loam_order_step(loop->order, step, &count);
    return loam_step_collect(buffers, loop->dataset, indices, count, error);
}

// Collects the examples of the next step while the device works on this one. A failure is told at that step.
static void collect_next(struct loam_loop *loop)
{
    if (loop->next == NULL || loop->step + 1 >= loop->total_steps) return;
    loop->collect_failure = (struct loam_error){0};
    (void)collect(loop, loop->next, loop->step + 1, &loop->collect_failure);
    loop->collected = loop->step + 1;
}

// The examples of the step in loop->buffers.
static enum loam_status take_examples(struct loam_loop *loop, struct loam_error *error)
{
    if (loop->next == NULL || loop->collected != loop->step)
        return collect(loop, loop->buffers, loop->step, error);
    struct loam_step_buffers *spent = loop->buffers;
    loop->buffers = loop->next;
    loop->next = spent;
    loop->collected = -1;
    const struct loam_error *failure = &loop->collect_failure;
    return failure->status == LOAM_OK ? LOAM_OK : loam_fail(error, failure->status, "%s", failure->message);
}

static enum loam_status compute_step(struct loam_loop *loop, struct loam_error *error)
{
    LOAM_TRY(loam_step_queue(loop->buffers, loop->trainer, loop->learning_rate, loop->step,
                             loop->settings->seed, error));
    collect_next(loop);
    return loam_step_wait(loop->buffers, loop->trainer, loop->step, &loop->last, error);
}

static void count_update(struct loam_loop *loop)
{
    loop->logged_skip = loop->logged_overflow = false;
    loop->step++;
    loop->updates++;
    loop->diverged = false;
    loop->examples += (int64_t)loop->buffers->count;
    loop->tokens += loop->buffers->tokens;
    loop->loss_sum += loop->last.loss;
    loop->logged_loss_sum += loop->last.loss;
    loop->logged_updates++;
}

static enum loam_status run_step(struct loam_loop *loop, struct loam_error *error)
{
    LOAM_TRY(take_examples(loop, error));
    loop->learning_rate = loam_schedule_rate(&loop->schedule, loop->step);
    if (loop->buffers->labels.count == 0) return skip_unlabelled(loop, error);
    struct loam_error failure = {0};
    enum loam_status status = compute_step(loop, &failure);
    if (is_skippable(loop, status)) return skip_nonfinite(loop, failure.message, error);
    if (status != LOAM_OK) return loam_fail(error, status, "%s", failure.message);
    if (loop->last.overflowed) return skip_overflow(loop, error);
    count_update(loop);
    return loam_loop_report_progress(loop, true, error);
}

static bool is_due(const struct loam_loop *loop, int64_t every)
{
    return (every > 0 && loop->step % every == 0) || loop->step == loop->total_steps;
}

// Makes the reports that are due after a step. If the run stops between them, the resumed run makes the rest.
static enum loam_status report_due(struct loam_loop *loop, struct loam_error *error)
{
    if (is_due(loop, loop->settings->logging_steps) && loop->logged_step != loop->step)
        LOAM_TRY(loam_loop_report_step(loop, error));
    if (loop->eval_dataset != NULL && is_due(loop, loop->settings->eval_steps) &&
        loop->eval_step != loop->step)
        LOAM_TRY(evaluate(loop, error));
    return LOAM_OK;
}

// Writes a checkpoint if one is due. A failure, a full disk for example, is a warning: training goes on.
static void save_due(struct loam_loop *loop)
{
    const struct loam_train_settings *settings = loop->settings;
    bool best = settings->load_best_at_end && loop->best_step == loop->step;
    bool due = settings->save_steps > 0 && (is_due(loop, settings->save_steps) || ends_early(loop));
    if ((!best && !due) || loop->saved == loop->step) return;
    struct loam_error error = {0};
    if (loam_loop_save(loop, &error) != LOAM_OK)
        loam_log_write(
            loam_loop_log(loop), LOAM_LOG_WARNING,
            "no checkpoint of step %lld: %s; training goes on, and the next one is tried when it is due",
            (long long)loop->step, error.message);
}

// ---- the run ----

static enum loam_status run_steps(struct loam_loop *loop, struct loam_error *error)
{
    LOAM_TRY(loam_loop_report_start(loop, error));
    if (loop->step > 0) LOAM_TRY(report_due(loop, error));
    while (loop->step < loop->total_steps && !ends_early(loop)) {
        LOAM_TRY(run_step(loop, error));
        LOAM_TRY(report_due(loop, error));
        save_due(loop);
    }
    return LOAM_OK;
}

// Runs the steps. A mapped file of the model that becomes unreadable is an error, not a crash.
static enum loam_status run_steps_safely(struct loam_loop *loop, struct loam_error *error)
{
    loam_fault_tolerate(true);
    enum loam_status status = run_steps(loop, error);
    loam_fault_tolerate(false);
    if (!loam_fault_occurred()) return status;
    return loam_fail(error, LOAM_ERROR_IO,
                     "%s can no longer be read: a file in it was cut short, or its disk fails; make it "
                     "whole, then --allow-change lets --resume take it",
                     loop->settings->model);
}

void loam_loop_begin(struct loam_loop *loop)
{
    loop->start = loop->logged_seconds = loam_clock_seconds();
    loop->last.grad_norm = NAN;
    loop->eval = loop->best = loam_scores_empty();
    loop->eval_step = loop->best_step = loop->saved = -1;
    loop->metrics_before_end = loop->board_before_end = -1;
    loop->collected = -1;
}

enum loam_status loam_loop_rehearse(struct loam_loop *loop, struct loam_error *error)
{
    if (loop->eval_dataset == NULL) return LOAM_OK;
    LOAM_TRY(loam_evaluate_rehearse(loop->trainer->decoder, loop->eval_dataset, &loop->buffers->batch,
                                    &loop->buffers->examples[0], error));
    if (loop->answerer == NULL) return LOAM_OK;
    return loam_answerer_rehearse(loop->answerer, loop->eval_dataset, error);
}

// Fails for a run that made no update.
static enum loam_status fail_without_updates(const struct loam_loop *loop, struct loam_error *error)
{
    if (loop->skipped > 0)
        return loam_fail(
            error, LOAM_ERROR_NUMERIC,
            "no step had a finite loss and gradient: is the model, or the adapter that it goes on "
            "from, damaged?%s",
            loam_decoder_is_f32(loop->trainer->decoder) ? "" : " else try --dtype f32");
    if (loop->overflows > 0)
        return loam_fail(
            error, LOAM_ERROR_NUMERIC,
            "no step had gradients within the range of f16: give more steps, for the scale of the "
            "loss to come down, or try --dtype bf16 or f32");
    return loam_fail(error, LOAM_ERROR_ARGUMENT,
                     "%s: no example has a label that counts: all are empty, or too long for --max-length",
                     loam_dataset_name(loop->dataset));
}

enum loam_status loam_loop_run(struct loam_loop *loop, struct loam_error *error)
{
    enum loam_status status = run_steps_safely(loop, error);
    if (status == LOAM_ERROR_STOPPED) return loam_loop_save_stopped(loop, error);
    if (status == LOAM_ERROR_NUMERIC) return loam_loop_save_diverged(loop, error);
    if (status != LOAM_OK) return loam_loop_save_failed(loop, error);
    loam_loop_log_skipped(loop);
    if (loop->updates == 0) return fail_without_updates(loop, error);
    if (ends_early(loop) && loop->step < loop->total_steps) {
        char best[LOAM_SCORE_SIZE];
        loam_log_write(loam_loop_log(loop), LOAM_LOG_INFO,
                       "ended early at step %lld of %lld: %lld evaluations in a row were no better than that "
                       "of step %lld, with %s",
                       (long long)loop->step, (long long)loop->total_steps,
                       (long long)loop->worse_evaluations, (long long)loop->best_step,
                       loam_scores_describe(&loop->best, loop->settings->best_metric, best));
    }
    return LOAM_OK;
}
