// Products by cuBLASLt, where it is installed. The algorithm of a shape is chosen once; algorithms that divide the sums are
// not taken, so that the order of a sum never changes.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "device/gpu/cuda/host.h"
#include "device/gpu/cuda/lt.h"

enum { NEWEST = 13, OLDEST = 12, LEAST = 16, MOST_SHAPES = 1024, WIDEST = 256 };

// What an algorithm depends on.
struct shape {
    int64_t m, n, k, a_stride, b_stride, c_stride, added_stride;
    int32_t a_transposed, b_transposed; // the terms of a sum are not contiguous
    int32_t dtype, c_dtype;
    int32_t has_bias, has_added;
    int32_t a_align, b_align, c_align, added_align;
};

// cuBLASLt's matrices have columns where loam's have rows, so it makes the transpose of c from b and a.
struct known {
    struct shape shape;
    bool is_made; // false: the kernels make it
    lt_desc desc;
    lt_layout a, b, c, d;
    lt_algorithm algorithm;
};

struct cuda_products {
    struct loam_cuda_lt lt;
    lt_handle handle;
    int count;
    struct known known[MOST_SHAPES];
};

static const struct {
    const char *symbol;
    size_t offset; // of the member
} calls[] = {
#define LT_CALL(member, symbol, parameters) {#symbol, offsetof(struct loam_cuda_lt, member)},
#include "device/gpu/cuda/lt_list.def"
#undef LT_CALL
};

// ---- the library ----

static bool find_functions(struct loam_cuda_lt *lt)
{
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        void *const function = dlsym(lt->library, calls[i].symbol);
        if (function == NULL) return false;
        memcpy((char *)lt + calls[i].offset, &function, sizeof function);
    }
    return true;
}

// A driver takes libraries of its own major version and of those before it.
static bool open_library(struct loam_cuda_lt *lt, int driver_version)
{
    for (int major = NEWEST; major >= OLDEST; major--) {
        char name[32];
        if (major > driver_version / 1000) continue;
        (void)snprintf(name, sizeof name, "libcublasLt.so.%d", major);
        *lt = (struct loam_cuda_lt){.library = dlopen(name, RTLD_NOW | RTLD_LOCAL)};
        if (lt->library == NULL) continue;
        if (find_functions(lt)) return true;
        (void)dlclose(lt->library);
        lt->library = NULL;
    }
    return false;
}

static void forget(const struct loam_cuda_lt *lt, struct known *known)
{
    if (known->a != NULL) (void)lt->layout_destroy(known->a);
    if (known->b != NULL) (void)lt->layout_destroy(known->b);
    if (known->c != NULL) (void)lt->layout_destroy(known->c);
    if (known->d != NULL) (void)lt->layout_destroy(known->d);
    if (known->desc != NULL) (void)lt->desc_destroy(known->desc);
    *known = (struct known){0};
}

static void forget_all(struct cuda_products *products)
{
    for (int i = 0; i < products->count; i++)
        forget(&products->lt, &products->known[i]);
    products->count = 0;
}

enum loam_status loam_cuda_products_init(struct cuda_device *cuda, struct loam_error *error)
{
    const char *choice = getenv("LOAM_CUBLASLT");
    if (choice != NULL && strcmp(choice, "off") == 0) return LOAM_OK;
    cuda->products = loam_calloc(1, sizeof *cuda->products, error);
    if (cuda->products == NULL) return LOAM_ERROR_MEMORY;
    struct cuda_products *products = cuda->products;
    if (open_library(&products->lt, cuda->driver.version) &&
        products->lt.create(&products->handle) == CUBLAS_STATUS_SUCCESS) {
        cuda->gpu.plain_product = loam_cuda_product;
        return LOAM_OK;
    }
    products->handle = NULL;
    loam_cuda_products_deinit(cuda);
    return LOAM_OK;
}

void loam_cuda_products_deinit(struct cuda_device *cuda)
{
    struct cuda_products *products = cuda->products;
    if (products == NULL) return;
    if (products->handle != NULL) {
        forget_all(products);
        (void)products->lt.destroy(products->handle);
    }
    if (products->lt.library != NULL) (void)dlclose(products->lt.library);
    free(products);
    cuda->products = NULL;
}

// ---- shapes ----

static int32_t align_of(const void *address)
{
    const uintptr_t lowest = (uintptr_t)address & (~(uintptr_t)address + 1);
    return address == NULL || lowest > WIDEST ? WIDEST : (int32_t)lowest;
}

// Whether the product has a shape that cuBLASLt takes: big enough, one stride of an operand 1, the others as long as a row.
static bool make_shape(struct shape *shape, const struct loam_plain_product *p)
{
    memset(shape, 0, sizeof *shape); // shapes are compared as bytes
    if (p->m < LEAST || p->n < LEAST || p->k < LEAST || (p->a_i != 1 && p->a_k != 1) ||
        (p->b_j != 1 && p->b_k != 1))
        return false;
    *shape = (struct shape){.m = p->m,
                            .n = p->n,
                            .k = p->k,
                            .a_stride = p->a_k == 1 ? p->a_i : p->a_k,
                            .b_stride = p->b_k == 1 ? p->b_j : p->b_k,
                            .c_stride = p->c_i,
                            .added_stride = p->added != NULL ? p->added_i : p->c_i,
                            .a_transposed = p->a_k != 1,
                            .b_transposed = p->b_k != 1,
                            .dtype = (int32_t)p->dtype,
                            .c_dtype = (int32_t)p->c_dtype,
                            .has_bias = p->bias != NULL,
                            .has_added = p->added != NULL,
                            .a_align = align_of(p->a),
                            .b_align = align_of(p->b),
                            .c_align = align_of(p->c),
                            .added_align = align_of(p->added)};
    return shape->a_stride >= (shape->a_transposed ? p->m : p->k) &&
           shape->b_stride >= (shape->b_transposed ? p->n : p->k) && shape->c_stride >= p->n &&
           shape->added_stride >= p->n;
}

