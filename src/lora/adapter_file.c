// Adapter directories: adapter_config.json with adapter_model.safetensors.
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/heap.h"
#include "io/safetensors.h"
#include "lora/adapter.h"

static const char weights_name[] = "adapter_model.safetensors";

// ---- opening ----

static const char *base_of(const struct loam_adapter *adapter)
{
    return adapter->config.base_model != NULL ? adapter->config.base_model : "not named";
}

static bool has_linear(const struct loam_model *model, const char *path)
{
    const struct loam_linear *linear;
    for (size_t i = 0; (linear = loam_model_linear_at(model, i)) != NULL; i++) {
        if (strcmp(linear->path, path) == 0) return true;
    }
    return false;
}

static enum loam_status assign_matrices(struct loam_adapter *adapter, const struct loam_stored_module *module,
                                        struct loam_error *error)
{
    for (size_t i = 0; i < adapter->count; i++) {
        struct loam_adapted *item = &adapter->items[i];
        if (strcmp(item->linear->path, module->path) != 0) continue;
        item->parts[LOAM_PART_A].stored = module->a;
        item->parts[LOAM_PART_B].stored = module->b;
        item->parts[LOAM_PART_MAGNITUDE].stored = module->magnitude;
        return loam_stored_magnitude_check(module, &adapter->config, item->linear->out, error);
    }
    const struct loam_stored_tensor *tensor = loam_stored_module_tensor(module);
    if (has_linear(adapter->model, module->path))
        return loam_fail(
            error, LOAM_ERROR_FORMAT,
            "%s: tensor \"%s\" is for a module that \"target_modules\" in adapter_config.json leaves out",
            tensor->file, tensor->name);
    return loam_fail(
        error, LOAM_ERROR_FORMAT,
        "%s: tensor \"%s\" is for a module that this model does not have; the adapter's base is \"%s\"",
        tensor->file, tensor->name, base_of(adapter));
}

// `wanted` is the matrix's shape in the model.
static enum loam_status check_stored(const struct loam_adapter *adapter,
                                     const struct loam_stored_tensor *stored, const char *name, int rank,
                                     const struct loam_tensor *wanted, struct loam_error *error)
{
    if (stored != NULL)
        return loam_stored_matrix_check(stored, &adapter->config, rank, wanted->shape[0], wanted->shape[1],
                                        error);
    return loam_fail(error, LOAM_ERROR_FORMAT,
                     "%s: no tensor \"%s\", which \"target_modules\" in adapter_config.json asks for; the "
                     "adapter's base is \"%s\"",
                     loam_container_at(adapter->stored.file, 0)->file, name, base_of(adapter));
}

static enum loam_status open_weights(struct loam_adapter *adapter, const char *directory,
                                     struct loam_error *error)
{
    LOAM_TRY(loam_stored_adapter_open(&adapter->stored, directory, error));
    for (size_t i = 0; i < adapter->stored.count; i++)
        LOAM_TRY(assign_matrices(adapter, &adapter->stored.modules[i], error));
    for (size_t i = 0; i < adapter->count; i++) {
        const struct loam_adapted *item = &adapter->items[i];
        const struct loam_lora_slot *slot = item->slot;
        for (int p = LOAM_PART_A; p <= LOAM_PART_B; p++)
            LOAM_TRY(check_stored(adapter, item->parts[p].stored, item->parts[p].name, slot->rank,
                                  loam_adapted_value(item, p), error));
    }
    return LOAM_OK;
}

static void place_parts(const struct loam_adapter *adapter, struct loam_arena *arena, bool counting)
{
    for (size_t i = 0; i < adapter->count; i++) {
        const struct loam_adapted *item = &adapter->items[i];
        for (int p = 0; p < LOAM_PART_COUNT; p++) {
            if (item->parts[p].name == NULL) continue;
            struct loam_tensor *value = loam_adapted_value(item, p);
            void *data = loam_arena_alloc(arena, loam_tensor_bytes(value));
            if (!counting) value->data = data;
        }
    }
}

// Counts the bytes of all parts, then allocates them in one arena.
enum loam_status loam_adapter_allocate(struct loam_adapter *adapter, struct loam_error *error)
{
    const struct loam_device *device = adapter->model->device;
    if (device == NULL) {
        return loam_fail(error, LOAM_ERROR_INTERNAL, "an adapter is opened after its model is loaded");
    }
    struct loam_arena counting;
    loam_device_arena_init_counting(device, &counting);
    place_parts(adapter, &counting, true);
    LOAM_TRY(loam_device_arena_init(device, &adapter->arena, counting.used, true, error));
    adapter->device = device;
    place_parts(adapter, &adapter->arena, false);
    return LOAM_OK;
}

