// A GGUF file: its metadata, names, shapes and places. Every tensor must be inside the file.
#include "stored_tensor.h"

static volatile uint8_t sink; // keeps the compiler from removing the reads

static void check_tensor(const struct loam_container *file, const struct loam_stored_tensor *tensor,
                         size_t *total)
{
    const uint64_t bytes = fuzz_require_tensor(file, tensor);
    fuzz_require(bytes == tensor->bytes);
    for (size_t i = 0; i < tensor->bytes; i++)
        sink = tensor->data[i];
    *total += tensor->bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct loam_error error;
    struct loam_container *file;
    const char *path = fuzz_write("adapter.gguf", data, size);
    enum loam_status status = loam_container_open_file(&file, path, &error);
    fuzz_require_message(status, &error);
    if (status != LOAM_OK) return 0;
    size_t total = 0;
    for (size_t i = 0; i < loam_container_count(file); i++)
        check_tensor(file, loam_container_at(file, i), &total);
    fuzz_require(total <= size);
    loam_container_metadata(file, "adapter.lora.alpha");
    loam_container_destroy(file);
    return 0;
}
