// The memory that a training run will take. The plan opens the run's own job on a device that counts memory
// without allocating it.
#ifndef LOAM_RUN_PLAN_H
#define LOAM_RUN_PLAN_H

#include "run/job.h"

// A device that computes in the host's memory has one place for all parts. Otherwise the process and the layers that were
// offloaded are in the host's memory, and the other parts in the device's.
struct loam_plan {
    // Bytes.
    size_t weights_mapped;    // weights used in place, in the mapped files
    size_t weights_converted; // weights in another dtype than the files', or trained
    size_t trained;           // LoRA matrices, or f32 masters of bf16 weights
    size_t gradients;
    size_t optimiser;             // both moments
    size_t activations;           // of the largest micro-batch
    size_t scratch;               // of the ops and the matrix library
    size_t process;               // program, libraries, tokenizer, examples
    size_t peak;                  // sum of the parts above that are in the host's memory
    struct loam_free_memory free; // of the run's device
    bool has_device;              // it has memory of its own
    size_t device_peak;           // sum of the parts in it
    size_t weights_offloaded;     // weights of layers in the host's memory
    size_t ring;                  // of weights_converted: where offloaded layers are copied to
    int64_t offloaded;            // layers
    int64_t layers;               // of the model
    // The settings of the plan.
    enum loam_dtype dtype;
    enum loam_checkpointing checkpointing;
    bool full;
    int32_t max_length;
    int32_t token_budget; // of a micro-batch
};

// Measures the resident memory of the process before the weights are loaded, plus what reading the longest
// example takes. Opens the tokenizer and the examples. `*examples` is the number of examples; 0 if
// settings->data is empty. Without a tokenizer.json, its size is estimated from the vocabulary.
enum loam_status loam_plan_process(const struct loam_train_settings *settings, size_t *process,
                                   size_t *examples, struct loam_error *error);

// Plans the run of `settings`, without reading weights or data. `process` is the memory of the process after
// tokenizer and examples are open. `examples` is the number of examples (0: one batch).
enum loam_status loam_plan_make(struct loam_plan *plan, const struct loam_train_settings *settings,
                                size_t process, size_t examples, struct loam_error *error);

// Adds the ops of a full micro-batch of `settings` to `trace`: sequences of the longest length, all tokens learnt. The update
// is not part of it. Reads no weights and no data.
enum loam_status loam_plan_count(struct loam_trace *trace, const struct loam_train_settings *settings,
                                 size_t examples, struct loam_error *error);

// The memory that a run may take: --memory-limit, or else the free memory of the host; the same for a device with memory of
// its own.
struct loam_plan_limit {
    size_t bytes;    // SIZE_MAX: no limit
    const char *by;  // what sets the limit: "--memory-limit", "this machine", "its control group"
    size_t resident; // bytes that the process has now
    // A plan without has_device has no such limit.
    size_t device_bytes;
    const char *device_by; // "--device-memory-limit", "this GPU"
};
struct loam_plan_limit loam_plan_limit(const struct loam_train_settings *settings,
                                       const struct loam_plan *plan);
bool loam_plan_fits(const struct loam_plan *plan, const struct loam_plan_limit *limit);

// The cheapest change of options that brings the run below `limit`. Tried in this order: offloading, smaller
// micro-batches, gradient checkpointing, bf16, shorter examples, LoRA.
struct loam_plan_advice {
    bool found;
    char options[160];     // "--gradient-checkpointing mlp --token-budget 1024"
    struct loam_plan plan; // the plan with `options`; if none fits, the smallest plan
};
enum loam_status loam_plan_advise(struct loam_plan_advice *advice, const struct loam_train_settings *settings,
                                  size_t process, size_t examples, const struct loam_plan_limit *limit,
                                  struct loam_error *error);

// Plans the run of the open job, chooses the layers that are offloaded, logs the plan, and fails if the run is beyond the
// limit. A run that is beyond it
// only by generating several answers at once is made to generate one at a time.
enum loam_status loam_plan_check(struct loam_train_job *job, struct loam_error *error);

#endif
