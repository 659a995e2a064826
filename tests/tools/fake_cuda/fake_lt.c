// cuBLASLt of the tests (libcublasLt.so.12): plain sums in f32, over the memory of the driver library of the tests. It
// refuses what the real one refuses: strides shorter than a column, a bias of another dtype, and algorithms of another shape.
#include "fake_lt.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "device/gpu/cuda/lt.h"
#include "fake_cuda.h"
#include "tensor/tensor.h"

#define EXPORT __attribute__((visibility("default")))
#define LT_CALL(member, symbol, parameters) EXPORT unsigned symbol parameters;
#include "device/gpu/cuda/lt_list.def"
#undef LT_CALL
EXPORT struct fake_lt *fake_lt(void);

enum { INVALID_VALUE = 7, FAILED = 13 };

struct cublasLtContext {
    int unused;
};
struct desc {
    unsigned transpose_a, transpose_b, end, bias_type;
    const void *bias;
};
struct layout {
    unsigned type;
    uint64_t rows, columns;
    int64_t stride;
};
struct preference {
    uint64_t workspace;
    uint32_t reductions;
};

static struct fake_lt fake;

struct fake_lt *fake_lt(void)
{
    return &fake;
}

static unsigned make(void *out, size_t bytes)
{
    void *const made = calloc(1, bytes);
    memcpy(out, &made, sizeof made);
    fake.live += made != NULL;
    return made != NULL ? 0 : 3;
}

static unsigned release(void *made)
{
    free(made);
    fake.live--;
    return 0;
}

unsigned cublasLtCreate(lt_handle *handle)
{
    return fake.refuses ? 1 : make(handle, sizeof **handle);
}

unsigned cublasLtDestroy(lt_handle handle)
{
    return release(handle);
}

unsigned cublasLtMatmulDescCreate(lt_desc *desc, lt_enum compute, lt_enum scale)
{
    if (compute != CUBLAS_COMPUTE_32F || scale != CUDA_R_32F) return INVALID_VALUE;
    return make(desc, sizeof(struct desc));
}

unsigned cublasLtMatmulDescSetAttribute(lt_desc opaque, lt_enum attribute, const void *value, size_t bytes)
{
    struct desc *desc = opaque;
    void *field = attribute == CUBLASLT_MATMUL_DESC_TRANSA           ? (void *)&desc->transpose_a
                  : attribute == CUBLASLT_MATMUL_DESC_TRANSB         ? (void *)&desc->transpose_b
                  : attribute == CUBLASLT_MATMUL_DESC_EPILOGUE       ? (void *)&desc->end
                  : attribute == CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE ? (void *)&desc->bias_type
                  : attribute == CUBLASLT_MATMUL_DESC_BIAS_POINTER   ? (void *)&desc->bias
                                                                     : NULL;
    const size_t size = attribute == CUBLASLT_MATMUL_DESC_BIAS_POINTER ? sizeof desc->bias : sizeof(unsigned);
    if (field == NULL || bytes != size) return INVALID_VALUE;
    memcpy(field, value, bytes);
    return 0;
}

unsigned cublasLtMatmulDescDestroy(lt_desc desc)
{
    return release(desc);
}

unsigned cublasLtMatrixLayoutCreate(lt_layout *out, lt_enum type, uint64_t rows, uint64_t columns,
                                    int64_t stride)
{
    struct layout *layout;
    if (stride < (int64_t)rows || rows == 0 || columns == 0) return INVALID_VALUE;
    const unsigned status = make(&layout, sizeof *layout);
    if (status == 0) *layout = (struct layout){type, rows, columns, stride};
    *out = layout;
    return status;
}

unsigned cublasLtMatrixLayoutDestroy(lt_layout layout)
{
    return release(layout);
}

unsigned cublasLtMatmulPreferenceCreate(lt_preference *preference)
{
    const unsigned status = make(preference, sizeof(struct preference));
    if (status == 0) *(struct preference *)*preference = (struct preference){.reductions = 7};
    return status;
}

unsigned cublasLtMatmulPreferenceSetAttribute(lt_preference opaque, lt_enum attribute, const void *value,
                                              size_t bytes)
{
    struct preference *preference = opaque;
    if (attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES && bytes == sizeof preference->workspace)
        memcpy(&preference->workspace, value, bytes);
    else if (attribute == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK &&
             bytes == sizeof preference->reductions)
        memcpy(&preference->reductions, value, bytes);
    else if (attribute < CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES ||
             attribute > CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES || bytes != sizeof(uint32_t))
        return INVALID_VALUE;
    return 0;
}

unsigned cublasLtMatmulPreferenceDestroy(lt_preference preference)
{
    return release(preference);
}

// ---- products ----

// [rows, columns] of an operand after its transposition.
static void size_of(const struct layout *layout, unsigned turn, uint64_t *rows, uint64_t *columns)
{
    *rows = turn == CUBLAS_OP_T ? layout->columns : layout->rows;
    *columns = turn == CUBLAS_OP_T ? layout->rows : layout->columns;
}

