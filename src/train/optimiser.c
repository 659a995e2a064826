#include "train/optimiser.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/heap.h"

enum { SCALARS = 2 }; // before the losses in the report

// ---- ops ----

static void zero_scalars(struct loam_optimiser *optimiser, struct loam_stream *stream)
{
    loam_zero(stream, optimiser->squared_norm.data, SCALARS * sizeof(double));
}

static void add_square(struct loam_stream *stream, struct loam_tensor x, struct loam_tensor result)
{
    loam_squared_norm(stream, &(struct loam_squared_norm_args){.x = x, .result = result});
}

static void measure(struct loam_optimiser *optimiser, struct loam_stream *stream)
{
    add_square(stream, optimiser->set->gradients, optimiser->squared_norm);
}

static void guard_losses(struct loam_optimiser *optimiser, struct loam_stream *stream, int32_t rows)
{
    struct loam_tensor losses = optimiser->losses;
    losses.shape[0] = rows;
    add_square(stream, losses, optimiser->guard);
}

static void update_span(const struct loam_optimiser *optimiser, struct loam_stream *stream,
                        const struct loam_optimiser_span *span, double learning_rate)
{
    const struct loam_optimiser_settings *settings = &optimiser->settings;
    const double max_norm = settings->max_grad_norm;
    struct loam_adamw_args args = {
        .param = span->param,
        .grad = span->grad,
        .m = span->m,
        .v = span->v,
        .mirror = span->mirror,
        .squared_norm = optimiser->squared_norm,
        .guard = optimiser->guard,
        .starts = span->starts,
        .groups = span->groups,
        .grad_factor = (float)(1 / optimiser->loss_scale.factor),
        .max_norm = max_norm > 0 ? (float)fmax(max_norm, (double)FLT_MIN) : 0,
        .beta1 = (float)settings->beta1,
        .beta2 = (float)settings->beta2,
        .eps = (float)settings->epsilon,
        .step = optimiser->step,
    };
    for (int i = 0; i < span->kind_count; i++)
        args.rates[i] = (struct loam_adamw_rates){
            .learning_rate = (float)(learning_rate * span->kinds[i].rate),
            .weight_decay = span->kinds[i].decayed ? (float)settings->weight_decay : 0.0f};
    loam_adamw(stream, &args);
}

static void update(const struct loam_optimiser *optimiser, struct loam_stream *stream, double learning_rate)
{
    for (size_t i = 0; i < optimiser->spans.count; i++)
        update_span(optimiser, stream, &optimiser->spans.items[i], learning_rate);
}

// ---- life ----

// Support and scratch of all ops, by a dry run.
static enum loam_status plan(struct loam_optimiser *optimiser, size_t *scratch, struct loam_error *error)
{
    struct loam_stream stream;
    loam_stream_init_planning(&stream, optimiser->set->device);
    optimiser->step = 1;
    measure(optimiser, &stream);
    if (optimiser->settings.loss_rows > 0) guard_losses(optimiser, &stream, optimiser->settings.loss_rows);
    update(optimiser, &stream, 0);
    optimiser->step = 0;
    *scratch = stream.scratch_needed;
    enum loam_status status = loam_stream_finish(&stream, error);
    loam_stream_deinit(&stream);
    return status;
}

static size_t report_bytes(int32_t rows)
{
    return SCALARS * sizeof(double) + (size_t)rows * sizeof(float);
}

// Run twice: over a counting arena, then over the real one. Spans of one group need no ranges.
static void place(struct loam_optimiser *optimiser, struct loam_arena *arena)
{
    char *report = loam_arena_alloc(arena, report_bytes(optimiser->settings.loss_rows));
    optimiser->squared_norm = loam_tensor_1d(report, LOAM_F64, 1);
    optimiser->guard = loam_tensor_1d(report + sizeof(double), LOAM_F64, 1);
    optimiser->losses =
        loam_tensor_1d(report + SCALARS * sizeof(double), LOAM_F32, optimiser->settings.loss_rows);
    for (size_t i = 0; i < optimiser->spans.count; i++) {
        struct loam_optimiser_span *span = &optimiser->spans.items[i];
        if (span->range_count == 1) continue;
        const size_t bytes = span->range_count * sizeof(int32_t);
        span->starts = loam_tensor_1d(loam_arena_alloc(arena, bytes), LOAM_I32, (int64_t)span->range_count);
        span->groups = loam_tensor_1d(loam_arena_alloc(arena, bytes), LOAM_I32, (int64_t)span->range_count);
    }
}

static enum loam_status take_memory(struct loam_optimiser *optimiser, struct loam_error *error)
{
    const struct loam_device *device = optimiser->set->device;
    struct loam_arena counting;
    loam_device_arena_init_counting(device, &counting);
    place(optimiser, &counting);
    LOAM_TRY(loam_device_arena_init(device, &optimiser->arena, counting.peak, true, error));
    place(optimiser, &optimiser->arena);
    optimiser->host_report = loam_calloc(report_bytes(optimiser->settings.loss_rows), 1, error);
    return optimiser->host_report == NULL ? LOAM_ERROR_MEMORY : LOAM_OK;
}

