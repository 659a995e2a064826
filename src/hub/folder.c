#include "hub/folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/heap.h"
#include "base/utf8.h"

enum { FILES_MAX = 20000, DEPTH_MAX = 32 };

static enum loam_status add_file(struct loam_folder *folder, const char *name, const char *path, int64_t size,
                                 struct loam_error *error)
{
    if (!loam_repo_file_is_safe(name) || loam_utf8_check(name, strlen(name)) != strlen(name))
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "%s: a file of this name cannot be in a repository",
                         path);
    if (folder->count == FILES_MAX)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "more than %d files: is it the right directory?",
                         FILES_MAX);
    if (folder->count == folder->capacity) {
        size_t capacity = folder->capacity == 0 ? 16 : 2 * folder->capacity;
        struct loam_folder_file *files = loam_calloc(capacity, sizeof *files, error);
        if (files == NULL) return LOAM_ERROR_MEMORY;
        if (folder->count > 0) memcpy(files, folder->files, folder->count * sizeof *files);
        free(folder->files);
        folder->files = files;
        folder->capacity = capacity;
    }
    struct loam_folder_file *file = &folder->files[folder->count++];
    *file = (struct loam_folder_file){.name = loam_strdup(name, error), .size = size};
    if (file->name != NULL) file->path = loam_strdup(path, error);
    return file->path == NULL ? LOAM_ERROR_MEMORY : LOAM_OK;
}

// ---- Names that are left out ----

// Whether huggingface_hub or a person may keep a token of the hub under this name.
static bool is_token(const char *name)
{
    static const char *const tokens[] = {"token", "tokens", "stored_tokens", "hf_token", "hf_tokens"};
    size_t size = strcspn(name, ".");
    if (name[size] != '\0' && strcasecmp(name + size, ".txt") != 0) return false;
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++)
        if (strlen(tokens[i]) == size && strncasecmp(name, tokens[i], size) == 0) return true;
    return false;
}

// Whether the name is "NAME.tmp-N", that of an unfinished file.
static bool is_temporary(const char *name)
{
    const char *found = strstr(name, ".tmp-");
    return found != NULL && found[5] >= '0' && found[5] <= '9';
}

// Checkpoints serve to resume a run and are not for publication (Hugging Face's Trainer leaves them out
// too). run.yaml names directories of this machine. Hidden files belong to this machine (.git, .cache) or
// are secret (.env).
static bool is_left_out(const char *name, int depth)
{
    bool of_repository = strcmp(name, ".gitattributes") == 0 || strcmp(name, ".gitignore") == 0;
    return (name[0] == '.' && !of_repository) || is_temporary(name) || is_token(name) ||
           (depth == 0 && (strncmp(name, "checkpoint-", 11) == 0 || strcmp(name, "run.yaml") == 0));
}

static enum loam_status leave_out(struct loam_folder *folder, const char *name, struct loam_error *error)
{
    size_t count = folder->left_out_count;
    if (count == FILES_MAX) return LOAM_OK;
    if ((count & (count - 1)) == 0) { // the capacity is the next power of two, and is used up
        char **names = loam_calloc(count == 0 ? 1 : 2 * count, sizeof *names, error);
        if (names == NULL) return LOAM_ERROR_MEMORY;
        if (count > 0) memcpy(names, folder->left_out, count * sizeof *names);
        free(folder->left_out);
        folder->left_out = names;
    }
    char *copy = loam_strdup(name, error);
    if (copy == NULL) return LOAM_ERROR_MEMORY;
    folder->left_out[folder->left_out_count++] = copy;
    return LOAM_OK;
}

enum loam_status loam_folder_format_left_out(const struct loam_folder *folder, struct loam_bytes *text,
                                             struct loam_error *error)
{
    enum { SHOWN = 8 };
    size_t count = folder->left_out_count, shown = count <= SHOWN ? count : SHOWN;
    for (size_t i = 0; i < shown; i++)
        LOAM_TRY(loam_bytes_format(text, error, "%s%s", i > 0 ? ", " : "", folder->left_out[i]));
    return count == shown ? LOAM_OK : loam_bytes_format(text, error, " and %zu more", count - shown);
}

