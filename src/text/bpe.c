#include "text/bpe.h"

#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "text/bpe_cache.h"
#include "text/bpe_table.h"
#include "text/unicode.h"

enum {
    SHORT_STRETCH = 32, // tokens; up to here a scan for the best pair is faster than a heap
    PART = 1 << 14,     // characters that are merged at a time; doubled until a seam is found
};

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

size_t loam_bpe_work_bytes(const struct loam_bpe_work *work)
{
    return work->capacity * sizeof *work->tokens + work->link_capacity * sizeof *work->links +
           work->rank_capacity * sizeof *work->ranks + work->heap_capacity * sizeof *work->heap;
}

// ---- Characters ----

static enum loam_status add_token(struct loam_bpe_work *work, int32_t id, size_t size,
                                  struct loam_error *error)
{
    if (work->rest_end == work->capacity) {
        struct loam_bpe_token *grown =
            loam_grow(work->tokens, &work->capacity, work->rest_end + 1, sizeof *work->tokens, error);
        if (grown == NULL) return LOAM_ERROR_MEMORY;
        work->tokens = grown;
    }
    work->tokens[work->rest_end++] = (struct loam_bpe_token){.id = id, .size = (uint32_t)size};
    return LOAM_OK;
}

// Gives the character as the vocabulary spells it at this place in the word. `*size` is the size of the
// character on entry and of the spelling on return.
static enum loam_status spell_character(const struct loam_bpe *bpe, const char *character, size_t *size,
                                        bool first, bool last, struct loam_bytes *key, const char **spelt,
                                        struct loam_error *error)
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

static enum loam_status add_pending_unknown(const struct loam_bpe *bpe, struct loam_bpe_work *work,
                                            struct loam_error *error)
{
    if (work->unknown.pending) LOAM_TRY(add_token(work, bpe->unk, work->unknown.size, error));
    work->unknown = (struct loam_bpe_unknown){0};
    return LOAM_OK;
}

static enum loam_status add_unknown(const struct loam_bpe *bpe, struct loam_bpe_work *work, size_t size,
                                    struct loam_error *error)
{
    if (!bpe->has_unk) return LOAM_OK; // without unk_token an unknown character is left out
    if (bpe->unk < 0)
        return loam_fail(
            error, LOAM_ERROR_FORMAT,
            "model.unk_token \"%s\" is not in model.vocab, and a character of the text is unknown",
            bpe->unk_token.data);
    if (!bpe->fuse_unk) LOAM_TRY(add_pending_unknown(bpe, work, error));
    work->unknown.pending = true;
    work->unknown.size += size;
    return LOAM_OK;
}

// Adds characters until there are `count` or the word ends.
static enum loam_status add_characters(const struct loam_bpe *bpe, size_t count, struct loam_bpe_work *work,
                                       struct loam_error *error)
{
    while (work->at < work->size && work->rest_end < count) {
        const char *character = work->word + work->at;
        size_t length = loam_utf8_length(*character);
        size_t spelt_size = length;
        const char *spelt;
        bool last = work->at + length == work->size;
        LOAM_TRY(
            spell_character(bpe, character, &spelt_size, work->at == 0, last, &work->key, &spelt, error));
        int32_t id = find_character(bpe, spelt, spelt_size);
        if (id >= 0) {
            LOAM_TRY(add_pending_unknown(bpe, work, error));
            LOAM_TRY(add_token(work, id, length, error));
        } else if (bpe->byte_fallback && has_all_bytes(bpe, spelt, spelt_size)) {
            for (size_t i = 0; i < spelt_size; i++)
                LOAM_TRY(add_token(work, bpe->bytes[(unsigned char)spelt[i]], 1, error));
        } else {
            LOAM_TRY(add_unknown(bpe, work, length, error));
        }
        work->at += length;
    }
    return work->at < work->size ? LOAM_OK : add_pending_unknown(bpe, work, error);
}

// ---- Merging ----

// A part of a word between seams, whose tokens merge only with each other.
struct stretch {
    const struct loam_bpe *bpe;
    struct loam_bpe_token *tokens; // [count]
    uint32_t count;
    struct loam_bpe_link *links; // [count]
    uint32_t *ranks;             // [count] rank of the pair that begins at the token
};

// Looks up the rank of the pair that begins at `place`.
static void rank_pair(struct stretch *stretch, uint32_t place)
{
    uint32_t next = stretch->links[place].next;
    const struct loam_merge *merge = NULL;
    if (next != NONE)
        merge = loam_merge_find(stretch->bpe, stretch->tokens[place].id, stretch->tokens[next].id);
    stretch->ranks[place] = merge == NULL ? LOAM_NO_RANK : merge->rank;
}

