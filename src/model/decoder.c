// The decoder's life and its passes: sizing by a dry run, training, evaluation, logits, generation.
#include "model/decoder.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "model/head.h"
#include "model/layer.h"

// The input of a pass: host arrays of a packed batch.
struct pass_input {
    const int32_t *ids;
    const int32_t *targets; // NULL: no loss
    const float *factors;   // of the gradient of each row's loss; NULL: no gradients
    const int32_t *positions;
    const int32_t *q_offsets;
    const int32_t *kv_offsets;
    int32_t tokens;
    int32_t sequences;
    int32_t max_q;
    int32_t max_kv;
    // (query, visible key) over all sequences, in layers of each kind
    int64_t pairs[LOAM_LAYER_KINDS];
    int64_t counted;            // rows with a target
    int32_t length;             // of the sequence once all chunks of a prompt are in; 0: as the offsets say
    int32_t first;              // row of the first token among those of the call: prompts are fed in chunks
    int32_t kept;               // rows of struct loam_kept_rows, all with a target; 0: all tokens
    const int32_t *kept_rows;   // [kept]
    const int32_t *kept_places; // [tokens]
};

// Pairs of `queries` tokens at the end of a sequence of `keys`: each sees itself and those before it, within
// the window where there is one.
static int64_t visible_pairs(int64_t queries, int64_t keys, int64_t window)
{
    const int64_t all = queries * (keys - queries) + queries * (queries + 1) / 2;
    if (window == 0 || window >= keys) return all;
    // The queries after key `window` see `window` keys each.
    const int64_t full = keys - window < queries ? keys - window : queries, rest = queries - full;
    return full * window + rest * (keys - queries) + rest * (rest + 1) / 2;
}

// pairs[kind] += the pairs of a sequence in a layer of that kind.
static void add_pairs(const struct loam_config *config, int64_t queries, int64_t keys,
                      int64_t pairs[LOAM_LAYER_KINDS])
{
    for (size_t i = 0; i < config->family->kind_count; i++)
        pairs[i] += visible_pairs(queries, keys, loam_config_kind_window(config, &config->family->kinds[i]));
}

static struct pass_input batch_input(const struct loam_config *config, const struct loam_batch *batch)
{
    struct pass_input input = {.ids = batch->ids,
                               .targets = batch->targets,
                               .positions = batch->positions,
                               .q_offsets = batch->offsets,
                               .kv_offsets = batch->offsets,
                               .tokens = batch->tokens,
                               .sequences = batch->sequences,
                               .max_q = batch->max_sequence,
                               .max_kv = batch->max_sequence,
                               .counted = batch->labels.count};
    for (int32_t i = 0; i < batch->sequences; i++) {
        const int64_t length = batch->offsets[i + 1] - batch->offsets[i];
        add_pairs(config, length, length, input.pairs);
    }
    return input;
}

// Keeps only the rows that count, where they are at most half: with more, gathering and scattering rows costs
// more time and memory than it saves.
static void keep_counted(struct loam_decoder *decoder, const struct loam_batch *batch,
                         struct pass_input *input)
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

// Rows of the loss: those that are kept, or all.
static int32_t loss_rows(const struct pass_input *input)
{
    return input->kept > 0 ? input->kept : input->tokens;
}

// The row of the batch that is row i of the loss.
static int32_t batch_row(const struct pass_input *input, int32_t i)
{
    return input->kept > 0 ? input->kept_rows[i] : i;
}

// factors[i] = weight scale
static void set_factors(struct loam_decoder *decoder, const struct loam_batch *batch, double scale,
                        struct pass_input *input)
{
    for (int32_t i = 0; i < loss_rows(input); i++)
        decoder->host_rows[i] = (float)((double)batch->weights[batch_row(input, i)] * scale);
    input->factors = decoder->host_rows;
}

