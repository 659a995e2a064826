// Finding the checkpoint that a run resumes, and checking that the run may resume it.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/decimal.h"
#include "base/heap.h"
#include "base/json.h"
#include "base/log.h"
#include "run/checkpoint.h"
#include "run/checkpoint_files.h"
#include "run/checkpoint_state.h"
#include "run/recorded.h"

// Makes a random id. It identifies the checkpoints of this run and of the runs that resume it.
static enum loam_status make_run_id(char id[LOAM_RUN_ID_SIZE], struct loam_error *error)
{
    unsigned char bytes[(LOAM_RUN_ID_SIZE - 1) / 2];
    if (getentropy(bytes, sizeof bytes) != 0)
        return loam_fail(error, LOAM_ERROR_IO, "the system gives no random bytes for the id of the run: %s",
                         strerror(errno));
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(id + 2 * i, 3, "%02x", bytes[i]);
    return LOAM_OK;
}

static const char *sum_of(const json_t *recorded)
{
    const char *sum = json_string_value(json_object_get(recorded, "sha256"));
    return sum != NULL ? sum : "";
}

// Compares the digest of the model's files with the checkpoint's. If name, size, inode and times are those in
// the checkpoint, the files are not read. If the recorded options already show another model, nothing is
// compared here.
static enum loam_status compare_base(struct loam_checkpoints *checkpoints, const json_t *root,
                                     const char *directory, struct loam_bytes *changes,
                                     struct loam_error *error)
{
    struct loam_base_digest *base = &checkpoints->base;
    char size[LOAM_MEMORY_SIZE];
    const struct loam_train_job *job = checkpoints->job;
    const json_t *recorded = json_object_get(root, "base");
    const char *sum = sum_of(recorded), *identity = json_string_value(json_object_get(recorded, "files"));
    const json_t *before = json_object_get(json_object_get(root, "options"), "model");
    if (strcmp(sum_of(before), sum_of(json_object_get(checkpoints->options, "model"))) != 0) return LOAM_OK;
    if (sum[0] == '\0') {
        loam_log_write(
            job->log, LOAM_LOG_WARNING,
            "%s has no SHA-256 of the whole model: it is compared by the beginnings of its tensors",
            directory);
        return LOAM_OK;
    }
    if (identity != NULL && strcmp(identity, base->identity.data) == 0) {
        loam_base_digest_adopt(base, sum);
        return LOAM_OK;
    }
    loam_log_write(job->log, LOAM_LOG_INFO, "%s: comparing %s with what %s was made from",
                   job->settings->model, loam_memory_format((size_t)base->size, size), directory);
    LOAM_TRY(loam_base_digest_finish(base, error));
    if (strcmp(base->sum, sum) == 0) return LOAM_OK;
    return loam_bytes_format(changes, error, "--model %s has other contents now",
                             loam_train_model_name(job->settings));
}

// A run may go on with another device or number of threads.
static void log_other_device(const struct loam_train_job *job, const json_t *root, const char *directory,
                             int64_t threads)
{
    const struct loam_device *device = job->session.device;
    const char *before = json_string_value(json_object_get(json_object_get(root, "options"), "device"));
    if (before != NULL && strcmp(before, device->name) != 0)
        loam_log_write(job->log, LOAM_LOG_INFO,
                       "%s was made on device %s: on %s the last digits may come out otherwise", directory,
                       before, device->name);
    else if (threads != device->threads)
        loam_log_write(job->log, LOAM_LOG_INFO,
                       "%s was made with %lld threads: with %d the last digits may come out otherwise",
                       directory, (long long)threads, device->threads);
}

static enum loam_status compare_options(struct loam_checkpoints *checkpoints, const json_t *root,
                                        const char *directory, struct loam_bytes *changes,
                                        struct loam_error *error)
{
    const struct loam_train_job *job = checkpoints->job;
    int64_t threads = job->session.device->threads;
    LOAM_TRY(compare_base(checkpoints, root, directory, changes, error));
    LOAM_TRY(loam_recorded_compare(json_object_get(root, "options"), checkpoints->options, directory,
                                   job->settings->allow_change, job->log, changes, error));
    LOAM_TRY(loam_json_get_int(root, directory, "threads", &threads, error));
    if (threads < 1)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s/%s: \"threads\" is %lld, which cannot be; resume from another checkpoint",
                         directory, LOAM_CHECKPOINT_STATE, (long long)threads);
    log_other_device(job, root, directory, threads);
    return LOAM_OK;
}

