// A data file, opened for reading: the file itself, or what a compressed one holds.
#ifndef LOAM_DATA_DATA_INPUT_H
#define LOAM_DATA_DATA_INPUT_H

#include "base/file.h"

struct loam_data_input {
    int descriptor;      // of the contents; -1: taken by another owner
    struct loam_map map; // of the contents
    bool is_unpacked;    // the contents are those of a compressed file, in a temporary file without a name
};

// Opens `path`. A file that begins as gzip or zstd is unpacked into a temporary file in TMPDIR, or /tmp.
enum loam_status loam_data_input_open(struct loam_data_input *input, const char *path,
                                      struct loam_error *error);
void loam_data_input_close(struct loam_data_input *input);

// Size of a file's name without the ending of a compressed one: of "a.jsonl" in "a.jsonl.gz".
size_t loam_data_name_size(const char *path);

#endif
