// Giving a model its data: which stored tensor is which parameter, then in place or converted.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/heap.h"
#include "model/model.h"

enum { BLOCK_ELEMENTS = 8 << 20 }; // of a tensor, read at a time

struct loading {
    struct loam_model *model;
    const char *directory;
    const struct loam_load_options *options;
    const struct loam_stored_tensor **sources; // [parameter_count]
    bool *claimed;                             // [tensors of the checkpoint]
};

// ---- which tensor is which ----

static size_t index_of(const struct loading *loading, const struct loam_stored_tensor *stored)
{
    return (size_t)(stored - loam_safetensors_at(loading->model->file, 0));
}

// `name` without the family's prefix; NULL when it has none.
static const char *without_prefix(const struct loam_family *family, const char *name)
{
    size_t length = strlen(family->prefix);
    return strncmp(name, family->prefix, length) == 0 ? name + length : NULL;
}

static enum loam_status find_source(struct loading *loading, size_t index, struct loam_error *error)
{
    const struct loam_model *model = loading->model;
    const char *name = model->parameters[index].name;
    const char *bare = without_prefix(model->config.family, name);
    const struct loam_stored_tensor *full = loam_safetensors_find(model->file, name);
    const struct loam_stored_tensor *found = bare == NULL ? NULL : loam_safetensors_find(model->file, bare);
    if (full != NULL && found != NULL)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s holds the same tensor twice, as %s and as %s",
                         found->file, name, bare);
    if (full != NULL) found = full;
    if (found == NULL)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: tensor %s is missing, config.json asks for it",
                         loading->directory, name);
    loading->sources[index] = found;
    loading->claimed[index_of(loading, found)] = true;
    return LOAM_OK;
}

// Whether a name is a row's, with any layer in the place of %d.
static bool matches(const char *pattern, const char *name)
{
    const char *gap = strstr(pattern, "%d");
    if (gap == NULL) return strcmp(pattern, name) == 0;
    size_t head = (size_t)(gap - pattern);
    if (strncmp(pattern, name, head) != 0) return false;
    size_t digits = strspn(name + head, "0123456789");
    return digits > 0 && strcmp(gap + 2, name + head + digits) == 0;
}

// Known buffers of old checkpoints, and a copy of the embedding where it is the head.
static bool is_ignorable(const struct loam_config *config, const char *name)
{
    const struct loam_family *family = config->family;
    for (size_t i = 0; i < family->row_count; i++) {
        const struct loam_weight_row *row = &family->rows[i];
        bool tied_copy = (row->flags & LOAM_WEIGHT_TIED) != 0 && config->tied_head;
        if (row->role != LOAM_ROLE_IGNORED && !tied_copy) continue;
        const char *bare = without_prefix(family, row->name);
        if (matches(row->name, name) || (bare != NULL && matches(bare, name))) return true;
    }
    return false;
}

static enum loam_status find_sources(struct loading *loading, struct loam_error *error)
{
    const struct loam_model *model = loading->model;
    for (size_t i = 0; i < model->parameter_count; i++)
        LOAM_TRY(find_source(loading, i, error));
    for (size_t i = 0; i < loam_safetensors_count(model->file); i++) {
        const struct loam_stored_tensor *stored = loam_safetensors_at(model->file, i);
        if (loading->claimed[i] || is_ignorable(&model->config, stored->name)) continue;
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: tensor %s is not part of a %s model as config.json describes it", stored->file,
                         stored->name, model->config.family->model_type);
    }
    return LOAM_OK;
}

// ---- is it what the model needs ----

