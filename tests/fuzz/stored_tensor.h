// What must hold for a tensor of any container.
#ifndef LOAM_TESTS_FUZZ_STORED_TENSOR_H
#define LOAM_TESTS_FUZZ_STORED_TENSOR_H

#include "fuzz.h"
#include "io/container.h"

// Requires that the file finds the tensor by its name, and that its shape has a size. Returns the bytes that format and
// shape ask for.
uint64_t fuzz_require_tensor(const struct loam_container *file, const struct loam_stored_tensor *tensor);

#endif
