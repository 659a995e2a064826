// A tiny byte-level tokenizer for tests of code that uses tokenizers: one token per byte, four special
// tokens, and one merge of two bytes, so that a token can lie across a boundary.
#ifndef TEST_BYTE_TOKENIZER_H
#define TEST_BYTE_TOKENIZER_H

#include "text/special.h"

enum {
    TEST_UNK = 0,            // "<unk>"
    TEST_BOS = 1,            // "<s>"
    TEST_EOS = 2,            // "</s>"
    TEST_PAD = 3,            // "<pad>"
    TEST_BYTE = 4,           // byte b is token TEST_BYTE + b
    TEST_LINE_BREAK_Z = 260, // "\nz"
    TEST_VOCABULARY = 261,
};

// Writes DIRECTORY/tokenizer.json and loads it. The post-processor adds BOS with `adds_bos` and EOS with
// `adds_eos`.
struct loam_tokenizer *test_byte_tokenizer(const char *directory, bool adds_bos, bool adds_eos);

// Special tokens with the BOS and EOS above, which only the post-processor adds.
struct loam_special_tokens test_special_tokens(bool adds_bos, bool adds_eos);

// The ids as text, with special tokens by name. Release it with free().
char *test_text_of_ids(const int32_t *ids, int32_t count);

#endif
