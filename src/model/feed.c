#include "model/feed.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "model/cache.h"
#include "model/head.h"
#include "model/top.h"

// Rows of logits that are computed at a time: the largest number for which a row has the bits that it has
// alone on every device (LOAM_ROWS_ALIKE).
enum { LOGIT_ROWS = LOAM_ROWS_ALIKE };

static int32_t min32(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

// ---- the cache ----

enum loam_status loam_host_cache_init(struct loam_decoder *decoder, struct loam_error *error)
{
    struct loam_host_cache *cache = &decoder->cached;
    const struct loam_decoder_limits *limits = &decoder->limits;
    const size_t count = (size_t)limits->cached;
    if (!limits->generate) return LOAM_OK;
    if (limits->cached > INT32_MAX / limits->context)
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "a KV cache of %d sequences of %d tokens: expected at most %d tokens in all",
                         limits->cached, limits->context, INT32_MAX);
    cache->memory = loam_calloc(8 * count + 3, sizeof *cache->memory, error);
    cache->logits = loam_calloc(count, sizeof *cache->logits, error);
    if (cache->memory == NULL || cache->logits == NULL) return LOAM_ERROR_MEMORY;
    cache->lengths = cache->memory;
    cache->pass_lengths = cache->lengths + count;
    cache->places = cache->pass_lengths + count;
    cache->offsets = cache->places + count;
    cache->q_offsets = cache->offsets + count + 1;
    cache->kv_offsets = cache->q_offsets + 2 * count + 1;
    return LOAM_OK;
}

void loam_host_cache_deinit(struct loam_host_cache *cache)
{
    free(cache->memory);
    free(cache->logits);
    *cache = (struct loam_host_cache){0};
}

void loam_cache_place(struct loam_decoder *decoder, struct loam_arena *arena)
{
    const struct loam_config *config = &decoder->model->config;
    const int64_t rows = (int64_t)decoder->limits.cached * decoder->limits.context;
    if (!decoder->limits.generate) return;
    for (int64_t i = 0; i < 2 * config->layers; i++) {
        struct loam_tensor *cache = i % 2 == 0 ? &decoder->cache_k[i / 2] : &decoder->cache_v[i / 2];
        *cache = loam_tensor_3d(NULL, decoder->model->dtype, rows, config->kv_heads, config->head_dim);
        cache->data = loam_arena_alloc(arena, loam_tensor_bytes(cache));
    }
}

void loam_decoder_cache_truncate(struct loam_decoder *decoder, int32_t sequence, int32_t length)
{
    decoder->cached.lengths[sequence] = length;
}

int32_t loam_decoder_context(const struct loam_decoder *decoder)
{
    return decoder->limits.context;
}

enum loam_status loam_decoder_cache_copy(struct loam_decoder *decoder, int32_t from, int32_t to,
                                         int32_t length, struct loam_error *error)
{
    const int32_t context = decoder->limits.context;
    for (int64_t i = 0; i < 2 * decoder->model->config.layers && from != to; i++) {
        const struct loam_tensor *cache = i % 2 == 0 ? &decoder->cache_k[i / 2] : &decoder->cache_v[i / 2];
        loam_kv_append(&decoder->stream,
                       &(struct loam_kv_append_args){.x = loam_tensor_rows(cache, from * context, length),
                                                     .cache = loam_tensor_rows(cache, to * context, length)});
    }
    LOAM_TRY(loam_stream_finish(&decoder->stream, error));
    decoder->cached.lengths[to] = length;
    return LOAM_OK;
}

// ---- the input of a pass ----

static void add_span(struct loam_attention_spans *spans, struct loam_host_cache *cache, int32_t queries,
                     int32_t keys)
{
    const int32_t s = spans->count++;
    cache->q_offsets[s + 1] = cache->q_offsets[s] + queries;
    cache->kv_offsets[s + 1] = cache->kv_offsets[s] + keys;
    if (queries > spans->max_q) spans->max_q = queries;
    if (keys > spans->max_kv) spans->max_kv = keys;
}

// Rows of the cache that lie before `first` and that no earlier span has are spans without queries, at most a
// sequence each.
static void skip_rows(struct loam_attention_spans *spans, struct loam_host_cache *cache, int32_t first,
                      int32_t context)
{
    int32_t at;
    while ((at = cache->kv_offsets[spans->count]) < first)
        add_span(spans, cache, 0, min32(first, (at / context + 1) * context) - at);
}

