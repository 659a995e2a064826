#include "run/loop_report.h"

#include <math.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/log.h"

const struct loam_log *loam_loop_log(const struct loam_loop *loop)
{
    return loop->callbacks != NULL ? &loop->callbacks->log : NULL;
}

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

static void set_scores(struct loam_event *event, const struct loam_scores *scores)
{
    event->eval_loss = scores->loss;
    event->eval_exact_match = scores->exact_match;
    event->eval_f1 = scores->f1;
    event->eval_rouge_l = scores->rouge_l;
    event->eval_accuracy = scores->accuracy;
}

static enum loam_status send(const struct loam_loop *loop, const struct loam_event *event,
                             struct loam_error *error)
{
    return loam_event_send(loop->callbacks, event, error);
}

// Logs once that a file cannot be written, and once that it is written again.
static void log_journal(const struct loam_loop *loop, bool *failing, const struct loam_journal *journal,
                        const struct loam_error *error)
{
    bool fails = error->status != LOAM_OK;
    if (fails && !*failing)
        loam_log_write(
            loam_loop_log(loop), LOAM_LOG_WARNING,
            "%s; training goes on, what is to be written stays in memory and is written when it can be",
            error->message);
    else if (*failing && !fails && journal->lost > 0)
        loam_log_write(loam_loop_log(loop), LOAM_LOG_WARNING,
                       "%s is being written again, but there was no room in memory for all of it",
                       journal->path);
    else if (*failing && !fails)
        loam_log_write(loam_loop_log(loop), LOAM_LOG_INFO, "%s is being written again, nothing is missing",
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

enum loam_status loam_loop_report_start(const struct loam_loop *loop, struct loam_error *error)
{
    struct loam_event event = make_event(loop, LOAM_EVENT_START);
    return send(loop, &event, error);
}

enum loam_status loam_loop_report_progress(const struct loam_loop *loop, bool updated,
                                           struct loam_error *error)
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

enum loam_status loam_loop_report_step(struct loam_loop *loop, struct loam_error *error)
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

enum loam_status loam_loop_report_evaluation(struct loam_loop *loop, const struct loam_evaluation *evaluation,
                                             struct loam_error *error)
{
    struct loam_event event = make_event(loop, LOAM_EVENT_EVAL);
    set_scores(&event, &loop->eval);
    event.tokens_per_second = per_second((double)evaluation->tokens, evaluation->seconds);
    enum loam_status status = send(loop, &event, error);
    struct loam_metric line[] = {
        {"eval_loss", event.eval_loss},
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

void loam_loop_report_end(struct loam_loop *loop)
{
    struct loam_event event = make_event(loop, LOAM_EVENT_END);
    loop->metrics_before_end = loam_journal_size(&loop->metrics->journal);
    loop->board_before_end = loam_journal_size(&loop->board->journal);
    loop->seconds = event.seconds;
    event.loss = loop->loss_sum / (double)loop->updates;
    set_scores(&event, &loop->eval);
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

void loam_loop_log_skipped(const struct loam_loop *loop)
{
    const long long steps = (long long)loop->step;
    if (loop->skipped > 0)
        loam_log_write(loam_loop_log(loop), LOAM_LOG_WARNING,
                       "%lld of %lld steps were skipped: their loss or gradient was not finite",
                       (long long)loop->skipped, steps);
    if (loop->overflows > 0)
        loam_log_write(loam_loop_log(loop), LOAM_LOG_INFO,
                       "%lld of %lld steps were skipped: their gradients left the range of f16; the scale of "
                       "the loss is %g",
                       (long long)loop->overflows, steps, loop->trainer->optimiser.loss_scale.factor);
    if (loop->unlabelled > 0 && loop->updates > 0)
        loam_log_write(loam_loop_log(loop), LOAM_LOG_WARNING,
                       "%lld of %lld steps were skipped: their examples have no label that counts, being too "
                       "short (fewer than two tokens) or too long for --max-length",
                       (long long)loop->unlabelled, steps);
}
