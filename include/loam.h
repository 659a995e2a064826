// loam: fine-tuning language models with LoRA, natively. The only public header.
//
// Commands run whole: a set of options, then loam_run. Handles hold a model, so that a program can write its
// own loop. docs/API.md is the guide.
#ifndef LOAM_H
#define LOAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define LOAM_MUST_CHECK __attribute__((warn_unused_result))
#define LOAM_API __attribute__((visibility("default")))
#else
#define LOAM_MUST_CHECK
#define LOAM_API
#endif

// Grows by 1 with every change that programs built against an older header cannot work with. Functions and
// fields at the end of a struct may be added without one.
#define LOAM_ABI_VERSION 1
// Of the library that is loaded. Other than LOAM_ABI_VERSION: it must not be used with this header.
LOAM_API int loam_abi_version(void);

enum loam_status {
    LOAM_OK = 0,
    LOAM_ERROR_USAGE, // options that alone show the mistake: unknown, unreadable, out of range, contradictory
    LOAM_ERROR_ARGUMENT,    // a value outside what the function takes, or what the files in use allow
    LOAM_ERROR_IO,          // the system refused: no such file, no permission, disk full
    LOAM_ERROR_EXISTS,      // the output is already there
    LOAM_ERROR_FORMAT,      // outside data that breaks its format
    LOAM_ERROR_UNSUPPORTED, // understood, but not built
    LOAM_ERROR_MEMORY,
    LOAM_ERROR_NUMERIC, // a loss or gradient that is not finite
    LOAM_ERROR_STOPPED, // the caller's callback asked to stop
    LOAM_ERROR_INTERNAL,
};

// Owned by the caller. `message` is one line: it names the file, key or tensor, what was expected and what
// to do.
struct loam_error {
    enum loam_status status;
    char message[1024];
};

enum loam_log_level { LOAM_LOG_INFO, LOAM_LOG_WARNING };

// Receives log lines. The library never prints.
struct loam_log {
    void (*write)(void *user, enum loam_log_level level, const char *line);
    void *user;
};

// What a run reports. Fields that a kind does not have are left at NAN (numbers) or 0 (counts).
enum loam_event_kind {
    LOAM_EVENT_START,    // training is about to begin: total_steps, tokens, trainable_parameters, parameters
    LOAM_EVENT_STEP,     // a logged optimiser step: the mean over the steps since the last one
    LOAM_EVENT_EVAL,     // evaluation of the eval set
    LOAM_EVENT_END,      // the whole run: loss is the mean over all steps, eval_... those of the result
    LOAM_EVENT_PROGRESS, // a little of a long activity is done: activity, done, total
};
// Long work. Each reports `total` units, of which `done` are done; the last report has done == total.
enum loam_activity {
    // Every optimiser step: also step, total_steps, epoch, learning_rate, tokens, seconds, and loss and
    // grad_norm of this step alone (NAN: it had no labels).
    LOAM_ACTIVITY_TRAIN,
    LOAM_ACTIVITY_LOAD,     // bytes of weights, read or converted
    LOAM_ACTIVITY_MERGE,    // bytes of the merged model
    LOAM_ACTIVITY_EVALUATE, // examples whose loss was measured
    LOAM_ACTIVITY_ANSWER,   // questions that were answered
    LOAM_ACTIVITY_GENERATE, // tokens; it may end before the total
    LOAM_ACTIVITY_DOWNLOAD, // bytes of files from the hub
    LOAM_ACTIVITY_UPLOAD,   // bytes of files to the hub
    LOAM_ACTIVITY_SAVE,     // waiting to save a result that cannot be saved now; without done and total
    LOAM_ACTIVITY_WRITE,    // bytes of a new file: the model of init, the adapter of export
    LOAM_ACTIVITY_READ,     // records that were read, by `data` or to split long ones
};
struct loam_event {
    enum loam_event_kind kind;
    enum loam_activity activity; // of LOAM_EVENT_PROGRESS
    int64_t done;
    int64_t total;
    int64_t step;
    int64_t total_steps;
    double epoch;
    double loss;
    double grad_norm;
    double learning_rate;
    double eval_loss;
    double eval_exact_match; // in percent, as eval_f1; NAN: no answers were generated
    double eval_f1;
    double tokens_per_second;
    double seconds;   // since the start of the run
    int64_t tokens;   // since the start of the run
    int64_t peak_rss; // bytes
    int64_t parameters;
    int64_t trainable_parameters;
    double eval_rouge_l;  // in percent; NAN: no answers were generated
    double eval_accuracy; // in percent, of choosing among options; NAN: none were compared
    bool has_chats;       // of a training run: examples are conversations
};

