// Wrappers of the allocators. In tests whose name ends in _heap the linker sends all calls from loam's code
// here, but not calls within libraries. Each test includes this file once.
#ifndef LOAM_TESTS_HEAP_WATCH_H
#define LOAM_TESTS_HEAP_WATCH_H

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <sys/mman.h>

static struct {
    long taken; // allocating calls
    long asked; // allocating calls that may be made to fail
    long fails; // value of `asked` at the call that fails; -1: none
    long live;  // blocks that are not freed
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

// These never fail: only the syncing of a directory uses them, and it continues without memory.
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

// Blocks of jansson are counted, because loam frees some of them. They never fail, because jansson's parser
// reports lack of memory as a syntax error.
static inline void *heap_json_malloc(size_t size)
{
    return heap_count(__real_malloc(size));
}

static inline void heap_watch_json(void)
{
    json_set_alloc_funcs(heap_json_malloc, __wrap_free);
}

#endif
