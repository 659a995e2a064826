#include "data/source.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/grow.h"
#include "base/heap.h"
#include "data/dataset_format.h"

// ---- Shares ----

static bool path_exists(const char *path)
{
    struct stat about;
    return lstat(path, &about) == 0;
}

// Whether the text has only characters of numbers, so that it is meant as one.
static bool looks_like_number(const char *text)
{
    return text[0] != '\0' && strspn(text, "+-.0123456789eE") == strlen(text) &&
           strpbrk(text, "0123456789") != NULL;
}

static enum loam_status parse_share(const char *text, struct loam_data_share *share)
{
    const bool is_weight = strchr(text, '.') != NULL;
    char *end;
    if (strspn(text, ".0123456789") != strlen(text)) return LOAM_ERROR_ARGUMENT;
    errno = 0;
    if (is_weight)
        share->weight = strtod(text, &end);
    else
        share->count = strtoul(text, &end, 10);
    const bool is_above_zero = is_weight ? share->weight > 0 && share->weight <= 1e6 : share->count > 0;
    return *end == '\0' && errno == 0 && is_above_zero ? LOAM_OK : LOAM_ERROR_ARGUMENT;
}

enum loam_status loam_data_share_parse(const char *text, size_t *size, struct loam_data_share *share,
                                       struct loam_error *error)
{
    *share = (struct loam_data_share){0};
    *size = strlen(text);
    const char *colon = strrchr(text, ':');
    if (colon == NULL || !looks_like_number(colon + 1) || path_exists(text)) return LOAM_OK;
    if (colon == text)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "\"%s\": expected a path before the colon", text);
    *size = (size_t)(colon - text);
    if (parse_share(colon + 1, share) == LOAM_OK) return LOAM_OK;
    return loam_fail(
        error, LOAM_ERROR_ARGUMENT,
        "\"%s\": after the last colon, expected a weight above 0 such as 0.5 or 2.0, or a number of "
        "records such as 1000",
        text);
}

// ---- Files ----

static enum loam_status visit_entry(struct loam_data_sources *sources, const char *directory,
                                    const char *name, struct loam_text_list *found, struct loam_error *error)
{
    if (name[0] == '.') return LOAM_OK;
    char *path = loam_path_join(directory, name, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    const bool is_data = loam_data_format_has_name(path) && loam_file_exists(path);
    enum loam_status status = loam_text_list_add(is_data ? found : &sources->ignored, path, error);
    free(path);
    return status;
}

static enum loam_status read_directory(struct loam_data_sources *sources, const char *path,
                                       struct loam_text_list *found, struct loam_error *error)
{
    DIR *directory = opendir(path);
    if (directory == NULL)
        return loam_fail(error, LOAM_ERROR_IO, "cannot read %s: %s", path, strerror(errno));
    enum loam_status status = LOAM_OK;
    const struct dirent *entry;
    errno = 0;
    while (status == LOAM_OK && (entry = readdir(directory)) != NULL) {
        status = visit_entry(sources, path, entry->d_name, found, error);
        errno = 0;
    }
    if (status == LOAM_OK && errno != 0)
        status = loam_fail(error, LOAM_ERROR_IO, "cannot read %s: %s", path, strerror(errno));
    closedir(directory);
    return status;
}

// Adds the data files of a directory, in the order of their names.
static enum loam_status add_directory(struct loam_data_sources *sources, const char *path,
                                      struct loam_error *error)
{
    struct loam_text_list *files = &sources->files;
    const size_t first = files->count;
    LOAM_TRY(read_directory(sources, path, files, error));
    loam_text_list_sort(files, first);
    if (files->count > first) return LOAM_OK;
    return loam_fail(
        error, LOAM_ERROR_IO,
        "%s: the directory has no data file: expected names that end in .json, .jsonl, .csv, .tsv or "
        ".txt, maybe with .gz or .zst",
        path);
}

static enum loam_status add_path(struct loam_data_sources *sources, const char *path,
                                 struct loam_error *error)
{
    if (loam_directory_exists(path)) return add_directory(sources, path, error);
    return loam_text_list_add(&sources->files, path, error);
}

// Adds the files whose names match, in the order of their bytes in every locale.
static enum loam_status add_matches(struct loam_data_sources *sources, const char *pattern,
                                    struct loam_error *error)
{
    struct loam_text_list paths = {0};
    glob_t matches = {0};
    const int result = glob(pattern, GLOB_NOSORT, NULL, &matches);
    enum loam_status status = LOAM_OK;
    if (result == GLOB_NOSPACE)
        status = loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: the files of %s", pattern);
    if (result == GLOB_NOMATCH)
        status = loam_fail(error, LOAM_ERROR_IO, "%s: no file has such a name", pattern);
    if (result == GLOB_ABORTED)
        status = loam_fail(error, LOAM_ERROR_IO, "%s: a directory cannot be read", pattern);
    for (size_t i = 0; status == LOAM_OK && i < matches.gl_pathc; i++)
        status = loam_text_list_add(&paths, matches.gl_pathv[i], error);
    globfree(&matches);
    loam_text_list_sort(&paths, 0);
    for (size_t i = 0; status == LOAM_OK && i < paths.count; i++)
        status = add_path(sources, paths.items[i], error);
    loam_text_list_deinit(&paths);
    return status;
}

// ---- All ----

// Adds a source of the files from index `first` on.
static enum loam_status end_source(struct loam_data_sources *sources, size_t first,
                                   const struct loam_data_share *share, struct loam_error *error)
{
    struct loam_data_source *items =
        loam_grow(sources->items, &sources->capacity, sources->count + 1, sizeof *items, error);
    if (items == NULL) return LOAM_ERROR_MEMORY;
    sources->items = items;
    items[sources->count++] =
        (struct loam_data_source){.first = first, .count = sources->files.count - first, .share = *share};
    return LOAM_OK;
}

enum loam_status loam_data_sources_add_file(struct loam_data_sources *sources, const char *path,
                                            struct loam_error *error)
{
    LOAM_TRY(loam_text_list_add(&sources->files, path, error));
    return end_source(sources, sources->files.count - 1, &(struct loam_data_share){0}, error);
}

static enum loam_status add_source(struct loam_data_sources *sources, const char *text,
                                   struct loam_error *error)
{
    const size_t first = sources->files.count;
    struct loam_data_share share;
    size_t size;
    LOAM_TRY(loam_data_share_parse(text, &size, &share, error));
    char *path = loam_strndup(text, size, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    const bool is_pattern = strpbrk(path, "*?[") != NULL && !path_exists(path);
    enum loam_status status = (is_pattern ? add_matches : add_path)(sources, path, error);
    free(path);
    return status == LOAM_OK ? end_source(sources, first, &share, error) : status;
}

enum loam_status loam_data_sources_find(struct loam_data_sources *sources, const struct loam_text_list *given,
                                        struct loam_error *error)
{
    for (size_t i = 0; i < given->count; i++)
        LOAM_TRY(add_source(sources, given->items[i], error));
    return LOAM_OK;
}

void loam_data_sources_deinit(struct loam_data_sources *sources)
{
    free(sources->items);
    loam_text_list_deinit(&sources->files);
    loam_text_list_deinit(&sources->ignored);
    *sources = (struct loam_data_sources){0};
}

void loam_data_sources_tell(const struct loam_data_sources *sources, const struct loam_log *log)
{
    const size_t count = sources->ignored.count;
    if (count == 0) return;
    loam_log_write(log, LOAM_LOG_WARNING,
                   "%s%s is not read: its name is not that of a data file (%zu such names)",
                   sources->ignored.items[0], count > 1 ? ", for example," : "", count);
}
