// A weight in GGUF: its name and the order of its rows.
#ifndef LOAM_MODEL_GGUF_ROWS_H
#define LOAM_MODEL_GGUF_ROWS_H

#include "model/model.h"

// Returns llama.cpp's name of a tensor of a layer, "blk.3.attn_q.weight", released with free(). The weight's family has
// an architecture in GGUF.
char *loam_gguf_tensor_name(const struct loam_parameter *weight, struct loam_error *error);
// The row of the checkpoint's own layout that stands at `row` in GGUF.
int64_t loam_gguf_source_row(const struct loam_config *config, enum loam_gguf_rows order, int64_t row);

#endif
