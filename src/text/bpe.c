#include "text/bpe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "text/grow.h"
#include "text/unicode.h"

#define NO_RANK UINT32_MAX

struct loam_merge {
    int32_t left;
    int32_t right;
    uint32_t rank; // NO_RANK: an empty slot
};

enum {
    FIRST_SLOTS = 1024,
    MAX_PROBES = 4096, // see vocab.c: no chance run is this long
    // Up to here a scan for the best pair over all of the word beats the heap.
    SHORT_WORD = 32,
};

// ---- The table of merges ----

static size_t hash_pair(int32_t left, int32_t right)
{
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    pair *= UINT64_C(0x9E3779B97F4A7C15);
    pair ^= pair >> 32;
    return (size_t)(pair * UINT64_C(0xD6E8FEB86659FD93) >> 24);
}

// The merge of the pair, else the empty slot where it belongs, else NULL when the probes run out.
static struct loam_merge *find_merge(const struct loam_bpe *bpe, int32_t left, int32_t right)
{
    size_t mask = bpe->merge_slots - 1;
    size_t at = hash_pair(left, right) & mask;
    for (int probe = 0; probe < MAX_PROBES; probe++) {
        struct loam_merge *merge = &bpe->merges[at];
        if (merge->rank == NO_RANK || (merge->left == left && merge->right == right)) return merge;
        at = (at + 1) & mask;
    }
    return NULL;
}

static uint32_t find_rank(const struct loam_bpe *bpe, int32_t left, int32_t right)
{
    const struct loam_merge *merge = find_merge(bpe, left, right);
    return merge == NULL ? NO_RANK : merge->rank;
}

static enum loam_status find_side(const struct loam_bpe *bpe, const char *token, size_t size, size_t rank,
                                  int32_t *id, struct loam_error *error)
{
    *id = loam_vocab_find(&bpe->vocab, token, size);
    if (*id >= 0) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_FORMAT, "model.merges[%zu]: token \"%.*s\" is not in model.vocab",
                     rank, (int)(size < 80 ? size : 80), token);
}

static enum loam_status add_merge(struct loam_bpe *bpe, const struct loam_merge_text *merge, const char *text,
                                  size_t rank, struct loam_bytes *joined, struct loam_error *error)
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
    LOAM_TRY(find_side(bpe, joined->data, joined->size, rank, &id, error));
    struct loam_merge *slot = find_merge(bpe, left, right);
    if (slot == NULL)
        return loam_fail(error, LOAM_ERROR_FORMAT, "model.merges[%zu]: too many pairs share its hash", rank);
    // Of a pair that is listed twice the last one counts, as it does for `tokenizers`.
    *slot = (struct loam_merge){.left = left, .right = right, .rank = (uint32_t)rank};
    bpe->merged[rank] = id;
    return LOAM_OK;
}

static enum loam_status build_merges(struct loam_bpe *bpe, const struct loam_merge_text *merges, size_t count,
                                     const char *text, struct loam_error *error)
{
    if (count >= NO_RANK) return loam_fail(error, LOAM_ERROR_FORMAT, "model.merges: %zu are too many", count);
    bpe->merge_slots = FIRST_SLOTS;
    while (bpe->merge_slots < count * 2)
        bpe->merge_slots *= 2;
    bpe->merges = loam_calloc(bpe->merge_slots, sizeof *bpe->merges, error);
    bpe->merged = loam_calloc(count, sizeof *bpe->merged, error);
    if (bpe->merges == NULL || bpe->merged == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < bpe->merge_slots; i++)
        bpe->merges[i].rank = NO_RANK;
    struct loam_bytes joined = {0};
    enum loam_status status = LOAM_OK;
    for (size_t i = 0; i < count && status == LOAM_OK; i++)
        status = add_merge(bpe, &merges[i], text, i, &joined, error);
    loam_bytes_deinit(&joined);
    return status;
}

// ---- Building ----

enum loam_status loam_bpe_build(struct loam_bpe *bpe, const struct loam_merge_text *merges, size_t count,
                                const char *text, struct loam_error *error)
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
    return build_merges(bpe, merges, count, text, error);
}

