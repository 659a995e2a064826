// The generation loop.
#include "generate/generate.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap.h"

static bool is_end(const struct loam_special_tokens *special, int32_t id)
{
    for (int i = 0; i < special->eos_count; i++)
        if (special->eos_ids[i] == id) return true;
    return false;
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

// `history` holds the prompt and takes the output; it has room for both.
static enum loam_status generate_into(struct loam_decoder *decoder, int32_t *history, int32_t prompt_count,
                                      const struct loam_generation *generation, float *logits,
                                      int32_t *output_count, struct loam_error *error)
{
    loam_decoder_cache_reset(decoder);
    *output_count = 0;
    int32_t before, count = 0, room = loam_decoder_context(decoder);
    LOAM_TRY(feed_pieces(decoder, history, prompt_count, generation, &before, error));
    if (before == prompt_count) return LOAM_OK;
    const int32_t *fed = history + before;
    int32_t fed_count = prompt_count - before;
    int32_t vocabulary = loam_decoder_vocabulary(decoder);
    if (generation->vocabulary < vocabulary) vocabulary = generation->vocabulary;
    while (count < generation->max_new_tokens && prompt_count + count <= room) {
        LOAM_TRY(loam_decoder_feed(decoder, fed, fed_count, logits, error));
        int32_t id;
        LOAM_TRY(loam_sample(&generation->sampling, logits, vocabulary, history,
                             (size_t)(prompt_count + count), (uint64_t)count, &id, error));
        if (is_end(generation->special, id)) break;
        fed = &history[prompt_count + count];
        fed_count = 1;
        history[prompt_count + count++] = id;
        if (generation->token != NULL && !generation->token(generation->user, id)) break;
    }
    *output_count = count;
    return LOAM_OK;
}

enum loam_status loam_generate_ids(struct loam_decoder *decoder, const int32_t *prompt, int32_t prompt_count,
                                   const struct loam_generation *generation, int32_t *output,
                                   int32_t *output_count, struct loam_error *error)
{
    if (prompt_count < 1)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "an empty prompt: expected at least one token");
    if (prompt_count > loam_decoder_context(decoder))
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "a prompt of %d tokens: the context has room for %d",
                         prompt_count, loam_decoder_context(decoder));
    size_t total = (size_t)prompt_count + (size_t)generation->max_new_tokens;
    int32_t *history = loam_calloc(total, sizeof *history, error);
    float *logits = loam_calloc((size_t)loam_decoder_vocabulary(decoder), sizeof *logits, error);
    enum loam_status status = history != NULL && logits != NULL ? LOAM_OK : LOAM_ERROR_MEMORY;
    if (status == LOAM_OK) {
        memcpy(history, prompt, (size_t)prompt_count * sizeof *prompt);
        status = generate_into(decoder, history, prompt_count, generation, logits, output_count, error);
    }
    if (status == LOAM_OK) memcpy(output, history + prompt_count, (size_t)*output_count * sizeof *output);
    free(history);
    free(logits);
    return status;
}
