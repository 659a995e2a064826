// The "post_processor" of tokenizer.json: adds tokens around the text and trims white space off the tokens'
// spans.
#ifndef LOAM_TEXT_POSTPROCESSOR_H
#define LOAM_TEXT_POSTPROCESSOR_H

#include "base/json.h"
#include "text/encoding.h"

enum { LOAM_POST_TEXT = -1 }; // in the template: the tokens of the text

struct loam_postprocessor {
    bool has_template;
    int32_t *pieces; // [piece_count] the template: ids of special tokens and LOAM_POST_TEXT, in order
    size_t piece_count;
    size_t piece_capacity;
    bool *trims; // [trim_count] passes of ByteLevel that trim spans; true: with add_prefix_space
    size_t trim_count;
    size_t trim_capacity;
};

// Parses ByteLevel, TemplateProcessing and Sequences of them. `name` is "FILE: post_processor".
enum loam_status loam_postprocessor_parse(const json_t *part, const char *name,
                                          struct loam_postprocessor *processor, struct loam_error *error);
void loam_postprocessor_deinit(struct loam_postprocessor *processor);

// Trims the span of token number `index` in `text` by as many characters as the token has white space at its
// start and end. `token` [size] is the token as the vocabulary spells it.
void loam_postprocessor_trim(const struct loam_postprocessor *processor, const char *token, size_t size,
                             size_t index, const char *text, uint32_t *start, uint32_t *end);

// Applies the template to the tokens of a text. Without `add_special_tokens` it adds no tokens.
enum loam_status loam_postprocessor_run(const struct loam_postprocessor *processor, bool add_special_tokens,
                                        struct loam_encoding *encoding, struct loam_error *error);

#endif
