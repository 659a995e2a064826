// Fine-tuning: the loop over packed batches, and what it needs to know.
#ifndef LOAM_RUN_SETTINGS_H
#define LOAM_RUN_SETTINGS_H

#include <string.h>

#include "base/bytes.h"
#include "data/dataset.h"
#include "generate/generate.h"
#include "lora/lora.h"
#include "train/schedule.h"

enum loam_on_nonfinite { LOAM_NONFINITE_STOP, LOAM_NONFINITE_SKIP };

// What evaluations are compared by: the lower loss, or the higher exact match of generated answers.
enum loam_best_metric { LOAM_BEST_EVAL_LOSS, LOAM_BEST_EXACT_MATCH };

// What the run chose where its settings leave it open.
struct loam_train_resolved {
    int32_t max_length;
    int32_t token_budget;
    int threads;
    enum loam_dtype dtype; // LOAM_DTYPE_NONE: matrices differ, and no --dtype gives that
    const char *targets;   // of a new adapter; NULL: there is none
};

// Names and defaults are those of Hugging Face's TrainingArguments, where it has them. The defaults stand in
// options/option_table.c.
struct loam_train_settings {
    const char *model;          // directory
    const char *model_name;     // what others call it: its name on the hub; NULL: the directory's
    const char *model_revision; // of model_name; NULL: the newest
    const char *data;           // file
    const char *eval_data;      // file or NULL
    const char *out;            // directory
    const char *adapter;        // directory of an adapter to go on from, or NULL
    bool overwrite;
    const char *device;    // "ref", "cpu"
    int threads;           // 0: all cores
    enum loam_dtype dtype; // LOAM_DTYPE_NONE: bf16 where the device has it, else f32
    bool full;             // --method full
    struct loam_lora_settings lora;
    const char *prompt_template; // name, file or NULL
    enum loam_loss_on loss_on;
    enum loam_too_long too_long;
    int64_t max_length; // 0: the smaller of 1,024 and the model's
    bool skip_bad;
    bool shuffle;
    double learning_rate;
    double weight_decay;
    double adam_beta1;
    double adam_beta2;
    double adam_epsilon;
    double max_grad_norm; // 0: no clipping
    enum loam_schedule_kind schedule;
    int64_t warmup_steps; // of any schedule but LOAM_SCHEDULE_CONSTANT
    double warmup_ratio;  // used when warmup_steps is 0
    double epochs;
    int64_t max_steps; // 0 or less: by epochs
    int64_t batch_size;
    int64_t accumulation;
    int64_t token_budget; // of a micro-batch; 0: loam chooses
    enum loam_checkpointing checkpointing;
    int64_t memory_limit;                // bytes; 0: what the machine has; INT64_MAX: none
    enum loam_on_nonfinite on_nonfinite; // a loss or gradient that is not finite
    int64_t save_steps;       // a checkpoint every so many steps and at the end; 0: when stopped alone
    int64_t save_total_limit; // keep so many checkpoints; 0: all
    int64_t save_wait;        // seconds to try again a result that cannot be saved; -1: until told to stop
    const char *resume;       // "auto": from the newest checkpoint in `out`; a checkpoint's directory; NULL
    bool allow_change;        // go on though options differ from the checkpoint's
    int64_t early_stopping_patience;   // evaluations no better than the best, after which it ends; 0: never
    bool load_best_at_end;             // the result is that of the best evaluation
    enum loam_best_metric best_metric; // the best by this; each evaluation has it
    int64_t max_new_tokens;            // of a generated answer; 0: 64
    int64_t logging_steps;
    int64_t eval_steps;      // 0: at the end of the run only
    bool tensorboard;        // --report-to tensorboard: event files for TensorBoard
    const char *logging_dir; // where; NULL: OUT/runs. Given, it asks for them by itself
    uint64_t seed;
    // Appends the run as text, saved as OUT/run.yaml; NULL: none.
    enum loam_status (*record)(void *user, const struct loam_train_resolved *resolved,
                               struct loam_bytes *text, struct loam_error *error);
    void *record_user;
};

// What the adapter's records call the model.
static inline const char *loam_train_model_name(const struct loam_train_settings *settings)
{
    return settings->model_name != NULL ? settings->model_name : settings->model;
}

// What a person calls it on the command line: with "@" and its revision. Released with free().
char *loam_train_model_argument(const struct loam_train_settings *settings, struct loam_error *error);

// --resume as a switch is "true", and "false" when it was turned off.
static inline bool loam_train_resumes(const struct loam_train_settings *settings)
{
    return settings->resume != NULL && strcmp(settings->resume, "false") != 0;
}
static inline bool loam_train_resumes_from_output(const struct loam_train_settings *settings)
{
    return loam_train_resumes(settings) &&
           (strcmp(settings->resume, "auto") == 0 || strcmp(settings->resume, "true") == 0);
}

// Runs it all: loads, trains, evaluates, saves. Reports through the callbacks and OUT/metrics.jsonl.
enum loam_status loam_train_run(const struct loam_train_settings *settings,
                                const struct loam_callbacks *callbacks, struct loam_error *error);

#endif
