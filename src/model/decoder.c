// The decoder's life and its passes: sizing by a dry run, training, evaluation, logits.
#include "model/decoder.h"

#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/heap.h"
#include "io/container.h"
#include "model/cache.h"
#include "model/head.h"
#include "model/layer.h"
#include "model/top.h"

static struct loam_pass_input batch_input(const struct loam_config *config, const struct loam_batch *batch)
{
    struct loam_pass_input input = {.ids = batch->ids,
                                    .targets = batch->targets,
                                    .positions = batch->positions,
                                    .offsets = batch->offsets,
                                    .spans = {.q_offsets = batch->offsets,
                                              .kv_offsets = batch->offsets,
                                              .count = batch->sequences,
                                              .max_q = batch->max_sequence,
                                              .max_kv = batch->max_sequence},
                                    .tokens = batch->tokens,
                                    .sequences = batch->sequences,
                                    .counted = batch->labels.count};
    for (int32_t i = 0; i < batch->sequences; i++) {
        const int64_t length = batch->offsets[i + 1] - batch->offsets[i];
        loam_pass_add_pairs(config, length, length, input.pairs);
    }
    return input;
}

// Keeps only the rows that count, where they are at most half: with more, gathering and scattering rows costs
// more time and memory than it saves.
static void keep_counted(struct loam_decoder *decoder, const struct loam_batch *batch,
                         struct loam_pass_input *input)
{
    const int32_t count = (int32_t)batch->labels.count;
    int32_t *targets = decoder->host_targets, *places = targets + decoder->limits.tokens;
    if (count == 0 || count > batch->tokens / 2) return;
    if (loam_family_drop_branch(decoder->model->config.family) < 0) return;
    for (int32_t i = 0, next = 0; i < batch->tokens; i++) {
        const bool counts = next < count && batch->rows[next] == i;
        places[i] = counts ? next : count;
        if (counts) targets[next++] = batch->targets[i];
    }
    input->targets = targets;
    input->kept_rows = batch->rows;
    input->kept_places = places;
    input->kept = count;
}

// The row of the batch that is row i of the loss.
static int32_t batch_row(const struct loam_pass_input *input, int32_t i)
{
    return input->kept > 0 ? input->kept_rows[i] : i;
}

// factors[i] = weight scale
static void set_factors(struct loam_decoder *decoder, const struct loam_batch *batch, double scale,
                        struct loam_pass_input *input)
{
    for (int32_t i = 0; i < loam_pass_loss_rows(input); i++)
        decoder->host_rows[i] = (float)((double)batch->weights[batch_row(input, i)] * scale);
    input->factors = decoder->host_rows;
}

// The gradients of the stream lie below everything that the layers keep.
static void run_loss(struct loam_pass *pass)
{
    const int64_t hidden = pass->model->config.hidden, kept = pass->kept.rows.shape[0];
    struct loam_tensor dres = {0}, dx = {0};
    if (pass->gradients) dx = dres = loam_pass_rows(pass, hidden);
    if (pass->gradients && kept > 0) {
        pass->kept.dx = loam_pass_rows_and_zeros(pass, kept, hidden);
        dx = loam_tensor_rows(&pass->kept.dx, 0, kept);
    }
    loam_decoder_forward(pass);
    loam_head_loss(pass, dx);
    if (pass->gradients) loam_decoder_backward(pass, dres);
}

static enum loam_status check_batch(const struct loam_decoder *decoder, const struct loam_batch *batch,
                                    struct loam_error *error)
{
    if (batch->tokens < 1 || batch->tokens > decoder->limits.tokens ||
        batch->sequences > decoder->limits.sequences)
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "a batch of %d tokens in %d sequences: expected 1 to %d tokens in at most %d",
                         batch->tokens, batch->sequences, decoder->limits.tokens, decoder->limits.sequences);
    LOAM_TRY(loam_pass_check_ids(decoder, batch->ids, batch->tokens, error));
    LOAM_TRY(loam_pass_check_positions(decoder, batch->max_sequence, error));
    return loam_decoder_check_segments(decoder, batch->tokens, error);
}

