#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_state.h"

struct CUctx_st {
    int uses;
};

struct fake_cuda fake_state = {
    .version = 12040, .devices = 1, .capability = 80, .memory = (size_t)1 << 30, .shared = 99 << 10};
cuda_result fake_lost;
// Fields of other types, as the environment sets them.
static int fake_is_sticky, fake_kills, fake_result, fake_memory;
static struct CUctx_st context;
static struct CUctx_st *current;

struct fake_cuda *fake_cuda(void)
{
    return &fake_state;
}

// ---- the environment ----

static const struct {
    const char *name;
    int *field;
} settings[] = {{"version", &fake_state.version},       {"devices", &fake_state.devices},
                {"capability", &fake_state.capability}, {"fail_at", &fake_state.fail_at},
                {"fail_sticky", &fake_is_sticky},       {"fail_result", &fake_result},
                {"memory_mib", &fake_memory},           {"fail_kill", &fake_kills}};
static const struct {
    const char *name;
    const char **field;
} texts[] = {{"fail_symbol", &fake_state.fail_symbol}, {"skip", &fake_state.skip}};

static void set_field(const char *name, size_t size, const char *value)
{
    static char copies[sizeof texts / sizeof texts[0]][64];
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (strlen(texts[i].name) != size || memcmp(texts[i].name, name, size) != 0) continue;
        (void)snprintf(copies[i], sizeof copies[i], "%.*s", (int)strcspn(value, " "), value);
        *texts[i].field = copies[i];
    }
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        if (strlen(settings[i].name) == size && memcmp(settings[i].name, name, size) == 0)
            *settings[i].field = atoi(value);
}

__attribute__((constructor)) static void read_environment(void)
{
    const char *at = getenv("FAKE_CUDA");
    while (at != NULL && *at != '\0') {
        const size_t size = strcspn(at, "= ");
        if (at[size] == '=') set_field(at, size, at + size + 1);
        at += strcspn(at, " ");
        at += *at == ' ';
    }
    fake_state.fail_sticky = fake_is_sticky != 0;
    fake_state.fail_kill = fake_kills != 0;
    fake_state.fail_result = (cuda_result)fake_result;
    if (fake_memory > 0) fake_state.memory = (size_t)fake_memory << 20;
}

__attribute__((destructor)) static void write_report(void)
{
    const char *path = getenv("FAKE_CUDA_REPORT");
    FILE *file = path != NULL ? fopen(path, "w") : NULL;
    if (file == NULL) return;
    fprintf(file, "live %d\nused %zu\npeak %zu\ncalls %d\nlaunches %d\ngraph_launches %d\nwaits %d\n",
            fake_state.live, fake_state.used, fake_state.peak, fake_state.calls, fake_state.launches,
            fake_state.graph_launches, fake_state.waits);
    (void)fclose(file);
}

// ---- what each call begins with ----

cuda_result fake_begin(const char *symbol, bool needs_context)
{
    if (fake_lost != CUDA_SUCCESS) return fake_lost;
    if (fake_state.fail_symbol == NULL || strcmp(fake_state.fail_symbol, symbol) == 0) {
        fake_state.calls++;
        if (fake_state.calls == fake_state.fail_at) {
            if (fake_state.fail_kill) (void)raise(SIGKILL);
            if (fake_state.fail_sticky && context.uses > 0)
                fake_lost = fake_state.fail_result; // a context is lost
            return fake_state.fail_result;
        }
    }
    return needs_context && current == NULL ? (cuda_result)CUDA_ERROR_INVALID_CONTEXT
                                            : (cuda_result)CUDA_SUCCESS;
}

// ---- what is live ----

cuda_result fake_create(void **out, size_t bytes)
{
    *out = calloc(1, bytes);
    if (*out == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    fake_state.live++;
    return CUDA_SUCCESS;
}

void fake_destroy(void *created)
{
    free(created);
    fake_state.live--;
}

// ---- the driver and its devices ----

cuda_result cuInit(unsigned flags)
{
    BEGIN(false);
    if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
    return fake_state.devices > 0 ? CUDA_SUCCESS : CUDA_ERROR_NO_DEVICE;
}

cuda_result cuDriverGetVersion(int *version)
{
    BEGIN(false);
    *version = fake_state.version;
    return CUDA_SUCCESS;
}

cuda_result cuGetErrorName(cuda_result result, const char **name)
{
    *name = result == CUDA_ERROR_OUT_OF_MEMORY     ? "CUDA_ERROR_OUT_OF_MEMORY"
            : result == CUDA_ERROR_ILLEGAL_ADDRESS ? "CUDA_ERROR_ILLEGAL_ADDRESS"
            : result == CUDA_ERROR_LAUNCH_FAILED   ? "CUDA_ERROR_LAUNCH_FAILED"
            : result == CUDA_ERROR_NO_DEVICE       ? "CUDA_ERROR_NO_DEVICE"
                                                   : "CUDA_ERROR_OF_THE_TEST";
    return CUDA_SUCCESS;
}

cuda_result cuGetErrorString(cuda_result result, const char **text)
{
    (void)result;
    *text = "the driver's own text";
    return CUDA_SUCCESS;
}

cuda_result cuDeviceGetCount(int *count)
{
    BEGIN(false);
    *count = fake_state.devices;
    return CUDA_SUCCESS;
}

cuda_result cuDeviceGet(int *device, int index)
{
    BEGIN(false);
    *device = index;
    return index < fake_state.devices ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

cuda_result cuDeviceGetName(char *name, int bytes, int device)
{
    BEGIN(false);
    (void)snprintf(name, (size_t)bytes, "fake GPU %d", device);
    return CUDA_SUCCESS;
}

cuda_result cuDeviceTotalMem_v2(size_t *bytes, int device)
{
    BEGIN(false);
    (void)device;
    *bytes = fake_state.memory;
    return CUDA_SUCCESS;
}

cuda_result cuDeviceGetAttribute(int *value, cuda_enum attribute, int device)
{
    BEGIN(false);
    (void)device;
    if (attribute == CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)
        *value = 4;
    else if (attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)
        *value = fake_state.capability / 10;
    else if (attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)
        *value = fake_state.capability % 10;
    else if (attribute == CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)
        *value = fake_state.shared;
    else
        return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

// ---- contexts ----

cuda_result cuDevicePrimaryCtxRetain(struct CUctx_st **out, int device)
{
    BEGIN(false);
    (void)device;
    *out = &context;
    context.uses++;
    fake_state.live++;
    return CUDA_SUCCESS;
}

// What is destroyed is gone even where the call reports a failure, as with a lost device.
cuda_result cuDevicePrimaryCtxRelease_v2(int device)
{
    (void)device;
    fake_state.live--;
    if (--context.uses == 0) {
        const cuda_result was_lost = fake_lost;
        fake_lost = CUDA_SUCCESS; // a new context is sound
        if (was_lost != CUDA_SUCCESS) return was_lost;
    }
    BEGIN(false);
    return CUDA_SUCCESS;
}

cuda_result cuCtxSetCurrent(struct CUctx_st *wanted)
{
    BEGIN(false);
    current = wanted;
    return CUDA_SUCCESS;
}
