// A temporary file without a name, in TMPDIR or /tmp. It is removed right after it is made, so that nothing is left when
// the program is killed. It takes at most nine tenths of the room that is free there.
#ifndef LOAM_DATA_SCRATCH_H
#define LOAM_DATA_SCRATCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct loam_scratch {
    const char *path;     // of the data file, for messages
    const char *contents; // what is kept of it, for messages: "its contents"
    const char *directory;
    int descriptor;
    uint64_t size;  // bytes written
    uint64_t limit; // bytes
};

// `path` and `contents` must outlive the file; `purpose` is for the message: "to unpack it".
enum loam_status loam_scratch_open(struct loam_scratch *scratch, const char *path, const char *contents,
                                   const char *purpose, struct loam_error *error);
void loam_scratch_close(struct loam_scratch *scratch);
enum loam_status loam_scratch_append(struct loam_scratch *scratch, const void *data, size_t size,
                                     struct loam_error *error);
// Reads the bytes [at, at + size), which were written.
enum loam_status loam_scratch_read(const struct loam_scratch *scratch, uint64_t at, void *data, size_t size,
                                   struct loam_error *error);

#endif
