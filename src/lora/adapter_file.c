// Adapter directories: adapter_config.json with adapter_model.safetensors.
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/heap.h"
#include "io/safetensors.h"
#include "lora/adapter.h"
#include "model/multimodal.h"

static const char weights_name[] = "adapter_model.safetensors";

// ---- finding the tensors ----

static const char *base_of(const struct loam_adapter *adapter)
{
    return adapter->config.base_model != NULL ? adapter->config.base_model : "not named";
}

static bool has_module(const struct loam_model *model, const char *path)
{
    const struct loam_linear *linear;
    for (size_t i = 0; (linear = loam_model_module_at(model, i)) != NULL; i++) {
        if (loam_same_module(linear->path, path)) return true;
    }
    return false;
}

// Fails on matrices of an embedding for a linear, or of a linear for the embedding.
static enum loam_status check_kind(const struct loam_adapted *item, const struct loam_stored_module *module,
                                   struct loam_error *error)
{
    if (module->is_embedding == item->is_embedding || (module->a == NULL && module->b == NULL))
        return LOAM_OK;
    const struct loam_stored_tensor *tensor = loam_stored_module_tensor(module);
    return loam_fail(error, LOAM_ERROR_FORMAT,
                     "%s: tensor \"%s\" is a matrix of %s, and %s is %s in this model", tensor->file,
                     tensor->name, module->is_embedding ? "an embedding" : "a linear", module->path,
                     item->is_embedding ? "the embedding" : "a linear");
}

static enum loam_status assign_matrices(struct loam_adapter *adapter, const struct loam_stored_module *module,
                                        struct loam_error *error)
{
    for (size_t i = 0; i < adapter->count; i++) {
        struct loam_adapted *item = &adapter->items[i];
        if (!loam_same_module(item->linear->path, module->path)) continue;
        item->parts[LOAM_PART_A].stored = item->is_embedding ? module->b : module->a;
        item->parts[LOAM_PART_B].stored = item->is_embedding ? module->a : module->b;
        item->parts[LOAM_PART_BIAS].stored = module->bias;
        item->parts[LOAM_PART_MAGNITUDE].stored = module->magnitude;
        LOAM_TRY(check_kind(item, module, error));
        return loam_stored_vectors_check(module, &adapter->config, loam_adapted_outputs(item), error);
    }
    const struct loam_stored_tensor *tensor = loam_stored_module_tensor(module);
    if (has_module(adapter->model, module->path))
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

static bool is_shape(const struct loam_stored_tensor *stored, const struct loam_tensor *wanted)
{
    return stored->rank == wanted->rank &&
           memcmp(stored->shape, wanted->shape, sizeof wanted->shape[0] * (size_t)wanted->rank) == 0;
}

static const char *name_in_model(const struct loam_adapter *adapter, const struct loam_replaced *item)
{
    return item->of_head ? loam_family_tied_row(adapter->model->config.family)->name : item->parameter->name;
}

// PEFT reads the head of a tied pair last.
static const struct loam_stored_tensor *find_parameter(const struct loam_adapter *adapter,
                                                       const struct loam_replaced *item)
{
    const char *head = loam_family_tied_row(adapter->model->config.family)->name;
    const struct loam_stored_tensor *stored =
        item->tied_name != NULL ? loam_stored_parameter_find(&adapter->stored, head) : NULL;
    return stored != NULL ? stored
                          : loam_stored_parameter_find(&adapter->stored, name_in_model(adapter, item));
}

// Finds the values of a parameter. Old versions of PEFT did not save the biases of adapted modules.
static enum loam_status assign_parameter(struct loam_adapter *adapter, struct loam_replaced *item,
                                         size_t *missing, struct loam_error *error)
{
    item->stored = find_parameter(adapter, item);
    if (item->stored == NULL && item->optional) {
        ++*missing;
        return LOAM_OK;
    }
    if (item->stored == NULL)
        return loam_fail(
            error, LOAM_ERROR_FORMAT,
            "%s: no tensor \"%s\", which \"modules_to_save\" in adapter_config.json asks for; the "
            "adapter's base is \"%s\"",
            loam_container_at(adapter->stored.file, 0)->file, item->name, base_of(adapter));
    if (is_shape(item->stored, &item->value)) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_FORMAT,
                     "%s: tensor \"%s\" has another shape than %s of the model; the adapter's base is \"%s\"",
                     item->stored->file, item->stored->name, name_in_model(adapter, item), base_of(adapter));
}

