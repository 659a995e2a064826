// A training job: model, adapter, examples and trainer, opened, checked and given memory in the order of
// `loam train`. `loam bench step` measures the steps of the same job.
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
    bool planning; // set before it is opened: takes no memory and reads only the headers of the weights
    struct loam_session session;
    struct loam_dataset *dataset;
    struct loam_dataset *eval_dataset; // NULL: none
    struct loam_trainables trainables;
    struct loam_adapter *adapter; // NULL: --method full
    struct loam_trainer trainer;
    struct loam_answerer *answerer; // NULL: evaluations compute the loss alone
    struct loam_order order;
    struct loam_step_buffers buffers;
};

// Checks all that can be checked without the weights. Without settings->data no text is opened, and the
// caller sets `order` before loading the weights. The caller zeroes `job` before, and closes it after success
// and failure.
enum loam_status loam_train_job_open(struct loam_train_job *job, const struct loam_train_settings *settings,
                                     const struct loam_callbacks *callbacks, struct loam_error *error);
// Bytes that reading a record takes temporarily, beyond what its data set keeps.
size_t loam_train_job_reading_bytes(const struct loam_train_job *job);
// Loads the weights, and takes the memory that a step needs.
enum loam_status loam_train_job_load(struct loam_train_job *job, struct loam_error *error);
// For --method full: writes model.safetensors in the dtype of computation, and sets dtype and head in the
// copy of the base's config.json in `directory`.
enum loam_status loam_train_job_save_model(const struct loam_train_job *job, const char *directory,
                                           struct loam_error *error);
// After the last step: releases the memory of activations, since writing takes memory.
void loam_train_job_release_passes(struct loam_train_job *job);
void loam_train_job_close(struct loam_train_job *job);

#endif
