// Single products by oneDNN, with weights as they lie in a checkpoint or packed.
#include "device/probe.h"

#include <stdlib.h>

#include "base/heap.h"
#include "device/cpu/cpu.h"

struct loam_probe {
    struct matmul_cache *matmuls;
};

static void probe_destroy(struct loam_probe *probe)
{
    if (probe == NULL) return;
    loam_matmul_cache_destroy(probe->matmuls);
    free(probe);
}

static enum loam_status probe_create(struct loam_probe **out, const struct loam_device *device,
                                     struct loam_error *error)
{
    *out = NULL;
    struct loam_probe *probe = loam_calloc(1, sizeof *probe, error);
    if (probe == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = loam_matmul_cache_create(&probe->matmuls, device->threads, error);
    if (status != LOAM_OK) {
        probe_destroy(probe);
        return status;
    }
    *out = probe;
    return LOAM_OK;
}

static struct matmul_shape shape_of(const struct loam_product *product, bool packed)
{
    struct matmul_shape shape = {.m = product->m,
                                 .n = product->n,
                                 .k = product->k,
                                 .a_stride = {product->k, 1},
                                 .b_stride = {product->n, 1},
                                 .c_stride = product->n,
                                 .ab_dtype = product->dtype,
                                 .c_dtype = product->c_dtype,
                                 .packed = packed};
    if (product->kind == LOAM_PRODUCT_FORWARD) {
        shape.b_stride[0] = 1;
        shape.b_stride[1] = product->k;
    }
    if (product->kind == LOAM_PRODUCT_WEIGHT) {
        shape.a_stride[0] = 1;
        shape.a_stride[1] = product->m;
    }
    return shape;
}

static const char *probe_product(struct loam_probe *probe, const struct loam_product *product, const void *a,
                                 const void *w, void *c)
{
    const struct matmul_shape shape = shape_of(product, false);
    return loam_matmul_run(probe->matmuls, &shape, a, w, NULL, c);
}

static size_t probe_packed_bytes(struct loam_probe *probe, const struct loam_product *product)
{
    const struct matmul_shape shape = shape_of(product, true);
    return loam_matmul_packed_bytes(probe->matmuls, &shape);
}

static const char *probe_pack(struct loam_probe *probe, const struct loam_product *product, const void *w,
                              void *packed)
{
    const struct matmul_shape shape = shape_of(product, true);
    return loam_matmul_pack(probe->matmuls, &shape, w, packed);
}

static const char *probe_packed_product(struct loam_probe *probe, const struct loam_product *product,
                                        const void *a, const void *packed, void *c)
{
    const struct matmul_shape shape = shape_of(product, true);
    return loam_matmul_run(probe->matmuls, &shape, a, packed, NULL, c);
}

const struct loam_probe_table loam_cpu_probes = {
    .create = probe_create,
    .destroy = probe_destroy,
    .product = probe_product,
    .packed_bytes = probe_packed_bytes,
    .pack = probe_pack,
    .packed_product = probe_packed_product,
};