static bool is_assigned(const struct loam_adapter *adapter, const struct loam_stored_parameter *parameter)
{
    for (size_t i = 0; i < adapter->replaced_count; i++) {
        const struct loam_replaced *item = &adapter->replaced[i];
        const bool of_pair = item->tied_name != NULL &&
                             (parameter->is_head || loam_same_module(parameter->name, item->parameter->name));
        if (item->stored == parameter->tensor || of_pair) return true;
    }
    return false;
}

static bool is_in_model(const struct loam_model *model, const char *name)
{
    bool found =
        model->config.tied_head && loam_same_module(loam_family_tied_row(model->config.family)->name, name);
    for (size_t i = 0; i < model->parameter_count && !found; i++)
        found = loam_same_module(model->parameters[i].name, name);
    return found;
}

// Fails on parameters that loam does not decode or that the model does not have.
static enum loam_status check_parameters(const struct loam_adapter *adapter, struct loam_error *error)
{
    for (size_t i = 0; i < adapter->stored.parameter_count; i++) {
        const struct loam_stored_parameter *parameter = &adapter->stored.parameters[i];
        LOAM_TRY(loam_stored_parameter_check(parameter, error));
        if (!is_in_model(adapter->model, parameter->name))
            return loam_fail(
                error, LOAM_ERROR_FORMAT,
                "%s: tensor \"%s\" is not a parameter of this model that adapter_config.json asks "
                "for; the adapter's base is \"%s\"",
                parameter->tensor->file, parameter->tensor->name, base_of(adapter));
    }
    return LOAM_OK;
}

// Tells about parameters of the file that replace none.
static enum loam_status note_unused_parameters(struct loam_adapter *adapter, bool compared,
                                               struct loam_error *error)
{
    const struct loam_stored_tensor *first = NULL;
    size_t count = 0;
    for (size_t i = 0; i < adapter->stored.parameter_count; i++) {
        const struct loam_stored_parameter *parameter = &adapter->stored.parameters[i];
        if (!is_assigned(adapter, parameter) && count++ == 0) first = parameter->tensor;
    }
    if (count == 0) return LOAM_OK;
    return loam_adapter_config_note(
        &adapter->config, error,
        "%zu tensors, such as \"%s\", are parameters of the model that adapter_config.json does not name: "
        "passed over, %s",
        count, first->name, compared ? "because they change nothing" : "as copies of the base's");
}

static enum loam_status assign_parameters(struct loam_adapter *adapter, struct loam_error *error)
{
    size_t missing = 0;
    for (size_t i = 0; i < adapter->replaced_count; i++)
        LOAM_TRY(assign_parameter(adapter, &adapter->replaced[i], &missing, error));
    LOAM_TRY(check_parameters(adapter, error));
    if (missing == 0) return LOAM_OK;
    return loam_adapter_config_note(
        &adapter->config, error,
        "the file has no values for %zu biases that \"bias\" in adapter_config.json "
        "asks for: they start as in the base",
        missing);
}

static enum loam_status assign_weights(struct loam_adapter *adapter, struct loam_error *error)
{
    LOAM_TRY(loam_stored_adapter_note(&adapter->stored, &adapter->config, error));
    for (size_t i = 0; i < adapter->stored.count; i++)
        if (loam_stored_module_is_adapted(&adapter->stored.modules[i]))
            LOAM_TRY(assign_matrices(adapter, &adapter->stored.modules[i], error));
    LOAM_TRY(loam_adapter_find_tokens(adapter, error));
    for (size_t i = 0; i < adapter->count; i++) {
        const struct loam_adapted *item = &adapter->items[i];
        const struct loam_lora_slot *slot = item->slot;
        for (int p = LOAM_PART_A; p <= LOAM_PART_B; p++) {
            const struct loam_tensor shape = loam_adapted_file_shape(item, p);
            LOAM_TRY(
                check_stored(adapter, item->parts[p].stored, item->parts[p].name, slot->rank, &shape, error));
        }
    }
    LOAM_TRY(loam_tied_check_stored(adapter, error));
    return assign_parameters(adapter, error);
}

