// A device of OpenCL: its life, and launches.
#include <stdio.h>
#include <stdlib.h>

#include "base/heap.h"
#include "device/gpu/opencl/host.h"

static const int buffer_counts[LOAM_KERNEL_COUNT] = {
#define LOAM_KERNEL(name, buffers) [LOAM_KERNEL_##name] = buffers,
#include "device/gpu/kernels/kernel_list.def"
#undef LOAM_KERNEL
};

enum {
    LEAST_SHARED = 16,     // bytes: no argument for local memory may be empty
    LAUNCHES_TO_FLUSH = 16 // a flush costs a call to the system, and a device that waits costs its time
};

// ---- launches ----

static bool launch_fits(struct loam_stream *stream, const struct loam_launch *launch)
{
    const struct opencl_device *opencl = opencl_device(stream->device);
    char text[128] = "";
    for (int i = 0; i < 3; i++)
        if (launch->grid[i] > INT32_MAX) (void)snprintf(text, sizeof text, "there are too many work-groups");
    if (opencl->kernels[launch->kernel] == NULL)
        (void)snprintf(text, sizeof text, "OpenCL does not have kernel %d", (int)launch->kernel);
    if (launch->shared > opencl->properties.local_memory)
        (void)snprintf(text, sizeof text, "%zu bytes of local memory are needed, and the device has %llu",
                       launch->shared, (unsigned long long)opencl->properties.local_memory);
    if (text[0] == '\0') return true;
    loam_stream_fail(stream, LOAM_ERROR_UNSUPPORTED, stream->op, text);
    return false;
}

// A buffer is two arguments: the memory object, which may be absent, and the offset into it.
static bool set_buffers(struct loam_stream *stream, const struct loam_launch *launch)
{
    const struct opencl_device *opencl = opencl_device(stream->device);
    struct cl_kernel *kernel = opencl->kernels[launch->kernel];
    for (int i = 0; i < buffer_counts[launch->kernel]; i++) {
        struct cl_memory *memory = NULL;
        uint64_t offset = 0;
        if (launch->buffers[i] != NULL && !loam_opencl_locate(stream, launch->buffers[i], &memory, &offset))
            return false;
        if (!loam_opencl_accept(
                stream, opencl->api.kernel_argument(kernel, (cl_count)(2 * i), sizeof memory, &memory),
                stream->op) ||
            !loam_opencl_accept(
                stream, opencl->api.kernel_argument(kernel, (cl_count)(2 * i + 1), sizeof offset, &offset),
                stream->op))
            return false;
    }
    return true;
}

// Lets the device begin while the host queues more: a driver may keep what is queued until it is asked.
static bool begin_work(struct loam_stream *stream)
{
    struct opencl_device *opencl = opencl_device(stream->device);
    if (++opencl->unflushed < LAUNCHES_TO_FLUSH) return true;
    opencl->unflushed = 0;
    return loam_opencl_accept(stream, opencl->api.queue_flush(opencl->queue), stream->op);
}

static enum loam_status launch_kernel(struct loam_stream *stream, const struct loam_launch *launch)
{
    const struct opencl_device *opencl = opencl_device(stream->device);
    struct cl_kernel *kernel = opencl->kernels[launch->kernel];
    const cl_count count = (cl_count)(2 * buffer_counts[launch->kernel]);
    if (launch->grid[0] == 0) return LOAM_OK;
    if (!launch_fits(stream, launch) || !set_buffers(stream, launch)) return stream->failure.status;
    const size_t shared = launch->shared > LEAST_SHARED ? launch->shared : LEAST_SHARED;
    const size_t group[3] = {BLOCK_THREADS, 1, 1};
    size_t items[3];
    for (int i = 0; i < 3; i++)
        items[i] = (launch->grid[i] > 0 ? (size_t)launch->grid[i] : 1) * group[i];
    if (!loam_opencl_accept(stream,
                            opencl->api.kernel_argument(kernel, count, launch->params_bytes, launch->params),
                            stream->op) ||
        !loam_opencl_accept(stream, opencl->api.kernel_argument(kernel, count + 1, shared, NULL), stream->op))
        return stream->failure.status;
    const cl_result result = opencl->api.launch(opencl->queue, kernel, 3, NULL, items, group, 0, NULL, NULL);
    return loam_opencl_accept(stream, result, stream->op) && begin_work(stream) ? LOAM_OK
                                                                                : stream->failure.status;
}

// ---- life ----

