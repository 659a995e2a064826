// The "post_processor" of tokenizer.json: tokens before and after the text, and offsets
// without the space of a word.
#ifndef LOAM_TEXT_POSTPROCESSOR_H
#define LOAM_TEXT_POSTPROCESSOR_H

#include "base/json.h"
#include "text/encoding.h"

enum { LOAM_POST_TEXT = -1 }; // in a template: the tokens of the text

struct loam_postprocessor {
    bool has_template;
    int32_t *pieces; // [piece_count] ids of special tokens and LOAM_POST_TEXT, in order
    size_t piece_count;
    size_t piece_capacity;
    bool *trims; // [trim_count] ByteLevel passes that trim offsets; true: with add_prefix_space
    size_t trim_count;
    size_t trim_capacity;
};

// ByteLevel, TemplateProcessing and Sequences of them. `name` is "FILE: post_processor".
enum loam_status loam_postprocessor_parse(const json_t *part, const char *name,
                                          struct loam_postprocessor *processor, struct loam_error *error);
void loam_postprocessor_deinit(struct loam_postprocessor *processor);

// Takes the white space at both ends of token number `index`, which reads `token`, off its span in `text`: as
// many characters there as the token begins and ends with.
void loam_postprocessor_trim(const struct loam_postprocessor *processor, const char *token, size_t size,
                             size_t index, const char *text, uint32_t *start, uint32_t *end);

// Puts the template's tokens around those of the text; without `add_special_tokens` only the text's are
// placed.
enum loam_status loam_postprocessor_run(const struct loam_postprocessor *processor, bool add_special_tokens,
                                        struct loam_encoding *encoding, struct loam_error *error);

#endif
