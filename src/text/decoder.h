// The "decoder" of tokenizer.json: a chain of stages from tokens to text. Tokens are pushed one by one, and
// text comes out once later tokens cannot change it. A whole text is decoded by the same code.
#ifndef LOAM_TEXT_DECODER_H
#define LOAM_TEXT_DECODER_H

#include "base/json.h"
#include "text/pattern.h"

struct loam_token_decoder_stage {
    const struct loam_token_decoder_kind *kind;
    struct loam_pattern pattern; // Replace
    struct loam_bytes content;   // Replace: the replacement; Strip, Metaspace: the character
    size_t strip_start;          // Strip: most characters to remove from the start
    size_t strip_stop;           // Strip: most characters to remove from the end
    bool drop_first;             // Metaspace: marks of the first token are removed
};

struct loam_token_decoder {
    struct loam_token_decoder_stage *stages; // [count]
    size_t count;
    size_t capacity;
};

// Parses ByteLevel, Replace, ByteFallback, Fuse, Strip, Metaspace and Sequences of them. Without a decoder
// (null) tokens are joined by spaces. `name` is "FILE: decoder".
enum loam_status loam_token_decoder_parse(const json_t *part, const char *name,
                                          struct loam_token_decoder *decoder, struct loam_error *error);
void loam_token_decoder_deinit(struct loam_token_decoder *decoder);

// The state of decoding one text.
struct loam_decoding {
    const struct loam_token_decoder *decoder;
    struct loam_token_decoder_state *states; // [count] one per stage
    struct loam_matcher matcher;
    struct loam_bytes *out; // the caller's text; set by each call
    size_t pushed;          // bytes of all tokens so far
};
enum loam_status loam_decoding_init(struct loam_decoding *decoding, const struct loam_token_decoder *decoder,
                                    struct loam_error *error);
void loam_decoding_deinit(struct loam_decoding *decoding);

// Push appends to `text` the characters that later tokens cannot change, finish the rest. Do not push after
// finish.
enum loam_status loam_decoding_push(struct loam_decoding *decoding, const char *token, size_t size,
                                    struct loam_bytes *text, struct loam_error *error);
enum loam_status loam_decoding_finish(struct loam_decoding *decoding, struct loam_bytes *text,
                                      struct loam_error *error);

#endif