static void shape_text(char *text, size_t size, int rank, const int64_t *shape)
{
    size_t used = (size_t)snprintf(text, size, "[");
    for (int i = 0; i < rank && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%lld", i == 0 ? "" : ", ", (long long)shape[i]);
    if (used < size) snprintf(text + used, size - used, "]");
}

static enum loam_status check_source(const struct loam_parameter *parameter,
                                     const struct loam_stored_tensor *source, struct loam_error *error)
{
    const struct loam_tensor *value = &parameter->value;
    if (source->rank != value->rank ||
        memcmp(source->shape, value->shape, sizeof value->shape[0] * (size_t)value->rank) != 0) {
        char expected[128], found[128];
        shape_text(expected, sizeof expected, value->rank, value->shape);
        shape_text(found, sizeof found, source->rank, source->shape);
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: tensor %s has the shape %s; config.json makes it %s",
                         source->file, source->name, found, expected);
    }
    if (source->dtype != LOAM_F32 && source->dtype != LOAM_F16 && source->dtype != LOAM_BF16)
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED, "%s: tensor %s must be F32, F16 or BF16",
                         source->file, source->name);
    return LOAM_OK;
}

static enum loam_status check_sources(const struct loading *loading, struct loam_error *error)
{
    for (size_t i = 0; i < loading->model->parameter_count; i++)
        LOAM_TRY(check_source(&loading->model->parameters[i], loading->sources[i], error));
    return LOAM_OK;
}

// ---- where it goes ----

// oneDNN and the ops ask for elements at their natural alignment, not for more.
static bool used_in_place(const struct loading *loading, const struct loam_stored_tensor *source)
{
    const struct loam_model *model = loading->model;
    return !loading->options->writable && model->device->host_memory && source->dtype == model->dtype &&
           (uintptr_t)source->data % loam_dtype_size(source->dtype) == 0;
}

// The position tables come after the weights.
static void place_tables(struct loam_model *model, struct loam_arena *arena)
{
    const struct loam_config *config = &model->config;
    bool rope = config->family->position == LOAM_ROPE;
    int64_t count = rope ? config->head_dim / 2 : config->heads;
    void *data = loam_arena_alloc(arena, (size_t)count * sizeof(float));
    *(rope ? &model->rope_frequencies : &model->alibi_slopes) = loam_tensor_1d(data, LOAM_F32, count);
}

// Run twice: over a counting arena, then over the real one.
static void place(const struct loading *loading, struct loam_arena *arena)
{
    struct loam_model *model = loading->model;
    for (size_t i = 0; i < model->parameter_count; i++) {
        struct loam_tensor *value = &model->parameters[i].value;
        value->dtype = model->dtype;
        value->data = used_in_place(loading, loading->sources[i])
                          ? (void *)(uintptr_t)loading->sources[i]->data
                          : loam_arena_alloc(arena, loam_tensor_bytes(value));
    }
    place_tables(model, arena);
}

static enum loam_status place_all(const struct loading *loading, struct loam_error *error)
{
    struct loam_model *model = loading->model;
    struct loam_arena counting;
    loam_arena_init_counting(&counting);
    place(loading, &counting);
    // Not populated: what moves the weights touches every page, with all threads.
    LOAM_TRY(model->device->memory->arena_init(&model->arena, counting.peak, false, error));
    place(loading, &model->arena);
    if (!counting.exhausted && !model->arena.exhausted) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_INTERNAL, "the arena of the weights was sized too small");
}

// ---- moving it ----

// By blocks, so that of the file no more than one is held beside the copy.
static void copy_in(struct loam_stream *stream, const struct loam_tensor *value,
                    const struct loam_stored_tensor *source)
{
    const size_t total = (size_t)loam_tensor_count(value);
    const size_t size = loam_dtype_size(value->dtype), source_size = loam_dtype_size(source->dtype);
    for (size_t done = 0; done < total; done += BLOCK_ELEMENTS) {
        const size_t count = total - done < BLOCK_ELEMENTS ? total - done : BLOCK_ELEMENTS;
        const uint8_t *block = source->data + done * source_size;
        loam_map_populate(block, count * source_size);
        loam_upload_as(stream, (char *)value->data + done * size, value->dtype, block, source->dtype, count);
        stream->device->memory->synchronise(stream); // it was read
        loam_map_release(block, count * source_size);
    }
}

static int64_t source_bytes(const struct loading *loading)
{
    int64_t total = 0;
    for (size_t i = 0; i < loading->model->parameter_count; i++)
        total += (int64_t)loading->sources[i]->bytes;
    return total;
}

