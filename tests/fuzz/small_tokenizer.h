// A tokenizer for targets that need one beside what they parse: a few letters, everything else is unknown.
#ifndef LOAM_TESTS_FUZZ_SMALL_TOKENIZER_H
#define LOAM_TESTS_FUZZ_SMALL_TOKENIZER_H

#include "text/tokenizer.h"

enum { SMALL_BOS = 1, SMALL_EOS = 2, SMALL_VOCABULARY = 8 };

// Made once for the process and destroyed at its exit.
const struct loam_tokenizer *small_tokenizer(void);

#endif
