// A file that grows by records. Each append writes its record before it returns. A record that cannot be
// written stays in memory, and later calls try again. A file that was removed is created again from the
// records in memory. Memory is allocated once, by open.
#ifndef LOAM_IO_JOURNAL_H
#define LOAM_IO_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

// Bytes of records in memory, written or not. A record for which there is no room is lost and counted.
enum { LOAM_JOURNAL_BYTES = 1 << 20 };

struct loam_journal {
    char *path;     // NULL: closed
    int descriptor; // -1: not created yet
    char *bytes;    // [LOAM_JOURNAL_BYTES], of which the file has `written`
    size_t size;
    size_t written;
    int64_t base;        // where in the file `bytes` begins
    bool owns_directory; // create the directory of the file again where it was removed
    int64_t lost;        // records that did not fit into memory or were only in a removed file
};

// The first record that is written creates the file or empties the one that exists. A link is replaced, not
// followed. `journal` is closed or zeroed.
enum loam_status loam_journal_open(struct loam_journal *journal, const char *path, struct loam_error *error);
// Opens an existing file, cuts it to `bytes` bytes and appends after them.
enum loam_status loam_journal_reopen(struct loam_journal *journal, const char *path, int64_t bytes,
                                     struct loam_error *error);
void loam_journal_close(struct loam_journal *journal);

// Adds a record and writes all records that are not in the file. After a failure the record stays in memory.
enum loam_status loam_journal_append(struct loam_journal *journal, const void *record, size_t size,
                                     struct loam_error *error);
// Writes the records that are not in the file. After a failure the file ends with a whole record.
enum loam_status loam_journal_flush(struct loam_journal *journal, struct loam_error *error);
// Bytes of all records so far, in the file or not.
int64_t loam_journal_size(const struct loam_journal *journal);

#endif
