// Tokens that are trained with rows of their own: PEFT's trainable_token_indices.
#ifndef LOAM_LORA_TOKEN_CHOICE_H
#define LOAM_LORA_TOKEN_CHOICE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

// The tokens of one module.
struct loam_token_list {
    char *module;    // the end of a path; NULL: the input embedding
    int32_t *tokens; // [count] in the file's order, each once
    size_t count;
};

struct loam_token_choice {
    struct loam_token_list *lists;
    size_t count; // 0: no tokens are trained
};

// Reads "trainable_token_indices" of `root`: null, a list of ids, or an object from module names to lists.
// `path` is for messages.
enum loam_status loam_token_choice_read(struct loam_token_choice *choice, const json_t *root,
                                        const char *path, struct loam_error *error);
// Parses --trainable-token-indices "5,9" or "embed_tokens=5,9;lm_head=7". NULL: none.
enum loam_status loam_token_choice_parse(struct loam_token_choice *choice, const char *text,
                                         struct loam_error *error);
void loam_token_choice_deinit(struct loam_token_choice *choice);
// Returns whether two lists have the same ids in the same order.
bool loam_token_lists_equal(const struct loam_token_list *a, const struct loam_token_list *b);
// Returns the key as JSON; NULL: out of memory.
json_t *loam_token_choice_json(const struct loam_token_choice *choice);

#endif
