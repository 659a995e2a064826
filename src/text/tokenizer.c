#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "text/tokenizer_parts.h"
#include "text/utf8.h"

enum { TEXT_LIMIT = 0x7FFFFFFF }; // bytes: offsets are 32 bits wide

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
    const char *text;               // the original
    struct loam_boundary *boundary; // NULL: none
    struct loam_pieces pieces;
    struct loam_matcher matcher;
    struct loam_bpe_work work;
    struct loam_encoding *encoding;
};

// Adds a token that covers bytes [start, end) of the rewritten text and reads `token`.
static enum loam_status add_token(struct encoder *encoder, int32_t id, size_t start, size_t end,
                                  const char *token, size_t size, struct loam_error *error)
{
    const struct loam_origin *origins = encoder->pieces.text.origins;
    uint32_t from = origins[start].start;
    uint32_t to = origins[end - 1].end;
    if (encoder->boundary == NULL)
        loam_postprocessor_trim(&encoder->tokenizer->postprocessor, token, size, encoder->encoding->count,
                                encoder->text, &from, &to);
    return loam_encoding_add(encoder->encoding, id, from, to, error);
}

// A marked or added token belongs to what stands before the boundary, though it may take the space behind it.
static enum loam_status add_whole_piece(struct encoder *encoder, struct loam_piece piece,
                                        struct loam_error *error)
{
    const char *text = encoder->pieces.text.bytes + piece.start;
    LOAM_TRY(add_token(encoder, piece.token, piece.start, piece.end, text, piece.end - piece.start, error));
    struct loam_encoding *encoding = encoder->encoding;
    size_t last = encoding->count - 1;
    const struct loam_boundary *boundary = encoder->boundary;
    if (boundary != NULL && encoding->starts[last] < boundary->at && encoding->ends[last] > boundary->at)
        encoding->ends[last] = (uint32_t)boundary->at;
    return LOAM_OK;
}

// A piece behind an added token, or at the beginning, need not be a word: there pieces begin anyhow.
static void note_boundary(struct encoder *encoder, size_t index)
{
    const struct loam_piece *items = encoder->pieces.list.items;
    if (encoder->boundary == NULL || index == 0 || items[index - 1].token >= 0) return;
    struct loam_piece piece = items[index];
    const struct loam_origin *origins = encoder->pieces.text.origins;
    struct loam_boundary *boundary = encoder->boundary;
    uint32_t start = origins[piece.start].start;
    if (start < boundary->at && origins[piece.end - 1].end > boundary->at) boundary->word = start;
}

static enum loam_status encode_piece(struct encoder *encoder, size_t index, struct loam_error *error)
{
    struct loam_piece piece = encoder->pieces.list.items[index];
    const struct loam_tokenizer *tokenizer = encoder->tokenizer;
    const char *text = encoder->pieces.text.bytes + piece.start;
    if (piece.token >= 0) return add_whole_piece(encoder, piece, error);
    note_boundary(encoder, index);
    LOAM_TRY(loam_bpe_encode(&tokenizer->bpe, text, piece.end - piece.start, &encoder->work, error));
    size_t at = piece.start;
    for (size_t i = 0; i < encoder->work.count; i++) {
        struct loam_bpe_token token = encoder->work.tokens[i];
        size_t size = 0;
        const char *spelt = loam_vocab_get(&tokenizer->bpe.vocab, token.id, &size);
        // Bytes that stand for a prefix or suffix of the vocabulary count beyond the piece's own.
        size_t start = at < piece.end ? at : piece.end - 1;
        at += token.size;
        size_t end = at < piece.end ? at : piece.end;
        LOAM_TRY(add_token(encoder, token.id, start, end, spelt, size, error));
    }
    return LOAM_OK;
}

// Cuts the input into the pieces that are encoded one by one.
static enum loam_status cut_up(const struct loam_tokenizer *tokenizer, const struct loam_text_input *input,
                               struct loam_pieces *pieces, struct loam_matcher *matcher,
                               struct loam_error *error)
{
    LOAM_TRY(loam_pieces_init(pieces, input->text, input->size, error));
    pieces->continues = input->continues;
    LOAM_TRY(loam_added_tokens_mark(&tokenizer->added, input->marks, input->mark_count, pieces, error));
    LOAM_TRY(loam_added_tokens_split(&tokenizer->added, &tokenizer->added.raw, pieces, error));
    LOAM_TRY(loam_steps_run(&tokenizer->normalizer, pieces, matcher, error));
    LOAM_TRY(loam_added_tokens_split(&tokenizer->added, &tokenizer->added.normalized, pieces, error));
    return loam_steps_run(&tokenizer->pretokenizer, pieces, matcher, error);
}

