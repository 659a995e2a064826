// The added tokens that tokenizer_config.json has and tokenizer.json lacks. transformers adds them when it
// loads a tokenizer, so models are trained with them.
#ifndef LOAM_TEXT_TOKENIZER_CONFIG_H
#define LOAM_TEXT_TOKENIZER_CONFIG_H

#include "text/added_tokens.h"
#include "text/vocab.h"

// Adds the tokens of the tokenizer_config.json in the directory of `tokenizer_path` to `added`. A missing
// file adds nothing. `vocab` is the model's vocabulary, without added tokens.
enum loam_status loam_tokenizer_config_add_tokens(struct loam_added_tokens *added,
                                                  const struct loam_vocab *vocab, const char *tokenizer_path,
                                                  struct loam_error *error);

#endif
