// The special tokens of a model directory: which ids begin and end a text, and whether the tokenizer
// adds them. Read from tokenizer_config.json, special_tokens_map.json, generation_config.json and
// config.json, as far as present.
#ifndef LOAM_TEXT_SPECIAL_H
#define LOAM_TEXT_SPECIAL_H

#include "text/tokenizer.h"

enum { LOAM_MAX_EOS = 16 };

struct loam_special_tokens {
    int32_t bos;                   // -1: none
    int32_t eos;                   // the one that ends a training text; -1: none
    int32_t eos_ids[LOAM_MAX_EOS]; // every id that stops generation, `eos` among them
    int eos_count;
    bool add_bos; // tokenizer_config.json asks for BOS (add_bos_token), or the post-processor adds it
    bool add_eos;
};
enum loam_status loam_special_tokens_load(struct loam_special_tokens *special, const char *model_directory,
                                          const struct loam_tokenizer *tokenizer, struct loam_error *error);

#endif
