// A file that grows by records, each of them on its way to the disk before the call returns. What cannot be
// written stays in memory and is written when it can be; where the file went away it is made again from what
// memory still holds. Memory is taken once, when it is opened.
#ifndef LOAM_IO_JOURNAL_H
#define LOAM_IO_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

// Records that wait for the disk, or stay in memory after it; more than these are lost, and counted.
enum { LOAM_JOURNAL_BYTES = 1 << 20 };

struct loam_journal {
    char *path;     // NULL: closed
    int descriptor; // -1: not made yet
    char *bytes;    // [LOAM_JOURNAL_BYTES], of which the file has `written`
    size_t size;
    size_t written;
    int64_t base;        // where in the file `bytes` begins
    bool owns_directory; // the directory of the file is made again where it went away
    int64_t lost;        // records that were not kept, for want of memory or with a file that went away
};

// The file is made by the first record that is written: a new one, whatever was there. A link is replaced,
// not followed. `journal` is closed or zeroed.
enum loam_status loam_journal_open(struct loam_journal *journal, const char *path, struct loam_error *error);
// Goes on behind the first `bytes` bytes of a file that is there; the rest of it is cut off.
enum loam_status loam_journal_reopen(struct loam_journal *journal, const char *path, int64_t bytes,
                                     struct loam_error *error);
void loam_journal_close(struct loam_journal *journal);

// Adds a record and writes all that is not on disk. A failure is that of writing: the record is kept.
enum loam_status loam_journal_append(struct loam_journal *journal, const void *record, size_t size,
                                     struct loam_error *error);
// Writes what is not on disk, if there is any. After a failure the file ends with a whole record.
enum loam_status loam_journal_flush(struct loam_journal *journal, struct loam_error *error);
// Bytes of all records so far, on disk or not.
int64_t loam_journal_size(const struct loam_journal *journal);

#endif
