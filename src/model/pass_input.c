#include "model/pass_input.h"

#include <string.h>

// ---- what a pass costs ----

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

void loam_pass_add_pairs(const struct loam_config *config, int64_t queries, int64_t keys,
                         int64_t pairs[LOAM_LAYER_KINDS])
{
    for (size_t i = 0; i < config->family->kind_count; i++)
        pairs[i] += visible_pairs(queries, keys, loam_config_kind_window(config, &config->family->kinds[i]));
}

// ---- what a pass takes ----

enum loam_status loam_pass_check_positions(const struct loam_decoder *decoder, int64_t tokens,
                                           struct loam_error *error)
{
    const struct loam_config *config = &decoder->model->config;
    if (decoder->model->positions == NULL || tokens <= config->max_positions) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_ARGUMENT,
                     "a sequence of %lld tokens: the model has learned %lld positions; shorten sequences to "
                     "at most so many",
                     (long long)tokens, (long long)config->max_positions);
}

enum loam_status loam_pass_check_ids(const struct loam_decoder *decoder, const int32_t *ids, int32_t count,
                                     struct loam_error *error)
{
    const int64_t vocabulary = decoder->model->config.vocabulary;
    for (int32_t i = 0; i < count; i++)
        if (ids[i] < 0 || ids[i] >= vocabulary)
            return loam_fail(error, LOAM_ERROR_ARGUMENT, "token id %d: the model's embedding has %lld rows",
                             ids[i], (long long)vocabulary);
    return LOAM_OK;
}

int32_t loam_pass_loss_rows(const struct loam_pass_input *input)
{
    return input->kept > 0 ? input->kept : input->tokens;
}

// ---- begin and end ----

struct loam_tensor loam_pass_ints(struct loam_pass *pass, const int32_t *host, int64_t count)
{
    size_t bytes = (size_t)count * sizeof *host;
    void *data = loam_arena_alloc(pass->arena, bytes);
    if (data != NULL) loam_upload(pass->stream, data, host, bytes);
    return loam_tensor_1d(data, LOAM_I32, count);
}

// Host arrays on the way to the arena, where they lie one after another: one upload for all of them.
struct block {
    struct loam_pass *pass;
    char *base; // in the arena; NULL: empty
    size_t used;
};

static void send(struct block *block)
{
    if (block->base != NULL)
        loam_upload(block->pass->stream, block->base, block->pass->decoder->host_inputs, block->used);
    block->base = NULL;
    block->used = 0;
}

// The place of an array in the arena. A dry pass reads no array.
static struct loam_tensor put(struct block *block, const void *host, enum loam_dtype dtype, int64_t count)
{
    struct loam_pass *pass = block->pass;
    const struct loam_decoder *decoder = pass->decoder;
    const size_t bytes = (size_t)count * loam_dtype_size(dtype);
    char *const data = loam_arena_alloc(pass->arena, bytes);
    if (data == NULL || pass->stream->planning) return loam_tensor_1d(data, dtype, count);
    if (block->base == NULL) block->base = data;
    if ((size_t)(data - block->base) + bytes > decoder->host_input_bytes) {
        send(block);
        block->base = data;
    }
    if (bytes > decoder->host_input_bytes) {
        loam_upload(pass->stream, data, host, bytes);
        block->base = NULL;
    } else {
        memcpy(decoder->host_inputs + (data - block->base), host, bytes);
        block->used = (size_t)(data - block->base) + bytes;
    }
    return loam_tensor_1d(data, dtype, count);
}

// What the loss reads.
static void put_loss_rows(struct block *block, const struct loam_pass_input *input)
{
    const int32_t rows = loam_pass_loss_rows(input);
    if (input->targets == NULL) return;
    block->pass->targets = put(block, input->targets, LOAM_I32, rows);
    if (input->factors != NULL) block->pass->factors = put(block, input->factors, LOAM_F32, rows);
}

// Room for what the loss writes.
static void place_losses(struct loam_pass *pass, const struct loam_pass_input *input)
{
    if (input->targets == NULL) return;
    pass->losses = loam_tensor_1d(input->losses, LOAM_F32, loam_pass_loss_rows(input));
    if (input->losses == NULL)
        pass->losses.data = loam_arena_alloc(pass->arena, loam_tensor_bytes(&pass->losses));
}

static struct loam_attention_shape put_attention(struct block *block,
                                                 const struct loam_attention_spans *spans)
{
    const struct loam_model *model = block->pass->model;
    return (struct loam_attention_shape){
        .q_offsets = put(block, spans->q_offsets, LOAM_I32, spans->count + 1),
        .kv_offsets = put(block, spans->kv_offsets, LOAM_I32, spans->count + 1),
        .slopes = model->alibi_slopes,
        .max_q = spans->max_q,
        .max_kv = spans->max_kv,
        .softcap = (float)model->config.attention_softcap,
        .scale = loam_config_attention_scale(&model->config)};
}

struct loam_pass loam_pass_begin(struct loam_decoder *decoder, struct loam_stream *stream,
                                 struct loam_arena *arena, const struct loam_pass_input *input)
{
    struct loam_pass pass = {.decoder = decoder,
                             .model = decoder->model,
                             .stream = stream,
                             .arena = arena,
                             .tokens = input->tokens,
                             .sequences = input->sequences,
                             .host_offsets = input->offsets,
                             .host_lengths = input->lengths,
                             .cache_places = input->cache_places,
                             .gradients = input->factors != NULL,
                             .counted = input->counted};
    loam_arena_release(arena, 0);
    loam_pass_take_segments(&pass, input->first, input->tokens);
    if (input->kept > 0) loam_pass_keep_segments(&pass, input->kept_rows, input->kept);
    struct block block = {.pass = &pass};
    pass.ids = put(&block, input->ids, LOAM_I32, input->tokens);
    put_loss_rows(&block, input);
    if (input->kept > 0) {
        pass.kept.rows = put(&block, input->kept_rows, LOAM_I32, input->kept);
        pass.kept.places = put(&block, input->kept_places, LOAM_I32, input->tokens);
    }
    pass.positions = put(&block, input->positions, LOAM_I32, input->tokens);
    pass.attention = put_attention(&block, &input->spans);
    send(&block);
    place_losses(&pass, input);
    memcpy(pass.pairs, input->pairs, sizeof pass.pairs);
    return pass;
}

enum loam_status loam_pass_end(struct loam_pass *pass, struct loam_error *error)
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
