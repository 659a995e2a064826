// Launches are gathered and then queued together. Where the same kernels come again at the same place between two waits,
// they are queued as one graph, of which only the launches that differ are changed.
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "device/gpu/cache.h"
#include "device/gpu/cuda/host.h"

enum {
    MOST = 256,   // launches that are gathered
    LEAST = 8,    // of a graph
    GRAPHS = 256, // that are kept: offloaded layers end a submission each
};

union params {
#define LOAM_KERNEL(name, buffers) struct name##_params name;
#include "device/gpu/kernels/kernel_list.def"
#undef LOAM_KERNEL
};

struct launch {
    enum loam_kernel kernel;
    unsigned grid[3], shared;
    void *buffers[LOAM_MAX_BUFFERS];
    union params params;
    const char *op; // that asked for it
};

struct graph {
    uint64_t key; // of its kernels and its place; 0: the slot is free
    int64_t used; // when, in submissions
    int count;    // of its launches; 0: they were seen once, and nothing is made yet
    struct CUgraph_st *graph;
    struct CUgraphExec_st *executable;
    struct CUgraphNode_st *nodes[MOST];
    struct launch launches[MOST];
};

struct cuda_gathering {
    bool off; // LOAM_CUDA_GRAPHS=off
    int count;
    int place; // submissions since the last wait
    int64_t time;
    struct launch launches[MOST];
    struct graph graphs[GRAPHS];
};

enum loam_status loam_cuda_gathering_init(struct cuda_device *cuda, struct loam_error *error)
{
    const char *choice = getenv("LOAM_CUDA_GRAPHS");
    cuda->gathering = loam_calloc(1, sizeof *cuda->gathering, error);
    if (cuda->gathering == NULL) return LOAM_ERROR_MEMORY;
    cuda->gathering->off = choice != NULL && strcmp(choice, "off") == 0;
    return LOAM_OK;
}

static void forget(const struct loam_cuda_driver *driver, struct graph *graph)
{
    if (graph->executable != NULL) (void)driver->graph_executable_destroy(graph->executable);
    if (graph->graph != NULL) (void)driver->graph_destroy(graph->graph);
    graph->executable = NULL;
    graph->graph = NULL;
    graph->key = 0;
    graph->count = 0;
}

void loam_cuda_gathering_deinit(struct cuda_device *cuda)
{
    if (cuda->gathering == NULL) return;
    for (int i = 0; i < GRAPHS; i++)
        forget(&cuda->driver, &cuda->gathering->graphs[i]);
    free(cuda->gathering);
    cuda->gathering = NULL;
}

// ---- launches ----

// The addresses of a launch's arguments, as the driver takes them.
struct arguments {
    void *items[LOAM_MAX_BUFFERS + 1];
};

static void **list_arguments(struct arguments *arguments, struct launch *launch)
{
    const int count = loam_cuda_buffers(launch->kernel);
    for (int i = 0; i < count; i++)
        arguments->items[i] = &launch->buffers[i];
    arguments->items[count] = &launch->params;
    return arguments->items;
}

static cuda_result launch_alone(struct cuda_device *cuda, struct launch *launch)
{
    struct arguments arguments;
    return cuda->driver.launch(cuda->functions[launch->kernel], launch->grid[0], launch->grid[1],
                               launch->grid[2], BLOCK_THREADS, 1, 1, launch->shared, cuda->queue,
                               list_arguments(&arguments, launch), NULL);
}

static cuda_result launch_each(struct cuda_device *cuda, const char **op)
{
    struct cuda_gathering *gathering = cuda->gathering;
    cuda_result result = CUDA_SUCCESS;
    for (int i = 0; i < gathering->count && result == CUDA_SUCCESS; i++) {
        *op = gathering->launches[i].op;
        result = launch_alone(cuda, &gathering->launches[i]);
    }
    return result;
}

// ---- graphs ----

static struct CUDA_KERNEL_NODE_PARAMS_v2_st describe(const struct cuda_device *cuda, struct launch *launch,
                                                     struct arguments *arguments)
{
    return (struct CUDA_KERNEL_NODE_PARAMS_v2_st){.func = cuda->functions[launch->kernel],
                                                  .gridDimX = launch->grid[0],
                                                  .gridDimY = launch->grid[1],
                                                  .gridDimZ = launch->grid[2],
                                                  .blockDimX = BLOCK_THREADS,
                                                  .blockDimY = 1,
                                                  .blockDimZ = 1,
                                                  .sharedMemBytes = launch->shared,
                                                  .kernelParams = list_arguments(arguments, launch)};
}

// A launch begins when the one before it has ended, as in the queue.
static cuda_result build(struct cuda_device *cuda, struct graph *graph)
{
    const struct loam_cuda_driver *driver = &cuda->driver;
    struct cuda_gathering *gathering = cuda->gathering;
    struct arguments arguments;
    graph->count = gathering->count;
    memcpy(graph->launches, gathering->launches, (size_t)graph->count * sizeof *graph->launches);
    cuda_result result = driver->graph_create(&graph->graph, 0);
    for (int i = 0; i < graph->count && result == CUDA_SUCCESS; i++) {
        const struct CUDA_KERNEL_NODE_PARAMS_v2_st node = describe(cuda, &graph->launches[i], &arguments);
        result = driver->graph_add_kernel(&graph->nodes[i], graph->graph, i > 0 ? &graph->nodes[i - 1] : NULL,
                                          i > 0 ? 1 : 0, &node);
    }
    return result == CUDA_SUCCESS ? driver->graph_instantiate(&graph->executable, graph->graph, 0) : result;
}

