// The "normalizer" and "pre_tokenizer" of tokenizer.json, as steps.
#ifndef LOAM_TEXT_NORMALIZER_H
#define LOAM_TEXT_NORMALIZER_H

#include "base/json.h"
#include "text/steps.h"

// Appends the steps of a normalizer: Prepend, Replace, NFC, NFD, NFKC, NFKD, Lowercase, Strip, ByteLevel,
// Sequence. `name` is "FILE: normalizer".
enum loam_status loam_normalizer_parse(const json_t *part, const char *name, struct loam_steps *steps,
                                       struct loam_error *error);

// Appends the steps of a pre-tokenizer: Split, ByteLevel, Metaspace, Digits, Punctuation, Whitespace,
// WhitespaceSplit, Sequence. `name` is "FILE: pre_tokenizer".
enum loam_status loam_pretokenizer_parse(const json_t *part, const char *name, struct loam_steps *steps,
                                         struct loam_error *error);

#endif
