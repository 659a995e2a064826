// `loam eval`: evaluates a model, with or without an adapter, on a data set.
#ifndef LOAM_EVALUATE_RUN_H
#define LOAM_EVALUATE_RUN_H

#include "base/log.h"
#include "data/dataset.h"
#include "evaluate/evaluate.h"
#include "lora/adapter_list.h"

struct loam_evaluate_settings {
    const char *model; // directory
    struct loam_adapter_choices adapters;
    struct loam_text_list data; // files, patterns and directories
    struct loam_field_list map; // fields of records that have other names
    const char *device;
    int threads;
    enum loam_dtype dtype;       // LOAM_DTYPE_NONE: the half that the device prefers, else f32
    const char *prompt_template; // name, file or NULL
    const char *cut;             // field of the template that long texts are cut in; NULL: the longest
    const char *chat_template;   // name or file; NULL: the model's own
    bool content_may_be_special; // text of conversations may be special tokens
    enum loam_loss_on loss_on;
    enum loam_too_long too_long;
    int64_t max_length; // tokens; 0: the smaller of 1,024 and the model's limit
    bool skip_bad;
    int64_t batch_size;                   // limit of examples in a packed batch; 0: as many as fit
    int64_t token_budget;                 // tokens of a packed batch; 0: loam chooses
    int64_t limit;                        // records; 0: all
    bool generate;                        // also generate and score answers
    int64_t max_new_tokens;               // tokens of an answer; 0: 64
    int64_t offload, device_memory_limit; // as in struct loam_session_options
};
enum loam_status loam_evaluate_run(const struct loam_evaluate_settings *settings,
                                   const struct loam_callbacks *callbacks,
                                   struct loam_evaluate_result *result, struct loam_error *error);

#endif
