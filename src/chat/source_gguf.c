#include "chat/source_gguf.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/heap.h"
#include "io/gguf.h"

static const char key[] = "tokenizer.chat_template"; // a named template has ".NAME" behind it
enum { KEY_SIZE = sizeof key - 1 };

// The name of the template that an entry holds, "" for the one without a name; NULL: the entry holds no template.
static const char *find_name(const struct loam_metadata *entry)
{
    if (strncmp(entry->key, key, KEY_SIZE) != 0) return NULL;
    const char *rest = entry->key + KEY_SIZE;
    return rest[0] == '\0' ? rest : rest[0] == '.' && rest[1] != '\0' ? rest + 1 : NULL;
}

static const struct loam_metadata *find_entry(const struct loam_stored_list *list, const char *name)
{
    for (size_t i = 0; i < list->metadata_count; i++) {
        const char *found = find_name(&list->metadata[i]);
        if (found != NULL && strcmp(found, name) == 0) return &list->metadata[i];
    }
    return NULL;
}

static enum loam_status append_names(const struct loam_stored_list *list, struct loam_bytes *names,
                                     struct loam_error *error)
{
    for (size_t i = 0; i < list->metadata_count; i++) {
        const char *name = find_name(&list->metadata[i]);
        if (name == NULL || name[0] == '\0') continue;
        LOAM_TRY(loam_bytes_append_text(names, names->size > 0 ? ", " : "", error));
        LOAM_TRY(loam_bytes_append_text(names, name, error));
    }
    return LOAM_OK;
}

// Names the templates that the file has.
static enum loam_status fail_name(const struct loam_stored_list *list, const char *path, const char *name,
                                  struct loam_error *error)
{
    struct loam_bytes names = {0};
    enum loam_status status = append_names(list, &names, error);
    if (status == LOAM_OK && names.size == 0 && find_entry(list, "") == NULL)
        status = loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                           "%s has no chat template: its metadata has no \"%s\"", path, key);
    else if (status == LOAM_OK && name[0] == '\0')
        status = loam_fail(error, LOAM_ERROR_USAGE,
                           "every chat template of %s has a name: %s; choose one with %s:NAME", path,
                           names.data, path);
    else if (status == LOAM_OK)
        status = loam_fail(error, LOAM_ERROR_USAGE, "%s has no chat template \"%s\"; its named ones: %s",
                           path, name, names.size > 0 ? names.data : "none");
    loam_bytes_deinit(&names);
    return status;
}

static enum loam_status take(const struct loam_stored_list *list, const char *path, const char *name,
                             bool has_tools, struct loam_bytes *text, char **origin, struct loam_error *error)
{
    if (name == NULL) name = has_tools && find_entry(list, "tool_use") != NULL ? "tool_use" : "";
    const struct loam_metadata *found = find_entry(list, name);
    if (found == NULL) return fail_name(list, path, name, error);
    if (found->is_number)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"%s\" is a number; expected a text", path,
                         found->key);
    *origin =
        name[0] == '\0' ? loam_strdup(path, error) : loam_format(error, "%s, template \"%s\"", path, name);
    return *origin == NULL ? loam_failure(error) : loam_bytes_append_text(text, found->text, error);
}

// Takes a template if the file is GGUF.
static enum loam_status read_file(const char *path, const char *name, bool has_tools, struct loam_bytes *text,
                                  char **origin, struct loam_error *error)
{
    struct loam_stored_list list = {0};
    struct loam_map map;
    LOAM_TRY(loam_map_open(&map, path, false, error));
    enum loam_status status = LOAM_OK;
    if (loam_gguf_is(&map)) {
        status = loam_gguf_read_metadata(&list, path, &map, error);
        if (status == LOAM_OK) status = take(&list, path, name, has_tools, text, origin, error);
    }
    loam_stored_list_deinit(&list);
    loam_map_close(&map);
    return status;
}

enum loam_status loam_chat_source_gguf(const char *value, bool has_tools, struct loam_bytes *text,
                                       char **origin, struct loam_error *error)
{
    *origin = NULL;
    if (loam_file_exists(value)) return read_file(value, NULL, has_tools, text, origin, error);
    const char *colon = strrchr(value, ':');
    if (colon == NULL) return LOAM_OK;
    char *path = loam_strndup(value, (size_t)(colon - value), error);
    if (path == NULL) return loam_failure(error);
    const enum loam_status status =
        loam_file_exists(path) ? read_file(path, colon + 1, has_tools, text, origin, error) : LOAM_OK;
    free(path);
    return status;
}