// Appends the tokens of a feed to the input. `length`: of its sequence with the later chunks of its prompt.
static void add_feed(struct loam_decoder *decoder, struct loam_pass_input *input,
                     const struct loam_feed *feed, int32_t length)
{
    struct loam_host_cache *cache = &decoder->cached;
    const int32_t s = input->sequences++, row = input->tokens, before = cache->lengths[feed->sequence];
    const int32_t context = decoder->limits.context, first = feed->sequence * context;
    memcpy(decoder->host_ids + row, feed->ids, (size_t)feed->count * sizeof *feed->ids);
    for (int32_t i = 0; i < feed->count; i++)
        decoder->host_positions[row + i] = before + i;
    cache->places[s] = first + before;
    cache->pass_lengths[s] = length;
    cache->offsets[s + 1] = input->tokens += feed->count;
    skip_rows(&input->spans, cache, first, context);
    add_span(&input->spans, cache, feed->count, before + feed->count);
    loam_pass_add_pairs(&decoder->model->config, feed->count, before + feed->count, input->pairs);
}

static void add_targets(struct loam_decoder *decoder, struct loam_pass_input *input,
                        const struct loam_feed *feed, int32_t row)
{
    for (int32_t i = 0; i < feed->count; i++) {
        const int32_t target = feed->targets != NULL ? feed->targets[i] : LOAM_NO_TARGET;
        decoder->host_targets[row + i] = target;
        input->counted += target != LOAM_NO_TARGET;
    }
}

// Points at the host's arrays, which the feeds fill.
static struct loam_pass_input empty_input(const struct loam_decoder *decoder)
{
    const struct loam_host_cache *cache = &decoder->cached;
    return (struct loam_pass_input){
        .ids = decoder->host_ids,
        .positions = decoder->host_positions,
        .offsets = cache->offsets,
        .lengths = cache->pass_lengths,
        .cache_places = cache->places,
        .spans = {.q_offsets = cache->q_offsets, .kv_offsets = cache->kv_offsets},
    };
}

// ---- a pass ----

// Feeds whose logits are computed together.
struct logit_rows {
    const struct loam_feed *feeds[LOGIT_ROWS]; // [count]
    int32_t rows[LOGIT_ROWS];
    struct loam_top *tops[LOGIT_ROWS];
    int32_t count;
    int32_t before; // rows of earlier groups
};

// Whether a feed's logits can be searched, or copied, together with those of the group.
static bool goes_with(const struct logit_rows *group, const struct loam_feed *feed)
{
    if (group->count == 0) return true;
    const struct loam_top *top = group->tops[0];
    if (group->count == LOGIT_ROWS || (top == NULL) != (feed->top == NULL)) return false;
    return top == NULL || top->limit == feed->top->limit;
}

// Takes feeds from `*next` on, and returns whether there are any.
static bool next_group(const struct loam_pass *pass, const struct loam_feed *feeds, int32_t count,
                       int32_t *next, struct logit_rows *group)
{
    group->before += group->count;
    group->count = 0;
    for (; *next < count; (*next)++) {
        const struct loam_feed *feed = &feeds[*next];
        if (feed->logits == NULL && feed->top == NULL && !feed->holds_logits) continue;
        if (!goes_with(group, feed)) break;
        group->feeds[group->count] = feed;
        group->rows[group->count] = pass->host_offsets[*next] + feed->logits_token;
        group->tops[group->count++] = feed->top;
    }
    return group->count > 0;
}

// The logits of all groups stay in the arena until the next pass.
static void compute_logits(struct loam_pass *pass, const struct loam_feed *feeds, int32_t count)
{
    struct logit_rows group = {.count = 0};
    for (int32_t next = 0; next_group(pass, feeds, count, &next, &group);) {
        const struct loam_tensor all = loam_head_logits_of(pass, group.rows, group.count);
        if (group.tops[0] != NULL) loam_top_queue(pass, all, group.tops, group.before, group.count);
        for (int32_t i = 0; i < group.count; i++) {
            const struct loam_tensor row = loam_tensor_rows(&all, i, 1);
            pass->decoder->cached.logits[group.feeds[i]->sequence] = row.data;
            if (group.feeds[i]->logits != NULL)
                loam_download(pass->stream, group.feeds[i]->logits, row.data, loam_tensor_bytes(&row));
        }
    }
}

