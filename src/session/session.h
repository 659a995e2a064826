// A session: a model, its tokenizer and its device opened together, and what is opened on them: adapters and
// data sets. Opening checks all that can be checked without the weights; loading reads the weights.
#ifndef LOAM_SESSION_SESSION_H
#define LOAM_SESSION_SESSION_H

#include "base/log.h"
#include "data/dataset.h"
#include "device/device.h"
#include "lora/lora.h"
#include "model/model.h"

struct loam_session_options {
    const char *model; // directory
    const char *device;
    int threads;                 // 0: one for each core
    struct loam_device *opened;  // used instead of `device`, stays the caller's; NULL: one is opened
    enum loam_dtype dtype;       // LOAM_DTYPE_NONE: bf16 where the device has it, else f32, matrices that
                                 // are stored in bf16 or f16 staying so
    const char *prompt_template; // name, file or NULL
    int64_t max_length;          // 0: the smaller of 1,024 and the model's
    int64_t batch_size;          // examples; 0: as many as fit
    int64_t token_budget; // 0: room for a batch of the longest examples, but no more than 1,024 tokens, or
                          // one example's
    bool without_text;    // no tokenizer and no template
    const struct loam_callbacks *callbacks; // for the log and for progress; NULL: none
    bool planning;                          // the device is one to plan with
    bool streamed;                          // see struct loam_load_options
};

struct loam_session {
    const char *directory;
    const struct loam_callbacks *callbacks;
    const struct loam_log *log; // of the callbacks
    struct loam_device *device;
    bool owns_device;
    struct loam_model *model; // names and shapes until it is loaded
    struct loam_tokenizer *tokenizer;
    struct loam_special_tokens special;
    struct loam_template *prompt_template; // NULL: the data set's own
    enum loam_dtype dtype;                 // of activations
    bool keep_halves;                      // see struct loam_load_options
    bool streamed;
    int32_t max_length;
    int32_t token_budget; // of a packed batch
};

enum loam_status loam_session_open(struct loam_session *session, const struct loam_session_options *options,
                                   struct loam_error *error);
void loam_session_close(struct loam_session *session);

// `writable`: the weights will be trained.
enum loam_status loam_session_load(struct loam_session *session, bool writable, struct loam_error *error);

// Opens the adapter in `directory` and logs what its files ask for without effect. With `set` its matrices
// are registered there, to be trained; else the model must be loaded, and the adapter is filled at once.
// `directory` NULL: no adapter, `*out` is NULL.
enum loam_status loam_session_adapter(const struct loam_session *session, const char *directory,
                                      struct loam_trainables *set, struct loam_adapter **out,
                                      struct loam_error *error);
// Makes a fresh adapter, registered in `set`, with the same notices in the log.
enum loam_status loam_session_fresh_adapter(const struct loam_session *session,
                                            const struct loam_lora_settings *settings,
                                            struct loam_trainables *set, struct loam_adapter **out,
                                            struct loam_error *error);

// How examples are made of a file's records.
struct loam_session_data {
    const char *path;
    enum loam_loss_on loss_on;
    enum loam_too_long too_long;
    bool skip_bad;
    bool learnt; // the model learns from it when to stop: a first example that does not end in EOS gives a
                 // warning
};
// A data set of at least one record; the first one is read, so that a template that does not fit is known at
// once.
enum loam_status loam_session_dataset(const struct loam_session *session,
                                      const struct loam_session_data *data, struct loam_dataset **out,
                                      struct loam_error *error);
// Logs what reading a data set has met, if anything.
void loam_session_report(const struct loam_session *session, const char *path,
                         const struct loam_dataset *dataset);

#endif