static lt_enum type_of(int32_t dtype)
{
    return dtype == LOAM_F32 ? CUDA_R_32F : dtype == LOAM_F16 ? CUDA_R_16F : CUDA_R_16BF;
}

static bool describe(const struct loam_cuda_lt *lt, struct known *known)
{
    const struct shape *s = &known->shape;
    const lt_enum type = type_of(s->dtype), c_type = type_of(s->c_dtype);
    const lt_enum transpose_b = s->b_transposed ? CUBLAS_OP_N : CUBLAS_OP_T,
                  transpose_a = s->a_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    const lt_enum end = s->has_bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
    const uint64_t m = (uint64_t)s->m, n = (uint64_t)s->n, k = (uint64_t)s->k;
    return lt->desc_create(&known->desc, CUBLAS_COMPUTE_32F, CUDA_R_32F) == 0 &&
           lt->desc_set(known->desc, CUBLASLT_MATMUL_DESC_TRANSA, &transpose_b, sizeof transpose_b) == 0 &&
           lt->desc_set(known->desc, CUBLASLT_MATMUL_DESC_TRANSB, &transpose_a, sizeof transpose_a) == 0 &&
           lt->desc_set(known->desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &end, sizeof end) == 0 &&
           (!s->has_bias ||
            lt->desc_set(known->desc, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &type, sizeof type) == 0) &&
           lt->layout_create(&known->b, type, s->b_transposed ? n : k, s->b_transposed ? k : n,
                             s->b_stride) == 0 &&
           lt->layout_create(&known->a, type, s->a_transposed ? m : k, s->a_transposed ? k : m,
                             s->a_stride) == 0 &&
           lt->layout_create(&known->c, c_type, n, m, s->added_stride) == 0 &&
           lt->layout_create(&known->d, c_type, n, m, s->c_stride) == 0;
}

static bool set_preference(const struct loam_cuda_lt *lt, lt_preference preference, const struct shape *s)
{
    const uint64_t workspace = 0;
    const uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_NONE;
    const struct {
        lt_enum attribute;
        uint32_t value;
    } numbers[] = {{CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, reductions},
                   {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, (uint32_t)s->b_align},
                   {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, (uint32_t)s->a_align},
                   {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, (uint32_t)s->added_align},
                   {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, (uint32_t)s->c_align}};
    if (lt->preference_set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace,
                           sizeof workspace) != 0)
        return false;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (lt->preference_set(preference, numbers[i].attribute, &numbers[i].value,
                               sizeof numbers[i].value) != 0)
            return false;
    return true;
}

static bool divides_sums(const struct loam_cuda_lt *lt, const lt_algorithm *algorithm)
{
    int32_t parts = 0;
    size_t written;
    return lt->algorithm_get(algorithm, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &parts, sizeof parts, &written) !=
               0 ||
           parts > 1;
}

// The first algorithm of the library's list that keeps the sums whole.
static bool choose(const struct cuda_products *products, struct known *known)
{
    const struct loam_cuda_lt *lt = &products->lt;
    lt_choice choices[8];
    lt_preference preference = NULL;
    int count = 0;
    if (lt->preference_create(&preference) != 0) return false;
    if (!set_preference(lt, preference, &known->shape) ||
        lt->choose(products->handle, known->desc, known->b, known->a, known->c, known->d, preference, 8,
                   choices, &count) != 0)
        count = 0;
    (void)lt->preference_destroy(preference);
    for (int i = 0; i < count; i++) {
        if (choices[i].state != CUBLAS_STATUS_SUCCESS || choices[i].workspaceSize > 0 ||
            divides_sums(lt, &choices[i].algo))
            continue;
        known->algorithm = choices[i].algo;
        return true;
    }
    return false;
}

static struct known *find(struct cuda_products *products, const struct shape *shape)
{
    for (int i = 0; i < products->count; i++)
        if (cuda_have_equal_bytes(&products->known[i].shape, shape, sizeof *shape))
            return &products->known[i];
    if (products->count == MOST_SHAPES) forget_all(products);
    struct known *known = &products->known[products->count++];
    *known = (struct known){.shape = *shape};
    known->is_made = describe(&products->lt, known) && choose(products, known);
    return known;
}

// ---- products ----

bool loam_cuda_product(struct loam_stream *stream, const struct loam_plain_product *p)
{
    struct cuda_device *cuda = cuda_device(stream->device);
    const struct loam_cuda_lt *lt = &cuda->products->lt;
    struct shape shape;
    const float alpha = p->scale, beta = p->added != NULL ? 1.0f : 0.0f;
    if (!make_shape(&shape, p)) return false;
    const struct known *known = find(cuda->products, &shape);
    if (!known->is_made) return false;
    if (!loam_cuda_enter(stream, stream->op)) return true;
    unsigned status = 0;
    if (p->bias != NULL)
        status = lt->desc_set(known->desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &p->bias, sizeof p->bias);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = lt->multiply(cuda->products->handle, known->desc, &alpha, p->b, known->b, p->a, known->a,
                              &beta, p->added != NULL ? p->added : p->c, known->c, p->c, known->d,
                              &known->algorithm, NULL, 0, cuda->queue);
    if (status == CUBLAS_STATUS_SUCCESS) return true;
    char text[96];
    (void)snprintf(text, sizeof text, "cuBLASLt fails with status %u; LOAM_CUBLASLT=off does without it",
                   status);
    loam_stream_fail(stream, LOAM_ERROR_IO, stream->op, text);
    return true;
}