// What came of asking for a line.
enum loam_line {
    LOAM_LINE_TEXT,
    LOAM_LINE_CANCEL, // the person gave it up, with the message that it belongs to
    LOAM_LINE_END,    // there are no more lines
    LOAM_LINE_STOP,   // the command is to stop
    LOAM_LINE_FAILED, // the input could not be read
};

// What a command calls back, from the calling thread. Any of them may be NULL.
struct loam_callbacks {
    void *user;
    struct loam_log log;
    // Called often while a command works, so it must be quick. False stops the command, which then fails with
    // LOAM_ERROR_STOPPED; a training run that has done its last step is not stopped any more, but saved, or,
    // where that fails, stopped while it waits to try again.
    bool (*event)(void *user, const struct loam_event *event);
    // A command's output as it comes: whole UTF-8 characters, not NUL-terminated. False stops the command.
    bool (*text)(void *user, const char *text, size_t size);
    // The input of `tokenize`, and of `generate --messages -`: fills at most `capacity` bytes and returns how
    // many; 0 at the end, below 0 on failure.
    ptrdiff_t (*input)(void *user, char *buffer, size_t capacity);
    // Asks a person a question, one line that ends in a question mark. NULL: the answer is no.
    bool (*confirm)(void *user, const char *question);
    // The next line that a person writes in `chat`, after `prompt` ("> "). Sets `*text` to it, without its line break
    // and valid until the next call, and `*size` to its bytes. While `chat` answers, `event` stops the answer alone.
    enum loam_line (*line)(void *user, const char *prompt, const char **text, size_t *size);
};

// ---- Options: every command is a set of named options, described by one table ----

enum loam_command {
    LOAM_COMMAND_TRAIN,
    LOAM_COMMAND_PLAN,
    LOAM_COMMAND_GENERATE,
    LOAM_COMMAND_EVAL,
    LOAM_COMMAND_MERGE,
    LOAM_COMMAND_EXPORT,
    LOAM_COMMAND_INSPECT,
    LOAM_COMMAND_INIT,
    LOAM_COMMAND_TOKENIZE,
    LOAM_COMMAND_PULL,
    LOAM_COMMAND_PUSH,
    LOAM_COMMAND_BENCH,
    LOAM_COMMAND_COMBINE,
    LOAM_COMMAND_CONVERT,
    LOAM_COMMAND_CHAT,
    LOAM_COMMAND_DATA,
    LOAM_COMMAND_DEVICES,
    LOAM_COMMAND_COUNT,
};

struct loam_options; // opaque; owns its values

struct loam_option_info {
    const char *name;         // "learning-rate"
    const char *alias;        // a shorter name for the same; NULL: none
    const char *argument;     // "RATE"; NULL for a switch; "[none|mlp]" when it may be left out
    const char *help;         // one sentence
    const char *default_text; // in parentheses when it is words and not a value; NULL: none, or off
    const char *group;        // heading in --help
    bool required;
    bool repeated;   // may be given more than once
    bool positional; // may be given without its name
};

LOAM_API const char *loam_version(void);

// Makes text from outside, or from a model, safe for a terminal, in place: control characters other than line
// break and tab, marks that reorder text, and bytes that are not UTF-8 become "?". Returns the new size,
// which is never larger. Log lines and error messages have already been treated; the texts of results have
// not.
LOAM_API size_t loam_make_printable(char *text, size_t size);

