#include "run/loop.h"

#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/fault.h"
#include "base/log.h"

static const struct loam_log *log_of(const struct loam_loop *loop)
{
    return loop->callbacks != NULL ? &loop->callbacks->log : NULL;
}

// ---- reports ----

// Makes an event with the fields that are cheap enough for every step.
static struct loam_event make_cheap_event(const struct loam_loop *loop, enum loam_event_kind kind)
{
    struct loam_event event = loam_event_make(kind);
    event.step = loop->step;
    event.total_steps = loop->total_steps;
    event.epoch = loop->step > 0 ? loam_order_epoch_after(loop->order, loop->step - 1) : 0;
    event.seconds = loam_clock_seconds() - loop->start;
    event.tokens = loop->tokens;
    return event;
}

static struct loam_event make_event(const struct loam_loop *loop, enum loam_event_kind kind)
{
    struct loam_event event = make_cheap_event(loop, kind);
    event.peak_rss = loam_peak_memory_bytes();
    event.parameters = loop->parameters;
    event.trainable_parameters = loop->trainable_parameters;
    event.has_chats = loam_dataset_has_chats(loop->dataset);
    return event;
}

static enum loam_status send(const struct loam_loop *loop, const struct loam_event *event,
                             struct loam_error *error)
{
    return loam_event_send(loop->callbacks, event, error);
}

// Reports a step. `updated` is whether it had labels and its loss and gradient were finite.
static enum loam_status report_progress(const struct loam_loop *loop, bool updated, struct loam_error *error)
{
    struct loam_event event = make_cheap_event(loop, LOAM_EVENT_PROGRESS);
    event.activity = LOAM_ACTIVITY_TRAIN;
    event.done = loop->step;
    event.total = loop->total_steps;
    event.loss = updated ? loop->last.loss : NAN;
    event.grad_norm = updated ? loop->last.grad_norm : NAN;
    event.learning_rate = loop->learning_rate;
    return send(loop, &event, error);
}

// Logs once that a file cannot be written, and once that it is written again.
static void log_journal(const struct loam_loop *loop, bool *failing, const struct loam_journal *journal,
                        const struct loam_error *error)
{
    bool fails = error->status != LOAM_OK;
    if (fails && !*failing)
        loam_log_write(
            log_of(loop), LOAM_LOG_WARNING,
            "%s; training goes on, what is to be written stays in memory and is written when it can be",
            error->message);
    else if (*failing && !fails && journal->lost > 0)
        loam_log_write(log_of(loop), LOAM_LOG_WARNING,
                       "%s is being written again, but there was no room in memory for all of it",
                       journal->path);
    else if (*failing && !fails)
        loam_log_write(log_of(loop), LOAM_LOG_INFO, "%s is being written again, nothing is missing",
                       journal->path);
    *failing = fails;
}

// Writes a line of metrics.jsonl and the same figures for TensorBoard.
static void write_metrics(struct loam_loop *loop, const struct loam_metric *line, size_t count)
{
    struct loam_error error = {0};
    (void)loam_metrics_write(loop->metrics, line, count, &error);
    log_journal(loop, &loop->metrics_fail, &loop->metrics->journal, &error);
    error = (struct loam_error){0};
    (void)loam_tensorboard_scalars(loop->board, line, count, loop->step, &error);
    log_journal(loop, &loop->board_fails, &loop->board->journal, &error);
}

static double per_second(double count, double seconds)
{
    return seconds > 0 ? count / seconds : NAN;
}

static int64_t count_skipped(const struct loam_loop *loop)
{
    return loop->skipped + loop->overflows;
}

