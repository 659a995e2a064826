// What an op asks of a host of the kernels (CUDA, OpenCL, fibers): launches, in the order of the stream.
#ifndef LOAM_DEVICE_GPU_LAUNCH_H
#define LOAM_DEVICE_GPU_LAUNCH_H

#include "device/device.h"
#include "device/gpu/kernels/params.h"

enum loam_kernel {
#define LOAM_KERNEL(name, buffers) LOAM_KERNEL_##name,
#include "device/gpu/kernels/kernel_list.def"
#undef LOAM_KERNEL
    LOAM_KERNEL_COUNT
};

enum { LOAM_MAX_BUFFERS = 7 * PRODUCT_GROUP };

struct loam_launch {
    enum loam_kernel kernel;
    int64_t grid[3]; // blocks of BLOCK_THREADS threads; 0 in the second and the third dimension is 1
    size_t shared;   // bytes of memory that a block shares
    void *buffers[LOAM_MAX_BUFFERS]; // addresses of the device; NULL: absent
    const void *params;              // struct name_params of the kernel
    size_t params_bytes;
};

// A product without dropout, formats of weights or adapters: c[i, j] = scale sum_k a[i, k] b[j, k] + bias[j] + added[i, j].
// a, b are f16 or bf16, both the same. Of an operand one stride is 1. c and `added` have rows of contiguous elements.
struct loam_plain_product {
    int64_t m, n, k;
    const void *a, *b;
    int64_t a_i, a_k, b_j, b_k; // strides
    const void *bias;           // [n] in the dtype of a; NULL: none
    const void *added;          // the residual, or c itself where it accumulates; dtype of c; NULL: none
    void *c;
    int64_t c_i, added_i; // strides
    enum loam_dtype dtype, c_dtype;
    float scale;
};

// What a device has as its state, or as the first member of it.
struct loam_gpu {
    // Queues the launch. A failure is recorded in the stream.
    enum loam_status (*launch)(struct loam_stream *stream, const struct loam_launch *launch);
    // Queues the product by a library of the vendor, behind the launches so far; false: the kernels make it. The same
    // arguments give the same bits in each call of a run. It takes no scratch of the stream. NULL: none.
    bool (*plain_product)(struct loam_stream *stream, const struct loam_plain_product *product);
    int64_t loss_chunk; // logits that are held at a time
    int capability;     // of CUDA, 75 for 7.5: selects the tiles of products; 0: the kernels have no warps
    int processors;     // that run blocks
    size_t shared_most; // bytes that a block can share
    unsigned mma;       // dtypes whose products warps make, a bit 1 << dtype each
};

static inline const struct loam_gpu *loam_gpu(const struct loam_device *device)
{
    return device->state;
}

static inline enum loam_status loam_gpu_launch(struct loam_stream *stream, const struct loam_launch *launch)
{
    return loam_gpu(stream->device)->launch(stream, launch);
}

// The parameters of a launch.
#define LOAM_PARAMS(p) .params = &(p), .params_bytes = sizeof(p)

// Blocks of `each` that hold `count`.
static inline int64_t loam_blocks(int64_t count, int64_t each)
{
    return (count + each - 1) / each;
}

// The cells of a matrix with a thread for each element.
static inline struct cells loam_cells(int64_t columns)
{
    return (struct cells){.columns = columns, .per_row = (i32)loam_blocks(columns, BLOCK_THREADS), .run = 1};
}
// The cells of a matrix with a thread for each run of elements.
static inline struct cells loam_run_cells(int64_t columns, int32_t run)
{
    return (struct cells){
        .columns = columns, .per_row = (i32)loam_blocks(columns, (int64_t)BLOCK_THREADS * run), .run = run};
}
static inline int64_t loam_cell_blocks(int64_t rows, struct cells cells)
{
    return rows * cells.per_row;
}

// The op table and the probes of every host.
void loam_gpu_set_ops(struct loam_op_table *ops);
extern const struct loam_probe_table loam_gpu_probes;

#endif
