// The ops over kernels: each chooses its kernels and launches them.
#ifndef LOAM_DEVICE_GPU_OPS_OPS_H
#define LOAM_DEVICE_GPU_OPS_OPS_H

#include "device/gpu/launch.h"

#define LOAM_OP(name)                                                                                        \
    enum loam_status loam_gpu_##name(struct loam_stream *stream, const struct loam_##name##_args *args);
#include "device/op_list.def"
#undef LOAM_OP

size_t loam_gpu_linear_forward_scratch(const struct loam_device *device,
                                       const struct loam_linear_forward_args *args);
size_t loam_gpu_linear_backward_input_scratch(const struct loam_device *device,
                                              const struct loam_linear_backward_input_args *args);
size_t loam_gpu_linear_backward_weight_scratch(const struct loam_device *device,
                                               const struct loam_linear_backward_weight_args *args);
size_t loam_gpu_lora_forward_scratch(const struct loam_device *device,
                                     const struct loam_lora_forward_args *args);
size_t loam_gpu_lora_backward_scratch(const struct loam_device *device,
                                      const struct loam_lora_backward_args *args);
size_t loam_gpu_lora_linear_forward_scratch(const struct loam_device *device,
                                            const struct loam_lora_linear_forward_args *args);
size_t loam_gpu_lora_linear_backward_scratch(const struct loam_device *device,
                                             const struct loam_lora_linear_backward_args *args);
size_t loam_gpu_linears_forward_scratch(const struct loam_device *device,
                                        const struct loam_linears_forward_args *args);
size_t loam_gpu_linears_backward_scratch(const struct loam_device *device,
                                         const struct loam_linears_backward_args *args);
size_t loam_gpu_lora_embedding_forward_scratch(const struct loam_device *device,
                                               const struct loam_lora_embedding_forward_args *args);
size_t loam_gpu_lora_embedding_backward_scratch(const struct loam_device *device,
                                                const struct loam_lora_embedding_backward_args *args);
size_t loam_gpu_embedding_backward_scratch(const struct loam_device *device,
                                           const struct loam_embedding_backward_args *args);
size_t loam_gpu_replace_rows_backward_scratch(const struct loam_device *device,
                                              const struct loam_replace_rows_backward_args *args);
size_t loam_gpu_attention_forward_scratch(const struct loam_device *device,
                                          const struct loam_attention_forward_args *args);
size_t loam_gpu_attention_backward_scratch(const struct loam_device *device,
                                           const struct loam_attention_backward_args *args);
size_t loam_gpu_linear_cross_entropy_scratch(const struct loam_device *device,
                                             const struct loam_linear_cross_entropy_args *args);
size_t loam_gpu_cross_entropy_scratch(const struct loam_device *device,
                                      const struct loam_cross_entropy_args *args);
size_t loam_gpu_top_logits_scratch(const struct loam_device *device, const struct loam_top_logits_args *args);
size_t loam_gpu_squared_norm_scratch(const struct loam_device *device,
                                     const struct loam_squared_norm_args *args);
const char *loam_gpu_attention_forward_refuses(const struct loam_device *device,
                                               const struct loam_attention_forward_args *args);
const char *loam_gpu_attention_backward_refuses(const struct loam_device *device,
                                                const struct loam_attention_backward_args *args);

// out[n] += factor / norms[n] sum_t dy[t, n] ((x + u)[t, n] - mean[t]) rstd[t]; what is absent is left out.
struct column_sums {
    const struct loam_tensor *dy; // [T, N], rows may be strided
    const struct loam_tensor *x;  // [T, N], or NULL
    void *u;
    void *mean, *rstd, *norms;
    float factor;
    void *out;
};
enum loam_status loam_gpu_column_sums(struct loam_stream *stream, const struct column_sums *sums);

// y[row of ids[t]] += factor x[t], in the order of t. It takes scratch for the number of rows of x.
size_t loam_gpu_scatter_scratch(int64_t rows);
enum loam_status loam_gpu_scatter(struct loam_stream *stream, const struct loam_tensor *ids,
                                  const struct loam_tensor *tokens, const struct loam_tensor *x, float factor,
                                  const struct loam_tensor *y);
// y[i] = x[rows[i]]
enum loam_status loam_gpu_gather(struct loam_stream *stream, const struct loam_tensor *x,
                                 const struct loam_tensor *rows, const struct loam_tensor *y);
// The elements that a thread takes of these vectors and matrices: RUN where all their rows allow it, or 1.
i32 loam_gpu_run(const struct loam_tensor *const *tensors, int count);
// y = residual + factor x; `residual` may be absent.
enum loam_status loam_gpu_add_scaled_rows(struct loam_stream *stream, const struct loam_tensor *x,
                                          const struct loam_tensor *residual, float factor,
                                          const struct loam_tensor *y);

// A matrix of a product: element (i, k), of which the sum runs over k.
struct matrix {
    void *data;
    enum loam_dtype dtype;
    int64_t i, k; // strides
    bool dropped; // element (i, k) is dropped by index drop_i i + drop_k k
    int64_t drop_i, drop_k;
    float factor; // of f32 elements of a second pair; 0: none
};
// x [rows, columns] whose columns are the terms; or whose rows are.
struct matrix loam_gpu_rows(const struct loam_tensor *x);
struct matrix loam_gpu_columns(const struct loam_tensor *x);

// c[i, j] = (c[i, j] if accumulate) + scale (sum_k a[i, k] b[j, k] + bias[j]) + residual[i, j]. With a second pair the
// sum goes on over its terms. That pair has the order of the first one, whose dtype has 16 bits and is one that warps
// multiply, and no operand is dropped.
struct product {
    int64_t m, n, k;
    struct matrix a, b;
    int64_t k2;
    struct matrix a2, b2;
    struct loam_tensor bias, residual; // optional; no bias where an operand is dropped
    struct loam_tensor c;              // [m, n], or [n, m] where `transposed`
    bool transposed;
    bool accumulate;
    bool exact;    // f32 operands are not rounded, which leaves tensor cores out
    bool drop_sum; // the sums are dropped by index n i + j
    struct loam_dropout dropout;
    float scale;
};
// An op with products plans this much for them once: parts of sums.
size_t loam_gpu_product_scratch(const struct loam_device *device);
enum loam_status loam_gpu_product(struct loam_stream *stream, const struct product *product);
// Up to PRODUCT_GROUP products that do not read each other's c: one launch for those that one kernel makes.
enum loam_status loam_gpu_products(struct loam_stream *stream, const struct product *products, int count);
// y = x wT + bias + residual, and dx (+)= dy w
struct product loam_gpu_linear_product(const struct loam_linear_forward_args *args);
struct product loam_gpu_input_product(const struct loam_linear_backward_input_args *args);

struct dropout_params loam_gpu_dropout_params(const struct loam_dropout *dropout);

#endif
