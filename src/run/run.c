// loam_train_run: checks everything that needs no weights, loads the weights, runs the loop, writes the
// output.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/file.h"
#include "base/log.h"
#include "model/files.h"
#include "run/checkpoint.h"
#include "run/checkpoint_files.h"
#include "run/job.h"
#include "run/loop.h"
#include "run/loop_report.h"
#include "run/output.h"
#include "run/plan.h"
#include "run/preflight.h"

enum { LONGEST_PAUSE = 30 }; // seconds between two attempts to save

// All that a run holds, so that one function releases it.
struct train_run {
    const struct loam_train_settings *settings;
    const struct loam_callbacks *callbacks;
    struct loam_train_job job;
    struct loam_preflight preflight;
    struct loam_output output;
    struct loam_metrics metrics;
    struct loam_tensorboard board;
    struct loam_checkpoints checkpoints;
    struct loam_loop loop;
    struct loam_bytes record; // OUT/run.yaml
    bool took_best;           // the values may not be those of the last step
};

static void close_run(struct train_run *run)
{
    loam_bytes_deinit(&run->record);
    loam_tensorboard_close(&run->board);
    loam_metrics_close(&run->metrics);
    loam_checkpoints_close(&run->checkpoints);
    loam_output_deinit(&run->output);
    loam_preflight_deinit(&run->preflight);
    loam_train_job_close(&run->job);
}

static enum loam_status save_checkpoint(void *user, const struct loam_loop *loop, struct loam_error *error)
{
    return loam_checkpoints_save(user, loop, error);
}

static void prepare_loop(struct train_run *run)
{
    struct loam_train_job *job = &run->job;
    struct loam_loop *loop = &run->loop;
    loop->settings = run->settings;
    loop->callbacks = run->callbacks;
    loop->trainer = &job->trainer;
    loop->order = &job->order;
    loop->dataset = job->dataset;
    loop->eval_dataset = job->eval_dataset;
    loop->answerer = job->answerer;
    loop->buffers = &job->buffers;
    if (job->next.capacity > 0) loop->next = &job->next;
    loop->metrics = &run->metrics;
    loop->board = &run->board;
    loop->saver = (struct loam_loop_saver){save_checkpoint, &run->checkpoints};
    loop->changes = loam_checkpoints_changes(&run->checkpoints);
    const struct loam_schedule_settings schedule = {.kind = run->settings->schedule,
                                                    .learning_rate = run->settings->learning_rate,
                                                    .warmup_steps = run->settings->warmup_steps,
                                                    .warmup_ratio = run->settings->warmup_ratio};
    loop->schedule = loam_schedule_make(&schedule, loop->total_steps);
    loop->trainable_parameters = loam_trainables_total(&job->trainables);
    loop->parameters = loam_model_parameter_total(job->session.model);
    if (job->adapter != NULL) loop->parameters += loop->trainable_parameters;
    loam_loop_begin(loop);
}

// ---- output ----

// Finds the directory of event files; NULL: none are written. The caller frees `*own`.
static enum loam_status find_board_directory(const struct train_run *run, char **own, const char **directory,
                                             struct loam_error *error)
{
    const struct loam_train_settings *settings = run->settings;
    *own = NULL;
    *directory = settings->logging_dir;
    if (*directory != NULL || !settings->tensorboard) return LOAM_OK;
    *directory = *own = loam_path_join(run->output.directory, "runs", error);
    if (*own == NULL) return LOAM_ERROR_MEMORY;
    if (!loam_path_is_link(*own)) return LOAM_OK;
    enum loam_status status = loam_fail(
        error, LOAM_ERROR_EXISTS,
        "%s is a link, and event files would go elsewhere: remove it, or name the place with --logging-dir",
        *own);
    free(*own);
    *own = NULL;
    return status;
}

// Opens the event file for TensorBoard and writes the settings of the run.
static enum loam_status open_board(struct train_run *run, const char *directory, struct loam_error *error)
{
    struct loam_bytes text = {0};
    enum loam_status status = loam_output_format_settings(&text, &run->loop, run->job.adapter, error);
    if (status == LOAM_OK) status = loam_tensorboard_open(&run->board, directory, error);
    if (status == LOAM_OK)
        status = loam_tensorboard_text(&run->board, "args/text_summary", text.data, text.size, error);
    loam_bytes_deinit(&text);
    return status;
}

