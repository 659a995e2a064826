// Modules, launches and graphs. A module has a device of fibers, on which its kernels run.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/gpu/fiber/fiber.h"
#include "device/gpu/launch.h"
#include "fake_state.h"

struct CUfunc_st {
    enum loam_kernel kernel;
    int shared; // bytes that were asked for
    struct CUmod_st *module;
};
struct CUmod_st {
    struct loam_device *fibers;
    struct CUfunc_st functions[LOAM_KERNEL_COUNT];
};

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

// ---- modules ----

// The image is what the NVRTC of the tests makes.
cuda_result cuModuleLoadData(struct CUmod_st **module, const void *image)
{
    BEGIN(true);
    if (strncmp(image, "fake code sm_", 13) != 0) return CUDA_ERROR_INVALID_IMAGE;
    if (atoi((const char *)image + 13) != fake_state.capability) return CUDA_ERROR_NO_BINARY_FOR_GPU;
    cuda_result result = fake_create((void **)module, sizeof **module);
    if (result == CUDA_SUCCESS &&
        loam_device_fiber_create(&(*module)->fibers, LOAM_FIBER_FORWARD, NULL) != LOAM_OK) {
        fake_destroy(*module);
        *module = NULL;
        result = CUDA_ERROR_OUT_OF_MEMORY;
    }
    return result;
}

cuda_result cuModuleUnload(struct CUmod_st *module)
{
    loam_device_destroy(module->fibers);
    fake_destroy(module);
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
    if (attribute != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES || value > fake_state.shared)
        return CUDA_ERROR_INVALID_VALUE;
    function->shared = value;
    return CUDA_SUCCESS;
}

// ---- launches ----

// A failure of the kernel is what the next calls report, as on a GPU.
static cuda_result run(const struct CUfunc_st *function, const struct loam_launch *launch)
{
    struct loam_stream stream;
    struct loam_error error = {0};
    loam_stream_init_planning(&stream, function->module->fibers);
    stream.op = "launch";
    if (loam_gpu(function->module->fibers)->launch(&stream, launch) != LOAM_OK) {
        fprintf(stderr, "fake_cuda: %s\n", stream.failure.message);
        fake_lost = CUDA_ERROR_LAUNCH_FAILED;
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
    fake_run_uploads(stream);
    stream->launches++;
    for (int i = 0; i < kernels[launch.kernel].buffers; i++) {
        const cuda_address address = (cuda_address)(uintptr_t)launch.buffers[i];
        launch.buffers[i] = address != 0 ? fake_find(address, 0) : NULL;
        if (address != 0 && launch.buffers[i] == NULL) {
            fake_lost = CUDA_ERROR_ILLEGAL_ADDRESS;
            return CUDA_SUCCESS;
        }
        if (address != 0) fake_note_use(launch.buffers[i], stream);
    }
    fake_state.launches++;
    if (fake_state.skip != NULL && strcmp(fake_state.skip, kernels[launch.kernel].name) == 0)
        return CUDA_SUCCESS;
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
    return flags == 0 ? fake_create((void **)graph, sizeof **graph) : (cuda_result)CUDA_ERROR_INVALID_VALUE;
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
        kept != NULL ? fake_create((void **)out, sizeof **out) : (cuda_result)CUDA_ERROR_OUT_OF_MEMORY;
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
    fake_state.changed_nodes++;
    return CUDA_SUCCESS;
}

cuda_result cuGraphLaunch(struct CUgraphExec_st *executable, struct CUstream_st *stream)
{
    BEGIN(true);
    fake_state.graph_launches++;
    for (int i = 0; i < executable->count && fake_lost == CUDA_SUCCESS; i++)
        (void)run_kept(&executable->kept[i], stream);
    return CUDA_SUCCESS;
}

cuda_result cuGraphExecDestroy(struct CUgraphExec_st *executable)
{
    free(executable->kept);
    fake_destroy(executable);
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
    fake_destroy(graph);
    BEGIN(true);
    return CUDA_SUCCESS;
}
