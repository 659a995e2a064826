#include "fake_cuda.h"

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/gpu/fiber/fiber.h"
#include "device/gpu/launch.h"

#define EXPORT __attribute__((visibility("default")))
#define CUDA_CALL(member, symbol, parameters) EXPORT cuda_result symbol parameters;
#include "device/gpu/cuda/driver_list.def"
#undef CUDA_CALL
EXPORT struct fake_cuda *fake_cuda(void);

enum { MOST_PENDING = 64, MOST_STREAMS = 8, MOST_USES = 4096 };
static const uintptr_t HIDDEN = (uintptr_t)1 << (8 * sizeof(uintptr_t) - 2);

struct block {
    struct block *next;
    size_t bytes;
    char *memory;
};
struct CUctx_st {
    int uses;
};
struct CUstream_st {
    int number;
    long launches;
    long seen[MOST_STREAMS]; // launches of each stream that were waited for
};
struct CUevent_st {
    struct CUstream_st *stream; // NULL: never recorded
    int number;                 // of the stream, which may be gone
    long queued;                // uploads before it
    long launches;              // of the stream before it
};
struct CUfunc_st {
    enum loam_kernel kernel;
    int shared; // bytes that were asked for
    struct CUmod_st *module;
};
struct CUmod_st {
    struct loam_device *fibers;
    struct CUfunc_st functions[LOAM_KERNEL_COUNT];
};

static struct fake_cuda fake = {
    .version = 12040, .devices = 1, .capability = 80, .memory = (size_t)1 << 30, .shared = 99 << 10};
// Fields of other types, as the environment sets them.
static int fake_is_sticky, fake_kills, fake_result, fake_memory;
static struct block *blocks;
static struct CUctx_st context;
static struct CUctx_st *current;
static cuda_result lost; // what every call gives
// Uploads of all streams, in the order in which they were queued; those of one stream take place in it.
static struct upload {
    char *target;
    const char *source;
    size_t bytes;
    int stream; // number
    bool done;
} pending[MOST_PENDING];
static long queued, done; // uploads; all before `done` have taken place
// The buffers of the last launches.
static struct use {
    const char *memory;
    int stream;
    long launch; // of the stream, from 1
} uses[MOST_USES];
static long used;
static int streams; // that were created

static const struct {
    const char *name;
    int buffers;
    size_t params_bytes;
} kernels[LOAM_KERNEL_COUNT] = {
#define LOAM_KERNEL(name, buffers)                                                                           \
    [LOAM_KERNEL_##name] = {"loam_kernel_" #name, buffers, sizeof(struct name##_params)},
#include "device/gpu/kernels/kernel_list.def"
#undef LOAM_KERNEL
};

struct fake_cuda *fake_cuda(void)
{
    return &fake;
}

// ---- the environment ----

static const struct {
    const char *name;
    int *field;
} settings[] = {{"version", &fake.version},       {"devices", &fake.devices},
                {"capability", &fake.capability}, {"fail_at", &fake.fail_at},
                {"fail_sticky", &fake_is_sticky}, {"fail_result", &fake_result},
                {"memory_mib", &fake_memory},     {"fail_kill", &fake_kills}};
static const struct {
    const char *name;
    const char **field;
} texts[] = {{"fail_symbol", &fake.fail_symbol}, {"skip", &fake.skip}};

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
    fake.fail_sticky = fake_is_sticky != 0;
    fake.fail_kill = fake_kills != 0;
    fake.fail_result = (cuda_result)fake_result;
    if (fake_memory > 0) fake.memory = (size_t)fake_memory << 20;
}

__attribute__((destructor)) static void write_report(void)
{
    const char *path = getenv("FAKE_CUDA_REPORT");
    FILE *file = path != NULL ? fopen(path, "w") : NULL;
    if (file == NULL) return;
    fprintf(file, "live %d\nused %zu\npeak %zu\ncalls %d\nlaunches %d\ngraph_launches %d\nwaits %d\n",
            fake.live, fake.used, fake.peak, fake.calls, fake.launches, fake.graph_launches, fake.waits);
    (void)fclose(file);
}

