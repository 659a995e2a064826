#include "device/registry.h"

#include <loam.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"

enum { MAX_THREADS = 1024, MOST_DEVICES = 1000 }; // of a kind: the number has at most three digits

// ---- the table ----

static enum loam_status create_cpu(struct loam_device **out, int index, int threads, struct loam_error *error)
{
    (void)index;
    return loam_device_cpu_create(out, threads, error);
}

static enum loam_status create_ref(struct loam_device **out, int index, int threads, struct loam_error *error)
{
    (void)index;
    return loam_device_ref_create(out, threads, error);
}

static void describe_host(int index, struct loam_device_entry *entry)
{
    (void)index;
    const long pages = sysconf(_SC_PHYS_PAGES), bytes = sysconf(_SC_PAGESIZE);
    if (pages > 0 && bytes > 0) entry->total_memory = (uint64_t)pages * (uint64_t)bytes;
}

static void describe_ref(int index, struct loam_device_entry *entry)
{
    describe_host(index, entry);
    (void)snprintf(entry->model, sizeof entry->model, "plain operations, slow and exact");
}

static const struct loam_backend cpu_backend = {
    .name = "cpu", .create = create_cpu, .describe = describe_host};
static const struct loam_backend ref_backend = {
    .name = "ref", .create = create_ref, .describe = describe_ref};

// "auto" asks the automatic ones in this order. The numbered ones come last.
static const struct loam_backend *const backends[] = {&cpu_backend, &ref_backend, &loam_cuda_backend,
                                                      &loam_opencl_backend};
enum { BACKEND_COUNT = sizeof backends / sizeof backends[0] };

const struct loam_backend *loam_backend_at(size_t index)
{
    return index < BACKEND_COUNT ? backends[index] : NULL;
}

const char *loam_device_name(size_t index)
{
    return index < BACKEND_COUNT && !backends[index]->numbered ? backends[index]->name : NULL;
}

// ---- names ----

static enum loam_status fail_name(const char *name, struct loam_error *error)
{
    struct loam_bytes known = {0};
    enum loam_status status = loam_bytes_append_text(&known, "auto", error);
    for (size_t i = 0; i < BACKEND_COUNT && status == LOAM_OK; i++)
        status = loam_bytes_format(&known, error, "%s%s%s", i + 1 < BACKEND_COUNT ? ", " : " or ",
                                   backends[i]->name, backends[i]->numbered ? "[:N]" : "");
    if (status == LOAM_OK)
        status = loam_fail(error, LOAM_ERROR_ARGUMENT, "device \"%s\" does not exist: expected %s", name,
                           known.data);
    loam_bytes_deinit(&known);
    return status;
}

// ":12" as 12, an empty text as 0; -1: neither.
static int parse_number(const char *text)
{
    int number = 0;
    if (text[0] == '\0') return 0;
    if (text[0] != ':' || text[1] == '\0') return -1;
    for (const char *digit = text + 1; *digit != '\0'; digit++) {
        if (*digit < '0' || *digit > '9') return -1;
        number = 10 * number + (*digit - '0');
        if (number >= MOST_DEVICES) return -1;
    }
    return number;
}

// The backend of a name, and the number in it; NULL: there is none.
static const struct loam_backend *find_backend(const char *name, int *index)
{
    const size_t size = strcspn(name, ":");
    for (size_t i = 0; i < BACKEND_COUNT; i++) {
        if (strlen(backends[i]->name) != size || strncmp(backends[i]->name, name, size) != 0) continue;
        *index = parse_number(name + size);
        if (*index >= 0 && (backends[i]->numbered || name[size] == '\0')) return backends[i];
    }
    return NULL;
}

static bool is_automatic(const char *name)
{
    return strcmp(name, "auto") == 0;
}

enum loam_status loam_device_name_check(const char *name, struct loam_error *error)
{
    int index;
    return is_automatic(name) || find_backend(name, &index) != NULL ? LOAM_OK : fail_name(name, error);
}

// ---- creation ----

