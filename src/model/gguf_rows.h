// The order of a weight's rows in GGUF.
#ifndef LOAM_MODEL_GGUF_ROWS_H
#define LOAM_MODEL_GGUF_ROWS_H

#include "model/config.h"

// The row of the checkpoint's own layout that stands at `row` in GGUF.
int64_t loam_gguf_source_row(const struct loam_config *config, enum loam_gguf_rows order, int64_t row);

#endif
