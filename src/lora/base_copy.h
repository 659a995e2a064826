// The copy of a base weight that PEFT saves in the file of an adapter.
#ifndef LOAM_LORA_BASE_COPY_H
#define LOAM_LORA_BASE_COPY_H

#include "io/container.h"
#include "model/model.h"

// Sets `*differs` to whether the copy has other values than the weight, each as the narrower of the two formats rounds
// it. The weight is stored (`source`) or, where that is NULL, in the memory of `device`. Where it is in neither, only
// shapes are compared. Fails on another shape, which PEFT refuses too, and on a format that loam does not decode.
enum loam_status loam_base_copy_compare(const struct loam_stored_tensor *copy,
                                        const struct loam_parameter *weight,
                                        const struct loam_stored_tensor *source,
                                        const struct loam_device *device, bool *differs,
                                        struct loam_error *error);

#endif
