#include "train/checkpoint.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/heap.h"
#include "base/json.h"
#include "base/log.h"
#include "io/directory.h"
#include "io/safetensors.h"
#include "model/files.h"
#include "train/checkpoint_files.h"
#include "train/checkpoint_state.h"
#include "train/recorded.h"

// ---- the tensors: value, m and v of everything that is trained ----

static const struct {
    const char *prefix;
    size_t offset; // of the tensor in struct loam_trainable
} parts[] = {
    {"value.", offsetof(struct loam_trainable, value)},
    {"m.", offsetof(struct loam_trainable, m)},
    {"v.", offsetof(struct loam_trainable, v)},
};
enum { PARTS = sizeof parts / sizeof parts[0] };

static const struct loam_tensor *part_of(const struct loam_trainable *item, size_t part)
{
    return (const struct loam_tensor *)(const void *)((const char *)item + parts[part].offset);
}

static char *part_name(const struct loam_trainable *item, size_t part, struct loam_error *error)
{
    return loam_format(error, "%s%s", parts[part].prefix, item->name);
}

static enum loam_status fill_block(void *user, size_t index, size_t first, size_t count, void *block,
                                   struct loam_error *error)
{
    struct loam_optimiser *optimiser = user;
    const struct loam_tensor *tensor = part_of(&optimiser->set->items[index / PARTS], index % PARTS);
    loam_download(&optimiser->stream, block, (const float *)tensor->data + first, count * sizeof(float));
    return loam_stream_finish(&optimiser->stream, error);
}

static enum loam_status describe(struct loam_write_tensor *tensors, const struct loam_trainables *set,
                                 struct loam_error *error)
{
    for (size_t i = 0; i < PARTS * set->count; i++) {
        const struct loam_trainable *item = &set->items[i / PARTS];
        tensors[i].dtype = LOAM_F32;
        tensors[i].rank = item->value.rank;
        memcpy(tensors[i].shape, item->value.shape, sizeof tensors[i].shape);
        tensors[i].name = part_name(item, i % PARTS, error);
        if (tensors[i].name == NULL) return LOAM_ERROR_MEMORY;
    }
    return LOAM_OK;
}

static enum loam_status write_tensors(struct loam_optimiser *optimiser, const char *directory,
                                      struct loam_error *error)
{
    size_t count = PARTS * optimiser->set->count;
    struct loam_write_source source = {.fill = fill_block, .user = optimiser};
    struct loam_write_tensor *tensors = loam_calloc(count, sizeof *tensors, error);
    if (tensors == NULL) return LOAM_ERROR_MEMORY;
    char *path = loam_path_join(directory, LOAM_CHECKPOINT_TENSORS, error);
    enum loam_status status = path == NULL ? LOAM_ERROR_MEMORY : describe(tensors, optimiser->set, error);
    if (status == LOAM_OK) status = loam_safetensors_write_from(path, tensors, count, &source, error);
    for (size_t i = 0; i < count; i++)
        free((char *)(uintptr_t)tensors[i].name);
    free(tensors);
    free(path);
    return status;
}

// The tensor of that name, of the part's shape.
static enum loam_status find_stored(const struct loam_stored_tensor **stored,
                                    const struct loam_safetensors *file, const char *path, const char *name,
                                    const struct loam_tensor *wanted, struct loam_error *error)
{
    *stored = loam_safetensors_find(file, name);
    bool same = *stored != NULL && (*stored)->dtype == LOAM_F32 && (*stored)->rank == wanted->rank;
    for (int i = 0; same && i < wanted->rank; i++)
        same = (*stored)->shape[i] == wanted->shape[i];
    if (same) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s has no tensor \"%s\" of this run's shape", path, name);
}

