#include "model/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

// Chat templates with a name of their own, as transformers saves them: NAME.jinja in this directory.
static const char templates[] = "additional_chat_templates";

// An action on a file of the model directory. `to`: a directory; NULL: the file is only checked.
static enum loam_status take_file(const char *from_directory, const char *to_directory, const char *name,
                                  struct loam_error *error)
{
    LOAM_TRY(loam_file_check_inside(from_directory, name, error));
    if (to_directory == NULL) return LOAM_OK;
    char *from = loam_path_join(from_directory, name, error);
    char *to = loam_path_join(to_directory, name, error);
    enum loam_status status = from != NULL && to != NULL ? LOAM_OK : LOAM_ERROR_MEMORY;
    if (status == LOAM_OK && loam_file_exists(from)) status = loam_atomic_copy_file(from, to, error);
    free(from);
    free(to);
    return status;
}

static enum loam_status take_files(const char *from, const char *to, bool of_model, struct loam_error *error)
{
    for (size_t i = 0; i < loam_model_file_count; i++) {
        if (of_model || !loam_model_files[i].of_model)
            LOAM_TRY(take_file(from, to, loam_model_files[i].name, error));
    }
    return LOAM_OK;
}

// ---- the chat templates ----

static bool is_template(const char *name)
{
    static const char ending[] = ".jinja";
    size_t size = strlen(name);
    return size >= sizeof ending && strcmp(name + size - (sizeof ending - 1), ending) == 0;
}

static enum loam_status make_templates(const char *to, struct loam_error *error)
{
    char *path = loam_path_join(to, templates, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = LOAM_OK;
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        status = loam_fail(error, LOAM_ERROR_IO, "cannot make the directory %s: %s", path, strerror(errno));
    free(path);
    return status;
}

static enum loam_status take_entries(DIR *directory, const char *from, const char *to,
                                     struct loam_error *error)
{
    enum loam_status status = LOAM_OK;
    bool made = to == NULL;
    for (const struct dirent *entry; status == LOAM_OK && (entry = readdir(directory)) != NULL;) {
        if (!is_template(entry->d_name)) continue;
        if (!made) LOAM_TRY(make_templates(to, error));
        made = true;
        char *name = loam_path_join(templates, entry->d_name, error);
        status = name == NULL ? LOAM_ERROR_MEMORY : take_file(from, to, name, error);
        free(name);
    }
    return status;
}

static enum loam_status take_templates(const char *from, const char *to, struct loam_error *error)
{
    LOAM_TRY(loam_file_check_inside(from, templates, error));
    char *path = loam_path_join(from, templates, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    DIR *directory = loam_directory_exists(path) ? opendir(path) : NULL;
    enum loam_status status = LOAM_OK;
    if (directory != NULL) {
        status = take_entries(directory, from, to, error);
        closedir(directory);
    } else if (loam_directory_exists(path)) {
        status = loam_fail(error, LOAM_ERROR_IO, "cannot read %s: %s", path, strerror(errno));
    }
    free(path);
    return status;
}

// ---- outside ----

enum loam_status loam_model_check_files(const char *from, bool of_model, struct loam_error *error)
{
    LOAM_TRY(take_files(from, NULL, of_model, error));
    return take_templates(from, NULL, error);
}

enum loam_status loam_model_copy_files(const char *from, const char *to, bool of_model,
                                       struct loam_error *error)
{
    return take_files(from, to, of_model, error);
}

enum loam_status loam_model_copy_templates(const char *from, const char *to, struct loam_error *error)
{
    return take_templates(from, to, error);
}

static bool holds_file(int directory, const char *name)
{
    struct stat about;
    return fstatat(directory, name, &about, 0) == 0 && S_ISREG(about.st_mode);
}

// Takes no memory: the result is complete, and a failure here must not look like its failure.
void loam_model_warn_of_old_files(const char *model, const char *out, bool of_model, const char *made,
                                  const struct loam_log *log)
{
    int source = open(model, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (source < 0 && (errno == ENOENT || errno == ENOTDIR))
        loam_log_write(log, LOAM_LOG_WARNING, "%s no longer exists: %s has no tokenizer from it", model, out);
    if (source < 0) return;
    int target = open(out, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; target >= 0 && i < loam_model_file_count; i++) {
        const char *name = loam_model_files[i].name;
        if ((loam_model_files[i].of_model && !of_model) || (made != NULL && strcmp(made, name) == 0))
            continue;
        if (!holds_file(source, name) && holds_file(target, name))
            loam_log_write(log, LOAM_LOG_WARNING,
                           "%s/%s was there before, and %s has none: remove it, or it is taken for a part of "
                           "this result",
                           out, name, model);
    }
    if (target >= 0) close(target);
    close(source);
}
