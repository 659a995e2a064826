// tokenizer.json as Hugging Face's `tokenizers` reads it: normaliser, pre-tokeniser, BPE, post-processor,
// decoder and added tokens. A part that loam does not know is refused by name.
#ifndef LOAM_TEXT_TOKENIZER_H
#define LOAM_TEXT_TOKENIZER_H

#include "base/bytes.h"
#include "text/encoding.h"

struct loam_tokenizer; // immutable after loading; may be shared by threads

enum loam_status loam_tokenizer_load(struct loam_tokenizer **out, const char *path, struct loam_error *error);
void loam_tokenizer_destroy(struct loam_tokenizer *tokenizer);

// Replaces the contents of `encoding` by the ids of `text` (UTF-8; an invalid sequence is an error that
// says where). `add_special_tokens` runs the post-processor's additions (BOS, EOS), as `encode` of
// `tokenizers` does by default.
enum loam_status loam_tokenizer_encode(const struct loam_tokenizer *tokenizer, const char *text, size_t size,
                                       bool add_special_tokens, struct loam_encoding *encoding,
                                       struct loam_error *error);

// A place in a text, and where the pre-tokenised word that spans it begins; `at` itself where none does.
struct loam_boundary {
    size_t at;
    size_t word;
};

// Encodes as above, without the post-processor's additions. With `boundary` (else NULL) fills its `word`, and
// spans are those of whole tokens: the post-processor's trimming is left out.
enum loam_status loam_tokenizer_encode_input(const struct loam_tokenizer *tokenizer,
                                             const struct loam_text_input *input,
                                             struct loam_boundary *boundary, struct loam_encoding *encoding,
                                             struct loam_error *error);

// Runs the post-processor's additions over ids of a text; `*before` is how many came in front of them.
enum loam_status loam_tokenizer_add_special(const struct loam_tokenizer *tokenizer,
                                            struct loam_encoding *encoding, size_t *before,
                                            struct loam_error *error);

// Replaces the contents of `spelt` by the text as tokens spell it after normalizer and pre-tokeniser, as if
// other text stood before it.
enum loam_status loam_tokenizer_spell(const struct loam_tokenizer *tokenizer, const char *text, size_t size,
                                      struct loam_bytes *spelt, struct loam_error *error);

// How many bytes of the spelt text token `id` covers as the next token: the text begins with the token, or
// the token begins with the whole text. 0: the token does not continue the text.
size_t loam_tokenizer_match(const struct loam_tokenizer *tokenizer, int32_t id, const char *spelt,
                            size_t size);

// Appends the text of the ids to `text`. An id beyond the vocabulary is an error.
enum loam_status loam_tokenizer_decode(const struct loam_tokenizer *tokenizer, const int32_t *ids,
                                       size_t count, bool skip_special_tokens, struct loam_bytes *text,
                                       struct loam_error *error);

// Decoding as tokens come: after each pushed id, appends to `text` what became certain, always whole UTF-8
// characters; finish appends the rest.
struct loam_decode_stream;
enum loam_status loam_decode_stream_create(struct loam_decode_stream **out,
                                           const struct loam_tokenizer *tokenizer, bool skip_special_tokens,
                                           struct loam_error *error);
enum loam_status loam_decode_stream_push(struct loam_decode_stream *stream, int32_t id,
                                         struct loam_bytes *text, struct loam_error *error);
enum loam_status loam_decode_stream_finish(struct loam_decode_stream *stream, struct loam_bytes *text,
                                           struct loam_error *error);
void loam_decode_stream_destroy(struct loam_decode_stream *stream);

int32_t
loam_tokenizer_vocabulary_size(const struct loam_tokenizer *tokenizer); // largest id + 1, added tokens too
int32_t loam_tokenizer_token_to_id(const struct loam_tokenizer *tokenizer,
                                   const char *token); // -1: no such token
const char *loam_tokenizer_id_to_token(const struct loam_tokenizer *tokenizer,
                                       int32_t id); // NULL: no such id

#endif