void loam_bpe_deinit(struct loam_bpe *bpe)
{
    loam_vocab_deinit(&bpe->vocab);
    free(bpe->merges);
    free(bpe->merged);
    loam_bytes_deinit(&bpe->prefix);
    loam_bytes_deinit(&bpe->suffix);
    loam_bytes_deinit(&bpe->unk_token);
    *bpe = (struct loam_bpe){0};
}

struct loam_bpe_link {
    uint32_t previous; // NONE at the ends
    uint32_t next;
};
#define NONE UINT32_MAX

void loam_bpe_work_deinit(struct loam_bpe_work *work)
{
    free(work->tokens);
    free(work->links);
    free(work->ranks);
    free(work->heap);
    loam_bytes_deinit(&work->key);
    *work = (struct loam_bpe_work){0};
}

// ---- Characters ----

static enum loam_status add_token(struct loam_bpe_work *work, int32_t id, size_t size,
                                  struct loam_error *error)
{
    if (work->count == work->capacity) {
        struct loam_bpe_token *grown =
            loam_grow(work->tokens, &work->capacity, work->count + 1, sizeof *work->tokens, error);
        if (grown == NULL) return LOAM_ERROR_MEMORY;
        work->tokens = grown;
    }
    work->tokens[work->count++] = (struct loam_bpe_token){.id = id, .size = (uint32_t)size};
    return LOAM_OK;
}

// The character as the vocabulary spells it at this place in the word; `*size` comes in as its bare length.
static enum loam_status spell(const struct loam_bpe *bpe, const char *character, size_t *size, bool first,
                              bool last, struct loam_bytes *key, const char **spelt, struct loam_error *error)
{
    bool prefixed = !first && bpe->prefix.size > 0;
    bool suffixed = last && bpe->suffix.size > 0;
    *spelt = character;
    if (!prefixed && !suffixed) return LOAM_OK;
    loam_bytes_clear(key);
    if (prefixed) LOAM_TRY(loam_bytes_append(key, bpe->prefix.data, bpe->prefix.size, error));
    LOAM_TRY(loam_bytes_append(key, character, *size, error));
    if (suffixed) LOAM_TRY(loam_bytes_append(key, bpe->suffix.data, bpe->suffix.size, error));
    *spelt = key->data;
    *size = key->size;
    return LOAM_OK;
}

static int32_t find_character(const struct loam_bpe *bpe, const char *spelt, size_t size)
{
    if (size <= 2) {
        size_t length;
        int32_t code_point = loam_utf8_decode(spelt, &length);
        if (length == size) return bpe->direct[code_point];
    }
    return loam_vocab_find(&bpe->vocab, spelt, size);
}

static bool has_all_bytes(const struct loam_bpe *bpe, const char *spelt, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bpe->bytes[(unsigned char)spelt[i]] < 0) return false;
    }
    return true;
}

// Unknown characters on hold: with fuse_unk they become one token.
struct unknown {
    bool held;
    size_t size;
};

static enum loam_status release_unknown(const struct loam_bpe *bpe, struct loam_bpe_work *work,
                                        struct unknown *unknown, struct loam_error *error)
{
    if (unknown->held) LOAM_TRY(add_token(work, bpe->unk, unknown->size, error));
    *unknown = (struct unknown){0};
    return LOAM_OK;
}

static enum loam_status add_unknown(const struct loam_bpe *bpe, struct loam_bpe_work *work,
                                    struct unknown *unknown, size_t size, struct loam_error *error)
{
    if (!bpe->has_unk) return LOAM_OK; // without a token for it an unknown character vanishes
    if (bpe->unk < 0)
        return loam_fail(
            error, LOAM_ERROR_FORMAT,
            "model.unk_token \"%s\" is not in model.vocab, and a character of the text is unknown",
            bpe->unk_token.data);
    if (!bpe->fuse_unk) LOAM_TRY(release_unknown(bpe, work, unknown, error));
    unknown->held = true;
    unknown->size += size;
    return LOAM_OK;
}

