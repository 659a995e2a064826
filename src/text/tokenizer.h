// Tokenizers from tokenizer.json, with the behaviour of Hugging Face's package `tokenizers`: normalizer,
// pre-tokenizer, BPE, post-processor, decoder and added tokens. A part of an unknown type is refused by name.
#ifndef LOAM_TEXT_TOKENIZER_H
#define LOAM_TEXT_TOKENIZER_H

#include "base/bytes.h"
#include "text/encoding.h"

struct loam_tokenizer; // immutable after loading; threads may share it

enum loam_status loam_tokenizer_load(struct loam_tokenizer **out, const char *path, struct loam_error *error);
void loam_tokenizer_destroy(struct loam_tokenizer *tokenizer);

// Replaces the contents of `encoding` with the ids of `text`. Text that is not UTF-8 is an error with the
// place of the first invalid byte. With `add_special_tokens` the post-processor adds its tokens (BOS, EOS),
// as `encode` of `tokenizers` does by default.
enum loam_status loam_tokenizer_encode(const struct loam_tokenizer *tokenizer, const char *text, size_t size,
                                       bool add_special_tokens, struct loam_encoding *encoding,
                                       struct loam_error *error);

// A place in a text. Encoding finds the pre-tokenised word around it.
struct loam_boundary {
    size_t at;   // byte
    size_t word; // byte at which the word that spans `at` begins; `at` if no word after another one spans it
    bool is_inside; // a word spans `at`
    // The last added token before `at` that separates: what is encoded after it depends neither on the text before it, nor
    // the tokens before it on the text after it. SIZE_MAX: there is none.
    size_t separator; // index in the encoding
};

// Encodes a text with marks, without the tokens that the post-processor adds. With a boundary (else NULL)
// fills the rest of it, and spans include the white space that the post-processor would trim.
enum loam_status loam_tokenizer_encode_input(const struct loam_tokenizer *tokenizer,
                                             const struct loam_text_input *input,
                                             struct loam_boundary *boundary, struct loam_encoding *encoding,
                                             struct loam_error *error);

// Adds the post-processor's tokens to the ids of a text; `*before` is the number of tokens added before them.
enum loam_status loam_tokenizer_add_special(const struct loam_tokenizer *tokenizer,
                                            struct loam_encoding *encoding, size_t *before,
                                            struct loam_error *error);

// Replaces the contents of `spelt` with the text as the vocabulary spells it (after normalizer and
// pre-tokenizer), for a text that continues another one.
enum loam_status loam_tokenizer_spell(const struct loam_tokenizer *tokenizer, const char *text, size_t size,
                                      struct loam_bytes *spelt, struct loam_error *error);

// Number of bytes of a spelt text that token `id` covers as the first token: the text begins with the token,
// or the token begins with the whole text. 0: neither.
size_t loam_tokenizer_match(const struct loam_tokenizer *tokenizer, int32_t id, const char *spelt,
                            size_t size);

// Appends the text of the ids to `text`. An id beyond the vocabulary is an error.
enum loam_status loam_tokenizer_decode(const struct loam_tokenizer *tokenizer, const int32_t *ids,
                                       size_t count, bool skip_special_tokens, struct loam_bytes *text,
                                       struct loam_error *error);

// Decoding id by id. Each push appends to `text` the characters that later ids cannot change; finish appends
// the rest. The appended text is always whole UTF-8 characters.
struct loam_decode_stream;
enum loam_status loam_decode_stream_create(struct loam_decode_stream **out,
                                           const struct loam_tokenizer *tokenizer, bool skip_special_tokens,
                                           struct loam_error *error);
enum loam_status loam_decode_stream_push(struct loam_decode_stream *stream, int32_t id,
                                         struct loam_bytes *text, struct loam_error *error);
enum loam_status loam_decode_stream_finish(struct loam_decode_stream *stream, struct loam_bytes *text,
                                           struct loam_error *error);
void loam_decode_stream_destroy(struct loam_decode_stream *stream);

// Largest id + 1, including added tokens.
int32_t loam_tokenizer_vocabulary_size(const struct loam_tokenizer *tokenizer);
// The added token `index`. False: there are fewer.
struct loam_added_text {
    const char *text; // [size]
    size_t size;
    int32_t id;
    bool special;
};
bool loam_tokenizer_added(const struct loam_tokenizer *tokenizer, size_t index,
                          struct loam_added_text *token);
// Whether the token is marked as special, as BOS and EOS are.
bool loam_tokenizer_is_special(const struct loam_tokenizer *tokenizer, int32_t id);
// -1: no such token.
int32_t loam_tokenizer_token_to_id(const struct loam_tokenizer *tokenizer, const char *token);
// NULL: no such id.
const char *loam_tokenizer_id_to_token(const struct loam_tokenizer *tokenizer, int32_t id);

#endif
