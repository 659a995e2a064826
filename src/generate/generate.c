// The generation loop.
#include "generate/generate.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap.h"

enum loam_status loam_generate_check_memory(const struct loam_device *device,
                                            const struct loam_config *config, enum loam_dtype dtype,
                                            int64_t context, int64_t max_new_tokens, struct loam_error *error)
{
    // Keys and values [layers, 2, context, kv_heads, head_dim].
    double bytes = 2.0 * (double)config->layers * (double)context * (double)config->kv_heads *
                   (double)config->head_dim * (double)loam_dtype_size(dtype);
    const struct loam_free_memory memory = loam_device_free_memory(device);
    if (bytes <= (double)memory.bytes) return LOAM_OK;
    return loam_fail(
        error, LOAM_ERROR_MEMORY,
        "--max-new-tokens %lld: the keys and values of %lld tokens take %.1f GB, and %s has %.1f GB "
        "left; ask for fewer",
        (long long)max_new_tokens, (long long)context, 1e-9 * bytes, memory.by, 1e-9 * (double)memory.bytes);
}

// All but the last piece of a prompt; `*fed` is how many tokens it was, or as many as the prompt has when the
// caller wants no more.
static enum loam_status feed_pieces(struct loam_decoder *decoder, const int32_t *prompt, int32_t count,
                                    const struct loam_generation *generation, int32_t *fed,
                                    struct loam_error *error)
{
    for (*fed = 0; count - *fed > LOAM_PROMPT_CHUNK; *fed += LOAM_PROMPT_CHUNK) {
        LOAM_TRY(loam_decoder_feed(decoder, prompt + *fed, LOAM_PROMPT_CHUNK, NULL, error));
        if (generation->piece == NULL || generation->piece(generation->user)) continue;
        *fed = count;
        return LOAM_OK;
    }
    return LOAM_OK;
}

// Which ids may come next.
struct choice {
    bool *allowed; // [vocabulary]
    int32_t vocabulary;
    const struct loam_generation *generation;
};

// Sets which ids may come next: those that continue the text that the prompt left, and after it any id of the
// tokenizer or an end token beyond its vocabulary.
static void narrow(struct choice *choice)
{
    struct loam_healing *healing = choice->generation->healing;
    const struct loam_special_tokens *special = choice->generation->special;
    int32_t known = choice->generation->vocabulary;
    if (known > choice->vocabulary) known = choice->vocabulary;
    memset(choice->allowed, 0, (size_t)choice->vocabulary * sizeof *choice->allowed);
    if (healing != NULL && !loam_healing_is_done(healing) &&
        loam_healing_allow(healing, choice->allowed, known))
        return;
    for (int32_t id = 0; id < known; id++)
        choice->allowed[id] = true;
    for (size_t i = 0; i < special->eos_count; i++)
        if (special->eos_ids[i] >= known && special->eos_ids[i] < choice->vocabulary)
            choice->allowed[special->eos_ids[i]] = true;
}

// `history` holds the prompt and takes the output; it has room for `most` tokens more.
static enum loam_status generate_into(struct loam_decoder *decoder, int32_t *history, int32_t prompt_count,
                                      int32_t most, struct choice *choice, float *logits,
                                      int32_t *output_count, enum loam_finish *finish,
                                      struct loam_error *error)
{
    const struct loam_generation *generation = choice->generation;
    struct loam_sampling sampling = generation->sampling;
    sampling.allowed = choice->allowed;
    loam_decoder_cache_reset(decoder);
    *output_count = 0;
    *finish = LOAM_FINISH_STOP;
    int32_t before, count = 0;
    LOAM_TRY(feed_pieces(decoder, history, prompt_count, generation, &before, error));
    if (before == prompt_count) return LOAM_OK;
    const int32_t *fed = history + before;
    int32_t fed_count = prompt_count - before;
    for (;;) {
        *output_count = count;
        if (count == most) break;
        LOAM_TRY(loam_decoder_feed(decoder, fed, fed_count, logits, error));
        int32_t id;
        narrow(choice);
        LOAM_TRY(loam_sample(&sampling, logits, choice->vocabulary, history, (size_t)(prompt_count + count),
                             (uint64_t)count, &id, error));
        if (loam_special_tokens_end(generation->special, id)) return LOAM_OK;
        if (generation->healing != NULL) loam_healing_take(generation->healing, id);
        fed = &history[prompt_count + count];
        fed_count = 1;
        history[prompt_count + count++] = id;
        *output_count = count;
        if (generation->token != NULL && !generation->token(generation->user, id)) return LOAM_OK;
    }
    *finish = most < generation->max_new_tokens ? LOAM_FINISH_CONTEXT : LOAM_FINISH_LENGTH;
    return LOAM_OK;
}

enum loam_status loam_generate_ids(struct loam_decoder *decoder, const int32_t *prompt, int32_t prompt_count,
                                   const struct loam_generation *generation, int32_t *output,
                                   int32_t *output_count, enum loam_finish *finish, struct loam_error *error)
{
    int32_t room = loam_decoder_context(decoder);
    if (prompt_count < 1)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "an empty prompt: expected at least one token");
    if (prompt_count > room)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "a prompt of %d tokens: the context has room for %d",
                         prompt_count, room);
    // The last token is not fed, so it needs no row of the cache.
    int32_t most = room - prompt_count + 1;
    if (most > generation->max_new_tokens) most = generation->max_new_tokens;
    struct choice choice = {.vocabulary = loam_decoder_vocabulary(decoder), .generation = generation};
    choice.allowed = loam_calloc((size_t)choice.vocabulary, sizeof *choice.allowed, error);
    int32_t *history = loam_calloc((size_t)prompt_count + (size_t)most, sizeof *history, error);
    float *logits = loam_calloc((size_t)choice.vocabulary, sizeof *logits, error);
    bool taken = choice.allowed != NULL && history != NULL && logits != NULL;
    enum loam_status status = taken ? LOAM_OK : LOAM_ERROR_MEMORY;
    enum loam_finish ended;
    if (status == LOAM_OK) {
        memcpy(history, prompt, (size_t)prompt_count * sizeof *prompt);
        status = generate_into(decoder, history, prompt_count, most, &choice, logits, output_count,
                               finish != NULL ? finish : &ended, error);
    }
    if (status == LOAM_OK) memcpy(output, history + prompt_count, (size_t)*output_count * sizeof *output);
    free(choice.allowed);
    free(history);
    free(logits);
    return status;
}