// Restores the state of a run that is resumed, and opens its event file.
static enum loam_status begin_run(struct train_run *run, struct loam_error *error)
{
    char *own;
    const char *directory;
    LOAM_TRY(find_board_directory(run, &own, &directory, error));
    enum loam_status status = LOAM_OK;
    if (run->checkpoints.from != NULL)
        status = loam_checkpoints_resume(&run->checkpoints, &run->loop, directory, error);
    if (status == LOAM_OK && directory != NULL && !loam_tensorboard_is_open(&run->board))
        status = open_board(run, directory, error);
    free(own);
    return status;
}

// Writes the files of the result except the weights.
static enum loam_status write_files(struct train_run *run, struct loam_error *error)
{
    LOAM_TRY(loam_output_copy_files(&run->output, run->settings->model, run->settings->full, error));
    LOAM_TRY(loam_train_job_save_chat(&run->job, run->output.staging.directory, error));
    LOAM_TRY(loam_output_write_record(&run->output, run->record.data, error));
    return loam_output_write_card(&run->output, &run->loop, run->job.adapter, error);
}

static enum loam_status write_adapter(struct train_run *run, struct loam_error *error)
{
    return loam_adapter_save(run->job.adapter, loam_train_model_name(run->settings),
                             run->settings->model_revision, run->output.staging.directory, error);
}

static enum loam_status save_result(struct train_run *run, struct loam_error *error)
{
    LOAM_TRY(loam_output_restore(&run->output, run->job.log, error));
    LOAM_TRY(loam_journal_flush(&run->metrics.journal, error));
    LOAM_TRY(write_files(run, error));
    if (run->job.adapter != NULL)
        LOAM_TRY(write_adapter(run, error));
    else
        LOAM_TRY(loam_train_job_save_model(&run->job, run->output.staging.directory, error));
    LOAM_TRY(loam_output_commit(&run->output, run->settings->full, error));
    loam_model_warn_of_old_files(run->settings->model, run->settings->out, run->settings->full,
                                 loam_train_job_has_other_chat(&run->job) ? loam_chat_source_file : NULL,
                                 run->job.log);
    return LOAM_OK;
}

// ---- before the first step ----

// Writes and removes a result and a checkpoint, to find early what would make saving fail. The weights of a
// model or of a large adapter are left out, to bound the size.
static enum loam_status rehearse_save(struct train_run *run, struct loam_error *error)
{
    enum { LARGEST = 64 << 20 }; // bytes
    const bool full = run->settings->full;
    const bool adapter = !full && run->loop.trainable_parameters <= LARGEST / (int64_t)sizeof(float);
    LOAM_TRY(write_files(run, error));
    if (adapter) LOAM_TRY(write_adapter(run, error));
    if (adapter || full) LOAM_TRY(loam_output_check(&run->output, full, error));
    LOAM_TRY(loam_output_clear(&run->output, error));
    return loam_checkpoints_rehearse(&run->checkpoints, &run->loop, error);
}

// Tries evaluation and saving before the first step, so that a run does not fail hours later.
static enum loam_status rehearse(struct train_run *run, struct loam_error *error)
{
    LOAM_TRY(loam_loop_rehearse(&run->loop, error));
    return rehearse_save(run, error);
}

// Writes the last events. A failure is a warning: the result does not depend on them.
static void end_board(struct train_run *run)
{
    struct loam_error error = {0};
    if (loam_tensorboard_is_open(&run->board) && loam_journal_flush(&run->board.journal, &error) != LOAM_OK)
        loam_log_write(run->job.log, LOAM_LOG_WARNING, "%s; its last events are lost", error.message);
}

// ---- a result that cannot be saved ----

// Returns whether saving may work later, for example after the disk has room again.
static bool is_temporary(enum loam_status status)
{
    return status == LOAM_ERROR_IO || status == LOAM_ERROR_EXISTS || status == LOAM_ERROR_MEMORY;
}

static bool is_stop_requested(const struct train_run *run)
{
    struct loam_event event = loam_event_make(LOAM_EVENT_PROGRESS);
    event.activity = LOAM_ACTIVITY_SAVE;
    return loam_event_send(run->callbacks, &event, NULL) != LOAM_OK;
}

// Waits for `seconds`. Returns false if the caller asked to stop meanwhile.
static bool wait_unless_stopped(const struct train_run *run, double seconds)
{
    static const struct timespec slice = {.tv_nsec = 50 * 1000 * 1000};
    double end = loam_clock_seconds() + seconds;
    do {
        if (is_stop_requested(run)) return false;
        nanosleep(&slice, NULL);
    } while (loam_clock_seconds() < end);
    return true;
}

