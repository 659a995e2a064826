#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "text/bpe_table.h"
#include "text/unicode.h"

enum {
    FIRST_SLOTS = 1024,
    FIRST_SEAMS = 1024, // bits
    MAX_PASSES = 32,    // one pass per level of tokens whose merges are listed in reverse order
};

// A merge by ids.
struct made {
    int32_t id; // of the merged token
    int32_t left;
    int32_t right;
};

// ---- The table of merges ----

static enum loam_status find_side(const struct loam_bpe *bpe, const char *token, size_t size, size_t rank,
                                  int32_t *id, struct loam_error *error)
{
    *id = loam_vocab_find(&bpe->vocab, token, size);
    if (*id >= 0) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_FORMAT, "model.merges[%zu]: token \"%.*s\" is not in model.vocab",
                     rank, (int)(size < 80 ? size : 80), token);
}

// Finds the merged token. Trainers number tokens in the order of the merges, so the id after the last one is
// tried before the table.
static enum loam_status find_merged(const struct loam_bpe *bpe, const struct loam_bytes *joined, size_t rank,
                                    int32_t *id, struct loam_error *error)
{
    size_t size;
    *id = rank > 0 ? bpe->merged[rank - 1] + 1 : -1;
    const char *token = loam_vocab_get(&bpe->vocab, *id, &size);
    if (token != NULL && size == joined->size && memcmp(token, joined->data, size) == 0) return LOAM_OK;
    return find_side(bpe, joined->data, joined->size, rank, id, error);
}

static enum loam_status add_merge(struct loam_bpe *bpe, const struct loam_merge_text *merge, const char *text,
                                  size_t rank, struct made *made, struct loam_bytes *joined,
                                  struct loam_error *error)
{
    int32_t left;
    int32_t right;
    int32_t id;
    LOAM_TRY(find_side(bpe, text + merge->left, merge->left_size, rank, &left, error));
    LOAM_TRY(find_side(bpe, text + merge->right, merge->right_size, rank, &right, error));
    if (merge->right_size < bpe->prefix.size)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "model.merges[%zu]: \"%.*s\" is shorter than model.continuing_subword_prefix", rank,
                         (int)merge->right_size, text + merge->right);
    loam_bytes_clear(joined);
    LOAM_TRY(loam_bytes_append(joined, text + merge->left, merge->left_size, error));
    LOAM_TRY(loam_bytes_append(joined, text + merge->right + bpe->prefix.size,
                               merge->right_size - bpe->prefix.size, error));
    LOAM_TRY(find_merged(bpe, joined, rank, &id, error));
    struct loam_merge *slot = loam_merge_find(bpe, left, right);
    if (slot == NULL)
        return loam_fail(error, LOAM_ERROR_FORMAT, "model.merges[%zu]: too many pairs share its hash", rank);
    // The last merge of a pair counts, as in `tokenizers`.
    *slot = (struct loam_merge){.left = left, .right = right, .rank = (uint32_t)rank};
    bpe->merged[rank] = id;
    *made = (struct made){.id = id, .left = left, .right = right};
    return LOAM_OK;
}

static enum loam_status build_merges(struct loam_bpe *bpe, const struct loam_merge_text *merges, size_t count,
                                     const char *text, struct made *made, struct loam_error *error)
{
    bpe->merge_slots = FIRST_SLOTS;
    while (bpe->merge_slots < count * 2)
        bpe->merge_slots *= 2;
    bpe->merges = loam_calloc(bpe->merge_slots, sizeof *bpe->merges, error);
    bpe->merged = loam_calloc(count, sizeof *bpe->merged, error);
    if (bpe->merges == NULL || bpe->merged == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < bpe->merge_slots; i++)
        bpe->merges[i].rank = LOAM_NO_RANK;
    struct loam_bytes joined = {0};
    enum loam_status status = LOAM_OK;
    for (size_t i = 0; i < count && status == LOAM_OK; i++)
        status = add_merge(bpe, &merges[i], text, i, &made[i], &joined, error);
    loam_bytes_deinit(&joined);
    return status;
}

// ---- Seams ----

// Ids of the first and last character of a token.
struct ends {
    int32_t first;
    int32_t last;
};

