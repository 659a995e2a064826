// The state of a conversion, shared by its files.
#ifndef LOAM_LORA_CONVERSION_H
#define LOAM_LORA_CONVERSION_H

#include "lora/adapter.h"
#include "lora/convert.h"
#include "lora/made_adapter.h"

// The matrices of a module in the source.
struct loam_converted_part {
    const struct loam_linear *linear;
    const struct loam_stored_tensor *a;         // [r, in], or [in, r] of mlx-lm
    const struct loam_stored_tensor *b;         // [out, r], or [r, out] of mlx-lm
    const struct loam_stored_tensor *magnitude; // [out]; NULL without DoRA
    int64_t rank;                               // that of the new module may be larger
    double factor;                              // of B in the new adapter
};

struct loam_conversion {
    const struct loam_convert_settings *settings;
    enum loam_adapter_form from;
    struct loam_model *model;          // names and shapes
    struct loam_container *file;       // of mlx-lm and GGUF
    struct loam_adapter *adapter;      // of PEFT
    struct loam_converted_part *parts; // [count] in model order
    struct loam_made_module *modules;  // [count]
    size_t count;
    struct loam_adapter_config config; // of the new adapter
};

// Each reader fills parts, modules and the dropout and DoRA of the config.
enum loam_status loam_conversion_read_mlx(struct loam_conversion *conversion, struct loam_error *error);
enum loam_status loam_conversion_read_gguf(struct loam_conversion *conversion, struct loam_error *error);
enum loam_status loam_conversion_write_mlx(struct loam_conversion *conversion,
                                           const struct loam_made_adapter *made, struct loam_error *error);

// Finds a pair in the container: NAME + ends[0] and NAME + ends[1], and marks them in `used` [tensors]. Both are NULL
// where the file has neither; one alone is an error.
enum loam_status loam_conversion_find_pair(const struct loam_conversion *conversion, const char *name,
                                           const char *const ends[2], bool *used,
                                           struct loam_converted_part *part, struct loam_error *error);
// Fails on a tensor that is not marked.
enum loam_status loam_conversion_check_used(const struct loam_conversion *conversion, const bool *used,
                                            struct loam_error *error);
// Adds a module with the scale of its update, after a check of its shapes.
enum loam_status loam_conversion_add(struct loam_conversion *conversion,
                                     const struct loam_converted_part *part, double scale,
                                     struct loam_error *error);

#endif
