// Searches with the expressions that pre-tokenizers use most: alternatives that are sequences of characters and classes,
// each maybe repeated, such as " ?\p{L}+|\s+(?!\S)|\s+". Oniguruma has the same matches, but allocates and copies several
// kilobytes for each of them.
#ifndef LOAM_TEXT_SCANNER_H
#define LOAM_TEXT_SCANNER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

struct loam_scanner;

// Reads an expression in Oniguruma's syntax. `*out` is NULL for one of another form, or one that is malformed.
enum loam_status loam_scanner_create(struct loam_scanner **out, const char *text, size_t size,
                                     struct loam_error *error);
void loam_scanner_destroy(struct loam_scanner *scanner);

// Finds the first match in bytes [*start, size) of valid UTF-8. A match is never empty. Each character that is looked at
// takes one of `*steps`; false with 0 steps: there were too few.
bool loam_scanner_find(const struct loam_scanner *scanner, const char *text, size_t size, size_t *start,
                       size_t *end, size_t *steps);

#endif
