#include "base/expand.h"

#include <ctype.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/heap.h"

enum {
    ENTRY_SIZE = 16 << 10, // bytes of an entry of the user database
    NAME_MAX_SIZE = 256,   // bytes of the name of a user or a variable
};

// The user's home directory in the user database; "" if it is unknown, NULL on lack of memory.
static char *listed_home(const char *name, size_t size, struct loam_error *error)
{
    char user[NAME_MAX_SIZE] = "";
    struct passwd entry, *found = NULL;
    if (size >= sizeof user) return loam_strdup("", error);
    memcpy(user, name, size);
    char *buffer = loam_calloc(ENTRY_SIZE, 1, error);
    if (buffer == NULL) return NULL;
    int failed = size == 0 ? getpwuid_r(getuid(), &entry, buffer, ENTRY_SIZE, &found)
                           : getpwnam_r(user, &entry, buffer, ENTRY_SIZE, &found);
    char *home = loam_strdup(failed == 0 && found != NULL ? entry.pw_dir : "", error);
    free(buffer);
    return home;
}

// Appends the home directory for "~" or "~user" at the beginning of `path`, and moves `path` past it.
static enum loam_status expand_user(struct loam_bytes *out, const char **path, struct loam_error *error)
{
    if ((*path)[0] != '~') return LOAM_OK;
    size_t size = strcspn(*path, "/");
    const char *variable = size == 1 ? getenv("HOME") : NULL;
    char *home = variable != NULL ? loam_strdup(variable, error) : listed_home(*path + 1, size - 1, error);
    if (home == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = LOAM_OK;
    if (variable != NULL || home[0] != '\0') {
        size_t length = strlen(home);
        while (length > 0 && home[length - 1] == '/')
            length--;
        *path += size;
        status = loam_bytes_append(out, home, length, error);
        if (status == LOAM_OK && length == 0 && (*path)[0] == '\0')
            status = loam_bytes_append_text(out, "/", error);
    }
    free(home);
    return status;
}

// The value of the variable at the start of `text`, "$NAME" or "${NAME}"; NULL if there is none. `*size`
// receives the bytes of the reference.
static const char *find_variable(const char *text, size_t *size)
{
    char name[NAME_MAX_SIZE];
    const bool braces = text[1] == '{';
    const char *start = text + 1 + braces;
    size_t length = 0;
    if (braces)
        length = strcspn(start, "}");
    else
        while (isalnum((unsigned char)start[length]) || start[length] == '_')
            length++;
    *size = 1;
    if (length == 0 || length >= sizeof name || (braces && start[length] != '}')) return NULL;
    memcpy(name, start, length);
    name[length] = '\0';
    *size = 1 + length + 2 * (size_t)braces;
    return getenv(name);
}

static enum loam_status expand_variables(struct loam_bytes *out, const char *text, struct loam_error *error)
{
    while (*text != '\0') {
        size_t size = strcspn(text, "$");
        const char *value = NULL;
        if (size == 0) value = find_variable(text, &size);
        LOAM_TRY(value != NULL ? loam_bytes_append_text(out, value, error)
                               : loam_bytes_append(out, text, size, error));
        text += size;
    }
    return LOAM_OK;
}

char *loam_path_expand(const char *path, struct loam_error *error)
{
    struct loam_bytes whole = {0}, out = {0};
    enum loam_status status = expand_user(&whole, &path, error);
    if (status == LOAM_OK) status = loam_bytes_append_text(&whole, path, error);
    if (status == LOAM_OK) status = loam_bytes_reserve(&out, whole.size, error);
    if (status == LOAM_OK) status = expand_variables(&out, whole.data, error);
    loam_bytes_deinit(&whole);
    if (status == LOAM_OK) return out.data;
    loam_bytes_deinit(&out);
    return NULL;
}