static struct loam_tensor upload(struct loam_pass *pass, const void *host, enum loam_dtype dtype,
                                 int64_t count)
{
    size_t bytes = (size_t)count * loam_dtype_size(dtype);
    void *data = loam_arena_alloc(pass->arena, bytes);
    if (data != NULL) loam_upload(pass->stream, data, host, bytes);
    return loam_tensor_1d(data, dtype, count);
}

static struct loam_tensor upload_ints(struct loam_pass *pass, const int32_t *host, int64_t count)
{
    return upload(pass, host, LOAM_I32, count);
}

// What the loss reads, and room for what it writes.
static void place_loss_rows(struct loam_pass *pass, const struct pass_input *input)
{
    const int32_t rows = loss_rows(input);
    if (input->targets == NULL) return;
    pass->targets = upload_ints(pass, input->targets, rows);
    if (input->factors != NULL) pass->factors = upload(pass, input->factors, LOAM_F32, rows);
    pass->losses = loam_tensor_1d(NULL, LOAM_F32, rows);
    pass->losses.data = loam_arena_alloc(pass->arena, loam_tensor_bytes(&pass->losses));
}

// Starts a pass: the step arena is empty, the batch is on the device.
static struct loam_pass pass_begin(struct loam_decoder *decoder, struct loam_stream *stream,
                                   struct loam_arena *arena, const struct pass_input *input)
{
    const struct loam_model *model = decoder->model;
    struct loam_pass pass = {.decoder = decoder,
                             .model = model,
                             .stream = stream,
                             .arena = arena,
                             .tokens = input->tokens,
                             .sequences = input->sequences,
                             .host_q_offsets = input->q_offsets,
                             .host_kv_offsets = input->kv_offsets,
                             .length = input->length,
                             .gradients = input->factors != NULL,
                             .counted = input->counted};
    loam_arena_release(arena, 0);
    loam_pass_take_segments(&pass, input->first, input->tokens);
    if (input->kept > 0) loam_pass_keep_segments(&pass, input->kept_rows, input->kept);
    pass.ids = upload_ints(&pass, input->ids, input->tokens);
    place_loss_rows(&pass, input);
    if (input->kept > 0) {
        pass.kept.rows = upload_ints(&pass, input->kept_rows, input->kept);
        pass.kept.places = upload_ints(&pass, input->kept_places, input->tokens);
    }
    pass.positions = upload_ints(&pass, input->positions, input->tokens);
    pass.attention = (struct loam_attention_shape){
        .q_offsets = upload_ints(&pass, input->q_offsets, input->sequences + 1),
        .kv_offsets = upload_ints(&pass, input->kv_offsets, input->sequences + 1),
        .slopes = model->alibi_slopes,
        .max_q = input->max_q,
        .max_kv = input->max_kv,
        .softcap = (float)model->config.attention_softcap,
        .scale = loam_config_attention_scale(&model->config)};
    memcpy(pass.pairs, input->pairs, sizeof pass.pairs);
    return pass;
}

// Waits for the pass; the first failure of an op or of the arena.
static enum loam_status pass_end(struct loam_pass *pass, struct loam_error *error)
{
    LOAM_TRY(loam_stream_finish(pass->stream, error));
    if (pass->arena->exhausted) {
        pass->arena->exhausted = false;
        return loam_fail(error, LOAM_ERROR_INTERNAL,
                         "a batch of %lld tokens needs more memory than the %zu bytes planned for a step",
                         (long long)pass->tokens, pass->arena->capacity);
    }
    return LOAM_OK;
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

// Refuses positions for which no row was learned.
static enum loam_status check_positions(const struct loam_decoder *decoder, int64_t tokens,
                                        struct loam_error *error)
{
    const struct loam_config *config = &decoder->model->config;
    if (decoder->model->positions == NULL || tokens <= config->max_positions) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_ARGUMENT,
                     "a sequence of %lld tokens: the model has learned %lld positions; shorten sequences to "
                     "at most so many",
                     (long long)tokens, (long long)config->max_positions);
}

