#include "device/gpu/cuda/code.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "device/gpu/sources.h"

struct nvrtc_program;

// NVRTC, opened at run time.
struct nvrtc {
    void *library;
    int major, minor;
#define NVRTC_CALL(member, symbol, parameters) unsigned(*member) parameters;
#include "device/gpu/cuda/nvrtc_list.def"
#undef NVRTC_CALL
};

static const struct {
    const char *symbol;
    size_t offset; // of the member
} calls[] = {
#define NVRTC_CALL(member, symbol, parameters) {#symbol, offsetof(struct nvrtc, member)},
#include "device/gpu/cuda/nvrtc_list.def"
#undef NVRTC_CALL
};

enum { NEWEST_NVRTC = 13, OLDEST_NVRTC = 12 };

// ---- the compiler ----

// The function that is missing or fails; NULL: none.
static const char *find_functions(struct nvrtc *nvrtc)
{
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        void *const function = dlsym(nvrtc->library, calls[i].symbol);
        if (function == NULL) return calls[i].symbol;
        memcpy((char *)nvrtc + calls[i].offset, &function, sizeof function);
    }
    return nvrtc->version(&nvrtc->major, &nvrtc->minor) == 0 ? NULL : "nvrtcVersion";
}

// Why a library cannot be used, for messages; empty: there is none.
struct nvrtc_refusal {
    char text[512];
};

// Opens the library of a major version.
static bool open_version(struct nvrtc *nvrtc, int major, struct nvrtc_refusal *refusal)
{
    char name[32];
    (void)snprintf(name, sizeof name, "libnvrtc.so.%d", major);
    *nvrtc = (struct nvrtc){.library = dlopen(name, RTLD_NOW | RTLD_LOCAL)};
    if (nvrtc->library == NULL) {
        // The text begins with the name alone where there is no such file, and with a path or another name elsewhere.
        const char *reason = dlerror();
        if (reason != NULL && strncmp(reason, name, strlen(name)) != 0)
            (void)snprintf(refusal->text, sizeof refusal->text, "%s cannot be loaded (%s); ", name, reason);
        return false;
    }
    const char *missing = find_functions(nvrtc);
    if (missing == NULL) return true;
    (void)snprintf(refusal->text, sizeof refusal->text, "%s has no %s that works; ", name, missing);
    (void)dlclose(nvrtc->library);
    return false;
}

// A driver takes code of the compilers of its own major version and of those before it.
static enum loam_status open_nvrtc(struct nvrtc *nvrtc, int driver_version, struct loam_error *error)
{
    const int driver_major = driver_version / 1000;
    const int wanted = driver_major < NEWEST_NVRTC ? driver_major : NEWEST_NVRTC;
    struct nvrtc_refusal refusal = {""};
    for (int major = wanted; major >= OLDEST_NVRTC; major--)
        if (open_version(nvrtc, major, &refusal)) return LOAM_OK;
    return loam_fail(
        error, LOAM_ERROR_UNSUPPORTED,
        "no compiler for the GPU's kernels: %sinstall NVRTC %d (libnvrtc.so.%d), which is part of the "
        "CUDA toolkit; the NVIDIA driver supports CUDA %d.%d",
        refusal.text, wanted, wanted, driver_major, driver_version % 1000 / 10);
}

// The line of the first error, or the first line of a log without one.
static enum loam_status fail_compilation(const struct nvrtc *nvrtc, struct nvrtc_program *program,
                                         const char *architecture, struct loam_error *error)
{
    size_t bytes = 0;
    char *log = NULL;
    if (nvrtc->log_size(program, &bytes) == 0 && bytes > 1) log = calloc(1, bytes + 1);
    if (log != NULL && nvrtc->log(program, log) != 0) log[0] = '\0';
    const char *first = log != NULL ? strstr(log, "error") : NULL;
    if (first == NULL) first = log != NULL ? log : "it gives no reason";
    (void)loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                    "NVRTC %d.%d does not compile the kernels (%s): %.*s; install a newer one", nvrtc->major,
                    nvrtc->minor, architecture, (int)strcspn(first, "\n"), first);
    free(log);
    return LOAM_ERROR_UNSUPPORTED;
}