// Losses of the rows of the pass to those of the batch.
static enum loam_status download_losses(struct loam_pass *pass, const struct loam_pass_input *input,
                                        struct loam_batch *batch, struct loam_error *error)
{
    float *rows = pass->decoder->host_rows;
    loam_download(pass->stream, rows, pass->losses.data, loam_tensor_bytes(&pass->losses));
    LOAM_TRY(loam_pass_end(pass, error));
    for (int32_t i = 0; i < loam_pass_loss_rows(input); i++)
        batch->losses[batch_row(input, i)] = rows[i];
    return LOAM_OK;
}

static struct loam_pass queue_training(struct loam_decoder *decoder, const struct loam_decoder_step *step,
                                       const struct loam_pass_input *input)
{
    struct loam_pass pass = loam_pass_begin(decoder, &decoder->stream, &decoder->step, input);
    pass.seed = step->seed;
    pass.dropout_counter = step->dropout_counter;
    run_loss(&pass);
    return pass;
}

enum loam_status loam_decoder_train(struct loam_decoder *decoder, struct loam_batch *batch, double scale,
                                    uint64_t seed, uint64_t dropout_counter, struct loam_error *error)
{
    LOAM_TRY(check_batch(decoder, batch, error));
    const struct loam_decoder_step step = {scale, seed, dropout_counter};
    struct loam_pass_input input = batch_input(&decoder->model->config, batch);
    keep_counted(decoder, batch, &input);
    set_factors(decoder, batch, scale, &input);
    struct loam_pass pass = queue_training(decoder, &step, &input);
    return download_losses(&pass, &input, batch, error);
}

enum loam_status loam_decoder_queue(struct loam_decoder *decoder, const struct loam_batch *batch,
                                    const struct loam_decoder_step *step, struct loam_decoder_losses *losses,
                                    struct loam_error *error)
{
    LOAM_TRY(check_batch(decoder, batch, error));
    struct loam_pass_input input = batch_input(&decoder->model->config, batch);
    keep_counted(decoder, batch, &input);
    set_factors(decoder, batch, step->scale, &input);
    losses->rows = loam_pass_loss_rows(&input);
    for (int32_t i = 0; i < losses->rows; i++)
        losses->weights[i] = batch->weights[batch_row(&input, i)];
    input.losses = losses->place;
    struct loam_pass pass = queue_training(decoder, step, &input);
    const bool failed = decoder->stream.failure.status != LOAM_OK || decoder->step.exhausted;
    return failed ? loam_pass_end(&pass, error) : LOAM_OK;
}

enum loam_status loam_decoder_evaluate(struct loam_decoder *decoder, struct loam_batch *batch,
                                       struct loam_error *error)
{
    LOAM_TRY(check_batch(decoder, batch, error));
    struct loam_pass_input input = batch_input(&decoder->model->config, batch);
    keep_counted(decoder, batch, &input);
    struct loam_pass pass = loam_pass_begin(decoder, &decoder->stream, &decoder->step, &input);
    run_loss(&pass);
    return download_losses(&pass, &input, batch, error);
}

enum loam_status loam_decoder_logits(struct loam_decoder *decoder, const struct loam_batch *batch,
                                     float *logits, struct loam_error *error)
{
    LOAM_TRY(check_batch(decoder, batch, error));
    if (batch->tokens > decoder->limits.logit_rows)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "logits of %d rows: the decoder was made for %d",
                         batch->tokens, decoder->limits.logit_rows);
    struct loam_pass_input input = batch_input(&decoder->model->config, batch);
    input.targets = NULL;
    struct loam_pass pass = loam_pass_begin(decoder, &decoder->stream, &decoder->step, &input);
    loam_decoder_forward(&pass);
    struct loam_tensor rows = loam_head_logits(&pass, 0, batch->tokens);
    loam_download(&decoder->stream, logits, rows.data, loam_tensor_bytes(&rows));
    return loam_pass_end(&pass, error);
}

// ---- sizing ----

static const int32_t unread[1]; // the ids and indices of a dry pass
static const float unread_factors[1];

