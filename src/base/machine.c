#include "base/machine.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_SIZE = 4096, TEXT_SIZE = 16384 };

// The files of the two versions of control groups that describe memory.
struct group_files {
    const char *mount;
    const char *limit;
    const char *usage;
    const char *cached[2]; // keys of memory.stat: cached file pages, which the kernel frees on demand
};
static const struct group_files version_1 = {"/sys/fs/cgroup/memory",
                                             "memory.limit_in_bytes",
                                             "memory.usage_in_bytes",
                                             {"total_inactive_file", "total_active_file"}};
static const struct group_files version_2 = {
    "/sys/fs/cgroup", "memory.max", "memory.current", {"inactive_file", "active_file"}};

// Reads the beginning of a small file as a string. False if the file is missing or empty.
static bool read_text(const char *path, char text[TEXT_SIZE])
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return false;
    size_t used = 0;
    ssize_t got;
    while (used < TEXT_SIZE - 1 && (got = read(descriptor, text + used, TEXT_SIZE - 1 - used)) > 0)
        used += (size_t)got;
    close(descriptor);
    text[used] = '\0';
    return used > 0;
}

static bool read_below(const char *directory, const char *name, char text[TEXT_SIZE])
{
    char path[PATH_SIZE];
    int size = snprintf(path, sizeof path, "%s/%s", directory, name);
    return size > 0 && size < PATH_SIZE && read_text(path, text);
}

// The whole number at the start of `text`; `none` if there is no number, as in "max".
static size_t parse_number(const char *text, size_t none)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    return end == text || value > SIZE_MAX ? none : (size_t)value;
}

// The number on the line that begins with `key`; 0 if there is no such line.
static size_t find_number(const char *text, const char *key)
{
    size_t length = strlen(key);
    for (const char *line = text; line != NULL && *line != '\0';) {
        if (strncmp(line, key, length) == 0 && (line[length] == ' ' || line[length] == ':'))
            return parse_number(line + length + 1 + strspn(line + length + 1, " \t"), 0);
        line = strchr(line, '\n');
        if (line != NULL) line++;
    }
    return 0;
}

// ---- Control groups ----

// The memory that the limit of the group in `directory` leaves; SIZE_MAX if it sets no limit.
static size_t measure_group(const struct group_files *files, const char *directory)
{
    char text[TEXT_SIZE];
    if (!read_below(directory, files->limit, text)) return SIZE_MAX;
    size_t limit = parse_number(text, SIZE_MAX);
    if (limit == SIZE_MAX || !read_below(directory, files->usage, text)) return SIZE_MAX;
    size_t used = parse_number(text, 0), cached = 0;
    if (read_below(directory, "memory.stat", text))
        cached = find_number(text, files->cached[0]) + find_number(text, files->cached[1]);
    used = cached < used ? used - cached : 0;
    return used < limit ? limit - used : 0;
}

// The least memory that the group at `path` and its parents leave. Inside a container the path may not exist;
// only the limit at the mount point is then found.
static size_t measure_parents(const char *root, const struct group_files *files, const char *path)
{
    char directory[PATH_SIZE];
    int size = snprintf(directory, sizeof directory, "%s%s%s", root, files->mount, path);
    size_t top = strlen(root) + strlen(files->mount);
    if (size < 0 || size >= PATH_SIZE) return SIZE_MAX;
    size_t least = SIZE_MAX;
    for (size_t length = (size_t)size; length >= top;) {
        directory[length] = '\0';
        size_t room = measure_group(files, directory);
        if (room < least) least = room;
        if (length == top) break;
        do
            length--;
        while (length > top && directory[length] != '/');
    }
    return least;
}

// Whether the list `controllers`, separated by commas, contains "memory".
static bool names_memory(const char *controllers, size_t size)
{
    static const char name[] = "memory";
    for (size_t i = 0; i + strlen(name) <= size; i++) {
        bool starts = i == 0 || controllers[i - 1] == ',';
        bool ends = i + strlen(name) == size || controllers[i + strlen(name)] == ',';
        if (starts && ends && memcmp(controllers + i, name, strlen(name)) == 0) return true;
    }
    return false;
}

// The least memory that any group of the process leaves. /proc/self/cgroup has lines "id:controllers:path";
// version 2 has the line "0::path".
static size_t measure_groups(const char *root)
{
    char text[TEXT_SIZE];
    size_t least = SIZE_MAX;
    if (!read_below(root, "proc/self/cgroup", text)) return least;
    for (char *line = text, *end; *line != '\0'; line = end) {
        end = line + strcspn(line, "\n");
        if (*end == '\n') *end++ = '\0';
        char *controllers = strchr(line, ':');
        char *path = controllers != NULL ? strchr(++controllers, ':') : NULL;
        if (path == NULL) continue;
        size_t size = (size_t)(path++ - controllers);
        const struct group_files *files = size == 0                         ? &version_2
                                          : names_memory(controllers, size) ? &version_1
                                                                            : NULL;
        size_t room = SIZE_MAX;
        if (files != NULL) room = measure_parents(root, files, strcmp(path, "/") == 0 ? "" : path);
        if (room < least) least = room;
    }
    return least;
}

// ---- The process ----

struct loam_machine_memory loam_machine_measure_memory(const char *root)
{
    static const size_t kibi = 1024;
    struct loam_machine_memory memory = {.available = SIZE_MAX, .by = "this machine"};
    char text[TEXT_SIZE];
    if (read_below(root, "proc/self/status", text)) {
        memory.resident = kibi * find_number(text, "VmRSS");
        memory.peak = kibi * find_number(text, "VmHWM");
    }
    size_t available = read_below(root, "proc/meminfo", text) ? find_number(text, "MemAvailable") : 0;
    if (available > 0) memory.available = kibi * available;
    size_t room = measure_groups(root);
    if (room < memory.available) {
        memory.available = room;
        memory.by = "its control group";
    }
    return memory;
}
