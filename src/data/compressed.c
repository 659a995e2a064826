#include "data/compressed.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/heap.h"
#include "data/scratch.h"

enum { BLOCK = 1 << 18 }; // bytes unpacked at once

// The state of unpacking one file.
struct unpacking {
    const char *path;
    const uint8_t *data;
    size_t size;
    struct loam_map_reader reader;
    uint8_t *block; // [BLOCK]
    struct loam_scratch file;
};

enum loam_compression loam_compression_find(const uint8_t *data, size_t size)
{
    if (size >= 2 && data[0] == 0x1F && data[1] == 0x8B) return LOAM_COMPRESSION_GZIP;
    // A file may begin with a skippable frame.
    const bool is_frame =
        size >= 4 && data[0] == 0x28 && data[1] == 0xB5 && data[2] == 0x2F && data[3] == 0xFD;
    const bool is_skipped =
        size >= 4 && data[0] >> 4 == 5 && data[1] == 0x2A && data[2] == 0x4D && data[3] == 0x18;
    return is_frame || is_skipped ? LOAM_COMPRESSION_ZSTD : LOAM_COMPRESSION_NONE;
}

static enum loam_status fail_stream(const struct unpacking *unpacking, size_t at, const char *what,
                                    struct loam_error *error)
{
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s: the compressed file is damaged at byte %zu of %zu: %s",
                     unpacking->path, at, unpacking->size, what);
}

static enum loam_status fail_cut(const struct unpacking *unpacking, struct loam_error *error)
{
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s: the compressed file is cut off at its end, byte %zu",
                     unpacking->path, unpacking->size);
}

static enum loam_status write_block(struct unpacking *unpacking, size_t size, struct loam_error *error)
{
    return loam_scratch_append(&unpacking->file, unpacking->block, size, error);
}

// ---- gzip ----

// Whether only zeros follow, with which tapes and some programs fill up a file.
static bool is_padding(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (data[i] != 0) return false;
    return true;
}

// Unpacks the members from the current one on. zlib counts the bytes of a call with 32 bits.
static enum loam_status inflate_all(struct unpacking *unpacking, z_stream *stream, struct loam_error *error)
{
    size_t at = 0;
    for (;;) {
        const size_t left = unpacking->size - at;
        stream->next_in = (Bytef *)(uintptr_t)(unpacking->data + at);
        stream->avail_in = left < BLOCK ? (uInt)left : BLOCK;
        stream->next_out = unpacking->block;
        stream->avail_out = BLOCK;
        const uInt given = stream->avail_in;
        const int result = inflate(stream, Z_NO_FLUSH);
        at += given - stream->avail_in;
        LOAM_TRY(write_block(unpacking, BLOCK - stream->avail_out, error));
        loam_map_reader_advance(&unpacking->reader, at);
        if (result == Z_MEM_ERROR)
            return loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: unpacking %s", unpacking->path);
        if (result == Z_STREAM_END) {
            if (is_padding(unpacking->data + at, unpacking->size - at)) return LOAM_OK;
            if (loam_compression_find(unpacking->data + at, unpacking->size - at) != LOAM_COMPRESSION_GZIP)
                return fail_stream(unpacking, at, "other bytes follow the gzip stream", error);
            (void)inflateReset(stream); // fails only for a stream that was not initialised
            continue;
        }
        if (result == Z_BUF_ERROR && at == unpacking->size) return fail_cut(unpacking, error);
        if (result != Z_OK && result != Z_BUF_ERROR)
            return fail_stream(unpacking, at, stream->msg != NULL ? stream->msg : "not a gzip stream", error);
    }
}

static enum loam_status unpack_gzip(struct unpacking *unpacking, struct loam_error *error)
{
    enum { GZIP_WINDOW = 15 + 16 }; // the largest window, and a gzip header
    z_stream stream = {0};
    if (inflateInit2(&stream, GZIP_WINDOW) != Z_OK)
        return loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: unpacking %s", unpacking->path);
    enum loam_status status = inflate_all(unpacking, &stream, error);
    (void)inflateEnd(&stream);
    return status;
}

// ---- zstd ----

static enum loam_status decompress_all(struct unpacking *unpacking, ZSTD_DStream *stream,
                                       struct loam_error *error)
{
    ZSTD_inBuffer in = {unpacking->data, unpacking->size, 0};
    size_t left; // 0: a frame has ended, and everything of it was written
    bool is_full;
    do {
        ZSTD_outBuffer out = {unpacking->block, BLOCK, 0};
        // Bounds the pages of the map that one call reads.
        const size_t rest = unpacking->size - in.pos;
        in.size = in.pos + (rest < BLOCK ? rest : BLOCK);
        left = ZSTD_decompressStream(stream, &out, &in);
        if (ZSTD_isError(left) != 0) return fail_stream(unpacking, in.pos, ZSTD_getErrorName(left), error);
        LOAM_TRY(write_block(unpacking, out.pos, error));
        loam_map_reader_advance(&unpacking->reader, in.pos);
        is_full = out.pos == BLOCK;
    } while (in.pos < unpacking->size || (left != 0 && is_full));
    return left == 0 ? LOAM_OK : fail_cut(unpacking, error);
}

static enum loam_status unpack_zstd(struct unpacking *unpacking, struct loam_error *error)
{
    ZSTD_DStream *stream = ZSTD_createDStream();
    if (stream == NULL)
        return loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: unpacking %s", unpacking->path);
    enum loam_status status = decompress_all(unpacking, stream, error);
    ZSTD_freeDStream(stream);
    return status;
}

// ---- All ----

static enum loam_status unpack(struct unpacking *unpacking, enum loam_compression compression,
                               struct loam_error *error)
{
    unpacking->block = loam_calloc(BLOCK, 1, error);
    if (unpacking->block == NULL) return LOAM_ERROR_MEMORY;
    LOAM_TRY(loam_scratch_open(&unpacking->file, unpacking->path, "its contents", "to unpack it", error));
    return compression == LOAM_COMPRESSION_GZIP ? unpack_gzip(unpacking, error)
                                                : unpack_zstd(unpacking, error);
}

enum loam_status loam_compressed_unpack(const struct loam_map *packed, enum loam_compression compression,
                                        const char *path, int *descriptor, size_t *size,
                                        struct loam_error *error)
{
    struct unpacking unpacking = {.path = path,
                                  .data = packed->data,
                                  .size = packed->size,
                                  .reader.data = packed->data,
                                  .file.descriptor = -1};
    enum loam_status status = unpack(&unpacking, compression, error);
    free(unpacking.block);
    if (status != LOAM_OK) {
        loam_scratch_close(&unpacking.file);
        return status;
    }
    *descriptor = unpacking.file.descriptor;
    *size = (size_t)unpacking.file.size;
    return LOAM_OK;
}
