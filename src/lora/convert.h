// Conversion of an adapter from one program's form to another's: PEFT, mlx-lm, and GGUF of llama.cpp as a source.
#ifndef LOAM_LORA_CONVERT_H
#define LOAM_LORA_CONVERT_H

#include "base/event.h"

enum loam_adapter_form { LOAM_FORM_PEFT, LOAM_FORM_MLX, LOAM_FORM_GGUF };

struct loam_convert_settings {
    const char *model;         // directory of the base; its weights are read for copies of them alone
    const char *base_model;    // the name of the base for the new adapter
    const char *revision;      // of the base; NULL: the newest
    const char *path;          // directory of the adapter, or a GGUF file
    enum loam_adapter_form to; // PEFT or MLX
    const char *out;           // directory
    bool overwrite;
    const struct loam_callbacks *callbacks; // for the log and for progress; NULL: none
};

struct loam_convert_result {
    enum loam_adapter_form from;
    size_t modules;
    int64_t rank; // the largest
    int64_t parameters;
};

// "PEFT", "mlx-lm", "GGUF".
const char *loam_adapter_form_name(enum loam_adapter_form form);
// Finds the form of an adapter by the files of its directory, or by the first bytes of a file.
enum loam_status loam_adapter_form_find(const char *path, enum loam_adapter_form *form,
                                        struct loam_error *error);
// Reads the adapter and writes `out` in f32. What the other form cannot hold is an error that names it.
enum loam_status loam_adapter_convert(const struct loam_convert_settings *settings,
                                      struct loam_convert_result *result, struct loam_error *error);

#endif