// One dry pass: what a batch of so many tokens in so many sequences needs, when each is as long as it can be.
static struct loam_pass dry_pass(struct loam_decoder *decoder, struct loam_stream *stream,
                                 struct loam_arena *arena, struct loam_pass_input input)
{
    input.ids = input.positions = input.offsets = unread;
    input.spans = (struct loam_attention_spans){unread, unread, input.sequences, input.tokens, input.tokens};
    input.kept_rows = input.kept_places = unread;
    return loam_pass_begin(decoder, stream, arena, &input);
}

static void dry_loss(struct loam_decoder *decoder, struct loam_stream *stream, struct loam_arena *arena,
                     bool gradients, int32_t kept)
{
    struct loam_pass pass = dry_pass(decoder, stream, arena,
                                     (struct loam_pass_input){.targets = unread,
                                                              .factors = gradients ? unread_factors : NULL,
                                                              .tokens = decoder->limits.tokens,
                                                              .sequences = decoder->limits.sequences,
                                                              .kept = kept});
    run_loss(&pass);
}

static void dry_logits(struct loam_decoder *decoder, struct loam_stream *stream, struct loam_arena *arena)
{
    struct loam_pass pass = dry_pass(decoder, stream, arena,
                                     (struct loam_pass_input){.tokens = decoder->limits.logit_rows,
                                                              .sequences = decoder->limits.sequences});
    loam_decoder_forward(&pass);
    loam_head_logits(&pass, 0, decoder->limits.logit_rows);
}

// Every pass that the limits allow, with the segments that are chosen.
static void dry_passes(struct loam_decoder *decoder, struct loam_stream *stream, struct loam_arena *arena)
{
    const struct loam_decoder_limits *limits = &decoder->limits;
    const bool drops = loam_family_drop_branch(decoder->model->config.family) >= 0;
    const int32_t kept[] = {0, drops ? limits->tokens / 2 : 0};
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        if (limits->train) dry_loss(decoder, stream, arena, true, kept[i]);
        if (limits->evaluate) dry_loss(decoder, stream, arena, false, kept[i]);
    }
    if (limits->logit_rows > 0) dry_logits(decoder, stream, arena);
    loam_feed_dry(decoder, stream, arena);
}

// Runs the passes without computing: the arenas count, the stream asks.
static enum loam_status measure(struct loam_decoder *decoder, size_t *step_bytes, size_t *cache_bytes,
                                size_t *scratch_bytes, struct loam_error *error)
{
    struct loam_arena step, cache;
    struct loam_stream stream;
    loam_device_arena_init_counting(decoder->device, &step);
    loam_device_arena_init_counting(decoder->device, &cache);
    loam_stream_init_planning(&stream, decoder->device);
    loam_cache_place(decoder, &cache);
    dry_passes(decoder, &stream, &step);
    // Without adapters a pass reads the model's own parameters, which may be streamed.
    const size_t segments = decoder->segment_count;
    decoder->segment_count = 0;
    if (loam_decoder_replaces(decoder)) dry_passes(decoder, &stream, &step);
    decoder->segment_count = segments;
    *step_bytes = step.peak;
    *cache_bytes = cache.peak;
    *scratch_bytes = stream.scratch_needed;
    enum loam_status status = loam_stream_finish(&stream, error);
    loam_stream_deinit(&stream);
    return status;
}

enum loam_status loam_decoder_count(struct loam_decoder *decoder, int32_t length, struct loam_trace *trace,
                                    struct loam_error *error)
{
    const int32_t tokens = decoder->limits.tokens;
    struct loam_pass_input input = {.targets = unread,
                                    .factors = unread_factors,
                                    .tokens = tokens,
                                    .sequences = decoder->limits.sequences,
                                    .counted = tokens};
    struct loam_arena step;
    struct loam_stream stream;
    for (int32_t first = 0; first < tokens; first += length) {
        const int64_t count = tokens - first < length ? tokens - first : length;
        loam_pass_add_pairs(&decoder->model->config, count, count, input.pairs);
    }
    loam_device_arena_init_counting(decoder->device, &step);
    loam_stream_init_planning(&stream, decoder->device);
    stream.trace = trace;
    struct loam_pass pass = dry_pass(decoder, &stream, &step, input);
    run_loss(&pass);
    enum loam_status status = loam_stream_finish(&stream, error);
    loam_stream_deinit(&stream);
    return status;
}

