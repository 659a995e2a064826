// Added tokens: texts that are tokens as a whole, found before the rest of the text is tokenised.
#ifndef LOAM_TEXT_ADDED_TOKENS_H
#define LOAM_TEXT_ADDED_TOKENS_H

#include "text/encoding.h"
#include "text/steps.h"
#include "text/vocab.h"

struct loam_added_token {
    struct loam_bytes content;
    struct loam_bytes normalized_content; // the content after the normalizer; empty unless `normalized`
    int32_t id;
    bool single_word; // found only where no word character is next to it
    bool lstrip;      // includes the white space before it
    bool rstrip;      // includes the white space after it
    bool normalized;  // searched for in the normalised text, else in the raw text
    bool special;     // left out when decoding skips special tokens
};

// A trie over the bytes of tokens, for the longest token that starts at a place.
struct loam_trie {
    struct loam_trie_node *nodes; // [count]; 0 is the root
    size_t count;
    size_t capacity;
    bool begins[256]; // whether a token begins with the byte
};

struct loam_added_tokens {
    struct loam_added_token *items; // [count], in the order of the file
    size_t count;
    size_t capacity;
    struct loam_vocab by_content; // from content to index
    struct loam_trie raw;         // indices of tokens that are searched for in the raw text
    struct loam_trie normalized;  // indices of tokens that are searched for in the normalised text
};

void loam_added_tokens_deinit(struct loam_added_tokens *tokens);

// Takes over `token`, also on failure. A token with the same content is replaced.
enum loam_status loam_added_tokens_add(struct loam_added_tokens *tokens, struct loam_added_token *token,
                                       struct loam_error *error);

// Call after all tokens are added. Gives each token its id as `tokenizers` does (the vocabulary's id of its
// content, else the next free one), its normalised content and its place in a trie.
enum loam_status loam_added_tokens_build(struct loam_added_tokens *tokens, const struct loam_vocab *vocab,
                                         const struct loam_steps *normalizer, struct loam_error *error);

// A stage that makes each added token of the raw text, or of the normalised text, a piece of its own. Within the plain
// ranges of the input the tokens that they exclude do not exist.
struct loam_stage loam_added_tokens_stage(const struct loam_added_tokens *tokens, bool normalized,
                                          const struct loam_text_input *input);

// The first stage: makes each mark of the input a piece of its own, with the white space that an added token
// includes.
struct loam_stage loam_added_tokens_marks_stage(const struct loam_added_tokens *tokens,
                                                const struct loam_text_input *input);

#endif