static void place_parts(struct loam_adapter *adapter, struct loam_arena *arena, bool counting)
{
    loam_adapter_place_tokens(adapter, arena, counting);
    for (size_t i = 0; i < adapter->count; i++) {
        const struct loam_adapted *item = &adapter->items[i];
        for (int p = 0; p < LOAM_PART_COUNT; p++) {
            if (item->parts[p].name == NULL) continue;
            struct loam_tensor *value = loam_adapted_value(item, p);
            const bool shares = loam_tied_part(adapter, item, p);
            void *data = shares ? loam_adapted_value(loam_tied_embedding(adapter), p)->data
                                : loam_arena_alloc(arena, loam_tensor_bytes(value));
            if (!counting) value->data = data;
        }
    }
    loam_replaced_place(adapter, arena, counting);
}

// Counts the bytes of all parts, then allocates them in one arena.
static enum loam_status allocate(struct loam_adapter *adapter, struct loam_error *error)
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

enum loam_status loam_adapter_allocate(struct loam_adapter *adapter, struct loam_error *error)
{
    adapter->trained_later = true;
    return allocate(adapter, error);
}

// ---- filling ----

static enum loam_status fill_part(struct loam_stream *stream, const struct loam_adapted *item, int part,
                                  struct loam_error *error)
{
    const struct loam_tensor *target = loam_adapted_value(item, part);
    const struct loam_stored_tensor *stored = item->parts[part].stored;
    const size_t count = (size_t)loam_tensor_count(target);
    float *host = loam_calloc(2 * count, sizeof *host, error);
    if (host == NULL) return LOAM_ERROR_MEMORY;
    loam_format_convert(host + count, LOAM_F32, stored->data, stored->format, count);
    loam_adapted_copy_from_file(item, part, host, host + count);
    loam_upload(stream, target->data, host, count * sizeof *host);
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
            if (item->parts[p].name != NULL) LOAM_TRY(fill_part(stream, item, p, error));
        if (item->slot->taken != NULL)
            LOAM_TRY(loam_adapter_start_module(adapter, i, stream, 0, false, error));
    }
    LOAM_TRY(loam_adapter_fill_tokens(adapter, stream, error));
    return loam_replaced_fill(adapter, stream, error);
}

static enum loam_status fill(struct loam_adapter *adapter, struct loam_error *error)
{
    if (adapter->stored.file == NULL) {
        return loam_fail(error, LOAM_ERROR_INTERNAL, "only an opened adapter is filled, and only once");
    }
    if (adapter->set != NULL) loam_adapter_point(adapter);
    LOAM_TRY(loam_adapter_allocate_taken(adapter, adapter->model->device, error));
    LOAM_TRY(loam_adapter_allocate_tokens(adapter, adapter->model->device, error));
    LOAM_TRY(loam_adapter_allocate_norms(adapter, adapter->model->device, error));
    if (!adapter->model->device->planning) {
        LOAM_TRY(loam_frozen_match(adapter, NULL, error));
        LOAM_TRY(note_unused_parameters(adapter, true, error));
    }
    LOAM_TRY(loam_replaced_allocate(adapter, adapter->model->device, error));
    if (adapter->model->device->planning) return LOAM_OK;
    struct loam_stream stream;
    LOAM_TRY(loam_stream_init(&stream, adapter->model->device, 0, error));
    enum loam_status status = fill_all(adapter, &stream, error);
    if (status == LOAM_OK) status = loam_adapter_keep_norms(adapter, &stream, error);
    loam_stream_deinit(&stream);
    if (status != LOAM_OK) return status;
    for (size_t i = 0; i < adapter->count; i++)
        for (int p = 0; p < LOAM_PART_COUNT; p++)
            adapter->items[i].parts[p].stored = NULL;
    loam_stored_adapter_close(&adapter->stored);
    return LOAM_OK;
}

