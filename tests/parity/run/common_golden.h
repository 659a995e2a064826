// The goldens of tests/parity/goldens: tiny checkpoints with what PyTorch, transformers and PEFT compute on
// them (make_goldens.py), and a loam run on one of them.
#ifndef LOAM_TEST_GOLDEN_H
#define LOAM_TEST_GOLDEN_H

#include "test.h"

#include "base/json.h"
#include "lora/lora.h"
#include "model/decoder.h"

#define GOLDEN_COUNT 64
extern const char *const golden_names[GOLDEN_COUNT];

// Goldens of make_module_goldens.py: an adapter each, without a full fine-tuning.
#define GOLDEN_MODULE_COUNT 15
extern const char *const golden_module_names[GOLDEN_MODULE_COUNT];

enum { GOLDEN_STEPS = 10, GOLDEN_SEQUENCES = 3 };

struct golden {
    const char *name;
    char directory[512];
    json_t *manifest;
    struct loam_container *batches;
    struct loam_container *expected;
};
// A golden that is not there fails the test.
void golden_open(struct golden *golden, const char *name);
void golden_close(struct golden *golden);
bool golden_has(const struct golden *golden, const char *adapter);

// What was expected under "run.name", f32.
const float *golden_expected(const struct golden *golden, const char *run, const char *name, int64_t count);
// How many tensors were expected under "run.grad.".
size_t golden_expected_gradients(const struct golden *golden, const char *run);

// Sequences [first, first + count) of the golden with the labels that it has. A batch is three in a row.
void golden_sequences(const struct golden *golden, int first, int count, struct loam_batch *batch);
// The same sequences, with `weight` of each token of the golden instead of its labels.
void golden_weighted(const struct golden *golden, int first, int count, float (*weight)(int32_t token),
                     struct loam_batch *batch);

// One model on one device, as training has it.
struct golden_run {
    struct loam_device *device;
    struct loam_model *model;
    struct loam_adapter *adapter; // NULL: none
    struct loam_trainables set;
    struct loam_decoder *decoder;
    struct loam_batch batch;
};
struct golden_run_options {
    const char *device;
    struct loam_device *(*create)(void); // makes the device where it is not one of the registry; or NULL
    enum loam_dtype dtype;
    const char *adapter; // directory: the golden's by its name, another by its absolute path; or NULL
    bool frozen;         // the adapter is only used
    const struct loam_lora_settings *lora; // a fresh adapter, or NULL
    bool full;                             // every parameter trains
    enum loam_checkpointing checkpointing;
    int64_t offloaded; // layers in the host's memory, on a device with its own
};
void golden_run_start(struct golden_run *run, const struct golden *golden,
                      const struct golden_run_options *options);
void golden_run_end(struct golden_run *run);

// Logits [tokens, V] of run->batch; released with free().
float *golden_run_logits(struct golden_run *run);
// Gradients of run->batch, times `scale`, are added to those of the trainables; returns the weighted sum of
// the losses.
double golden_run_train(struct golden_run *run, double scale);
void golden_run_zero_gradients(struct golden_run *run);
// The host's copy of a tensor of the device; released with free().
float *golden_run_download(struct golden_run *run, const struct loam_tensor *tensor);

// Every golden on every device in f32 and bf16.
struct golden_case {
    const char *golden;
    const char *device;
    struct loam_device *(*create)(void); // as in the options of a run
    enum loam_dtype dtype;
    char name[96];
};
struct golden_run;
// Whether the model's RoPE depends on the length of a sequence: then padding, and the tokens after a prefix,
// change its logits.
bool golden_run_depends_on_length(const struct golden_run *run);
// Whether the family is BLOOM or Llama, whose goldens do not have the errors of PyTorch's bf16.
bool golden_is_plain(const struct loam_model *model);

// What two ways of computing the same values are compared in.
enum golden_value {
    GOLDEN_LOGITS,    // of a batch, |a - b| / |b|
    GOLDEN_ROW,       // logits of one row, |a - b| / |b|
    GOLDEN_SUMS,      // logits of a batch where two updates are added one by one, |a - b| / |b|
    GOLDEN_GRADIENTS, // all together, |a - b| / |b|
    GOLDEN_LOSS,      // |a - b| / b
};
// The most that two such ways may differ by in the dtype of the model. The golden's run "full" or "adapter" has
// the error that the bound follows from.
double golden_pair_bound(const struct golden *golden, const char *run, const struct loam_model *model,
                         enum golden_value value);

// A golden runs on ref and cpu, in f32 and bf16. Under sanitizers golden_cases takes two of the four by turns, each
// device and each type once.
#ifdef __SANITIZE_ADDRESS__
enum { GOLDEN_COMBINATIONS = 2 };
#else
enum { GOLDEN_COMBINATIONS = 4 };
#endif
enum { GOLDEN_CASES = GOLDEN_COUNT * GOLDEN_COMBINATIONS };
// Fills `cases` and `tests` [4 count] for the named goldens, with all four.
void golden_fill_cases(const char *const *names, size_t count, struct golden_case *cases,
                       struct CMUnitTest *tests, const char *label, CMUnitTestFunction test);
// Fills `tests` with one test a case, whose state is the case; `label` begins its name.
void golden_cases(struct golden_case cases[GOLDEN_CASES], struct CMUnitTest tests[GOLDEN_CASES],
                  const char *label, CMUnitTestFunction test);

// Compares everything that the golden of the case expects, a line for each of its runs (common_compare.c).
void golden_compare(void **state);
void golden_compare_heading(void);

// |a - b| / |b| in the Euclidean norm.
double golden_error(const float *a, const float *b, int64_t count);

#endif
