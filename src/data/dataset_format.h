// Telling what a data file holds from its name and its first value.
#ifndef LOAM_DATA_DATASET_FORMAT_H
#define LOAM_DATA_DATASET_FORMAT_H

#include "base/status.h"

enum loam_data_format { LOAM_DATA_SQUAD, LOAM_DATA_JSONL, LOAM_DATA_ARRAY, LOAM_DATA_TEXT };

// Decides in this order: a file named .txt is plain text. A file that begins with "[" is an array of records,
// except a file named .jsonl whose first line is a complete value. A file named .jsonl is JSONL. An object
// with a "data" array is SQuAD, or an array of records where the first element has fields that no article
// has. An object that ends on its first line is JSONL. Anything else is an error that lists the formats.
enum loam_status loam_data_format_find(enum loam_data_format *format, const char *path, const char *data,
                                       size_t size, struct loam_error *error);

#endif
