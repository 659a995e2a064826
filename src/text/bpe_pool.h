// Working memory of encoding that a tokenizer keeps: each thread takes one for a text and gives it back. It also holds the
// cache, which lasts from text to text.
#ifndef LOAM_TEXT_BPE_POOL_H
#define LOAM_TEXT_BPE_POOL_H

#include "text/bpe.h"

struct loam_bpe_pool;

struct loam_bpe_pool *loam_bpe_pool_create(struct loam_error *error);
void loam_bpe_pool_destroy(struct loam_bpe_pool *pool);

enum loam_status loam_bpe_pool_take(struct loam_bpe_pool *pool, struct loam_bpe_work **work,
                                    struct loam_error *error);
// Memory that a long text took is released, but for the cache.
void loam_bpe_pool_return(struct loam_bpe_pool *pool, struct loam_bpe_work *work);

#endif