// The processor and libraries of this process, and what loam uses of them: `loam --version --verbose`.
struct loam_machine {
    char processor[64];     // as it names itself; empty: it has no name
    char instructions[128]; // "avx2 fma f16c": those that matter here
    char levels[64];        // of instructions that loam has code for and the processor runs, "avx2, portable"
    char level[16];         // the one that is used
    char onednn[32];        // version
    char onednn_isa[32];    // instructions that it may use
    bool native_bf16;       // products of bf16 are made by the processor, else in 16-bit block floating point
    int threads;            // without --threads
    int cores;              // that the process may use
};
// LOAM_ISA=avx512, avx2 or portable in the environment forces a level below the processor's, oneDNN included.
// It is read, like OMP_NUM_THREADS, when a device is made, here or by loam_run; the first device that is
// made under a lower level binds the process to it. A name that does not exist is LOAM_ERROR_ARGUMENT, a
// level that cannot be had LOAM_ERROR_UNSUPPORTED.
LOAM_API LOAM_MUST_CHECK enum loam_status loam_machine_describe(struct loam_machine *machine,
                                                                struct loam_error *error);

LOAM_API const char *loam_command_name(enum loam_command command); // "train"
LOAM_API const char *loam_command_help(enum loam_command command); // one sentence
// The command of that name. An unknown one is LOAM_ERROR_USAGE, and the message names the nearest command.
LOAM_API LOAM_MUST_CHECK enum loam_status loam_command_find(enum loam_command *command, const char *name,
                                                            struct loam_error *error);

// The options of a command, in the order of --help; NULL past the end.
LOAM_API const struct loam_option_info *loam_option_describe(enum loam_command command, size_t index);
// By name, alias, or, for a switch, "no-" and its name; underscores stand for hyphens. NULL: no such option.
LOAM_API const struct loam_option_info *loam_option_find(enum loam_command command, const char *name);

// Defaults set. Destroyed by loam_options_destroy.
LOAM_API LOAM_MUST_CHECK enum loam_status
loam_options_create(struct loam_options **options, enum loam_command command, struct loam_error *error);
LOAM_API void loam_options_destroy(struct loam_options *options);
// Sets one option from text; a switch, and an option whose argument may be left out, takes NULL, "true" or
// "false", and "no-NAME" turns it off. An unknown name is LOAM_ERROR_USAGE and the message names the nearest
// option that there is; so is a value that cannot be read.
LOAM_API LOAM_MUST_CHECK enum loam_status loam_options_set(struct loam_options *options, const char *name,
                                                           const char *value, struct loam_error *error);
// Sets an option from a command line, as loam_options_set does. A second, different value is LOAM_ERROR_USAGE
// for options of which a user may expect both values to count (two templates, two adapters). For the
// others the last value counts, and loam_run warns about the replaced one.
LOAM_API LOAM_MUST_CHECK enum loam_status loam_options_set_argument(struct loam_options *options,
                                                                    const char *name, const char *value,
                                                                    struct loam_error *error);
// The text of an option's value as it was set, or its default; NULL when it has neither.
LOAM_API const char *loam_options_get(const struct loam_options *options, const char *name);

// Reads the YAML file that the option "config" of train, generate, eval and others names, and sets the
// options in it that have not been set before. Works once; without the option "config" it does nothing. An
// error in the file is LOAM_ERROR_FORMAT, and the message begins with FILE:LINE. After a failure the options
// are to be destroyed.
LOAM_API LOAM_MUST_CHECK enum loam_status loam_options_read_config(struct loam_options *options,
                                                                   struct loam_error *error);

// Runs the command that the options are for, after the file of "config" was read. Everything is checked
// before anything is written. An option that the others leave without effect gives a warning, or
// LOAM_ERROR_USAGE where the user must have meant something else.
LOAM_API LOAM_MUST_CHECK enum loam_status
loam_run(struct loam_options *options, const struct loam_callbacks *callbacks, struct loam_error *error);

// For a program that has no handler for SIGBUS and lets loam have one: a mapped file of the model that is cut
// short, or whose disk fails, then ends training as other errors do, with the steps before it saved. Anywhere
// else it ends the process as before, after a line on standard error. To be called by the main thread, before
// loam_run.
LOAM_API void loam_fault_handle(void);

// ---- Handles: a program holds a model and writes its own loop ----
//
// A function that ends in _open, _make or _load gives a handle, and _close takes it back; NULL is closed,
// too. A handle keeps what it needs: a model its device, an adapter its model, a trainer, evaluator or
// generator its model and adapters. So handles are closed in any order, and the last one frees the memory.
//
// Handles that share a device are used by one thread at a time. A tokenizer may be used by several.
//
// A struct that begins with `size` is given sizeof itself there, so that a library can have more fields than
// the program was built with, or fewer. The LOAM_..._INIT macros set it, and the defaults. A field that is 0
// and has no other default is left to the library.
//
// Pointers in settings are read during the call alone, unless the comment of the field states otherwise. On
// failure nothing is opened, and the handle is NULL. A NULL handle, or a pointer that must not be NULL, is
// LOAM_ERROR_ARGUMENT.

