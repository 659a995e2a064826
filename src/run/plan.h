// The memory plan of a training run: the set-up of the run itself, on a device that only counts bytes.
#ifndef LOAM_RUN_PLAN_H
#define LOAM_RUN_PLAN_H

#include "run/job.h"

struct loam_plan {
    // Bytes.
    size_t weights_mapped;    // used where they lie in the checkpoint's files
    size_t weights_converted; // in another dtype than the files', or to be trained
    size_t trained;           // LoRA matrices, or f32 masters of bf16 weights
    size_t gradients;
    size_t optimiser;             // both moments
    size_t activations;           // of the largest micro-batch
    size_t scratch;               // of the ops and the matrix library
    size_t process;               // program, libraries, tokenizer, examples
    size_t peak;                  // all of them
    struct loam_free_memory free; // of the run's device
    // The settings of the plan.
    enum loam_dtype dtype;
    enum loam_checkpointing checkpointing;
    bool full;
    int32_t max_length;
    int32_t token_budget; // of a micro-batch
};

// Measures what the process of the run has in memory before its weights, and what reading the longest example
// takes: opens the tokenizer and, where settings->data is not NULL, the examples, and sets `*examples` to
// their number (else 0). Without a tokenizer.json its size is estimated from the vocabulary.
enum loam_status loam_plan_process(const struct loam_train_settings *settings, size_t *process,
                                   size_t *examples, struct loam_error *error);

// Plans the run that `settings` describe. Weights are not read, nor is the data: `process` is what the
// process has in memory once tokenizer and examples are open, and `examples` how many there are (0: a batch
// full).
enum loam_status loam_plan_make(struct loam_plan *plan, const struct loam_train_settings *settings,
                                size_t process, size_t examples, struct loam_error *error);

// The cheapest change that brings the run below `limit`, found by planning: smaller micro-batches, which cost
// almost nothing, then checkpointing, then bf16, then shorter examples, then LoRA.
struct loam_plan_advice {
    bool found;
    char options[160];     // "--gradient-checkpointing mlp --token-budget 1024"
    struct loam_plan plan; // with these options; if not found, the smallest plan
};
enum loam_status loam_plan_advise(struct loam_plan_advice *advice, const struct loam_train_settings *settings,
                                  size_t process, size_t examples, size_t limit, struct loam_error *error);

// The limit of a run: --memory-limit, or else what its device has for this process.
struct loam_plan_limit {
    size_t bytes;    // SIZE_MAX: no limit
    const char *by;  // "--memory-limit", "this machine", "its control group"
    size_t resident; // what the process has now
};
struct loam_plan_limit loam_plan_limit(const struct loam_train_settings *settings,
                                       const struct loam_plan *plan);

// Plans the run whose job is open, logs the plan, and refuses a run beyond the limit.
enum loam_status loam_plan_check(const struct loam_train_job *job, struct loam_error *error);

#endif
