#include "device/gpu/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

enum { LARGEST = 64 << 20 }; // bytes of a file that is read

// What a file begins with.
struct header {
    char magic[8];
    uint64_t key;
    uint64_t bytes; // of the code behind it
    uint64_t hash;  // of the code
};
static const char MAGIC[8] = "loamgpu1";

void loam_gpu_cache_init(struct loam_gpu_cache *cache, const char *target, uint64_t key)
{
    const char *directory = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int length = -1;
    *cache = (struct loam_gpu_cache){.key = key};
    // A relative XDG_CACHE_HOME is ignored, as its specification demands.
    if (directory != NULL && directory[0] == '/')
        length = snprintf(cache->path, sizeof cache->path, "%s/loam/kernels-%s-%016llx", directory, target,
                          (unsigned long long)key);
    else if (home != NULL && home[0] == '/')
        length = snprintf(cache->path, sizeof cache->path, "%s/.cache/loam/kernels-%s-%016llx", home, target,
                          (unsigned long long)key);
    if (length < 0 || (size_t)length >= sizeof cache->path) cache->path[0] = '\0';
}

bool loam_gpu_cache_read(const struct loam_gpu_cache *cache, struct loam_bytes *code)
{
    struct loam_error unread = {0};
    struct loam_bytes file = {0};
    struct header header = {0};
    bool valid = cache->path[0] != '\0' && loam_file_read(cache->path, LARGEST, &file, &unread) == LOAM_OK &&
                 file.size > sizeof header;
    if (valid) {
        memcpy(&header, file.data, sizeof header);
        const char *body = file.data + sizeof header;
        const size_t bytes = file.size - sizeof header;
        valid = memcmp(header.magic, MAGIC, sizeof MAGIC) == 0 && header.key == cache->key &&
                header.bytes == bytes && header.hash == loam_hash(LOAM_HASH_START, body, bytes) &&
                loam_bytes_append(code, body, bytes, &unread) == LOAM_OK;
    }
    loam_bytes_deinit(&file);
    return valid;
}

// The directories above the file, for the user alone.
static bool make_directories(const char *path)
{
    char part[sizeof((struct loam_gpu_cache *)NULL)->path];
    for (size_t i = 0; path[i] != '\0'; i++) {
        part[i] = path[i];
        if (i == 0 || path[i] != '/') continue;
        part[i] = '\0';
        if (mkdir(part, 0700) != 0 && errno != EEXIST) return false;
        part[i] = '/';
    }
    return true;
}

static bool write_whole(int descriptor, const void *data, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        const ssize_t count = write(descriptor, (const char *)data + done, bytes - done);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return false;
        done += (size_t)count;
    }
    return true;
}

void loam_gpu_cache_write(const struct loam_gpu_cache *cache, const struct loam_bytes *code)
{
    char name[sizeof cache->path + 8];
    struct header header = {
        .key = cache->key, .bytes = code->size, .hash = loam_hash(LOAM_HASH_START, code->data, code->size)};
    memcpy(header.magic, MAGIC, sizeof MAGIC);
    if (cache->path[0] == '\0' || !make_directories(cache->path)) return;
    (void)snprintf(name, sizeof name, "%s.XXXXXX", cache->path);
    const int descriptor = mkstemp(name);
    if (descriptor < 0) return;
    bool written = write_whole(descriptor, &header, sizeof header) &&
                   write_whole(descriptor, code->data, code->size) && fsync(descriptor) == 0;
    written = close(descriptor) == 0 && written;
    // The file appears as a whole under its name.
    if (!written || rename(name, cache->path) != 0) (void)unlink(name);
}