// -- Device --

struct loam_device_handle;
// `name` is "cpu", "cuda" or "cuda:N" (an NVIDIA GPU, from 0), "opencl" or "opencl:N", "ref" (slow and exact) or "auto":
// the first NVIDIA GPU that can be used, or else the CPU. NULL: "auto". `threads` 0: one for each core that the process
// may use. LOAM_ISA of the environment is read, see loam_machine_describe.
LOAM_API LOAM_MUST_CHECK enum loam_status loam_device_open(struct loam_device_handle **device,
                                                           const char *name, int32_t threads,
                                                           struct loam_error *error);
LOAM_API void loam_device_close(struct loam_device_handle *device);

struct loam_device_info {
    size_t size;
    const char *name;  // valid until the handle is closed
    const char *level; // of instructions that it uses, "avx2"; NULL: it has none
    int32_t threads;
    uint64_t free_memory; // bytes that it can give at the moment; UINT64_MAX: not known
};
#define LOAM_DEVICE_INFO_INIT                                                                                \
    {                                                                                                        \
        .size = sizeof(struct loam_device_info)                                                              \
    }
LOAM_API LOAM_MUST_CHECK enum loam_status loam_device_describe(const struct loam_device_handle *device,
                                                               struct loam_device_info *info,
                                                               struct loam_error *error);

// -- Model --

struct loam_model_settings {
    size_t size;
    const char *directory; // config.json and weights in safetensors, as Hugging Face has them
    // of activations: "f32", "f16" or "bf16"; NULL: what `loam train` chooses on this device
    const char *dtype;
    // For the log and LOAM_ACTIVITY_LOAD while it is opened; NULL: none.
    const struct loam_callbacks *callbacks;
};
#define LOAM_MODEL_SETTINGS_INIT                                                                             \
    {                                                                                                        \
        .size = sizeof(struct loam_model_settings)                                                           \
    }

struct loam_model_handle;
// Reads the weights. Those that the device can use as they lie in the files stay mapped: the files must not
// change while the model is open.
LOAM_API LOAM_MUST_CHECK enum loam_status loam_model_open(struct loam_model_handle **model,
                                                          struct loam_device_handle *device,
                                                          const struct loam_model_settings *settings,
                                                          struct loam_error *error);
LOAM_API void loam_model_close(struct loam_model_handle *model);

struct loam_model_info {
    size_t size;
    const char *family; // "bloom", "llama"; a constant
    const char *dtype;  // of activations; a constant
    int64_t vocabulary; // ids are 0 to vocabulary - 1
    int64_t hidden;     // size of the hidden states
    int64_t layers;
    int64_t parameters;    // a tied head counted once
    int64_t max_positions; // tokens of a sequence; 0: no limit
};
#define LOAM_MODEL_INFO_INIT                                                                                 \
    {                                                                                                        \
        .size = sizeof(struct loam_model_info)                                                               \
    }
LOAM_API LOAM_MUST_CHECK enum loam_status loam_model_describe(const struct loam_model_handle *model,
                                                              struct loam_model_info *info,
                                                              struct loam_error *error);

// -- Adapters --

