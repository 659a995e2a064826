#include "commands/model_path.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/heap.h"

#define ADAPTER_FILES "adapter_config.json and adapter_model.safetensors"

static bool begins_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text), length = strlen(end);
    return size >= length && strcmp(text + size - length, end) == 0;
}

// ---- URLs ----

// Finds "ORG/NAME" in the address of a page of the hub: *size bytes at *id. False: another address.
static bool find_id(const char *url, const char **id, size_t *size)
{
    static const char *const hosts[] = {"https://huggingface.co/", "http://huggingface.co/", "https://hf.co/",
                                        "hf://"};
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        if (!begins_with(url, hosts[i])) continue;
        *id = url + strlen(hosts[i]);
        const size_t owner = strcspn(*id, "/?#");
        if (owner == 0 || (*id)[owner] != '/') return false;
        *size = owner + 1 + strcspn(*id + owner + 1, "/?#@");
        return *size > owner + 1;
    }
    return false;
}

static enum loam_status refuse_url(const char *option, const char *url, struct loam_error *error)
{
    const char *id;
    size_t size;
    if (find_id(url, &id, &size))
        return loam_fail(error, LOAM_ERROR_USAGE, "%s%s: expected a name, not an address: %s%.*s", option,
                         url, option, (int)size, id);
    return loam_fail(error, LOAM_ERROR_USAGE,
                     "%s%s: expected a directory, or a name on the hub (ORG/NAME); download from other "
                     "addresses first",
                     option, url);
}

// ---- Files and directories ----

static bool is_gguf(const char *path)
{
    struct loam_map map;
    struct loam_error ignored;
    if (loam_map_open(&map, path, false, &ignored) != LOAM_OK) return false;
    const bool gguf = map.size >= 4 && memcmp(map.data, "GGUF", 4) == 0;
    loam_map_close(&map);
    return gguf;
}

// Refuses a file where a directory with `files` is expected.
static enum loam_status refuse_file(const char *option, const char *path, const char *files,
                                    struct loam_error *error)
{
    const char *slash = strrchr(path, '/');
    char *directory = slash == NULL ? loam_strdup(".", error)
                                    : loam_strndup(path, slash == path ? 1 : (size_t)(slash - path), error);
    if (directory == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status =
        loam_fail(error, LOAM_ERROR_ARGUMENT, "%s%s is a file: expected the directory that has %s: %s%s",
                  option, path, files, option, directory);
    free(directory);
    return status;
}

static enum loam_status refuse_model_file(const char *option, const char *path, struct loam_error *error)
{
    if (is_gguf(path) || ends_with(path, ".gguf"))
        return loam_fail(
            error, LOAM_ERROR_UNSUPPORTED,
            "%s%s: loam does not read GGUF files; use the model that it was made from, a directory with "
            "config.json, *.safetensors and tokenizer.json",
            option, path);
    return refuse_file(option, path, "config.json, *.safetensors and tokenizer.json", error);
}

static enum loam_status find_file(const char *directory, const char *name, bool *exists,
                                  struct loam_error *error)
{
    char *path = loam_path_join(directory, name, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    *exists = loam_file_exists(path);
    free(path);
    return LOAM_OK;
}

enum kind { NEITHER, MODEL, ADAPTER };

// Finds whether a directory is a model or an adapter. With both files or neither it is NEITHER.
static enum loam_status find_kind(const char *path, enum kind *kind, struct loam_error *error)
{
    bool model = false, adapter = false;
    LOAM_TRY(find_file(path, "config.json", &model, error));
    LOAM_TRY(find_file(path, "adapter_config.json", &adapter, error));
    *kind = model == adapter ? NEITHER : model ? MODEL : ADAPTER;
    return LOAM_OK;
}

static bool is_url(const char *path)
{
    return begins_with(path, "http://") || begins_with(path, "https://") || begins_with(path, "hf://");
}

static bool is_adapter_config(const char *path)
{
    const char *slash = strrchr(path, '/');
    return strcmp(slash == NULL ? path : slash + 1, "adapter_config.json") == 0;
}

enum loam_status loam_model_path_check(const char *path, enum loam_command command, struct loam_error *error)
{
    const bool bare = command == LOAM_COMMAND_INSPECT;
    const char *option = bare ? "" : "--model ";
    if (is_url(path)) return refuse_url(option, path, error);
    if (loam_file_exists(path) && is_adapter_config(path))
        return refuse_file(bare ? "" : "--adapter ", path, ADAPTER_FILES, error);
    if (loam_file_exists(path) && !(bare && ends_with(path, ".json")))
        return refuse_model_file(option, path, error);
    if (bare || command == LOAM_COMMAND_TOKENIZE || !loam_directory_exists(path)) return LOAM_OK;
    enum kind kind;
    LOAM_TRY(find_kind(path, &kind, error));
    if (kind != ADAPTER) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_ARGUMENT,
                     "--model %s is an adapter: pass it as --adapter %s, and its base as --model", path,
                     path);
}

enum loam_status loam_adapter_path_check(const char *option, const char *path, struct loam_error *error)
{
    if (is_url(path)) return refuse_url(option, path, error);
    if (loam_file_exists(path)) return refuse_file(option, path, ADAPTER_FILES, error);
    enum kind kind;
    LOAM_TRY(find_kind(path, &kind, error));
    if (kind != MODEL) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_ARGUMENT,
                     "%s%s is a model and has no adapter_config.json: pass it as --model %s", option, path,
                     path);
}
