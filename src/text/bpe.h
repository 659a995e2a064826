// Byte pair encoding: a word's characters are looked up in the vocabulary, then the pair of neighbours whose
// merge was learnt first is replaced by its merge, until no pair is left that has one.
#ifndef LOAM_TEXT_BPE_H
#define LOAM_TEXT_BPE_H

#include <stdbool.h>

#include "text/vocab.h"

enum { LOAM_BPE_DIRECT = 0x800 }; // characters of one or two bytes are found without hashing

struct loam_bpe {
    struct loam_vocab vocab;
    struct loam_merge *merges; // open addressing by the pair of ids
    size_t merge_slots;        // a power of two
    int32_t *merged;           // [rank]: the token that the merge makes
    uint64_t
        *seams; // [seam_mask + 1 bits] by the hash of two characters; NULL: not known for this vocabulary
    uint64_t seam_mask;
    int32_t direct[LOAM_BPE_DIRECT]; // [code point]: the token that is this character, -1: none
    int32_t bytes[256];              // the tokens <0x00> to <0xFF>, -1: none
    struct loam_bytes prefix;        // continuing_subword_prefix, before every character but the first
    struct loam_bytes suffix;        // end_of_word_suffix, after the last character
    struct loam_bytes unk_token;
    bool has_unk; // unk_token is given
    int32_t unk;  // its id; -1: not in the vocabulary, which is an error only where it is needed
    bool fuse_unk;
    bool byte_fallback;
    bool ignore_merges; // a word that is a token as a whole stays whole
};

// Both sides of a merge as offsets into one text, kept until the vocabulary is complete.
struct loam_merge_text {
    size_t left;
    size_t left_size;
    size_t right;
    size_t right_size;
};

// Fills the tables from a complete vocabulary, prefix, suffix and unk_token; rank i is merges[i]. A merge of
// tokens that the vocabulary lacks is an error.
enum loam_status loam_bpe_build(struct loam_bpe *bpe, const struct loam_merge_text *merges, size_t count,
                                const char *text, struct loam_error *error);
void loam_bpe_deinit(struct loam_bpe *bpe);

// One token of a word and how many bytes of it it covers.
struct loam_bpe_token {
    int32_t id;
    uint32_t size;
};

// Unknown characters on hold: with fuse_unk they become one token.
struct loam_bpe_unknown {
    bool held;
    size_t size;
};

// What encoding works in, kept from word to word. A zeroed struct is valid.
struct loam_bpe_work {
    const char *word;
    size_t size;
    size_t at; // the characters before are tokens
    struct loam_bpe_unknown unknown;
    struct loam_bpe_token *tokens; // [rest_end]
    size_t count;                  // the result: tokens[0, count)
    size_t rest_start;             // characters of the next part: tokens[rest_start, rest_end)
    size_t rest_end;
    size_t capacity;
    struct loam_bpe_link *links; // neighbours, while the tokens of a stretch are merged
    size_t link_capacity;
    uint32_t *ranks; // of the pair that begins here
    size_t rank_capacity;
    uint64_t *heap; // [heap_count] pairs by rank and place, of a long word
    size_t heap_count;
    size_t heap_capacity;
    struct loam_bytes key; // a character with its prefix and suffix
};
void loam_bpe_work_deinit(struct loam_bpe_work *work);
size_t loam_bpe_work_bytes(const struct loam_bpe_work *work);

// Encodes one word (valid UTF-8, less than 4 GiB) by parts, so that a long one, which may be a whole text,
// need not be in memory as characters: each call of next gives some tokens in work->tokens[0, count), and
// none at the end. n log n in its length.
void loam_bpe_begin(const char *word, size_t size, struct loam_bpe_work *work);
enum loam_status loam_bpe_next(const struct loam_bpe *bpe, struct loam_bpe_work *work,
                               struct loam_error *error);

#endif
