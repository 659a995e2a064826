// Giving a model its data: in place or converted.
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/decimal.h"
#include "base/file.h"
#include "base/heap.h"
#include "model/model.h"
#include "model/sources.h"

struct loading {
    struct loam_model *model;
    const char *directory;
    const struct loam_load_options *options;
    const struct loam_stored_tensor **sources; // [parameter_count]
};

// ---- where it goes ----

// oneDNN and the ops ask for elements at their natural alignment, not for more.
static bool used_in_place(const struct loading *loading, const struct loam_stored_tensor *source,
                          enum loam_dtype dtype)
{
    const struct loam_model *model = loading->model;
    if (loading->options->writable || !model->device->host_memory) return false;
    if (source == NULL) return true; // a plan without weights
    return source->format == loam_format_of(dtype) && (uintptr_t)source->data % loam_dtype_size(dtype) == 0;
}

// What a parameter is computed with. A plan without weights takes the matrices for bf16 where that is kept.
static enum loam_dtype dtype_of(const struct loading *loading, const struct loam_tensor *value,
                                const struct loam_stored_tensor *source)
{
    const enum loam_dtype stored = source != NULL ? loam_format_row(source->format)->dtype : LOAM_BF16;
    const bool half = stored == LOAM_BF16 || stored == LOAM_F16;
    const struct loam_load_options *options = loading->options;
    const bool kept = (options->keep_halves || loading->model->reader != NULL) && !options->writable;
    return kept && half && value->rank == 2 ? stored : loading->model->dtype;
}

// Where a tensor lies in the mapped file; in a plan without weights, an address that is never dereferenced.
static void *place_in_file(const struct loam_stored_tensor *source)
{
    return (void *)(uintptr_t)(source != NULL ? (uintptr_t)source->data : LOAM_ARENA_ALIGN);
}

static struct loam_tensor place_table(struct loam_arena *arena, int64_t count)
{
    return loam_tensor_1d(loam_arena_alloc(arena, (size_t)count * sizeof(float)), LOAM_F32, count);
}

// The position tables come after the weights: slopes, or the frequencies of each RoPE table, or none.
static void place_tables(struct loam_model *model, struct loam_arena *arena)
{
    const struct loam_config *config = &model->config;
    if (config->family->alibi_slopes != NULL) model->alibi_slopes = place_table(arena, config->heads);
    for (int i = 0; i < config->family->rope_count; i++)
        if (!loam_config_rope_depends_on_length(config, i))
            model->rope_frequencies[i] = place_table(arena, config->ropes[i].rotated / 2);
}

static bool transposed(const struct loam_parameter *parameter)
{
    return (parameter->row->flags & LOAM_WEIGHT_TRANSPOSED) != 0;
}

// Sets the dtypes, and measures the layers that stay on the host.
static enum loam_status place_on_host(const struct loading *loading, struct loam_error *error)
{
    struct loam_model *model = loading->model;
    const int64_t layers = model->config.layers, count = loading->options->offloaded;
    if (count == 0 || model->device->host_memory || loading->options->writable) return LOAM_OK;
    LOAM_TRY(
        loam_offload_create(&model->offload, model->device, layers, count < layers ? count : layers, error));
    for (size_t i = 0; i < model->parameter_count; i++) {
        struct loam_parameter *parameter = &model->parameters[i];
        if (!loam_offload_has(model->offload, parameter->layer)) continue;
        parameter->offload = model->offload;
        parameter->value.dtype = dtype_of(loading, &parameter->value, loading->sources[i]);
        loam_offload_measure(model->offload, parameter->layer, loam_tensor_bytes(&parameter->value));
    }
    return loam_offload_take_host(model->offload, error);
}

static void *place_on_device(const struct loam_parameter *parameter, struct loam_arena *arena)
{
    const size_t bytes = loam_tensor_bytes(&parameter->value);
    return parameter->offload == NULL ? loam_arena_alloc(arena, bytes)
                                      : loam_offload_place(parameter->offload, parameter->layer, bytes);
}

// Run twice: over a counting arena, then over the real one.
static void place(const struct loading *loading, struct loam_arena *arena)
{
    struct loam_model *model = loading->model;
    model->mapped_bytes = 0;
    model->matrix_dtype = model->dtype;
    if (model->offload != NULL) loam_offload_take_ring(model->offload, arena);
    for (size_t i = 0; i < model->parameter_count; i++) {
        struct loam_tensor *value = &model->parameters[i].value;
        value->dtype = dtype_of(loading, value, loading->sources[i]);
        if (value->rank == 2 && model->reader == NULL) model->matrix_dtype = value->dtype;
        bool in_place = used_in_place(loading, loading->sources[i], value->dtype);
        value->data =
            in_place ? place_in_file(loading->sources[i]) : place_on_device(&model->parameters[i], arena);
        if (in_place) model->mapped_bytes += loam_tensor_bytes(value);
        if (value->rank == 2)
            model->parameters[i].handle =
                (struct loam_weight_handle){.weight = {*value, transposed(&model->parameters[i])},
                                            .reader = model->reader,
                                            .mapped = in_place};
    }
    place_tables(model, arena);
}

