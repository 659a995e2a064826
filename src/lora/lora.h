// LoRA: which linears are adapted, how A and B start, and the adapter directory as PEFT has it.
#ifndef LOAM_LORA_LORA_H
#define LOAM_LORA_LORA_H

#include "base/log.h"
#include "model/slots.h"
#include "model/trainables.h"

enum loam_lora_init { LOAM_LORA_GAUSSIAN, LOAM_LORA_KAIMING };

struct loam_lora_settings {
    int rank;       // --lora-r
    double alpha;   // --lora-alpha
    double dropout; // --lora-dropout, 0 <= p < 1
    // "a,b,c": paths equal to an entry or ending in "." + entry, each entry matching something; "all-linear":
    // every linear but the head; with any of `* + ? | ( ) [ ] { } ^ $ \` a regular expression that must match
    // the whole path (lora/target.h), and becomes the list of what it matched. NULL: the family's default.
    const char *target_modules;
    enum loam_lora_init init;
};

// Settings resolved, targets matched, and a slot with its matrices for each linear of a model, which stays as
// it is: several adapters may be made for one model. An adapter may be destroyed before or after its model,
// and after the decoder that used it or before; the names of the trainables that it registered are its own.
struct loam_adapter;

// A fresh adapter on `model`: matches the targets (none: an error listing the linear modules there are),
// registers A and B in `set` (NULL: for counting only), and makes the slots; data comes with
// loam_adapter_start.
enum loam_status loam_adapter_create(struct loam_adapter **out, const struct loam_model *model,
                                     const struct loam_lora_settings *settings, struct loam_trainables *set,
                                     struct loam_error *error);
// After loam_trainables_allocate or loam_adapter_allocate: gives the matrices their first values, A random by
// `seed`, B zero.
enum loam_status loam_adapter_start(struct loam_adapter *adapter, uint64_t seed, struct loam_error *error);

// Reads a PEFT adapter directory (adapter_config.json, adapter_model.safetensors). With `set` it is to be
// trained on (matrices in the set; call loam_trainables_allocate, then loam_adapter_fill); without, it only
// adapts the model and owns its memory, filled at once. What loam does not build yet is refused by name.
enum loam_status loam_adapter_open(struct loam_adapter **out, const struct loam_model *model,
                                   const char *directory, struct loam_trainables *set,
                                   struct loam_error *error);
enum loam_status loam_adapter_fill(struct loam_adapter *adapter, struct loam_error *error);
void loam_adapter_destroy(struct loam_adapter *adapter);

// The slots for the segments of a pass.
const struct loam_adapter_slots *loam_adapter_slots(const struct loam_adapter *adapter);
// The adapter over all rows of a batch, as a list that the adapter owns; of NULL: no segments, the base
// model.
struct loam_segments loam_adapter_segments(const struct loam_adapter *adapter);

// Logs warnings about an opened adapter's config: keys that loam does not know, names and keys that match
// none of its modules, ranks above a dimension.
void loam_adapter_warn(const struct loam_adapter *adapter, const struct loam_log *log);

// Writes adapter_config.json and adapter_model.safetensors into the existing `directory` as PEFT does.
// `revision`: of the base on the hub; NULL: the newest.
enum loam_status loam_adapter_save(const struct loam_adapter *adapter, const char *base_model,
                                   const char *revision, const char *directory, struct loam_error *error);

// The settings in force: those of the directory for an opened adapter. target_modules is NULL there; the text
// of the targets comes from loam_adapter_targets, released with free().
struct loam_lora_settings loam_adapter_settings(const struct loam_adapter *adapter);
char *loam_adapter_targets(const struct loam_adapter *adapter, struct loam_error *error);
int64_t loam_adapter_parameters(const struct loam_adapter *adapter);

#endif
