// A tokenizer for targets that parse other files: it has a few letters, and everything else is unknown.
#ifndef LOAM_TESTS_FUZZ_SMALL_TOKENIZER_H
#define LOAM_TESTS_FUZZ_SMALL_TOKENIZER_H

#include "text/tokenizer.h"

enum { SMALL_BOS = 1, SMALL_EOS = 2, SMALL_VOCABULARY = 8 };

// Created at the first call and destroyed at exit.
const struct loam_tokenizer *small_tokenizer(void);

#endif
