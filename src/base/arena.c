#include "base/arena.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/heap.h"

enum { HUGE_PAGE = 2 << 20 };

void loam_arena_init_counting(struct loam_arena *arena, size_t align)
{
    *arena = (struct loam_arena){
        .base = (char *)(uintptr_t)align, // aligned as a real one would be, and not NULL
        .align = align,
        .capacity = SIZE_MAX,
        .counting = true,
    };
}

// Writes to one byte a page, so that the pages are there before the first step asks for them.
static void fault_in(char *base, size_t size, size_t page)
{
    for (size_t i = 0; i < size; i += page)
        ((volatile char *)base)[i] = 0;
}

// Bytes of the pages that hold `capacity` bytes; false when there is no such number with a huge page to
// spare.
static bool whole_pages(size_t capacity, size_t *size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), with_slack;
    if (!loam_add_size(capacity == 0 ? 1 : capacity, page - 1, size)) return false;
    *size -= *size % page;
    return loam_add_size(*size, HUGE_PAGE, &with_slack);
}

static enum loam_status fail_size(size_t capacity, struct loam_error *error)
{
    return loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: %zu bytes in one piece", capacity);
}

enum loam_status loam_arena_init_planned(struct loam_arena *arena, size_t capacity, struct loam_error *error)
{
    loam_arena_init_counting(arena, LOAM_ARENA_ALIGN);
    return whole_pages(capacity, &arena->capacity) ? LOAM_OK : fail_size(capacity, error);
}

enum loam_status loam_arena_init(struct loam_arena *arena, size_t capacity, bool populate,
                                 struct loam_error *error)
{
    *arena = (struct loam_arena){0};
    size_t size;
    if (!whole_pages(capacity, &size)) return fail_size(capacity, error);
    // Slack of one huge page, so that the base can be aligned to one; what is not used goes back at once.
    size_t mapped = size + HUGE_PAGE;
    char *start = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED)
        return loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: %zu bytes in one piece: %s", capacity,
                         strerror(errno));
    size_t before = (HUGE_PAGE - (uintptr_t)start % HUGE_PAGE) % HUGE_PAGE;
    if (before > 0) munmap(start, before);
    if (HUGE_PAGE - before > 0) munmap(start + before + size, HUGE_PAGE - before);
    arena->base = start + before;
    arena->align = LOAM_ARENA_ALIGN;
    arena->capacity = size;
    (void)madvise(arena->base, size, MADV_HUGEPAGE); // advice: a kernel without huge pages is only slower
    if (populate) fault_in(arena->base, size, (size_t)sysconf(_SC_PAGESIZE));
    return LOAM_OK;
}

void loam_arena_deinit(struct loam_arena *arena)
{
    if (!arena->counting && arena->base != NULL) munmap(arena->base, arena->capacity);
    *arena = (struct loam_arena){0};
}

enum loam_status loam_arena_protect(const struct loam_arena *arena, struct loam_error *error)
{
    if (arena->counting) return LOAM_OK;
    if (mprotect(arena->base, arena->capacity, PROT_READ) == 0) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_INTERNAL, "cannot protect an arena of %zu bytes: %s", arena->capacity,
                     strerror(errno));
}

void *loam_arena_alloc(struct loam_arena *arena, size_t bytes)
{
    size_t rounded;
    if (arena->base == NULL || !loam_add_size(bytes, arena->align - 1, &rounded)) {
        arena->exhausted = true;
        return NULL;
    }
    rounded -= rounded % arena->align;
    if (rounded > arena->capacity - arena->used) {
        arena->exhausted = true;
        return NULL;
    }
    // Through an integer: a counting arena's addresses belong to no object.
    void *memory = (void *)((uintptr_t)arena->base + arena->used);
    arena->used += rounded;
    if (arena->used > arena->peak) arena->peak = arena->used;
    return memory;
}

size_t loam_arena_mark(const struct loam_arena *arena)
{
    return arena->used;
}

void loam_arena_release(struct loam_arena *arena, size_t mark)
{
    if (mark < arena->used) arena->used = mark;
}
