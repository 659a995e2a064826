// The job of a training run: model, adapter, examples and trainer, opened, checked and allocated in the order
// of `loam train`. `loam bench step` measures the steps of the same job.
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
    bool planning; // only count memory, and read only the headers of the weights; set before opening
    struct loam_session session;
    struct loam_dataset *dataset;
    struct loam_dataset *eval_dataset; // NULL: none
    struct loam_trainables trainables;
    struct loam_adapter *adapter; // NULL: --method full
    struct loam_trainer trainer;
    struct loam_answerer *answerer; // NULL: evaluations compute the loss alone
    int32_t answer_sequences;       // as in the settings, or fewer to fit the memory
    struct loam_order order;
    struct loam_step_buffers buffers;
    struct loam_step_buffers next; // for the step after, where the device queues; else of capacity 0
};

// Opens the job and checks everything that needs no weights. If settings->data is empty, the job has no
// tokenizer and no examples, and the caller sets `order` before loading. `job` is zeroed before the call. The
// caller closes it even after a failure.
enum loam_status loam_train_job_open(struct loam_train_job *job, const struct loam_train_settings *settings,
                                     const struct loam_callbacks *callbacks, struct loam_error *error);
// Returns the bytes that reading a record takes temporarily.
size_t loam_train_job_reading_bytes(const struct loam_train_job *job);
// Loads the weights, and allocates everything that a step needs.
enum loam_status loam_train_job_load(struct loam_train_job *job, struct loam_error *error);
// Writes the model of --method full to `directory`: model.safetensors in the dtype of the computation. The
// copy of the base's config.json there gets that dtype and whether the head is tied.
enum loam_status loam_train_job_save_model(const struct loam_train_job *job, const char *directory,
                                           struct loam_error *error);
// Whether the result needs a chat template of its own: conversations were rendered with another than the model's.
bool loam_train_job_has_other_chat(const struct loam_train_job *job);
// Writes that template to the directory, if the result needs it.
enum loam_status loam_train_job_save_chat(const struct loam_train_job *job, const char *directory,
                                          struct loam_error *error);
// Releases the memory of activations. Called after the last step, so that writing can use that memory.
void loam_train_job_release_passes(struct loam_train_job *job);
void loam_train_job_close(struct loam_train_job *job);

#endif
