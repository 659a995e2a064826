// The special tokens of a model directory: which ids begin and end a text, and whether the tokenizer
// adds them. Read from tokenizer_config.json, special_tokens_map.json, generation_config.json and
// config.json, as far as present.
#ifndef LOAM_TEXT_SPECIAL_H
#define LOAM_TEXT_SPECIAL_H

#include "text/tokenizer.h"

struct loam_special_tokens {
    int32_t bos;          // -1: none
    int32_t pad;          // fills what batches need to be rectangular, which loam does not; -1: none
    int32_t eos;          // the one that ends a training text; -1: none
    const char *eos_text; // how it reads, for {eos} in a template; NULL: none
    int32_t *eos_ids;     // [eos_count] every id that stops generation, `eos` among them
    size_t eos_count;
    bool add_bos; // tokenizer_config.json asks for BOS (add_bos_token), or the post-processor adds it
    bool add_eos;
    char *text;     // what eos_text points into, where the tokenizer does not have it; else NULL
    char note[160]; // what names an end of sequence that the tokenizer lacks, or ""
};
enum loam_status loam_special_tokens_load(struct loam_special_tokens *special, const char *model_directory,
                                          const struct loam_tokenizer *tokenizer, struct loam_error *error);
void loam_special_tokens_deinit(struct loam_special_tokens *special);

// Whether generation stops at the id.
bool loam_special_tokens_end(const struct loam_special_tokens *special, int32_t id);

// Adds to the ids of a text what the tokenizer's configuration asks for, where the text has none of its own.
enum loam_status loam_special_tokens_surround(const struct loam_special_tokens *special,
                                              struct loam_encoding *encoding, struct loam_error *error);

// Fails with the message for a text that has to end in EOS where the model has none.
enum loam_status loam_special_tokens_fail_eos(const struct loam_special_tokens *special,
                                              const char *wanted_by, struct loam_error *error);

#endif