static enum loam_status place_all(const struct loading *loading, struct loam_error *error)
{
    struct loam_model *model = loading->model;
    struct loam_arena counting;
    LOAM_TRY(place_on_host(loading, error));
    loam_device_arena_init_counting(model->device, &counting);
    place(loading, &counting);
    // Not populated: what moves the weights touches every page, with all threads.
    LOAM_TRY(loam_device_arena_init(model->device, &model->arena, counting.peak, false, error));
    place(loading, &model->arena);
    if (!counting.exhausted && !model->arena.exhausted) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_INTERNAL, "the arena of the weights was sized too small");
}

// ---- moving it ----

static int64_t source_bytes(const struct loading *loading)
{
    int64_t total = 0;
    for (size_t i = 0; i < loading->model->parameter_count; i++)
        total += (int64_t)loading->sources[i]->bytes;
    return total;
}

// Weights beyond the range of f16 would become infinite.
static enum loam_status check_range(const struct loading *loading, size_t index, struct loam_error *error)
{
    enum { BLOCK = 1024 };
    const struct loam_parameter *parameter = &loading->model->parameters[index];
    const struct loam_stored_tensor *source = loading->sources[index];
    const enum loam_dtype stored = loam_format_row(source->format)->dtype;
    const size_t count = (size_t)loam_tensor_count(&parameter->value);
    float block[BLOCK];
    if (parameter->value.dtype != LOAM_F16 || stored == LOAM_F16) return LOAM_OK;
    for (size_t done = 0; done < count; done += BLOCK) {
        const size_t part = count - done < BLOCK ? count - done : BLOCK;
        loam_convert(block, LOAM_F32, (const char *)source->data + done * loam_dtype_size(stored), stored,
                     part);
        for (size_t i = 0; i < part; i++)
            if (isfinite(block[i]) && fabsf(block[i]) >= 65520.0f)
                return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                                 "%s: tensor %s holds %g, and f16 ends at 65504: choose --dtype bf16 or f32",
                                 loading->directory, parameter->name, (double)block[i]);
    }
    return LOAM_OK;
}

static enum loam_status move(const struct loading *loading, struct loam_stream *stream,
                             struct loam_error *error)
{
    const struct loam_model *model = loading->model;
    int64_t done = 0, total = source_bytes(loading);
    for (size_t i = 0; i < model->parameter_count; i++) {
        const struct loam_parameter *parameter = &model->parameters[i];
        const struct loam_tensor *value = &parameter->value;
        const struct loam_stored_tensor *source = loading->sources[i];
        LOAM_TRY(check_range(loading, i, error));
        if (parameter->offload != NULL)
            loam_weight_keep(value,
                             loam_offload_host_address(parameter->offload, parameter->layer, value->data),
                             source->data, loam_format_row(source->format)->dtype);
        else if (value->data != source->data)
            loam_weight_copy(stream, value, source->data, loam_format_row(source->format)->dtype, true);
        else if (model->reader != NULL)
            continue;
        else
            loam_map_populate(source->data, source->bytes);
        done += (int64_t)source->bytes;
        LOAM_TRY(loam_event_progress(loading->options->callbacks, LOAM_ACTIVITY_LOAD, done, total, error));
    }
    return LOAM_OK;
}

static enum loam_status move_tables(struct loam_model *model, struct loam_stream *stream,
                                    struct loam_error *error)
{
    const struct loam_config *config = &model->config;
    const int64_t most = config->heads > config->head_dim ? config->heads : config->head_dim;
    float *values = loam_calloc((size_t)most, sizeof *values, error);
    if (values == NULL) return LOAM_ERROR_MEMORY;
    if (model->alibi_slopes.data != NULL) {
        config->family->alibi_slopes(config, values);
        loam_upload(stream, model->alibi_slopes.data, values, loam_tensor_bytes(&model->alibi_slopes));
    }
    enum loam_status status = loam_stream_finish(stream, error);
    for (int i = 0; i < config->family->rope_count && status == LOAM_OK; i++) {
        const struct loam_tensor *table = &model->rope_frequencies[i];
        if (table->data == NULL) continue;
        loam_config_rope_frequencies(config, i, 0, values);
        loam_upload(stream, table->data, values, loam_tensor_bytes(table));
        status = loam_stream_finish(stream, error);
    }
    free(values);
    return status;
}