enum loam_status loam_adapter_fill(struct loam_adapter *adapter, struct loam_error *error)
{
    free(adapter->config.notice);
    adapter->config.notice = NULL;
    return fill(adapter, error);
}

// ---- opening ----

static enum loam_status read_weights(struct loam_adapter *adapter, struct loam_trainables *set,
                                     struct loam_error *error)
{
    LOAM_TRY(assign_weights(adapter, error));
    if (set != NULL) return loam_adapter_register(adapter, set, error);
    LOAM_TRY(allocate(adapter, error));
    return fill(adapter, error);
}

// Attaches the adapter. If it does not fit the model, the message names its base. `base` is a copy, because
// loam_adapter_attach releases the config on failure.
static enum loam_status attach_named(struct loam_adapter **out, const struct loam_model *model,
                                     struct loam_adapter_config *config,
                                     const struct loam_stored_adapter *stored, const char *directory,
                                     const char *base, struct loam_error *error)
{
    enum loam_status status = loam_adapter_attach(out, model, config, stored, error);
    if (status == LOAM_ERROR_ARGUMENT)
        (void)loam_fail_prefix(error, "%s, an adapter for \"%s\"", directory, base);
    return status;
}

static bool has_head(const struct loam_stored_adapter *stored)
{
    for (size_t i = 0; i < stored->parameter_count; i++)
        if (stored->parameters[i].is_head) return true;
    return false;
}

// Opens the files of an adapter, whose config and weights the caller closes.
static enum loam_status open_files(struct loam_adapter_config *config, struct loam_stored_adapter *stored,
                                   const char *directory, struct loam_error *error)
{
    LOAM_TRY(loam_adapter_config_load(config, directory, error));
    enum loam_status status = loam_stored_adapter_open(stored, directory, error);
    if (status != LOAM_OK) loam_adapter_config_deinit(config);
    config->has_tied_head = status == LOAM_OK && config->ensure_weight_tying && has_head(stored);
    return status;
}

static enum loam_status load_and_attach(struct loam_adapter **out, const struct loam_model *model,
                                        const char *directory, struct loam_error *error)
{
    struct loam_adapter_config config;
    struct loam_stored_adapter stored;
    LOAM_TRY(open_files(&config, &stored, directory, error));
    char *base = loam_strdup(config.base_model != NULL ? config.base_model : "a base not named", error);
    enum loam_status status = LOAM_ERROR_MEMORY;
    if (base != NULL)
        status = attach_named(out, model, &config, &stored, directory, base, error);
    else
        loam_adapter_config_deinit(&config);
    free(base);
    if (status == LOAM_OK)
        (*out)->stored = stored;
    else
        loam_stored_adapter_close(&stored);
    return status;
}

// With `set`, the matrices are registered there. Without, the adapter may be trained later, or not.
static enum loam_status open_adapter(struct loam_adapter **out, const struct loam_model *model,
                                     const char *directory, struct loam_trainables *set, bool trained_later,
                                     struct loam_error *error)
{
    *out = NULL;
    struct loam_adapter *adapter;
    LOAM_TRY(load_and_attach(&adapter, model, directory, error));
    adapter->trained_later = trained_later;
    enum loam_status status = read_weights(adapter, set, error);
    if (status != LOAM_OK) {
        loam_adapter_destroy(adapter);
        return status;
    }
    *out = adapter;
    return LOAM_OK;
}

enum loam_status loam_adapter_open(struct loam_adapter **out, const struct loam_model *model,
                                   const char *directory, struct loam_trainables *set,
                                   struct loam_error *error)
{
    return open_adapter(out, model, directory, set, false, error);
}

enum loam_status loam_adapter_open_trainable(struct loam_adapter **out, const struct loam_model *model,
                                             const char *directory, struct loam_error *error)
{
    return open_adapter(out, model, directory, NULL, true, error);
}

