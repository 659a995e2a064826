// Telling what a data file holds from its name and its first value.
#ifndef LOAM_TEXT_DATASET_FORMAT_H
#define LOAM_TEXT_DATASET_FORMAT_H

#include "base/status.h"

enum loam_data_format { LOAM_DATA_SQUAD, LOAM_DATA_JSONL, LOAM_DATA_ARRAY, LOAM_DATA_TEXT };

// // A name that ends in .txt is plain text, and what begins with an array is an array of records (of JSONL,
// where its first line is not complete). A name that ends in .jsonl says it; else an object with a "data"
// array is SQuAD, or an array of records where the first element has fields that no article has; and an
// object that ends on the line it begins on is JSONL. Anything else is an error that says what there is to
// choose from.
enum loam_status loam_data_format_find(enum loam_data_format *format, const char *path, const char *data,
                                       size_t size, struct loam_error *error);

#endif
