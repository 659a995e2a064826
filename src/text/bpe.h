// Byte pair encoding: looks up the characters of a word in the vocabulary, then merges the pair of
// neighbours with the lowest rank until no pair has a merge. The rank of a merge is its index in the file.
#ifndef LOAM_TEXT_BPE_H
#define LOAM_TEXT_BPE_H

#include <stdbool.h>

#include "text/bpe_token.h"
#include "text/vocab.h"

enum { LOAM_BPE_DIRECT = 0x800 }; // characters of one or two bytes are looked up without hashing

struct loam_bpe {
    struct loam_vocab vocab;
    struct loam_merge *merges; // open addressing by the pair of ids
    size_t merge_slots;        // a power of two
    int32_t *merged;           // [rank] id of the merged token
    uint64_t *seams; // [seam_mask + 1 bits] by the hash of two characters (bpe_table.h); NULL: not known
    uint64_t seam_mask;
    int32_t direct[LOAM_BPE_DIRECT]; // [code point] id of the character; -1: none
    int32_t bytes[256];              // ids of the tokens <0x00> to <0xFF>; -1: none
    struct loam_bytes prefix;        // continuing_subword_prefix, before every character but the first
    struct loam_bytes suffix;        // end_of_word_suffix, after the last character
    struct loam_bytes unk_token;
    bool has_unk; // unk_token is given
    int32_t unk;  // id of unk_token; -1: not in the vocabulary, an error once a text needs it
    bool fuse_unk;
    bool byte_fallback;
    bool ignore_merges; // a word that is in the vocabulary becomes that token
};

// Both sides of a merge, as spans of one text. The vocabulary may follow the merges in the file.
struct loam_merge_text {
    size_t left;
    size_t left_size;
    size_t right;
    size_t right_size;
};

// Fills the tables from a complete vocabulary, prefix, suffix and unk_token. Rank i is merges[i]. A merge
// with a token that is not in the vocabulary is an error.
enum loam_status loam_bpe_build(struct loam_bpe *bpe, const struct loam_merge_text *merges, size_t count,
                                const char *text, struct loam_error *error);
void loam_bpe_deinit(struct loam_bpe *bpe);

// Unknown characters that are not yet a token: with fuse_unk neighbours become one token.
struct loam_bpe_unknown {
    bool pending;
    size_t size; // bytes
};

// Working memory of encoding, reused for every word. A zeroed struct is valid.
struct loam_bpe_work {
    const char *word;
    size_t size;
    size_t at; // byte of the next character
    struct loam_bpe_unknown unknown;
    struct loam_bpe_token *tokens; // [rest_end]
    size_t count;                  // the result: tokens[0, count)
    size_t rest_start;             // characters that are not merged yet: tokens[rest_start, rest_end)
    size_t rest_end;
    size_t capacity;
    struct loam_bpe_link *links; // neighbours of each token of a stretch
    size_t link_capacity;
    uint32_t *ranks; // rank of the pair that begins at each token
    size_t rank_capacity;
    uint64_t *heap; // [heap_count] pairs of a long stretch by rank and place
    size_t heap_count;
    size_t heap_capacity;
    struct loam_bytes key; // a character with its prefix and suffix
    // text/bpe_cache.h; NULL: none. The owner of the working memory releases it.
    struct loam_bpe_cache *cache;
};
void loam_bpe_work_deinit(struct loam_bpe_work *work);
size_t loam_bpe_work_bytes(const struct loam_bpe_work *work);

// Encodes one word (valid UTF-8, less than 4 GiB) in parts: each call of next gives some tokens in
// work->tokens[0, count), and none at the end. So the characters of a long word, which may be a whole text,
// are never all in memory. Takes n log n time in the word's length n.
void loam_bpe_begin(const char *word, size_t size, struct loam_bpe_work *work);
enum loam_status loam_bpe_next(const struct loam_bpe *bpe, struct loam_bpe_work *work,
                               struct loam_error *error);

#endif
