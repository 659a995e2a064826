// Where records come from: the values of --data, as files and how much of each an epoch takes.
#ifndef LOAM_DATA_SOURCE_H
#define LOAM_DATA_SOURCE_H

#include <stdbool.h>

#include "base/log.h"
#include "base/text_list.h"

// How many of its records an epoch takes of a source: all of them, a weight times their number, or a count.
struct loam_data_share {
    double weight; // 0: none is given
    size_t count;  // 0: none is given
};

// Parses "PATH", "PATH:WEIGHT" or "PATH:COUNT". The path is the first `*size` bytes. A weight has a decimal point, a
// count has none. A path that exists with its colon and number is taken as it is.
enum loam_status loam_data_share_parse(const char *text, size_t *size, struct loam_data_share *share,
                                       struct loam_error *error);

// One value of --data: a file, or the files of a pattern or a directory.
struct loam_data_source {
    size_t first; // index of its first file
    size_t count; // files, at least 1
    struct loam_data_share share;
};

// A zeroed struct is valid.
struct loam_data_sources {
    struct loam_data_source *items; // [count] in the order given
    size_t count;
    size_t capacity;
    struct loam_text_list files;   // paths, in the order of the sources
    struct loam_text_list ignored; // paths in directories that are not data files
};

// Finds the files. A name with *, ? or [ that no file has is a pattern; of a directory, its data files are taken in
// the order of their names, without hidden ones.
enum loam_status loam_data_sources_find(struct loam_data_sources *sources, const struct loam_text_list *given,
                                        struct loam_error *error);
// Adds one file as it is named, as a source of all its records.
enum loam_status loam_data_sources_add_file(struct loam_data_sources *sources, const char *path,
                                            struct loam_error *error);
void loam_data_sources_deinit(struct loam_data_sources *sources);
// Logs what was left out of directories, if anything.
void loam_data_sources_tell(const struct loam_data_sources *sources, const struct loam_log *log);

#endif
