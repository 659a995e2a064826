#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "text/tokenizer_parts.h"
#include "text/utf8.h"

enum {
    TEXT_LIMIT = 0x7FFFFFFF, // bytes: offsets are 32 bits wide
    KEPT = 1 << 16,          // tokens of an encoding whose memory is kept for the next
};

// ---- Loading ----

enum loam_status loam_tokenizer_load(struct loam_tokenizer **out, const char *path, struct loam_error *error)
{
    *out = NULL;
    struct loam_tokenizer *tokenizer = loam_calloc(1, sizeof *tokenizer, error);
    if (tokenizer == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = loam_tokenizer_read(tokenizer, path, error);
    if (status != LOAM_OK) {
        loam_tokenizer_destroy(tokenizer);
        return status;
    }
    *out = tokenizer;
    return LOAM_OK;
}

void loam_tokenizer_destroy(struct loam_tokenizer *tokenizer)
{
    if (tokenizer == NULL) return;
    loam_added_tokens_deinit(&tokenizer->added);
    loam_steps_deinit(&tokenizer->normalizer);
    loam_steps_deinit(&tokenizer->pretokenizer);
    loam_bpe_deinit(&tokenizer->bpe);
    loam_postprocessor_deinit(&tokenizer->postprocessor);
    loam_decoder_deinit(&tokenizer->decoder);
    free(tokenizer->tokens);
    free(tokenizer);
}

// ---- Encoding ----

struct encoder {
    const struct loam_tokenizer *tokenizer;
    const char *text; // the original
    struct loam_bpe_work work;
    struct loam_encoding *encoding;
};

// Adds a token that covers bytes [start, end) of the rewritten text and reads `token`.
static enum loam_status add_token(struct encoder *encoder, const struct loam_source_text *text, int32_t id,
                                  size_t start, size_t end, const char *token, size_t size,
                                  struct loam_error *error)
{
    uint32_t from = loam_source_origin(text, start).start;
    uint32_t to = loam_source_origin(text, end - 1).end;
    loam_postprocessor_trim(&encoder->tokenizer->postprocessor, token, size, encoder->encoding->count,
                            encoder->text, &from, &to);
    return loam_encoding_add(encoder->encoding, id, from, to, error);
}

static enum loam_status add_word(struct encoder *encoder, const struct loam_source_text *text,
                                 struct loam_piece piece, struct loam_error *error)
{
    const struct loam_bpe *bpe = &encoder->tokenizer->bpe;
    struct loam_bpe_work *work = &encoder->work;
    size_t at = piece.start;
    loam_bpe_begin(text->bytes + piece.start, piece.end - piece.start, work);
    for (;;) {
        LOAM_TRY(loam_bpe_next(bpe, work, error));
        if (work->count == 0) return LOAM_OK;
        for (size_t i = 0; i < work->count; i++) {
            struct loam_bpe_token token = work->tokens[i];
            size_t size = 0;
            const char *spelt = loam_vocab_get(&bpe->vocab, token.id, &size);
            // Bytes that stand for a prefix or suffix of the vocabulary count beyond the piece's own.
            size_t start = at < piece.end ? at : piece.end - 1;
            at += token.size;
            size_t end = at < piece.end ? at : piece.end;
            LOAM_TRY(add_token(encoder, text, token.id, start, end, spelt, size, error));
        }
    }
}

// The last stage: a piece becomes its tokens.
static enum loam_status encode_piece(struct loam_stage *stage, struct loam_piece piece,
                                     struct loam_error *error)
{
    struct encoder *encoder = stage->user;
    const struct loam_source_text *text = &stage->pieces.text;
    if (piece.token < 0) return add_word(encoder, text, piece, error);
    return add_token(encoder, text, piece.token, piece.start, piece.end, text->bytes + piece.start,
                     piece.end - piece.start, error);
}

// What a text meets, in this order: added tokens, normaliser, added tokens again, pre-tokeniser, BPE.
static size_t stage_count(const struct loam_tokenizer *tokenizer)
{
    return 1 + tokenizer->normalizer.count + 1 + tokenizer->pretokenizer.count + 1;
}

static void fill_stages(struct loam_stage *stage, struct encoder *encoder)
{
    const struct loam_tokenizer *tokenizer = encoder->tokenizer;
    *stage++ = loam_added_tokens_stage(&tokenizer->added, false);
    loam_steps_stages(&tokenizer->normalizer, stage);
    stage += tokenizer->normalizer.count;
    *stage++ = loam_added_tokens_stage(&tokenizer->added, true);
    loam_steps_stages(&tokenizer->pretokenizer, stage);
    stage += tokenizer->pretokenizer.count;
    *stage = (struct loam_stage){.run = encode_piece, .user = encoder};
}

static enum loam_status run_encoder(struct encoder *encoder, const char *text, size_t size,
                                    struct loam_error *error)
{
    size_t count = stage_count(encoder->tokenizer);
    struct loam_stage *stages = loam_calloc(count, sizeof *stages, error);
    if (stages == NULL) return LOAM_ERROR_MEMORY;
    fill_stages(stages, encoder);
    enum loam_status status = loam_stages_run(stages, count, text, size, error);
    encoder->encoding->work_bytes = loam_stages_bytes(stages, count) + loam_bpe_work_bytes(&encoder->work);
    loam_stages_deinit(stages, count);
    free(stages);
    return status;
}

enum loam_status loam_tokenizer_encode(const struct loam_tokenizer *tokenizer, const char *text, size_t size,
                                       bool add_special_tokens, struct loam_encoding *encoding,
                                       struct loam_error *error)
{
    // A large encoding makes room for the work on the next: the two never add up.
    if (encoding->capacity > KEPT) loam_encoding_deinit(encoding);
    encoding->count = 0;
    if (size > TEXT_LIMIT)
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "a text of %zu bytes is too long to tokenize at once, at most %d", size, TEXT_LIMIT);
    size_t valid = loam_utf8_check(text, size);
    if (valid != size)
        return loam_fail(error, LOAM_ERROR_FORMAT, "the text is not valid UTF-8 at byte %zu (0x%02X)", valid,
                         (unsigned)(unsigned char)text[valid]);
    struct encoder encoder = {.tokenizer = tokenizer, .text = text, .encoding = encoding};
    enum loam_status status = run_encoder(&encoder, text, size, error);
    loam_bpe_work_deinit(&encoder.work);
    if (status != LOAM_OK) return status;
    return loam_postprocessor_run(&tokenizer->postprocessor, add_special_tokens, encoding, error);
}

// ---- Ids and tokens ----

int32_t loam_tokenizer_vocabulary_size(const struct loam_tokenizer *tokenizer)
{
    return tokenizer->size;
}

int32_t loam_tokenizer_token_to_id(const struct loam_tokenizer *tokenizer, const char *token)
{
    size_t size = strlen(token);
    int32_t index = loam_vocab_find(&tokenizer->added.by_content, token, size);
    return index >= 0 ? tokenizer->added.items[index].id
                      : loam_vocab_find(&tokenizer->bpe.vocab, token, size);
}

const char *loam_tokenizer_id_to_token(const struct loam_tokenizer *tokenizer, int32_t id)
{
    return id < 0 || id >= tokenizer->size ? NULL : tokenizer->tokens[id].content;
}
