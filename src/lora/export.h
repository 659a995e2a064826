// Conversion of an adapter to a GGUF LoRA, which llama.cpp loads beside the GGUF of the base.
#ifndef LOAM_LORA_EXPORT_H
#define LOAM_LORA_EXPORT_H

#include "base/event.h"
#include "tensor/tensor.h"

struct loam_export_settings {
    const char *model;     // directory; only its config.json is read
    const char *adapter;   // directory
    const char *path;      // the file to write
    enum loam_dtype dtype; // f32 or f16
    bool overwrite;
    const struct loam_callbacks *callbacks; // for the log and for progress; NULL: none
};

struct loam_export_result {
    size_t modules; // adapted linears, two tensors each
    size_t bytes;   // bytes of the tensors
};

// Writes `path` atomically, with llama.cpp's names: A unchanged, and B with its rows in GGUF's order. The
// format has one alpha, and its reader scales by alpha / r. If an adapter has another scale, B is multiplied
// by the quotient of the two. A value that f16 cannot hold is LOAM_ERROR_NUMERIC.
enum loam_status loam_export_gguf(const struct loam_export_settings *settings,
                                  struct loam_export_result *result, struct loam_error *error);

#endif