// Links the characters and ranks every pair.
static void link_characters(struct stretch *stretch)
{
    uint32_t last = stretch->count - 1;
    for (uint32_t i = 0; i <= last; i++) {
        stretch->links[i] =
            (struct loam_bpe_link){.previous = i == 0 ? NONE : i - 1, .next = i == last ? NONE : i + 1};
        rank_pair(stretch, i);
    }
}

// Merges the pair that begins at `place`, which must have a rank. The right token stays with size 0 and no
// rank.
static void merge_pair(struct stretch *stretch, uint32_t place)
{
    struct loam_bpe_link *link = &stretch->links[place];
    uint32_t right = link->next;
    stretch->tokens[place].id = stretch->bpe->merged[stretch->ranks[place]];
    stretch->tokens[place].size += stretch->tokens[right].size;
    stretch->tokens[right].size = 0;
    stretch->ranks[right] = LOAM_NO_RANK;
    link->next = stretch->links[right].next;
    if (link->next != NONE) stretch->links[link->next].previous = place;
    rank_pair(stretch, place);
    if (link->previous != NONE) rank_pair(stretch, link->previous);
}

// ---- Short stretches: a scan finds the best pair ----

static void merge_short(struct stretch *stretch)
{
    for (;;) {
        uint32_t best = 0;
        for (uint32_t i = 1; i < stretch->count; i++) {
            if (stretch->ranks[i] < stretch->ranks[best]) best = i;
        }
        if (stretch->ranks[best] == LOAM_NO_RANK) return;
        merge_pair(stretch, best);
    }
}

// ---- Long stretches: a heap has the best pair at the top ----

// An entry is a rank and a place: the smallest entry is the best pair, the leftmost of equal rank. An entry
// is stale if the pair at its place has another rank by now.
static uint64_t make_entry(uint32_t rank, uint32_t place)
{
    return (uint64_t)rank << 32 | place;
}

enum { CHILDREN = 4 }; // fewer levels than a binary heap, and the children share a cache line

static void sift_up(uint64_t *heap, size_t at)
{
    uint64_t moved = heap[at];
    for (; at > 0 && moved < heap[(at - 1) / CHILDREN]; at = (at - 1) / CHILDREN)
        heap[at] = heap[(at - 1) / CHILDREN];
    heap[at] = moved;
}

// The smallest of four children from `first` on. Without a loop it compiles to conditional moves, as the
// smallest child is not predictable.
static size_t find_best_child(const uint64_t *heap, size_t first)
{
    size_t left = first + (heap[first + 1] < heap[first]);
    size_t right = first + 2 + (heap[first + 3] < heap[first + 2]);
    return heap[right] < heap[left] ? right : left;
}

static void sift_down(uint64_t *heap, size_t count, size_t at)
{
    uint64_t moved = heap[at];
    for (size_t first; (first = CHILDREN * at + 1) < count;) {
        size_t best = first;
        if (first + CHILDREN <= count) {
            best = find_best_child(heap, first);
        } else {
            for (size_t child = first + 1; child < count; child++)
                best = heap[child] < heap[best] ? child : best;
        }
        if (moved <= heap[best]) break;
        heap[at] = heap[best];
        at = best;
    }
    heap[at] = moved;
}

// Appends the pair that begins at `place` if it has a rank. The caller restores the heap's order.
static enum loam_status add_entry(struct loam_bpe_work *work, const struct stretch *stretch, uint32_t place,
                                  struct loam_error *error)
{
    if (stretch->ranks[place] == LOAM_NO_RANK) return LOAM_OK;
    if (work->heap_count == work->heap_capacity) {
        uint64_t *grown =
            loam_grow(work->heap, &work->heap_capacity, work->heap_count + 1, sizeof *grown, error);
        if (grown == NULL) return LOAM_ERROR_MEMORY;
        work->heap = grown;
    }
    work->heap[work->heap_count++] = make_entry(stretch->ranks[place], place);
    return LOAM_OK;
}

