// What a kernel takes beside its buffers: one struct by value for each, the same bytes on the host and on every
// device. No addresses. Strides and offsets are in elements; the stride of columns is 1 where none is named.
#ifndef LOAM_DEVICE_GPU_KERNELS_PARAMS_H
#define LOAM_DEVICE_GPU_KERNELS_PARAMS_H

#include "device/gpu/kernels/types.h"

enum {
    BLOCK_THREADS = 256,              // threads of every block
    RUN = 8,                          // elements that are loaded or stored at once
    SUM_COLUMNS = 32,                 // columns that a block of column_sums makes
    PRODUCT_SIDE = 64,                // rows and columns that a block of product makes
    PRODUCT_DEPTH = 16,               // terms of the sums at a time
    PRODUCT_PITCH = PRODUCT_SIDE + 1, // of a tile [PRODUCT_DEPTH, PRODUCT_SIDE] in shared memory
    PRODUCT_FEW = 16,                 // rows that product_few takes at most, and columns of a block of it
    PRODUCT_STEP = 32,                // terms of the sums at a time, by warps
    PRODUCT_GROUP = 3,                // products of a launch, at most
    ATTENTION_TILE = 16,              // queries, and keys, that a block of attention takes at a time
    ATTENTION_SCORES = ATTENTION_TILE + 1, // pitch of a tile of scores
    ATTENTION_PART = 32,                   // elements of a head in shared memory at a time
    ATTENTION_PITCH = ATTENTION_PART + 1,
    ATTENTION_MOST = 256, // elements of the largest head
    SORT_BITS = 4,        // of a key that sort_rows looks at in a pass
    SORT_DIGITS = 1 << SORT_BITS,
    DELTA_ROWS = 8,  // rows of heads that a block of attention_delta sums
    LOSS_STATE = 3,  // f32 of a row's state
    ADAMW_GROUPS = 8 // as LOAM_ADAMW_GROUPS
};

// As enum loam_dtype.
enum { DTYPE_F32 = 1, DTYPE_F16 = 2, DTYPE_BF16 = 3 };

// As enum loam_activation.
enum {
    ACTIVATION_GELU_TANH,
    ACTIVATION_SILU,
    ACTIVATION_GELU,
    ACTIVATION_RELU,
    ACTIVATION_RELU2,
    ACTIVATION_QUICK_GELU
};

// Elements of a matrix, `run` for each thread: a row is made by `per_row` blocks.
struct cells {
    i64 columns;
    i32 per_row;
    i32 run; // 1, or RUN
};

struct dropout_params {
    u64 seed;
    u64 stream;
    u64 counter;
    f32 p;    // 0: none
    f32 kept; // 1 / (1 - p)
};

// ---- rows.c ----

struct add_scaled_params { // y = residual + factor x
    struct cells cells;
    i64 x_row, residual_row, y_row;
    i32 x_dtype, y_dtype; // the residual's is y's
    f32 factor;
    i32 unused;
};

struct drop_params { // y = drop(x), or y += drop(x)
    struct cells cells;
    i64 x_row;
    struct dropout_params dropout;
    i32 dtype;
    i32 accumulate;
};

struct gather_params { // y[i] = x[rows[i]]
    struct cells cells;
    i64 x_row;
    i32 x_dtype, y_dtype;
};

struct copy_heads_params { // y[t, h, d] = x[t, h, d]; y is contiguous; cells [T, heads D]
    struct cells cells;
    i64 x_row, x_head;
    i32 size; // D
    i32 dtype;
};

struct sort_rows_params { // rows in the order of their keys; those with the same one keep their order
    i32 rows;             // T
    i32 tokens; // n: the key is the place among them, and n where there is none; 0: the key is the id
    i32 passes; // SORT_BITS bits of the keys each
    i32 unused;
};

struct scatter_params { // y[key] += factor x[t], in the order of t
    struct cells cells;
    i32 rows; // T
    i32 end;  // of the keys that are rows of y
    i32 x_dtype;
    f32 factor;
};

