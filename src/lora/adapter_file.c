// Adapter directories: adapter_config.json with adapter_model.safetensors.
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/heap.h"
#include "lora/adapter.h"

static const char weights_name[] = "adapter_model.safetensors";
static const char pickled_name[] = "adapter_model.bin";

// ---- names ----

struct matrix_name {
    const char *path; // module path, in the tensor's name
    size_t path_size;
    char matrix; // 'A' or 'B'; 0: no LoRA matrix
};

static bool take_prefix(const char **text, const char *prefix)
{
    size_t size = strlen(prefix);
    if (strncmp(*text, prefix, size) != 0) return false;
    *text += size;
    return true;
}

// "[base_model.model.]PATH.lora_A[.default].weight": PEFT writes the first part and leaves out the adapter's
// name; raw state dictionaries have it the other way round.
static struct matrix_name parse_name(const char *name)
{
    static const struct {
        const char *suffix;
        char matrix;
    } endings[] = {
        {".lora_A.weight", 'A'},
        {".lora_B.weight", 'B'},
        {".lora_A.default.weight", 'A'},
        {".lora_B.default.weight", 'B'},
    };
    (void)take_prefix(&name, "base_model.model.");
    size_t size = strlen(name);
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        size_t suffix = strlen(endings[i].suffix);
        if (size > suffix && strcmp(name + size - suffix, endings[i].suffix) == 0)
            return (struct matrix_name){name, size - suffix, endings[i].matrix};
    }
    return (struct matrix_name){name, size, 0};
}

// Whether a tensor's path is the linear's, which may go without the family's prefix ("transformer.").
static bool names_linear(const struct matrix_name *name, const struct loam_linear *linear, const char *prefix)
{
    const char *path = linear->path;
    if (strlen(path) == name->path_size && strncmp(path, name->path, name->path_size) == 0) return true;
    if (prefix == NULL || !take_prefix(&path, prefix)) return false;
    return strlen(path) == name->path_size && strncmp(path, name->path, name->path_size) == 0;
}

static bool model_has(const struct loam_model *model, const struct matrix_name *name)
{
    const struct loam_linear *linear;
    for (size_t i = 0; (linear = loam_model_linear_at(model, i)) != NULL; i++) {
        if (names_linear(name, linear, model->config.family->prefix)) return true;
    }
    return false;
}

// ---- opening ----

static const char *base_of(const struct loam_adapter *adapter)
{
    return adapter->config.base_model != NULL ? adapter->config.base_model : "not named";
}

static enum loam_status fail_unclaimed(const struct loam_adapter *adapter,
                                       const struct loam_stored_tensor *tensor,
                                       const struct matrix_name *name, struct loam_error *error)
{
    if (name->matrix == 0) {
        return loam_fail(
            error, LOAM_ERROR_UNSUPPORTED,
            "%s: tensor \"%s\" is not a LoRA matrix of a linear module, which is all that loam has yet",
            tensor->file, tensor->name);
    }
    if (model_has(adapter->model, name)) {
        return loam_fail(
            error, LOAM_ERROR_FORMAT,
            "%s: tensor \"%s\" is for a module that \"target_modules\" in adapter_config.json leaves out",
            tensor->file, tensor->name);
    }
    return loam_fail(
        error, LOAM_ERROR_FORMAT,
        "%s: tensor \"%s\" is for a module that this model does not have; the adapter's base is \"%s\"",
        tensor->file, tensor->name, base_of(adapter));
}

static enum loam_status claim(struct loam_adapter *adapter, const struct loam_stored_tensor *tensor,
                              struct loam_error *error)
{
    struct matrix_name name = parse_name(tensor->name);
    struct loam_adapted *item = NULL;
    for (size_t i = 0; i < adapter->count && item == NULL && name.matrix != 0; i++) {
        if (names_linear(&name, adapter->items[i].linear, adapter->model->config.family->prefix))
            item = &adapter->items[i];
    }
    if (item == NULL) return fail_unclaimed(adapter, tensor, &name, error);
    const struct loam_stored_tensor **place = name.matrix == 'A' ? &item->stored_a : &item->stored_b;
    if (*place != NULL) {
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: tensors \"%s\" and \"%s\" are the same matrix",
                         tensor->file, (*place)->name, tensor->name);
    }
    *place = tensor;
    return LOAM_OK;
}