// 0: they fit each other.
static unsigned check(const struct desc *desc, const struct layout *a, const struct layout *b,
                      const struct layout *c, const struct layout *d)
{
    uint64_t a_rows, a_columns, b_rows, b_columns;
    size_of(a, desc->transpose_a, &a_rows, &a_columns);
    size_of(b, desc->transpose_b, &b_rows, &b_columns);
    const bool fit = a_columns == b_rows && d->rows == a_rows && d->columns == b_columns &&
                     c->rows == d->rows && c->columns == d->columns && c->type == d->type &&
                     a->type == b->type;
    return fit ? 0 : INVALID_VALUE;
}

// The first algorithm divides sums, the second wants a workspace; neither may be taken.
unsigned cublasLtMatmulAlgoGetHeuristic(lt_handle handle, lt_desc desc, lt_layout a, lt_layout b, lt_layout c,
                                        lt_layout d, lt_preference opaque, int wanted, lt_choice *choices,
                                        int *count)
{
    const struct preference *preference = opaque;
    (void)handle;
    *count = 0;
    if (check(desc, a, b, c, d) != 0 || preference->workspace != 0 || preference->reductions != 0 ||
        wanted < 3)
        return INVALID_VALUE;
    if (((const struct desc *)desc)->end == CUBLASLT_EPILOGUE_BIAS &&
        ((const struct desc *)desc)->bias_type != ((const struct layout *)d)->type)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    fake.chosen++;
    *count = 3;
    for (int i = 0; i < 3; i++)
        choices[i] = (lt_choice){.algo = {{(uint64_t)i + 1, ((const struct layout *)d)->rows,
                                           ((const struct layout *)d)->columns}},
                                 .workspaceSize = i == 1 ? 4096 : 0};
    return 0;
}

unsigned cublasLtMatmulAlgoConfigGetAttribute(const lt_algorithm *algorithm, lt_enum attribute, void *value,
                                              size_t bytes, size_t *written)
{
    const int32_t parts = algorithm->data[0] == 1 ? 4 : 1;
    if (attribute != CUBLASLT_ALGO_CONFIG_SPLITK_NUM || bytes != sizeof parts) return INVALID_VALUE;
    memcpy(value, &parts, bytes);
    *written = bytes;
    return 0;
}

static enum loam_dtype dtype_of(unsigned type)
{
    return type == CUDA_R_32F ? LOAM_F32 : type == CUDA_R_16F ? LOAM_F16 : LOAM_BF16;
}

static float read(const char *data, unsigned type, int64_t index)
{
    float value;
    loam_convert(&value, LOAM_F32, data + (size_t)index * loam_dtype_size(dtype_of(type)), dtype_of(type), 1);
    return value;
}

static char *reach(const void *address, struct CUstream_st *stream)
{
    return fake_cuda_reach((cuda_address)(uintptr_t)address, stream);
}

// The element (row, column) of an operand after its transposition.
static float element(const char *data, const struct layout *layout, unsigned turn, uint64_t row,
                     uint64_t column)
{
    const int64_t first = (int64_t)(turn == CUBLAS_OP_T ? column : row),
                  second = (int64_t)(turn == CUBLAS_OP_T ? row : column);
    return read(data, layout->type, second * layout->stride + first);
}

unsigned cublasLtMatmul(lt_handle handle, lt_desc opaque, const void *alpha, const void *a,
                        lt_layout a_opaque, const void *b, lt_layout b_opaque, const void *beta,
                        const void *c, lt_layout c_opaque, void *d, lt_layout d_opaque,
                        const lt_algorithm *algorithm, void *workspace, size_t workspace_bytes,
                        struct CUstream_st *stream)
{
    const struct desc *desc = opaque;
    const struct layout *la = a_opaque, *lb = b_opaque, *lc = c_opaque, *ld = d_opaque;
    const char *from_a = reach(a, stream), *from_b = reach(b, stream), *from_c = reach(c, stream);
    const char *const bias = desc->end == CUBLASLT_EPILOGUE_BIAS ? reach(desc->bias, stream) : NULL;
    char *const to = reach(d, stream);
    uint64_t rows, terms;
    (void)handle;
    if (fake.fails) return FAILED;
    if (check(desc, la, lb, lc, ld) != 0 || algorithm->data[0] != 3 || algorithm->data[1] != ld->rows ||
        algorithm->data[2] != ld->columns || workspace != NULL || workspace_bytes != 0)
        return INVALID_VALUE;
    if (from_a == NULL || from_b == NULL || from_c == NULL || to == NULL) return FAILED;
    size_of(la, desc->transpose_a, &rows, &terms);
    for (uint64_t column = 0; column < ld->columns; column++)
        for (uint64_t row = 0; row < rows; row++) {
            float sum = 0;
            for (uint64_t k = 0; k < terms; k++)
                sum += element(from_a, la, desc->transpose_a, row, k) *
                       element(from_b, lb, desc->transpose_b, k, column);
            sum *= *(const float *)alpha;
            if (*(const float *)beta != 0)
                sum += *(const float *)beta * element(from_c, lc, CUBLAS_OP_N, row, column);
            if (bias != NULL) sum += read(bias, desc->bias_type, (int64_t)row);
            loam_convert(to + ((size_t)column * (size_t)ld->stride + row) *
                                  loam_dtype_size(dtype_of(ld->type)),
                         dtype_of(ld->type), &sum, LOAM_F32, 1);
        }
    fake.products++;
    return 0;
}
