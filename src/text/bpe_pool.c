#include "text/bpe_pool.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/heap.h"
#include "text/bpe_cache.h"

enum { KEPT = 1 << 16 }; // bytes of working memory that are kept

struct member {
    struct loam_bpe_work work; // first, so that its address is that of the member
    struct member *next;
};

struct loam_bpe_pool {
    pthread_mutex_t lock;
    struct member *members; // those that no thread uses
};

struct loam_bpe_pool *loam_bpe_pool_create(struct loam_error *error)
{
    struct loam_bpe_pool *pool = loam_calloc(1, sizeof *pool, error);
    if (pool != NULL) pthread_mutex_init(&pool->lock, NULL); // cannot fail on Linux
    return pool;
}

static void destroy_member(struct member *member)
{
    free(member->work.cache);
    loam_bpe_work_deinit(&member->work);
    free(member);
}

void loam_bpe_pool_destroy(struct loam_bpe_pool *pool)
{
    if (pool == NULL) return;
    while (pool->members != NULL) {
        struct member *member = pool->members;
        pool->members = member->next;
        destroy_member(member);
    }
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

static struct member *create_member(struct loam_error *error)
{
    struct member *member = loam_calloc(1, sizeof *member, error);
    if (member == NULL) return NULL;
    member->work.cache = loam_bpe_cache_create(error);
    if (member->work.cache != NULL) return member;
    free(member);
    return NULL;
}

enum loam_status loam_bpe_pool_take(struct loam_bpe_pool *pool, struct loam_bpe_work **work,
                                    struct loam_error *error)
{
    pthread_mutex_lock(&pool->lock);
    struct member *member = pool->members;
    if (member != NULL) pool->members = member->next;
    pthread_mutex_unlock(&pool->lock);
    if (member == NULL) member = create_member(error);
    if (member == NULL) return LOAM_ERROR_MEMORY;
    *work = &member->work;
    return LOAM_OK;
}

void loam_bpe_pool_return(struct loam_bpe_pool *pool, struct loam_bpe_work *work)
{
    struct member *member = (struct member *)work;
    if (loam_bpe_work_bytes(work) > KEPT) {
        struct loam_bpe_cache *cache = work->cache;
        loam_bpe_work_deinit(work);
        work->cache = cache;
    }
    pthread_mutex_lock(&pool->lock);
    member->next = pool->members;
    pool->members = member;
    pthread_mutex_unlock(&pool->lock);
}
