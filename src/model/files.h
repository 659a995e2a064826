// The small files of a model directory.
#ifndef LOAM_MODEL_FILES_H
#define LOAM_MODEL_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

struct loam_model_file {
    const char *name;
    bool of_model; // its configuration; the others belong to the tokenizer
};
extern const struct loam_model_file loam_model_files[];
extern const size_t loam_model_file_count;

// Copies from one directory into another what is there of the tokenizer's files and, with `of_model`, of the
// model's.
enum loam_status loam_model_copy_files(const char *from, const char *to, bool of_model,
                                       struct loam_error *error);

#endif
