// What a mistyped name was meant to be.
#ifndef LOAM_OPTIONS_NEAREST_H
#define LOAM_OPTIONS_NEAREST_H

#include <stddef.h>

// The nearest candidate so far.
struct loam_nearest {
    const char *name; // what was typed
    const char *best; // NULL: nothing near enough
    size_t distance;
};

void loam_nearest_init(struct loam_nearest *nearest, const char *name);
// `candidate` must outlive the search; NULL is no candidate.
void loam_nearest_offer(struct loam_nearest *nearest, const char *candidate);

#endif
