#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "base/utf8.h"
#include "text/tokenizer_json.h"

enum {
    TEXT_LIMIT = 0x7FFFFFFF, // bytes: offsets are 32 bits wide
    KEPT = 1 << 16,          // a larger encoding (tokens) is freed before the next one is made
};

// ---- Loading ----

enum loam_status loam_tokenizer_load(struct loam_tokenizer **out, const char *path, struct loam_error *error)
{
    *out = NULL;
    struct loam_tokenizer *tokenizer = loam_calloc(1, sizeof *tokenizer, error);
    if (tokenizer == NULL) return LOAM_ERROR_MEMORY;
    tokenizer->pool = loam_bpe_pool_create(error);
    enum loam_status status =
        tokenizer->pool == NULL ? LOAM_ERROR_MEMORY : loam_tokenizer_read(tokenizer, path, error);
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
    loam_bpe_pool_destroy(tokenizer->pool);
    loam_postprocessor_deinit(&tokenizer->postprocessor);
    loam_token_decoder_deinit(&tokenizer->decoder);
    free(tokenizer->tokens);
    free(tokenizer->is_special);
    free(tokenizer);
}

// ---- Encoding ----

struct encoder {
    const struct loam_tokenizer *tokenizer;
    const char *text;               // the original
    struct loam_boundary *boundary; // NULL: none
    bool trims;                     // spans lose white space, which takes the spelling of tokens
    bool after_word;                // the piece before this one was a word
    struct loam_bpe_work *work;
    struct loam_encoding *encoding;
};

// Adds a token that covers bytes [start, end) of the rewritten text and reads `token`.
static enum loam_status add_token(struct encoder *encoder, const struct loam_source_text *text, int32_t id,
                                  size_t start, size_t end, const char *token, size_t size,
                                  struct loam_error *error)
{
    uint32_t from = loam_source_origin(text, start).start;
    uint32_t to = loam_source_origin(text, end - 1).end;
    if (encoder->trims)
        loam_postprocessor_trim(&encoder->tokenizer->postprocessor, token, size, encoder->encoding->count,
                                encoder->text, &from, &to);
    return loam_encoding_add(encoder->encoding, id, from, to, error);
}

// Notes the token at `index` as a separator if it is added, found in the raw text, and takes no white space.
static void note_separator(struct encoder *encoder, const char *content, size_t size, size_t index)
{
    const struct loam_added_tokens *added = &encoder->tokenizer->added;
    const int32_t found = loam_vocab_find(&added->by_content, content, size);
    if (found < 0) return;
    const struct loam_added_token *token = &added->items[found];
    if (!token->normalized && !token->single_word && !token->lstrip && !token->rstrip &&
        token->id == encoder->encoding->ids[index])
        encoder->boundary->separator = index;
}

// Adds a marked or added token. One that starts before the boundary ends there at the latest, even if it
// takes the white space after it.
static enum loam_status add_whole_piece(struct encoder *encoder, const struct loam_source_text *text,
                                        struct loam_piece piece, struct loam_error *error)
{
    LOAM_TRY(add_token(encoder, text, piece.token, piece.start, piece.end, text->bytes + piece.start,
                       piece.end - piece.start, error));
    struct loam_encoding *encoding = encoder->encoding;
    size_t last = encoding->count - 1;
    const struct loam_boundary *boundary = encoder->boundary;
    if (boundary == NULL) return LOAM_OK;
    if (encoding->ends[last] <= boundary->at)
        note_separator(encoder, text->bytes + piece.start, piece.end - piece.start, last);
    else if (encoding->starts[last] < boundary->at)
        encoding->ends[last] = (uint32_t)boundary->at;
    return LOAM_OK;
}

// Sets the boundary's word if the piece spans the boundary. Only a piece after another word counts for `word`: pieces
// at the start of a text or after an added token begin there with any text that follows.
static void set_boundary_word(struct encoder *encoder, const struct loam_source_text *text,
                              struct loam_piece piece)
{
    struct loam_boundary *boundary = encoder->boundary;
    if (boundary == NULL) return;
    uint32_t start = loam_source_origin(text, piece.start).start;
    uint32_t end = loam_source_origin(text, piece.end - 1).end;
    if (start >= boundary->at || end <= boundary->at) return;
    boundary->is_inside = true;
    if (encoder->after_word) boundary->word = start;
}

static enum loam_status add_word(struct encoder *encoder, const struct loam_source_text *text,
                                 struct loam_piece piece, struct loam_error *error)
{
    const struct loam_bpe *bpe = &encoder->tokenizer->bpe;
    struct loam_bpe_work *work = encoder->work;
    size_t at = piece.start;
    loam_bpe_begin(text->bytes + piece.start, piece.end - piece.start, work);
    for (;;) {
        LOAM_TRY(loam_bpe_next(bpe, work, error));
        if (work->count == 0) return LOAM_OK;
        for (size_t i = 0; i < work->count; i++) {
            struct loam_bpe_token token = work->tokens[i];
            size_t size = 0;
            const char *spelt = encoder->trims ? loam_vocab_get(&bpe->vocab, token.id, &size) : NULL;
            // Tokens that spell the vocabulary's prefix or suffix as bytes count bytes beyond the piece.
            size_t start = at < piece.end ? at : piece.end - 1;
            at += token.size;
            size_t end = at < piece.end ? at : piece.end;
            LOAM_TRY(add_token(encoder, text, token.id, start, end, spelt, size, error));
        }
    }
}

