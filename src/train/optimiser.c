#include "train/optimiser.h"

#include <math.h>

static void add_square(struct loam_optimiser *optimiser, struct loam_stream *stream, struct loam_tensor x)
{
    loam_squared_norm(stream, &(struct loam_squared_norm_args){.x = x, .result = optimiser->squared_norm});
}

static void measure(struct loam_optimiser *optimiser, struct loam_stream *stream)
{
    loam_zero(stream, optimiser->squared_norm.data, sizeof(double));
    add_square(optimiser, stream, optimiser->set->gradients);
}

static void update(const struct loam_optimiser *optimiser, struct loam_stream *stream, double learning_rate)
{
    const struct loam_optimiser_settings *settings = &optimiser->settings;
    for (size_t i = 0; i < optimiser->set->count; i++) {
        const struct loam_trainable *item = &optimiser->set->items[i];
        struct loam_adamw_args args = {
            .param = item->value,
            .grad = item->grad,
            .m = item->m,
            .v = item->v,
            .mirror = item->mirror,
            .squared_norm = optimiser->squared_norm,
            .rates = {{.learning_rate = (float)(learning_rate * item->rate),
                       .weight_decay = item->decayed ? (float)settings->weight_decay : 0.0f}},
            .grad_factor = 1,
            .max_norm = (float)settings->max_grad_norm,
            .beta1 = (float)settings->beta1,
            .beta2 = (float)settings->beta2,
            .eps = (float)settings->epsilon,
            .step = optimiser->step,
        };
        loam_adamw(stream, &args);
    }
}

// Support and scratch of both ops, by a dry run.
static enum loam_status plan(struct loam_optimiser *optimiser, size_t *scratch, struct loam_error *error)
{
    struct loam_stream stream;
    loam_stream_init_planning(&stream, optimiser->set->device);
    optimiser->step = 1;
    measure(optimiser, &stream);
    update(optimiser, &stream, 0);
    optimiser->step = 0;
    *scratch = stream.scratch_needed;
    enum loam_status status = loam_stream_finish(&stream, error);
    loam_stream_deinit(&stream);
    return status;
}

static enum loam_status prepare(struct loam_optimiser *optimiser, struct loam_error *error)
{
    const struct loam_device *device = optimiser->set->device;
    LOAM_TRY(loam_device_arena_init(device, &optimiser->arena, LOAM_ARENA_ALIGN, true, error));
    void *scalar = loam_arena_alloc(&optimiser->arena, sizeof(double));
    optimiser->squared_norm = loam_tensor_1d(scalar, LOAM_F64, 1);
    size_t scratch = 0;
    LOAM_TRY(plan(optimiser, &scratch, error));
    return loam_stream_init(&optimiser->stream, device, scratch, error);
}

enum loam_status loam_optimiser_init(struct loam_optimiser *optimiser, struct loam_trainables *set,
                                     const struct loam_optimiser_settings *settings, struct loam_error *error)
{
    *optimiser = (struct loam_optimiser){.set = set, .settings = *settings};
    enum loam_status status = prepare(optimiser, error);
    if (status != LOAM_OK) loam_optimiser_deinit(optimiser);
    return status;
}

void loam_optimiser_deinit(struct loam_optimiser *optimiser)
{
    if (optimiser->set == NULL) return;
    if (optimiser->stream.device != NULL) loam_stream_deinit(&optimiser->stream);
    loam_device_arena_deinit(optimiser->set->device, &optimiser->arena);
    *optimiser = (struct loam_optimiser){0};
}

enum loam_status loam_optimiser_zero_gradients(struct loam_optimiser *optimiser, struct loam_error *error)
{
    const struct loam_tensor *gradients = &optimiser->set->gradients;
    loam_zero(&optimiser->stream, gradients->data, loam_tensor_bytes(gradients));
    return loam_stream_finish(&optimiser->stream, error);
}

static enum loam_status read_norm(struct loam_optimiser *optimiser, double *norm, struct loam_error *error)
{
    double squared = 0;
    loam_download(&optimiser->stream, &squared, optimiser->squared_norm.data, sizeof squared);
    LOAM_TRY(loam_stream_finish(&optimiser->stream, error));
    *norm = sqrt(squared);
    return LOAM_OK;
}

enum loam_status loam_optimiser_gradient_norm(struct loam_optimiser *optimiser, double *norm,
                                              struct loam_error *error)
{
    measure(optimiser, &optimiser->stream);
    return read_norm(optimiser, norm, error);
}

enum loam_status loam_optimiser_value_norm(struct loam_optimiser *optimiser, double *norm,
                                           struct loam_error *error)
{
    loam_zero(&optimiser->stream, optimiser->squared_norm.data, sizeof(double));
    for (size_t i = 0; i < optimiser->set->count; i++)
        add_square(optimiser, &optimiser->stream, optimiser->set->items[i].value);
    return read_norm(optimiser, norm, error);
}

enum loam_status loam_optimiser_update(struct loam_optimiser *optimiser, double learning_rate,
                                       struct loam_error *error)
{
    optimiser->step++;
    update(optimiser, &optimiser->stream, learning_rate);
    return loam_stream_finish(&optimiser->stream, error);
}