static enum loam_status upload_ranges(struct loam_optimiser *optimiser,
                                      const struct loam_optimiser_ranges *ranges, struct loam_error *error)
{
    for (size_t i = 0; i < optimiser->spans.count; i++) {
        const struct loam_optimiser_span *span = &optimiser->spans.items[i];
        if (span->starts.data == NULL) continue;
        loam_upload(&optimiser->stream, span->starts.data, ranges->starts + span->first_range,
                    loam_tensor_bytes(&span->starts));
        loam_upload(&optimiser->stream, span->groups.data, ranges->groups + span->first_range,
                    loam_tensor_bytes(&span->groups));
    }
    return loam_stream_finish(&optimiser->stream, error);
}

static enum loam_status prepare(struct loam_optimiser *optimiser, struct loam_optimiser_ranges *ranges,
                                struct loam_error *error)
{
    size_t scratch = 0;
    LOAM_TRY(loam_optimiser_make_spans(&optimiser->spans, ranges, optimiser->set, error));
    LOAM_TRY(take_memory(optimiser, error));
    LOAM_TRY(plan(optimiser, &scratch, error));
    LOAM_TRY(loam_stream_init(&optimiser->stream, optimiser->set->device, scratch, error));
    return upload_ranges(optimiser, ranges, error);
}

enum loam_status loam_optimiser_init(struct loam_optimiser *optimiser, struct loam_trainables *set,
                                     const struct loam_optimiser_settings *settings, struct loam_error *error)
{
    struct loam_optimiser_ranges ranges = {0};
    *optimiser = (struct loam_optimiser){
        .set = set, .settings = *settings, .loss_scale = loam_loss_scale_make(settings->scales_loss)};
    enum loam_status status = prepare(optimiser, &ranges, error);
    loam_optimiser_ranges_deinit(&ranges);
    if (status != LOAM_OK) loam_optimiser_deinit(optimiser);
    return status;
}

void loam_optimiser_deinit(struct loam_optimiser *optimiser)
{
    if (optimiser->set == NULL) return;
    if (optimiser->stream.device != NULL) loam_stream_deinit(&optimiser->stream);
    loam_device_arena_deinit(optimiser->set->device, &optimiser->arena);
    loam_optimiser_spans_deinit(&optimiser->spans);
    free(optimiser->host_report);
    *optimiser = (struct loam_optimiser){0};
}

// ---- one by one ----

enum loam_status loam_optimiser_zero_gradients(struct loam_optimiser *optimiser, struct loam_error *error)
{
    loam_optimiser_queue_clear(optimiser);
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
    zero_scalars(optimiser, &optimiser->stream);
    measure(optimiser, &optimiser->stream);
    LOAM_TRY(read_norm(optimiser, norm, error));
    *norm /= optimiser->loss_scale.factor;
    return LOAM_OK;
}

enum loam_status loam_optimiser_value_norm(struct loam_optimiser *optimiser, double *norm,
                                           struct loam_error *error)
{
    zero_scalars(optimiser, &optimiser->stream);
    for (size_t i = 0; i < optimiser->set->count; i++)
        add_square(&optimiser->stream, optimiser->set->items[i].value, optimiser->squared_norm);
    return read_norm(optimiser, norm, error);
}

enum loam_status loam_optimiser_update(struct loam_optimiser *optimiser, double learning_rate,
                                       struct loam_error *error)
{
    optimiser->step++;
    update(optimiser, &optimiser->stream, learning_rate);
    return loam_stream_finish(&optimiser->stream, error);
}

// ---- queued ----

void loam_optimiser_queue_clear(struct loam_optimiser *optimiser)
{
    const struct loam_tensor *gradients = &optimiser->set->gradients;
    zero_scalars(optimiser, &optimiser->stream);
    loam_zero(&optimiser->stream, gradients->data, loam_tensor_bytes(gradients));
}

void loam_optimiser_queue_losses(struct loam_optimiser *optimiser, int32_t rows)
{
    guard_losses(optimiser, &optimiser->stream, rows);
}

void loam_optimiser_queue_update(struct loam_optimiser *optimiser, double learning_rate)
{
    measure(optimiser, &optimiser->stream);
    optimiser->step++;
    update(optimiser, &optimiser->stream, learning_rate);
}

enum loam_status loam_optimiser_wait(struct loam_optimiser *optimiser, int32_t rows, const float **losses,
                                     struct loam_error *error)
{
    loam_download(&optimiser->stream, optimiser->host_report, optimiser->squared_norm.data,
                  report_bytes(rows));
    *losses = (const float *)(const void *)(optimiser->host_report + SCALARS);
    return loam_stream_finish(&optimiser->stream, error);
}

double loam_optimiser_settle(struct loam_optimiser *optimiser)
{
    if (!isfinite(optimiser->host_report[0]) || !isfinite(optimiser->host_report[1])) optimiser->step--;
    return sqrt(optimiser->host_report[0]) / optimiser->loss_scale.factor;
}