struct replace_rows_params { // y[t] = (1 - factor) y[t] + factor rows[j], where ids[t] = tokens[j]
    struct cells cells;
    i32 tokens;
    i32 dtype;
    f32 factor;
    i32 unused;
};

struct replace_columns_params { // forward and backward
    struct cells cells;         // [T, n]
    i64 y_row;
    f32 factor;
    i32 unused;
};

struct column_sums_params { // out[n] += factor / norms[n] sum_t dy[t, n] ((x + u)[t, n] - mean[t]) rstd[t]
    i64 columns;
    i64 dy_row, x_row; // u has the stride of x
    i32 rows;
    i32 dtype;
    f32 factor;
    i32 unused;
};

// ---- activations.c ----

struct activation_params { // y = f(x); with dy: y = dy f'(x)
    struct cells cells;
    i32 dtype;
    i32 kind;
};

struct gated_forward_params {
    struct cells cells;
    i64 gate_row, up_row, y_row;
    i32 dtype;
    i32 kind;
};

struct gated_backward_params {
    struct cells cells;
    i64 gate_row, up_row, dy_row, dgate_row, dup_row;
    i32 dtype;
    i32 kind;
};

// ---- norms.c ----

struct norm_forward_params { // one block for each row
    i64 columns;
    i32 dtype;
    f32 offset;
    f32 eps;
    i32 run; // 1, or RUN
};

struct norm_backward_params {
    i64 columns;
    i32 dtype;
    f32 offset;
    i32 accumulate;
    i32 run; // 1, or RUN
};

// ---- positions.c ----

struct rope_table_params {
    struct cells cells; // [T, R / 2]
    f32 factor;
    f32 query_beta;
    i32 query_context;
    i32 unused;
};

struct rope_member {
    struct cells cells; // [T, heads R / 2]
    i64 x_row, x_head;
    i32 pairs; // R / 2
    i32 dtype;
    i32 interleaved;
    i32 inverse;
};
struct rope_params { // query and key; BLOCK_Y is the one that a block rotates
    struct rope_member members[2];
    i32 tokens; // T
    i32 unused;
};

// ---- product.c ----

struct operand { // element (i, k): the sum runs over k
    i64 i, k;    // strides
    i32 dtype;
    i32 dropped; // element (i, k) of the operand is dropped by index drop_i i + drop_k k
    i64 drop_i, drop_k;
};

// What is made of the sums:
// c[i, j] = (c[i, j] if accumulate) + dropped(scale (sum[i, j] + bias[j])) + residual[i, j]
struct product_end {
    i64 m, n;
    i64 c_i, c_j; // strides of c
    i64 residual_i;
    struct dropout_params dropout; // of an operand; or of the sum, by index n i + j, where `drop_sum`
    i32 c_dtype;                   // of the residual too
    i32 bias_dtype;
    i32 accumulate;
    i32 drop_sum;
    f32 scale;
    i32 wide; // 8 columns of c and of the residual, from a multiple of 8 on, are aligned to 16 bytes
};

// A launch makes a group of up to three products. Their blocks follow each other: in y, or in x of product_few. Those of
// product g are first[g] to first[g + 1] - 1.
struct plain_member { // sum[i, j] = sum_k a[i, k] b[j, k]
    i64 k;
    struct operand a, b;
    struct product_end end;
};
struct product_params {
    struct plain_member members[PRODUCT_GROUP];
    i32 first[PRODUCT_GROUP + 1];
};

// ---- product_mma.c ----

// An operand in lines: along its terms, which are contiguous, or across them, along the contiguous rows.
struct lines {
    i64 line;      // elements from line to line
    i64 drop_line; // element c of line l is dropped by index drop_line l + c
    i32 dtype;     // the one of the kernel, or f32
    i32 dropped;   // by product_end.dropout, without its factor
    i32 wide;      // 8 elements, from a multiple of 8 on, are aligned to 16 bytes
    f32 factor;    // of f32 elements
};