static enum loam_status check_batch(const struct loam_decoder *decoder, const struct loam_batch *batch,
                                    struct loam_error *error)
{
    if (batch->tokens < 1 || batch->tokens > decoder->limits.tokens ||
        batch->sequences > decoder->limits.sequences)
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "a batch of %d tokens in %d sequences: expected 1 to %d tokens in at most %d",
                         batch->tokens, batch->sequences, decoder->limits.tokens, decoder->limits.sequences);
    for (int32_t i = 0; i < batch->tokens; i++)
        if (batch->ids[i] < 0 || batch->ids[i] >= decoder->model->config.vocabulary)
            return loam_fail(error, LOAM_ERROR_ARGUMENT, "token id %d: the model's embedding has %lld rows",
                             batch->ids[i], (long long)decoder->model->config.vocabulary);
    LOAM_TRY(check_positions(decoder, batch->max_sequence, error));
    return loam_decoder_check_segments(decoder, batch->tokens, error);
}

// Losses of the rows of the pass to those of the batch.
static enum loam_status download_losses(struct loam_pass *pass, const struct pass_input *input,
                                        struct loam_batch *batch, struct loam_error *error)
{
    float *rows = pass->decoder->host_rows;
    loam_download(pass->stream, rows, pass->losses.data, loam_tensor_bytes(&pass->losses));
    LOAM_TRY(pass_end(pass, error));
    for (int32_t i = 0; i < loss_rows(input); i++)
        batch->losses[batch_row(input, i)] = rows[i];
    return LOAM_OK;
}

enum loam_status loam_decoder_train(struct loam_decoder *decoder, struct loam_batch *batch, double scale,
                                    uint64_t seed, uint64_t dropout_counter, struct loam_error *error)
{
    LOAM_TRY(check_batch(decoder, batch, error));
    struct pass_input input = batch_input(&decoder->model->config, batch);
    keep_counted(decoder, batch, &input);
    set_factors(decoder, batch, scale, &input);
    struct loam_pass pass = pass_begin(decoder, &decoder->stream, &decoder->step, &input);
    pass.seed = seed;
    pass.dropout_counter = dropout_counter;
    run_loss(&pass);
    return download_losses(&pass, &input, batch, error);
}

enum loam_status loam_decoder_evaluate(struct loam_decoder *decoder, struct loam_batch *batch,
                                       struct loam_error *error)
{
    LOAM_TRY(check_batch(decoder, batch, error));
    struct pass_input input = batch_input(&decoder->model->config, batch);
    keep_counted(decoder, batch, &input);
    struct loam_pass pass = pass_begin(decoder, &decoder->stream, &decoder->step, &input);
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
    struct pass_input input = batch_input(&decoder->model->config, batch);
    input.targets = NULL;
    struct loam_pass pass = pass_begin(decoder, &decoder->stream, &decoder->step, &input);
    loam_decoder_forward(&pass);
    struct loam_tensor rows = loam_head_logits(&pass, 0, batch->tokens);
    loam_download(&decoder->stream, logits, rows.data, loam_tensor_bytes(&rows));
    return pass_end(&pass, error);
}

// ---- generation ----

void loam_decoder_cache_reset(struct loam_decoder *decoder)
{
    decoder->cache_length = 0;
}

void loam_decoder_cache_truncate(struct loam_decoder *decoder, int32_t length)
{
    if (length < decoder->cache_length) decoder->cache_length = length;
}

int32_t loam_decoder_context(const struct loam_decoder *decoder)
{
    return decoder->limits.context;
}