// A fresh LoRA adapter: y = x WT + b + alpha / rank (dropout(x) AT) BT (Hu et al. 2021), A random, B zero.
struct loam_lora_config {
    size_t size;
    int32_t rank;
    double alpha;
    double dropout; // probability, 0 <= p < 1; in passes of a trainer that add gradients
    // "a,b,c", a regular expression for whole module paths, or "all-linear"; NULL: the family's default.
    const char *target_modules;
    // "gaussian": A from N(0, 1 / rank^2); "kaiming", PEFT's true: A from U(-1 / sqrt(in), 1 / sqrt(in)); "false",
    // "orthogonal", "pissa", "pissa_niter_N", "olora" as PEFT's init_lora_weights.
    const char *init;
    uint64_t seed;   // of A
    bool use_dora;   // a magnitude for each output of an adapted module is trained, too (DoRA)
    bool use_rslora; // the update is scaled by alpha / sqrt(rank)
    // Other ranks and alphas for some modules, "MODULE=VALUE,..."; the first that matches counts. NULL: none.
    const char *rank_pattern;
    const char *alpha_pattern;
    const char *exclude_modules;     // as target_modules; NULL: none
    const char *layers_to_transform; // "0,2,5"; NULL: every layer
    const char *layers_pattern;      // "h,layers", the names before the number of a layer; NULL: any
    // "a,b,c": modules that are trained and saved as a whole, each whose path ends in one of the names; NULL: none.
    const char *modules_to_save;
    const char *bias; // biases of the model to train, "none", "all" or "lora_only"; NULL: "none"
    // A tied head stays tied where modules_to_save or target_modules names embed_tokens or lm_head.
    bool ensure_weight_tying;
    bool lora_bias; // a bias of B is trained, too; with init "kaiming" or "false" only
    // Tokens with rows of their own, "5,9" or "embed_tokens=5,9;lm_head=7"; NULL: none.
    const char *trainable_token_indices;
};
#define LOAM_LORA_CONFIG_INIT                                                                                \
    {                                                                                                        \
        .size = sizeof(struct loam_lora_config), .rank = 8, .alpha = 16, .init = "gaussian", .seed = 42      \
    }

struct loam_adapter_handle;
// A model takes any number of adapters at the same time, and stays as it is.
LOAM_API LOAM_MUST_CHECK enum loam_status loam_adapter_make(struct loam_adapter_handle **adapter,
                                                            struct loam_model_handle *model,
                                                            const struct loam_lora_config *config,
                                                            struct loam_error *error);
// Reads adapter_config.json and adapter_model.safetensors of PEFT. `log` NULL: notices are dropped.
LOAM_API LOAM_MUST_CHECK enum loam_status loam_adapter_load(struct loam_adapter_handle **adapter,
                                                            struct loam_model_handle *model,
                                                            const char *directory, const struct loam_log *log,
                                                            struct loam_error *error);
// Writes the two files of PEFT, f32, into `directory`, which is made where it is missing; files of these
// names are replaced, each at once. `base_model` is what they call the model; NULL: the model's directory.
LOAM_API LOAM_MUST_CHECK enum loam_status loam_adapter_store(const struct loam_adapter_handle *adapter,
                                                             const char *directory, const char *base_model,
                                                             struct loam_error *error);
LOAM_API void loam_adapter_close(struct loam_adapter_handle *adapter);

struct loam_adapter_info {
    size_t size;
    int64_t parameters;
    int32_t rank;
    double alpha;
    double dropout;
};
#define LOAM_ADAPTER_INFO_INIT                                                                               \
    {                                                                                                        \
        .size = sizeof(struct loam_adapter_info)                                                             \
    }
LOAM_API LOAM_MUST_CHECK enum loam_status loam_adapter_describe(const struct loam_adapter_handle *adapter,
                                                                struct loam_adapter_info *info,
                                                                struct loam_error *error);

// -- Plan --

// What a program is going to open on a model. What is left out is not counted.
struct loam_plan_settings {
    size_t size;
    const char *model;                   // directory; without weights, as many are assumed as it would have
    const char *dtype;                   // see struct loam_model_settings
    const struct loam_lora_config *lora; // of an adapter that is trained; NULL: none
    int32_t train_tokens;                // of the trainer, see struct loam_trainer_config
    int32_t train_sequences;
    const char *checkpointing;
    int32_t context; // of the generator, see struct loam_generator_settings
    int32_t generate_sequences;
};
#define LOAM_PLAN_SETTINGS_INIT                                                                              \
    {                                                                                                        \
        .size = sizeof(struct loam_plan_settings)                                                            \
    }

// Bytes. The process itself, a tokenizer and the program's own arrays come on top.
struct loam_memory_plan {
    size_t size;
    size_t mapped;  // weights that are used where they lie in their files
    size_t model;   // weights that are converted
    size_t train;   // adapter, gradients and both moments of AdamW
    size_t step;    // activations of the largest pass of each handle
    size_t cache;   // keys and values of generation
    size_t scratch; // of the ops
    size_t total;
};
#define LOAM_MEMORY_PLAN_INIT                                                                                \
    {                                                                                                        \
        .size = sizeof(struct loam_memory_plan)                                                              \
    }