static enum loam_status take_code(const struct nvrtc *nvrtc, struct nvrtc_program *program,
                                  struct loam_bytes *code, struct loam_error *error)
{
    size_t bytes = 0;
    if (nvrtc->code_size(program, &bytes) != 0 || bytes == 0)
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED, "NVRTC gives no code for the GPU's kernels");
    LOAM_TRY(loam_bytes_reserve(code, bytes, error));
    if (nvrtc->code(program, code->data) != 0)
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED, "NVRTC gives no code for the GPU's kernels");
    code->size = bytes;
    return LOAM_OK;
}

static enum loam_status compile(const struct nvrtc *nvrtc, const char *architecture, struct loam_bytes *code,
                                struct loam_error *error)
{
    struct nvrtc_program *program = NULL;
    const char *main_text = NULL;
    const size_t count = (size_t)loam_gpu_source_count;
    const char **texts = loam_calloc(2 * count, sizeof *texts, error);
    if (texts == NULL) return LOAM_ERROR_MEMORY;
    const char **const names = texts + count;
    for (size_t i = 0; i < count; i++) {
        names[i] = loam_gpu_sources[i].name;
        texts[i] = loam_gpu_sources[i].text;
        if (strcmp(names[i], LOAM_GPU_MAIN_SOURCE) == 0) main_text = texts[i];
    }
    enum loam_status status = LOAM_OK;
    if (nvrtc->create(&program, main_text, LOAM_GPU_MAIN_SOURCE, (int)count, texts, names) != 0)
        status = loam_fail(error, LOAM_ERROR_UNSUPPORTED, "NVRTC does not take the kernels");
    else if (nvrtc->compile(program, 1, &architecture) != 0)
        status = fail_compilation(nvrtc, program, architecture, error);
    else
        status = take_code(nvrtc, program, code, error);
    if (program != NULL) (void)nvrtc->destroy(&program);
    free(texts);
    return status;
}

// ---- the code ----

// Of the sources, the compiler and the architecture.
static uint64_t make_key(const struct nvrtc *nvrtc, const char *architecture)
{
    uint64_t key = loam_hash(LOAM_HASH_START, architecture, strlen(architecture));
    key = loam_hash(key, &nvrtc->major, sizeof nvrtc->major);
    key = loam_hash(key, &nvrtc->minor, sizeof nvrtc->minor);
    return loam_gpu_hash_sources(key);
}

enum loam_status loam_cuda_code_make(struct loam_cuda_code *code, int capability, int driver_version,
                                     bool anew, struct loam_error *error)
{
    char architecture[40];
    struct nvrtc nvrtc;
    struct loam_gpu_cache cache;
    LOAM_TRY(open_nvrtc(&nvrtc, driver_version, error));
    (void)snprintf(architecture, sizeof architecture, "--gpu-architecture=sm_%d", capability);
    loam_gpu_cache_init(&cache, strchr(architecture, '=') + 1, make_key(&nvrtc, architecture));
    enum loam_status status = LOAM_OK;
    *code = (struct loam_cuda_code){0};
    code->cached = !anew && loam_gpu_cache_read(&cache, &code->bytes);
    (void)snprintf(code->from, sizeof code->from, "NVRTC %d.%d%s", nvrtc.major, nvrtc.minor,
                   code->cached ? ", cached" : "");
    if (!code->cached) {
        status = compile(&nvrtc, architecture, &code->bytes, error);
        if (status == LOAM_OK) loam_gpu_cache_write(&cache, &code->bytes);
    }
    (void)dlclose(nvrtc.library);
    if (status != LOAM_OK) loam_cuda_code_deinit(code);
    return status;
}

void loam_cuda_code_deinit(struct loam_cuda_code *code)
{
    loam_bytes_deinit(&code->bytes);
}