// `wanted` is the matrix's shape in the model.
static enum loam_status check_stored(const struct loam_adapter *adapter,
                                     const struct loam_stored_tensor *stored, const char *name, int rank,
                                     const struct loam_tensor *wanted, struct loam_error *error)
{
    if (stored == NULL) {
        return loam_fail(
            error, LOAM_ERROR_FORMAT,
            "%s: no tensor \"%s\", which \"target_modules\" in adapter_config.json asks for; the "
            "adapter's base is \"%s\"",
            loam_safetensors_at(adapter->file, 0)->file, name, base_of(adapter));
    }
    if (stored->dtype != LOAM_F32 && stored->dtype != LOAM_F16 && stored->dtype != LOAM_BF16) {
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED, "%s: tensor \"%s\" is %s; expected f32, f16 or bf16",
                         stored->file, stored->name, loam_dtype_name(stored->dtype));
    }
    if (stored->rank == 2 && stored->shape[0] == wanted->shape[0] && stored->shape[1] == wanted->shape[1])
        return LOAM_OK;
    char found[64] = "of rank other than 2";
    if (stored->rank == 2) {
        snprintf(found, sizeof found, "[%lld, %lld]", (long long)stored->shape[0],
                 (long long)stored->shape[1]);
    }
    return loam_fail(
        error, LOAM_ERROR_FORMAT,
        "%s: tensor \"%s\" is %s; this model and rank %d ask for [%lld, %lld]; the adapter's base is "
        "\"%s\"",
        stored->file, stored->name, found, rank, (long long)wanted->shape[0], (long long)wanted->shape[1],
        base_of(adapter));
}

static enum loam_status claim_all(struct loam_adapter *adapter, struct loam_error *error)
{
    size_t stored = loam_safetensors_count(adapter->file);
    if (stored == 0) return loam_fail(error, LOAM_ERROR_FORMAT, "%s: no tensors", weights_name);
    for (size_t i = 0; i < stored; i++)
        LOAM_TRY(claim(adapter, loam_safetensors_at(adapter->file, i), error));
    for (size_t i = 0; i < adapter->count; i++) {
        const struct loam_adapted *item = &adapter->items[i];
        const struct loam_lora_slot *slot = &item->linear->lora;
        LOAM_TRY(check_stored(adapter, item->stored_a, item->name_a, slot->rank, &slot->a, error));
        LOAM_TRY(check_stored(adapter, item->stored_b, item->name_b, slot->rank, &slot->b, error));
    }
    return LOAM_OK;
}

static enum loam_status open_weights(struct loam_adapter *adapter, const char *directory,
                                     struct loam_error *error)
{
    char *path = loam_path_join(directory, weights_name, error);
    char *pickled = loam_path_join(directory, pickled_name, error);
    enum loam_status status = LOAM_ERROR_MEMORY;
    if (path != NULL && pickled != NULL) {
        if (!loam_file_exists(path) && loam_file_exists(pickled)) {
            status = loam_fail(
                error, LOAM_ERROR_UNSUPPORTED,
                "%s: a pickled adapter, which loam does not read; save it again with a PEFT that writes "
                "%s",
                pickled, weights_name);
        } else {
            status = loam_safetensors_open_file(&adapter->file, path, error);
        }
    }
    free(path);
    free(pickled);
    if (status != LOAM_OK) return status;
    return claim_all(adapter, error);
}

