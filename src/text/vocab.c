#include "text/vocab.h"

#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "base/hash.h"
#include "base/heap.h"

struct loam_vocab_slot {
    uint32_t hash;
    int32_t id; // -1: empty
};

enum {
    FIRST_SLOTS = 1024,
    // In a half-full table so many probes do not happen by chance: the tokens were chosen to collide, and a
    // full search for each would take hours.
    MAX_PROBES = 4096,
};

void loam_vocab_deinit(struct loam_vocab *vocab)
{
    loam_bytes_deinit(&vocab->text);
    free(vocab->tokens);
    free(vocab->slots);
    *vocab = (struct loam_vocab){0};
}

// The slot of the token, or the empty slot for it; `slot_count`: no slot within MAX_PROBES.
static size_t find_slot(const struct loam_vocab *vocab, const char *token, size_t size, uint32_t hash)
{
    size_t mask = vocab->slot_count - 1;
    size_t at = hash & mask;
    for (int probe = 0; probe < MAX_PROBES; probe++) {
        const struct loam_vocab_slot *slot = &vocab->slots[at];
        if (slot->id < 0) return at;
        if (slot->hash == hash) {
            const struct loam_vocab_token *found = &vocab->tokens[slot->id];
            if (found->size == size && memcmp(vocab->text.data + found->offset, token, size) == 0) return at;
        }
        at = (at + 1) & mask;
    }
    return vocab->slot_count;
}

static enum loam_status rehash(struct loam_vocab *vocab, size_t slot_count, struct loam_error *error)
{
    struct loam_vocab_slot *slots = loam_calloc(slot_count, sizeof *slots, error);
    if (slots == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < slot_count; i++)
        slots[i].id = -1;
    for (size_t i = 0; i < vocab->slot_count; i++) {
        if (vocab->slots[i].id < 0) continue;
        size_t at = vocab->slots[i].hash & (slot_count - 1);
        while (slots[at].id >= 0)
            at = (at + 1) & (slot_count - 1);
        slots[at] = vocab->slots[i];
    }
    free(vocab->slots);
    vocab->slots = slots;
    vocab->slot_count = slot_count;
    return LOAM_OK;
}

static enum loam_status grow_table(struct loam_vocab *vocab, int32_t id, struct loam_error *error)
{
    struct loam_vocab_token *grown =
        loam_grow(vocab->tokens, &vocab->capacity, (size_t)id + 1, sizeof *vocab->tokens, error);
    if (grown == NULL) return LOAM_ERROR_MEMORY;
    vocab->tokens = grown;
    for (; vocab->size <= id; vocab->size++)
        vocab->tokens[vocab->size] = (struct loam_vocab_token){.size = LOAM_VOCAB_HOLE};
    return LOAM_OK;
}

enum loam_status loam_vocab_add(struct loam_vocab *vocab, const char *token, size_t size, int64_t id,
                                struct loam_error *error)
{
    int shown = (int)(size < 80 ? size : 80);
    if (id < 0 || id >= LOAM_MAX_VOCABULARY || size >= LOAM_VOCAB_HOLE)
        return loam_fail(error, LOAM_ERROR_FORMAT, "token \"%.*s\" has id %lld, expected 0 to %d", shown,
                         token, (long long)id, LOAM_MAX_VOCABULARY - 1);
    if (vocab->count * 2 >= vocab->slot_count)
        LOAM_TRY(rehash(vocab, vocab->slot_count == 0 ? FIRST_SLOTS : vocab->slot_count * 2, error));
    uint32_t hash = loam_hash_bytes(token, size);
    size_t slot = find_slot(vocab, token, size, hash);
    if (slot == vocab->slot_count)
        return loam_fail(error, LOAM_ERROR_FORMAT, "token \"%.*s\": too many tokens share its hash", shown,
                         token);
    if (vocab->slots[slot].id >= 0)
        return loam_fail(error, LOAM_ERROR_FORMAT, "token \"%.*s\" occurs twice, with ids %d and %lld", shown,
                         token, (int)vocab->slots[slot].id, (long long)id);
    size_t other;
    const char *holder = loam_vocab_get(vocab, (int32_t)id, &other);
    if (holder != NULL)
        return loam_fail(error, LOAM_ERROR_FORMAT, "tokens \"%.80s\" and \"%.*s\" both have id %lld", holder,
                         shown, token, (long long)id);

    size_t offset = vocab->text.size;
    LOAM_TRY(loam_bytes_append(&vocab->text, token, size, error));
    LOAM_TRY(loam_bytes_append(&vocab->text, "", 1, error));
    LOAM_TRY(grow_table(vocab, (int32_t)id, error));
    vocab->tokens[id] = (struct loam_vocab_token){.offset = offset, .size = (uint32_t)size};
    vocab->slots[slot] = (struct loam_vocab_slot){.hash = hash, .id = (int32_t)id};
    vocab->count++;
    return LOAM_OK;
}

int32_t loam_vocab_find(const struct loam_vocab *vocab, const char *token, size_t size)
{
    if (vocab->slot_count == 0) return -1;
    size_t slot = find_slot(vocab, token, size, loam_hash_bytes(token, size));
    return slot == vocab->slot_count ? -1 : vocab->slots[slot].id;
}

const char *loam_vocab_get(const struct loam_vocab *vocab, int32_t id, size_t *size)
{
    if (id < 0 || id >= vocab->size || vocab->tokens[id].size == LOAM_VOCAB_HOLE) return NULL;
    *size = vocab->tokens[id].size;
    return vocab->text.data + vocab->tokens[id].offset;
}