static int first_trained_layer(const struct loam_decoder *decoder)
{
    const struct loam_model *model = decoder->model;
    int first = 0;
    if (decoder->embedding_trained) return 0;
    while (first < model->config.layers && !loam_layer_trained(decoder, &model->layers[first]))
        first++;
    return first;
}

// Frequencies of a RoPE table that depends on the length of a sequence; 0: there is none.
static int64_t most_frequencies(const struct loam_decoder *decoder)
{
    const struct loam_config *config = &decoder->model->config;
    int64_t most = 0;
    for (int i = 0; i < config->family->rope_count; i++)
        if (loam_config_rope_depends_on_length(config, i) && config->ropes[i].rotated / 2 > most)
            most = config->ropes[i].rotated / 2;
    return most;
}

static enum loam_status allocate_tables(struct loam_decoder *decoder, struct loam_error *error)
{
    size_t layers = (size_t)decoder->model->config.layers;
    size_t tokens =
        decoder->device->planning ? 0 : (size_t)decoder->limits.tokens; // no batch comes to a plan
    size_t positions = decoder->limits.generate ? tokens : 0;
    size_t rows = decoder->limits.train || decoder->limits.evaluate ? tokens : 0;
    decoder->layers = loam_calloc(layers, sizeof *decoder->layers, error);
    decoder->cache_k = loam_calloc(layers, sizeof *decoder->cache_k, error);
    decoder->cache_v = loam_calloc(layers, sizeof *decoder->cache_v, error);
    decoder->host_ids = loam_calloc(positions, sizeof *decoder->host_ids, error);
    decoder->host_positions = loam_calloc(positions, sizeof *decoder->host_positions, error);
    decoder->host_targets = loam_calloc(2 * rows, sizeof *decoder->host_targets, error);
    decoder->host_rows = loam_calloc(rows, sizeof *decoder->host_rows, error);
    const struct loam_decoder_limits *limits = &decoder->limits;
    const int32_t sequences = limits->cached > limits->sequences ? limits->cached : limits->sequences;
    // Ids, targets, factors, kept rows, their places and positions, and two arrays of offsets.
    decoder->host_input_bytes =
        (6 * tokens + 2 * ((size_t)sequences + 1)) * sizeof(int32_t) + 8 * decoder->device->alignment;
    decoder->host_inputs = loam_calloc(decoder->host_input_bytes, 1, error);
    const size_t frequencies = (size_t)sequences * (size_t)most_frequencies(decoder);
    decoder->host_frequencies = loam_calloc(frequencies, sizeof *decoder->host_frequencies, error);
    bool all = decoder->layers != NULL && decoder->cache_k != NULL && decoder->cache_v != NULL &&
               decoder->host_ids != NULL && decoder->host_positions != NULL &&
               decoder->host_targets != NULL && decoder->host_rows != NULL && decoder->host_inputs != NULL &&
               decoder->host_frequencies != NULL;
    return all ? LOAM_OK : LOAM_ERROR_MEMORY;
}