// ---- what each call begins with ----

static cuda_result begin(const char *symbol, bool needs_context)
{
    if (lost != CUDA_SUCCESS) return lost;
    if (fake.fail_symbol == NULL || strcmp(fake.fail_symbol, symbol) == 0) {
        fake.calls++;
        if (fake.calls == fake.fail_at) {
            if (fake.fail_kill) (void)raise(SIGKILL);
            if (fake.fail_sticky && context.uses > 0) lost = fake.fail_result; // a context is lost
            return fake.fail_result;
        }
    }
    return needs_context && current == NULL ? (cuda_result)CUDA_ERROR_INVALID_CONTEXT
                                            : (cuda_result)CUDA_SUCCESS;
}

#define BEGIN(needs_context)                                                                                 \
    do {                                                                                                     \
        const cuda_result begun_ = begin(__func__, needs_context);                                           \
        if (begun_ != CUDA_SUCCESS) return begun_;                                                           \
    } while (0)

static cuda_result lose(cuda_result result)
{
    lost = result;
    return result;
}

// ---- the driver and its devices ----

cuda_result cuInit(unsigned flags)
{
    BEGIN(false);
    if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
    return fake.devices > 0 ? CUDA_SUCCESS : CUDA_ERROR_NO_DEVICE;
}

cuda_result cuDriverGetVersion(int *version)
{
    BEGIN(false);
    *version = fake.version;
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
    *count = fake.devices;
    return CUDA_SUCCESS;
}

cuda_result cuDeviceGet(int *device, int index)
{
    BEGIN(false);
    *device = index;
    return index < fake.devices ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
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
    *bytes = fake.memory;
    return CUDA_SUCCESS;
}

cuda_result cuDeviceGetAttribute(int *value, cuda_enum attribute, int device)
{
    BEGIN(false);
    (void)device;
    if (attribute == CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)
        *value = 4;
    else if (attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)
        *value = fake.capability / 10;
    else if (attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)
        *value = fake.capability % 10;
    else if (attribute == CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)
        *value = fake.shared;
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
    fake.live++;
    return CUDA_SUCCESS;
}

