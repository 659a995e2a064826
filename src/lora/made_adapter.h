// Adapters that are computed from others and written module by module. Needs no model.
#ifndef LOAM_LORA_MADE_ADAPTER_H
#define LOAM_LORA_MADE_ADAPTER_H

#include "base/event.h"
#include "lora/adapter_config.h"

struct loam_made_module {
    const char *path;
    int64_t rank, in, out;
    double scale; // of the update, y += scale B A x
};

// Places for the values of one module.
struct loam_made_values {
    float *a;         // [rank, in]
    float *b;         // [out, rank]
    float *magnitude; // [out]; NULL without DoRA
};

struct loam_made_adapter {
    const struct loam_made_module *modules; // [count]
    size_t count;
    bool dora;
    // Computes the values of a module. They are zero before.
    enum loam_status (*compute)(void *user, size_t module, const struct loam_made_values *values,
                                struct loam_error *error);
    void *user;
};

// Sets rank and alpha of the config to those of the first module, and the patterns to those that differ.
enum loam_status loam_made_adapter_describe(const struct loam_made_adapter *made,
                                            struct loam_adapter_config *config, struct loam_error *error);
// Sets the targets of the config to the paths of the modules.
enum loam_status loam_made_adapter_target_paths(const struct loam_made_adapter *made,
                                                struct loam_adapter_config *config, struct loam_error *error);
int64_t loam_made_adapter_parameters(const struct loam_made_adapter *made);

// The form in which an adapter is written.
struct loam_made_form {
    const char *weights; // name of the safetensors file
    const char *last;    // the file by which readers know the directory
    bool transposed;     // A is [in, rank] and B [rank, out]
    // Returns the name of a tensor (enum loam_adapter_part), released with free().
    char *(*name)(void *user, const char *path, int part, struct loam_error *error);
    // Writes the other files.
    enum loam_status (*finish)(void *user, const struct loam_made_adapter *made, const char *directory,
                               struct loam_error *error);
    void *user;
};
// Writes the tensors in f32 and the other files. Memory holds one module at a time. After a failure nothing is left.
// Values that are not finite are LOAM_ERROR_NUMERIC.
enum loam_status loam_made_adapter_write_as(const struct loam_made_adapter *made,
                                            const struct loam_made_form *form, const char *directory,
                                            bool overwrite, const struct loam_callbacks *callbacks,
                                            struct loam_error *error);

struct loam_made_output {
    const char *directory;
    bool overwrite;
    const char *base_model; // NULL: none
    const char *revision;   // NULL: none
    const struct loam_callbacks *callbacks;
};
// Writes PEFT's adapter_model.safetensors and adapter_config.json.
enum loam_status loam_made_adapter_write(const struct loam_made_adapter *made,
                                         const struct loam_adapter_config *config,
                                         const struct loam_made_output *output, struct loam_error *error);

#endif