static enum loam_status move(const struct loading *loading, struct loam_stream *stream,
                             struct loam_error *error)
{
    const struct loam_model *model = loading->model;
    int64_t done = 0, total = source_bytes(loading);
    for (size_t i = 0; i < model->parameter_count; i++) {
        const struct loam_tensor *value = &model->parameters[i].value;
        const struct loam_stored_tensor *source = loading->sources[i];
        if (value->data == source->data)
            loam_map_populate(source->data, source->bytes);
        else
            copy_in(stream, value, source);
        done += (int64_t)source->bytes;
        LOAM_TRY(loam_event_progress(loading->options->callbacks, LOAM_ACTIVITY_LOAD, done, total, error));
    }
    return LOAM_OK;
}

static enum loam_status move_tables(struct loam_model *model, struct loam_stream *stream,
                                    struct loam_error *error)
{
    bool rope = model->rope_frequencies.data != NULL;
    const struct loam_tensor *table = rope ? &model->rope_frequencies : &model->alibi_slopes;
    float *values = loam_calloc((size_t)loam_tensor_count(table), sizeof *values, error);
    if (values == NULL) return LOAM_ERROR_MEMORY;
    (rope ? loam_config_rope_frequencies : loam_config_alibi_slopes)(&model->config, values);
    loam_upload(stream, table->data, values, loam_tensor_bytes(table));
    enum loam_status status = loam_stream_finish(stream, error);
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

// ---- the whole ----

static void log_conversions(const struct loading *loading)
{
    static const enum loam_dtype stored[] = {LOAM_F32, LOAM_F16, LOAM_BF16};
    const struct loam_model *model = loading->model;
    const struct loam_callbacks *callbacks = loading->options->callbacks;
    const struct loam_log *log = callbacks != NULL ? &callbacks->log : NULL;
    for (size_t d = 0; d < sizeof stored / sizeof stored[0]; d++) {
        size_t count = 0;
        for (size_t i = 0; i < model->parameter_count; i++)
            count += loading->sources[i]->dtype == stored[d];
        if (count > 0 && stored[d] != model->dtype)
            loam_log_write(log, LOAM_LOG_INFO, "%s: %zu tensors converted from %s to %s", loading->directory,
                           count, loam_dtype_name(stored[d]), loam_dtype_name(model->dtype));
    }
}

static enum loam_status load(struct loading *loading, struct loam_error *error)
{
    struct loam_model *model = loading->model;
    loading->sources = loam_calloc(model->parameter_count, sizeof *loading->sources, error);
    loading->claimed = loam_calloc(loam_safetensors_count(model->file), sizeof *loading->claimed, error);
    if (loading->sources == NULL || loading->claimed == NULL) return LOAM_ERROR_MEMORY;
    LOAM_TRY(find_sources(loading, error));
    LOAM_TRY(check_sources(loading, error));
    LOAM_TRY(place_all(loading, error));
    LOAM_TRY(move_all(loading, error));
    log_conversions(loading);
    if (loading->options->writable || !model->device->host_memory) return LOAM_OK;
    return loam_arena_protect(&model->arena, error);
}

enum loam_status loam_model_load(struct loam_model *model, const char *directory,
                                 const struct loam_device *device, const struct loam_load_options *options,
                                 struct loam_error *error)
{
    if (options->dtype != LOAM_F32 && options->dtype != LOAM_BF16)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "a model computes in f32 or bf16, not in %s",
                         loam_dtype_name(options->dtype));
    if (model->device != NULL) return loam_fail(error, LOAM_ERROR_ARGUMENT, "the model has its data already");
    LOAM_TRY(loam_safetensors_open_directory(&model->file, directory, error));
    model->device = device;
    model->dtype = options->dtype;
    struct loading loading = {.model = model, .directory = directory, .options = options};
    enum loam_status status = load(&loading, error);
    free(loading.sources);
    free(loading.claimed);
    return status;
}