// Releases what a device that is set up in part has.
static void destroy(struct loam_device *device)
{
    struct opencl_device *opencl = opencl_device(device);
    const struct loam_opencl_api *api = &opencl->api;
    if (opencl->queue != NULL) (void)api->queue_wait(opencl->queue);
    loam_opencl_staging_deinit(opencl);
    for (int i = 0; i < LOAM_KERNEL_COUNT; i++)
        if (opencl->kernels[i] != NULL) (void)api->kernel_release(opencl->kernels[i]);
    if (opencl->program != NULL) (void)api->program_release(opencl->program);
    if (opencl->queue != NULL) (void)api->queue_release(opencl->queue);
    if (opencl->context != NULL) (void)api->context_release(opencl->context);
    loam_opencl_api_close(&opencl->api);
    free(opencl->ranges);
    free(opencl);
}

static enum loam_status find_device(struct opencl_device *opencl, int index, struct loam_error *error)
{
    struct opencl_found *found = NULL;
    size_t count = 0;
    LOAM_TRY(loam_opencl_find(&opencl->api, &found, &count, error));
    const bool exists = index >= 0 && (size_t)index < count;
    if (exists) opencl->found = found[index];
    free(found);
    if (!exists)
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                         "device %s does not exist: the OpenCL drivers have %zu, numbered from 0",
                         opencl->name, count);
    const char *lack = loam_opencl_lack(&opencl->api, opencl->found.device);
    LOAM_TRY(loam_opencl_read_properties(&opencl->api, opencl->found.device, &opencl->properties, error));
    if (lack == NULL) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_UNSUPPORTED, "device %s (%s) cannot be used: %s", opencl->name,
                     opencl->properties.name, lack);
}

static enum loam_status set_up(struct opencl_device *opencl, int index, struct loam_error *error)
{
    const struct loam_opencl_api *api = &opencl->api;
    cl_result result = CL_SUCCESS;
    LOAM_TRY(find_device(opencl, index, error));
    const intptr_t properties[] = {CL_CONTEXT_PLATFORM, (intptr_t)opencl->found.platform, 0};
    opencl->context = api->context_create(properties, 1, &opencl->found.device, NULL, NULL, &result);
    LOAM_TRY(loam_opencl_check(result, opencl->name, error));
    opencl->queue = api->queue_create(opencl->context, opencl->found.device, 0, &result);
    LOAM_TRY(loam_opencl_check(result, opencl->name, error));
    LOAM_TRY(loam_opencl_staging_init(opencl, error));
    opencl->device.largest_buffer = (size_t)opencl->properties.largest_buffer;
    opencl->gpu.processors = (int)opencl->properties.processors;
    opencl->gpu.shared_most = (size_t)opencl->properties.local_memory;
    return loam_opencl_load(opencl, error);
}

// The kernels have threads of their own.
static enum loam_status create(struct loam_device **out, int index, int threads, struct loam_error *error)
{
    (void)threads;
    *out = NULL;
    struct opencl_device *opencl = loam_calloc(1, sizeof *opencl, error);
    if (opencl == NULL) return LOAM_ERROR_MEMORY;
    (void)snprintf(opencl->name, sizeof opencl->name, "opencl:%d", index);
    opencl->gpu = (struct loam_gpu){.launch = launch_kernel, .loss_chunk = 1 << 24};
    opencl->device = (struct loam_device){
        .name = opencl->name,
        .model = opencl->properties.name,
        .code_from = opencl->code_from,
        .threads = 1,
        .formats = {.compute = 1u << LOAM_F32 | 1u << LOAM_F16 | 1u << LOAM_BF16, .master = 1u << LOAM_F32},
        .queues = true,
        .alignment = 256,
        .memory = &loam_opencl_memory,
        .probes = &loam_gpu_probes,
        .state = &opencl->gpu,
        .destroy = destroy};
    loam_gpu_set_ops(&opencl->device.ops);
    enum loam_status status = loam_opencl_api_open(&opencl->api, LOAM_OPENCL_LIBRARY, error);
    if (status == LOAM_OK) status = set_up(opencl, index, error);
    if (status != LOAM_OK) {
        destroy(&opencl->device);
        return status;
    }
    *out = &opencl->device;
    return LOAM_OK;
}

const struct loam_backend loam_opencl_backend = {.name = "opencl",
                                                 .numbered = true,
                                                 .exists = loam_opencl_exists,
                                                 .create = create,
                                                 .describe = loam_opencl_describe_device};
