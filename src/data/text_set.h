// Sets of texts, as 64-bit hashes: whether a text was there before, and where.
#ifndef LOAM_DATA_TEXT_SET_H
#define LOAM_DATA_TEXT_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

// FNV-1a with a final mix. Two different texts of a set of a million share a hash with a probability of 3e-8.
uint64_t loam_text_hash(const char *text, size_t size);
// The hash of the text in lower case, with each run of white space as one space and none at the ends. The
// text is valid UTF-8.
uint64_t loam_text_hash_normalized(const char *text, size_t size);

struct loam_text_entry {
    uint64_t hash;
    size_t value; // 0: the entry is free
};

// A zeroed struct is a valid empty set.
struct loam_text_set {
    struct loam_text_entry *entries; // [capacity], a power of two
    size_t capacity;
    size_t count;
};
void loam_text_set_deinit(struct loam_text_set *set);

// Adds a hash with the index of its text. `*earlier` is the index that the hash was added with before, else
// SIZE_MAX; the set keeps the earlier one.
enum loam_status loam_text_set_add(struct loam_text_set *set, uint64_t hash, size_t index, size_t *earlier,
                                   struct loam_error *error);
// The index of the hash; SIZE_MAX: the set does not have it.
size_t loam_text_set_find(const struct loam_text_set *set, uint64_t hash);

#endif