// Plans what the handles would take, by the same code that takes it. No weights are read but their headers.
LOAM_API LOAM_MUST_CHECK enum loam_status loam_model_plan(const struct loam_device_handle *device,
                                                          const struct loam_plan_settings *settings,
                                                          struct loam_memory_plan *plan,
                                                          struct loam_error *error);

// -- Tokenizer --

struct loam_tokenizer_handle;
// Reads tokenizer.json of a model's directory, and the special tokens that its other files name.
LOAM_API LOAM_MUST_CHECK enum loam_status loam_tokenizer_open(struct loam_tokenizer_handle **tokenizer,
                                                              const char *directory,
                                                              struct loam_error *error);
LOAM_API void loam_tokenizer_close(struct loam_tokenizer_handle *tokenizer);

struct loam_tokenizer_info {
    size_t size;
    int32_t vocabulary;     // largest id + 1
    int32_t bos;            // -1: none
    int32_t eos;            // ends a training text; -1: none
    int32_t pad;            // -1: none
    const int32_t *end_ids; // [end_count] those that end generation; valid until the handle is closed
    size_t end_count;
};
#define LOAM_TOKENIZER_INFO_INIT                                                                             \
    {                                                                                                        \
        .size = sizeof(struct loam_tokenizer_info)                                                           \
    }
LOAM_API LOAM_MUST_CHECK enum loam_status
loam_tokenizer_describe(const struct loam_tokenizer_handle *tokenizer, struct loam_tokenizer_info *info,
                        struct loam_error *error);

enum loam_text_kind {
    LOAM_TEXT_PLAIN,   // the ids of the text alone
    LOAM_TEXT_WHOLE,   // with BOS and EOS where the tokenizer's files ask for them
    LOAM_TEXT_EXAMPLE, // a text to train on, as `loam train` makes it: WHOLE, with EOS in any case
    // What generation goes on from: with BOS where the files ask for it, and without the tokens at the end
    // that depend on what follows. The ids of a training text that begins so begin with these.
    LOAM_TEXT_PROMPT,
};
// Sets `*count` to the number of ids of text [size], UTF-8, and writes the first `capacity` of them to `ids`.
// A text has rarely more ids than bytes + 2. Invalid UTF-8 is LOAM_ERROR_FORMAT.
LOAM_API LOAM_MUST_CHECK enum loam_status loam_text_encode(const struct loam_tokenizer_handle *tokenizer,
                                                           const char *text, size_t size,
                                                           enum loam_text_kind kind, int32_t *ids,
                                                           size_t capacity, size_t *count,
                                                           struct loam_error *error);
// Sets `*size` to the bytes of the text of ids [count], and writes as many of them to `text` as `capacity`
// has room for beside a NUL, which is written, too, unless `capacity` is 0. An id beyond the vocabulary is
// LOAM_ERROR_ARGUMENT.
LOAM_API LOAM_MUST_CHECK enum loam_status loam_text_decode(const struct loam_tokenizer_handle *tokenizer,
                                                           const int32_t *ids, size_t count,
                                                           bool skip_special_tokens, char *text,
                                                           size_t capacity, size_t *size,
                                                           struct loam_error *error);

// -- Losses and training --

// Sequences end to end, without padding; they do not see each other.
struct loam_packed_batch {
    size_t size;
    int32_t sequences;
    const int32_t *offsets; // [sequences + 1] first token of each, from 0; the last is the number of tokens T
    const int32_t *ids;     // [T]
    // [T] weight of each token's loss, finite and 0 or more; 0: not learnt. The first token of a sequence is
    // not predicted, so its weight counts for nothing. NULL: 1 for all.
    const float *weights;
    // [sequences] the adapter of each, NULL: the base model. No array: the only adapter of the handle for all
    // sequences, or the base model where it has none.
    struct loam_adapter_handle *const *adapters;
};
#define LOAM_PACKED_BATCH_INIT                                                                               \
    {                                                                                                        \
        .size = sizeof(struct loam_packed_batch)                                                             \
    }