// Own memory for an adapter that is not trained: one arena, counted and then taken.
static enum loam_status allocate(struct loam_adapter *adapter, struct loam_error *error)
{
    const struct loam_device *device = adapter->model->device;
    if (device == NULL) {
        return loam_fail(error, LOAM_ERROR_INTERNAL, "an adapter is opened after its model is loaded");
    }
    struct loam_arena counting;
    loam_arena_init_counting(&counting);
    for (size_t i = 0; i < adapter->count; i++) {
        const struct loam_lora_slot *slot = &adapter->items[i].linear->lora;
        loam_arena_alloc(&counting, loam_tensor_bytes(&slot->a));
        loam_arena_alloc(&counting, loam_tensor_bytes(&slot->b));
    }
    LOAM_TRY(device->memory->arena_init(&adapter->arena, counting.used, true, error));
    for (size_t i = 0; i < adapter->count; i++) {
        struct loam_lora_slot *slot = &adapter->items[i].linear->lora;
        slot->a.data = loam_arena_alloc(&adapter->arena, loam_tensor_bytes(&slot->a));
        slot->b.data = loam_arena_alloc(&adapter->arena, loam_tensor_bytes(&slot->b));
    }
    return LOAM_OK;
}

static enum loam_status prepare(struct loam_adapter *adapter, const char *directory,
                                struct loam_trainables *set, struct loam_error *error)
{
    LOAM_TRY(open_weights(adapter, directory, error));
    if (set != NULL) return loam_adapter_register(adapter, set, error);
    LOAM_TRY(allocate(adapter, error));
    return loam_adapter_fill(adapter, error);
}

// Says whose adapter it is that does not go with the model. The config may be gone by now: `base` is its own.
static enum loam_status attach_named(struct loam_adapter **out, struct loam_model *model,
                                     struct loam_adapter_config *config, const char *directory,
                                     const char *base, struct loam_error *error)
{
    enum loam_status status = loam_adapter_attach(out, model, config, false, error);
    if (status == LOAM_ERROR_ARGUMENT)
        (void)loam_fail_prefix(error, "%s, an adapter for \"%s\"", directory, base);
    return status;
}

static enum loam_status load_and_attach(struct loam_adapter **out, struct loam_model *model,
                                        const char *directory, struct loam_error *error)
{
    struct loam_adapter_config config;
    LOAM_TRY(loam_adapter_config_load(&config, directory, error));
    char *base = loam_strdup(config.base_model != NULL ? config.base_model : "a base not named", error);
    if (base == NULL) {
        loam_adapter_config_deinit(&config);
        return LOAM_ERROR_MEMORY;
    }
    enum loam_status status = attach_named(out, model, &config, directory, base, error);
    free(base);
    return status;
}

enum loam_status loam_adapter_open(struct loam_adapter **out, struct loam_model *model, const char *directory,
                                   struct loam_trainables *set, struct loam_error *error)
{
    *out = NULL;
    struct loam_adapter *adapter;
    LOAM_TRY(load_and_attach(&adapter, model, directory, error));
    enum loam_status status = prepare(adapter, directory, set, error);
    if (status != LOAM_OK) {
        loam_adapter_destroy(adapter);
        return status;
    }
    *out = adapter;
    return LOAM_OK;
}

enum loam_status loam_adapter_open_stored(struct loam_adapter **out, struct loam_model *model,
                                          const char *directory, struct loam_error *error)
{
    *out = NULL;
    struct loam_adapter *adapter;
    LOAM_TRY(load_and_attach(&adapter, model, directory, error));
    enum loam_status status = open_weights(adapter, directory, error);
    if (status != LOAM_OK) {
        loam_adapter_destroy(adapter);
        return status;
    }
    *out = adapter;
    return LOAM_OK;
}

// ---- filling ----

static enum loam_status fill_matrix(struct loam_stream *stream, const struct loam_tensor *target,
                                    const struct loam_stored_tensor *stored, struct loam_error *error)
{
    size_t bytes = loam_tensor_bytes(target);
    void *host = loam_calloc(bytes, 1, error);
    if (host == NULL) return LOAM_ERROR_MEMORY;
    loam_convert(host, LOAM_F32, stored->data, stored->dtype, (size_t)loam_tensor_count(target));
    loam_upload(stream, target->data, host, bytes);
    enum loam_status status = loam_stream_finish(stream, error);
    free(host);
    return status;
}