static enum loam_status run_encoder(struct encoder *encoder, const struct loam_text_input *input,
                                    struct loam_error *error)
{
    struct loam_pieces *pieces = &encoder->pieces;
    LOAM_TRY(cut_up(encoder->tokenizer, input, pieces, &encoder->matcher, error));
    for (size_t i = 0; i < pieces->list.count; i++)
        LOAM_TRY(encode_piece(encoder, i, error));
    return LOAM_OK;
}

enum loam_status loam_tokenizer_encode_input(const struct loam_tokenizer *tokenizer,
                                             const struct loam_text_input *input,
                                             struct loam_boundary *boundary, struct loam_encoding *encoding,
                                             struct loam_error *error)
{
    encoding->count = 0;
    if (boundary != NULL) boundary->word = boundary->at;
    if (input->size > TEXT_LIMIT)
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "a text of %zu bytes is too long to tokenize at once, at most %d", input->size,
                         TEXT_LIMIT);
    size_t valid = loam_utf8_check(input->text, input->size);
    if (valid != input->size)
        return loam_fail(error, LOAM_ERROR_FORMAT, "the text is not valid UTF-8 at byte %zu (0x%02X)", valid,
                         (unsigned)(unsigned char)input->text[valid]);
    struct encoder encoder = {
        .tokenizer = tokenizer, .text = input->text, .boundary = boundary, .encoding = encoding};
    enum loam_status status = run_encoder(&encoder, input, error);
    loam_pieces_deinit(&encoder.pieces);
    loam_matcher_deinit(&encoder.matcher);
    loam_bpe_work_deinit(&encoder.work);
    return status;
}

enum loam_status loam_tokenizer_add_special(const struct loam_tokenizer *tokenizer,
                                            struct loam_encoding *encoding, size_t *before,
                                            struct loam_error *error)
{
    const struct loam_postprocessor *processor = &tokenizer->postprocessor;
    *before = 0;
    while (*before < processor->piece_count && processor->pieces[*before] != LOAM_POST_TEXT)
        ++*before;
    return loam_postprocessor_run(processor, true, encoding, error);
}

enum loam_status loam_tokenizer_encode(const struct loam_tokenizer *tokenizer, const char *text, size_t size,
                                       bool add_special_tokens, struct loam_encoding *encoding,
                                       struct loam_error *error)
{
    const struct loam_text_input input = {.text = text, .size = size};
    LOAM_TRY(loam_tokenizer_encode_input(tokenizer, &input, NULL, encoding, error));
    return loam_postprocessor_run(&tokenizer->postprocessor, add_special_tokens, encoding, error);
}

// ---- Spelling ----

enum loam_status loam_tokenizer_spell(const struct loam_tokenizer *tokenizer, const char *text, size_t size,
                                      struct loam_bytes *spelt, struct loam_error *error)
{
    const struct loam_text_input input = {.text = text, .size = size, .continues = true};
    struct loam_pieces pieces = {0};
    struct loam_matcher matcher = {0};
    loam_bytes_clear(spelt);
    enum loam_status status = cut_up(tokenizer, &input, &pieces, &matcher, error);
    for (size_t i = 0; i < pieces.list.count && status == LOAM_OK; i++) {
        struct loam_piece piece = pieces.list.items[i];
        status = loam_bytes_append(spelt, pieces.text.bytes + piece.start, piece.end - piece.start, error);
    }
    loam_pieces_deinit(&pieces);
    loam_matcher_deinit(&matcher);
    return status;
}

static bool begins_with(const char *text, size_t size, const struct loam_bytes *start)
{
    return start->size > 0 && size > start->size && memcmp(text, start->data, start->size) == 0;
}

size_t loam_tokenizer_match(const struct loam_tokenizer *tokenizer, int32_t id, const char *spelt,
                            size_t size)
{
    const struct loam_bpe *bpe = &tokenizer->bpe;
    if (size == 0 || id < 0 || id >= tokenizer->size || tokenizer->tokens[id].special) return 0;
    if (bpe->byte_fallback && bpe->bytes[(unsigned char)spelt[0]] == id) return 1;
    size_t token_size = 0;
    const char *token = loam_vocab_get(&bpe->vocab, id, &token_size);
    if (token == NULL) return 0;
    // The vocabulary marks tokens inside of a word.
    if (begins_with(token, token_size, &bpe->prefix)) {
        token += bpe->prefix.size;
        token_size -= bpe->prefix.size;
    }
    size_t common = token_size < size ? token_size : size;
    return memcmp(token, spelt, common) == 0 ? common : 0;
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
