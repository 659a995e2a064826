// adapter_config.json as PEFT writes and reads it.
#ifndef LOAM_LORA_ADAPTER_CONFIG_H
#define LOAM_LORA_ADAPTER_CONFIG_H

#include "lora/lora.h"
#include "lora/module_values.h"
#include "lora/target.h"

struct loam_adapter_config {
    int rank;
    double alpha;
    double dropout;
    enum loam_lora_init init;
    bool rslora;                      // the scale is alpha / sqrt(rank)
    struct loam_module_values ranks;  // of modules that have another rank
    struct loam_module_values alphas; // or another alpha
    struct loam_targets targets;
    char *base_model; // as the file names it; NULL: it does not
    char *revision;   // of the base; NULL: not said
    char *notice;     // keys that loam does not know and left alone, for a log line; NULL: none
};

// Reads DIRECTORY/adapter_config.json. What would change the mathematics and is not built is
// LOAM_ERROR_UNSUPPORTED by name.
enum loam_status loam_adapter_config_load(struct loam_adapter_config *config, const char *directory,
                                          struct loam_error *error);
// The rank of one module, and what its B A x is multiplied with.
enum loam_status loam_adapter_config_module(const struct loam_adapter_config *config, const char *module,
                                            int *rank, double *scale, struct loam_error *error);
void loam_adapter_config_deinit(struct loam_adapter_config *config);

// Writes DIRECTORY/adapter_config.json, atomically. `revision` may be NULL.
enum loam_status loam_adapter_config_save(const struct loam_adapter_config *config, const char *base_model,
                                          const char *revision, const char *directory,
                                          struct loam_error *error);

#endif
