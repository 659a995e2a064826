// The words of a normalised text.
#ifndef LOAM_EVALUATE_WORDS_H
#define LOAM_EVALUATE_WORDS_H

#include <stdbool.h>

#include "base/bytes.h"

struct loam_word {
    const char *text;
    size_t size;
};

// Returns the words [*count] of a text whose words are separated by single spaces, in their order, released with
// free(). They point into the text. NULL: no memory.
struct loam_word *loam_words_split(const struct loam_bytes *text, size_t *count, struct loam_error *error);
// Orders words by size, then by their bytes; 0: they are equal.
int loam_word_compare(const struct loam_word *a, const struct loam_word *b);

#endif
