#include "stored_tensor.h"

uint64_t fuzz_require_tensor(const struct loam_container *file, const struct loam_stored_tensor *tensor)
{
    fuzz_require(loam_container_find(file, tensor->name) == tensor);
    fuzz_require(tensor->rank >= 0 && tensor->rank <= LOAM_MAX_RANK);
    uint64_t bytes = loam_format_row(tensor->format)->bytes;
    for (int i = 0; i < tensor->rank; i++) {
        fuzz_require(tensor->shape[i] >= 0);
        fuzz_require(!__builtin_mul_overflow(bytes, (uint64_t)tensor->shape[i], &bytes));
    }
    return bytes;
}