static void share_tops(const struct loam_pass *pass, const struct loam_feed *feeds, int32_t count)
{
    struct logit_rows group = {.count = 0};
    for (int32_t next = 0; next_group(pass, feeds, count, &next, &group);)
        if (group.tops[0] != NULL) loam_top_share(pass->decoder, group.tops, group.before, group.count);
}

enum loam_status loam_decoder_held_logits(struct loam_decoder *decoder, int32_t sequence, float *logits,
                                          struct loam_error *error)
{
    void *const row = decoder->cached.logits[sequence];
    if (row == NULL)
        return loam_fail(error, LOAM_ERROR_INTERNAL, "sequence %d has no logits of the last pass", sequence);
    loam_download(&decoder->stream, logits, row, (size_t)decoder->model->config.vocabulary * sizeof *logits);
    return loam_stream_finish(&decoder->stream, error);
}

static void share_losses(const struct loam_decoder *decoder, const struct loam_feed *feeds, int32_t count)
{
    const float *losses = decoder->host_rows;
    for (int32_t s = 0; s < count; s++, losses += feeds[s - 1].count)
        for (int32_t i = 0; i < feeds[s].count && feeds[s].targets != NULL; i++)
            if (feeds[s].targets[i] != LOAM_NO_TARGET) feeds[s].losses[i] = losses[i];
}

// `first`: row of the first token among those of the call. `length`: of the one sequence with the later
// chunks; 0: each ends with its feed.
static enum loam_status run_feeds(struct loam_decoder *decoder, const struct loam_feed *feeds, int32_t count,
                                  int32_t first, int32_t length, struct loam_error *error)
{
    const struct loam_tensor none = {0};
    struct loam_host_cache *cache = &decoder->cached;
    struct loam_pass_input input = empty_input(decoder);
    bool losses = false;
    memset(cache->logits, 0, (size_t)decoder->limits.cached * sizeof *cache->logits);
    for (int32_t s = 0; s < count; s++) {
        const int32_t end = cache->lengths[feeds[s].sequence] + feeds[s].count;
        add_feed(decoder, &input, &feeds[s], length > 0 ? length : end);
        losses = losses || feeds[s].targets != NULL;
    }
    for (int32_t s = 0; s < count && losses; s++)
        add_targets(decoder, &input, &feeds[s], cache->offsets[s]);
    losses = input.counted > 0;
    if (losses) input.targets = decoder->host_targets;
    input.first = first;
    struct loam_pass pass = loam_pass_begin(decoder, &decoder->stream, &decoder->step, &input);
    pass.cache_end = cache->kv_offsets[input.spans.count];
    loam_decoder_forward(&pass);
    if (losses) {
        loam_head_loss(&pass, none);
        loam_download(pass.stream, decoder->host_rows, pass.losses.data, loam_tensor_bytes(&pass.losses));
    }
    compute_logits(&pass, feeds, count);
    LOAM_TRY(loam_pass_end(&pass, error));
    if (losses) share_losses(decoder, feeds, count);
    share_tops(&pass, feeds, count);
    for (int32_t s = 0; s < count; s++)
        cache->lengths[feeds[s].sequence] += feeds[s].count;
    return LOAM_OK;
}

// ---- the calls ----

static enum loam_status check_feeds(const struct loam_decoder *decoder, const struct loam_feed *feeds,
                                    int32_t count, struct loam_error *error)
{
    const struct loam_decoder_limits *limits = &decoder->limits;
    int64_t tokens = 0;
    for (int32_t s = 0; s < count; s++) {
        const struct loam_feed *feed = &feeds[s];
        if (feed->sequence < (s > 0 ? feeds[s - 1].sequence + 1 : 0) || feed->sequence >= limits->cached)
            return loam_fail(error, LOAM_ERROR_ARGUMENT,
                             "sequence %d of the KV cache: expected ascending numbers below %d",
                             feed->sequence, limits->cached);
        const int32_t length = decoder->cached.lengths[feed->sequence];
        if (feed->count < 1 || feed->count > limits->context - length)
            return loam_fail(error, LOAM_ERROR_ARGUMENT, "%d tokens after %d: the context has room for %d",
                             feed->count, length, limits->context);
        if (feed->targets != NULL && !limits->evaluate)
            return loam_fail(error, LOAM_ERROR_ARGUMENT,
                             "losses of tokens in the KV cache: the decoder was not made to evaluate");
        LOAM_TRY(loam_pass_check_ids(decoder, feed->ids, feed->count, error));
        tokens += feed->count;
    }
    if (count < 1 || tokens > INT32_MAX || (count > 1 && tokens > limits->tokens))
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "%lld tokens of %d sequences in one pass: expected 1 to %d", (long long)tokens,
                         count, limits->tokens);
    return loam_decoder_check_segments(decoder, (int32_t)tokens, error);
}