struct loam_evaluator_settings {
    size_t size;
    int32_t tokens;                              // of a batch, at most
    int32_t sequences;                           // of a batch, at most
    struct loam_adapter_handle *const *adapters; // [adapter_count] those that batches may name
    size_t adapter_count;
};
#define LOAM_EVALUATOR_SETTINGS_INIT                                                                         \
    {                                                                                                        \
        .size = sizeof(struct loam_evaluator_settings)                                                       \
    }

struct loam_evaluator_handle;
LOAM_API LOAM_MUST_CHECK enum loam_status loam_evaluator_open(struct loam_evaluator_handle **evaluator,
                                                              struct loam_model_handle *model,
                                                              const struct loam_evaluator_settings *settings,
                                                              struct loam_error *error);
// losses [T] f32: in row t the cross entropy of token t + 1, in nats; 0 where that token has no weight, or is
// of the next sequence. The weights choose rows and do not scale them.
LOAM_API LOAM_MUST_CHECK enum loam_status loam_evaluator_run(struct loam_evaluator_handle *evaluator,
                                                             const struct loam_packed_batch *batch,
                                                             float *losses, struct loam_error *error);
LOAM_API void loam_evaluator_close(struct loam_evaluator_handle *evaluator);

struct loam_trainer_config {
    size_t size;
    int32_t tokens;                              // of a batch, at most
    int32_t sequences;                           // of a batch, at most
    struct loam_adapter_handle *const *adapters; // [adapter_count] all are trained
    size_t adapter_count;
    const char *checkpointing; // "none", "mlp" or "block": activations that are computed again; NULL: "none"
    uint64_t seed;             // of dropout
    // AdamW (Loshchilov and Hutter 2019).
    double beta1;
    double beta2;
    double epsilon;
    double weight_decay;
    double max_grad_norm; // of all gradients together; 0: no clipping
};
#define LOAM_TRAINER_CONFIG_INIT                                                                             \
    {                                                                                                        \
        .size = sizeof(struct loam_trainer_config), .seed = 42, .beta1 = 0.9, .beta2 = 0.999,                \
        .epsilon = 1e-8, .max_grad_norm = 1                                                                  \
    }

struct loam_trainer_handle;
// An adapter has one trainer at a time.
LOAM_API LOAM_MUST_CHECK enum loam_status loam_trainer_open(struct loam_trainer_handle **trainer,
                                                            struct loam_model_handle *model,
                                                            const struct loam_trainer_config *config,
                                                            struct loam_error *error);
// Adds the gradient of sum_t weights[t + 1] losses[t] to those of the batches since the last update. For the
// mean over N learnt tokens of all batches of an update, set the weights to 1 / N. losses as
// loam_evaluator_run, of the values before the update; NULL: not wanted.
LOAM_API LOAM_MUST_CHECK enum loam_status loam_trainer_accumulate(struct loam_trainer_handle *trainer,
                                                                  const struct loam_packed_batch *batch,
                                                                  float *losses, struct loam_error *error);
// Clips the gradients, moves the values by AdamW, and begins again with gradients of zero. `norm` (NULL: not
// wanted) is that of all gradients before clipping. One that is not finite is LOAM_ERROR_NUMERIC: the values
// and moments stay as they are, and the gradients are zero.
LOAM_API LOAM_MUST_CHECK enum loam_status loam_trainer_update(struct loam_trainer_handle *trainer,
                                                              double learning_rate, double *norm,
                                                              struct loam_error *error);
// As loam_evaluator_run, without dropout, in the memory of the trainer.
LOAM_API LOAM_MUST_CHECK enum loam_status loam_trainer_evaluate(struct loam_trainer_handle *trainer,
                                                                const struct loam_packed_batch *batch,
                                                                float *losses, struct loam_error *error);
// Writes values, moments and counters into `directory`, which is made where it is missing. Gradients are not
// written: call it after an update, before gradients are added again. trainer.json is written last; a program
// that may be killed meanwhile writes each state into a new directory.
LOAM_API LOAM_MUST_CHECK enum loam_status loam_trainer_write_state(struct loam_trainer_handle *trainer,
                                                                   const char *directory,
                                                                   struct loam_error *error);