// Changes the launches of the graph that differ from the gathered ones.
static cuda_result change(struct cuda_device *cuda, struct graph *graph)
{
    struct cuda_gathering *gathering = cuda->gathering;
    struct arguments arguments;
    cuda_result result = CUDA_SUCCESS;
    for (int i = 0; i < graph->count && result == CUDA_SUCCESS; i++) {
        if (cuda_have_equal_bytes(&graph->launches[i], &gathering->launches[i], sizeof *graph->launches))
            continue;
        graph->launches[i] = gathering->launches[i];
        const struct CUDA_KERNEL_NODE_PARAMS_v2_st node = describe(cuda, &graph->launches[i], &arguments);
        result = cuda->driver.graph_set_kernel(graph->executable, graph->nodes[i], &node);
    }
    return result;
}

static uint64_t make_key(const struct cuda_gathering *gathering)
{
    uint64_t key = loam_hash(LOAM_HASH_START, &gathering->place, sizeof gathering->place);
    for (int i = 0; i < gathering->count; i++)
        key = loam_hash(key, &gathering->launches[i].kernel, sizeof gathering->launches[i].kernel);
    return key | 1; // never that of a free slot
}

static bool has_kernels(const struct graph *graph, const struct cuda_gathering *gathering)
{
    if (graph->count != gathering->count) return false;
    for (int i = 0; i < graph->count; i++)
        if (graph->launches[i].kernel != gathering->launches[i].kernel) return false;
    return true;
}

// The graph of the gathered launches, or else the slot that was unused for longest, for them.
static struct graph *find(struct cuda_device *cuda, uint64_t key, bool *found)
{
    struct graph *const graphs = cuda->gathering->graphs, *oldest = &graphs[0];
    for (int i = 0; i < GRAPHS; i++) {
        *found = graphs[i].key == key;
        if (*found) return &graphs[i];
        if (graphs[i].used < oldest->used) oldest = &graphs[i];
    }
    return oldest;
}

// The first time the launches are only noted: many never come again.
static cuda_result launch_graph(struct cuda_device *cuda, const char **op)
{
    struct cuda_gathering *gathering = cuda->gathering;
    const uint64_t key = make_key(gathering);
    bool found;
    struct graph *graph = find(cuda, key, &found);
    cuda_result result = CUDA_SUCCESS;
    if (!found || (graph->count > 0 && !has_kernels(graph, gathering))) {
        forget(&cuda->driver, graph);
        graph->key = key;
        graph->used = ++gathering->time;
        return launch_each(cuda, op);
    }
    graph->used = ++gathering->time;
    *op = gathering->launches[0].op;
    result = graph->count == 0 ? build(cuda, graph) : change(cuda, graph);
    if (result == CUDA_SUCCESS) result = cuda->driver.graph_launch(graph->executable, cuda->queue);
    if (result != CUDA_SUCCESS) forget(&cuda->driver, graph);
    return result;
}

// ---- submission ----

cuda_result loam_cuda_submit(struct cuda_device *cuda, const char **op)
{
    struct cuda_gathering *gathering = cuda->gathering;
    if (gathering == NULL || gathering->count == 0) return CUDA_SUCCESS;
    cuda_result result = cuda->driver.context_use(cuda->context);
    if (result == CUDA_SUCCESS)
        result = gathering->count < LEAST || gathering->off ? launch_each(cuda, op) : launch_graph(cuda, op);
    gathering->count = 0;
    gathering->place++;
    return result;
}

void loam_cuda_gathering_restart(struct cuda_device *cuda)
{
    cuda->gathering->place = 0;
}

bool loam_cuda_gather(struct loam_stream *stream, const struct loam_launch *wanted)
{
    struct cuda_device *cuda = cuda_device(stream->device);
    struct cuda_gathering *gathering = cuda->gathering;
    struct launch *launch = &gathering->launches[gathering->count];
    memset(launch, 0, sizeof *launch); // with padding: launches are compared as bytes
    launch->kernel = wanted->kernel;
    launch->op = stream->op;
    launch->shared = (unsigned)wanted->shared;
    for (int i = 0; i < 3; i++)
        launch->grid[i] = wanted->grid[i] > 0 ? (unsigned)wanted->grid[i] : 1;
    memcpy(launch->buffers, wanted->buffers,
           (size_t)loam_cuda_buffers(wanted->kernel) * sizeof *launch->buffers);
    memcpy(&launch->params, wanted->params, wanted->params_bytes);
    if (++gathering->count < MOST) return true;
    const char *op = stream->op;
    const cuda_result result = loam_cuda_submit(cuda, &op);
    return loam_cuda_accept(stream, result, op);
}
