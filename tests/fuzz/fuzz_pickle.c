// The pickle of a state dictionary. Names and storages must lie within it.
#include "fuzz.h"
#include "io/pickle.h"

static void check_text(const struct loam_pickled_text *text, const uint8_t *data, size_t size)
{
    fuzz_require(text->text >= data && text->text <= data + size);
    fuzz_require(text->size <= (size_t)(data + size - text->text));
}

static void check_tensor(const struct loam_pickled_tensor *tensor, const uint8_t *data, size_t size)
{
    check_text(&tensor->name, data, size);
    check_text(&tensor->storage, data, size);
    fuzz_require(tensor->type->size >= 1 && tensor->type->size <= 8);
    fuzz_require(tensor->elements >= 0 && tensor->offset >= 0);
    fuzz_require(tensor->rank >= 0 && tensor->rank <= LOAM_MAX_RANK);
    for (int i = 0; i < tensor->rank; i++)
        fuzz_require(tensor->shape[i] >= 0 && tensor->stride[i] >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct loam_error error;
    struct loam_pickled_tensors tensors;
    enum loam_status status = loam_pickle_read(&tensors, data, size, "data.pkl", &error);
    fuzz_require_message(status, &error);
    if (status != LOAM_OK) return 0;
    for (size_t i = 0; i < tensors.count; i++)
        check_tensor(&tensors.items[i], data, size);
    loam_pickled_tensors_deinit(&tensors);
    return 0;
}
