#include "fuzz.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

enum { PATH_SIZE = 512, NAMES = 16 };

static char directory[PATH_SIZE / 2];
static char path[PATH_SIZE];
static const char *names[NAMES]; // of the files in the directory, as string literals

_Noreturn void fuzz_violated(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
    abort();
}

void fuzz_require_message(enum loam_status status, const struct loam_error *error)
{
    if (status == LOAM_OK) return;
    fuzz_require(status == error->status);
    fuzz_require(status != LOAM_ERROR_INTERNAL);
    fuzz_require(error->message[0] != '\0');
    fuzz_require(memchr(error->message, '\0', sizeof error->message) != NULL);
    fuzz_require(strchr(error->message, '\n') == NULL);
}

// ---- Files ----

static const char *path_of(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", fuzz_directory(), name);
    return path;
}

void fuzz_remove(const char *name)
{
    (void)unlink(path_of(name));
}

static void remove_directory(void)
{
    for (int i = 0; i < NAMES && names[i] != NULL; i++)
        fuzz_remove(names[i]);
    (void)rmdir(directory);
}

const char *fuzz_directory(void)
{
    if (directory[0] != '\0') return directory;
    const char *root = getenv("TMPDIR");
    if (root == NULL) root = loam_directory_exists("/dev/shm") ? "/dev/shm" : "/tmp";
    snprintf(directory, sizeof directory, "%s/loam-fuzz-XXXXXX", root);
    fuzz_require(mkdtemp(directory) != NULL);
    fuzz_require(atexit(remove_directory) == 0);
    return directory;
}

static void remember(const char *name)
{
    int i = 0;
    while (i < NAMES && names[i] != NULL && strcmp(names[i], name) != 0)
        i++;
    fuzz_require(i < NAMES);
    names[i] = name;
}

const char *fuzz_write(const char *name, const void *data, size_t size)
{
    remember(name);
    FILE *file = fopen(path_of(name), "wb");
    fuzz_require(file != NULL);
    fuzz_require(size == 0 || fwrite(data, 1, size, file) == size);
    fuzz_require(fclose(file) == 0);
    return path;
}

// ---- Parts ----

struct fuzz_part fuzz_next_part(struct fuzz_part *rest, int last)
{
    const uint8_t *end = last || rest->size == 0 ? NULL : memchr(rest->data, 0xFF, rest->size);
    struct fuzz_part part = *rest;
    if (end != NULL) part.size = (size_t)(end - rest->data);
    size_t taken = end != NULL ? part.size + 1 : part.size;
    *rest = (struct fuzz_part){rest->data + taken, rest->size - taken};
    return part;
}
