// Finds the name that a mistyped one was probably meant to be.
#ifndef LOAM_OPTIONS_NEAREST_H
#define LOAM_OPTIONS_NEAREST_H

#include <stddef.h>

struct loam_nearest {
    const char *name; // as typed
    const char *best; // nearest candidate so far; NULL: none is near enough
    size_t distance;  // edits between `name` and `best`; candidates at this distance or beyond are ignored
};

void loam_nearest_init(struct loam_nearest *nearest, const char *name);
// `candidate` must outlive the search. NULL is ignored.
void loam_nearest_offer(struct loam_nearest *nearest, const char *candidate);

#endif