// Verifies the checkpoint and loads its state. A checkpoint of a newer loam may have other files, so its
// version is checked before it counts as damaged.
static enum loam_status load_verified(json_t **root, const char *directory, struct loam_error *error)
{
    enum loam_status status = loam_checkpoint_verify(directory, error);
    if (status == LOAM_OK) return loam_checkpoint_state_load(root, directory, error);
    struct loam_error other = {0};
    if (status == LOAM_ERROR_FORMAT &&
        loam_checkpoint_state_load(root, directory, &other) == LOAM_ERROR_UNSUPPORTED) {
        *error = other;
        return other.status;
    }
    json_decref(*root);
    *root = NULL;
    return status;
}

// Fails if no step is left to train. A run that has done all of its steps may be resumed without changes, to
// write its result again.
static enum loam_status check_steps_left(const struct loam_checkpoints *checkpoints, const char *directory,
                                         bool changed, struct loam_error *error)
{
    int64_t step = checkpoints->from_step, total = checkpoints->total_steps;
    if (step < total || (step == total && !changed)) return LOAM_OK;
    const bool full = checkpoints->job->settings->full;
    return loam_fail(
        error, LOAM_ERROR_ARGUMENT,
        "%s has %lld steps and this run is to have %lld: nothing is left to train, and nothing was "
        "changed; give more steps, or start a new run from what was learnt with --%s %s",
        directory, (long long)step, (long long)total, full ? "model" : "adapter", directory);
}

// Replaces control characters other than the newline, and the line breaks of YAML (U+0085, U+2028, U+2029),
// by "?": a path in the text may hold them.
static void replace_line_breaks(char *text)
{
    for (char *at = text; *at != '\0'; at++) {
        bool control = ((unsigned char)*at < 0x20 && *at != '\n') || *at == 0x7f;
        bool separator = strncmp(at, "\xe2\x80\xa8", 3) == 0 || strncmp(at, "\xe2\x80\xa9", 3) == 0;
        if (separator) memset(at, '?', 3);
        if (strncmp(at, "\xc2\x85", 2) == 0) memset(at, '?', 2);
        if (control) *at = '?';
    }
}

// Appends the changes of this resume to those of earlier ones. Every later checkpoint records them.
static enum loam_status note_changes(struct loam_checkpoints *checkpoints, const json_t *root,
                                     const char *changes, struct loam_error *error)
{
    struct loam_bytes *text = &checkpoints->changes;
    const char *before = json_string_value(json_object_get(root, "changes"));
    long long step = checkpoints->from_step, total = checkpoints->total_steps;
    long long planned = json_integer_value(json_object_get(json_object_get(root, "state"), "total_steps"));
    if (before != NULL) LOAM_TRY(loam_bytes_append_text(text, before, error));
    if (changes != NULL) LOAM_TRY(loam_bytes_format(text, error, "from step %lld on: %s\n", step, changes));
    if (planned != total)
        LOAM_TRY(loam_bytes_format(text, error, "from step %lld on: %lld steps in all, not %lld\n", step,
                                   total, planned));
    if (text->data != NULL) replace_line_breaks(text->data);
    return LOAM_OK;
}

static enum loam_status compare_and_take(struct loam_checkpoints *checkpoints, const char *directory,
                                         const json_t *root, struct loam_bytes *changes,
                                         struct loam_error *error)
{
    const char *run = json_string_value(json_object_get(root, "run")); // absent in older checkpoints
    LOAM_TRY(compare_options(checkpoints, root, directory, changes, error));
    if (run != NULL && strlen(run) == LOAM_RUN_ID_SIZE - 1) memcpy(checkpoints->run, run, LOAM_RUN_ID_SIZE);
    LOAM_TRY(
        loam_json_get_int(json_object_get(root, "state"), directory, "step", &checkpoints->from_step, error));
    LOAM_TRY(check_steps_left(checkpoints, directory, changes->size > 0, error));
    LOAM_TRY(note_changes(checkpoints, root, changes->data, error));
    checkpoints->from = loam_strdup(directory, error);
    return checkpoints->from == NULL ? LOAM_ERROR_MEMORY : LOAM_OK;
}