static enum loam_status push_entry(struct loam_bpe_work *work, const struct stretch *stretch, uint32_t place,
                                   struct loam_error *error)
{
    size_t before = work->heap_count;
    LOAM_TRY(add_entry(work, stretch, place, error));
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

static enum loam_status merge_long(struct loam_bpe_work *work, struct stretch *stretch,
                                   struct loam_error *error)
{
    work->heap_count = 0;
    for (uint32_t i = 0; i < stretch->count; i++)
        LOAM_TRY(add_entry(work, stretch, i, error));
    for (size_t i = work->heap_count / CHILDREN + 1; i-- > 0;) {
        if (i < work->heap_count) sift_down(work->heap, work->heap_count, i);
    }
    while (work->heap_count > 0) {
        uint64_t top = pop_entry(work);
        uint32_t place = (uint32_t)top;
        if (stretch->ranks[place] != top >> 32) continue;
        merge_pair(stretch, place);
        LOAM_TRY(push_entry(work, stretch, place, error));
        uint32_t previous = stretch->links[place].previous;
        if (previous != NONE) LOAM_TRY(push_entry(work, stretch, previous, error));
    }
    return LOAM_OK;
}

// ---- A word ----

static enum loam_status reserve_links(struct loam_bpe_work *work, size_t count, struct loam_error *error)
{
    struct loam_bpe_link *links = loam_grow(work->links, &work->link_capacity, count, sizeof *links, error);
    if (links == NULL) return LOAM_ERROR_MEMORY;
    work->links = links;
    uint32_t *ranks = loam_grow(work->ranks, &work->rank_capacity, count, sizeof *ranks, error);
    if (ranks == NULL) return LOAM_ERROR_MEMORY;
    work->ranks = ranks;
    return LOAM_OK;
}

// The end of the stretch that begins at `start`: the first seam.
static size_t find_seam(const struct loam_bpe *bpe, const struct loam_bpe_work *work, size_t start)
{
    size_t end = start + 1;
    while (end < work->rest_end &&
           loam_seam_may_be_crossed(bpe, work->tokens[end - 1].id, work->tokens[end].id))
        end++;
    return end;
}

static enum loam_status merge_stretch(const struct loam_bpe *bpe, size_t start, size_t end,
                                      struct loam_bpe_work *work, struct loam_error *error)
{
    LOAM_TRY(reserve_links(work, end - start, error));
    struct stretch stretch = {.bpe = bpe,
                              .tokens = work->tokens + start,
                              .count = (uint32_t)(end - start),
                              .links = work->links,
                              .ranks = work->ranks};
    link_characters(&stretch);
    if (stretch.count > SHORT_STRETCH) return merge_long(work, &stretch, error);
    merge_short(&stretch);
    return LOAM_OK;
}

// Merges a stretch, or takes what the cache has for it.
static enum loam_status find_tokens(const struct loam_bpe *bpe, size_t start, size_t end,
                                    struct loam_bpe_work *work, struct loam_error *error)
{
    const size_t count = end - start;
    if (count == 1) return LOAM_OK;
    if (work->cache == NULL) return merge_stretch(bpe, start, end, work, error);
    if (loam_bpe_cache_merge(work->cache, work->tokens + start, count)) return LOAM_OK;
    struct loam_bpe_cached *entry = loam_bpe_cache_begin(work->cache, work->tokens + start, count);
    LOAM_TRY(merge_stretch(bpe, start, end, work, error));
    if (entry != NULL) loam_bpe_cache_complete(entry, work->tokens + start, count);
    return LOAM_OK;
}

// Merges the complete stretches. The last one is incomplete unless the word has ended.
static enum loam_status merge_part(const struct loam_bpe *bpe, struct loam_bpe_work *work,
                                   struct loam_error *error)
{
    size_t start = 0;
    while (start < work->rest_end) {
        size_t end = find_seam(bpe, work, start);
        if (end == work->rest_end && work->at < work->size) break;
        LOAM_TRY(find_tokens(bpe, start, end, work, error));
        start = end;
    }
    work->rest_start = start;
    for (size_t i = 0; i < start; i++) {
        if (work->tokens[i].size != 0) work->tokens[work->count++] = work->tokens[i];
    }
    return LOAM_OK;
}

void loam_bpe_begin(const char *word, size_t size, struct loam_bpe_work *work)
{
    work->word = word;
    work->size = size;
    work->at = 0;
    work->unknown = (struct loam_bpe_unknown){0};
    work->count = work->rest_start = work->rest_end = 0;
}

enum loam_status loam_bpe_next(const struct loam_bpe *bpe, struct loam_bpe_work *work,
                               struct loam_error *error)
{
    if (work->at == 0 && bpe->ignore_merges) {
        int32_t id = loam_vocab_find(&bpe->vocab, work->word, work->size);
        work->at = id < 0 ? 0 : work->size;
        if (id >= 0) {
            LOAM_TRY(add_token(work, id, work->size, error));
            work->count = work->rest_start = 1;
            return LOAM_OK;
        }
    }
    work->rest_end -= work->rest_start;
    if (work->rest_end > 0)
        memmove(work->tokens, work->tokens + work->rest_start, work->rest_end * sizeof *work->tokens);
    work->count = work->rest_start = 0;
    for (size_t part = PART; work->rest_start == 0; part *= 2) {
        LOAM_TRY(add_characters(bpe, part, work, error));
        LOAM_TRY(merge_part(bpe, work, error));
        if (work->at == work->size) break;
    }
    return LOAM_OK;
}
