// The special tokens of a model directory: the ids that begin and end a text, and whether the tokenizer adds
// them. Read from tokenizer_config.json, special_tokens_map.json, generation_config.json and config.json,
// each optional.
#ifndef LOAM_TEXT_SPECIAL_H
#define LOAM_TEXT_SPECIAL_H

#include "text/tokenizer.h"

struct loam_special_tokens {
    int32_t bos;          // -1: none
    int32_t pad;          // fills what a rectangular batch needs, loam makes none; -1: none
    int32_t eos;          // ends a training text; -1: none
    const char *eos_text; // text of `eos`, for {eos} in a template; NULL: none
    int32_t *eos_ids;     // [eos_count] all ids that stop generation, including `eos`
    size_t eos_count;
    bool add_bos; // tokenizer_config.json has add_bos_token, or the post-processor adds BOS
    bool add_eos;
    char *text;     // storage of eos_text if the tokenizer does not have it; else NULL
    char note[160]; // message about a file that names an EOS that the tokenizer does not have, or ""
};
enum loam_status loam_special_tokens_load(struct loam_special_tokens *special, const char *model_directory,
                                          const struct loam_tokenizer *tokenizer, struct loam_error *error);
void loam_special_tokens_deinit(struct loam_special_tokens *special);

// Whether generation stops at the id.
bool loam_special_tokens_is_stop(const struct loam_special_tokens *special, int32_t id);

// Adds BOS and EOS to the ids of a text as the tokenizer's configuration asks, unless the text already has
// them.
enum loam_status loam_special_tokens_surround(const struct loam_special_tokens *special,
                                              struct loam_encoding *encoding, struct loam_error *error);

// Fails with a message for a text that needs EOS while the model has none. `reason` begins the message.
enum loam_status loam_special_tokens_fail_eos(const struct loam_special_tokens *special, const char *reason,
                                              struct loam_error *error);

#endif
