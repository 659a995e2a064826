#ifndef LOAM_TEXT_BPE_TOKEN_H
#define LOAM_TEXT_BPE_TOKEN_H

#include <stdint.h>

// One token of a word and the number of the word's bytes that it covers.
struct loam_bpe_token {
    int32_t id;
    uint32_t size;
};

#endif