// One chunk of the sequence in the cache.
static struct pass_input chunk_input(const struct loam_decoder *decoder, const int32_t *ids, int32_t first,
                                     int32_t count, int32_t total, int32_t offsets[4])
{
    int32_t length = decoder->cache_length + count;
    for (int32_t i = 0; i < count; i++)
        decoder->host_positions[i] = decoder->cache_length + i;
    memcpy(offsets, (int32_t[4]){0, count, 0, length}, 4 * sizeof *offsets);
    struct pass_input input = {.ids = ids + first,
                               .length = total,
                               .first = first,
                               .positions = decoder->host_positions,
                               .q_offsets = offsets,
                               .kv_offsets = offsets + 2,
                               .tokens = count,
                               .sequences = 1,
                               .max_q = count,
                               .max_kv = length};
    add_pairs(&decoder->model->config, count, length, input.pairs);
    return input;
}

// Tokens [first, first + count) of ids. `length`: of the sequence after the last chunk.
static enum loam_status feed_chunk(struct loam_decoder *decoder, const int32_t *ids, int32_t first,
                                   int32_t count, int32_t length, float *logits, struct loam_error *error)
{
    int32_t offsets[4];
    struct pass_input input = chunk_input(decoder, ids, first, count, length, offsets);
    struct loam_pass pass = pass_begin(decoder, &decoder->stream, &decoder->step, &input);
    pass.use_cache = true;
    loam_decoder_forward(&pass);
    if (logits != NULL) {
        struct loam_tensor row = loam_head_logits(&pass, count - 1, 1);
        loam_download(&decoder->stream, logits, row.data, loam_tensor_bytes(&row));
    }
    LOAM_TRY(pass_end(&pass, error));
    decoder->cache_length += count;
    return LOAM_OK;
}

enum loam_status loam_decoder_feed(struct loam_decoder *decoder, const int32_t *ids, int32_t count,
                                   float *logits, struct loam_error *error)
{
    if (count < 1 || count > decoder->limits.context - decoder->cache_length)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "%d tokens after %d: the context has room for %d", count,
                         decoder->cache_length, decoder->limits.context);
    for (int32_t i = 0; i < count; i++)
        if (ids[i] < 0 || ids[i] >= decoder->model->config.vocabulary)
            return loam_fail(error, LOAM_ERROR_ARGUMENT, "token id %d: the model's embedding has %lld rows",
                             ids[i], (long long)decoder->model->config.vocabulary);
    LOAM_TRY(loam_decoder_check_segments(decoder, count, error));
    const int32_t length = decoder->cache_length + count;
    for (int32_t done = 0; done < count;) {
        int32_t rest = count - done;
        int32_t chunk = rest < decoder->limits.tokens ? rest : decoder->limits.tokens;
        LOAM_TRY(feed_chunk(decoder, ids, done, chunk, length, chunk == rest ? logits : NULL, error));
        done += chunk;
    }
    return LOAM_OK;
}

// ---- sizing ----

static void allocate_cache(struct loam_decoder *decoder, struct loam_arena *arena)
{
    const struct loam_config *config = &decoder->model->config;
    enum loam_dtype dtype = decoder->model->dtype;
    for (int64_t i = 0; i < 2 * config->layers; i++) {
        struct loam_tensor *cache = i % 2 == 0 ? &decoder->cache_k[i / 2] : &decoder->cache_v[i / 2];
        *cache = loam_tensor_3d(NULL, dtype, decoder->limits.context, config->kv_heads, config->head_dim);
        cache->data = loam_arena_alloc(arena, loam_tensor_bytes(cache));
    }
}

static const int32_t unread[1]; // the ids and indices of a dry pass
static const float unread_factors[1];

// One dry pass: what a batch of so many tokens in so many sequences needs, when each is as long as it can be.
static struct loam_pass dry_pass(struct loam_decoder *decoder, struct loam_stream *stream,
                                 struct loam_arena *arena, struct pass_input input)
{
    input.ids = input.positions = input.q_offsets = input.kv_offsets = unread;
    input.kept_rows = input.kept_places = unread;
    input.max_q = input.max_kv = input.tokens;
    return pass_begin(decoder, stream, arena, &input);
}