static enum loam_status report_step(struct loam_loop *loop, struct loam_error *error)
{
    double now = loam_clock_seconds();
    struct loam_event event = make_event(loop, LOAM_EVENT_STEP);
    event.loss = loop->logged_updates > 0 ? loop->logged_loss_sum / (double)loop->logged_updates
                 : count_skipped(loop) > loop->logged_skipped ? INFINITY
                                                              : NAN;
    event.grad_norm = loop->last.grad_norm;
    event.learning_rate = loop->learning_rate;
    event.tokens_per_second =
        per_second((double)(loop->tokens - loop->logged_tokens), now - loop->logged_seconds);
    loop->logged_loss_sum = 0;
    loop->logged_updates = 0;
    loop->logged_skipped = count_skipped(loop);
    loop->logged_tokens = loop->tokens;
    loop->logged_seconds = now;
    // The step is recorded even if the caller asks to stop.
    enum loam_status status = send(loop, &event, error);
    struct loam_metric line[] = {
        {"loss", event.loss},
        {"grad_norm", event.grad_norm},
        {"learning_rate", event.learning_rate},
        {"epoch", event.epoch},
        {"num_input_tokens_seen", (double)event.tokens},
        {"tokens_per_second", event.tokens_per_second},
        {"step", (double)event.step},
    };
    write_metrics(loop, line, sizeof line / sizeof line[0]);
    loop->logged_step = loop->step;
    return status;
}

static enum loam_status report_evaluation(struct loam_loop *loop, const struct loam_evaluation *evaluation,
                                          struct loam_error *error)
{
    struct loam_event event = make_event(loop, LOAM_EVENT_EVAL);
    event.eval_exact_match = loop->eval_exact_match;
    event.eval_f1 = loop->eval_f1;
    event.eval_rouge_l = loop->eval_rouge_l;
    event.eval_accuracy = loop->eval_accuracy;
    event.eval_loss = evaluation->loss;
    event.tokens_per_second = per_second((double)evaluation->tokens, evaluation->seconds);
    enum loam_status status = send(loop, &event, error);
    struct loam_metric line[] = {
        {"eval_loss", evaluation->loss},
        {"eval_perplexity", evaluation->perplexity},
        {"eval_exact_match", event.eval_exact_match},
        {"eval_f1", event.eval_f1},
        {"eval_rouge_l", event.eval_rouge_l},
        {"eval_accuracy", event.eval_accuracy},
        {"eval_runtime", evaluation->seconds},
        {"eval_samples_per_second", per_second((double)evaluation->examples, evaluation->seconds)},
        {"eval_tokens_per_second", event.tokens_per_second},
        {"epoch", event.epoch},
        {"step", (double)event.step},
    };
    write_metrics(loop, line, sizeof line / sizeof line[0]);
    loop->eval_step = loop->step;
    return status;
}

void loam_loop_end(struct loam_loop *loop)
{
    struct loam_event event = make_event(loop, LOAM_EVENT_END);
    loop->metrics_before_end = loam_journal_size(&loop->metrics->journal);
    loop->board_before_end = loam_journal_size(&loop->board->journal);
    loop->seconds = event.seconds;
    event.loss = loop->loss_sum / (double)loop->updates;
    event.eval_loss = loop->eval_loss;
    event.eval_exact_match = loop->eval_exact_match;
    event.eval_f1 = loop->eval_f1;
    event.eval_rouge_l = loop->eval_rouge_l;
    event.eval_accuracy = loop->eval_accuracy;
    event.tokens_per_second = per_second((double)loop->tokens, loop->seconds);
    (void)send(loop, &event, NULL); // a request to stop comes too late: the result is saved
    struct loam_metric line[] = {
        {"train_loss", event.loss},
        {"train_runtime", event.seconds},
        {"train_samples_per_second", per_second((double)loop->examples, event.seconds)},
        {"train_steps_per_second", per_second((double)loop->step, event.seconds)},
        {"train_tokens_per_second", event.tokens_per_second},
        {"num_input_tokens_seen", (double)event.tokens},
        {"peak_memory_bytes", (double)event.peak_rss},
        {"parameters", (double)event.parameters},
        {"trainable_parameters", (double)event.trainable_parameters},
        {"epoch", event.epoch},
        {"step", (double)event.step},
    };
    write_metrics(loop, line, sizeof line / sizeof line[0]);
}

// ---- evaluation ----