// Saves a checkpoint if the values are those of the last step. It needs less space and other files than the
// result, so it may work after the result failed. Returns whether there is a checkpoint of the last step.
static bool save_as_checkpoint(struct train_run *run)
{
    struct loam_loop *loop = &run->loop;
    struct loam_error error = {0};
    if (loop->saved == loop->step) return true;
    return !run->took_best && loam_checkpoints_save(&run->checkpoints, loop, &error) == LOAM_OK;
}

// Fails because the result could not be saved, for the reason in `error`. The message tells which checkpoint
// is left.
static enum loam_status fail_unsaved(struct train_run *run, bool stopped, struct loam_error *error)
{
    const char *out = run->output.directory, *prefix = stopped ? "stopped: " : "";
    struct loam_error reason = *error;
    enum loam_status status = stopped ? LOAM_ERROR_STOPPED : reason.status;
    int64_t newest;
    char left[96] = "there is no checkpoint of it";
    if (save_as_checkpoint(run))
        return loam_fail(
            error, status,
            "%sthe result is not saved, but step %lld is, in %s/checkpoint-%lld, and --resume makes "
            "the result of it: %s",
            prefix, (long long)run->loop.step, out, (long long)run->loop.step, reason.message);
    if (loam_checkpoint_newest(out, &newest, NULL) == LOAM_OK && newest >= 0)
        snprintf(left, sizeof left, "--resume goes on from the checkpoint of step %lld", (long long)newest);
    return loam_fail(error, status, "%sthe result of %lld steps is lost, %s: %s", prefix,
                     (long long)run->loop.step, left, reason.message);
}

static void log_waiting(const struct train_run *run, const struct loam_error *error)
{
    char limit[48] = "until it works";
    if (run->settings->save_wait > 0)
        snprintf(limit, sizeof limit, "for %lld s", (long long)run->settings->save_wait);
    loam_log_write(run->job.log, LOAM_LOG_WARNING,
                   "the result cannot be saved: %s; it stays in memory and saving is tried again %s",
                   error->message, limit);
}

// Saves the result. After a temporary failure it tries again for --save-wait; the values stay in memory.
static enum loam_status save_with_retries(struct train_run *run, struct loam_error *error)
{
    const struct loam_train_settings *settings = run->settings;
    bool can_stop = run->callbacks != NULL && run->callbacks->event != NULL;
    double pause = 0.5, start = loam_clock_seconds();
    enum loam_status status = save_result(run, error);
    if (status == LOAM_OK) return LOAM_OK;
    if (!is_temporary(status) || settings->save_wait == 0 || (settings->save_wait < 0 && !can_stop))
        return fail_unsaved(run, false, error);
    log_waiting(run, error);
    while (is_temporary(status)) {
        if (!wait_unless_stopped(run, pause)) return fail_unsaved(run, true, error);
        status = save_result(run, error);
        if (settings->save_wait > 0 && loam_clock_seconds() - start >= (double)settings->save_wait) break;
        if (pause < LONGEST_PAUSE) pause *= 2;
    }
    return status == LOAM_OK ? LOAM_OK : fail_unsaved(run, false, error);
}

// Loads the values of the best evaluation for --load-best-at-end. Without a finite evaluation, the values of
// the last step stay.
static void take_best(struct train_run *run)
{
    struct loam_loop *loop = &run->loop;
    struct loam_error error = {0};
    if (!run->settings->load_best_at_end || loop->best_step == loop->step) return;
    if (loop->best_step < 0) {
        loam_log_write(run->job.log, LOAM_LOG_WARNING,
                       "the result is that of the last step: no evaluation was finite, so none is the best");
        return;
    }
    bool taken = loam_checkpoints_load_values(&run->checkpoints, loop->best_step, &error) == LOAM_OK;
    run->took_best = true; // after a failure, some values may already be replaced
    if (taken) {
        loop->eval = loop->best;
        loop->eval_step = loop->best_step;
    }
    char best[LOAM_SCORE_SIZE];
    loam_log_write(run->job.log, taken ? LOAM_LOG_INFO : LOAM_LOG_WARNING,
                   taken ? "the result is that of step %lld, with %s%s"
                         : "the result is that of the last step, not of step %lld with %s: %s",
                   (long long)loop->best_step,
                   loam_scores_describe(&loop->best, run->settings->best_metric, best), error.message);
}

