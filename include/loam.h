// loam: fine-tuning language models with LoRA, natively. The only public header.
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

// Where the library says what it does; it never prints by itself.
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
    LOAM_ACTIVITY_TRAIN, // optimiser steps, every one: also step, total_steps, epoch, learning_rate, tokens,
                         // seconds, and loss and grad_norm of this step alone (NAN: it had no labels)
    LOAM_ACTIVITY_LOAD,  // bytes of weights, read or converted
    LOAM_ACTIVITY_MERGE, // bytes of the merged model
    LOAM_ACTIVITY_EVALUATE, // examples whose loss was measured
    LOAM_ACTIVITY_ANSWER,   // questions that were answered
    LOAM_ACTIVITY_GENERATE, // tokens; it may end before the total
    LOAM_ACTIVITY_DOWNLOAD, // bytes of files from the hub
    LOAM_ACTIVITY_UPLOAD,   // bytes of files to the hub
    LOAM_ACTIVITY_SAVE,     // waiting to save a result that cannot be saved now; without done and total
    LOAM_ACTIVITY_WRITE,    // bytes of a new file: the model of init, the adapter of export
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
};

// ---- Generation ----

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
    int32_t
        id; // of the new token; of the end token with LOAM_FINISH_STOP; -1: none, a long prompt is being read
    enum loam_finish finish;
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
    // The input of `tokenize`: fills at most `capacity` bytes and returns how many; 0 at the end, below 0 on
    // failure.
    ptrdiff_t (*input)(void *user, char *buffer, size_t capacity);
    // A question to a person, one line that ends in a question mark. NULL, or nobody there to ask: false.
    bool (*confirm)(void *user, const char *question);
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

// What this process found to compute with, and what it uses of it: `loam --version --verbose`.
struct loam_machine {
    char processor[64];     // as it names itself; empty: it does not say
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
// The command of that name. An unknown one is LOAM_ERROR_USAGE, and the message names the nearest that there
// is.
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
// "false", and "no-NAME" turns it off. An unknown
// name is LOAM_ERROR_USAGE and the message names the nearest option that there is; so is a value that cannot
// be read.
LOAM_API LOAM_MUST_CHECK enum loam_status loam_options_set(struct loam_options *options, const char *name,
                                                           const char *value, struct loam_error *error);
// Sets an option from a command line, as loam_options_set does. A second, different value is LOAM_ERROR_USAGE
// for options of which a user may expect both values to count (two files of data, two adapters). For the
// others the last value counts, and loam_run warns about the replaced one.
LOAM_API LOAM_MUST_CHECK enum loam_status loam_options_set_argument(struct loam_options *options,
                                                                    const char *name, const char *value,
                                                                    struct loam_error *error);
// The text of an option's value as it was set, or its default; NULL when it has neither.
LOAM_API const char *loam_options_get(const struct loam_options *options, const char *name);

// Reads the YAML file that the option "config" of train, generate, eval and others names: sets what it says
// and has not been set before. Once; without such an option it does nothing. What is wrong with the file is
// LOAM_ERROR_FORMAT, and the message begins with FILE:LINE. After a failure the options are to be destroyed.
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

#ifdef __cplusplus
}
#endif
#endif
