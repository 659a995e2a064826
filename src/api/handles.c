// Devices, models and adapters.
#include "api/handles.h"

#include <stdlib.h>
#include <string.h>

#include "api/sized.h"
#include "base/heap.h"
#include "base/utf8.h"
#include "io/atomic.h"

int loam_abi_version(void)
{
    return LOAM_ABI_VERSION;
}

// ---- devices ----

// Makes the handle of a device that was created with `status`.
static enum loam_status hold_device(struct loam_device_handle **out, struct loam_device *created,
                                    enum loam_status status, struct loam_error *error)
{
    if (status != LOAM_OK) return status;
    struct loam_device_handle *device = loam_calloc(1, sizeof *device, error);
    if (device == NULL) {
        loam_device_destroy(created);
        return LOAM_ERROR_MEMORY;
    }
    device->device = created;
    device->holders = 1;
    *out = device;
    return LOAM_OK;
}

enum loam_status loam_device_open(struct loam_device_handle **device, const char *name, int32_t threads,
                                  struct loam_error *error)
{
    LOAM_ENSURE_ERROR(error);
    LOAM_TRY(loam_require(device, "the place for a device", error));
    *device = NULL;
    struct loam_device *created;
    const enum loam_status status =
        loam_device_create(&created, name != NULL ? name : "auto", threads, error);
    return hold_device(device, created, status, error);
}

enum loam_status loam_device_open_planning(struct loam_device_handle **device,
                                           const struct loam_device_handle *like, struct loam_error *error)
{
    struct loam_device *created;
    const enum loam_status status = loam_device_create_planning(&created, like->device, error);
    return hold_device(device, created, status, error);
}

void loam_device_release(struct loam_device_handle *device)
{
    if (device == NULL || --device->holders > 0) return;
    loam_device_destroy(device->device);
    free(device);
}

void loam_device_close(struct loam_device_handle *device)
{
    loam_device_release(device);
}

enum loam_status loam_device_describe(const struct loam_device_handle *device, struct loam_device_info *info,
                                      struct loam_error *error)
{
    LOAM_ENSURE_ERROR(error);
    LOAM_TRY(loam_require(device, "the device", error));
    const struct loam_device_info all = {.name = device->device->name,
                                         .level = device->device->isa,
                                         .threads = device->device->threads,
                                         .free_memory = loam_device_free_memory(device->device).bytes};
    return LOAM_SIZED_WRITE(info, &all, "loam_device_info", error);
}

// ---- models ----

static enum loam_status parse_dtype(const char *text, enum loam_dtype *dtype, struct loam_error *error)
{
    static const enum loam_dtype dtypes[] = {LOAM_F32, LOAM_BF16, LOAM_F16};
    *dtype = LOAM_DTYPE_NONE;
    if (text == NULL) return LOAM_OK;
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++)
        if (strcmp(text, loam_dtype_name(dtypes[i])) == 0) *dtype = dtypes[i];
    if (*dtype != LOAM_DTYPE_NONE) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_ARGUMENT, "dtype \"%s\": expected f32, bf16, f16 or NULL", text);
}

static enum loam_status open_session(struct loam_model_handle *model,
                                     const struct loam_model_settings *settings, struct loam_error *error)
{
    struct loam_session_options options = {.opened = model->device->device,
                                           .batch_size = 1,
                                           .without_text = true,
                                           .callbacks = settings->callbacks};
    LOAM_TRY(parse_dtype(settings->dtype, &options.dtype, error));
    options.model = model->directory = loam_strdup(settings->directory, error);
    if (model->directory == NULL) return LOAM_ERROR_MEMORY;
    LOAM_TRY(loam_session_open(&model->session, &options, error));
    enum loam_status status = loam_session_load(&model->session, false, error);
    model->session.callbacks = NULL; // the caller's: they are for this call alone
    model->session.log = NULL;
    return status;
}

enum loam_status loam_model_open(struct loam_model_handle **out, struct loam_device_handle *device,
                                 const struct loam_model_settings *settings, struct loam_error *error)
{
    LOAM_ENSURE_ERROR(error);
    struct loam_model_settings all;
    LOAM_TRY(loam_require(out, "the place for a model", error));
    *out = NULL;
    LOAM_TRY(loam_require(device, "the device", error));
    LOAM_TRY(LOAM_SIZED_READ(&all, settings, "loam_model_settings", error));
    LOAM_TRY(loam_require_path(all.directory, "the model's directory", error));
    struct loam_model_handle *model = loam_calloc(1, sizeof *model, error);
    if (model == NULL) return LOAM_ERROR_MEMORY;
    model->holders = 1;
    model->device = device;
    device->holders++;
    enum loam_status status = open_session(model, &all, error);
    if (status != LOAM_OK) {
        loam_model_release(model);
        return status;
    }
    *out = model;
    return LOAM_OK;
}

