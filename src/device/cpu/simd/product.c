#include "device/cpu/simd/product.h"

#include <string.h>

#include "device/cpu/simd/gemm_kernel.h"

static enum loam_dtype dtype_of(bool bf16)
{
    return bf16 ? LOAM_BF16 : LOAM_F32;
}

// Rows of f32 sums for oneDNN, which lets nobody see its tiles.
static int64_t sums_row(int64_t n)
{
    return gemm_round_up(n, GEMM_COLUMNS);
}

static void finish_sums(const struct loam_stream *stream, const struct gemm *product, const float *sums)
{
#pragma omp parallel for schedule(static) num_threads(cpu_threads(stream))
    for (int64_t i = 0; i < product->m; i++)
        for (int64_t j = 0; j < product->n; j += GEMM_COLUMNS) {
            const int64_t row = sums_row(product->n), columns = gemm_min(GEMM_COLUMNS, product->n - j);
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
        .c_stride = finishes ? sums_row(product->n) : product->c_row,
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

// oneDNN is as fast with f32 below AVX-512, and has AMX for bf16.
const struct gemm_kernel *cpu_product_kernel(const struct loam_device *device, enum loam_dtype a,
                                             enum loam_dtype b)
{
    if (a != b) return &CPU_OVERRIDES(gemm_block_float);
    if (a == LOAM_F32) return LANES == 16 ? &CPU_OVERRIDES(gemm_f32) : NULL;
    if (a == LOAM_F16 || !cpu_has_bf16(device)) return &CPU_OVERRIDES(gemm_block_float);
#if defined(__AVX512F__)
    if (!loam_matmul_has_tiles()) return &CPU_OVERRIDES(gemm_bf16);
#endif
    return NULL;
}

size_t cpu_product_scratch(const struct loam_device *device, enum loam_dtype a, enum loam_dtype b, int64_t m,
                           int64_t n, int64_t k)
{
    const struct gemm_kernel *kernel = cpu_product_kernel(device, a, b);
    return kernel != NULL ? cpu_gemm_scratch(kernel, m, n, k, device->threads) : 0;
}

size_t cpu_product_finish_scratch(const struct loam_device *device, enum loam_dtype a, enum loam_dtype b,
                                  int64_t m, int64_t n, int64_t k)
{
    if (cpu_product_kernel(device, a, b) == NULL) return (size_t)(m * sums_row(n)) * sizeof(float);
    return cpu_product_scratch(device, a, b, m, n, k);
}

enum loam_status cpu_product(struct loam_stream *stream, const struct gemm *product, void *scratch)
{
    const struct loam_device *device = stream->device;
    const struct gemm_kernel *kernel = cpu_product_kernel(device, product->a.dtype, product->b.dtype);
    if (kernel == NULL) return product_onednn(stream, product, scratch);
    cpu_gemm(product, kernel, scratch, device->threads);
    return LOAM_OK;
}