// The last evaluation by the metric of the settings; more is better.
static double last_score(const struct loam_loop *loop)
{
    const double scores[] = {[LOAM_BEST_EVAL_LOSS] = -loop->eval_loss,
                             [LOAM_BEST_EXACT_MATCH] = loop->eval_exact_match,
                             [LOAM_BEST_F1] = loop->eval_f1,
                             [LOAM_BEST_ROUGE_L] = loop->eval_rouge_l,
                             [LOAM_BEST_ACCURACY] = loop->eval_accuracy};
    return scores[loop->settings->best_metric];
}

// The best evaluation in the same way.
static double best_score(const struct loam_loop *loop)
{
    const double scores[] = {[LOAM_BEST_EVAL_LOSS] = -loop->best_loss,
                             [LOAM_BEST_EXACT_MATCH] = loop->best_exact_match,
                             [LOAM_BEST_F1] = loop->best_f1,
                             [LOAM_BEST_ROUGE_L] = loop->best_rouge_l,
                             [LOAM_BEST_ACCURACY] = loop->best_accuracy};
    return scores[loop->settings->best_metric];
}

// Like transformers' Trainer: an equal value is not better, nor is one that is not finite. If the metric was
// changed on resume (--allow-change), the best evaluation may have no such score; then any value is better.
static bool is_better(const struct loam_loop *loop)
{
    const double last = last_score(loop), best = best_score(loop);
    if (!isfinite(loop->eval_loss) || isnan(last)) return false;
    return loop->best_step < 0 || isnan(best) || last > best;
}

const char *loam_loop_best(const struct loam_loop *loop, char text[LOAM_BEST_SIZE])
{
    static const char *const names[] = {[LOAM_BEST_EXACT_MATCH] = "an exact match",
                                        [LOAM_BEST_F1] = "an F1",
                                        [LOAM_BEST_ROUGE_L] = "a ROUGE-L",
                                        [LOAM_BEST_ACCURACY] = "an accuracy"};
    const enum loam_best_metric metric = loop->settings->best_metric;
    if (metric == LOAM_BEST_EVAL_LOSS)
        snprintf(text, LOAM_BEST_SIZE, "an evaluation loss of %.4f", loop->best_loss);
    else
        snprintf(text, LOAM_BEST_SIZE, "%s of %.2f %%", names[metric], best_score(loop));
    return text;
}

