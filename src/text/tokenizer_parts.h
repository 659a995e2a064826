// A tokenizer from the inside: the parts of tokenizer.json, in the order in which a text meets them.
#ifndef LOAM_TEXT_TOKENIZER_PARTS_H
#define LOAM_TEXT_TOKENIZER_PARTS_H

#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/decoder.h"
#include "text/postprocessor.h"
#include "text/tokenizer.h"

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

// Reads the file into a zeroed tokenizer; what was read of it on failure is still to be released by the
// caller.
enum loam_status loam_tokenizer_read(struct loam_tokenizer *tokenizer, const char *path,
                                     struct loam_error *error);

// tokenizer_config.c: adds the tokens of the tokenizer_config.json beside tokenizer.json, if it is there.
enum loam_status loam_tokenizer_config_add(struct loam_tokenizer *tokenizer, const char *tokenizer_path,
                                           struct loam_error *error);

// tokenizer_stream.c: the file as the reader sees it. The vocabulary and the merges, nearly all of it, are
// taken as they stream past; everything else becomes a small tree.
struct loam_tokenizer_file {
    json_t *root;
    bool has_vocab;
    bool has_merges;
    struct loam_vocab vocab;
    struct loam_bytes merge_text;
    struct loam_merge_text *merges; // [merge_count] spans of merge_text
    size_t merge_count;
    size_t merge_capacity;
};
enum loam_status loam_tokenizer_file_read(struct loam_tokenizer_file *file, const char *path,
                                          struct loam_error *error);
void loam_tokenizer_file_deinit(struct loam_tokenizer_file *file);

#endif