// sum[i, j] = sum_k a[i, k] b[j, k] + sum_k a2[i, k] b2[j, k]
struct mma_member {
    i64 k[2]; // of each pair of operands; 0: there is no second pair
    struct lines a[2], b[2];
    struct product_end end; // of a part of the sum: f32, and nothing but the sum
    i64 part;               // elements of c from part to part
    i32 share;              // steps of PRODUCT_STEP terms that a part has
    i32 unused;
};
struct product_mma_params {
    struct mma_member members[PRODUCT_GROUP];
    i32 first[PRODUCT_GROUP + 1];
    i32 stages; // of tiles in shared memory
    i32 halves; // 2: b is f32 and multiplied as two numbers of 16 bits, the nearest one and the rest
};
#define product_f16_nt_64_params product_mma_params
#define product_f16_nn_64_params product_mma_params
#define product_f16_tn_64_params product_mma_params
#define product_f16_nt_128_params product_mma_params
#define product_f16_nn_128_params product_mma_params
#define product_f16_tn_128_params product_mma_params
#define product_bf16_nt_64_params product_mma_params
#define product_bf16_nn_64_params product_mma_params
#define product_bf16_tn_64_params product_mma_params
#define product_bf16_nt_128_params product_mma_params
#define product_bf16_nn_128_params product_mma_params
#define product_bf16_tn_128_params product_mma_params

struct few_member { // terms of both operands are contiguous, in the dtype of the kernel
    i64 k;
    struct lines a, b;
    struct product_end end;
};
struct product_few_params {
    struct few_member members[PRODUCT_GROUP];
    i32 first[PRODUCT_GROUP + 1];
};
#define product_few_f16_params product_few_params
#define product_few_bf16_params product_few_params

struct sum_member {     // c of sums in parts [m, n] f32, in their order
    struct cells cells; // [m, n]
    struct product_end end;
};
struct product_sum_params {
    struct sum_member members[PRODUCT_GROUP];
    i32 parts;
    i32 unused;
};

// ---- dora.c ----

struct dora_norm_params { // norms[i] = sqrt(sum_j (w[i, j] + scale sum_r u[i, r] v[r, j])^2)
    i64 length;           // of the sum over j
    i64 w_i, w_j, u_i, u_r, v_r, v_j;
    i32 rank;
    i32 w_dtype;
    f32 scale;
    i32 unused;
};

struct dora_forward_params {
    struct cells cells;
    i64 residual_row, y_row;
    i32 dtype;
    i32 whole;
    f32 factor;
    i32 unused;
};

struct dora_backward_params {
    struct cells cells;
    i64 dy_row;
    i32 dtype;
    i32 whole;
    f32 factor;
    i32 unused;
};

// ---- attention.c ----

struct heads_stride {
    i64 row, head;
};

struct attention_params {
    struct heads_stride q, k, v, dq, dk, dv;
    i32 tokens; // Tq
    i32 heads, groups, size;
    i32 dtype;
    i32 window;
    f32 scale;
    f32 softcap;
    // Of the kernels for tensor cores.
    i32 tiles;        // of queries in the longest sequence
    i32 splits;       // of the keys: each has a block, whose output is a part
    i32 stages;       // tiles in shared memory at a time
    i32 is_aligned;   // whether all pieces of 8 numbers of a head are aligned to 16 bytes
    f32 scale_2;      // scale log2(e)
    f32 softcap_2;    // softcap log2(e)
    f32 capped_scale; // 2 log2(e) scale / softcap
    f32 uncapped;     // 1 / softcap_2
};
#define attention_forward_params attention_params
#define attention_delta_params attention_params
#define attention_backward_queries_params attention_params
#define attention_backward_keys_params attention_params
#define attention_merge_params attention_params