// ---- the run as text ----

// Returns the dtype of all parameters; LOAM_DTYPE_NONE if some keep another dtype of the files.
static enum loam_dtype find_common_dtype(const struct loam_session *session)
{
    const struct loam_model *model = session->model;
    for (size_t i = 0; i < model->parameter_count; i++)
        if (model->parameters[i].value.dtype != session->dtype) return LOAM_DTYPE_NONE;
    return session->dtype;
}

// Writes the changes of options as comments, because the file has only the options of the last resume.
static enum loam_status format_changes(struct train_run *run, struct loam_error *error)
{
    const char *line = loam_checkpoints_changes(&run->checkpoints);
    if (line[0] == '\0') return LOAM_OK;
    LOAM_TRY(loam_bytes_append_text(
        &run->record, "# The options changed on the way, so that this file does not make the same adapter:\n",
        error));
    for (size_t size; line[0] != '\0'; line += size) {
        size = strcspn(line, "\n") + 1;
        LOAM_TRY(loam_bytes_append_text(&run->record, "# ", error));
        LOAM_TRY(loam_bytes_append(&run->record, line, size, error));
    }
    return LOAM_OK;
}

static enum loam_status format_record(struct train_run *run, struct loam_error *error)
{
    const struct loam_train_settings *settings = run->settings;
    const struct loam_session *session = &run->job.session;
    if (settings->record == NULL) return LOAM_OK;
    LOAM_TRY(format_changes(run, error));
    bool begun = run->job.adapter != NULL && settings->adapter == NULL;
    char *targets = begun ? loam_adapter_targets(run->job.adapter, error) : NULL;
    if (begun && targets == NULL) return LOAM_ERROR_MEMORY;
    struct loam_train_resolved resolved = {
        .max_length = session->max_length,
        .token_budget = session->token_budget,
        .threads = session->device->threads,
        .device = session->device->name,
        .dtype = find_common_dtype(session),
        .targets = targets,
    };
    enum loam_status status = settings->record(settings->record_user, &resolved, &run->record, error);
    free(targets);
    return status;
}

static enum loam_status train(struct train_run *run, struct loam_error *error)
{
    struct loam_train_job *job = &run->job;
    LOAM_TRY(loam_train_job_load(job, error));
    LOAM_TRY(loam_train_preflight_loaded(job, &run->preflight, error));
    LOAM_TRY(format_record(run, error));
    prepare_loop(run);
    loam_checkpoints_begin(&run->checkpoints);
    LOAM_TRY(begin_run(run, error));
    LOAM_TRY(rehearse(run, error));
    LOAM_TRY(loam_loop_run(&run->loop, error));
    take_best(run);
    loam_loop_report_end(&run->loop);
    loam_session_report(&job->session, job->dataset);
    if (job->eval_dataset != NULL) loam_session_report(&job->session, job->eval_dataset);
    loam_train_job_release_passes(job);
    LOAM_TRY(save_with_retries(run, error));
    end_board(run);
    return LOAM_OK;
}

static enum loam_status check_and_train(struct train_run *run, struct loam_error *error)
{
    LOAM_TRY(loam_train_job_open(&run->job, run->settings, run->callbacks, error));
    LOAM_TRY(loam_train_preflight(&run->job, &run->preflight, error));
    LOAM_TRY(loam_order_total_steps(&run->job.order, run->settings->epochs, run->settings->max_steps,
                                    &run->loop.total_steps, error));
    LOAM_TRY(loam_plan_check(&run->job, error));
    LOAM_TRY(loam_output_open(&run->output, run->settings, run->job.log, error));
    enum loam_status status = loam_metrics_open(&run->metrics, run->output.metrics_path, error);
    if (status == LOAM_OK)
        status =
            loam_checkpoints_open(&run->checkpoints, &run->job, &run->output, run->loop.total_steps, error);
    if (status == LOAM_OK && run->checkpoints.from == NULL)
        status = loam_output_begin_metrics(&run->output, error);
    if (status == LOAM_OK) status = train(run, error);
    if (status != LOAM_OK) loam_output_abandon(&run->output);
    return status;
}

enum loam_status loam_train_run(const struct loam_train_settings *settings,
                                const struct loam_callbacks *callbacks, struct loam_error *error)
{
    struct train_run run = {.settings = settings, .callbacks = callbacks};
    run.output.staging.lock = -1;
    enum loam_status status = check_and_train(&run, error);
    close_run(&run);
    return status;
}
