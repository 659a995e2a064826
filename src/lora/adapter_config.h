// adapter_config.json as PEFT writes and reads it.
#ifndef LOAM_LORA_ADAPTER_CONFIG_H
#define LOAM_LORA_ADAPTER_CONFIG_H

#include "lora/layer_choice.h"
#include "lora/lora.h"
#include "lora/module_values.h"
#include "lora/target.h"
#include "lora/token_choice.h"

enum { LOAM_LARGEST_RANK = 1 << 16 }; // above any dimension of a layer

struct loam_adapter_config {
    int rank;
    double alpha;
    double dropout;
    struct loam_lora_init_choice init;
    bool rslora;         // the scale is alpha / sqrt(rank)
    bool fan_in_fan_out; // the adapted weights are stored transposed; follows from the model
    bool dora;           // each module has a magnitude
    bool lora_bias;      // each B has a bias
    struct loam_token_choice trained_tokens; // tokens with rows of their own
    struct loam_module_values ranks;         // modules with another rank
    struct loam_module_values alphas;        // modules with another alpha
    struct loam_targets targets;
    struct loam_targets excluded;    // no entries: none
    struct loam_layer_choice layers; // of a list of targets
    struct loam_targets saved;       // modules_to_save, a list; no entries: none
    enum loam_lora_bias bias;
    bool ensure_weight_tying;
    bool has_tied_head; // the file holds a head that ensure_weight_tying ties
    bool fresh;         // of settings, not of a file
    bool excludes_none; // exclude_modules leaves out no target
    char *base_model;   // name of the base in the file; NULL: none
    char *revision;     // revision of the base; NULL: none
    char *notice;       // warnings, one a line; NULL: none
};

// One adapted module, for notices.
struct loam_module_size {
    const char *path;
    int64_t rank;
    int64_t in;
    int64_t out;
};

// Reads DIRECTORY/adapter_config.json. A setting that changes the mathematics and is not supported is
// LOAM_ERROR_UNSUPPORTED; the message names it.
enum loam_status loam_adapter_config_load(struct loam_adapter_config *config, const char *directory,
                                          struct loam_error *error);
// Computes the rank of a module and the scale of its update, y += scale B A x.
enum loam_status loam_adapter_config_module(const struct loam_adapter_config *config, const char *module,
                                            int *rank, double *scale, struct loam_error *error);
// Returns whether a module is adapted: a target that is neither excluded, nor within a module that modules_to_save
// names, nor outside the chosen layers.
enum loam_status loam_adapter_config_adapts(const struct loam_adapter_config *config, const char *module,
                                            bool *adapts, struct loam_error *error);
// Returns whether an entry of modules_to_save stands for a module that holds the parameter: a path that ends in
// the entry.
bool loam_saved_entry_matches(const char *entry, const char *parameter);
bool loam_adapter_config_saves(const struct loam_adapter_config *config, const char *parameter);
// Fails on initial weights that do not go with the other settings.
enum loam_status loam_adapter_config_check_init(const struct loam_adapter_config *config,
                                                struct loam_error *error);
// Fails if the adapter belongs to a base that is changed when it is loaded, as PEFT saves PiSSA and OLoRA. `directory`
// is for the message.
enum loam_status loam_adapter_config_check_separate(const struct loam_adapter_config *config,
                                                    const char *directory, struct loam_error *error);
// Fails on a choice of layers for targets that PEFT does not narrow.
enum loam_status loam_adapter_config_check_layers(const struct loam_adapter_config *config,
                                                  struct loam_error *error);
void loam_adapter_config_deinit(struct loam_adapter_config *config);
// Returns whether 0 <= dropout < 1 in f32, the dtype of the ops.
bool loam_lora_dropout_valid(double dropout);

// Adds a line to the notice.
enum loam_status loam_adapter_config_note(struct loam_adapter_config *config, struct loam_error *error,
                                          const char *format, ...) LOAM_PRINTF(3, 4);
// Adds notices about settings without effect: names in a list of targets and keys of the patterns that match
// no adapted module, keys whose modules all match an earlier key, and ranks above a dimension.
enum loam_status loam_adapter_config_note_unused(struct loam_adapter_config *config,
                                                 const struct loam_module_size *modules, size_t count,
                                                 struct loam_error *error);
// Logs the lines of the notice as warnings.
void loam_adapter_config_warn(const struct loam_adapter_config *config, const struct loam_log *log);

// Writes DIRECTORY/adapter_config.json, atomically. `base_model` and `revision` may be NULL.
enum loam_status loam_adapter_config_save(const struct loam_adapter_config *config, const char *base_model,
                                          const char *revision, const char *directory,
                                          struct loam_error *error);

#endif
