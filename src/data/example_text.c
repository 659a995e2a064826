#include "data/example_text.h"

#include <stdlib.h>

#include "base/grow.h"

void loam_example_text_deinit(struct loam_example_text *text)
{
    loam_bytes_deinit(&text->text);
    free(text->ends);
    *text = (struct loam_example_text){0};
}

static enum loam_status push(struct loam_decode_stream *stream, const struct loam_tokenizer *tokenizer,
                             int32_t id, struct loam_bytes *text, struct loam_error *error)
{
    if (loam_tokenizer_id_to_token(tokenizer, id) == NULL)
        return loam_bytes_format(text, error, "<|id %d|>", (int)id);
    return loam_decode_stream_push(stream, id, text, error);
}

static enum loam_status decode_all(struct loam_example_text *text, const struct loam_example *example,
                                   const struct loam_tokenizer *tokenizer, struct loam_decode_stream *stream,
                                   struct loam_error *error)
{
    for (int32_t i = 0; i < example->count; i++) {
        LOAM_TRY(push(stream, tokenizer, example->ids[i], &text->text, error));
        text->ends[i] = text->text.size;
    }
    LOAM_TRY(loam_decode_stream_finish(stream, &text->text, error));
    if (example->count > 0) text->ends[example->count - 1] = text->text.size;
    text->count = example->count;
    return LOAM_OK;
}

enum loam_status loam_example_text_decode(struct loam_example_text *text, const struct loam_example *example,
                                          const struct loam_tokenizer *tokenizer, struct loam_error *error)
{
    struct loam_decode_stream *stream;
    loam_bytes_clear(&text->text);
    LOAM_TRY(loam_bytes_reserve(&text->text, 1, error)); // the text must not be NULL
    text->count = 0;
    size_t *ends = loam_grow(text->ends, &text->capacity, (size_t)example->count + 1, sizeof *ends, error);
    if (ends == NULL) return LOAM_ERROR_MEMORY;
    text->ends = ends;
    LOAM_TRY(loam_decode_stream_create(&stream, tokenizer, false, error));
    enum loam_status status = decode_all(text, example, tokenizer, stream, error);
    loam_decode_stream_destroy(stream);
    return status;
}

size_t loam_example_text_token(const struct loam_example_text *text, int32_t index, size_t *start)
{
    *start = index > 0 ? text->ends[index - 1] : 0;
    return text->ends[index];
}