static void compare_with_best(struct loam_loop *loop)
{
    if (is_better(loop)) {
        loop->best_loss = loop->eval_loss;
        loop->best_exact_match = loop->eval_exact_match;
        loop->best_f1 = loop->eval_f1;
        loop->best_rouge_l = loop->eval_rouge_l;
        loop->best_accuracy = loop->eval_accuracy;
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
        loam_log_write(log_of(loop), LOAM_LOG_WARNING,
                       "step %lld: %s; it is not the best, and the run goes on", (long long)loop->step,
                       failure.message);
    else if (status != LOAM_OK)
        return loam_fail(error, status, "%s", failure.message);
    loop->eval_loss = result.loss.loss;
    loop->eval_exact_match = result.overall.exact;
    loop->eval_f1 = result.overall.f1;
    loop->eval_rouge_l = result.answerable.rouge_l;
    loop->eval_accuracy = result.choices.accuracy;
    compare_with_best(loop);
    loop->logged_seconds += loam_clock_seconds() - start;
    return report_evaluation(loop, &result.loss, error);
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
    return report_progress(loop, false, error);
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
        loam_log_write(log_of(loop), LOAM_LOG_WARNING, "%s; skipped; others like it are counted at the end",
                       why);
    loop->skipped++;
    loop->logged_skip = true;
    return skip_step(loop, error);
}

// Logs the first of several such steps in a row; the count of all is logged at the end.
static enum loam_status skip_overflow(struct loam_loop *loop, struct loam_error *error)
{
    if (!loop->logged_overflow)
        loam_log_write(
            log_of(loop), LOAM_LOG_INFO,
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
    return report_progress(loop, true, error);
}

static bool is_due(const struct loam_loop *loop, int64_t every)
{
    return (every > 0 && loop->step % every == 0) || loop->step == loop->total_steps;
}

// Makes the reports that are due after a step. If the run stops between them, the resumed run makes the rest.
static enum loam_status report_due(struct loam_loop *loop, struct loam_error *error)
{
    if (is_due(loop, loop->settings->logging_steps) && loop->logged_step != loop->step)
        LOAM_TRY(report_step(loop, error));
    if (loop->eval_dataset != NULL && is_due(loop, loop->settings->eval_steps) &&
        loop->eval_step != loop->step)
        LOAM_TRY(evaluate(loop, error));
    return LOAM_OK;
}

// ---- checkpoints ----

static enum loam_status save(struct loam_loop *loop, struct loam_error *error)
{
    if (loop->saver.save == NULL) return LOAM_OK;
    LOAM_TRY(loop->saver.save(loop->saver.user, loop, error));
    loop->saved = loop->step;
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
    if (save(loop, &error) != LOAM_OK)
        loam_log_write(
            log_of(loop), LOAM_LOG_WARNING,
            "no checkpoint of step %lld: %s; training goes on, and the next one is tried when it is due",
            (long long)loop->step, error.message);
}

// Saves a run that was stopped, and writes to `error` at which step and where it is saved.
static enum loam_status save_stopped(struct loam_loop *loop, struct loam_error *error)
{
    struct loam_error failure = {0};
    char stopped[64];
    if (loop->step == 0) return LOAM_ERROR_STOPPED;
    snprintf(stopped, sizeof stopped, "stopped at step %lld of %lld", (long long)loop->step,
             (long long)loop->total_steps);
    if (loop->saved != loop->step && save(loop, &failure) != LOAM_OK)
        return loam_fail(error, LOAM_ERROR_STOPPED, "%s, and not saved: %s", stopped, failure.message);
    if (loop->saver.save == NULL) return loam_fail(error, LOAM_ERROR_STOPPED, "%s", stopped);
    return loam_fail(error, LOAM_ERROR_STOPPED,
                     "%s, saved in %s/checkpoint-%lld; --resume goes on from there", stopped,
                     loop->settings->out, (long long)loop->step);
}

// Saves the values only if all are finite. --resume takes the newest checkpoint, which must be usable.
static enum loam_status save_finite(struct loam_loop *loop, struct loam_error *error)
{
    double norm = 0;
    LOAM_TRY(loam_optimiser_value_norm(&loop->trainer->optimiser, &norm, error));
    if (!isfinite(norm)) return loam_fail(error, LOAM_ERROR_NUMERIC, "not all trained values are finite");
    return loop->saved == loop->step ? LOAM_OK : save(loop, error);
}

// Saves the steps before a loss or gradient that was not finite, which `error` names. A resumed run meets the
// same value again, so the message advises to skip it, or to resume an earlier checkpoint at a lower rate.
static enum loam_status save_diverged(struct loam_loop *loop, struct loam_error *error)
{
    struct loam_error failure = {0}, reason = *error;
    int64_t before = loop->saved;
    if (loop->step == 0 || loop->saver.save == NULL) return reason.status;
    loop->diverged = true;
    if (save_finite(loop, &failure) == LOAM_OK)
        return loam_fail(
            error, reason.status,
            "%s; step %lld is saved in %s/checkpoint-%lld: --resume --allow-change goes on from "
            "there with --on-nonfinite skip, or from an earlier one with a lower --learning-rate",
            reason.message, (long long)loop->step, loop->settings->out, (long long)loop->step);
    if (before < 0 || before == loop->step)
        return loam_fail(error, reason.status, "%s; not saved: %s", reason.message, failure.message);
    return loam_fail(error, reason.status,
                     "%s; not saved: %s; --resume --allow-change goes on from step %lld with a lower "
                     "--learning-rate",
                     reason.message, failure.message, (long long)before);
}

// Saves the values unless an update failed, which may have changed only some of them.
static enum loam_status save_consistent(struct loam_loop *loop, struct loam_error *error)
{
    if (loop->trainer->optimiser.step != loop->updates)
        return loam_fail(error, LOAM_ERROR_INTERNAL, "the update of step %lld is not complete",
                         (long long)loop->step + 1);
    return loop->saved == loop->step ? LOAM_OK : save(loop, error);
}

// Saves the steps before a failure such as an unreadable input, a failed evaluation or lack of memory.
static enum loam_status save_failed(struct loam_loop *loop, struct loam_error *error)
{
    enum { REASON = 600 }; // bytes, so that the rest has room
    struct loam_error failure = {0}, reason = *error;
    int64_t before = loop->saved;
    if (loop->step == 0 || loop->saver.save == NULL) return reason.status;
    if (save_consistent(loop, &failure) == LOAM_OK)
        return loam_fail(
            error, reason.status,
            "%.*s; step %lld of %lld is saved in %s/checkpoint-%lld: --resume goes on from there", REASON,
            reason.message, (long long)loop->step, (long long)loop->total_steps, loop->settings->out,
            (long long)loop->step);
    if (before < 0)
        return loam_fail(error, reason.status, "%.*s; %lld steps are not saved: %s", REASON, reason.message,
                         (long long)loop->step, failure.message);
    return loam_fail(error, reason.status, "%.*s; not saved: %s; --resume goes on from step %lld", REASON,
                     reason.message, failure.message, (long long)before);
}

// ---- the run ----

static enum loam_status run_steps(struct loam_loop *loop, struct loam_error *error)
{
    struct loam_event start = make_event(loop, LOAM_EVENT_START);
    LOAM_TRY(send(loop, &start, error));
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
    loop->eval_loss = loop->eval_exact_match = loop->eval_f1 = loop->last.grad_norm = NAN;
    loop->best_loss = loop->best_exact_match = loop->best_f1 = NAN;
    loop->eval_rouge_l = loop->eval_accuracy = loop->best_rouge_l = loop->best_accuracy = NAN;
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

// Logs how many steps made no update, and why.
static void log_skipped(const struct loam_loop *loop)
{
    const long long steps = (long long)loop->step;
    if (loop->skipped > 0)
        loam_log_write(log_of(loop), LOAM_LOG_WARNING,
                       "%lld of %lld steps were skipped: their loss or gradient was not finite",
                       (long long)loop->skipped, steps);
    if (loop->overflows > 0)
        loam_log_write(log_of(loop), LOAM_LOG_INFO,
                       "%lld of %lld steps were skipped: their gradients left the range of f16; the scale of "
                       "the loss is %g",
                       (long long)loop->overflows, steps, loop->trainer->optimiser.loss_scale.factor);
    if (loop->unlabelled > 0 && loop->updates > 0)
        loam_log_write(log_of(loop), LOAM_LOG_WARNING,
                       "%lld of %lld steps were skipped: their examples have no label that counts, being too "
                       "short (fewer than two tokens) or too long for --max-length",
                       (long long)loop->unlabelled, steps);
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
    if (status == LOAM_ERROR_STOPPED) return save_stopped(loop, error);
    if (status == LOAM_ERROR_NUMERIC) return save_diverged(loop, error);
    if (status != LOAM_OK) return save_failed(loop, error);
    log_skipped(loop);
    if (loop->updates == 0) return fail_without_updates(loop, error);
    if (ends_early(loop) && loop->step < loop->total_steps) {
        char best[LOAM_BEST_SIZE];
        loam_log_write(log_of(loop), LOAM_LOG_INFO,
                       "ended early at step %lld of %lld: %lld evaluations in a row were no better than that "
                       "of step %lld, with %s",
                       (long long)loop->step, (long long)loop->total_steps,
                       (long long)loop->worse_evaluations, (long long)loop->best_step,
                       loam_loop_best(loop, best));
    }
    return LOAM_OK;
}