// Tokens [first, first + count) of a feed.
static struct loam_feed part_of(const struct loam_feed *feed, int32_t first, int32_t count)
{
    struct loam_feed part = *feed;
    part.ids += first;
    part.count = count;
    if (part.targets != NULL) part.targets += first;
    if (part.losses != NULL) part.losses += first;
    part.logits_token -= first;
    if (part.logits_token >= 0 && part.logits_token < count) return part;
    part.logits = NULL;
    part.top = NULL;
    part.holds_logits = false;
    return part;
}

// Parts of nearly the same size, so that none is of few tokens where the whole is not.
static enum loam_status feed_in_parts(struct loam_decoder *decoder, const struct loam_feed *feed,
                                      struct loam_error *error)
{
    const int32_t before = decoder->cached.lengths[feed->sequence], length = before + feed->count;
    enum loam_status status = LOAM_OK;
    int32_t parts = (feed->count - 1) / decoder->limits.tokens + 1;
    for (int32_t done = 0; done < feed->count && status == LOAM_OK; parts--) {
        const struct loam_feed part = part_of(feed, done, (feed->count - done - 1) / parts + 1);
        status = run_feeds(decoder, &part, 1, done, length, error);
        done += part.count;
    }
    if (status != LOAM_OK) decoder->cached.lengths[feed->sequence] = before;
    return status;
}

enum loam_status loam_decoder_feed_packed(struct loam_decoder *decoder, const struct loam_feed *feeds,
                                          int32_t count, struct loam_error *error)
{
    LOAM_TRY(check_feeds(decoder, feeds, count, error));
    return count == 1 ? feed_in_parts(decoder, feeds, error) : run_feeds(decoder, feeds, count, 0, 0, error);
}

// ---- sizing ----

static const int32_t unread[LOGIT_ROWS]; // the ids and rows of a dry pass

static void dry_feed(struct loam_decoder *decoder, struct loam_stream *stream, struct loam_arena *arena,
                     int32_t tokens, bool losses)
{
    const struct loam_tensor none = {0};
    const struct loam_decoder_limits *limits = &decoder->limits;
    struct loam_pass_input input = empty_input(decoder);
    input.ids = input.positions = unread;
    if (losses) input.targets = unread;
    input.tokens = tokens;
    input.sequences = limits->cached;
    for (int32_t s = 1; s <= limits->cached; s++)
        decoder->cached.offsets[s] = tokens;
    input.spans.count = 2 * limits->cached - 1;
    input.spans.max_q = min32(tokens, limits->context);
    input.spans.max_kv = limits->context;
    struct loam_pass pass = loam_pass_begin(decoder, stream, arena, &input);
    pass.cache_end = limits->cached * limits->context;
    loam_decoder_forward(&pass);
    if (losses) loam_head_loss(&pass, none);
    for (int32_t done = 0, most = min32(limits->cached, tokens); done < most; done += LOGIT_ROWS) {
        const int32_t rows = min32(LOGIT_ROWS, most - done);
        loam_top_dry(&pass, loam_head_logits_of(&pass, unread, rows), rows);
    }
}

void loam_feed_dry(struct loam_decoder *decoder, struct loam_stream *stream, struct loam_arena *arena)
{
    const struct loam_decoder_limits *limits = &decoder->limits;
    const int32_t sizes[] = {limits->tokens, min32(limits->cached, limits->tokens), 1};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0] && limits->generate; i++) {
        dry_feed(decoder, stream, arena, sizes[i], false);
        if (limits->evaluate) dry_feed(decoder, stream, arena, sizes[i], true);
    }
}
