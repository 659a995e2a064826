// An adapter as a GGUF LoRA, as llama.cpp loads it beside the base's GGUF.
#ifndef LOAM_LORA_EXPORT_H
#define LOAM_LORA_EXPORT_H

#include "base/event.h"
#include "tensor/tensor.h"

struct loam_export_settings {
    const char *model;     // directory; its config.json suffices
    const char *adapter;   // directory
    const char *path;      // the file to write
    enum loam_dtype dtype; // f32 or f16
    bool overwrite;
    const struct loam_callbacks *callbacks; // for the log and for progress; NULL: none
};

struct loam_export_result {
    size_t modules; // adapted linears, two tensors each
    size_t bytes;   // of their tensors
};

// Writes `path`, atomically: A as it is and B with its rows in GGUF's order, under llama.cpp's names. The
// format has one alpha, and its reader scales by alpha / r; where an adapter's scale is another, B carries
// the rest. A value that f16 cannot hold is LOAM_ERROR_NUMERIC.
enum loam_status loam_export_gguf(const struct loam_export_settings *settings,
                                  struct loam_export_result *result, struct loam_error *error);

#endif
