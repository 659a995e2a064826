// Writing checkpoints: fresh ones, and those that were trained.
#include <stdlib.h>

#include "base/event.h"
#include "base/file.h"
#include "base/heap.h"
#include "base/rng.h"
#include "io/safetensors.h"
#include "model/model.h"

enum { BLOCK = 4096 }; // elements that are made at a time

// DIRECTORY/model.safetensors with every parameter, its elements from `source`.
static enum loam_status write_checkpoint(const struct loam_model *model, enum loam_dtype dtype,
                                         const char *directory, const struct loam_write_source *source,
                                         struct loam_error *error)
{
    char *path = loam_path_join(directory, "model.safetensors", error);
    struct loam_write_tensor *tensors = loam_calloc(model->parameter_count, sizeof *tensors, error);
    enum loam_status status = path == NULL || tensors == NULL ? LOAM_ERROR_MEMORY : LOAM_OK;
    for (size_t i = 0; i < model->parameter_count && status == LOAM_OK; i++) {
        const struct loam_tensor *value = &model->parameters[i].value;
        tensors[i] = (struct loam_write_tensor){
            .name = model->parameters[i].name, .dtype = dtype, .rank = value->rank};
        for (int d = 0; d < value->rank; d++)
            tensors[i].shape[d] = value->shape[d];
    }
    if (status == LOAM_OK)
        status = loam_safetensors_write_from(path, tensors, model->parameter_count, source, error);
    free(tensors);
    free(path);
    return status;
}

// ---- initialisation ----

struct initialiser {
    const struct loam_model *model;
    uint64_t seed;
    enum loam_dtype dtype;
    const struct loam_callbacks *callbacks;
    int64_t done; // elements
};

// What a parameter starts from when it is not drawn: scales of norms at 1, whatever is added at 0.
static bool constant_start(const struct loam_family *family, const struct loam_weight_row *row, float *value)
{
    bool norm = row->role == LOAM_ROLE_NORM || row->role == LOAM_ROLE_EMBEDDING_NORM ||
                row->role == LOAM_ROLE_FINAL_NORM;
    bool bias = (row->flags & LOAM_WEIGHT_BIAS) != 0;
    *value = norm && !bias ? 1.0f - family->norm_offset : 0.0f;
    return norm || bias;
}

static enum loam_status initialise(void *user, size_t index, size_t first, size_t count, void *block,
                                   struct loam_error *error)
{
    struct initialiser *self = user;
    float range = (float)self->model->config.initializer_range;
    uint64_t stream = loam_rng_stream(LOAM_RNG_INIT, (uint32_t)index);
    float constant;
    bool fixed = constant_start(self->model->config.family, self->model->parameters[index].row, &constant);
    float values[BLOCK];
    for (size_t done = 0; done < count; done += BLOCK) {
        size_t step = count - done < BLOCK ? count - done : BLOCK;
        if (!fixed) loam_rng_fill_normal(self->seed, stream, first + done, values, step);
        for (size_t i = 0; i < step; i++)
            values[i] = fixed ? constant : range * values[i];
        loam_convert((char *)block + done * loam_dtype_size(self->dtype), self->dtype, values, LOAM_F32,
                     step);
    }
    self->done += (int64_t)count;
    int64_t size = (int64_t)loam_dtype_size(self->dtype);
    return loam_event_progress(self->callbacks, LOAM_ACTIVITY_WRITE, self->done * size,
                               loam_model_parameter_total(self->model) * size, error);
}

enum loam_status loam_model_init_checkpoint(const struct loam_model *model, uint64_t seed,
                                            enum loam_dtype dtype, const char *directory,
                                            const struct loam_callbacks *callbacks, struct loam_error *error)
{
    struct initialiser initialiser = {.model = model, .seed = seed, .dtype = dtype, .callbacks = callbacks};
    const struct loam_write_source source = {.fill = initialise, .user = &initialiser};
    return write_checkpoint(model, dtype, directory, &source, error);
}

// ---- what was trained ----

struct saver {
    const struct loam_model *model;
    enum loam_dtype dtype;
    struct loam_stream *stream;
};

static enum loam_status download(void *user, size_t index, size_t first, size_t count, void *block,
                                 struct loam_error *error)
{
    const struct saver *self = user;
    const struct loam_tensor *value = &self->model->parameters[index].value;
    size_t size = loam_dtype_size(value->dtype);
    float values[BLOCK]; // room for BLOCK elements of any dtype that a model computes in
    loam_parameter_read(&self->model->parameters[index], self->stream);
    for (size_t done = 0; done < count; done += BLOCK) {
        size_t step = count - done < BLOCK ? count - done : BLOCK;
        loam_download(self->stream, values, (const char *)value->data + (first + done) * size, step * size);
        LOAM_TRY(loam_stream_finish(self->stream, error));
        loam_convert((char *)block + done * loam_dtype_size(self->dtype), self->dtype, values, value->dtype,
                     step);
    }
    return LOAM_OK;
}

enum loam_status loam_model_save(const struct loam_model *model, enum loam_dtype dtype, const char *directory,
                                 struct loam_error *error)
{
    if (model->device == NULL) return loam_fail(error, LOAM_ERROR_ARGUMENT, "the model has no data to save");
    struct loam_stream stream = {0};
    LOAM_TRY(loam_stream_init(&stream, model->device, 0, error));
    struct saver saver = {.model = model, .dtype = dtype, .stream = &stream};
    const struct loam_write_source source = {.fill = download, .user = &saver};
    enum loam_status status = write_checkpoint(model, dtype, directory, &source, error);
    loam_stream_deinit(&stream);
    return status;
}