static enum loam_status add_characters(const struct loam_bpe *bpe, const char *word, size_t size,
                                       struct loam_bpe_work *work, struct loam_error *error)
{
    struct unknown unknown = {0};
    for (size_t at = 0; at < size;) {
        size_t length = loam_utf8_length(word[at]);
        size_t spelt_size = length;
        const char *spelt;
        LOAM_TRY(spell(bpe, word + at, &spelt_size, at == 0, at + length == size, &work->key, &spelt, error));
        int32_t id = find_character(bpe, spelt, spelt_size);
        if (id >= 0) {
            LOAM_TRY(release_unknown(bpe, work, &unknown, error));
            LOAM_TRY(add_token(work, id, length, error));
        } else if (bpe->byte_fallback && has_all_bytes(bpe, spelt, spelt_size)) {
            for (size_t i = 0; i < spelt_size; i++)
                LOAM_TRY(add_token(work, bpe->bytes[(unsigned char)spelt[i]], 1, error));
        } else {
            LOAM_TRY(add_unknown(bpe, work, &unknown, length, error));
        }
        at += length;
    }
    return release_unknown(bpe, work, &unknown, error);
}

// ---- Merging ----

// Looks up the pair that begins at `place`.
static void rank_pair(const struct loam_bpe *bpe, struct loam_bpe_work *work, uint32_t place)
{
    uint32_t next = work->links[place].next;
    work->ranks[place] =
        next == NONE ? NO_RANK : find_rank(bpe, work->tokens[place].id, work->tokens[next].id);
}

// Links the characters of the word and ranks every pair.
static enum loam_status start_merging(const struct loam_bpe *bpe, struct loam_bpe_work *work,
                                      struct loam_error *error)
{
    struct loam_bpe_link *links =
        loam_grow(work->links, &work->link_capacity, work->count, sizeof *links, error);
    if (links == NULL) return LOAM_ERROR_MEMORY;
    work->links = links;
    uint32_t *ranks = loam_grow(work->ranks, &work->rank_capacity, work->count, sizeof *ranks, error);
    if (ranks == NULL) return LOAM_ERROR_MEMORY;
    work->ranks = ranks;
    uint32_t count = (uint32_t)work->count;
    for (uint32_t i = 0; i < count; i++) {
        links[i] =
            (struct loam_bpe_link){.previous = i == 0 ? NONE : i - 1, .next = i + 1 < count ? i + 1 : NONE};
        rank_pair(bpe, work, i);
    }
    return LOAM_OK;
}

// Merges the pair that begins at `place`, which has a rank. The right token stays behind with size 0 and no
// rank.
static void join(const struct loam_bpe *bpe, struct loam_bpe_work *work, uint32_t place)
{
    struct loam_bpe_link *link = &work->links[place];
    uint32_t right = link->next;
    work->tokens[place].id = bpe->merged[work->ranks[place]];
    work->tokens[place].size += work->tokens[right].size;
    work->tokens[right].size = 0;
    work->ranks[right] = NO_RANK;
    link->next = work->links[right].next;
    if (link->next != NONE) work->links[link->next].previous = place;
    rank_pair(bpe, work, place);
    if (link->previous != NONE) rank_pair(bpe, work, link->previous);
}

static void drop_merged(struct loam_bpe_work *work)
{
    size_t kept = 0;
    for (size_t i = 0; i < work->count; i++) {
        if (work->tokens[i].size != 0) work->tokens[kept++] = work->tokens[i];
    }
    work->count = kept;
}

// ---- A short word: the best pair is found by looking at all of them ----

static void merge_short(const struct loam_bpe *bpe, struct loam_bpe_work *work)
{
    for (;;) {
        uint32_t best = 0;
        for (uint32_t i = 1; i < work->count; i++) {
            if (work->ranks[i] < work->ranks[best]) best = i;
        }
        if (work->ranks[best] == NO_RANK) return;
        join(bpe, work, best);
    }
}

// ---- A long word: the best pair is at the top of a heap ----

