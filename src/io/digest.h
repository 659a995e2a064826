// Hashes of files, computed from a stream of bytes: SHA-256 for checkpoints and for files in the hub's LFS,
// git's SHA-1 of a blob for files in a repository of the hub.
#ifndef LOAM_IO_DIGEST_H
#define LOAM_IO_DIGEST_H

#include <stdint.h>

#include "base/status.h"

enum loam_digest_kind { LOAM_DIGEST_SHA256, LOAM_DIGEST_GIT };
enum { LOAM_DIGEST_SIZE = 65 }; // hexadecimal digits and NUL

struct loam_digest {
    void *context; // of libcrypto
};

// `size` is the bytes of the whole file; git's hash covers it.
enum loam_status loam_digest_begin(struct loam_digest *digest, enum loam_digest_kind kind, int64_t size,
                                   struct loam_error *error);
enum loam_status loam_digest_update(struct loam_digest *digest, const void *data, size_t size,
                                    struct loam_error *error);
// Writes the hash in lower-case hexadecimal. The digest can then only be begun again or released.
enum loam_status loam_digest_finish(struct loam_digest *digest, char text[LOAM_DIGEST_SIZE],
                                    struct loam_error *error);
void loam_digest_deinit(struct loam_digest *digest);

// Adds bytes [0, size) of an open file; the file's position does not change.
enum loam_status loam_digest_update_file(struct loam_digest *digest, int descriptor, int64_t size,
                                         const char *path, struct loam_error *error);
// Adds bytes [first, first + size) of an open file, at most LOAM_DIGEST_BLOCK, through the buffer `block`.
// Allocates nothing.
enum { LOAM_DIGEST_BLOCK = 1 << 20 };
enum loam_status loam_digest_update_block(struct loam_digest *digest, int descriptor, int64_t first,
                                          size_t size, char block[LOAM_DIGEST_BLOCK], const char *path,
                                          struct loam_error *error);
// Computes the hash of a whole file in one call.
enum loam_status loam_digest_file(const char *path, enum loam_digest_kind kind, int64_t size,
                                  char text[LOAM_DIGEST_SIZE], struct loam_error *error);

#endif
