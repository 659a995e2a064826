// What a training step works with: model, adapter, examples and trainer, opened, checked and given their
// memory in the order of `loam train`. `loam bench step` measures the steps of the same job.
#ifndef LOAM_RUN_JOB_H
#define LOAM_RUN_JOB_H

#include "evaluate/answers.h"
#include "run/order.h"
#include "run/settings.h"
#include "session/session.h"
#include "train/step.h"

struct loam_train_job {
    const struct loam_train_settings *settings;
    const struct loam_callbacks *callbacks; // may be NULL
    const struct loam_log *log;             // of the callbacks
    bool planning; // set before it is opened: nothing is taken or read but the headers of the weights
    struct loam_session session;
    struct loam_dataset *dataset;
    struct loam_dataset *eval_dataset; // NULL: none
    struct loam_trainables trainables;
    struct loam_adapter *adapter; // NULL: --method full
    struct loam_trainer trainer;
    struct loam_answerer *answerer; // NULL: evaluations are of the loss alone
    struct loam_order order;
    struct loam_step_buffers buffers;
};

// Checks all that can be checked without the weights. Without settings->data there is no text at all, and the
// caller sets `order` before the weights are loaded. `job` must be zeroed, and closed after success and
// failure.
enum loam_status loam_train_job_open(struct loam_train_job *job, const struct loam_train_settings *settings,
                                     const struct loam_callbacks *callbacks, struct loam_error *error);
// Bytes that reading one record takes temporarily, beyond what its data set keeps.
size_t loam_train_job_reading_bytes(const struct loam_train_job *job);
// Loads the weights and takes the memory for everything that a step needs.
enum loam_status loam_train_job_load(struct loam_train_job *job, struct loam_error *error);
// --method full: model.safetensors in the dtype that is computed in, and its dtype and head in the copy of
// the base's config.json in `directory`.
enum loam_status loam_train_job_save_model(const struct loam_train_job *job, const char *directory,
                                           struct loam_error *error);
// After the last step: gives back the memory of activations, before writing takes some.
void loam_train_job_release_passes(struct loam_train_job *job);
void loam_train_job_close(struct loam_train_job *job);

#endif
