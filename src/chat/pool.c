#include "chat/pool.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"

enum { FIRST_BLOCK = 1 << 14, LARGEST_BLOCK = 1 << 20 }; // bytes

struct chat_block {
    struct chat_block *older;
    alignas(max_align_t) char data[];
};

void chat_pool_init(struct chat_pool *pool, size_t limit)
{
    *pool = (struct chat_pool){.limit = limit};
}

void chat_pool_deinit(struct chat_pool *pool)
{
    while (pool->blocks != NULL) {
        struct chat_block *older = pool->blocks->older;
        free(pool->blocks);
        pool->blocks = older;
    }
    *pool = (struct chat_pool){.limit = pool->limit};
}

// Blocks double, so that small templates take little memory and large conversations few blocks.
static enum loam_status add_block(struct chat_pool *pool, size_t bytes, struct loam_error *error)
{
    size_t wanted = pool->total < FIRST_BLOCK ? FIRST_BLOCK : pool->total;
    if (wanted > LARGEST_BLOCK) wanted = LARGEST_BLOCK;
    if (wanted < bytes) wanted = bytes;
    if (wanted > pool->limit || pool->total > pool->limit - wanted)
        return loam_fail(error, LOAM_ERROR_FORMAT, "the template takes more than %zu MiB of memory",
                         pool->limit >> 20);
    size_t size;
    struct chat_block *block = NULL;
    if (loam_add_size(wanted, sizeof *block, &size)) block = malloc(size);
    if (block == NULL) return loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: %zu bytes", wanted);
    block->older = pool->blocks;
    pool->blocks = block;
    pool->next = block->data;
    pool->left = wanted;
    pool->total += wanted;
    return LOAM_OK;
}

void *chat_pool_take(struct chat_pool *pool, size_t count, size_t size, struct loam_error *error)
{
    size_t bytes;
    const size_t mask = alignof(max_align_t) - 1;
    if (!loam_mul_size(count, size, &bytes) || !loam_add_size(bytes, mask, &bytes)) {
        loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: %zu x %zu bytes", count, size);
        return NULL;
    }
    bytes &= ~mask;
    if (bytes == 0) bytes = mask + 1;
    if (bytes > pool->left && add_block(pool, bytes, error) != LOAM_OK) return NULL;
    void *memory = pool->next;
    pool->next += bytes;
    pool->left -= bytes;
    memset(memory, 0, bytes);
    return memory;
}
