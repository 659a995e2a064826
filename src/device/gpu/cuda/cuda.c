// A device of the driver: its life, and launches.
#include <stdio.h>
#include <stdlib.h>

#include "base/heap.h"
#include "device/gpu/check.h"
#include "device/gpu/cuda/code.h"
#include "device/gpu/cuda/host.h"

enum {
    OLDEST_CAPABILITY = 75,
    BF16_CAPABILITY = 80,
    GRID_MOST = 65535
}; // the latter in all dimensions but the first

static const struct {
    const char *name;
    int buffers;
} kernels[LOAM_KERNEL_COUNT] = {
#define LOAM_KERNEL(name, buffers) [LOAM_KERNEL_##name] = {"loam_kernel_" #name, buffers},
#include "device/gpu/kernels/kernel_list.def"
#undef LOAM_KERNEL
};

// ---- launches ----

static bool allow_shared(struct loam_stream *stream, enum loam_kernel kernel, size_t bytes)
{
    struct cuda_device *cuda = cuda_device(stream->device);
    if (bytes <= cuda->shared_allowed[kernel]) return true;
    if (bytes > cuda->shared_most) {
        char text[128];
        (void)snprintf(text, sizeof text, "%s needs %zu bytes of shared memory, and the GPU has %zu",
                       kernels[kernel].name, bytes, cuda->shared_most);
        loam_stream_fail(stream, LOAM_ERROR_UNSUPPORTED, stream->op, text);
        return false;
    }
    if (!loam_cuda_accept(stream, cuda->driver.context_use(cuda->context), stream->op) ||
        !loam_cuda_accept(stream,
                          cuda->driver.function_set(cuda->functions[kernel],
                                                    CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                                    (int)bytes),
                          stream->op))
        return false;
    cuda->shared_allowed[kernel] = bytes;
    return true;
}

static bool grid_fits(struct loam_stream *stream, const int64_t grid[3])
{
    if (grid[0] <= INT32_MAX && grid[1] <= GRID_MOST && grid[2] <= GRID_MOST) return true;
    char text[128];
    (void)snprintf(text, sizeof text, "%lld x %lld x %lld blocks are more than a GPU takes",
                   (long long)grid[0], (long long)grid[1], (long long)grid[2]);
    loam_stream_fail(stream, LOAM_ERROR_UNSUPPORTED, stream->op, text);
    return false;
}

int loam_cuda_buffers(enum loam_kernel kernel)
{
    return kernels[kernel].buffers;
}

static enum loam_status launch_kernel(struct loam_stream *stream, const struct loam_launch *launch)
{
    if (launch->grid[0] == 0) return LOAM_OK;
    if (!grid_fits(stream, launch->grid) || !allow_shared(stream, launch->kernel, launch->shared) ||
        !loam_cuda_gather(stream, launch))
        return stream->failure.status;
    return LOAM_OK;
}

// ---- life ----

// Releases what a device that is set up in part has.
static void destroy(struct loam_device *device)
{
    struct cuda_device *cuda = cuda_device(device);
    const struct loam_cuda_driver *driver = &cuda->driver;
    if (cuda->retained) {
        (void)driver->context_use(cuda->context);
        if (cuda->queue != NULL) (void)driver->stream_wait(cuda->queue);
        loam_cuda_products_deinit(cuda);
        loam_cuda_gathering_deinit(cuda);
        loam_cuda_staging_deinit(cuda);
        loam_cuda_fetching_deinit(cuda);
        if (cuda->module != NULL) (void)driver->module_unload(cuda->module);
        if (cuda->queue != NULL) (void)driver->stream_destroy(cuda->queue);
        (void)driver->context_use(NULL);
        (void)driver->context_release(cuda->ordinal);
    }
    loam_cuda_driver_close(&cuda->driver);
    free(cuda);
}