static enum loam_status fill_all(struct loam_adapter *adapter, struct loam_stream *stream,
                                 struct loam_error *error)
{
    for (size_t i = 0; i < adapter->count; i++) {
        struct loam_adapted *item = &adapter->items[i];
        LOAM_TRY(fill_matrix(stream, &item->linear->lora.a, item->stored_a, error));
        LOAM_TRY(fill_matrix(stream, &item->linear->lora.b, item->stored_b, error));
    }
    return LOAM_OK;
}

enum loam_status loam_adapter_fill(struct loam_adapter *adapter, struct loam_error *error)
{
    if (adapter->file == NULL) {
        return loam_fail(error, LOAM_ERROR_INTERNAL, "only an opened adapter is filled, and only once");
    }
    if (adapter->set != NULL) loam_adapter_point(adapter);
    if (adapter->model->device->planning) return LOAM_OK;
    struct loam_stream stream;
    LOAM_TRY(loam_stream_init(&stream, adapter->model->device, 0, error));
    enum loam_status status = fill_all(adapter, &stream, error);
    loam_stream_deinit(&stream);
    if (status != LOAM_OK) return status;
    for (size_t i = 0; i < adapter->count; i++) {
        adapter->items[i].stored_a = NULL;
        adapter->items[i].stored_b = NULL;
    }
    loam_safetensors_destroy(adapter->file);
    adapter->file = NULL;
    return LOAM_OK;
}

// ---- saving ----

static struct loam_write_tensor write_entry(const char *name, const struct loam_tensor *matrix,
                                            const void *host)
{
    return (struct loam_write_tensor){
        .name = name,
        .dtype = LOAM_F32,
        .rank = 2,
        .shape = {matrix->shape[0], matrix->shape[1]},
        .data = host,
    };
}

// Downloads every matrix into `host` and lists it in `entries` [2 count].
static void download_all(const struct loam_adapter *adapter, struct loam_stream *stream, char *host,
                         struct loam_write_tensor *entries)
{
    for (size_t i = 0; i < adapter->count; i++) {
        const struct loam_adapted *item = &adapter->items[i];
        const struct loam_lora_slot *slot = &item->linear->lora;
        size_t a_bytes = loam_tensor_bytes(&slot->a);
        size_t b_bytes = loam_tensor_bytes(&slot->b);
        loam_download(stream, host, slot->a.data, a_bytes);
        loam_download(stream, host + a_bytes, slot->b.data, b_bytes);
        entries[2 * i] = write_entry(item->name_a, &slot->a, host);
        entries[2 * i + 1] = write_entry(item->name_b, &slot->b, host + a_bytes);
        host += a_bytes + b_bytes;
    }
}

static enum loam_status save_weights(const struct loam_adapter *adapter, const char *path,
                                     struct loam_error *error)
{
    size_t bytes = (size_t)loam_adapter_parameters(adapter) * sizeof(float);
    char *host = loam_calloc(bytes, 1, error);
    struct loam_write_tensor *entries = loam_calloc(2 * adapter->count, sizeof *entries, error);
    enum loam_status status = host != NULL && entries != NULL ? LOAM_OK : LOAM_ERROR_MEMORY;
    struct loam_stream stream;
    if (status == LOAM_OK) status = loam_stream_init(&stream, adapter->model->device, 0, error);
    if (status == LOAM_OK) {
        download_all(adapter, &stream, host, entries);
        status = loam_stream_finish(&stream, error);
        loam_stream_deinit(&stream);
    }
    if (status == LOAM_OK) status = loam_safetensors_write(path, entries, 2 * adapter->count, error);
    free(entries);
    free(host);
    return status;
}

enum loam_status loam_adapter_save(const struct loam_adapter *adapter, const char *base_model,
                                   const char *revision, const char *directory, struct loam_error *error)
{
    char *path = loam_path_join(directory, weights_name, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = save_weights(adapter, path, error);
    free(path);
    // The config last: where it is, the matrices are.
    if (status == LOAM_OK)
        status = loam_adapter_config_save(&adapter->config, base_model, revision, directory, error);
    return status;
}
