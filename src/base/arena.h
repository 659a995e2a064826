// Bump arenas: persistent memory taken once, handed out in order, given back by mark and release.
// The same code sizes an arena and uses it: a counting arena hands out addresses that must not be read or
// written and only remembers the peak, so that a dry run of a step tells the bytes that the real one needs.
#ifndef LOAM_BASE_ARENA_H
#define LOAM_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

enum { LOAM_ARENA_ALIGN = 64 }; // bytes, a cache line: what an arena aligns to unless it is told otherwise

struct loam_arena {
    char *base;      // first byte; for a counting arena an address that is never dereferenced
    size_t align;    // bytes, a power of two; every allocation starts at a multiple
    size_t capacity; // bytes; SIZE_MAX for a counting arena
    size_t used;     // bytes
    size_t peak;     // the most bytes that were ever in use
    bool counting;
    bool exhausted; // an allocation did not fit: sticky, so that a step checks once at its end
};

void loam_arena_init_counting(struct loam_arena *arena, size_t align);
// Takes `capacity` bytes of zeroed anonymous memory, huge pages advised; faults them in now when `populate`.
enum loam_status loam_arena_init(struct loam_arena *arena, size_t capacity, bool populate,
                                 struct loam_error *error);
// A counting arena with the capacity and alignment that a real one of `capacity` bytes would have.
enum loam_status loam_arena_init_planned(struct loam_arena *arena, size_t capacity, struct loam_error *error);
void loam_arena_deinit(struct loam_arena *arena);

// Makes the memory read-only until deinit: a stray write to what must not change is a fault, not a silent
// error.
enum loam_status loam_arena_protect(const struct loam_arena *arena, struct loam_error *error);

// `bytes` bytes, aligned, contents undefined; NULL (and `exhausted` set) when it does not fit.
void *loam_arena_alloc(struct loam_arena *arena, size_t bytes);

// Stack discipline: what was allocated after a mark is given back by a release to it.
size_t loam_arena_mark(const struct loam_arena *arena);
void loam_arena_release(struct loam_arena *arena, size_t mark);

#endif
