// A session: a model, its tokenizer and its device opened together, and what is opened on them: adapters and
// data sets. Opening checks all that can be checked without the weights; loading reads the weights.
#ifndef LOAM_SESSION_SESSION_H
#define LOAM_SESSION_SESSION_H

#include "base/log.h"
#include "data/chat_example.h"
#include "data/dataset.h"
#include "device/device.h"
#include "lora/adapter_list.h"
#include "model/model.h"

enum { LOAM_OFFLOAD_AUTO = -1 };
// The bytes that a program may take of so many that are free on a device with memory of its own: its driver takes some
// beside them.
size_t loam_device_usable(size_t free_bytes);

struct loam_session_options {
    const char *model; // directory
    const char *device;
    int threads; // 0: one for each core
    // A device of the caller to use instead of `device`; NULL: open one.
    struct loam_device *opened;
    // LOAM_DTYPE_NONE: the half that the device prefers, else f32 with bf16 and f16 matrices kept as stored.
    enum loam_dtype dtype;
    const char *prompt_template; // name, file or NULL
    const char *cut;             // field of the template that long texts are cut in; NULL: the longest
    // Name or file; NULL: the one that an adapter below was trained with, else the model's own, which it need not have.
    const char *chat_template;
    struct loam_adapter_choices adapters; // only for their chat templates
    bool has_tools;              // conversations have tools, for which a model may have another template
    bool content_may_be_special; // see struct loam_chat_options
    int64_t max_length;          // tokens; 0: the smaller of 1,024 and the model's limit
    int64_t batch_size;          // examples; 0: as many as fit
    // Tokens of a packed batch. 0: a batch of the longest examples, at most 1,024 tokens, at least one
    // example.
    int64_t token_budget;
    bool without_text;                      // no tokenizer and no template
    const struct loam_callbacks *callbacks; // for the log and for progress; NULL: none
    bool planning;                          // only count memory
    bool streamed;                          // see struct loam_load_options
    // Layers that stay in the host's memory, on a device with its own; LOAM_OFFLOAD_AUTO: loam_session_fit chooses.
    int64_t offload;
    int64_t device_memory_limit; // bytes, for loam_session_fit; 0: what the device has; INT64_MAX: no limit
};

struct loam_session {
    const char *directory;
    const struct loam_callbacks *callbacks;
    const struct loam_log *log; // of the callbacks
    struct loam_device *device;
    // Created by the session, which destroys it. NULL: `device` belongs to the caller.
    struct loam_device *own_device;
    // Counts the memory of a plan in place of a real device. NULL: the session does not plan.
    struct loam_device *planning_device;
    struct loam_model *model; // only names and shapes before loading
    struct loam_tokenizer *tokenizer;
    struct loam_special_tokens special;
    struct loam_template *prompt_template; // NULL: the template of the data set
    struct loam_chat_source chat;          // its chat_template is NULL if there is none
    struct loam_error chat_refusal;        // why there is none
    bool has_other_chat;                   // the template is not the model's own choice
    struct tm now;                         // when the session was opened, for chat templates
    bool content_may_be_special;
    enum loam_dtype dtype; // of activations
    bool keep_halves;      // see struct loam_load_options
    bool streamed;
    int64_t offloaded;  // see struct loam_load_options; may be set until the weights are loaded
    size_t fitted;      // bytes of the device that loam_session_fit has planned; 0: none
    bool keeps_masters; // adapters without a set may be registered in one later
    int32_t max_length;
    int32_t token_budget; // of a packed batch
};

enum loam_status loam_session_open(struct loam_session *session, const struct loam_session_options *options,
                                   struct loam_error *error);
void loam_session_close(struct loam_session *session);

// The settings for conversations, with the session's limits; the caller may set the others. Fails with advice if there is
// no chat template.
enum loam_status loam_session_chat(const struct loam_session *session, struct loam_chat_options *options,
                                   struct loam_error *error);

// Loads the weights. `writable` is for weights that will be trained.
enum loam_status loam_session_load(struct loam_session *session, bool writable, struct loam_error *error);

// Opens the adapter in `directory` and logs settings of its files that have no effect. With `set`, its
// matrices are registered there for training. Without `set`, the model must be loaded, and the adapter is
// filled at once. If `directory` is NULL, `*out` is NULL.
enum loam_status loam_session_adapter(const struct loam_session *session, const char *directory,
                                      struct loam_trainables *set, struct loam_adapter **out,
                                      struct loam_error *error);
// Opens adapters whose updates add up on the loaded model, and logs settings of their files that have no effect.
enum loam_status loam_session_adapters(const struct loam_session *session,
                                       const struct loam_adapter_choices *choices,
                                       struct loam_adapter_list *adapters, struct loam_error *error);
// Makes a fresh adapter, registers it in `set`, and logs settings that have no effect.
enum loam_status loam_session_fresh_adapter(const struct loam_session *session,
                                            const struct loam_lora_settings *settings,
                                            struct loam_trainables *set, struct loam_adapter **out,
                                            struct loam_error *error);

// How examples are made of a file's records.
struct loam_session_data {
    const struct loam_text_list *sources; // values of --data
    const struct loam_field_list *map;    // renamed fields
    enum loam_loss_on loss_on;
    enum loam_too_long too_long;
    bool skip_bad;
    bool learnt; // for training: sources may have shares
};
// Opens a data set of at least one record. Reads the first record, so that a template that does not fit fails
// at once.
enum loam_status loam_session_dataset(const struct loam_session *session,
                                      const struct loam_session_data *data, struct loam_dataset **out,
                                      struct loam_error *error);
// Logs how many records were skipped, cut or had no label, if any.
void loam_session_report(const struct loam_session *session, const struct loam_dataset *dataset);

#endif
