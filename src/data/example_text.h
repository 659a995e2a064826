// The text of an example's ids, token by token.
#ifndef LOAM_DATA_EXAMPLE_TEXT_H
#define LOAM_DATA_EXAMPLE_TEXT_H

#include "data/example.h"

// A zeroed struct is a valid empty text, reused for every example.
struct loam_example_text {
    struct loam_bytes text; // valid UTF-8, special tokens by their names
    // [count] the byte at which the text of a token ends. Of the tokens that share a character, the last one has it.
    size_t *ends;
    int32_t count; // tokens
    size_t capacity;
};
void loam_example_text_deinit(struct loam_example_text *text);

// Replaces the contents of `text`. A token without a text in the tokenizer is shown as its id, "<|id 7|>".
enum loam_status loam_example_text_decode(struct loam_example_text *text, const struct loam_example *example,
                                          const struct loam_tokenizer *tokenizer, struct loam_error *error);

// The bytes [*start, return value) of token `index`.
size_t loam_example_text_token(const struct loam_example_text *text, int32_t index, size_t *start);

// Whether a token is learnt: it has a weight, and a token before it that predicts it.
static inline bool loam_example_learns(const struct loam_example *example, int32_t index)
{
    return index > 0 && example->weights[index] > 0;
}

#endif
