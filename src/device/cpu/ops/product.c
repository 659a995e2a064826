#include "device/cpu/ops/product.h"

#include <string.h>

#include "device/cpu/ops/gemm_kernel.h"

static enum loam_dtype dtype_of(bool bf16)
{
    return bf16 ? LOAM_BF16 : LOAM_F32;
}

// The length of a row of f32 sums, whole tiles, for a product by oneDNN that `finish` reads.
static int64_t sums_row(const struct loam_device *device, int64_t n)
{
    return gemm_round_up(n, cpu_context(device)->gemm.columns);
}

static void finish_sums(const struct loam_stream *stream, const struct gemm *product, const float *sums)
{
    const int64_t row = sums_row(stream->device, product->n);
    const int64_t tile_columns = cpu_context(stream->device)->gemm.columns;
#pragma omp parallel for schedule(static) num_threads(cpu_threads(stream))
    for (int64_t i = 0; i < product->m; i++)
        for (int64_t j = 0; j < product->n; j += tile_columns) {
            const int64_t columns = gemm_min(tile_columns, product->n - j);
            product->finish(product->context, &(struct gemm_tile){sums + i * row + j, row, i, 1, j, columns});
        }
}

// oneDNN adds what c holds.
static void copy_addend(const struct loam_stream *stream, const struct gemm *product)
{
    const int64_t size = product->c_bf16 ? 2 : 4;
#pragma omp parallel for schedule(static) num_threads(cpu_threads(stream))
    for (int64_t i = 0; i < product->m; i++)
        memcpy((char *)product->c + i * product->c_row * size,
               (const char *)product->add + i * product->add_row * size, (size_t)(product->n * size));
}

static enum loam_status product_onednn(struct loam_stream *stream, const struct gemm *product, float *sums)
{
    const bool finishes = product->finish != NULL;
    if (product->add != NULL && product->add != product->c) copy_addend(stream, product);
    const struct matmul_shape shape = {
        .m = product->m,
        .n = product->n,
        .k = product->k,
        .a_stride = {product->a.row, product->a.column},
        .b_stride = {product->b.row, product->b.column},
        .c_stride = finishes ? sums_row(stream->device, product->n) : product->c_row,
        .ab_dtype = product->a.dtype,
        .c_dtype = dtype_of(product->c_bf16 && !finishes),
        .bias_dtype = product->bias != NULL ? dtype_of(product->bias_bf16) : LOAM_DTYPE_NONE,
        .accumulate = product->add != NULL,
    };
    LOAM_TRY(loam_cpu_matmul_status(stream, loam_matmul_run(cpu_matmuls(stream), &shape, product->a.data,
                                                            product->b.data, product->bias,
                                                            finishes ? sums : product->c)));
    if (finishes) finish_sums(stream, product, sums);
    return LOAM_OK;
}

// NULL: oneDNN makes the product.
static const struct gemm_kernel *choose_kernel(const struct loam_device *device, enum loam_dtype a,
                                               enum loam_dtype b)
{
    const struct cpu_context *context = cpu_context(device);
    if (a != b || a == LOAM_F16) return context->gemm_mixed;
    return a == LOAM_F32 ? context->gemm_f32 : context->gemm_bf16;
}

size_t loam_cpu_product_scratch(const struct loam_device *device, enum loam_dtype a, enum loam_dtype b,
                                int64_t m, int64_t n, int64_t k)
{
    const struct gemm_kernel *kernel = choose_kernel(device, a, b);
    return kernel != NULL ? loam_cpu_gemm_scratch(cpu_context(device), kernel, m, n, k, device->threads) : 0;
}

size_t loam_cpu_product_finish_scratch(const struct loam_device *device, enum loam_dtype a, enum loam_dtype b,
                                       int64_t m, int64_t n, int64_t k)
{
    if (choose_kernel(device, a, b) == NULL) return (size_t)(m * sums_row(device, n)) * sizeof(float);
    return loam_cpu_product_scratch(device, a, b, m, n, k);
}

enum loam_status loam_cpu_product(struct loam_stream *stream, const struct gemm *product, void *scratch)
{
    const struct loam_device *device = stream->device;
    const struct gemm_kernel *kernel = choose_kernel(device, product->a.dtype, product->b.dtype);
    if (kernel == NULL) return product_onednn(stream, product, scratch);
    loam_cpu_gemm(cpu_context(device), kernel, product, scratch, device->threads);
    return LOAM_OK;
}
