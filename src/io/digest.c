#include "io/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/heap.h"

static enum loam_status fail(struct loam_error *error)
{
    return loam_fail(error, LOAM_ERROR_INTERNAL, "libcrypto cannot compute a hash");
}

enum loam_status loam_digest_begin(struct loam_digest *digest, enum loam_digest_kind kind, int64_t size,
                                   struct loam_error *error)
{
    if (digest->context == NULL) digest->context = EVP_MD_CTX_new();
    if (digest->context == NULL) return loam_fail(error, LOAM_ERROR_MEMORY, "no memory for a hash");
    bool git = kind == LOAM_DIGEST_GIT;
    if (EVP_DigestInit_ex(digest->context, git ? EVP_sha1() : EVP_sha256(), NULL) != 1) return fail(error);
    if (!git) return LOAM_OK;
    char header[32];
    int length = snprintf(header, sizeof header, "blob %lld", (long long)size);
    return loam_digest_update(digest, header, (size_t)length + 1, error); // with its NUL
}

enum loam_status loam_digest_update(struct loam_digest *digest, const void *data, size_t size,
                                    struct loam_error *error)
{
    return EVP_DigestUpdate(digest->context, data, size) == 1 ? LOAM_OK : fail(error);
}

enum loam_status loam_digest_finish(struct loam_digest *digest, char text[LOAM_DIGEST_SIZE],
                                    struct loam_error *error)
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned count = 0;
    if (EVP_DigestFinal_ex(digest->context, bytes, &count) != 1 || 2 * count >= LOAM_DIGEST_SIZE)
        return fail(error);
    for (unsigned i = 0; i < count; i++)
        snprintf(text + (size_t)2 * i, 3, "%02x", bytes[i]);
    return LOAM_OK;
}

void loam_digest_deinit(struct loam_digest *digest)
{
    EVP_MD_CTX_free(digest->context);
    digest->context = NULL;
}

enum loam_status loam_digest_update_block(struct loam_digest *digest, int descriptor, int64_t first,
                                          size_t size, char block[LOAM_DIGEST_BLOCK], const char *path,
                                          struct loam_error *error)
{
    size_t done = 0;
    while (done < size) {
        ssize_t got = pread(descriptor, block + done, size - done, first + (int64_t)done);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0)
            return loam_fail(error, LOAM_ERROR_IO, "cannot read %s: %s", path,
                             got < 0 ? strerror(errno) : "it has become shorter");
        done += (size_t)got;
    }
    return loam_digest_update(digest, block, size, error);
}

enum loam_status loam_digest_update_file(struct loam_digest *digest, int descriptor, int64_t size,
                                         const char *path, struct loam_error *error)
{
    char *block = loam_calloc(LOAM_DIGEST_BLOCK, 1, error);
    if (block == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = LOAM_OK;
    for (int64_t done = 0; done < size && status == LOAM_OK; done += LOAM_DIGEST_BLOCK) {
        size_t wanted = size - done < LOAM_DIGEST_BLOCK ? (size_t)(size - done) : LOAM_DIGEST_BLOCK;
        status = loam_digest_update_block(digest, descriptor, done, wanted, block, path, error);
    }
    free(block);
    return status;
}

enum loam_status loam_digest_file(const char *path, enum loam_digest_kind kind, int64_t size,
                                  char text[LOAM_DIGEST_SIZE], struct loam_error *error)
{
    struct loam_digest digest = {0};
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return loam_fail(error, LOAM_ERROR_IO, "cannot open %s: %s", path, strerror(errno));
    enum loam_status status = loam_digest_begin(&digest, kind, size, error);
    if (status == LOAM_OK) status = loam_digest_update_file(&digest, descriptor, size, path, error);
    if (status == LOAM_OK) status = loam_digest_finish(&digest, text, error);
    loam_digest_deinit(&digest);
    close(descriptor);
    return status;
}