static enum loam_status find_device(struct cuda_device *cuda, int index, struct loam_error *error)
{
    const struct loam_cuda_driver *driver = &cuda->driver;
    int count = 0;
    LOAM_TRY(loam_cuda_check(driver, driver->device_count(&count), "CUDA devices", error));
    if (index < 0 || index >= count)
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                         "device cuda:%d does not exist: the driver finds %d, numbered from 0", index, count);
    return loam_cuda_check(driver, driver->device_get(&cuda->ordinal, index), cuda->name, error);
}

static enum loam_status read_attribute(const struct cuda_device *cuda, cuda_enum attribute, int *value,
                                       struct loam_error *error)
{
    return loam_cuda_check(&cuda->driver, cuda->driver.device_attribute(value, attribute, cuda->ordinal),
                           cuda->name, error);
}

static enum loam_status read_properties(struct cuda_device *cuda, int *capability, struct loam_error *error)
{
    int major = 0, minor = 0, shared = 0;
    LOAM_TRY(read_attribute(cuda, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, &cuda->gpu.processors, error));
    LOAM_TRY(read_attribute(cuda, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, &major, error));
    LOAM_TRY(read_attribute(cuda, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, &minor, error));
    LOAM_TRY(read_attribute(cuda, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, &shared, error));
    LOAM_TRY(loam_cuda_check(&cuda->driver,
                             cuda->driver.device_name(cuda->model, sizeof cuda->model, cuda->ordinal),
                             cuda->name, error));
    *capability = 10 * major + minor;
    cuda->shared_most = shared > CUDA_SHARED_PLAIN ? (size_t)shared : CUDA_SHARED_PLAIN;
    cuda->gpu.capability = *capability;
    cuda->gpu.shared_most = cuda->shared_most;
    cuda->gpu.mma = 1u << LOAM_F16 | (*capability >= BF16_CAPABILITY ? 1u << LOAM_BF16 : 0);
    if (*capability < OLDEST_CAPABILITY)
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                         "device %s has compute capability %d.%d; at least %d.%d (Turing) is needed",
                         cuda->name, major, minor, OLDEST_CAPABILITY / 10, OLDEST_CAPABILITY % 10);
    return LOAM_OK;
}

// Loads code, and tells in `*fits` whether it is code that the driver takes for the GPU.
static cuda_result load_code(struct cuda_device *cuda, const void *image, const char *from, bool *fits)
{
    static const cuda_result unfit[] = {CUDA_ERROR_NO_BINARY_FOR_GPU,
                                        CUDA_ERROR_INVALID_IMAGE,
                                        CUDA_ERROR_INVALID_PTX,
                                        CUDA_ERROR_UNSUPPORTED_PTX_VERSION,
                                        CUDA_ERROR_JIT_COMPILER_NOT_FOUND,
                                        CUDA_ERROR_JIT_COMPILATION_DISABLED};
    const cuda_result result = cuda->driver.module_load(&cuda->module, image);
    *fits = true;
    for (size_t i = 0; i < sizeof unfit / sizeof unfit[0]; i++)
        if (result == unfit[i]) *fits = false;
    (void)snprintf(cuda->code_from, sizeof cuda->code_from, "%s", from);
    return result;
}

// Loads code of NVRTC. Cached code that does not fit is compiled again.
static enum loam_status load_compiled(struct cuda_device *cuda, int capability, bool anew,
                                      cuda_result *result, struct loam_error *error)
{
    struct loam_cuda_code code;
    bool fits;
    LOAM_TRY(loam_cuda_code_make(&code, capability, cuda->driver.version, anew, error));
    *result = load_code(cuda, code.bytes.data, code.from, &fits);
    const bool refused = code.cached && !fits;
    loam_cuda_code_deinit(&code);
    return refused ? load_compiled(cuda, capability, true, result, error) : LOAM_OK;
}

// A GPU that is newer or a driver that is older than the embedded code is no failure, since NVRTC may serve them.
static enum loam_status load_module(struct cuda_device *cuda, int capability, struct loam_error *error)
{
    cuda_result result = CUDA_SUCCESS;
    bool fits = false;
    if (loam_cuda_embedded.begin != NULL)
        result = load_code(cuda, loam_cuda_embedded.begin, "embedded", &fits);
    if (!fits) LOAM_TRY(load_compiled(cuda, capability, false, &result, error));
    return loam_cuda_check(&cuda->driver, result, "the kernels cannot be loaded", error);
}

