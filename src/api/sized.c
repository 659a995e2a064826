#include "api/sized.h"

#include <string.h>

enum loam_status loam_require_path(const char *path, const char *what, struct loam_error *error)
{
    LOAM_TRY(loam_require(path, what, error));
    if (path[0] != '\0') return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_ARGUMENT, "%s is empty: expected a path", what);
}

static enum loam_status check(const void *caller, const char *name, size_t *size, struct loam_error *error)
{
    LOAM_TRY(loam_require(caller, name, error));
    memcpy(size, caller, sizeof *size);
    if (*size >= sizeof *size && *size <= LOAM_SIZED_LIMIT) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_ARGUMENT,
                     "struct %s: its size is %zu; set it to sizeof(struct %s), as its _INIT macro does", name,
                     *size, name);
}

enum loam_status loam_sized_read(void *target, size_t target_size, const void *source, const char *name,
                                 struct loam_error *error)
{
    const char *bytes = source;
    size_t size = 0;
    LOAM_TRY(check(source, name, &size, error));
    for (size_t i = target_size; i < size; i++)
        if (bytes[i] != 0)
            return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                             "struct %s has a field at byte %zu that loam %s does not know: use a newer "
                             "library, or leave it 0",
                             name, i, LOAM_VERSION);
    memset(target, 0, target_size);
    memcpy(target, source, size < target_size ? size : target_size);
    return LOAM_OK;
}

enum loam_status loam_sized_write(void *target, const void *source, size_t source_size, const char *name,
                                  struct loam_error *error)
{
    size_t size = 0;
    LOAM_TRY(check(target, name, &size, error));
    memset((char *)target + sizeof size, 0, size - sizeof size);
    const size_t known = size < source_size ? size : source_size;
    memcpy((char *)target + sizeof size, (const char *)source + sizeof size, known - sizeof size);
    return LOAM_OK;
}
