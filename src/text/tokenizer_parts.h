// The inside of a tokenizer: the parts of tokenizer.json.
#ifndef LOAM_TEXT_TOKENIZER_PARTS_H
#define LOAM_TEXT_TOKENIZER_PARTS_H

#include "text/added_tokens.h"
#include "text/bpe_pool.h"
#include "text/decoder.h"
#include "text/postprocessor.h"
#include "text/steps.h"

// The token of an id.
struct loam_token_text {
    const char *content; // as in the file; NULL: no token has this id
    const char *text;    // input of the decoder: `content`, or its normalised form for some added tokens
    size_t size;         // bytes of `text`
};

struct loam_tokenizer {
    struct loam_added_tokens added;
    struct loam_steps normalizer;
    struct loam_steps pretokenizer;
    struct loam_bpe bpe;
    struct loam_bpe_pool *pool; // the only part that changes after loading; it has a lock
    struct loam_postprocessor postprocessor;
    struct loam_token_decoder decoder;
    struct loam_token_text *tokens; // [size], by id; added tokens override tokens of the model
    bool *
        is_special; // [size] left out when decoding skips special tokens; apart, so that it stays in the cache
    int32_t size;
};

#endif
