// The handles of loam.h, with counts of their holders. A handle starts with one holder, the program that
// opened it. Every handle that needs it is one more. When the last holder releases it, it is destroyed.
#ifndef LOAM_API_HANDLES_H
#define LOAM_API_HANDLES_H

#include "lora/adapter.h"
#include "session/session.h"

struct loam_device_handle {
    size_t holders;
    struct loam_device *device;
};

struct loam_model_handle {
    size_t holders;
    struct loam_device_handle *device;
    struct loam_session session; // on that device, without text
    char *directory;             // what session.directory points to
};

struct loam_adapter_handle {
    size_t holders;
    struct loam_model_handle *model;
    struct loam_adapter *adapter; // its matrices have memory of their own
};

struct loam_tokenizer_handle {
    size_t holders;
    struct loam_tokenizer *tokenizer;
    struct loam_special_tokens special;
};

// A release of NULL does nothing.
void loam_device_release(struct loam_device_handle *device);
void loam_model_release(struct loam_model_handle *model);
void loam_adapter_release(struct loam_adapter_handle *adapter);
void loam_tokenizer_release(struct loam_tokenizer_handle *tokenizer);

// A device that only counts what would be taken on `like`, which must outlive it.
enum loam_status loam_device_open_planning(struct loam_device_handle **device,
                                           const struct loam_device_handle *like, struct loam_error *error);

// The adapters that a handle was opened with; each is held.
struct loam_held_adapters {
    struct loam_adapter_handle **items; // [count]
    size_t count;
    struct loam_segment *segments; // [count] each over all rows
};
// Every one must be of `model`, and none may be there twice. On failure nothing is held.
enum loam_status loam_held_adapters_init(struct loam_held_adapters *held,
                                         const struct loam_model_handle *model,
                                         struct loam_adapter_handle *const *adapters, size_t count,
                                         struct loam_error *error);
void loam_held_adapters_deinit(struct loam_held_adapters *held);
struct loam_segments loam_held_adapters_segments(const struct loam_held_adapters *held);
// The segment of one of them; NULL: `adapter` is not among them.
const struct loam_segment *loam_held_adapters_find(const struct loam_held_adapters *held,
                                                   const struct loam_adapter_handle *adapter);

#endif