// What is destroyed is gone even where the call reports a failure, as with a lost device.
cuda_result cuDevicePrimaryCtxRelease_v2(int device)
{
    (void)device;
    fake.live--;
    if (--context.uses == 0) {
        const cuda_result was_lost = lost;
        lost = CUDA_SUCCESS; // a new context is sound
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

// ---- memory ----

static char *find(cuda_address address, size_t bytes)
{
    char *const memory = (char *)((uintptr_t)address ^ HIDDEN);
    for (struct block *block = blocks; block != NULL; block = block->next)
        if (memory >= block->memory && memory + bytes <= block->memory + block->bytes) return memory;
    return NULL;
}

cuda_result cuMemAlloc_v2(cuda_address *address, size_t bytes)
{
    BEGIN(true);
    if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
    if (bytes > fake.memory - fake.used) return CUDA_ERROR_OUT_OF_MEMORY;
    struct block *block = malloc(sizeof *block);
    char *const memory = aligned_alloc(256, (bytes + 255) / 256 * 256);
    if (block == NULL || memory == NULL) {
        free(block);
        free(memory);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    memset(memory, 0xaa, bytes);
    *block = (struct block){blocks, bytes, memory};
    blocks = block;
    fake.live++;
    fake.used += bytes;
    if (fake.used > fake.peak) fake.peak = fake.used;
    *address = (cuda_address)((uintptr_t)memory ^ HIDDEN);
    return CUDA_SUCCESS;
}

enum { ALL_STREAMS = -1 };

// Uploads of a stream that were queued before upload `until`.
static void run_pending(int stream, long until)
{
    for (long at = done; at < until; at++) {
        struct upload *upload = &pending[at % MOST_PENDING];
        if (upload->done || (stream != ALL_STREAMS && upload->stream != stream)) continue;
        memcpy(upload->target, upload->source, upload->bytes);
        upload->done = true;
    }
    while (done < queued && pending[done % MOST_PENDING].done)
        done++;
}

static void note_use(const char *memory, const struct CUstream_st *stream)
{
    uses[used++ % MOST_USES] = (struct use){memory, stream->number, stream->launches};
}

// The memory of a block may be taken again by another.
static void forget_uses(const struct block *block)
{
    for (int i = 0; i < MOST_USES; i++)
        if (uses[i].memory >= block->memory && uses[i].memory < block->memory + block->bytes)
            uses[i].memory = NULL;
}

// Whether a stream has waited for every launch of another that has a buffer in a range.
static bool may_write(const struct CUstream_st *stream, const char *memory, size_t bytes)
{
    for (long at = used > MOST_USES ? used - MOST_USES : 0; at < used; at++) {
        const struct use *use = &uses[at % MOST_USES];
        if (use->memory < memory || use->memory >= memory + bytes || use->stream == stream->number) continue;
        if (use->launch <= stream->seen[use->stream]) continue;
        fprintf(stderr, "fake_cuda: an upload does not wait for the launches that use its target\n");
        return false;
    }
    return true;
}

cuda_result cuMemFree_v2(cuda_address address)
{
    run_pending(ALL_STREAMS, queued);
    for (struct block **at = &blocks; *at != NULL; at = &(*at)->next) {
        struct block *block = *at;
        if ((cuda_address)((uintptr_t)block->memory ^ HIDDEN) != address) continue;
        *at = block->next;
        forget_uses(block);
        fake.live--;
        fake.used -= block->bytes;
        free(block->memory);
        free(block);
        BEGIN(true);
        return CUDA_SUCCESS;
    }
    return CUDA_ERROR_INVALID_VALUE;
}

cuda_result cuMemGetInfo_v2(size_t *free_bytes, size_t *total)
{
    BEGIN(true);
    *free_bytes = fake.memory - fake.used;
    *total = fake.memory;
    return CUDA_SUCCESS;
}

cuda_result cuMemHostAlloc(void **memory, size_t bytes, unsigned flags)
{
    BEGIN(true);
    (void)flags;
    *memory = malloc(bytes);
    if (*memory == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    fake.live++;
    return CUDA_SUCCESS;
}

cuda_result cuMemFreeHost(void *memory)
{
    run_pending(ALL_STREAMS, queued);
    free(memory);
    fake.live--;
    BEGIN(true);
    return CUDA_SUCCESS;
}

// ---- copies ----

// An upload takes place when something waits for it, so that a source that changes too early shows.
cuda_result cuMemcpyHtoDAsync_v2(cuda_address target, const void *source, size_t bytes,
                                 struct CUstream_st *stream)
{
    BEGIN(true);
    char *const to = find(target, bytes);
    if (to == NULL || !may_write(stream, to, bytes)) return lose(CUDA_ERROR_ILLEGAL_ADDRESS);
    if (queued - done == MOST_PENDING) run_pending(ALL_STREAMS, done + 1);
    pending[queued % MOST_PENDING] = (struct upload){to, source, bytes, stream->number, false};
    queued++;
    if (queued - done > fake.most_pending) fake.most_pending = (int)(queued - done);
    return CUDA_SUCCESS;
}

cuda_result cuMemcpyDtoHAsync_v2(void *target, cuda_address source, size_t bytes, struct CUstream_st *stream)
{
    BEGIN(true);
    run_pending(stream->number, queued);
    const char *const from = find(source, bytes);
    if (from == NULL) return lose(CUDA_ERROR_ILLEGAL_ADDRESS);
    memcpy(target, from, bytes);
    return CUDA_SUCCESS;
}

cuda_result cuMemcpyDtoDAsync_v2(cuda_address target, cuda_address source, size_t bytes,
                                 struct CUstream_st *stream)
{
    BEGIN(true);
    run_pending(stream->number, queued);
    char *const to = find(target, bytes);
    const char *const from = find(source, bytes);
    if (to == NULL || from == NULL) return lose(CUDA_ERROR_ILLEGAL_ADDRESS);
    memcpy(to, from, bytes);
    return CUDA_SUCCESS;
}

cuda_result cuMemsetD8Async(cuda_address target, unsigned char value, size_t bytes,
                            struct CUstream_st *stream)
{
    BEGIN(true);
    run_pending(stream->number, queued);
    char *const to = find(target, bytes);
    if (to == NULL) return lose(CUDA_ERROR_ILLEGAL_ADDRESS);
    memset(to, value, bytes);
    return CUDA_SUCCESS;
}

// ---- streams and events ----

static cuda_result create(void **out, size_t bytes)
{
    *out = calloc(1, bytes);
    if (*out == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    fake.live++;
    return CUDA_SUCCESS;
}

static void destroy(void *created)
{
    free(created);
    fake.live--;
}

cuda_result cuStreamCreate(struct CUstream_st **stream, unsigned flags)
{
    BEGIN(true);
    if (flags != CU_STREAM_NON_BLOCKING) return CUDA_ERROR_INVALID_VALUE;
    const cuda_result result = create((void **)stream, sizeof **stream);
    if (result == CUDA_SUCCESS) (*stream)->number = streams++ % MOST_STREAMS;
    return result;
}

cuda_result cuStreamSynchronize(struct CUstream_st *stream)
{
    run_pending(stream->number, queued);
    BEGIN(true);
    fake.waits++;
    return CUDA_SUCCESS;
}

cuda_result cuStreamWaitEvent(struct CUstream_st *stream, struct CUevent_st *event, unsigned flags)
{
    BEGIN(true);
    if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
    if (event->stream == NULL) return CUDA_SUCCESS;
    run_pending(event->number, event->queued);
    if (stream->seen[event->number] < event->launches) stream->seen[event->number] = event->launches;
    return CUDA_SUCCESS;
}

cuda_result cuStreamDestroy_v2(struct CUstream_st *stream)
{
    run_pending(stream->number, queued);
    destroy(stream);
    BEGIN(true);
    return CUDA_SUCCESS;
}

cuda_result cuEventCreate(struct CUevent_st **event, unsigned flags)
{
    BEGIN(true);
    if (flags != CU_EVENT_DISABLE_TIMING) return CUDA_ERROR_INVALID_VALUE;
    return create((void **)event, sizeof **event);
}

cuda_result cuEventRecord(struct CUevent_st *event, struct CUstream_st *stream)
{
    BEGIN(true);
    *event = (struct CUevent_st){stream, stream->number, queued, stream->launches};
    return CUDA_SUCCESS;
}

cuda_result cuEventSynchronize(struct CUevent_st *event)
{
    BEGIN(true);
    if (event->stream != NULL) run_pending(event->number, event->queued);
    return CUDA_SUCCESS;
}

cuda_result cuEventDestroy_v2(struct CUevent_st *event)
{
    destroy(event);
    BEGIN(true);
    return CUDA_SUCCESS;
}

// ---- kernels ----

// The image is what the NVRTC of the tests makes.
cuda_result cuModuleLoadData(struct CUmod_st **module, const void *image)
{
    BEGIN(true);
    if (strncmp(image, "fake code sm_", 13) != 0) return CUDA_ERROR_INVALID_IMAGE;
    if (atoi((const char *)image + 13) != fake.capability) return CUDA_ERROR_NO_BINARY_FOR_GPU;
    cuda_result result = create((void **)module, sizeof **module);
    if (result == CUDA_SUCCESS &&
        loam_device_fiber_create(&(*module)->fibers, LOAM_FIBER_FORWARD, NULL) != LOAM_OK) {
        destroy(*module);
        *module = NULL;
        result = CUDA_ERROR_OUT_OF_MEMORY;
    }
    return result;
}

cuda_result cuModuleUnload(struct CUmod_st *module)
{
    loam_device_destroy(module->fibers);
    destroy(module);
    BEGIN(true);
    return CUDA_SUCCESS;
}

cuda_result cuModuleGetFunction(struct CUfunc_st **function, struct CUmod_st *module, const char *name)
{
    BEGIN(true);
    for (int i = 0; i < LOAM_KERNEL_COUNT; i++) {
        if (strcmp(kernels[i].name, name) != 0) continue;
        module->functions[i] = (struct CUfunc_st){(enum loam_kernel)i, 48 << 10, module};
        *function = &module->functions[i];
        return CUDA_SUCCESS;
    }
    return CUDA_ERROR_NOT_FOUND;
}

cuda_result cuFuncSetAttribute(struct CUfunc_st *function, cuda_enum attribute, int value)
{
    BEGIN(true);
    if (attribute != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES || value > fake.shared)
        return CUDA_ERROR_INVALID_VALUE;
    function->shared = value;
    return CUDA_SUCCESS;
}

// A failure of the kernel is what the next calls report, as on a GPU.
static cuda_result run(const struct CUfunc_st *function, const struct loam_launch *launch)
{
    struct loam_stream stream;
    struct loam_error error = {0};
    loam_stream_init_planning(&stream, function->module->fibers);
    stream.op = "launch";
    if (loam_gpu(function->module->fibers)->launch(&stream, launch) != LOAM_OK) {
        fprintf(stderr, "fake_cuda: %s\n", stream.failure.message);
        lost = CUDA_ERROR_LAUNCH_FAILED;
    }
    (void)loam_stream_finish(&stream, &error);
    return CUDA_SUCCESS;
}

// What a launch is made of, its arguments copied as the driver copies them.
struct kept {
    const struct CUfunc_st *function;
    struct loam_launch launch; // `buffers` as the device's addresses
    unsigned char params[4096];
};

static bool keep(struct kept *kept, const struct CUDA_KERNEL_NODE_PARAMS_v2_st *node)
{
    const struct CUfunc_st *function = node->func;
    const int buffers = kernels[function->kernel].buffers;
    const size_t bytes = kernels[function->kernel].params_bytes;
    if (node->gridDimX == 0 || node->gridDimY == 0 || node->gridDimZ == 0 || node->gridDimY > 65535 ||
        node->gridDimZ > 65535 || node->extra != NULL || node->blockDimX != BLOCK_THREADS ||
        node->blockDimY != 1 || node->blockDimZ != 1 || (int)node->sharedMemBytes > function->shared ||
        bytes > sizeof kept->params)
        return false;
    *kept = (struct kept){.function = function,
                          .launch = {.kernel = function->kernel,
                                     .grid = {node->gridDimX, node->gridDimY, node->gridDimZ},
                                     .shared = node->sharedMemBytes,
                                     .params_bytes = bytes}};
    for (int i = 0; i < buffers; i++)
        kept->launch.buffers[i] = *(void **)node->kernelParams[i];
    memcpy(kept->params, node->kernelParams[buffers], bytes);
    return true;
}

static cuda_result run_kept(const struct kept *kept, struct CUstream_st *stream)
{
    struct loam_launch launch = kept->launch;
    launch.params = kept->params;
    run_pending(stream->number, queued);
    stream->launches++;
    for (int i = 0; i < kernels[launch.kernel].buffers; i++) {
        const cuda_address address = (cuda_address)(uintptr_t)launch.buffers[i];
        launch.buffers[i] = address != 0 ? find(address, 0) : NULL;
        if (address != 0 && launch.buffers[i] == NULL) {
            lost = CUDA_ERROR_ILLEGAL_ADDRESS;
            return CUDA_SUCCESS;
        }
        if (address != 0) note_use(launch.buffers[i], stream);
    }
    fake.launches++;
    if (fake.skip != NULL && strcmp(fake.skip, kernels[launch.kernel].name) == 0) return CUDA_SUCCESS;
    return run(kept->function, &launch);
}

cuda_result cuLaunchKernel(struct CUfunc_st *function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                           unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared,
                           struct CUstream_st *stream, void **arguments, void **extra)
{
    BEGIN(true);
    struct kept kept;
    const struct CUDA_KERNEL_NODE_PARAMS_v2_st node = {.func = function,
                                                       .gridDimX = grid_x,
                                                       .gridDimY = grid_y,
                                                       .gridDimZ = grid_z,
                                                       .blockDimX = block_x,
                                                       .blockDimY = block_y,
                                                       .blockDimZ = block_z,
                                                       .sharedMemBytes = shared,
                                                       .kernelParams = arguments,
                                                       .extra = extra};
    return keep(&kept, &node) ? run_kept(&kept, stream) : (cuda_result)CUDA_ERROR_INVALID_VALUE;
}

EXPORT char *fake_cuda_reach(cuda_address address, struct CUstream_st *stream)
{
    char *const memory = find(address, 0);
    run_pending(stream->number, queued);
    if (memory != NULL) note_use(memory, stream);
    return memory;
}

// ---- graphs: chains of launches ----

struct CUgraphNode_st {
    struct CUgraphNode_st *next;
    int place; // in its graph
    struct kept kept;
};
struct CUgraph_st {
    struct CUgraphNode_st *first, *last;
    int count;
};
struct CUgraphExec_st {
    int count;
    struct kept *kept;
};

cuda_result cuGraphCreate(struct CUgraph_st **graph, unsigned flags)
{
    BEGIN(true);
    return flags == 0 ? create((void **)graph, sizeof **graph) : (cuda_result)CUDA_ERROR_INVALID_VALUE;
}

cuda_result cuGraphAddKernelNode_v2(struct CUgraphNode_st **out, struct CUgraph_st *graph,
                                    struct CUgraphNode_st *const *before, size_t count,
                                    const struct CUDA_KERNEL_NODE_PARAMS_v2_st *kernel)
{
    BEGIN(true);
    if (count != (graph->last != NULL) || (count == 1 && before[0] != graph->last))
        return CUDA_ERROR_INVALID_VALUE; // no chain
    struct CUgraphNode_st *node = calloc(1, sizeof *node);
    if (node == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    if (!keep(&node->kept, kernel)) {
        free(node);
        return CUDA_ERROR_INVALID_VALUE;
    }
    node->place = graph->count++;
    *(graph->last != NULL ? &graph->last->next : &graph->first) = node;
    graph->last = node;
    *out = node;
    return CUDA_SUCCESS;
}

cuda_result cuGraphInstantiateWithFlags(struct CUgraphExec_st **out, struct CUgraph_st *graph,
                                        unsigned long long flags)
{
    BEGIN(true);
    if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
    struct kept *kept = calloc((size_t)graph->count + 1, sizeof *kept);
    const cuda_result result =
        kept != NULL ? create((void **)out, sizeof **out) : (cuda_result)CUDA_ERROR_OUT_OF_MEMORY;
    if (result != CUDA_SUCCESS) {
        free(kept);
        return result;
    }
    for (const struct CUgraphNode_st *node = graph->first; node != NULL; node = node->next)
        kept[node->place] = node->kept;
    **out = (struct CUgraphExec_st){graph->count, kept};
    return CUDA_SUCCESS;
}

// The kernel of a node cannot change.
cuda_result cuGraphExecKernelNodeSetParams_v2(struct CUgraphExec_st *executable, struct CUgraphNode_st *node,
                                              const struct CUDA_KERNEL_NODE_PARAMS_v2_st *kernel)
{
    BEGIN(true);
    if (kernel->func != node->kept.function || !keep(&executable->kept[node->place], kernel))
        return CUDA_ERROR_INVALID_VALUE;
    fake.changed_nodes++;
    return CUDA_SUCCESS;
}

cuda_result cuGraphLaunch(struct CUgraphExec_st *executable, struct CUstream_st *stream)
{
    BEGIN(true);
    fake.graph_launches++;
    for (int i = 0; i < executable->count && lost == CUDA_SUCCESS; i++)
        (void)run_kept(&executable->kept[i], stream);
    return CUDA_SUCCESS;
}

cuda_result cuGraphExecDestroy(struct CUgraphExec_st *executable)
{
    free(executable->kept);
    destroy(executable);
    BEGIN(true);
    return CUDA_SUCCESS;
}

cuda_result cuGraphDestroy(struct CUgraph_st *graph)
{
    while (graph->first != NULL) {
        struct CUgraphNode_st *node = graph->first;
        graph->first = node->next;
        free(node);
    }
    destroy(graph);
    BEGIN(true);
    return CUDA_SUCCESS;
}