static enum loam_status move_all(const struct loading *loading, struct loam_error *error)
{
    struct loam_stream stream;
    LOAM_TRY(loam_stream_init(&stream, loading->model->device, 0, error));
    enum loam_status status = move(loading, &stream, error);
    if (status == LOAM_OK) status = move_tables(loading->model, &stream, error);
    loam_stream_deinit(&stream);
    return status;
}

// ---- streaming ----

static enum loam_status open_reader(struct loam_model *model, const struct loam_callbacks *callbacks,
                                    struct loam_error *error)
{
    model->reader = loam_calloc(1, sizeof *model->reader, error);
    if (model->reader == NULL) return LOAM_ERROR_MEMORY;
    model->reader->callbacks = callbacks;
    model->reader->dtype = model->dtype;
    return LOAM_OK;
}

// What a forward reads: every linear once, the head among them.
static void size_reader(struct loam_model *model)
{
    const struct loam_linear *linear;
    model->reader->total = (int64_t)loam_tensor_bytes(&model->head.weight->value);
    for (size_t i = 0; (linear = loam_model_linear_at(model, i)) != NULL; i++)
        model->reader->total += (int64_t)loam_tensor_bytes(&linear->weight->value);
}

// ---- the whole ----

static const struct loam_log *log_of(const struct loam_load_options *options)
{
    return options->callbacks == NULL ? NULL : &options->callbacks->log;
}

// `seconds` is what moving the whole checkpoint took.
static void log_conversions(const struct loading *loading, double seconds)
{
    const struct loam_model *model = loading->model;
    const struct loam_log *log = log_of(loading->options);
    char loaded[LOAM_MEMORY_SIZE];
    for (enum loam_format format = LOAM_FORMAT_NONE + 1; format < LOAM_FORMAT_COUNT; format++) {
        size_t count = 0;
        for (size_t i = 0; i < model->parameter_count; i++)
            count += loading->sources[i]->format == format &&
                     model->parameters[i].value.dtype != loam_format_row(format)->dtype;
        if (count > 0)
            loam_log_write(log, LOAM_LOG_INFO, "%s: %zu tensors converted from %s to %s; %s loaded in %.2f s",
                           loading->directory, count, loam_format_name(format), loam_dtype_name(model->dtype),
                           loam_memory_format((size_t)source_bytes(loading), loaded), seconds);
    }
}

static enum loam_status load(struct loading *loading, struct loam_error *error)
{
    struct loam_model *model = loading->model;
    if (model->file != NULL)
        LOAM_TRY(loam_model_settle_head(model, model->file, log_of(loading->options), error));
    loading->sources = loam_calloc(model->parameter_count, sizeof *loading->sources, error);
    if (loading->sources == NULL) return LOAM_ERROR_MEMORY;
    if (model->file != NULL)
        LOAM_TRY(loam_model_find_sources(model, model->file, loading->directory, loading->sources, error));
    if (loading->options->streamed && model->device->host_memory)
        LOAM_TRY(open_reader(model, loading->options->callbacks, error));
    LOAM_TRY(place_all(loading, error));
    if (model->reader != NULL) size_reader(model);
    if (model->device->planning) return LOAM_OK;
    const double start = loam_clock_seconds();
    LOAM_TRY(move_all(loading, error));
    log_conversions(loading, loam_clock_seconds() - start);
    if (loading->options->writable || !model->device->host_memory) return LOAM_OK;
    return loam_arena_protect(&model->arena, error);
}

enum loam_status loam_model_load(struct loam_model *model, const char *directory,
                                 const struct loam_device *device, const struct loam_load_options *options,
                                 struct loam_error *error)
{
    if (!loam_formats_have(device->formats.compute, options->dtype))
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED, "device %s does not compute in %s", device->name,
                         loam_dtype_name(options->dtype));
    if (model->device != NULL) return loam_fail(error, LOAM_ERROR_ARGUMENT, "the model has its data already");
    bool there = true;
    if (device->planning) LOAM_TRY(loam_container_in_directory(directory, &there, error));
    if (there) LOAM_TRY(loam_container_open_directory(&model->file, directory, error));
    model->device = device;
    model->dtype = options->dtype;
    struct loading loading = {.model = model, .directory = directory, .options = options};
    enum loam_status status = load(&loading, error);
    free(loading.sources);
    return status;
}
