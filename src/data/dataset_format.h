// Recognises the format of a data file by its name and first value.
#ifndef LOAM_DATA_DATASET_FORMAT_H
#define LOAM_DATA_DATASET_FORMAT_H

#include <stdbool.h>

#include "base/status.h"

enum loam_data_format {
    LOAM_DATA_SQUAD,
    LOAM_DATA_JSONL,
    LOAM_DATA_ARRAY,
    LOAM_DATA_CSV,
    LOAM_DATA_TSV,
    LOAM_DATA_TEXT
};

// The first rule that applies. The ending of a compressed file, .gz or .zst, is not a part of the name.
// - A file named .txt is plain text.
// - A file that begins with "[" is an array of records, except one named .jsonl whose first line is a
//   complete value.
// - A file named .jsonl is JSONL.
// - An object with a "data" array is an array of records if its first element has fields that SQuAD's
//   articles do not have, else SQuAD.
// - An object that ends on its first line is JSONL.
// - A file named .csv or .tsv is that.
// - Anything else is an error that lists the formats.
enum loam_status loam_data_format_find(enum loam_data_format *format, const char *path, const char *data,
                                       size_t size, struct loam_error *error);

// Whether the name is that of a data file, as directories are searched for: .json, .jsonl, .ndjson, .csv, .tsv
// or .txt, maybe compressed.
bool loam_data_format_has_name(const char *path);

#endif
