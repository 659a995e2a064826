// Memory of one template or one rendering: handed out piece by piece, released by one call.
#ifndef LOAM_CHAT_POOL_H
#define LOAM_CHAT_POOL_H

#include <stddef.h>

#include "base/status.h"

struct chat_block;

struct chat_pool {
    struct chat_block *blocks;
    char *next;   // first free byte of the newest block
    size_t left;  // bytes
    size_t total; // bytes of all blocks
    size_t limit; // bytes
};

void chat_pool_init(struct chat_pool *pool, size_t limit);
void chat_pool_deinit(struct chat_pool *pool);

// Zeroed memory for `count` elements of `size` bytes, aligned for any type. NULL and a filled error when memory is
// lacking or the limit is reached.
void *chat_pool_take(struct chat_pool *pool, size_t count, size_t size, struct loam_error *error);

#endif
