// Changes a few values in the text of a config.json.
#ifndef LOAM_MODEL_CONFIG_TEXT_H
#define LOAM_MODEL_CONFIG_TEXT_H

#include "base/bytes.h"
#include "model/config.h"

// Appends `text`, a config.json, to `out` with its "dtype" and "torch_dtype" (the names in transformers 4 and
// 5) set to `dtype` (f32, f16 or bf16), and nothing else changed; where it has neither, the older one is
// added.
enum loam_status loam_config_set_dtype(struct loam_bytes *out, const char *text, size_t size,
                                       enum loam_dtype dtype, struct loam_error *error);
// Appends `text` to `out` with "tie_word_embeddings" set to false.
enum loam_status loam_config_set_untied(struct loam_bytes *out, const char *text, size_t size,
                                        struct loam_error *error);

// Rewrites DIRECTORY/config.json, a copy of the base's, where it does not describe the tensors that are
// written beside it: `dtype` is that of all of them (LOAM_DTYPE_NONE: each has the base's), and the head of
// `config` may be its own although the file ties it. Of a multimodal model the text part is written, as a model of its own.
enum loam_status loam_config_rewrite(const char *directory, const struct loam_config *config,
                                     enum loam_dtype dtype, struct loam_error *error);

#endif