// ---- Reading a directory ----

static enum loam_status read_directory(struct loam_folder *folder, const char *directory, const char *prefix,
                                       int depth, struct loam_error *error);

static enum loam_status read_entry(struct loam_folder *folder, const char *path, const char *name, int depth,
                                   struct loam_error *error)
{
    struct stat itself, target;
    if (lstat(path, &itself) != 0 || stat(path, &target) != 0)
        return loam_fail(error, LOAM_ERROR_IO, "cannot read %s: %s", path, strerror(errno));
    if (S_ISREG(target.st_mode)) {
        LOAM_TRY(loam_file_check_inside(folder->directory, name, error));
        return add_file(folder, name, path, target.st_size, error);
    }
    // A link to a directory may leave the folder or form a loop.
    if (!S_ISDIR(itself.st_mode)) return leave_out(folder, name, error);
    char *prefix = loam_format(error, "%s/", name);
    if (prefix == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = read_directory(folder, path, prefix, depth + 1, error);
    free(prefix);
    return status;
}

static enum loam_status read_directory(struct loam_folder *folder, const char *directory, const char *prefix,
                                       int depth, struct loam_error *error)
{
    if (depth > DEPTH_MAX)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "%s: more than %d directories deep", directory,
                         DEPTH_MAX);
    DIR *stream = opendir(directory);
    if (stream == NULL)
        return loam_fail(error, LOAM_ERROR_IO, "cannot read %s: %s", directory, strerror(errno));
    enum loam_status status = LOAM_OK;
    for (const struct dirent *entry; status == LOAM_OK && (entry = readdir(stream)) != NULL;) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) continue;
        char *path = loam_path_join(directory, name, error);
        char *in_repository = loam_format(error, "%s%s", prefix, name);
        status = path == NULL || in_repository == NULL ? LOAM_ERROR_MEMORY
                 : is_left_out(name, depth)            ? leave_out(folder, in_repository, error)
                                            : read_entry(folder, path, in_repository, depth, error);
        free(in_repository);
        free(path);
    }
    closedir(stream);
    return status;
}

// Orders names by their parts: a slash sorts before every other character.
static int compare(const void *a, const void *b)
{
    const char *x = ((const struct loam_folder_file *)a)->name,
               *y = ((const struct loam_folder_file *)b)->name;
    while (*x != '\0' && *x == *y)
        x++, y++;
    int left = *x == '/' ? 1 : (unsigned char)*x, right = *y == '/' ? 1 : (unsigned char)*y;
    return left - right;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

enum loam_status loam_folder_read(struct loam_folder *folder, const char *directory, struct loam_error *error)
{
    *folder = (struct loam_folder){.directory = directory};
    enum loam_status status = read_directory(folder, directory, "", 0, error);
    if (status == LOAM_OK && folder->count == 0)
        status = loam_fail(error, LOAM_ERROR_ARGUMENT, "%s holds no file", directory);
    if (status == LOAM_OK) qsort(folder->files, folder->count, sizeof *folder->files, compare);
    if (status == LOAM_OK && folder->left_out_count > 0)
        qsort(folder->left_out, folder->left_out_count, sizeof *folder->left_out, compare_names);
    if (status != LOAM_OK) loam_folder_deinit(folder);
    return status;
}

void loam_folder_deinit(struct loam_folder *folder)
{
    for (size_t i = 0; i < folder->count; i++) {
        free(folder->files[i].name);
        free(folder->files[i].path);
    }
    for (size_t i = 0; i < folder->left_out_count; i++)
        free(folder->left_out[i]);
    free(folder->left_out);
    free(folder->files);
    *folder = (struct loam_folder){0};
}

struct loam_folder_file *loam_folder_find(const struct loam_folder *folder, const char *name)
{
    for (size_t i = 0; i < folder->count; i++)
        if (strcmp(folder->files[i].name, name) == 0) return &folder->files[i];
    return NULL;
}
