// A file of torch.save: the zip archive, the pickle in it and the storages.
#include "stored_tensor.h"

static volatile uint8_t sink; // keeps the compiler from removing the reads

// Tensors may share a storage, so only the ends of each are read.
static void check_tensor(const struct loam_container *file, const struct loam_stored_tensor *tensor)
{
    const uint64_t bytes = fuzz_require_tensor(file, tensor);
    fuzz_require(tensor->format == LOAM_FORMAT_NONE || bytes == tensor->bytes);
    if (tensor->bytes == 0) return;
    sink = tensor->data[0];
    sink = tensor->data[tensor->bytes - 1];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct loam_error error;
    struct loam_container *file;
    const char *path = fuzz_write("pytorch_model.bin", data, size);
    enum loam_status status = loam_container_open_file(&file, path, &error);
    fuzz_require_message(status, &error);
    if (status != LOAM_OK) return 0;
    for (size_t i = 0; i < loam_container_count(file); i++) {
        const struct loam_stored_tensor *tensor = loam_container_at(file, i);
        fuzz_require(tensor->bytes <= size);
        check_tensor(file, tensor);
    }
    loam_container_destroy(file);
    return 0;
}
