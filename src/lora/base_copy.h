// The copy of a base weight that PEFT saves beside an adapter of the embedding or the head.
#ifndef LOAM_LORA_BASE_COPY_H
#define LOAM_LORA_BASE_COPY_H

#include "io/container.h"
#include "model/model.h"

// Fails unless the copy has the values of the weight, each as the narrower of the two formats rounds it. The
// weight is in the memory of the stream's device, or stored (`source`; else NULL). Without either, only shapes
// are compared.
enum loam_status loam_base_copy_check(const struct loam_stored_tensor *copy,
                                      const struct loam_parameter *weight,
                                      const struct loam_stored_tensor *source, struct loam_stream *stream,
                                      struct loam_error *error);

#endif