void loam_model_release(struct loam_model_handle *model)
{
    if (model == NULL || --model->holders > 0) return;
    loam_session_close(&model->session);
    loam_device_release(model->device);
    free(model->directory);
    free(model);
}

void loam_model_close(struct loam_model_handle *model)
{
    loam_model_release(model);
}

enum loam_status loam_model_describe(const struct loam_model_handle *model, struct loam_model_info *info,
                                     struct loam_error *error)
{
    LOAM_ENSURE_ERROR(error);
    LOAM_TRY(loam_require(model, "the model", error));
    const struct loam_config *config = &model->session.model->config;
    const int64_t positions = loam_config_position_limit(config);
    const struct loam_model_info all = {.family = config->family->model_type,
                                        .dtype = loam_dtype_name(model->session.dtype),
                                        .vocabulary = config->vocabulary,
                                        .hidden = config->hidden,
                                        .layers = config->layers,
                                        .parameters = loam_model_parameter_total(model->session.model),
                                        .max_positions = positions < INT32_MAX ? positions : 0};
    return LOAM_SIZED_WRITE(info, &all, "loam_model_info", error);
}

// ---- adapters ----

// Takes over `adapter`, unless `status` is the failure of making it.
static enum loam_status hold_adapter(struct loam_adapter_handle **out, struct loam_model_handle *model,
                                     struct loam_adapter *adapter, enum loam_status status,
                                     struct loam_error *error)
{
    struct loam_adapter_handle *handle = status == LOAM_OK ? loam_calloc(1, sizeof *handle, error) : NULL;
    if (handle == NULL) {
        loam_adapter_destroy(adapter);
        return status != LOAM_OK ? status : LOAM_ERROR_MEMORY;
    }
    *handle = (struct loam_adapter_handle){.holders = 1, .model = model, .adapter = adapter};
    model->holders++;
    *out = handle;
    return LOAM_OK;
}

static enum loam_status take_lora(struct loam_lora_settings *settings, const struct loam_lora_config *config,
                                  struct loam_error *error)
{
    *settings = (struct loam_lora_settings){.rank = config->rank,
                                            .alpha = config->alpha,
                                            .dropout = config->dropout,
                                            .target_modules = config->target_modules,
                                            .init = config->init,
                                            .dora = config->use_dora,
                                            .rslora = config->use_rslora,
                                            .rank_pattern = config->rank_pattern,
                                            .alpha_pattern = config->alpha_pattern,
                                            .exclude_modules = config->exclude_modules,
                                            .layers_to_transform = config->layers_to_transform,
                                            .layers_pattern = config->layers_pattern,
                                            .modules_to_save = config->modules_to_save,
                                            .lora_bias = config->lora_bias,
                                            .trained_tokens = config->trainable_token_indices,
                                            .ensure_weight_tying = config->ensure_weight_tying};
    return config->bias == NULL ? LOAM_OK : loam_lora_bias_parse(&settings->bias, config->bias, error);
}

enum loam_status loam_adapter_make(struct loam_adapter_handle **out, struct loam_model_handle *model,
                                   const struct loam_lora_config *config, struct loam_error *error)
{
    LOAM_ENSURE_ERROR(error);
    struct loam_lora_config all;
    struct loam_adapter *adapter = NULL;
    LOAM_TRY(loam_require(out, "the place for an adapter", error));
    *out = NULL;
    LOAM_TRY(loam_require(model, "the model", error));
    LOAM_TRY(LOAM_SIZED_READ(&all, config, "loam_lora_config", error));
    struct loam_lora_settings settings;
    LOAM_TRY(take_lora(&settings, &all, error));
    enum loam_status status = loam_session_fresh_adapter(&model->session, &settings, NULL, &adapter, error);
    if (status == LOAM_OK) status = loam_adapter_allocate(adapter, error);
    if (status == LOAM_OK) status = loam_adapter_start(adapter, all.seed, error);
    return hold_adapter(out, model, adapter, status, error);
}

enum loam_status loam_adapter_load(struct loam_adapter_handle **out, struct loam_model_handle *model,
                                   const char *directory, const struct loam_log *log,
                                   struct loam_error *error)
{
    LOAM_ENSURE_ERROR(error);
    struct loam_adapter *adapter = NULL;
    LOAM_TRY(loam_require(out, "the place for an adapter", error));
    *out = NULL;
    LOAM_TRY(loam_require(model, "the model", error));
    LOAM_TRY(loam_require_path(directory, "the adapter's directory", error));
    struct loam_session session = model->session;
    session.log = log;
    session.keeps_masters = true;
    enum loam_status status = loam_session_adapter(&session, directory, NULL, &adapter, error);
    return hold_adapter(out, model, adapter, status, error);
}