static enum loam_status read_weights(struct loam_adapter *adapter, const char *directory,
                                     struct loam_trainables *set, struct loam_error *error)
{
    LOAM_TRY(open_weights(adapter, directory, error));
    if (set != NULL) return loam_adapter_register(adapter, set, error);
    LOAM_TRY(loam_adapter_allocate(adapter, error));
    return loam_adapter_fill(adapter, error);
}

// Attaches the adapter. If it does not fit the model, the message names its base. `base` is a copy, because
// loam_adapter_attach releases the config on failure.
static enum loam_status attach_named(struct loam_adapter **out, const struct loam_model *model,
                                     struct loam_adapter_config *config, const char *directory,
                                     const char *base, struct loam_error *error)
{
    enum loam_status status = loam_adapter_attach(out, model, config, false, error);
    if (status == LOAM_ERROR_ARGUMENT)
        (void)loam_fail_prefix(error, "%s, an adapter for \"%s\"", directory, base);
    return status;
}

static enum loam_status load_and_attach(struct loam_adapter **out, const struct loam_model *model,
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

enum loam_status loam_adapter_open(struct loam_adapter **out, const struct loam_model *model,
                                   const char *directory, struct loam_trainables *set,
                                   struct loam_error *error)
{
    *out = NULL;
    struct loam_adapter *adapter;
    LOAM_TRY(load_and_attach(&adapter, model, directory, error));
    enum loam_status status = read_weights(adapter, directory, set, error);
    if (status != LOAM_OK) {
        loam_adapter_destroy(adapter);
        return status;
    }
    *out = adapter;
    return LOAM_OK;
}

enum loam_status loam_adapter_open_stored(struct loam_adapter **out, const struct loam_model *model,
                                          const char *directory, struct loam_error *error)
{
    *out = NULL;
    struct loam_adapter *adapter;
    LOAM_TRY(load_and_attach(&adapter, model, directory, error));
    enum loam_status status = loam_adapter_config_check_separate(&adapter->config, directory, error);
    if (status == LOAM_OK) status = open_weights(adapter, directory, error);
    if (status != LOAM_OK) {
        loam_adapter_destroy(adapter);
        return status;
    }
    *out = adapter;
    return LOAM_OK;
}

// ---- filling ----

static enum loam_status fill_part(struct loam_stream *stream, const struct loam_tensor *target,
                                  const struct loam_stored_tensor *stored, struct loam_error *error)
{
    size_t bytes = loam_tensor_bytes(target);
    void *host = loam_calloc(bytes, 1, error);
    if (host == NULL) return LOAM_ERROR_MEMORY;
    loam_format_convert(host, LOAM_F32, stored->data, stored->format, (size_t)loam_tensor_count(target));
    loam_upload(stream, target->data, host, bytes);
    enum loam_status status = loam_stream_finish(stream, error);
    free(host);
    return status;
}

static enum loam_status fill_all(struct loam_adapter *adapter, struct loam_stream *stream,
                                 struct loam_error *error)
{
    for (size_t i = 0; i < adapter->count; i++) {
        const struct loam_adapted *item = &adapter->items[i];
        for (int p = 0; p < LOAM_PART_COUNT; p++)
            if (item->parts[p].name != NULL)
                LOAM_TRY(fill_part(stream, loam_adapted_value(item, p), item->parts[p].stored, error));
        if (item->slot->taken != NULL)
            LOAM_TRY(loam_adapter_start_module(adapter, i, stream, 0, false, error));
    }
    return LOAM_OK;
}

enum loam_status loam_adapter_fill(struct loam_adapter *adapter, struct loam_error *error)
{
    if (adapter->stored.file == NULL) {
        return loam_fail(error, LOAM_ERROR_INTERNAL, "only an opened adapter is filled, and only once");
    }
    if (adapter->set != NULL) loam_adapter_point(adapter);
    LOAM_TRY(loam_adapter_allocate_taken(adapter, adapter->model->device, error));
    if (adapter->model->device->planning) return LOAM_OK;
    struct loam_stream stream;
    LOAM_TRY(loam_stream_init(&stream, adapter->model->device, 0, error));
    enum loam_status status = fill_all(adapter, &stream, error);
    if (status == LOAM_OK) status = loam_adapter_keep_norms(adapter, &stream, error);
    loam_stream_deinit(&stream);
    if (status != LOAM_OK) return status;
    for (size_t i = 0; i < adapter->count; i++) {
        for (int p = 0; p < LOAM_PART_COUNT; p++)
            adapter->items[i].parts[p].stored = NULL;
    }
    loam_stored_adapter_close(&adapter->stored);
    return LOAM_OK;
}

// ---- saving ----

static struct loam_write_tensor write_entry(const char *name, const struct loam_tensor *value,
                                            const void *host)
{
    struct loam_write_tensor entry = {.name = name, .dtype = LOAM_F32, .rank = value->rank, .data = host};
    for (int i = 0; i < value->rank; i++)
        entry.shape[i] = value->shape[i];
    return entry;
}

// Downloads every part into `host`, which moves on, and lists it in `entries`. Returns the end of the list.
static struct loam_write_tensor *download_parts(const struct loam_adapted *item, struct loam_stream *stream,
                                                float **host, struct loam_write_tensor *entries)
{
    for (int p = 0; p < LOAM_PART_COUNT; p++) {
        const struct loam_tensor *value = loam_adapted_value(item, p);
        if (item->parts[p].name == NULL) continue;
        loam_download(stream, *host, value->data, loam_tensor_bytes(value));
        *entries++ = write_entry(item->parts[p].name, value, *host);
        *host += loam_tensor_count(value);
    }
    return entries;
}

// The columns of B and of -B0 side by side: joined [out, 2 rank] = [b | -b0].
static void join_columns(float *joined, const float *b, const float *b0, int64_t out, int64_t rank)
{
    for (int64_t i = 0; i < out; i++)
        for (int64_t k = 0; k < rank; k++) {
            joined[2 * i * rank + k] = b[i * rank + k];
            joined[(2 * i + 1) * rank + k] = -b0[i * rank + k];
        }
}

// An update and the one that is taken from the base, as one of twice the rank: B A - B0 A0 = [B | -B0] [A; A0].
// `host` has room for both, and moves on.
static enum loam_status download_joined(const struct loam_adapted *item, struct loam_stream *stream,
                                        float **host, struct loam_write_tensor **entries,
                                        struct loam_error *error)
{
    const struct loam_lora_slot *slot = item->slot, *taken = slot->taken;
    const size_t a_bytes = loam_tensor_bytes(&slot->a), b_bytes = loam_tensor_bytes(&slot->b);
    const int64_t rank = slot->rank, in = slot->a.shape[1], out = slot->b.shape[0];
    float *b = loam_calloc(2 * b_bytes, 1, error);
    if (b == NULL) return LOAM_ERROR_MEMORY;
    const struct loam_tensor a_joined = loam_tensor_2d(*host, LOAM_F32, 2 * rank, in);
    const struct loam_tensor b_joined = loam_tensor_2d(*host + 2 * rank * in, LOAM_F32, out, 2 * rank);
    loam_download(stream, a_joined.data, slot->a.data, a_bytes);
    loam_download(stream, *host + rank * in, taken->a.data, a_bytes);
    loam_download(stream, b, slot->b.data, b_bytes);
    loam_download(stream, b + out * rank, taken->b.data, b_bytes);
    enum loam_status status = loam_stream_finish(stream, error);
    join_columns(b_joined.data, b, b + out * rank, out, rank);
    free(b);
    *(*entries)++ = write_entry(item->parts[LOAM_PART_A].name, &a_joined, a_joined.data);
    *(*entries)++ = write_entry(item->parts[LOAM_PART_B].name, &b_joined, b_joined.data);
    *host += 2 * rank * (in + out);
    return status;
}

// Downloads every part into `host` and lists it in `entries` [loam_adapter_tensors].
static enum loam_status download_all(const struct loam_adapter *adapter, struct loam_stream *stream,
                                     float *host, struct loam_write_tensor *entries, struct loam_error *error)
{
    for (size_t i = 0; i < adapter->count; i++) {
        const struct loam_adapted *item = &adapter->items[i];
        if (item->slot->taken == NULL)
            entries = download_parts(item, stream, &host, entries);
        else
            LOAM_TRY(download_joined(item, stream, &host, &entries, error));
    }
    return loam_stream_finish(stream, error);
}

static enum loam_status save_weights(const struct loam_adapter *adapter, const char *path,
                                     struct loam_error *error)
{
    const size_t copies = adapter->taken != NULL ? 2 : 1;
    float *host = loam_calloc(copies * (size_t)loam_adapter_parameters(adapter), sizeof *host, error);
    const size_t count = loam_adapter_tensors(adapter);
    struct loam_write_tensor *entries = loam_calloc(count, sizeof *entries, error);
    enum loam_status status = host != NULL && entries != NULL ? LOAM_OK : LOAM_ERROR_MEMORY;
    struct loam_stream stream;
    if (status == LOAM_OK) status = loam_stream_init(&stream, adapter->model->device, 0, error);
    if (status == LOAM_OK) {
        status = download_all(adapter, &stream, host, entries, error);
        loam_stream_deinit(&stream);
    }
    if (status == LOAM_OK) status = loam_safetensors_write(path, entries, count, error);
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
    // The config is written last, so that a directory with a config has the matrices too.
    if (status == LOAM_OK)
        status = loam_adapter_config_save(&adapter->config, base_model, revision, directory, error);
    return status;
}
