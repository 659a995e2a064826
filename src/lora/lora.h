// LoRA adapters: target modules, initial values of A and B, and the adapter directory of PEFT.
#ifndef LOAM_LORA_LORA_H
#define LOAM_LORA_LORA_H

#include "base/log.h"
#include "lora/init.h"
#include "model/slots.h"
#include "model/trainables.h"

// Which biases of the model are trained, as PEFT's "bias".
enum loam_lora_bias { LOAM_BIAS_NONE, LOAM_BIAS_ALL, LOAM_BIAS_LORA_ONLY };
// Parses "none", "all" or "lora_only".
enum loam_status loam_lora_bias_parse(enum loam_lora_bias *bias, const char *name, struct loam_error *error);
const char *loam_lora_bias_name(enum loam_lora_bias bias);

struct loam_lora_settings {
    int rank;       // --lora-r
    double alpha;   // --lora-alpha
    double dropout; // --lora-dropout, 0 <= p < 1
    // "a,b,c": paths that equal an entry or end in "." + entry; each entry must match a linear, the head or the
    // embedding. "all-linear": every linear but the head. A text with any of `* + ? | ( ) [ ] { } ^ $ \` is a regular expression that
    // must match the whole path (lora/target.h); it is replaced by the list of linears that it matched. NULL:
    // the family's default.
    const char *target_modules;
    const char *init;           // --init-lora-weights, see lora/init.h; NULL: "gaussian"
    bool dora;                  // --use-dora
    bool lora_bias;             // --lora-bias: B has a bias
    const char *trained_tokens; // "5,9" or "embed_tokens=5;lm_head=7" (lora/token_choice.h); NULL: none
    bool rslora;                // --use-rslora: the update is scaled by alpha / sqrt(rank)
    // "KEY=N,KEY=N": another rank or alpha for modules. A key is an expression that must match the end of a
    // path, from a component on; the first that matches decides. NULL: none.
    const char *rank_pattern;
    const char *alpha_pattern;
    const char *exclude_modules;     // a list or an expression, as in target_modules; NULL: none
    const char *layers_to_transform; // "0,2,5"; NULL: every layer
    const char *layers_pattern;      // "h,layers": the names before the number of a layer; NULL: any
    // "a,b,c": modules that are trained and saved as a whole. As PEFT reads it, a name stands for each module
    // whose path ends in it, within a component too: "norm" names input_layernorm. NULL: none.
    const char *modules_to_save;
    enum loam_lora_bias bias;
    // A tied head stays tied to the embedding where modules_to_save or target_modules names one of both.
    bool ensure_weight_tying;
};

// An adapter: resolved settings and a slot for each linear of a model. The model is not changed, so one model
// may have several adapters. Adapter, model and decoder may be destroyed in any order. The adapter owns the
// names of the trainables that it registered.
struct loam_adapter;

// Makes a fresh adapter of `model`: matches the targets, makes the slots, and registers A and B in `set`
// (NULL: only count). If no linear matches, the error lists the linear modules of the model.
// loam_adapter_start sets the values.
enum loam_status loam_adapter_create(struct loam_adapter **out, const struct loam_model *model,
                                     const struct loam_lora_settings *settings, struct loam_trainables *set,
                                     struct loam_error *error);
// Sets the initial values (lora/init.h), random by `seed`. The model must be loaded. Called after loam_trainables_allocate or
// loam_adapter_allocate.
enum loam_status loam_adapter_start(struct loam_adapter *adapter, uint64_t seed, struct loam_error *error);

// Reads a PEFT adapter directory (adapter_config.json, adapter_model.safetensors). With `set`, the matrices
// are registered for training; call loam_trainables_allocate, then loam_adapter_fill. Without `set`, the
// adapter owns its memory and is filled at once; it is not trained. A setting that loam does not support is an error that names
// it. loam_adapter_fill drops the notices of opening, which were logged, and may have others (loam_adapter_warn).
enum loam_status loam_adapter_open(struct loam_adapter **out, const struct loam_model *model,
                                   const char *directory, struct loam_trainables *set,
                                   struct loam_error *error);
enum loam_status loam_adapter_fill(struct loam_adapter *adapter, struct loam_error *error);
// As loam_adapter_open without a set, for an adapter that may be registered in one later.
enum loam_status loam_adapter_open_trainable(struct loam_adapter **out, const struct loam_model *model,
                                             const char *directory, struct loam_error *error);
// LoRA+: the learning rate of every B and of every vector is `ratio` times that of A, that of an adapter of the
// embedding `embedding` times. The adapter is registered in a set.
void loam_adapter_set_rates(const struct loam_adapter *adapter, double ratio, double embedding);
// Returns the bytes of what an adapter holds beside its set: the frozen update that PiSSA and OLoRA take from the
// base, and the copies of replaced parameters that the model reads; of NULL: 0.
size_t loam_adapter_held_bytes(const struct loam_adapter *adapter);
void loam_adapter_destroy(struct loam_adapter *adapter);

// Returns the slots for the segments of a pass.
const struct loam_adapter_slots *loam_adapter_slots(const struct loam_adapter *adapter);
// The adapter over all rows of a batch, as a list that the adapter owns; of NULL: no segments, the base
// model.
struct loam_segments loam_adapter_segments(const struct loam_adapter *adapter);

// Logs warnings about an opened adapter's config: keys that loam does not know, names and keys that match
// none of its modules, ranks above a dimension.
void loam_adapter_warn(const struct loam_adapter *adapter, const struct loam_log *log);

// Writes adapter_config.json and adapter_model.safetensors into the existing `directory` as PEFT does.
// `revision` is the revision of the base on the hub; NULL: the newest.
enum loam_status loam_adapter_save(const struct loam_adapter *adapter, const char *base_model,
                                   const char *revision, const char *directory, struct loam_error *error);

// Returns rank, alpha and dropout; those of its directory for an opened adapter.
struct loam_lora_settings loam_adapter_settings(const struct loam_adapter *adapter);
// Returns the text of the targets, released with free(); NULL and a filled error on failure.
char *loam_adapter_targets(const struct loam_adapter *adapter, struct loam_error *error);
// Returns what is trained as a whole: "modules to save norm, biases all"; empty: nothing. Released with free(); NULL
// and a filled error on failure.
char *loam_adapter_whole(const struct loam_adapter *adapter, struct loam_error *error);
int64_t loam_adapter_parameters(const struct loam_adapter *adapter);

#endif
