// A tokenizer from the inside: the parts of tokenizer.json, in the order in which a text meets them.
#ifndef LOAM_TEXT_TOKENIZER_PARTS_H
#define LOAM_TEXT_TOKENIZER_PARTS_H

#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/decoder.h"
#include "text/postprocessor.h"
#include "text/steps.h"

// What an id stands for.
struct loam_token_text {
    const char *content; // as the file has it; NULL: no token has this id
    const char
        *text;    // as the decoder is given it: of some added tokens what the normalizer made of the content
    size_t size;  // bytes of `text`
    bool special; // left out where special tokens are
};

struct loam_tokenizer {
    struct loam_added_tokens added;
    struct loam_steps normalizer;
    struct loam_steps pretokenizer;
    struct loam_bpe bpe;
    struct loam_postprocessor postprocessor;
    struct loam_decoder decoder;
    struct loam_token_text *tokens; // [size], by id; the added tokens override the model's
    int32_t size;
};

#endif
