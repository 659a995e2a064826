// The small files of a model directory.
#ifndef LOAM_MODEL_FILES_H
#define LOAM_MODEL_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/log.h"

struct loam_model_file {
    const char *name;
    bool of_model; // its configuration; the others belong to the tokenizer
};
extern const struct loam_model_file loam_model_files[];
extern const size_t loam_model_file_count;

// Refuses files to be copied that are links to what is outside of the model directory. Commands that copy at
// the end of long work call this at its beginning.
enum loam_status loam_model_check_files(const char *from, bool of_model, struct loam_error *error);
// Copies from one directory into another what is there of the tokenizer's files and, with `of_model`, of the
// model's.
enum loam_status loam_model_copy_files(const char *from, const char *to, bool of_model,
                                       struct loam_error *error);
// Copies the chat templates that have a name of their own: additional_chat_templates/NAME.jinja.
enum loam_status loam_model_copy_templates(const char *from, const char *to, struct loam_error *error);
// Names those of the files that are in `out` and not in `model`, which were there before a result was written
// over others: a reader takes them for a part of it. `made` is one that the result has of its own; NULL: none. A `model`
// that went away meanwhile is told as well.
void loam_model_warn_of_old_files(const char *model, const char *out, bool of_model, const char *made,
                                  const struct loam_log *log);

#endif