// Whether no merge makes unk_token or a byte token, which characters become directly.
static bool characters_are_whole(const struct loam_bpe *bpe, const struct ends *ends)
{
    if (bpe->unk >= 0 && ends[bpe->unk].first != bpe->unk) return false;
    for (int i = 0; i < 256; i++) {
        if (bpe->bytes[i] >= 0 && ends[bpe->bytes[i]].first != bpe->bytes[i]) return false;
    }
    return true;
}

// Finds the ends of every token. Repeats until nothing changes, since a merge may use the token of a later
// merge. False if the ends of a token depend on the merge that makes it.
static bool find_ends(const struct loam_bpe *bpe, const struct made *made, size_t count, struct ends *ends)
{
    for (int32_t id = 0; id < bpe->vocab.size; id++)
        ends[id] = (struct ends){id, id};
    bool changed = true;
    for (int pass = 0; changed && pass < MAX_PASSES; pass++) {
        changed = false;
        for (size_t i = 0; i < count; i++) {
            if (made[i].id == made[i].left || made[i].id == made[i].right)
                return false; // one side is an empty text
            struct ends *whole = &ends[made[i].id];
            struct ends found = {ends[made[i].left].first, ends[made[i].right].last};
            changed = changed || whole->first != found.first || whole->last != found.last;
            *whole = found;
        }
    }
    return !changed && characters_are_whole(bpe, ends);
}

// Marks for every merge that it crosses from the last character of its left side to the first of its right
// side. The parts of a word on the two sides of an unmarked pair (a seam) merge independently.
static enum loam_status build_seams(struct loam_bpe *bpe, const struct made *made, size_t count,
                                    struct loam_error *error)
{
    if (bpe->prefix.size > 0 || bpe->suffix.size > 0) return LOAM_OK; // words of such vocabularies are short
    struct ends *ends = loam_calloc((size_t)bpe->vocab.size, sizeof *ends, error);
    if (ends == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = LOAM_OK;
    if (find_ends(bpe, made, count, ends)) {
        uint64_t bits = FIRST_SEAMS;
        while (bits < count * 8)
            bits *= 2;
        bpe->seam_mask = bits - 1;
        bpe->seams = loam_calloc(bits / LOAM_SEAM_WORD, sizeof *bpe->seams, error);
        if (bpe->seams == NULL) status = LOAM_ERROR_MEMORY;
    }
    for (size_t i = 0; i < count && bpe->seams != NULL; i++) {
        uint64_t bit = loam_pair_hash(ends[made[i].left].last, ends[made[i].right].first) & bpe->seam_mask;
        bpe->seams[bit / LOAM_SEAM_WORD] |= UINT64_C(1) << bit % LOAM_SEAM_WORD;
    }
    free(ends);
    return status;
}

// ---- Build and release ----

static void find_characters(struct loam_bpe *bpe)
{
    for (int32_t i = 0; i < LOAM_BPE_DIRECT; i++) {
        char character[LOAM_UTF8_MAX];
        bpe->direct[i] = loam_vocab_find(&bpe->vocab, character, loam_utf8_encode(i, character));
    }
    for (unsigned i = 0; i < 256; i++) {
        char name[8];
        int length = snprintf(name, sizeof name, "<0x%02X>", i);
        bpe->bytes[i] = loam_vocab_find(&bpe->vocab, name, (size_t)length);
    }
    bpe->unk = bpe->has_unk ? loam_vocab_find(&bpe->vocab, bpe->unk_token.data, bpe->unk_token.size) : -1;
}

enum loam_status loam_bpe_build(struct loam_bpe *bpe, const struct loam_merge_text *merges, size_t count,
                                const char *text, struct loam_error *error)
{
    if (count >= LOAM_NO_RANK)
        return loam_fail(error, LOAM_ERROR_FORMAT, "model.merges: %zu merges are too many", count);
    find_characters(bpe);
    struct made *made = loam_calloc(count, sizeof *made, error);
    if (made == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = build_merges(bpe, merges, count, text, made, error);
    if (status == LOAM_OK) status = build_seams(bpe, made, count, error);
    free(made);
    return status;
}

void loam_bpe_deinit(struct loam_bpe *bpe)
{
    loam_vocab_deinit(&bpe->vocab);
    free(bpe->merges);
    free(bpe->merged);
    free(bpe->seams);
    loam_bytes_deinit(&bpe->prefix);
    loam_bytes_deinit(&bpe->suffix);
    loam_bytes_deinit(&bpe->unk_token);
    *bpe = (struct loam_bpe){0};
}
