// The upper bounds that `loam bench` compares with: single products of the device's matrix library, and the
// limits of its hardware.
#ifndef LOAM_DEVICE_PROBE_H
#define LOAM_DEVICE_PROBE_H

#include "tensor/tensor.h"

// The three products of a linear with w [N, K] over T tokens.
enum loam_product_kind {
    LOAM_PRODUCT_FORWARD, // c [m, n] = a wT: a [m, k], w [n, k]; m = T, n = N, k = K
    LOAM_PRODUCT_INPUT,   // c [m, n] = a w: a [m, k], w [k, n]; m = T, n = K, k = N
    LOAM_PRODUCT_WEIGHT,  // c [m, n] = aT w: a [k, m], w [k, n]; m = N, n = K, k = T; w is no weight but x
};
struct loam_product {
    enum loam_product_kind kind;
    int64_t m;
    int64_t n;
    int64_t k;
    enum loam_dtype dtype;   // of a and w
    enum loam_dtype c_dtype; // of c
};

struct loam_device;
struct loam_probe; // keeps what it makes apart from the device's own

struct loam_probe_table {
    enum loam_status (*create)(struct loam_probe **out, const struct loam_device *device,
                               struct loam_error *error);
    void (*destroy)(struct loam_probe *probe);
    // Waits for all products so far; NULL, or why they failed. NULL instead of a function: products are done when they
    // return.
    const char *(*finish)(struct loam_probe *probe);
    // All matrices contiguous; NULL, or why it cannot be done. The first product of a shape takes longer.
    const char *(*product)(struct loam_probe *probe, const struct loam_product *product, const void *a,
                           const void *w, void *c);
    // A product with w in the library's own form: the bytes that this form takes (0: the library has none), how it is
    // made, and the product.
    size_t (*packed_bytes)(struct loam_probe *probe, const struct loam_product *product);
    const char *(*pack)(struct loam_probe *probe, const struct loam_product *product, const void *w,
                        void *packed);
    const char *(*packed_product)(struct loam_probe *probe, const struct loam_product *product, const void *a,
                                  const void *packed, void *c);
};

// The limits of the instructions that a device's ops are made of, on `threads` threads.
struct loam_limits {
    // Multiplies and adds in registers alone, `rounds` times a fixed number; the operations that were done.
    // 0: the processor does not multiply this dtype.
    double (*multiply_add)(int threads, enum loam_dtype dtype, int64_t rounds);
    // Reads `bytes` bytes once; their sum as numbers.
    uint64_t (*read)(int threads, const void *data, size_t bytes);
};

#endif
