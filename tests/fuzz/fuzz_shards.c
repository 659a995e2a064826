// A sharded model. The input is model.safetensors.index.json, a 0xFF byte and the shard "a.safetensors". The
// shard "b.safetensors" with the tensor "b" is fixed.
#include "base/file.h"
#include "fuzz.h"
#include "io/container.h"

static void write_b(void)
{
    static const char header[] = "{\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}";
    char file[8 + sizeof header - 1 + 4] = {sizeof header - 1};
    for (size_t i = 0; i < sizeof header - 1; i++)
        file[8 + i] = header[i];
    (void)fuzz_write("b.safetensors", file, sizeof file);
}

static void check(const struct loam_container *file)
{
    for (size_t i = 0; i < loam_container_count(file); i++) {
        const struct loam_stored_tensor *tensor = loam_container_at(file, i);
        fuzz_require(loam_container_find(file, tensor->name) == tensor);
        fuzz_require(loam_file_exists(tensor->file));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_part rest = {data, size};
    struct fuzz_part index = fuzz_next_part(&rest, 0);
    (void)fuzz_write("model.safetensors.index.json", index.data, index.size);
    (void)fuzz_write("a.safetensors", rest.data, rest.size);
    write_b();
    struct loam_error error;
    struct loam_container *file;
    enum loam_status status = loam_container_open_directory(&file, fuzz_directory(), &error);
    fuzz_require_message(status, &error);
    if (status != LOAM_OK) return 0;
    check(file);
    loam_container_destroy(file);
    return 0;
}
