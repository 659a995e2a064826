// The decoding functions of tokenizer.h.
#include <stdlib.h>

#include "base/heap.h"
#include "text/tokenizer.h"
#include "text/tokenizer_parts.h"

struct loam_decode_stream {
    const struct loam_tokenizer *tokenizer;
    bool skip_special_tokens;
    struct loam_decoding decoding;
};

static enum loam_status init_stream(struct loam_decode_stream *stream, const struct loam_tokenizer *tokenizer,
                                    bool skip_special_tokens, struct loam_error *error)
{
    stream->tokenizer = tokenizer;
    stream->skip_special_tokens = skip_special_tokens;
    return loam_decoding_init(&stream->decoding, &tokenizer->decoder, error);
}

enum loam_status loam_decode_stream_create(struct loam_decode_stream **out,
                                           const struct loam_tokenizer *tokenizer, bool skip_special_tokens,
                                           struct loam_error *error)
{
    *out = NULL;
    struct loam_decode_stream *stream = loam_calloc(1, sizeof *stream, error);
    if (stream == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = init_stream(stream, tokenizer, skip_special_tokens, error);
    if (status != LOAM_OK) {
        loam_decode_stream_destroy(stream);
        return status;
    }
    *out = stream;
    return LOAM_OK;
}

void loam_decode_stream_destroy(struct loam_decode_stream *stream)
{
    if (stream == NULL) return;
    loam_decoding_deinit(&stream->decoding);
    free(stream);
}

enum loam_status loam_decode_stream_push(struct loam_decode_stream *stream, int32_t id,
                                         struct loam_bytes *text, struct loam_error *error)
{
    const struct loam_tokenizer *tokenizer = stream->tokenizer;
    if (id < 0 || id >= tokenizer->size)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "token id %d is beyond the tokenizer's vocabulary of %d",
                         (int)id, (int)tokenizer->size);
    const struct loam_token_text *token = &tokenizer->tokens[id];
    if (token->text == NULL || (stream->skip_special_tokens && tokenizer->is_special[id])) return LOAM_OK;
    return loam_decoding_push(&stream->decoding, token->text, token->size, text, error);
}

enum loam_status loam_decode_stream_finish(struct loam_decode_stream *stream, struct loam_bytes *text,
                                           struct loam_error *error)
{
    return loam_decoding_finish(&stream->decoding, text, error);
}

static enum loam_status decode_all(struct loam_decode_stream *stream, const int32_t *ids, size_t count,
                                   struct loam_bytes *text, struct loam_error *error)
{
    for (size_t i = 0; i < count; i++)
        LOAM_TRY(loam_decode_stream_push(stream, ids[i], text, error));
    return loam_decode_stream_finish(stream, text, error);
}

enum loam_status loam_tokenizer_decode(const struct loam_tokenizer *tokenizer, const int32_t *ids,
                                       size_t count, bool skip_special_tokens, struct loam_bytes *text,
                                       struct loam_error *error)
{
    struct loam_decode_stream stream = {0};
    enum loam_status status = init_stream(&stream, tokenizer, skip_special_tokens, error);
    if (status == LOAM_OK) status = decode_all(&stream, ids, count, text, error);
    loam_decoding_deinit(&stream.decoding);
    return status;
}
