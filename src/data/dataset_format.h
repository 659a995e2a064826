// Recognises the format of a data file by its name and first value.
#ifndef LOAM_DATA_DATASET_FORMAT_H
#define LOAM_DATA_DATASET_FORMAT_H

#include "base/status.h"

enum loam_data_format { LOAM_DATA_SQUAD, LOAM_DATA_JSONL, LOAM_DATA_ARRAY, LOAM_DATA_TEXT };

// The first rule that applies: - a file named .txt is plain text; - a file that begins with "[" is an array
// of records, except one named .jsonl whose first line is a complete value; - a file named .jsonl is JSONL;
// - an object with a "data" array is an array of records if its first element has fields that SQuAD's
// articles do not
//   have, else SQuAD;
// - an object that ends on its first line is JSONL;
// - anything else is an error that lists the formats.
enum loam_status loam_data_format_find(enum loam_data_format *format, const char *path, const char *data,
                                       size_t size, struct loam_error *error);

#endif
