// Reads tokenizer.json, and the added tokens of the tokenizer_config.json beside it.
#ifndef LOAM_TEXT_TOKENIZER_JSON_H
#define LOAM_TEXT_TOKENIZER_JSON_H

#include "text/tokenizer_parts.h"

// Fills a zeroed tokenizer. After a failure the caller releases what was read so far.
enum loam_status loam_tokenizer_read(struct loam_tokenizer *tokenizer, const char *path,
                                     struct loam_error *error);

#endif