static enum loam_status decoder_setup(struct loam_decoder *decoder, struct loam_error *error)
{
    size_t step_bytes, cache_bytes, scratch_bytes;
    LOAM_TRY(allocate_tables(decoder, error));
    LOAM_TRY(loam_host_cache_init(decoder, error));
    LOAM_TRY(loam_top_init(decoder, error));
    LOAM_TRY(loam_pass_check_positions(decoder, decoder->limits.context, error));
    LOAM_TRY(loam_decoder_take_adapters(decoder, error));
    const struct loam_model *model = decoder->model;
    decoder->embedding_trained = loam_decoder_gradient(decoder, model->embedding).data != NULL ||
                                 loam_decoder_gradient(decoder, model->positions).data != NULL ||
                                 loam_norm_trained(decoder, &model->embedding_norm) ||
                                 loam_decoder_trains_embedding(decoder);
    decoder->first_trained = first_trained_layer(decoder);
    LOAM_TRY(measure(decoder, &step_bytes, &cache_bytes, &scratch_bytes, error));
    LOAM_TRY(loam_device_arena_init(decoder->device, &decoder->step, step_bytes, true, error));
    LOAM_TRY(loam_device_arena_init(decoder->device, &decoder->cache, cache_bytes, false, error));
    LOAM_TRY(loam_stream_init(&decoder->stream, decoder->device, scratch_bytes, error));
    loam_cache_place(decoder, &decoder->cache);
    const struct loam_segments given = decoder->limits.adapters;
    decoder->limits.adapters = (struct loam_segments){0}; // the list is the caller's
    return loam_decoder_adapt(decoder, &given, error);
}

// One sequence is cached where the limits name none. A pass over the cache has at most the cache's tokens.
static void limit_cache(struct loam_decoder_limits *limits)
{
    if (limits->cached < 1) limits->cached = 1;
    const int64_t rows = (int64_t)limits->cached * limits->context;
    if (limits->tokens > rows) limits->tokens = (int32_t)rows;
}

enum loam_status loam_decoder_create(struct loam_decoder **out, const struct loam_model *model,
                                     const struct loam_device *device,
                                     const struct loam_decoder_limits *limits, struct loam_error *error)
{
    if (limits->tokens < 1 || limits->sequences < 1 || (limits->generate && limits->context < 1))
        return loam_fail(
            error, LOAM_ERROR_ARGUMENT,
            "a decoder for %d tokens, %d sequences and a context of %d: expected at least 1 of each",
            limits->tokens, limits->sequences, limits->context);
    struct loam_decoder *decoder = loam_calloc(1, sizeof *decoder, error);
    if (decoder == NULL) return LOAM_ERROR_MEMORY;
    decoder->model = model;
    decoder->device = device;
    decoder->limits = *limits;
    if (limits->generate) limit_cache(&decoder->limits);
    enum loam_status status = decoder_setup(decoder, error);
    if (status != LOAM_OK) {
        loam_decoder_destroy(decoder);
        return status;
    }
    *out = decoder;
    return LOAM_OK;
}

void loam_decoder_trace(struct loam_decoder *decoder, struct loam_trace *trace)
{
    decoder->stream.trace = trace;
}

bool loam_decoder_is_f32(const struct loam_decoder *decoder)
{
    return decoder->model->dtype == LOAM_F32 && decoder->model->matrix_dtype == LOAM_F32;
}

bool loam_decoder_could_read(const struct loam_decoder *decoder)
{
    const struct loam_model *model = decoder->model;
    const bool in_file = model->mapped_bytes > 0 || model->reader != NULL;
    if (in_file && !loam_container_is_whole(model->file)) loam_fault_record();
    return !loam_fault_occurred();
}

struct loam_decoder_bytes loam_decoder_bytes(const struct loam_decoder *decoder)
{
    return (struct loam_decoder_bytes){.step = decoder->step.capacity,
                                       .cache = decoder->cache.capacity,
                                       .scratch = decoder->stream.scratch.capacity};
}

void loam_decoder_destroy(struct loam_decoder *decoder)
{
    if (decoder == NULL) return;
    loam_stream_deinit(&decoder->stream);
    loam_device_arena_deinit(decoder->device, &decoder->step);
    loam_device_arena_deinit(decoder->device, &decoder->cache);
    free(decoder->layers);
    free(decoder->cache_k);
    free(decoder->cache_v);
    loam_host_cache_deinit(&decoder->cached);
    loam_top_deinit(decoder);
    free(decoder->host_ids);
    free(decoder->host_positions);
    free(decoder->host_targets);
    free(decoder->host_rows);
    free(decoder->host_inputs);
    free(decoder->host_frequencies);
    free(decoder->uses);
    free(decoder->adapters);
    free(decoder->chosen);
    free(decoder->head_norms);
    free(decoder);
}
