// Every call of the allocators in loam's own code comes through here (the linker is told so for tests whose
// name ends in _heap); what libraries allocate among themselves does not. Included once a test.
#ifndef LOAM_TESTS_HEAP_WATCH_H
#define LOAM_TESTS_HEAP_WATCH_H

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <sys/mman.h>

static struct {
    long taken; // calls that take memory
    long asked; // those of them that can be refused
    long fails; // the one that is, counted by `asked` from 0; -1: none
    long live;  // blocks
} heap = {.fails = -1};

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t size);
void __real_free(void *block);
void *__real_mmap(void *address, size_t size, int protection, int flags, int descriptor, off_t offset);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t size);
void __wrap_free(void *block);
void *__wrap_mmap(void *address, size_t size, int protection, int flags, int descriptor, off_t offset);

static bool heap_fails(void)
{
    heap.taken++;
    if (heap.asked++ != heap.fails) return false;
    errno = ENOMEM;
    return true;
}

static void *heap_count(void *block)
{
    heap.live += block != NULL;
    return block;
}

void *__wrap_malloc(size_t size)
{
    return heap_fails() ? NULL : heap_count(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return heap_fails() ? NULL : heap_count(__real_calloc(count, size));
}

void *__wrap_realloc(void *block, size_t size)
{
    if (heap_fails()) return NULL;
    void *grown = __real_realloc(block, size);
    return block == NULL ? heap_count(grown) : grown;
}

// Never refused: only the syncing of a directory uses these, which may go without.
char *__wrap_strdup(const char *text)
{
    heap.taken++;
    return heap_count(__real_strdup(text));
}

char *__wrap_strndup(const char *text, size_t size)
{
    heap.taken++;
    return heap_count(__real_strndup(text, size));
}

void __wrap_free(void *block)
{
    heap.live -= block != NULL;
    __real_free(block);
}

void *__wrap_mmap(void *address, size_t size, int protection, int flags, int descriptor, off_t offset)
{
    return heap_fails() ? MAP_FAILED : __real_mmap(address, size, protection, flags, descriptor, offset);
}

// jansson hands out blocks that loam frees, so its own are counted; they are never refused, because its
// parser takes that for a syntax error.
static inline void *heap_json_malloc(size_t size)
{
    return heap_count(__real_malloc(size));
}

static inline void heap_watch_json(void)
{
    json_set_alloc_funcs(heap_json_malloc, __wrap_free);
}

#endif
