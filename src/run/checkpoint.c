#include "run/checkpoint.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "io/atomic.h"
#include "io/directory.h"
#include "model/files.h"
#include "run/checkpoint_files.h"
#include "run/checkpoint_state.h"
#include "run/checkpoint_tensors.h"

// ---- the state ----

static enum loam_status write_json(const char *directory, json_t *root, struct loam_error *error)
{
    struct loam_bytes text = {0};
    char *path = loam_path_join(directory, LOAM_CHECKPOINT_STATE, error);
    enum loam_status status =
        path == NULL ? LOAM_ERROR_MEMORY
                     : loam_json_append(&text, root, JSON_INDENT(2) | JSON_REAL_PRECISION(17), error);
    if (status == LOAM_OK) status = loam_atomic_write_file(path, text.data, text.size, error);
    free(path);
    loam_bytes_deinit(&text);
    json_decref(root);
    return status;
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

// Returns the size of a file without the last report of a run. `before_end` is -1 before that report.
static int64_t bytes_of_steps(const struct loam_journal *journal, int64_t before_end)
{
    return before_end >= 0 ? before_end : loam_journal_size(journal);
}

static json_t *format_event_file(const struct loam_loop *loop)
{
    const struct loam_tensorboard *board = loop->board;
    if (!loam_tensorboard_is_open(board)) return json_null();
    return json_pack("{s:s, s:I}", "name", name_of(board->journal.path), "bytes",
                     (json_int_t)bytes_of_steps(&board->journal, loop->board_before_end));
}

// Returns null if the sum could not be computed. The checkpoint is still written.
static json_t *format_base(struct loam_checkpoints *checkpoints)
{
    struct loam_base_digest *base = &checkpoints->base;
    struct loam_error error = {0};
    if (loam_base_digest_finish(base, &error) != LOAM_OK)
        loam_log_write(checkpoints->job->log, LOAM_LOG_WARNING,
                       "%s: a checkpoint has no SHA-256 of the model as the run used it", error.message);
    if (base->sum[0] == '\0') return json_null();
    return json_pack("{s:s, s:s}", "sha256", base->sum, "files", base->identity.data);
}

// Null where the run has no scale of the loss.
static json_t *format_loss_scale(const struct loam_loss_scale *scale)
{
    if (!scale->dynamic) return json_null();
    return json_pack("{s:f, s:I}", "factor", scale->factor, "good_steps", (json_int_t)scale->good_steps);
}

// `base` false leaves the digest of the model out, which may still be running.
static enum loam_status write_state(struct loam_checkpoints *checkpoints, const struct loam_loop *loop,
                                    bool base, const char *directory, struct loam_error *error)
{
    const struct loam_train_job *job = checkpoints->job;
    json_t *root = json_pack(
        "{s:i, s:s, s:s, s:s, s:o, s:f, s:I, s:o, s:i, s:b, s:o, s:o, s:O}", "version",
        LOAM_CHECKPOINT_VERSION, "loam", LOAM_VERSION, "run", checkpoints->run, "changes",
        loam_checkpoints_changes(checkpoints), "state", loam_checkpoint_state_format(loop), "epoch",
        loam_order_epoch_after(loop->order, loop->step - 1), "optimiser_step",
        (json_int_t)job->trainer.optimiser.step, "loss_scale",
        format_loss_scale(&job->trainer.optimiser.loss_scale), "threads", job->session.device->threads,
        "diverged", loop->diverged, "event_file", format_event_file(loop), "base",
        base ? format_base(checkpoints) : json_null(), "options", checkpoints->options);
    return write_json(directory, root, error);
}

// ---- resuming ----

static enum loam_status resume_board(const struct loam_loop *loop, const json_t *root, const char *name,
                                     const char *directory, struct loam_error *error)
{
    const json_t *event_file = json_object_get(root, "event_file");
    const char *file = NULL;
    int64_t bytes = 0;
    if (directory == NULL || !json_is_object(event_file)) return LOAM_OK;
    LOAM_TRY(loam_json_get_string(event_file, name, "name", &file, error));
    LOAM_TRY(loam_json_get_int(event_file, name, "bytes", &bytes, error));
    if (file == NULL || file[0] == '\0' || strchr(file, '/') != NULL) return LOAM_OK;
    return loam_tensorboard_reopen(loop->board, directory, file, bytes, error);
}

static enum loam_status resume_metrics(const struct loam_checkpoints *checkpoints,
                                       const struct loam_loop *loop, struct loam_error *error)
{
    char *path = loam_path_join(checkpoints->from, LOAM_CHECKPOINT_METRICS, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = loam_metrics_resume(loop->metrics, path, error);
    free(path);
    return status;
}

// Sets loop->saved to the step only if the resumed checkpoint is in OUT, where --resume finds it again.
static enum loam_status set_saved(const struct loam_checkpoints *checkpoints, struct loam_loop *loop,
                                  struct loam_error *error)
{
    char *path = loam_checkpoint_path(checkpoints->output->directory, loop->step, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    loop->saved = loam_directory_same(path, checkpoints->from) ? loop->step : -1;
    free(path);
    return LOAM_OK;
}

// Reads what the state file has. `name` is the file, for messages.
static enum loam_status restore_counts(const struct loam_checkpoints *checkpoints, const json_t *root,
                                       const char *name, struct loam_loop *loop, struct loam_error *error)
{
    struct loam_optimiser *optimiser = &checkpoints->job->trainer.optimiser;
    LOAM_TRY(loam_checkpoint_state_parse(loop, json_object_get(root, "state"), name, error));
    LOAM_TRY(loam_json_get_int(root, name, "optimiser_step", &optimiser->step, error));
    if (optimiser->step != loop->updates)
        return loam_fail(
            error, LOAM_ERROR_FORMAT,
            "%s: \"updates\" %lld with \"optimiser_step\" %lld cannot be; resume from another checkpoint",
            name, (long long)loop->updates, (long long)optimiser->step);
    return loam_checkpoint_loss_scale_parse(&optimiser->loss_scale, loop->step, root, name, error);
}

static enum loam_status restore_state(const struct loam_checkpoints *checkpoints, const json_t *root,
                                      struct loam_loop *loop, const char *board_directory,
                                      struct loam_error *error)
{
    const struct loam_log *log = checkpoints->job->log;
    struct loam_optimiser *optimiser = &checkpoints->job->trainer.optimiser;
    int64_t total = loop->total_steps;
    char *path = loam_path_join(checkpoints->from, LOAM_CHECKPOINT_STATE, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = restore_counts(checkpoints, root, path, loop, error);
    free(path);
    if (status != LOAM_OK) return status;
    LOAM_TRY(loam_checkpoint_tensors_read(optimiser, checkpoints->from, false, error));
    loam_log_write(log, LOAM_LOG_INFO, "going on from %s at step %lld of %lld", checkpoints->from,
                   (long long)loop->step, (long long)total);
    if (loop->total_steps != total)
        loam_log_write(log, LOAM_LOG_WARNING,
                       "the run was to have %lld steps and is to have %lld: from here on the learning rate "
                       "follows the schedule of the new number",
                       (long long)loop->total_steps, (long long)total);
    loop->total_steps = total;
    LOAM_TRY(set_saved(checkpoints, loop, error));
    loop->diverged = json_is_true(json_object_get(root, "diverged")); // absent in older checkpoints
    LOAM_TRY(resume_metrics(checkpoints, loop, error));
    return resume_board(loop, root, checkpoints->from, board_directory, error);
}

// ---- removing old checkpoints ----

// Removes checkpoints beyond the limit. `written` is the step that was just saved; -1: none.
static enum loam_status rotate(struct loam_checkpoints *checkpoints, const struct loam_loop *loop,
                               int64_t written, struct loam_error *error)
{
    const struct loam_train_settings *settings = loop->settings;
    struct loam_checkpoint_limit limit = {
        .count = settings->save_total_limit,
        .best = settings->load_best_at_end ? loop->best_step : -1,
        .keeps_all = loop->diverged, // an earlier checkpoint may be better than the last one
        .written = written,
    };
    return loam_checkpoint_set_rotate(&checkpoints->set, checkpoints->output->directory, &limit, error);
}

// Removes the extra checkpoint of a run that was killed between writing one and removing the oldest. If later
// checkpoints will be removed after the next save, nothing is removed before that save.
static enum loam_status remove_extra(struct loam_checkpoints *checkpoints, const struct loam_loop *loop,
                                     struct loam_error *error)
{
    if (loam_checkpoint_set_has_doomed(&checkpoints->set)) return LOAM_OK;
    return rotate(checkpoints, loop, -1, error);
}

enum loam_status loam_checkpoints_resume(struct loam_checkpoints *checkpoints, struct loam_loop *loop,
                                         const char *board_directory, struct loam_error *error)
{
    json_t *root;
    LOAM_TRY(loam_checkpoint_state_load(&root, checkpoints->from, error));
    enum loam_status status = restore_state(checkpoints, root, loop, board_directory, error);
    json_decref(root);
    return status == LOAM_OK ? remove_extra(checkpoints, loop, error) : status;
}

enum loam_status loam_checkpoints_load_values(const struct loam_checkpoints *checkpoints, int64_t step,
                                              struct loam_error *error)
{
    char *directory = loam_checkpoint_path(checkpoints->output->directory, step, error);
    if (directory == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = loam_checkpoint_verify(directory, error);
    if (status == LOAM_OK)
        status = loam_checkpoint_tensors_read(&checkpoints->job->trainer.optimiser, directory, true, error);
    free(directory);
    return status;
}

// ---- saving ----

// Writes the adapter or the model, which can be used without the rest of the checkpoint.
static enum loam_status write_result(const struct loam_checkpoints *checkpoints, const char *directory,
                                     struct loam_error *error)
{
    const struct loam_train_job *job = checkpoints->job;
    const struct loam_train_settings *settings = job->settings;
    LOAM_TRY(loam_model_copy_files(settings->model, directory, settings->full, error));
    LOAM_TRY(loam_train_job_save_chat(job, directory, error));
    if (job->adapter != NULL)
        return loam_adapter_save(job->adapter, loam_train_model_name(settings), settings->model_revision,
                                 directory, error);
    return loam_train_job_save_model(job, directory, error);
}

// Copies the first `size` bytes of a file, which end before the last report.
static enum loam_status copy_start(const char *from, const char *to, size_t size, struct loam_error *error)
{
    struct loam_bytes text = {0};
    enum loam_status status = loam_file_read(from, SIZE_MAX, &text, error);
    if (status == LOAM_OK)
        status = loam_atomic_write_file(to, text.data, size < text.size ? size : text.size, error);
    loam_bytes_deinit(&text);
    return status;
}

static enum loam_status copy_metrics(const struct loam_loop *loop, const char *path, struct loam_error *error)
{
    const struct loam_journal *journal = &loop->metrics->journal;
    int64_t size = bytes_of_steps(journal, loop->metrics_before_end);
    if (size == 0) return loam_atomic_write_file(path, NULL, 0, error);
    if (size == loam_journal_size(journal)) return loam_atomic_copy_file(journal->path, path, error);
    return copy_start(journal->path, path, (size_t)size, error);
}

static enum loam_status write_metrics(const struct loam_loop *loop, const char *directory,
                                      struct loam_error *error)
{
    char *path = loam_path_join(directory, LOAM_CHECKPOINT_METRICS, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = copy_metrics(loop, path, error);
    free(path);
    return status;
}

static enum loam_status write_all(struct loam_checkpoints *checkpoints, const struct loam_loop *loop,
                                  const char *directory, struct loam_error *error)
{
    LOAM_TRY(write_result(checkpoints, directory, error));
    LOAM_TRY(loam_checkpoint_tensors_write(&checkpoints->job->trainer.optimiser, directory, error));
    LOAM_TRY(write_metrics(loop, directory, error));
    LOAM_TRY(write_state(checkpoints, loop, true, directory, error));
    return loam_checkpoint_seal(directory, error);
}

static enum loam_status publish(struct loam_checkpoints *checkpoints, const struct loam_loop *loop,
                                const char *directory, struct loam_error *error)
{
    const char *out = checkpoints->output->directory;
    char *path = loam_checkpoint_path(out, loop->step, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = loam_checkpoint_set_remove(&checkpoints->set, out, loop->step, error);
    if (status == LOAM_OK) status = loam_directory_publish(out, directory, path, error);
    free(path);
    return status;
}

// Removes old checkpoints. A failure is a warning, because the new checkpoint is already written.
static void remove_others(struct loam_checkpoints *checkpoints, const struct loam_loop *loop)
{
    struct loam_error error = {0};
    enum loam_status status =
        loam_checkpoint_set_add(&checkpoints->set, checkpoints->output->directory, loop->step, false, &error);
    if (status == LOAM_OK) status = rotate(checkpoints, loop, loop->step, &error);
    if (status != LOAM_OK)
        loam_log_write(checkpoints->job->log, LOAM_LOG_WARNING, "an old checkpoint stays: %s", error.message);
}

enum loam_status loam_checkpoints_save(struct loam_checkpoints *checkpoints, const struct loam_loop *loop,
                                       struct loam_error *error)
{
    char *directory = NULL;
    LOAM_TRY(loam_output_restore(checkpoints->output, checkpoints->job->log, error));
    LOAM_TRY(loam_journal_flush(&loop->metrics->journal, error));
    if (loam_tensorboard_is_open(loop->board)) (void)loam_journal_flush(&loop->board->journal, NULL);
    LOAM_TRY(loam_work_directory_make(checkpoints->output->directory, &directory, error));
    enum loam_status status = write_all(checkpoints, loop, directory, error);
    if (status == LOAM_OK) status = publish(checkpoints, loop, directory, error);
    if (status != LOAM_OK) loam_directory_remove(directory);
    free(directory);
    if (status != LOAM_OK) return status;
    loam_output_claim(checkpoints->output);
    remove_others(checkpoints, loop);
    return LOAM_OK;
}

enum loam_status loam_checkpoints_rehearse(struct loam_checkpoints *checkpoints, const struct loam_loop *loop,
                                           struct loam_error *error)
{
    char *directory = NULL;
    LOAM_TRY(loam_work_directory_make(checkpoints->output->directory, &directory, error));
    enum loam_status status =
        loam_checkpoint_tensors_rehearse(&checkpoints->job->trainer.optimiser, directory, error);
    if (status == LOAM_OK) status = write_metrics(loop, directory, error);
    if (status == LOAM_OK) status = write_state(checkpoints, loop, false, directory, error);
    if (status == LOAM_OK) status = loam_checkpoint_seal(directory, error);
    if (status == LOAM_OK) status = loam_checkpoint_verify(directory, error);
    loam_directory_remove(directory);
    free(directory);
    return status;
}