// The last stage of encoding: adds the tokens of a piece.
static enum loam_status encode_piece(struct loam_stage *stage, struct loam_piece piece,
                                     struct loam_error *error)
{
    struct encoder *encoder = stage->user;
    const struct loam_source_text *text = &stage->pieces.text;
    const bool is_word = piece.token < 0;
    if (is_word) set_boundary_word(encoder, text, piece);
    encoder->after_word = is_word;
    return is_word ? add_word(encoder, text, piece, error) : add_whole_piece(encoder, text, piece, error);
}

// Takes a text through all stages: marks, added tokens of the raw text, normalizer, added tokens of the
// normalised text, pre-tokenizer, and `last`. `*bytes` is the peak of their memory.
static enum loam_status run_stages(const struct loam_tokenizer *tokenizer,
                                   const struct loam_text_input *input, const struct loam_stage *last,
                                   size_t *bytes, struct loam_error *error)
{
    size_t count = 2 + tokenizer->normalizer.count + 1 + tokenizer->pretokenizer.count + 1;
    struct loam_stage *stages = loam_calloc(count, sizeof *stages, error);
    if (stages == NULL) return LOAM_ERROR_MEMORY;
    struct loam_stage *stage = stages;
    *stage++ = loam_added_tokens_marks_stage(&tokenizer->added, input);
    *stage++ = loam_added_tokens_stage(&tokenizer->added, false, input);
    loam_steps_make_stages(&tokenizer->normalizer, stage);
    stage += tokenizer->normalizer.count;
    *stage++ = loam_added_tokens_stage(&tokenizer->added, true, input);
    loam_steps_make_stages(&tokenizer->pretokenizer, stage);
    stage += tokenizer->pretokenizer.count;
    *stage = *last;
    for (size_t i = 0; i < count; i++)
        stages[i].pieces.continues = input->continues;
    enum loam_status status = loam_stages_run(stages, count, input->text, input->size, error);
    *bytes = loam_stages_bytes(stages, count);
    loam_stages_deinit(stages, count);
    free(stages);
    return status;
}

enum loam_status loam_tokenizer_encode_input(const struct loam_tokenizer *tokenizer,
                                             const struct loam_text_input *input,
                                             struct loam_boundary *boundary, struct loam_encoding *encoding,
                                             struct loam_error *error)
{
    // Frees a large encoding first, so that its memory does not add to that of the next one.
    if (encoding->capacity > KEPT) loam_encoding_deinit(encoding);
    encoding->count = 0;
    if (boundary != NULL)
        *boundary = (struct loam_boundary){.at = boundary->at, .word = boundary->at, .separator = SIZE_MAX};
    if (input->size > TEXT_LIMIT)
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "a text of %zu bytes is too long to tokenize at once, at most %d", input->size,
                         TEXT_LIMIT);
    size_t valid = loam_utf8_check(input->text, input->size);
    if (valid != input->size)
        return loam_fail(error, LOAM_ERROR_FORMAT, "the text is not valid UTF-8 at byte %zu (0x%02X)", valid,
                         (unsigned)(unsigned char)input->text[valid]);
    struct encoder encoder = {.tokenizer = tokenizer,
                              .text = input->text,
                              .boundary = boundary,
                              .encoding = encoding,
                              .trims = boundary == NULL && tokenizer->postprocessor.trim_count > 0};
    const struct loam_stage last = {.run = encode_piece, .user = &encoder};
    size_t bytes = 0;
    LOAM_TRY(loam_bpe_pool_take(tokenizer->pool, &encoder.work, error));
    enum loam_status status = run_stages(tokenizer, input, &last, &bytes, error);
    encoding->work_bytes = bytes + loam_bpe_work_bytes(encoder.work);
    loam_bpe_pool_return(tokenizer->pool, encoder.work);
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

// The last stage of spelling: appends a piece.
static enum loam_status append_spelt(struct loam_stage *stage, struct loam_piece piece,
                                     struct loam_error *error)
{
    return loam_bytes_append(stage->user, stage->pieces.text.bytes + piece.start, piece.end - piece.start,
                             error);
}

enum loam_status loam_tokenizer_spell(const struct loam_tokenizer *tokenizer, const char *text, size_t size,
                                      struct loam_bytes *spelt, struct loam_error *error)
{
    const struct loam_text_input input = {.text = text, .size = size, .continues = true};
    const struct loam_stage last = {.run = append_spelt, .user = spelt};
    size_t bytes = 0;
    loam_bytes_clear(spelt);
    return run_stages(tokenizer, &input, &last, &bytes, error);
}

static bool begins_with(const char *text, size_t size, const struct loam_bytes *start)
{
    return start->size > 0 && size > start->size && memcmp(text, start->data, start->size) == 0;
}

size_t loam_tokenizer_match(const struct loam_tokenizer *tokenizer, int32_t id, const char *spelt,
                            size_t size)
{
    const struct loam_bpe *bpe = &tokenizer->bpe;
    if (size == 0 || id < 0 || id >= tokenizer->size || tokenizer->is_special[id]) return 0;
    if (bpe->byte_fallback && bpe->bytes[(unsigned char)spelt[0]] == id) return 1;
    size_t token_size = 0;
    const char *token = loam_vocab_get(&bpe->vocab, id, &token_size);
    if (token == NULL) return 0;
    // The prefix marks tokens inside a word.
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

bool loam_tokenizer_added(const struct loam_tokenizer *tokenizer, size_t index, struct loam_added_text *token)
{
    if (index >= tokenizer->added.count) return false;
    const struct loam_added_token *item = &tokenizer->added.items[index];
    *token = (struct loam_added_text){item->content.data, item->content.size, item->id, item->special};
    return true;
}

bool loam_tokenizer_is_special(const struct loam_tokenizer *tokenizer, int32_t id)
{
    return id >= 0 && id < tokenizer->size && tokenizer->is_special[id];
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