// Resumes the run from the state `root`.
static enum loam_status take_state(struct loam_checkpoints *checkpoints, const char *directory,
                                   const json_t *root, struct loam_error *error)
{
    struct loam_bytes changes = {0};
    enum loam_status status = compare_and_take(checkpoints, directory, root, &changes, error);
    loam_bytes_deinit(&changes);
    return status;
}

// Takes the checkpoint in `directory` to resume from. `*damaged` is set if the failure is LOAM_ERROR_FORMAT.
static enum loam_status try_checkpoint(struct loam_checkpoints *checkpoints, const char *directory,
                                       bool *damaged, struct loam_error *error)
{
    json_t *root = NULL;
    enum loam_status status = load_verified(&root, directory, error);
    *damaged = status == LOAM_ERROR_FORMAT;
    if (status == LOAM_OK) status = take_state(checkpoints, directory, root, error);
    json_decref(root);
    return status;
}

// Finds the newest undamaged checkpoint. A checkpoint that cannot be read is an error.
static enum loam_status find_newest(struct loam_checkpoints *checkpoints, const int64_t *steps, size_t count,
                                    struct loam_error *error)
{
    const char *out = checkpoints->output->directory;
    for (size_t i = 0; i < count && checkpoints->from == NULL; i++) {
        bool damaged;
        char *directory = loam_checkpoint_path(out, steps[i], error);
        if (directory == NULL) return LOAM_ERROR_MEMORY;
        enum loam_status status = try_checkpoint(checkpoints, directory, &damaged, error);
        status = loam_checkpoint_advise(status, directory, error);
        free(directory);
        if (status != LOAM_OK && !damaged) return status;
        if (damaged)
            loam_log_write(checkpoints->job->log, LOAM_LOG_WARNING, "%s; %s", error->message,
                           i + 1 < count ? "falling back to the checkpoint before"
                                         : "there is none before it");
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
    if (status != LOAM_OK || checkpoints->from != NULL) return status;
    if (count > 0 && !checkpoints->job->settings->overwrite)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "there is no whole checkpoint to resume from in %s: --overwrite starts anew and "
                         "replaces what is there",
                         out);
    loam_log_write(checkpoints->job->log, LOAM_LOG_WARNING,
                   "there is no %scheckpoint to resume from in %s: the run starts anew",
                   count > 0 ? "whole " : "", out);
    return LOAM_OK;
}

static enum loam_status find_checkpoint(struct loam_checkpoints *checkpoints, struct loam_error *error)
{
    const struct loam_train_settings *settings = checkpoints->job->settings;
    bool damaged;
    LOAM_TRY(make_run_id(checkpoints->run, error));
    LOAM_TRY(loam_recorded_options(&checkpoints->options, checkpoints->job, error));
    LOAM_TRY(loam_base_digest_open(&checkpoints->base, settings->model, !settings->full, error));
    if (loam_train_resumes_from_output(settings))
        LOAM_TRY(find_in_output(checkpoints, error));
    else if (loam_train_resumes(settings))
        LOAM_TRY(try_checkpoint(checkpoints, settings->resume, &damaged, error));
    struct loam_checkpoint_start start = {checkpoints->run, checkpoints->from_step, settings->overwrite};
    return loam_checkpoint_set_fill(&checkpoints->set, checkpoints->output->directory, &start, error);
}

enum loam_status loam_checkpoints_open(struct loam_checkpoints *checkpoints, struct loam_train_job *job,
                                       struct loam_output *output, int64_t total_steps,
                                       struct loam_error *error)
{
    *checkpoints =
        (struct loam_checkpoints){.job = job, .output = output, .total_steps = total_steps, .from_step = -1};
    enum loam_status status = find_checkpoint(checkpoints, error);
    if (status != LOAM_OK) loam_checkpoints_close(checkpoints);
    return status;
}

void loam_checkpoints_close(struct loam_checkpoints *checkpoints)
{
    loam_base_digest_close(&checkpoints->base);
    loam_checkpoint_set_deinit(&checkpoints->set);
    loam_bytes_deinit(&checkpoints->changes);
    json_decref(checkpoints->options);
    free(checkpoints->from);
    *checkpoints = (struct loam_checkpoints){0};
}

const char *loam_checkpoints_changes(const struct loam_checkpoints *checkpoints)
{
    return checkpoints->changes.data != NULL ? checkpoints->changes.data : "";
}

void loam_checkpoints_begin(struct loam_checkpoints *checkpoints)
{
    loam_base_digest_begin(&checkpoints->base);
}
