// A GGUF file: its metadata, names, shapes and places. Every tensor must be inside the file. The chat template of the
// metadata is found without the tensors.
#include "stored_tensor.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "chat/source_gguf.h"

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

static void find_template(const char *path)
{
    struct loam_error error;
    struct loam_bytes text = {0};
    char *origin;
    const enum loam_status status = loam_chat_source_gguf(path, true, &text, &origin, &error);
    fuzz_require_message(status, &error);
    fuzz_require(status != LOAM_OK || origin == NULL || text.data != NULL);
    loam_bytes_deinit(&text);
    free(origin);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct loam_error error;
    struct loam_container *file;
    const char *path = fuzz_write("adapter.gguf", data, size);
    find_template(path);
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
