// The settings of a training run, and the call that runs it.
#ifndef LOAM_RUN_SETTINGS_H
#define LOAM_RUN_SETTINGS_H

#include <string.h>

#include "base/bytes.h"
#include "data/dataset.h"
#include "data/preflight_level.h"
#include "generate/generate.h"
#include "lora/lora.h"
#include "session/session.h"
#include "train/schedule.h"

enum loam_on_nonfinite { LOAM_NONFINITE_STOP, LOAM_NONFINITE_SKIP };

// The metric that decides which evaluation is the best: the lower loss, the higher score of generated answers, or the
// higher accuracy of choices.
enum loam_best_metric {
    LOAM_BEST_EVAL_LOSS,
    LOAM_BEST_EXACT_MATCH,
    LOAM_BEST_F1,
    LOAM_BEST_ROUGE_L,
    LOAM_BEST_ACCURACY,
};

// The values that the run chose for settings that were left open.
struct loam_train_resolved {
    int32_t max_length;
    int32_t token_budget;
    int threads;
    const char *device;
    enum loam_dtype dtype; // LOAM_DTYPE_NONE: parameters have several dtypes
    const char *targets;   // target modules of a new adapter; NULL: no new adapter
};

// Names and defaults follow Hugging Face's TrainingArguments (the table of defaults is options/options.c).
struct loam_train_settings {
    const char *model;               // directory
    const char *model_name;          // name on the hub; NULL: the directory
    const char *model_revision;      // revision of model_name; NULL: the newest
    struct loam_text_list data;      // files, patterns and directories (data/source.h); none: see run/job.h
    struct loam_text_list eval_data; // the same; none: no evaluation
    struct loam_field_list map;      // fields of records that have other names, FIELD=KEY
    const char *out;                 // directory
    const char *adapter;             // directory of an adapter to train further, or NULL
    bool overwrite;
    const char *device;                // as loam_device_create takes it
    int threads;                       // 0: all cores
    struct loam_device *opened_device; // of the caller, used instead of `device`; NULL: the run opens it
    enum loam_dtype dtype;             // LOAM_DTYPE_NONE: the half that the device prefers, else f32
    bool full;                         // --method full
    struct loam_lora_settings lora;
    const char *prompt_template; // name, file or NULL
    const char *cut;             // field of the template that long texts are cut in; NULL: the longest
    const char *chat_template;   // name or file; NULL: the model's own
    bool content_may_be_special; // text of conversations may be special tokens
    enum loam_loss_on loss_on;
    enum loam_too_long too_long;
    int64_t max_length; // tokens; 0: the smaller of 1,024 and the model's limit
    bool skip_bad;
    bool shuffle;
    enum loam_preflight_level preflight;
    double learning_rate;
    double loraplus_lr_ratio;     // LoRA+: the learning rate of B by that of A; 0 or 1: the same
    double loraplus_lr_embedding; // LoRA+: the learning rate of an adapter of the embedding
    double weight_decay;
    double adam_beta1;
    double adam_beta2;
    double adam_epsilon;
    double max_grad_norm; // 0: no clipping
    enum loam_schedule_kind schedule;
    int64_t warmup_steps; // LOAM_SCHEDULE_CONSTANT ignores warm-up
    double warmup_ratio;  // used if warmup_steps is 0
    double epochs;
    int64_t max_steps; // 0 or less: as many as `epochs` has
    int64_t batch_size;
    int64_t accumulation;
    int64_t token_budget; // tokens of a micro-batch; 0: loam chooses
    enum loam_checkpointing checkpointing;
    // Bytes of the host; 0: its free memory; INT64_MAX: no limit. A device that computes in the host's memory has no other.
    int64_t memory_limit;
    int64_t device_memory_limit; // the same of a device with memory of its own
    int64_t offload; // layers that stay in the host's memory; LOAM_OFFLOAD_AUTO: as few as make the run fit
    enum loam_on_nonfinite on_nonfinite; // what to do after a loss or gradient that is not finite
    int64_t save_steps;                  // steps between checkpoints, with one at the end; 0: only if stopped
    int64_t save_total_limit;            // number of checkpoints to keep; 0: all
    int64_t save_wait;                   // seconds to retry saving the result; -1: until asked to stop
    const char *resume;              // "auto" (newest checkpoint in `out`), a checkpoint's directory, or NULL
    bool allow_change;               // resume even if options differ from the checkpoint's
    int64_t early_stopping_patience; // end after so many evaluations no better than the best; 0: never
    bool load_best_at_end;           // the result has the values of the best evaluation
    enum loam_best_metric best_metric; // each evaluation measures it
    int64_t max_new_tokens;            // tokens of a generated answer; 0: 64
    int32_t answer_sequences;          // answers that are generated at once, at most; 0: loam chooses
    int64_t logging_steps;
    int64_t eval_steps;      // 0: evaluate only at the end of the run
    bool tensorboard;        // --report-to tensorboard: write event files
    const char *logging_dir; // directory of event files; a name turns them on; NULL: OUT/runs
    uint64_t seed;
    // Appends the text of OUT/run.yaml; NULL: no such file.
    enum loam_status (*record)(void *user, const struct loam_train_resolved *resolved,
                               struct loam_bytes *text, struct loam_error *error);
    void *record_user;
};

// Returns the name of the model in the adapter's files.
static inline const char *loam_train_model_name(const struct loam_train_settings *settings)
{
    return settings->model_name != NULL ? settings->model_name : settings->model;
}

// Returns the model as an argument of the command line, NAME or NAME@REVISION. Released with free().
char *loam_train_model_argument(const struct loam_train_settings *settings, struct loam_error *error);

// Returns whether the run resumes. --resume without a value is "true"; "false" turns it off.
static inline bool loam_train_resumes(const struct loam_train_settings *settings)
{
    return settings->resume != NULL && strcmp(settings->resume, "false") != 0;
}
static inline bool loam_train_resumes_from_output(const struct loam_train_settings *settings)
{
    return loam_train_resumes(settings) &&
           (strcmp(settings->resume, "auto") == 0 || strcmp(settings->resume, "true") == 0);
}

// Loads, trains, evaluates and saves. Reports through the callbacks and OUT/metrics.jsonl.
enum loam_status loam_train_run(const struct loam_train_settings *settings,
                                const struct loam_callbacks *callbacks, struct loam_error *error);

#endif
