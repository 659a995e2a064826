// The kernels as a program of the device: from the cache, or built by its driver from the sources.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "device/gpu/opencl/host.h"
#include "device/gpu/sources.h"

static const struct {
    const char *name;
    bool needs_warps;
} kernels[LOAM_KERNEL_COUNT] = {
#define LOAM_KERNEL(name, buffers) [LOAM_KERNEL_##name] = {"loam_kernel_" #name, false},
#define LOAM_WARP_KERNEL(name, buffers) [LOAM_KERNEL_##name] = {"loam_kernel_" #name, true},
#include "device/gpu/kernels/kernel_list.def"
#undef LOAM_KERNEL
};

// ---- one text of all sources ----

enum { MOST_SOURCES = 64 };

struct sources {
    struct loam_bytes text;
    bool taken[MOST_SOURCES];
};

// The number of an embedded source; -1: it is of another dialect, or there already.
static int take(struct sources *sources, const char *name, size_t bytes)
{
    for (int i = 0; i < loam_gpu_source_count && i < MOST_SOURCES; i++) {
        const char *known = loam_gpu_sources[i].name;
        if (strncmp(known, name, bytes) != 0 || known[bytes] != '\0') continue;
        if (sources->taken[i] || strstr(known, "dialect_cuda") != NULL) return -1;
        sources->taken[i] = true;
        return i;
    }
    return -1;
}

// Appends a source with the files that it includes in their places, since not all drivers of OpenCL 1.2 take named headers.
// #line lets the compiler's messages name the file.
static enum loam_status append_source(struct sources *sources, int number, struct loam_error *error)
{
    static const char INCLUDE[] = "#include \"";
    int line = 1;
    LOAM_TRY(loam_bytes_format(&sources->text, error, "#line 1 \"%s\"\n", loam_gpu_sources[number].name));
    for (const char *at = loam_gpu_sources[number].text; *at != '\0'; line++) {
        const size_t bytes = strcspn(at, "\n") + (at[strcspn(at, "\n")] == '\n');
        if (strncmp(at, INCLUDE, sizeof INCLUDE - 1) != 0) {
            LOAM_TRY(loam_bytes_append(&sources->text, at, bytes, error));
        } else {
            const char *name = at + sizeof INCLUDE - 1;
            const int included = take(sources, name, strcspn(name, "\"\n"));
            if (included >= 0) LOAM_TRY(append_source(sources, included, error));
            LOAM_TRY(loam_bytes_format(&sources->text, error, "#line %d \"%s\"\n", line + 1,
                                       loam_gpu_sources[number].name));
        }
        at += bytes;
    }
    return LOAM_OK;
}

// ---- the driver's compiler ----

// The line of the first error, or the first line of a log without one.
static enum loam_status fail_build(struct opencl_device *opencl, cl_result result, struct loam_error *error)
{
    const struct loam_opencl_api *api = &opencl->api;
    struct cl_device *device = opencl->found.device;
    char text[256];
    size_t bytes = 0;
    char *log = NULL;
    loam_opencl_describe(result, text, sizeof text);
    if (api->build_info(opencl->program, device, CL_PROGRAM_BUILD_LOG, 0, NULL, &bytes) == CL_SUCCESS)
        log = calloc(1, bytes + 1);
    if (log != NULL &&
        api->build_info(opencl->program, device, CL_PROGRAM_BUILD_LOG, bytes, log, NULL) != CL_SUCCESS)
        log[0] = '\0';
    const char *first = log != NULL ? strstr(log, "error") : NULL;
    while (first != NULL && first > log && first[-1] != '\n')
        first--;
    if (first == NULL) first = log != NULL ? log + strspn(log, "\n") : "";
    (void)loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                    "device %s (%s, driver %s) does not take the kernels: %s; its log: %.*s", opencl->name,
                    opencl->properties.name, opencl->properties.driver, text, (int)strcspn(first, "\n"),
                    first[0] != '\0' ? first : "empty");
    free(log);
    return LOAM_ERROR_UNSUPPORTED;
}

static const char *options_of(const struct opencl_device *opencl)
{
    return opencl->properties.rounded ? "-cl-std=CL1.2 -cl-fp32-correctly-rounded-divide-sqrt"
                                      : "-cl-std=CL1.2";
}

static cl_result build(struct opencl_device *opencl)
{
    return opencl->api.program_build(opencl->program, 1, &opencl->found.device, options_of(opencl), NULL,
                                     NULL);
}

static void release_program(struct opencl_device *opencl)
{
    if (opencl->program != NULL) (void)opencl->api.program_release(opencl->program);
    opencl->program = NULL;
}

