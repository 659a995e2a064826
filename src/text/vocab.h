// A vocabulary: from tokens to ids and from ids to tokens.
#ifndef LOAM_TEXT_VOCAB_H
#define LOAM_TEXT_VOCAB_H

#include <stdint.h>

#include "base/bytes.h"

enum {
    LOAM_MAX_VOCABULARY = 1 << 22, // bound of ids, so that a malicious file cannot ask for huge tables
};

struct loam_vocab_token {
    size_t offset; // into `text`
    uint32_t size; // bytes; LOAM_VOCAB_HOLE: no token has this id
};
#define LOAM_VOCAB_HOLE UINT32_MAX

struct loam_vocab {
    struct loam_bytes text;          // all tokens, each followed by a NUL
    struct loam_vocab_token *tokens; // [size], by id
    size_t capacity;
    int32_t size;                  // largest id + 1
    size_t count;                  // number of tokens
    struct loam_vocab_slot *slots; // open addressing, at most half full
    size_t slot_count;             // a power of two
};

// A zeroed struct is a valid empty vocabulary.
void loam_vocab_deinit(struct loam_vocab *vocab);

// A token or id that is already in the vocabulary, or an id outside [0, LOAM_MAX_VOCABULARY), is an error.
enum loam_status loam_vocab_add(struct loam_vocab *vocab, const char *token, size_t size, int64_t id,
                                struct loam_error *error);

int32_t loam_vocab_find(const struct loam_vocab *vocab, const char *token, size_t size); // -1: no such token
// The token of an id, NUL-terminated; NULL: no such id.
const char *loam_vocab_get(const struct loam_vocab *vocab, int32_t id, size_t *size);

#endif
