#include "model/files.h"

#include <stdlib.h>

#include "base/file.h"
#include "io/atomic.h"

const struct loam_model_file loam_model_files[] = {
    {"tokenizer.json", false},
    {"tokenizer_config.json", false},
    {"special_tokens_map.json", false},
    {"added_tokens.json", false},
    {"chat_template.jinja", false},
    {"tokenizer.model", false},
    {"vocab.json", false},
    {"merges.txt", false},
    {"config.json", true},
    {"generation_config.json", true},
};
const size_t loam_model_file_count = sizeof loam_model_files / sizeof loam_model_files[0];

static enum loam_status copy_file(const char *from_directory, const char *to_directory, const char *name,
                                  struct loam_error *error)
{
    char *from = loam_path_join(from_directory, name, error);
    char *to = loam_path_join(to_directory, name, error);
    enum loam_status status = from != NULL && to != NULL ? LOAM_OK : LOAM_ERROR_MEMORY;
    if (status == LOAM_OK && loam_file_exists(from)) status = loam_atomic_copy_file(from, to, error);
    free(from);
    free(to);
    return status;
}

enum loam_status loam_model_copy_files(const char *from, const char *to, bool of_model,
                                       struct loam_error *error)
{
    for (size_t i = 0; i < loam_model_file_count; i++) {
        if (of_model || !loam_model_files[i].of_model)
            LOAM_TRY(copy_file(from, to, loam_model_files[i].name, error));
    }
    return LOAM_OK;
}
