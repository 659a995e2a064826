#include "helpers/gguf.h"

#include "tensor/tensor.h"
#include "test.h"

void test_gguf_put(struct loam_bytes *bytes, uint64_t number, size_t size)
{
    struct loam_error error;
    for (size_t i = 0; i < size; i++) {
        char byte = (char)(number >> (8 * i));
        assert_ok(loam_bytes_append(bytes, &byte, 1, &error));
    }
}

void test_gguf_put_text(struct loam_bytes *bytes, const char *text)
{
    struct loam_error error;
    test_gguf_put(bytes, strlen(text), 8);
    assert_ok(loam_bytes_append_text(bytes, text, &error));
}

enum loam_status test_gguf_fill(void *user, size_t index, size_t first, size_t count, void *block,
                                struct loam_error *error)
{
    const struct loam_write_tensor *tensors = user;
    (void)error;
    for (size_t i = 0; i < count; i++) {
        float value = (float)(index + 1) + (float)(first + i);
        loam_convert((char *)block + i * loam_dtype_size(tensors[index].dtype), tensors[index].dtype, &value,
                     LOAM_F32, 1);
    }
    return LOAM_OK;
}
