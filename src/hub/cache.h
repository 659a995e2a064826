// The cache that huggingface_hub and loam share:
//
//     CACHE/models--ORG--NAME/blobs/ETAG                    a file's bytes, under its hash
//                            /blobs/ETAG.incomplete         what has come of it so far
//                            /snapshots/COMMIT/FILE         a relative link to the blob
//                            /refs/REVISION                 the commit that a branch or tag named
//                            /.no_exist/COMMIT/FILE         empty: the commit has no such file
//     CACHE/.locks/models--ORG--NAME/ETAG.lock              held (flock) while the blob is being made
#ifndef LOAM_HUB_CACHE_H
#define LOAM_HUB_CACHE_H

#include "hub/repo.h"

struct loam_cache {
    char *root;       // CACHE
    char *repository; // CACHE/models--ORG--NAME
    char *locks;      // CACHE/.locks/models--ORG--NAME
};

// Touches nothing.
enum loam_status loam_cache_open(struct loam_cache *cache, const char *root, const struct loam_repo *repo,
                                 struct loam_error *error);
void loam_cache_close(struct loam_cache *cache);

// The commit that a revision names, as far as the cache knows: "" when it does not.
enum loam_status loam_cache_find_commit(const struct loam_cache *cache, const char *revision,
                                        char commit[LOAM_COMMIT_SIZE], struct loam_error *error);
// Remembers it. A revision that is the commit itself needs no remembering.
enum loam_status loam_cache_set_commit(const struct loam_cache *cache, const char *revision,
                                       const char *commit, struct loam_error *error);

// CACHE/.../snapshots/COMMIT; released with free().
char *loam_cache_snapshot(const struct loam_cache *cache, const char *commit, struct loam_error *error);
// Whether the commit's file is there, links followed; or is known not to exist.
bool loam_cache_has(const struct loam_cache *cache, const char *commit, const char *file);
bool loam_cache_lacks(const struct loam_cache *cache, const char *commit, const char *file);
enum loam_status loam_cache_set_lacking(const struct loam_cache *cache, const char *commit, const char *file,
                                        struct loam_error *error);

// CACHE/.../blobs/ETAG and the same with ".incomplete"; released with free(). The directory is made.
char *loam_cache_blob(const struct loam_cache *cache, const char *etag, const char *suffix,
                      struct loam_error *error);
// Makes the commit's file a link to the blob.
enum loam_status loam_cache_link(const struct loam_cache *cache, const char *commit, const char *file,
                                 const char *etag, struct loam_error *error);

// Takes the lock of a blob; `*descriptor` is -1 when another process has it. On a file system without locks
// the blob is as good as locked. Closing the descriptor gives the lock back.
enum loam_status loam_cache_lock(const struct loam_cache *cache, const char *etag, int *descriptor,
                                 struct loam_error *error);

// Writes CACHE/CACHEDIR.TAG, by which backup programs know a cache. No failure if it cannot.
void loam_cache_tag(const struct loam_cache *cache);

#endif
