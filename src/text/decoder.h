// The "decoder" of tokenizer.json: a chain of stages from tokens back to text. Tokens are pushed one by
// one, and what has become certain comes out at the end at once, so that decoding a whole text and
// streaming it are the same code.
#ifndef LOAM_TEXT_DECODER_H
#define LOAM_TEXT_DECODER_H

#include "base/json.h"
#include "text/pattern.h"

struct loam_decoder_stage {
    const struct loam_decoder_kind *kind;
    struct loam_pattern pattern; // Replace
    struct loam_bytes content;   // Replace: what takes the match's place; Strip, Metaspace: the character
    size_t strip_start;          // Strip: how many of the character at most
    size_t strip_stop;
    bool drop_first; // Metaspace: the first token's marks vanish
};

struct loam_decoder {
    struct loam_decoder_stage *stages; // [count]
    size_t count;
    size_t capacity;
};

// ByteLevel, Replace, ByteFallback, Fuse, Strip, Metaspace and Sequences of them. Without a decoder (null)
// tokens are joined by spaces. `name` is "FILE: decoder".
enum loam_status loam_decoder_parse(const json_t *part, const char *name, struct loam_decoder *decoder,
                                    struct loam_error *error);
void loam_decoder_deinit(struct loam_decoder *decoder);

// A decoding under way.
struct loam_decoding {
    const struct loam_decoder *decoder;
    struct loam_decoder_state *states; // [count] one a stage
    struct loam_matcher matcher;
    struct loam_bytes *out; // where the text goes; set by each call
    size_t pushed;          // bytes of the tokens so far
};
enum loam_status loam_decoding_init(struct loam_decoding *decoding, const struct loam_decoder *decoder,
                                    struct loam_error *error);
void loam_decoding_deinit(struct loam_decoding *decoding);

// Appends to `text` what is certain once this token is known: whole characters. After
// finish nothing may be pushed.
enum loam_status loam_decoding_push(struct loam_decoding *decoding, const char *token, size_t size,
                                    struct loam_bytes *text, struct loam_error *error);
enum loam_status loam_decoding_finish(struct loam_decoding *decoding, struct loam_bytes *text,
                                      struct loam_error *error);

#endif