// An entry is a rank and a place, so that the smallest is the best, and of equals the leftmost. It is stale
// when the pair at its place has another rank by now.
static uint64_t make_entry(uint32_t rank, uint32_t place)
{
    return (uint64_t)rank << 32 | place;
}

enum { CHILDREN = 4 }; // wider than a binary heap: fewer levels, and the children share a cache line

static void sift_up(uint64_t *heap, size_t at)
{
    uint64_t moved = heap[at];
    for (; at > 0 && moved < heap[(at - 1) / CHILDREN]; at = (at - 1) / CHILDREN)
        heap[at] = heap[(at - 1) / CHILDREN];
    heap[at] = moved;
}

static void sift_down(uint64_t *heap, size_t count, size_t at)
{
    uint64_t moved = heap[at];
    for (size_t first; (first = CHILDREN * at + 1) < count;) {
        size_t end = first + CHILDREN < count ? first + CHILDREN : count;
        size_t best = first;
        for (size_t child = first + 1; child < end; child++)
            best = heap[child] < heap[best] ? child : best;
        if (moved <= heap[best]) break;
        heap[at] = heap[best];
        at = best;
    }
    heap[at] = moved;
}

// Appends the pair that begins at `place` when it has a rank; the caller restores the heap's order.
static enum loam_status add_entry(struct loam_bpe_work *work, uint32_t place, struct loam_error *error)
{
    if (work->ranks[place] == NO_RANK) return LOAM_OK;
    if (work->heap_count == work->heap_capacity) {
        uint64_t *grown =
            loam_grow(work->heap, &work->heap_capacity, work->heap_count + 1, sizeof *grown, error);
        if (grown == NULL) return LOAM_ERROR_MEMORY;
        work->heap = grown;
    }
    work->heap[work->heap_count++] = make_entry(work->ranks[place], place);
    return LOAM_OK;
}

static enum loam_status push_entry(struct loam_bpe_work *work, uint32_t place, struct loam_error *error)
{
    size_t before = work->heap_count;
    LOAM_TRY(add_entry(work, place, error));
    if (work->heap_count > before) sift_up(work->heap, before);
    return LOAM_OK;
}

static uint64_t pop_entry(struct loam_bpe_work *work)
{
    uint64_t top = work->heap[0];
    work->heap[0] = work->heap[--work->heap_count];
    if (work->heap_count > 0) sift_down(work->heap, work->heap_count, 0);
    return top;
}

static enum loam_status merge_long(const struct loam_bpe *bpe, struct loam_bpe_work *work,
                                   struct loam_error *error)
{
    work->heap_count = 0;
    for (uint32_t i = 0; i < work->count; i++)
        LOAM_TRY(add_entry(work, i, error));
    for (size_t i = work->heap_count / CHILDREN + 1; i-- > 0;)
        if (i < work->heap_count) sift_down(work->heap, work->heap_count, i);
    while (work->heap_count > 0) {
        uint64_t top = pop_entry(work);
        uint32_t place = (uint32_t)top;
        if (work->ranks[place] != top >> 32) continue;
        join(bpe, work, place);
        LOAM_TRY(push_entry(work, place, error));
        uint32_t previous = work->links[place].previous;
        if (previous != NONE) LOAM_TRY(push_entry(work, previous, error));
    }
    return LOAM_OK;
}

enum loam_status loam_bpe_encode(const struct loam_bpe *bpe, const char *word, size_t size,
                                 struct loam_bpe_work *work, struct loam_error *error)
{
    work->count = 0;
    if (bpe->ignore_merges) {
        int32_t id = loam_vocab_find(&bpe->vocab, word, size);
        if (id >= 0) return add_token(work, id, size, error);
    }
    LOAM_TRY(add_characters(bpe, word, size, work, error));
    if (work->count < 2) return LOAM_OK;
    LOAM_TRY(start_merging(bpe, work, error));
    if (work->count <= SHORT_WORD)
        merge_short(bpe, work);
    else
        LOAM_TRY(merge_long(bpe, work, error));
    drop_merged(work);
    return LOAM_OK;
}
