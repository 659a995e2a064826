// Tokens outside of the model's vocabulary, or above it, that are found in the text
// before anything else looks at it.
#ifndef LOAM_TEXT_ADDED_TOKENS_H
#define LOAM_TEXT_ADDED_TOKENS_H

#include "text/encoding.h"
#include "text/steps.h"
#include "text/vocab.h"

struct loam_added_token {
    struct loam_bytes content;
    struct loam_bytes normalized_content; // what the normalizer makes of it; empty unless `normalized`
    int32_t id;
    bool single_word; // only where no word character is right beside it
    bool lstrip;      // takes the white space before it
    bool rstrip;      // and after it
    bool normalized;  // looked for in the normalised text
    bool special;     // left out by decoding
};

// A trie over the bytes of the tokens: the longest one that starts at a place wins.
struct loam_trie {
    struct loam_trie_node *nodes; // [count]; 0 is the root
    size_t count;
    size_t capacity;
};

struct loam_added_tokens {
    struct loam_added_token *items; // [count], in the order of the file
    size_t count;
    size_t capacity;
    struct loam_vocab by_content; // content to index
    struct loam_trie raw;         // indices of tokens that are looked for in the text as it comes
    struct loam_trie normalized;
};

void loam_added_tokens_deinit(struct loam_added_tokens *tokens);

// Takes over `token`, which is released on failure too. A content that is there already is replaced.
enum loam_status loam_added_tokens_add(struct loam_added_tokens *tokens, struct loam_added_token *token,
                                       struct loam_error *error);

// When all are added: gives each its id as `tokenizers` does (the model's id for its content, else the next
// free one), its normalised content, and its place in a trie.
enum loam_status loam_added_tokens_build(struct loam_added_tokens *tokens, const struct loam_vocab *vocab,
                                         const struct loam_steps *normalizer, struct loam_error *error);

// A stage that cuts tokens out as pieces of their own: those that are looked for in the text as it comes, or
// those of the normalised text.
struct loam_stage loam_added_tokens_stage(const struct loam_added_tokens *tokens, bool normalized);

// A stage, the first one, that cuts out the marks of the input as pieces of their own, with the white space
// that an added token takes.
struct loam_stage loam_added_tokens_marks_stage(const struct loam_added_tokens *tokens,
                                                const struct loam_text_input *input);

#endif