static enum loam_status find_stored(struct loam_adapter *adapter, const char *directory,
                                    const struct loam_adapter_base *base, struct loam_error *error)
{
    bool compared = base->weights != NULL;
    LOAM_TRY(loam_adapter_config_check_separate(&adapter->config, directory, error));
    LOAM_TRY(assign_weights(adapter, error));
    if (compared)
        LOAM_TRY(loam_frozen_match(adapter, base->weights, error));
    else
        LOAM_TRY(loam_frozen_match_directory(adapter, base->directory, &compared, error));
    return note_unused_parameters(adapter, compared, error);
}

enum loam_status loam_adapter_open_stored(struct loam_adapter **out, const struct loam_model *model,
                                          const char *directory, const struct loam_adapter_base *base,
                                          struct loam_error *error)
{
    *out = NULL;
    struct loam_adapter *adapter;
    LOAM_TRY(load_and_attach(&adapter, model, directory, error));
    enum loam_status status = find_stored(adapter, directory, base, error);
    if (status != LOAM_OK) {
        loam_adapter_destroy(adapter);
        return status;
    }
    *out = adapter;
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

// Downloads a part into `host`, in the file's order.
static enum loam_status download_part(const struct loam_adapted *item, int part, struct loam_stream *stream,
                                      float *host, struct loam_error *error)
{
    const struct loam_tensor *value = loam_adapted_value(item, part);
    const size_t bytes = loam_tensor_bytes(value);
    if (!item->is_embedding) {
        loam_download(stream, host, value->data, bytes);
        return LOAM_OK;
    }
    float *values = loam_calloc(bytes, 1, error);
    if (values == NULL) return LOAM_ERROR_MEMORY;
    loam_download(stream, values, value->data, bytes);
    enum loam_status status = loam_stream_finish(stream, error);
    if (status == LOAM_OK) loam_adapted_copy_to_file(item, part, host, values);
    free(values);
    return status;
}

// Downloads every part into `host`, which moves on, and lists it in `entries`, which moves on too.
static enum loam_status download_parts(const struct loam_adapted *item, struct loam_stream *stream,
                                       float **host, struct loam_write_tensor **entries,
                                       struct loam_error *error)
{
    for (int p = 0; p < LOAM_PART_COUNT; p++) {
        const struct loam_tensor shape = loam_adapted_file_shape(item, p);
        if (item->parts[p].name == NULL) continue;
        LOAM_TRY(download_part(item, p, stream, *host, error));
        *(*entries)++ = write_entry(item->parts[p].name, &shape, *host);
        *host += loam_tensor_count(&shape);
    }
    return LOAM_OK;
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

// An embedding beside taken updates, from which nothing is taken. The file has one rank for both kinds, so zeros double its
// rank. In the file, A is [in, rank] and B is [rank, out]. `host` has room for both, and moves on.
static enum loam_status download_padded(const struct loam_adapted *item, struct loam_stream *stream,
                                        float **host, struct loam_write_tensor **entries,
                                        struct loam_error *error)
{
    const int64_t rank = item->slot->rank, in = item->slot->a.shape[1], out = item->slot->b.shape[0];
    const struct loam_tensor a = loam_tensor_2d(*host, LOAM_F32, in, 2 * rank);
    const struct loam_tensor b = loam_tensor_2d(*host + 2 * rank * in, LOAM_F32, 2 * rank, out);
    float *values = loam_calloc(2 * (size_t)(in * rank), sizeof *values, error); // A, and zeros
    if (values == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = download_part(item, LOAM_PART_A, stream, values, error);
    if (status == LOAM_OK) status = download_part(item, LOAM_PART_B, stream, b.data, error);
    if (status == LOAM_OK) status = loam_stream_finish(stream, error);
    join_columns(a.data, values, values + in * rank, in, rank);
    free(values);
    memset((float *)b.data + rank * out, 0, (size_t)(rank * out) * sizeof(float));
    *(*entries)++ = write_entry(item->parts[LOAM_PART_A].name, &a, a.data);
    *(*entries)++ = write_entry(item->parts[LOAM_PART_B].name, &b, b.data);
    *host += 2 * rank * (in + out);
    return status;
}

// Downloads every part into `host` and lists it in `entries`. Returns the end of the list.
static enum loam_status download_all(const struct loam_adapter *adapter, struct loam_stream *stream,
                                     float *host, struct loam_write_tensor **entries,
                                     struct loam_error *error)
{
    for (size_t i = 0; i < adapter->count; i++) {
        const struct loam_adapted *item = &adapter->items[i];
        if (adapter->taken == NULL)
            LOAM_TRY(download_parts(item, stream, &host, entries, error));
        else if (item->slot->taken == NULL)
            LOAM_TRY(download_padded(item, stream, &host, entries, error));
        else
            LOAM_TRY(download_joined(item, stream, &host, entries, error));
    }
    for (size_t i = 0; i < adapter->token_count; i++) {
        const struct loam_trained_tokens *tokens = &adapter->tokens[i];
        const struct loam_tensor *rows = &tokens->places[0]->rows;
        LOAM_TRY(loam_adapter_download_tokens(tokens, stream, host, error));
        *(*entries)++ = write_entry(tokens->name, rows, host);
        host += loam_tensor_count(rows);
    }
    return loam_stream_finish(stream, error);
}

// What is written. Matrices are copied before; replaced parameters, which may be large, are read block by block.
struct saving {
    const struct loam_adapter *adapter;
    struct loam_stream stream;
    float *host;
    struct loam_write_tensor *entries;     // [count]
    const struct loam_replaced **replaced; // [count] NULL: a matrix
    size_t count;
};

static void list_replaced(struct saving *saving, size_t first)
{
    for (size_t i = 0; i < saving->adapter->replaced_count; i++) {
        const struct loam_replaced *item = &saving->adapter->replaced[i];
        const char *const names[] = {item->name, item->tied_name};
        for (size_t j = 0; j < 2 && names[j] != NULL; j++) {
            saving->entries[first] = write_entry(names[j], &item->value, NULL);
            saving->replaced[first++] = item;
        }
    }
}

static enum loam_status fill_block(void *user, size_t index, size_t first, size_t count, void *block,
                                   struct loam_error *error)
{
    struct saving *saving = user;
    if (saving->replaced[index] != NULL)
        return loam_replaced_download(saving->replaced[index], &saving->stream, first, count, block, error);
    memcpy(block, (const float *)saving->entries[index].data + first, count * sizeof(float));
    return LOAM_OK;
}

static enum loam_status write_all(struct saving *saving, const char *path, struct loam_error *error)
{
    struct loam_write_tensor *end = saving->entries;
    LOAM_TRY(download_all(saving->adapter, &saving->stream, saving->host, &end, error));
    list_replaced(saving, (size_t)(end - saving->entries));
    const struct loam_write_source source = {.fill = fill_block, .user = saving};
    return loam_safetensors_write_from(path, saving->entries, saving->count, &source, error);
}

static size_t count_matrix_elements(const struct loam_adapter *adapter)
{
    size_t count = (size_t)loam_adapter_parameters(adapter);
    for (size_t i = 0; i < adapter->replaced_count; i++)
        if (!adapter->replaced[i].frozen) count -= (size_t)loam_tensor_count(&adapter->replaced[i].value);
    return adapter->taken != NULL ? 2 * count : count;
}

static enum loam_status save_weights(const struct loam_adapter *adapter, const char *path,
                                     struct loam_error *error)
{
    struct saving saving = {.adapter = adapter, .count = loam_adapter_tensors(adapter)};
    saving.host = loam_calloc(count_matrix_elements(adapter), sizeof *saving.host, error);
    saving.entries = loam_calloc(saving.count, sizeof *saving.entries, error);
    saving.replaced = loam_calloc(saving.count, sizeof *saving.replaced, error);
    const bool whole = saving.host != NULL && saving.entries != NULL && saving.replaced != NULL;
    enum loam_status status = whole ? LOAM_OK : LOAM_ERROR_MEMORY;
    if (status == LOAM_OK) status = loam_stream_init(&saving.stream, adapter->model->device, 0, error);
    if (status == LOAM_OK) {
        status = write_all(&saving, path, error);
        loam_stream_deinit(&saving.stream);
    }
    free(saving.entries);
    free((void *)saving.replaced);
    free(saving.host);
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