enum loam_status loam_adapter_store(const struct loam_adapter_handle *adapter, const char *directory,
                                    const char *base_model, struct loam_error *error)
{
    LOAM_ENSURE_ERROR(error);
    LOAM_TRY(loam_require(adapter, "the adapter", error));
    LOAM_TRY(loam_require_path(directory, "the directory", error));
    if (base_model == NULL) base_model = adapter->model->directory;
    // Checked before anything is written: JSON cannot hold it.
    if (loam_utf8_check(base_model, strlen(base_model)) < strlen(base_model))
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "base_model \"%s\" is not UTF-8: expected a name for the model", base_model);
    LOAM_TRY(loam_directory_make(directory, NULL, error));
    return loam_adapter_save(adapter->adapter, base_model, NULL, directory, error);
}

void loam_adapter_release(struct loam_adapter_handle *adapter)
{
    if (adapter == NULL || --adapter->holders > 0) return;
    loam_adapter_destroy(adapter->adapter);
    loam_model_release(adapter->model);
    free(adapter);
}

void loam_adapter_close(struct loam_adapter_handle *adapter)
{
    loam_adapter_release(adapter);
}

enum loam_status loam_adapter_describe(const struct loam_adapter_handle *adapter,
                                       struct loam_adapter_info *info, struct loam_error *error)
{
    LOAM_ENSURE_ERROR(error);
    LOAM_TRY(loam_require(adapter, "the adapter", error));
    const struct loam_lora_settings settings = loam_adapter_settings(adapter->adapter);
    const struct loam_adapter_info all = {.parameters = loam_adapter_parameters(adapter->adapter),
                                          .rank = settings.rank,
                                          .alpha = settings.alpha,
                                          .dropout = settings.dropout};
    return LOAM_SIZED_WRITE(info, &all, "loam_adapter_info", error);
}

// ---- held adapters ----

static enum loam_status check_adapter(const struct loam_held_adapters *held,
                                      const struct loam_model_handle *model,
                                      const struct loam_adapter_handle *adapter, struct loam_error *error)
{
    if (adapter == NULL)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "adapter %zu of the list is NULL, and must not be",
                         held->count);
    if (adapter->model != model)
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "adapter %zu of the list is of another model handle: open it on this one",
                         held->count);
    if (loam_held_adapters_find(held, adapter) != NULL)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "adapter %zu of the list is there twice", held->count);
    return LOAM_OK;
}

static enum loam_status hold_all(struct loam_held_adapters *held, const struct loam_model_handle *model,
                                 struct loam_adapter_handle *const *adapters, size_t count,
                                 struct loam_error *error)
{
    if (count > 0) LOAM_TRY(loam_require(adapters, "the list of adapters", error));
    held->items = loam_calloc(count, sizeof(struct loam_adapter_handle *), error);
    held->segments = loam_calloc(count, sizeof *held->segments, error);
    if (held->items == NULL || held->segments == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++) {
        LOAM_TRY(check_adapter(held, model, adapters[i], error));
        adapters[i]->holders++;
        held->segments[i] = loam_adapter_segments(adapters[i]->adapter).items[0];
        held->items[held->count++] = adapters[i];
    }
    return LOAM_OK;
}

enum loam_status loam_held_adapters_init(struct loam_held_adapters *held,
                                         const struct loam_model_handle *model,
                                         struct loam_adapter_handle *const *adapters, size_t count,
                                         struct loam_error *error)
{
    *held = (struct loam_held_adapters){0};
    enum loam_status status = hold_all(held, model, adapters, count, error);
    if (status != LOAM_OK) loam_held_adapters_deinit(held);
    return status;
}

void loam_held_adapters_deinit(struct loam_held_adapters *held)
{
    for (size_t i = 0; i < held->count; i++)
        loam_adapter_release(held->items[i]);
    free(held->items);
    free(held->segments);
    *held = (struct loam_held_adapters){0};
}

struct loam_segments loam_held_adapters_segments(const struct loam_held_adapters *held)
{
    return (struct loam_segments){held->segments, held->count};
}

const struct loam_segment *loam_held_adapters_find(const struct loam_held_adapters *held,
                                                   const struct loam_adapter_handle *adapter)
{
    for (size_t i = 0; i < held->count; i++)
        if (held->items[i] == adapter) return &held->segments[i];
    return NULL;
}