static enum loam_status read_part(struct loam_optimiser *optimiser, const struct loam_safetensors *file,
                                  const char *path, size_t index, struct loam_error *error)
{
    const struct loam_trainable *item = &optimiser->set->items[index / PARTS];
    const struct loam_tensor *target = part_of(item, index % PARTS);
    const struct loam_stored_tensor *stored;
    char *name = part_name(item, index % PARTS, error);
    if (name == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = find_stored(&stored, file, path, name, target, error);
    free(name);
    if (status != LOAM_OK) return status;
    loam_upload(&optimiser->stream, target->data, stored->data, stored->bytes);
    if (target == &item->value && item->mirror.data != NULL)
        loam_upload_as(&optimiser->stream, item->mirror.data, item->mirror.dtype, stored->data, LOAM_F32,
                       (size_t)loam_tensor_count(target));
    return loam_stream_finish(&optimiser->stream, error);
}

// With `values_alone` the optimiser's state stays as it is.
static enum loam_status read_tensors(struct loam_optimiser *optimiser, const char *directory,
                                     bool values_alone, struct loam_error *error)
{
    struct loam_safetensors *file = NULL;
    char *path = loam_path_join(directory, LOAM_CHECKPOINT_TENSORS, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = loam_safetensors_open_file(&file, path, error);
    for (size_t i = 0; status == LOAM_OK && i < PARTS * optimiser->set->count; i++)
        if (!values_alone || i % PARTS == 0) status = read_part(optimiser, file, path, i, error);
    loam_safetensors_destroy(file);
    free(path);
    return status;
}

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

static json_t *event_file(const struct loam_tensorboard *board)
{
    if (!loam_tensorboard_is_open(board)) return json_null();
    return json_pack("{s:s, s:I}", "name", name_of(board->journal.path), "bytes",
                     (json_int_t)loam_journal_size(&board->journal));
}

static enum loam_status write_state(const struct loam_checkpoints *checkpoints, const struct loam_loop *loop,
                                    const char *directory, struct loam_error *error)
{
    const struct loam_train_job *job = checkpoints->job;
    json_t *root =
        json_pack("{s:i, s:s, s:o, s:f, s:I, s:i, s:b, s:o, s:O}", "version", LOAM_CHECKPOINT_VERSION, "loam",
                  LOAM_VERSION, "state", loam_checkpoint_state_format(loop), "epoch",
                  loam_order_epoch_after(loop->order, loop->step - 1), "optimiser_step",
                  (json_int_t)job->optimiser.step, "threads", job->session.device->threads, "diverged",
                  loop->diverged, "event_file", event_file(loop->board), "options", checkpoints->options);
    return write_json(directory, root, error);
}

// ---- finding one ----

static enum loam_status compare_options(struct loam_checkpoints *checkpoints, const json_t *root,
                                        const char *directory, struct loam_error *error)
{
    const struct loam_train_job *job = checkpoints->job;
    int64_t threads = job->session.device->threads;
    LOAM_TRY(loam_recorded_compare(json_object_get(root, "options"), checkpoints->options, directory,
                                   job->settings->allow_change, job->log, error));
    LOAM_TRY(loam_json_get_int(root, directory, "threads", &threads, error));
    if (threads != job->session.device->threads)
        loam_log_write(job->log, LOAM_LOG_INFO,
                       "%s was made with %lld threads: with %d the last digits may come out otherwise",
                       directory, (long long)threads, job->session.device->threads);
    return LOAM_OK;
}

// Takes it when it is whole; LOAM_ERROR_FORMAT and LOAM_ERROR_IO: it is not.
static enum loam_status try_checkpoint(struct loam_checkpoints *checkpoints, const char *directory,
                                       bool *whole, struct loam_error *error)
{
    json_t *root;
    *whole = false;
    LOAM_TRY(loam_checkpoint_verify(directory, error));
    LOAM_TRY(loam_checkpoint_state_load(&root, directory, error));
    *whole = true;
    enum loam_status status = compare_options(checkpoints, root, directory, error);
    json_decref(root);
    if (status == LOAM_OK && (checkpoints->from = loam_strdup(directory, error)) == NULL)
        status = LOAM_ERROR_MEMORY;
    return status;
}

// The newest one that is whole.
static enum loam_status find_newest(struct loam_checkpoints *checkpoints, const int64_t *steps, size_t count,
                                    struct loam_error *error)
{
    const char *out = checkpoints->output->directory;
    for (size_t i = 0; i < count && checkpoints->from == NULL; i++) {
        bool whole;
        char *directory = loam_checkpoint_path(out, steps[i], error);
        if (directory == NULL) return LOAM_ERROR_MEMORY;
        enum loam_status status = try_checkpoint(checkpoints, directory, &whole, error);
        free(directory);
        if (status == LOAM_OK) continue;
        if (whole || status == LOAM_ERROR_MEMORY) return status;
        loam_log_write(checkpoints->job->log, LOAM_LOG_WARNING, "%s; falling back to the checkpoint before",
                       error->message);
    }
    return LOAM_OK;
}

static enum loam_status find_in_output(struct loam_checkpoints *checkpoints, struct loam_error *error)
{
    int64_t *steps;
    size_t count;
    const char *out = checkpoints->output->directory;
    LOAM_TRY(loam_checkpoint_list(out, &steps, &count, error));
    enum loam_status status = find_newest(checkpoints, steps, count, error);
    free(steps);
    if (status == LOAM_OK && checkpoints->from == NULL)
        loam_log_write(checkpoints->job->log, LOAM_LOG_WARNING,
                       "there is no %scheckpoint to resume from in %s: the run starts anew",
                       count > 0 ? "whole " : "", out);
    return status;
}

static enum loam_status find(struct loam_checkpoints *checkpoints, struct loam_error *error)
{
    const char *resume = checkpoints->job->settings->resume;
    bool whole;
    LOAM_TRY(loam_recorded_options(&checkpoints->options, checkpoints->job, error));
    if (!loam_train_resumes(checkpoints->job->settings)) return LOAM_OK;
    if (loam_train_resumes_from_output(checkpoints->job->settings)) return find_in_output(checkpoints, error);
    return try_checkpoint(checkpoints, resume, &whole, error);
}

enum loam_status loam_checkpoints_open(struct loam_checkpoints *checkpoints, struct loam_train_job *job,
                                       struct loam_output *output, struct loam_error *error)
{
    *checkpoints = (struct loam_checkpoints){.job = job, .output = output};
    enum loam_status status = find(checkpoints, error);
    if (status != LOAM_OK) loam_checkpoints_close(checkpoints);
    return status;
}

void loam_checkpoints_close(struct loam_checkpoints *checkpoints)
{
    json_decref(checkpoints->options);
    free(checkpoints->from);
    *checkpoints = (struct loam_checkpoints){0};
}

// ---- going on ----

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

static enum loam_status apply(const struct loam_checkpoints *checkpoints, const json_t *root,
                              struct loam_loop *loop, const char *board_directory, struct loam_error *error)
{
    const struct loam_log *log = checkpoints->job->log;
    struct loam_optimiser *optimiser = &checkpoints->job->optimiser;
    int64_t total = loop->total_steps;
    LOAM_TRY(loam_checkpoint_state_parse(loop, json_object_get(root, "state"), checkpoints->from, error));
    LOAM_TRY(loam_json_get_int(root, checkpoints->from, "optimiser_step", &optimiser->step, error));
    if (optimiser->step < 0 || optimiser->step > loop->step)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: step %lld with %lld of the optimiser cannot be",
                         checkpoints->from, (long long)loop->step, (long long)optimiser->step);
    LOAM_TRY(read_tensors(optimiser, checkpoints->from, false, error));
    loam_log_write(log, LOAM_LOG_INFO, "going on from %s at step %lld of %lld", checkpoints->from,
                   (long long)loop->step, (long long)total);
    if (loop->total_steps != total)
        loam_log_write(log, LOAM_LOG_WARNING,
                       "the run was to have %lld steps and is to have %lld: from here on the learning rate "
                       "follows the schedule of the new number",
                       (long long)loop->total_steps, (long long)total);
    loop->total_steps = total;
    loop->saved = loop->step;
    loop->diverged = json_is_true(json_object_get(root, "diverged")); // not there in earlier ones
    LOAM_TRY(resume_metrics(checkpoints, loop, error));
    return resume_board(loop, root, checkpoints->from, board_directory, error);
}

// ---- which ones stay ----

static bool is_kept(const struct loam_loop *loop, int64_t step, size_t newer)
{
    const struct loam_train_settings *settings = loop->settings;
    if (step > loop->step) return false;            // of another past
    if (loop->saved < 0) return step == loop->step; // the first one of a run that began anew
    if (loop->diverged) return true;                // those before may be worth more than the last one
    if (settings->load_best_at_end && step == loop->best_step) return true;
    return settings->save_total_limit <= 0 || (int64_t)newer < settings->save_total_limit;
}

static enum loam_status rotate(const struct loam_checkpoints *checkpoints, const struct loam_loop *loop,
                               struct loam_error *error)
{
    const char *out = checkpoints->output->directory;
    int64_t *steps;
    size_t count, newer = 0;
    LOAM_TRY(loam_checkpoint_list(out, &steps, &count, error));
    enum loam_status status = LOAM_OK;
    for (size_t i = 0; i < count && status == LOAM_OK; i++) {
        if (!is_kept(loop, steps[i], newer))
            status = loam_checkpoint_remove(out, steps[i], error);
        else
            newer++;
    }
    free(steps);
    return status;
}

// A run that was killed between writing a checkpoint and removing the oldest has left one too many. Where the
// newest is not the one to go on from, nothing is removed before there is something in its place.
static enum loam_status tidy(const struct loam_checkpoints *checkpoints, const struct loam_loop *loop,
                             struct loam_error *error)
{
    int64_t newest;
    LOAM_TRY(loam_checkpoint_newest(checkpoints->output->directory, &newest, error));
    return newest == loop->step ? rotate(checkpoints, loop, error) : LOAM_OK;
}

enum loam_status loam_checkpoints_resume(const struct loam_checkpoints *checkpoints, struct loam_loop *loop,
                                         const char *board_directory, struct loam_error *error)
{
    json_t *root;
    LOAM_TRY(loam_checkpoint_state_load(&root, checkpoints->from, error));
    enum loam_status status = apply(checkpoints, root, loop, board_directory, error);
    json_decref(root);
    return status == LOAM_OK ? tidy(checkpoints, loop, error) : status;
}

enum loam_status loam_checkpoints_load_values(const struct loam_checkpoints *checkpoints, int64_t step,
                                              struct loam_error *error)
{
    char *directory = loam_checkpoint_path(checkpoints->output->directory, step, error);
    if (directory == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = loam_checkpoint_verify(directory, error);
    if (status == LOAM_OK) status = read_tensors(&checkpoints->job->optimiser, directory, true, error);
    free(directory);
    return status;
}

// ---- saving ----

// What can be used by itself: the adapter, or the model.
static enum loam_status write_result(const struct loam_checkpoints *checkpoints, const char *directory,
                                     struct loam_error *error)
{
    const struct loam_train_job *job = checkpoints->job;
    const struct loam_train_settings *settings = job->settings;
    LOAM_TRY(loam_model_copy_files(settings->model, directory, settings->full, error));
    if (job->adapter != NULL)
        return loam_adapter_save(job->adapter, loam_train_model_name(settings), settings->model_revision,
                                 directory, error);
    return loam_model_save(job->session.model, job->session.dtype, directory, error);
}

static enum loam_status write_metrics(const struct loam_metrics *metrics, const char *directory,
                                      struct loam_error *error)
{
    char *path = loam_path_join(directory, LOAM_CHECKPOINT_METRICS, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    const struct loam_journal *journal = &metrics->journal;
    enum loam_status status = loam_journal_size(journal) == 0
                                  ? loam_atomic_write_file(path, NULL, 0, error)
                                  : loam_atomic_copy_file(journal->path, path, error);
    free(path);
    return status;
}

static enum loam_status write_all(const struct loam_checkpoints *checkpoints, const struct loam_loop *loop,
                                  const char *directory, struct loam_error *error)
{
    LOAM_TRY(write_result(checkpoints, directory, error));
    LOAM_TRY(write_tensors(&checkpoints->job->optimiser, directory, error));
    LOAM_TRY(write_metrics(loop->metrics, directory, error));
    LOAM_TRY(write_state(checkpoints, loop, directory, error));
    return loam_checkpoint_seal(directory, error);
}

static enum loam_status publish(const struct loam_checkpoints *checkpoints, const struct loam_loop *loop,
                                const char *directory, struct loam_error *error)
{
    const char *out = checkpoints->output->directory;
    char *path = loam_checkpoint_path(out, loop->step, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = LOAM_OK;
    // One that is there is damaged, or of another past.
    if (loam_checkpoint_is_ours(out, loop->step)) status = loam_checkpoint_remove(out, loop->step, error);
    if (status == LOAM_OK) status = loam_directory_publish(out, directory, path, error);
    free(path);
    return status;
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
    return rotate(checkpoints, loop, error);
}
