// Matrix products by oneDNN. No other file includes its headers (2.x and 3.x differ in how a product is
// described).
#ifndef LOAM_DEVICE_CPU_ONEDNN_H
#define LOAM_DEVICE_CPU_ONEDNN_H

#include "tensor/tensor.h"

// c [m, n] = a [m, k] b [k, n] + bias [n] + c: sums in f32, rounded once. All dtypes are f32 or bf16; a and b
// agree. One of the two strides of a and of b is 1, so that a transpose is a matter of strides.
struct matmul_shape {
    int64_t m, n, k;
    int64_t a_stride[2]; // elements from row to row, from column to column
    int64_t b_stride[2];
    int64_t c_stride; // from row to row
    enum loam_dtype ab_dtype;
    enum loam_dtype c_dtype;
    enum loam_dtype bias_dtype; // LOAM_DTYPE_NONE: no bias
    bool accumulate;            // adds what c holds
    bool packed; // b is in the form that loam_matmul_pack gave it; its strides are those it had
};

// The instructions that oneDNN may use are a setting of the process, final after its first use.
enum matmul_isa { MATMUL_LEAST_ISA, MATMUL_AVX2, MATMUL_AVX512, MATMUL_ANY_ISA };
bool loam_matmul_limit_isa(enum matmul_isa isa);   // false: it uses more, and can no longer be limited
const char *loam_matmul_isa(void);                 // "avx2": what it uses
void loam_matmul_version(char *text, size_t size); // "2.6.3", of the library that was found at run time

// A bounded cache of primitives, the least recently used replaced first: making one takes longer than a small
// product. Its products use `threads` threads. It must not be used by two threads at a time.
struct matmul_cache;

enum loam_status loam_matmul_cache_create(struct matmul_cache **out, int threads, struct loam_error *error);
void loam_matmul_cache_destroy(struct matmul_cache *cache);
size_t loam_matmul_cache_count(const struct matmul_cache *cache); // primitives held
size_t loam_matmul_cache_capacity(void);

// NULL, or a message when oneDNN cannot make the product.
const char *loam_matmul_run(struct matmul_cache *cache, const struct matmul_shape *shape, const void *a,
                            const void *b, const void *bias, void *c);

// oneDNN's own form of b for a product of this shape, which is `packed`: the bytes that it takes (0: oneDNN
// cannot do the product), and how it is made of the plain one. `packed` memory is aligned as arenas align.
size_t loam_matmul_packed_bytes(struct matmul_cache *cache, const struct matmul_shape *shape);
const char *loam_matmul_pack(struct matmul_cache *cache, const struct matmul_shape *shape, const void *b,
                             void *packed);

// The instructions that may be used multiply bf16 by themselves, and oneDNN has a product that makes it.
bool loam_matmul_native_bf16(struct matmul_cache *cache);
bool loam_matmul_has_tiles(void); // the instructions include AMX, which multiplies tiles of bf16

#endif
