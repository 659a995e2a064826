// Lookup of merges and seams, shared by bpe_build.c, which builds the tables, and bpe.c, which encodes.
#ifndef LOAM_TEXT_BPE_TABLE_H
#define LOAM_TEXT_BPE_TABLE_H

#include "text/bpe.h"

#define LOAM_NO_RANK UINT32_MAX

struct loam_merge {
    int32_t left;
    int32_t right;
    uint32_t rank; // LOAM_NO_RANK: an empty slot
};

enum {
    LOAM_MERGE_PROBES = 4096, // more probes mean keys that were chosen to collide (MAX_PROBES in vocab.c)
    LOAM_SEAM_WORD = 64,      // bits
};

static inline uint64_t loam_pair_hash(int32_t left, int32_t right)
{
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    pair *= UINT64_C(0x9E3779B97F4A7C15);
    pair ^= pair >> 32;
    return pair * UINT64_C(0xD6E8FEB86659FD93) >> 24;
}

// The merge of the pair, or the empty slot for it; NULL: no slot within LOAM_MERGE_PROBES.
static inline struct loam_merge *loam_merge_find(const struct loam_bpe *bpe, int32_t left, int32_t right)
{
    size_t mask = bpe->merge_slots - 1;
    size_t at = loam_pair_hash(left, right) & mask;
    for (int probe = 0; probe < LOAM_MERGE_PROBES; probe++) {
        struct loam_merge *merge = &bpe->merges[at];
        if (merge->rank == LOAM_NO_RANK || (merge->left == left && merge->right == right)) return merge;
        at = (at + 1) & mask;
    }
    return NULL;
}

// A seam is a place between two characters of a word that no merge crosses. Returns whether a merge may
// cross from `left` to `right`. True for some pairs without such a merge (equal hashes, or a vocabulary
// without a table of seams): this costs time only.
static inline bool loam_seam_may_be_crossed(const struct loam_bpe *bpe, int32_t left, int32_t right)
{
    if (bpe->seams == NULL) return true;
    uint64_t bit = loam_pair_hash(left, right) & bpe->seam_mask;
    return bpe->seams[bit / LOAM_SEAM_WORD] >> bit % LOAM_SEAM_WORD & 1;
}

#endif
