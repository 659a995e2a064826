// A file compressed with gzip or zstd: it is unpacked in full or refused with one line.
#include <unistd.h>

#include "data/compressed.h"
#include "fuzz.h"

enum { MOST = 1 << 16 }; // bytes of an input, so that what it unpacks to stays small

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const enum loam_compression compression = loam_compression_find(data, size);
    if (compression == LOAM_COMPRESSION_NONE || size > MOST) return 0;
    struct loam_error error;
    const struct loam_map map = {data, size};
    int descriptor = -1;
    size_t unpacked = 0;
    enum loam_status status =
        loam_compressed_unpack(&map, compression, "data", &descriptor, &unpacked, &error);
    fuzz_require_message(status, &error);
    if (status != LOAM_OK) {
        fuzz_require(descriptor == -1);
        return 0;
    }
    fuzz_require(lseek(descriptor, 0, SEEK_END) == (off_t)unpacked);
    close(descriptor);
    return 0;
}