#define attention_forward_f16_64_params attention_params
#define attention_forward_f16_80_params attention_params
#define attention_forward_f16_96_params attention_params
#define attention_forward_f16_128_params attention_params
#define attention_forward_f16_256_params attention_params
#define attention_forward_bf16_64_params attention_params
#define attention_forward_bf16_80_params attention_params
#define attention_forward_bf16_96_params attention_params
#define attention_forward_bf16_128_params attention_params
#define attention_forward_bf16_256_params attention_params

#define attention_queries_f16_64_params attention_params
#define attention_queries_f16_80_params attention_params
#define attention_queries_f16_96_params attention_params
#define attention_queries_f16_128_params attention_params
#define attention_queries_f16_256_params attention_params
#define attention_queries_bf16_64_params attention_params
#define attention_queries_bf16_80_params attention_params
#define attention_queries_bf16_96_params attention_params
#define attention_queries_bf16_128_params attention_params
#define attention_queries_bf16_256_params attention_params
#define attention_keys_f16_64_params attention_params
#define attention_keys_f16_80_params attention_params
#define attention_keys_f16_96_params attention_params
#define attention_keys_f16_128_params attention_params
#define attention_keys_f16_256_params attention_params
#define attention_keys_bf16_64_params attention_params
#define attention_keys_bf16_80_params attention_params
#define attention_keys_bf16_96_params attention_params
#define attention_keys_bf16_128_params attention_params
#define attention_keys_bf16_256_params attention_params

// The pitch of a tile's rows in 16-bit numbers, and the rows of the tiles.
#define HEAD_PITCH(size) ((size) % 64 == 0 ? (size) : (size) + 8)
#define FORWARD_ROWS(size) ((size) > 128 ? 64 : 128)    // queries of the heads of a group
#define BACKWARD_KEYS(size) ((size) > 128 ? 32 : 64)    // of a tile for dq
#define BACKWARD_QUERIES(size) ((size) > 128 ? 16 : 32) // of a tile for dk and dv
enum { BACKWARD_ROWS = 64 };                            // queries of dq, and keys of dk and dv
#define FORWARD_KEYS(size) ((size) == 128 ? 64 : 32)

// ---- loss.c ----

// Logits of a chunk of the vocabulary: x[t, v] of the entries first + v.
struct loss_params {
    i64 columns; // of the chunk
    i64 first;
    i64 x_row;
    f32 logit_factor;
    f32 logit_softcap;
    i32 gradient_dtype;
    i32 unused;
};
#define loss_begin_params loss_params
#define loss_chunk_params loss_params
#define loss_end_params loss_params
#define loss_gradient_params loss_params

struct cap_logits_params {
    struct cells cells;
    f32 factor;
    f32 softcap;
};

// ---- top_logits.c ----

enum { TOP_LOGITS_STATE = 3 }; // of a part, u32: bits of the largest logit, bits of its sum, the first fault

// A row of logits is searched in parts of `columns`, a block each.
struct top_logits_params {
    i64 vocabulary;
    i64 limit;
    i32 parts; // of a row
    i32 columns;
    i32 k;
    i32 asked; // ids of a row
};
#define top_logits_parts_params top_logits_params
#define top_logits_rows_params top_logits_params

// ---- optimiser.c ----

struct squared_norm_parts_params {
    i64 count;
    i64 share; // elements of a block
};

struct squared_norm_total_params {
    i32 parts; // at most BLOCK_THREADS
    i32 unused;
};

struct adamw_rates {
    f32 kept; // 1 - lr decay
    f32 rate; // lr / (1 - b1^step)
};
struct adamw_params {
    struct cells cells;
    struct adamw_rates rates[ADAMW_GROUPS];
    f32 grad_factor;
    f32 max_norm;   // 0: no clipping
    f32 correction; // 1 / (1 - b2^step)
    f32 beta1, beta2;
    f32 rest1, rest2; // 1 - beta1, 1 - beta2
    f32 eps;
    i32 ranges; // 0: all elements are of group 0
    i32 mirror_dtype;
    i32 unused;
};

#endif