// As OpenMP starts: OMP_NUM_THREADS, else the cores that the process may use. omp_get_max_threads() answers
// for the calling thread, whose setting may be the caller's own.
static int default_threads(void)
{
    const char *text = getenv("OMP_NUM_THREADS");
    long wanted = text != NULL ? strtol(text, NULL, 10) : 0;
    if (wanted >= 1 && wanted <= MAX_THREADS) return (int)wanted;
    int cores = omp_get_num_procs();
    return cores < MAX_THREADS ? cores : MAX_THREADS;
}

// Creates the first automatic device that can be used, or else the CPU. `passed_over` gets why the first automatic device
// that exists is not used; empty: it is used, or none exists.
static enum loam_status find_automatic(struct loam_device **out, int threads, char *passed_over, size_t bytes,
                                       struct loam_error *error)
{
    struct loam_error reason;
    passed_over[0] = '\0';
    for (size_t i = 0; i < BACKEND_COUNT; i++)
        for (int index = 0; backends[i]->automatic && index < MOST_DEVICES; index++) {
            if (!backends[i]->exists(index, &reason)) break;
            const enum loam_status status = backends[i]->create(out, index, threads, &reason);
            if (status == LOAM_OK) return LOAM_OK;
            if (passed_over[0] == '\0')
                (void)snprintf(passed_over, bytes, "%s:%d cannot be used: %s", backends[i]->name, index,
                               reason.message);
        }
    return create_cpu(out, 0, threads, error);
}

enum loam_status loam_device_create(struct loam_device **out, const char *name, int threads,
                                    struct loam_error *error)
{
    int index;
    *out = NULL;
    if (threads < 0 || threads > MAX_THREADS) {
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "%d threads: expected 0 (one for each core) to %d",
                         threads, (int)MAX_THREADS);
    }
    if (threads == 0) threads = default_threads();
    if (is_automatic(name)) {
        char passed_over[sizeof(*out)->passed_over];
        LOAM_TRY(find_automatic(out, threads, passed_over, sizeof passed_over, error));
        memcpy((*out)->passed_over, passed_over, sizeof passed_over);
        return LOAM_OK;
    }
    const struct loam_backend *backend = find_backend(name, &index);
    if (backend == NULL) return fail_name(name, error);
    return backend->create(out, index, threads, error);
}

// A driver that is broken has a reason, too. Creating the device gives the message for users.
enum loam_status loam_device_find(const char *name, struct loam_error *error)
{
    int index;
    struct loam_error reason;
    struct loam_device *device;
    const struct loam_backend *backend = find_backend(name, &index);
    if (backend == NULL || backend->exists == NULL) return LOAM_OK;
    if (backend->exists(index, &reason) && reason.status == LOAM_OK) return LOAM_OK;
    LOAM_TRY(backend->create(&device, index, 1, error));
    loam_device_destroy(device);
    return LOAM_OK;
}

// ---- entries ----

// A driver's text may hold any bytes, and one that is cut may end within a character.
static void clean(char *text)
{
    text[loam_make_printable(text, strlen(text))] = '\0';
}

void loam_device_entry_init(struct loam_device_entry *entry, const struct loam_backend *backend, int index)
{
    struct loam_device *device;
    *entry = (struct loam_device_entry){.free_memory = UINT64_MAX};
    if (backend->numbered)
        (void)snprintf(entry->name, sizeof entry->name, "%s:%d", backend->name, index);
    else
        (void)snprintf(entry->name, sizeof entry->name, "%s", backend->name);
    backend->describe(index, entry);
    clean(entry->driver);
    clean(entry->model);
    if (backend->create(&device, index, default_threads(), &entry->reason) != LOAM_OK) return;
    struct loam_machine machine = {0};
    if (device->describe != NULL) device->describe(device, &machine);
    if (entry->model[0] == '\0') (void)snprintf(entry->model, sizeof entry->model, "%s", machine.processor);
    clean(entry->model);
    const size_t free_bytes = loam_device_free_memory(device).bytes;
    if (free_bytes != SIZE_MAX) entry->free_memory = free_bytes;
    entry->formats = device->formats;
    if (device->code_from != NULL) (void)snprintf(entry->code, sizeof entry->code, "%s", device->code_from);
    loam_device_destroy(device);
}