// Reads them into a trainer of adapters of the same shapes, in the same order, and the same seed: it goes on
// as the one that wrote them, bit for bit. After a failure values and moments may be read in part.
LOAM_API LOAM_MUST_CHECK enum loam_status
loam_trainer_read_state(struct loam_trainer_handle *trainer, const char *directory, struct loam_error *error);
LOAM_API void loam_trainer_close(struct loam_trainer_handle *trainer);

// -- Generation --

struct loam_generator_settings {
    size_t size;
    int32_t sequences;                           // at the same time
    int32_t context;                             // tokens of a prompt and its continuation, at most
    struct loam_adapter_handle *const *adapters; // [adapter_count] those that prompts may name
    size_t adapter_count;
    // Gives the ids that end generation and those that may be chosen, and encodes prompts that are texts.
    // NULL: a sequence ends by its length alone, and prompts are ids.
    struct loam_tokenizer_handle *tokenizer;
};
#define LOAM_GENERATOR_SETTINGS_INIT                                                                         \
    {                                                                                                        \
        .size = sizeof(struct loam_generator_settings)                                                       \
    }

struct loam_generator_handle;
// Memory: each sequence has a cache of keys and values, and activations, of its own (loam_model_plan).
LOAM_API LOAM_MUST_CHECK enum loam_status loam_generator_open(struct loam_generator_handle **generator,
                                                              struct loam_model_handle *model,
                                                              const struct loam_generator_settings *settings,
                                                              struct loam_error *error);

// A prompt, as ids or as a text, and how it goes on. Penalty, temperature, top-k, top-p and min-p apply in this
// order, as in Hugging Face's generate.
struct loam_prompt_settings {
    size_t size;
    const int32_t *ids; // [count]; NULL: `text`
    size_t count;
    const char *text; // [text_size], UTF-8; encoded as `loam generate` does
    size_t text_size;
    struct loam_adapter_handle *adapter; // of the generator; NULL: the base model
    int32_t max_new_tokens;
    double temperature;        // 0: the likeliest token
    int32_t top_k;             // 0: all
    double top_p;              // 1: all
    double repetition_penalty; // 1: none (Keskar et al. 2019)
    uint64_t seed;
    double min_p; // 0: all; else tokens at least min_p times as likely as the likeliest
    // [stop_count] ids that end it, as the end tokens of the tokenizer do; valid until the sequence is removed.
    const int32_t *stop_ids;
    size_t stop_count;
};
#define LOAM_PROMPT_SETTINGS_INIT                                                                            \
    {                                                                                                        \
        .size = sizeof(struct loam_prompt_settings), .max_new_tokens = 256, .top_k = 50, .top_p = 1,         \
        .repetition_penalty = 1, .seed = 42                                                                  \
    }
// `*sequence` is its number, 0 to sequences - 1, until it is removed. All taken: LOAM_ERROR_ARGUMENT.
LOAM_API LOAM_MUST_CHECK enum loam_status loam_generator_add(struct loam_generator_handle *generator,
                                                             const struct loam_prompt_settings *prompt,
                                                             int32_t *sequence, struct loam_error *error);

// Why a sequence ended.
enum loam_finish {
    LOAM_FINISH_NONE,    // it goes on
    LOAM_FINISH_STOP,    // at an end token
    LOAM_FINISH_LENGTH,  // it has as many new tokens as were asked for
    LOAM_FINISH_CONTEXT, // the context is full
};
// What a step has made of one sequence.
struct loam_generated {
    int32_t sequence;
    int32_t id; // the new token, the end token with LOAM_FINISH_STOP; -1: none, a long prompt is being read
    enum loam_finish finish;
};
// A pass of each sequence that has not finished. tokens [sequences of the settings]; `*count` of them are
// set: 0 when none runs. After a failure the sequences are to be removed.
LOAM_API LOAM_MUST_CHECK enum loam_status loam_generator_step(struct loam_generator_handle *generator,
                                                              struct loam_generated *tokens, size_t *count,
                                                              struct loam_error *error);
// Frees the place of a sequence, whether it has finished or not. Other numbers are ignored.
LOAM_API void loam_generator_remove(struct loam_generator_handle *generator, int32_t sequence);
LOAM_API void loam_generator_close(struct loam_generator_handle *generator);

#ifdef __cplusplus
}
#endif
#endif