static enum loam_status build_sources(struct opencl_device *opencl, struct loam_error *error)
{
    struct sources sources = {0};
    const int first = take(&sources, LOAM_GPU_MAIN_SOURCE, strlen(LOAM_GPU_MAIN_SOURCE));
    cl_result result = CL_SUCCESS;
    enum loam_status status = append_source(&sources, first, error);
    if (status == LOAM_OK) {
        const char *text = sources.text.data;
        opencl->program =
            opencl->api.program_from_source(opencl->context, 1, &text, &sources.text.size, &result);
        status = loam_opencl_check(result, opencl->name, error);
    }
    loam_bytes_deinit(&sources.text);
    LOAM_TRY(status);
    result = build(opencl);
    return result == CL_SUCCESS ? LOAM_OK : fail_build(opencl, result, error);
}

// ---- the cache ----

static bool build_code(struct opencl_device *opencl, const struct loam_bytes *code)
{
    cl_result result = CL_SUCCESS, loaded = CL_SUCCESS;
    const unsigned char *data = (const unsigned char *)code->data;
    opencl->program = opencl->api.program_from_code(opencl->context, 1, &opencl->found.device, &code->size,
                                                    &data, &loaded, &result);
    if (result == CL_SUCCESS) result = loaded;
    if (result == CL_SUCCESS) result = build(opencl);
    if (result != CL_SUCCESS) release_program(opencl);
    return result == CL_SUCCESS;
}

static bool take_code(const struct opencl_device *opencl, struct loam_bytes *code)
{
    const struct loam_opencl_api *api = &opencl->api;
    struct loam_error unread = {0};
    size_t bytes = 0;
    if (api->program_info(opencl->program, CL_PROGRAM_BINARY_SIZES, sizeof bytes, &bytes, NULL) !=
            CL_SUCCESS ||
        bytes == 0 || loam_bytes_reserve(code, bytes, &unread) != LOAM_OK)
        return false;
    code->size = bytes;
    return api->program_info(opencl->program, CL_PROGRAM_BINARIES, sizeof code->data, &code->data, NULL) ==
           CL_SUCCESS;
}

// The key of the code: a hash of the sources, the options, the device and its driver.
static uint64_t make_key(const struct opencl_device *opencl)
{
    const char *options = options_of(opencl);
    const struct opencl_properties *p = &opencl->properties;
    uint64_t key = loam_hash(LOAM_HASH_START, options, strlen(options));
    key = loam_hash(key, p->name, strlen(p->name) + 1);
    key = loam_hash(key, p->driver, strlen(p->driver) + 1);
    key = loam_hash(key, p->version, strlen(p->version) + 1);
    return loam_gpu_hash_sources(key);
}

// A CPU's driver compiles a kernel when it is launched, and keeps what it made. Asked for code, it would compile every
// kernel once more.
static bool keeps_code(const struct opencl_device *opencl)
{
    return (opencl->found.type & (CL_DEVICE_TYPE_GPU | CL_DEVICE_TYPE_ACCELERATOR)) == 0;
}

static enum loam_status make_program(struct opencl_device *opencl, struct loam_error *error)
{
    struct loam_gpu_cache cache;
    struct loam_bytes code = {0};
    enum loam_status status = LOAM_OK;
    (void)snprintf(opencl->code_from, sizeof opencl->code_from, "the driver's compiler");
    if (keeps_code(opencl)) return build_sources(opencl, error);
    loam_gpu_cache_init(&cache, "opencl", make_key(opencl));
    const bool cached = loam_gpu_cache_read(&cache, &code) && build_code(opencl, &code);
    if (!cached) {
        loam_bytes_clear(&code);
        status = build_sources(opencl, error);
        if (status == LOAM_OK && take_code(opencl, &code)) loam_gpu_cache_write(&cache, &code);
    }
    loam_bytes_deinit(&code);
    if (cached) (void)snprintf(opencl->code_from, sizeof opencl->code_from, "the driver's compiler, cached");
    return status;
}

// ---- the kernels ----

static enum loam_status make_kernel(struct opencl_device *opencl, int number, struct loam_error *error)
{
    const struct loam_opencl_api *api = &opencl->api;
    const char *name = kernels[number].name;
    cl_result result = CL_SUCCESS;
    size_t most = 0;
    opencl->kernels[number] = api->kernel_create(opencl->program, name, &result);
    LOAM_TRY(loam_opencl_check(result, name, error));
    LOAM_TRY(loam_opencl_check(api->kernel_info(opencl->kernels[number], opencl->found.device,
                                                CL_KERNEL_WORK_GROUP_SIZE, sizeof most, &most, NULL),
                               name, error));
    if (most >= BLOCK_THREADS) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                     "device %s runs at most %zu work-items of %s together, and %d are needed", opencl->name,
                     most, name, BLOCK_THREADS);
}

enum loam_status loam_opencl_load(struct opencl_device *opencl, struct loam_error *error)
{
    LOAM_TRY(make_program(opencl, error));
    for (int i = 0; i < LOAM_KERNEL_COUNT; i++)
        if (!kernels[i].needs_warps) LOAM_TRY(make_kernel(opencl, i, error));
    return LOAM_OK;
}
