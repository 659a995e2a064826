// The cache that huggingface_hub and loam share:
//
//     CACHE/models--ORG--NAME/blobs/ETAG                    the bytes of a file, named by their hash
//                            /blobs/ETAG.incomplete         the part that is downloaded so far
//                            /snapshots/COMMIT/FILE         a relative link to the blob
//                            /refs/REVISION                 the commit of a branch or tag at the last query
//                            /.no_exist/COMMIT/FILE         empty: the commit has no such file
//     CACHE/.locks/models--ORG--NAME/ETAG.lock              locked (flock) while the blob is downloaded
#ifndef LOAM_HUB_CACHE_H
#define LOAM_HUB_CACHE_H

#include "hub/repo.h"

struct loam_cache {
    char *root;       // CACHE
    char *repository; // CACHE/models--ORG--NAME
    char *locks;      // CACHE/.locks/models--ORG--NAME
};

// Forms the paths. Neither reads nor writes files.
enum loam_status loam_cache_open(struct loam_cache *cache, const char *root, const struct loam_repo *repo,
                                 struct loam_error *error);
void loam_cache_close(struct loam_cache *cache);

// Finds the commit that a revision named at the last query; "" if the cache has no record of it.
enum loam_status loam_cache_find_commit(const struct loam_cache *cache, const char *revision,
                                        char commit[LOAM_COMMIT_SIZE], struct loam_error *error);
// Records the commit of a revision. A revision that is a commit hash needs no record.
enum loam_status loam_cache_set_commit(const struct loam_cache *cache, const char *revision,
                                       const char *commit, struct loam_error *error);

// CACHE/.../snapshots/COMMIT. The caller frees it.
char *loam_cache_snapshot_path(const struct loam_cache *cache, const char *commit, struct loam_error *error);
// Whether the commit's file is in the cache. Links are followed.
bool loam_cache_has_file(const struct loam_cache *cache, const char *commit, const char *file);
// Whether the cache has a record that the commit has no such file.
bool loam_cache_has_absence(const struct loam_cache *cache, const char *commit, const char *file);
enum loam_status loam_cache_record_absence(const struct loam_cache *cache, const char *commit,
                                           const char *file, struct loam_error *error);

// CACHE/.../blobs/ETAG with `suffix`: "" or ".incomplete". Makes the directory. The caller frees the path.
char *loam_cache_blob_path(const struct loam_cache *cache, const char *etag, const char *suffix,
                           struct loam_error *error);
// Makes the commit's file a link to the blob.
enum loam_status loam_cache_link(const struct loam_cache *cache, const char *commit, const char *file,
                                 const char *etag, struct loam_error *error);

// Takes the lock of a blob. `*descriptor` is -1 when another process holds it. Closing the descriptor
// releases the lock. A file system without locks counts as locked, so that downloads work there.
enum loam_status loam_cache_lock(const struct loam_cache *cache, const char *etag, int *descriptor,
                                 struct loam_error *error);

// Writes CACHE/CACHEDIR.TAG, which tells backup programs to skip the directory. Failures are ignored.
void loam_cache_write_tag(const struct loam_cache *cache);

#endif
