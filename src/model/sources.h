// Which tensor of a checkpoint is which parameter of a model.
#ifndef LOAM_MODEL_SOURCES_H
#define LOAM_MODEL_SOURCES_H

#include "model/model.h"

// Fills sources[parameter_count] with the stored tensor of each parameter, of the shape that config.json
// makes and in f32, f16 or bf16. Names with and without the family's prefix are the same, and
// so are those of a text model within a multimodal one, whose other parts are passed over. A tensor that is
// missing or misshapen, or that no row claims, is refused by name; known buffers of old checkpoints and the
// copy of a tied head (loam_model_settle_head) are passed over. `directory` is for messages.
enum loam_status loam_model_find_sources(const struct loam_model *model, const struct loam_container *file,
                                         const char *directory, const struct loam_stored_tensor **sources,
                                         struct loam_error *error);

#endif