static enum loam_status load_kernels(struct cuda_device *cuda, int capability, struct loam_error *error)
{
    const struct loam_cuda_driver *driver = &cuda->driver;
    enum loam_status status = load_module(cuda, capability, error);
    for (int i = 0; i < LOAM_KERNEL_COUNT && status == LOAM_OK; i++) {
        cuda->shared_allowed[i] = CUDA_SHARED_PLAIN;
        status = loam_cuda_check(driver,
                                 driver->module_function(&cuda->functions[i], cuda->module, kernels[i].name),
                                 kernels[i].name, error);
    }
    return status;
}

static enum loam_status set_up(struct cuda_device *cuda, int index, struct loam_error *error)
{
    const struct loam_cuda_driver *driver = &cuda->driver;
    int capability = 0;
    LOAM_TRY(find_device(cuda, index, error));
    LOAM_TRY(read_properties(cuda, &capability, error));
    LOAM_TRY(
        loam_cuda_check(driver, driver->context_retain(&cuda->context, cuda->ordinal), cuda->name, error));
    cuda->retained = true;
    LOAM_TRY(loam_cuda_check(driver, driver->context_use(cuda->context), cuda->name, error));
    LOAM_TRY(loam_cuda_check(driver, driver->stream_create(&cuda->queue, CU_STREAM_NON_BLOCKING), cuda->name,
                             error));
    LOAM_TRY(loam_cuda_gathering_init(cuda, error));
    LOAM_TRY(loam_cuda_products_init(cuda, error));
    LOAM_TRY(loam_cuda_staging_init(cuda, error));
    LOAM_TRY(loam_cuda_fetching_init(cuda, error));
    LOAM_TRY(load_kernels(cuda, capability, error));
    cuda->device.code_from = cuda->code_from;
    // Tensor cores of Turing take f16 alone.
    cuda->device.formats.preferred = 1u << LOAM_F16;
    if (capability >= BF16_CAPABILITY) cuda->device.formats.preferred |= 1u << LOAM_BF16;
    return loam_gpu_check(&cuda->device, error);
}

// The kernels have threads of their own.
static enum loam_status create(struct loam_device **out, int index, int threads, struct loam_error *error)
{
    (void)threads;
    *out = NULL;
    struct cuda_device *cuda = loam_calloc(1, sizeof *cuda, error);
    if (cuda == NULL) return LOAM_ERROR_MEMORY;
    (void)snprintf(cuda->name, sizeof cuda->name, "cuda:%d", index);
    cuda->gpu = (struct loam_gpu){.launch = launch_kernel, .loss_chunk = 1 << 24};
    cuda->device = (struct loam_device){
        .name = cuda->name,
        .model = cuda->model,
        .threads = 1,
        .formats = {.compute = 1u << LOAM_F32 | 1u << LOAM_BF16 | 1u << LOAM_F16, .master = 1u << LOAM_F32},
        .queues = true,
        .alignment = CUDA_ALIGNMENT,
        .largest_buffer = SIZE_MAX,
        .memory = &loam_cuda_memory,
        .probes = &loam_gpu_probes,
        .state = &cuda->gpu,
        .destroy = destroy};
    loam_gpu_set_ops(&cuda->device.ops);
    enum loam_status status = loam_cuda_driver_open(&cuda->driver, LOAM_CUDA_LIBRARY, error);
    if (status == LOAM_OK) status = set_up(cuda, index, error);
    if (status != LOAM_OK) {
        destroy(&cuda->device);
        return status;
    }
    *out = &cuda->device;
    return LOAM_OK;
}

const struct loam_backend loam_cuda_backend = {.name = "cuda",
                                               .numbered = true,
                                               .automatic = true,
                                               .exists = loam_cuda_exists,
                                               .create = create,
                                               .describe = loam_cuda_describe_device};