static void dry_loss(struct loam_decoder *decoder, struct loam_stream *stream, struct loam_arena *arena,
                     bool gradients, int32_t kept)
{
    struct loam_pass pass = dry_pass(decoder, stream, arena,
                                     (struct pass_input){.targets = unread,
                                                         .factors = gradients ? unread_factors : NULL,
                                                         .tokens = decoder->limits.tokens,
                                                         .sequences = decoder->limits.sequences,
                                                         .kept = kept});
    run_loss(&pass);
}

static void dry_feed(struct loam_decoder *decoder, struct loam_stream *stream, struct loam_arena *arena,
                     int32_t tokens)
{
    struct loam_pass pass =
        dry_pass(decoder, stream, arena, (struct pass_input){.tokens = tokens, .sequences = 1});
    pass.attention.max_kv = decoder->limits.context;
    pass.use_cache = true;
    decoder->cache_length = decoder->limits.context - tokens;
    loam_decoder_forward(&pass);
    loam_head_logits(&pass, tokens - 1, 1);
    decoder->cache_length = 0;
}

static void dry_logits(struct loam_decoder *decoder, struct loam_stream *stream, struct loam_arena *arena)
{
    struct loam_pass pass = dry_pass(
        decoder, stream, arena,
        (struct pass_input){.tokens = decoder->limits.logit_rows, .sequences = decoder->limits.sequences});
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
    if (!limits->generate) return;
    dry_feed(decoder, stream, arena, limits->tokens < limits->context ? limits->tokens : limits->context);
    dry_feed(decoder, stream, arena, 1);
}

// Runs the passes without computing: the arenas count, the stream asks.
static enum loam_status measure(struct loam_decoder *decoder, size_t *step_bytes, size_t *cache_bytes,
                                size_t *scratch_bytes, struct loam_error *error)
{
    const struct loam_decoder_limits *limits = &decoder->limits;
    struct loam_arena step, cache;
    struct loam_stream stream;
    loam_device_arena_init_counting(decoder->device, &step);
    loam_device_arena_init_counting(decoder->device, &cache);
    loam_stream_init_planning(&stream, decoder->device);
    if (limits->generate) allocate_cache(decoder, &cache);
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
    decoder->host_positions = loam_calloc(positions, sizeof *decoder->host_positions, error);
    decoder->host_targets = loam_calloc(2 * rows, sizeof *decoder->host_targets, error);
    decoder->host_rows = loam_calloc(rows, sizeof *decoder->host_rows, error);
    const size_t frequencies = (size_t)decoder->limits.sequences * (size_t)most_frequencies(decoder);
    decoder->host_frequencies = loam_calloc(frequencies, sizeof *decoder->host_frequencies, error);
    bool all = decoder->layers != NULL && decoder->cache_k != NULL && decoder->cache_v != NULL &&
               decoder->host_positions != NULL && decoder->host_targets != NULL &&
               decoder->host_rows != NULL && decoder->host_frequencies != NULL;
    return all ? LOAM_OK : LOAM_ERROR_MEMORY;
}

static enum loam_status decoder_setup(struct loam_decoder *decoder, struct loam_error *error)
{
    size_t step_bytes, cache_bytes, scratch_bytes;
    LOAM_TRY(allocate_tables(decoder, error));
    LOAM_TRY(check_positions(decoder, decoder->limits.context, error));
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
    if (decoder->limits.generate) allocate_cache(decoder, &decoder->cache);
    const struct loam_segments given = decoder->limits.adapters;
    decoder->limits.adapters = (struct loam_segments){0}; // the list is the caller's
    return loam_decoder_adapt(decoder, &given, error);
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
    if (limits->generate && decoder->limits.tokens > limits->context)
        decoder->limits.tokens = limits->context;
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
    free(decoder->host_positions);
    free(decoder->host_targets);
    free(decoder->host_rows);
    free(decoder->host_frequencies);
    free(decoder->uses);
    free(decoder->adapters);
    free(decoder->chosen);
    free(decoder->head_norms);
    free(decoder);
}
