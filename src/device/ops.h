// The arguments of every op, with shapes and formulas. Capital letters: T tokens of the packed batch, K and N
// inputs and outputs of a linear, H hidden size, V vocabulary rows, Q query heads, G key/value heads, D head
// size, F inner size of the MLP, r LoRA rank, S sequences.
//
// Activations are f32, bf16 or f16, one dtype for a call unless a comment names another; arithmetic and sums are
// f32 or wider. Gradients of parameters, LoRA matrices, statistics and optimiser state are f32. Rows are
// contiguous; "strided" marks tensors whose row stride may differ from the row's length. Every output is
// written whole unless it is marked "accumulates". Optional tensors are absent when their data is NULL.
#ifndef LOAM_DEVICE_OPS_H
#define LOAM_DEVICE_OPS_H

#include "tensor/tensor.h"

// A weight of a linear: w [N, K], row-major as in checkpoints. A handle that callers of the ops do not look
// into: a backend that prepacks or quantises weights keeps its form here.
struct loam_weight {
    struct loam_tensor tensor; // [N, K] f32, bf16 or f16; see the op
    bool transposed;           // the tensor is [K, N], as the Conv1D of GPT-2 stores it
};

// ---- matmul ----

struct loam_linear_forward_args { // y = x wT + bias + residual
    struct loam_tensor x;         // x [T, K], rows may be strided
    struct loam_weight w;         // w [N, K], dtype of x; bf16 or f16 as well where x is f32
    struct loam_tensor bias;      // bias [N], dtype of x, optional
    struct loam_tensor residual;  // residual [T, N], dtype of y, optional; may be y itself
    struct loam_tensor y;         // y [T, N], rows may be strided; dtype of x, or f32
};
struct loam_linear_backward_input_args { // dx = dy w
    struct loam_tensor dy;               // dy [T, N], rows may be strided
    struct loam_weight w;                // w [N, K]
    struct loam_tensor dx;               // dx [T, K]
    bool accumulate;                     // dx += dy w
};
struct loam_linear_backward_weight_args { // dw += dyT x
    struct loam_tensor dy;                // dy [T, N], rows may be strided
    struct loam_tensor x;                 // x [T, K], rows may be strided
    struct loam_tensor dw;                // dw [N, K] f32, accumulates; [K, N] where transposed
    bool transposed;                      // of the weight
};
struct loam_bias_backward_args { // dbias[n] += sum_t dy[t, n]
    struct loam_tensor dy;       // dy [T, N], rows may be strided
    struct loam_tensor dbias;    // dbias [N] f32, accumulates
};

// ---- LoRA ----

// Inverted dropout by counters: element (t, k) of x is kept, and scaled by 1 / (1 - p), when
// loam_rng_uniform(seed, stream, counter + t K + k) >= p; else it is zero. The backward draws it again.
struct loam_dropout {
    float p; // 0: none
    uint64_t seed;
    uint64_t stream;
    uint64_t counter;
};
struct loam_lora_forward_args { // t = drop(x) aT; y += scale (t bT + bias)   (Hu et al. 2021, eq. 3)
    struct loam_tensor x;       // x [T, K], rows may be strided
    struct loam_tensor a;       // a [r, K] f32
    struct loam_tensor b;       // b [N, r] f32
    struct loam_tensor bias;    // bias [N] f32, optional
    float scale;                // alpha / r
    struct loam_dropout dropout;
    struct loam_tensor t; // t [T, r] f32, kept for the backward
    struct loam_tensor y; // y [T, N], rows may be strided, accumulates
};
// dt = scale dy b; db += scale dyT t; dbias += scale sum_t dy; da += dtT drop(x); dx += dropped(dt a)
struct loam_lora_backward_args {
    struct loam_tensor dy; // dy [T, N], rows may be strided
    struct loam_tensor x;  // x [T, K], rows may be strided
    struct loam_tensor a;  // a [r, K] f32
    struct loam_tensor b;  // b [N, r] f32
    struct loam_tensor t;  // t [T, r] f32, from the forward
    float scale;
    struct loam_dropout dropout; // as in the forward
    struct loam_tensor da;    // da [r, K] f32, accumulates, optional: without da and db the adapter is frozen
    struct loam_tensor db;    // db [N, r] f32, accumulates, optional
    struct loam_tensor dbias; // dbias [N] f32, accumulates, optional
    struct loam_tensor dx;    // dx [T, K], accumulates, optional
};
// A linear with one adapter on all rows: linear_forward, then lora_forward.
struct loam_lora_linear_forward_args { // t = drop(x) aT; y = x wT + bias + residual + scale t bT
    struct loam_tensor x;              // x [T, K], rows may be strided
    struct loam_weight w;              // w [N, K], dtype of x; bf16 or f16 as well where x is f32
    struct loam_tensor bias;           // bias [N], dtype of x, optional
    struct loam_tensor residual;       // residual [T, N], dtype of y, optional; may be y itself
    struct loam_tensor a;              // a [r, K] f32
    struct loam_tensor b;              // b [N, r] f32
    float scale;
    struct loam_dropout dropout;
    struct loam_tensor t; // t [T, r] f32, kept for the backward
    struct loam_tensor y; // y [T, N], rows may be strided, dtype of x
};
// dt = scale dy b; dx (+)= dy w + dropped(dt a); db += scale dyT t; da += dtT drop(x): linear_backward_input, then
// lora_backward
struct loam_lora_linear_backward_args {
    struct loam_tensor dy; // dy [T, N], rows may be strided
    struct loam_tensor x;  // x [T, K], rows may be strided
    struct loam_weight w;  // w [N, K]
    struct loam_tensor a;  // a [r, K] f32
    struct loam_tensor b;  // b [N, r] f32
    struct loam_tensor t;  // t [T, r] f32, from the forward
    float scale;
    struct loam_dropout dropout; // as in the forward
    struct loam_tensor da;       // da [r, K] f32, accumulates, optional
    struct loam_tensor db;       // db [N, r] f32, accumulates, optional
    struct loam_tensor dx;       // dx [T, K]
    bool accumulate;             // dx += ...
};
// Up to three linears of one input, such as query, key and value, each with an adapter or without one: linear_forward or
// lora_linear_forward of each.
enum { LOAM_LINEARS_MOST = 3 };
struct loam_linears_forward_args { // t = drop(x) aT; y = x wT + bias + scale t bT
    struct loam_tensor x;          // x [T, K], rows may be strided
    int count;                     // of the parts
    struct loam_linears_forward_part {
        struct loam_weight w;    // w [N, K], dtype of x; bf16 or f16 as well where x is f32
        struct loam_tensor bias; // bias [N], dtype of x, optional
        struct loam_tensor a;    // a [r, K] f32; optional: without it there is no adapter
        struct loam_tensor b;    // b [N, r] f32
        float scale;
        struct loam_dropout dropout;
        struct loam_tensor t; // t [T, r] f32, kept for the backward
        struct loam_tensor y; // y [T, N], rows may be strided, dtype of x
    } parts[LOAM_LINEARS_MOST];
};
// dt = scale dy b; dx (+)= sum over the parts of dy w + dropped(dt a); db += scale dyT t; da += dtT drop(x):
// linear_backward_input or lora_linear_backward of each part, in their order
struct loam_linears_backward_args {
    struct loam_tensor x;  // x [T, K], rows may be strided; read where a part has an adapter
    struct loam_tensor dx; // dx [T, K]
    bool accumulate;       // dx += ...
    int count;
    struct loam_linears_backward_part {
        struct loam_tensor dy; // dy [T, N], rows may be strided
        struct loam_weight w;  // w [N, K]
        struct loam_tensor a;  // a [r, K] f32, optional
        struct loam_tensor b;  // b [N, r] f32
        struct loam_tensor t;  // t [T, r] f32, from the forward
        float scale;
        struct loam_dropout dropout; // as in the forward
        struct loam_tensor da;       // da [r, K] f32, accumulates, optional
        struct loam_tensor db;       // db [N, r] f32, accumulates, optional
    } parts[LOAM_LINEARS_MOST];
};
struct loam_lora_embedding_forward_args { // y[t] += scale b[ids[t]] a
    struct loam_tensor ids;               // ids [T] i32, all in 0..V-1 (checked on the host)
    struct loam_tensor a;                 // a [r, H] f32
    struct loam_tensor b;                 // b [V, r] f32
    float scale;
    struct loam_tensor y; // y [T, H], accumulates
};
// db[ids[t]] += scale dy[t] aT; da += scale sum_t b[ids[t]]T dy[t]; in token order, so that sums repeat
struct loam_lora_embedding_backward_args {
    struct loam_tensor ids; // ids [T] i32
    struct loam_tensor dy;  // dy [T, H]
    struct loam_tensor a;   // a [r, H] f32
    struct loam_tensor b;   // b [V, r] f32
    float scale;
    struct loam_tensor da; // da [r, H] f32, accumulates
    struct loam_tensor db; // db [V, r] f32, accumulates
};

// DoRA (Liu et al. 2024, eq. 5): y = bias + g (x wT + scale x aT bT), g[n] = magnitude[n] / norms[n]. The norms
// are constants for the backward (section 4.3).
struct loam_dora_norm_args { // norms[n] = ||w[n] + scale b[n] a||
    struct loam_weight w;    // w [N, K] f32, bf16 or f16
    struct loam_tensor a;    // a [r, K] f32
    struct loam_tensor b;    // b [N, r] f32
    float scale;
    bool columns;             // of an embedding: norms[k] = ||(w + scale b a)[:, k]||; w is not transposed
    struct loam_tensor norms; // norms [N] f32, or [K] of columns
};
// z = x wT and u = scale x aT bT; y = bias + residual + (z if `whole`) + factor ((g - 1) z + g u)
struct loam_dora_forward_args {
    struct loam_tensor z;         // z [T, N]
    struct loam_tensor u;         // u [T, N]
    struct loam_tensor magnitude; // magnitude [N] f32
    struct loam_tensor norms;     // norms [N] f32
    float factor;                 // of the update
    bool whole;                   // y holds z, too
    struct loam_tensor bias;      // bias [N], dtype of z, optional
    struct loam_tensor residual;  // residual [T, N], rows may be strided, optional; may be y itself
    struct loam_tensor y;         // y [T, N], rows may be strided; may be z itself
};
// dmagnitude[n] += factor sum_t dy (z + u) / norms[n]; dz = ((1 if `whole`) + factor (g - 1)) dy;
// du = factor g dy
struct loam_dora_backward_args {
    struct loam_tensor dy;        // dy [T, N], rows may be strided
    struct loam_tensor z;         // z [T, N]
    struct loam_tensor u;         // u [T, N]
    struct loam_tensor magnitude; // magnitude [N] f32
    struct loam_tensor norms;     // norms [N] f32
    float factor;
    bool whole;
    struct loam_tensor dmagnitude; // dmagnitude [N] f32, accumulates, optional
    struct loam_tensor dz;         // dz [T, N]; may be z or dy itself
    struct loam_tensor du;         // du [T, N]; may be u itself
};
struct loam_dropout_args { // y = drop(x), or y += drop(x)
    struct loam_tensor x;  // x [T, K], rows may be strided
    struct loam_dropout dropout;
    struct loam_tensor y; // y [T, K]
    bool accumulate;
};

// ---- embedding ----

struct loam_embedding_forward_args { // y[t] = table[ids[t]]
    struct loam_tensor ids;          // ids [T] i32, all in 0..V-1 (checked on the host)
    struct loam_tensor table;        // table [V, H]
    struct loam_tensor y;            // y [T, H]
};
struct loam_embedding_backward_args { // dtable[ids[t]] += dy[t]
    struct loam_tensor ids;           // ids [T] i32
    struct loam_tensor dy;            // dy [T, H]
    struct loam_tensor dtable;        // dtable [V, H] f32, accumulates; in token order, so that sums repeat
};

// Trained tokens: `tokens` [n] i32 rise, and each has a row. With a factor f of 1 the row takes the place of
// what is there, with 0 nothing changes.
struct loam_replace_rows_forward_args { // y[t] = (1 - f) y[t] + f rows[j] where ids[t] = tokens[j]
    struct loam_tensor ids;             // ids [T] i32
    struct loam_tensor tokens;          // tokens [n] i32
    struct loam_tensor rows;            // rows [n, H] f32
    float factor;
    struct loam_tensor y; // y [T, H], changed in place
};
// drows[j] += f dy[t], then dy[t] = (1 - f) dy[t], where ids[t] = tokens[j]; in token order
struct loam_replace_rows_backward_args {
    struct loam_tensor ids;    // ids [T] i32
    struct loam_tensor tokens; // tokens [n] i32
    float factor;
    struct loam_tensor drows; // drows [n, H] f32, accumulates, optional
    struct loam_tensor dy;    // dy [T, H], changed in place
};
struct loam_replace_columns_forward_args { // y[t, tokens[j]] = (1 - f) y[t, tokens[j]] + f x[t, j]
    struct loam_tensor x;                  // x [T, n] f32
    struct loam_tensor tokens;             // tokens [n] i32, all in 0..V-1 (checked on the host)
    float factor;
    struct loam_tensor y; // y [T, V] f32, changed in place
};
// dx[t, j] = f dy[t, tokens[j]], then dy[t, tokens[j]] = (1 - f) dy[t, tokens[j]]
struct loam_replace_columns_backward_args {
    struct loam_tensor tokens; // tokens [n] i32
    float factor;
    struct loam_tensor dx; // dx [T, n] f32
    struct loam_tensor dy; // dy [T, V] f32, changed in place
};

struct loam_gather_rows_args { // y[i] = x[rows[i]]
    struct loam_tensor x;      // x [T, H], rows may be strided
    struct loam_tensor rows;   // rows [R] i32, all in 0..T-1 (checked on the host)
    struct loam_tensor y;      // y [R, H], dtype of x
};

// ---- norm ----

struct loam_layernorm_forward_args { // y = (x - mean) rstd w + b; rstd = 1 / sqrt(var + eps)
    struct loam_tensor x;            // x [T, H]
    struct loam_tensor w;            // w [H], dtype of x
    struct loam_tensor b;            // b [H], dtype of x, optional
    float eps;
    struct loam_tensor y;    // y [T, H]
    struct loam_tensor mean; // mean [T] f32
    struct loam_tensor rstd; // rstd [T] f32
};
// xh = (x - mean) rstd; g = dy w; dx = rstd (g - mean_h(g) - xh mean_h(g xh));
// dw += sum_t dy xh; db += sum_t dy
struct loam_layernorm_backward_args {
    struct loam_tensor dy;   // dy [T, H]
    struct loam_tensor x;    // x [T, H]
    struct loam_tensor w;    // w [H]
    struct loam_tensor mean; // mean [T] f32
    struct loam_tensor rstd; // rstd [T] f32
    struct loam_tensor dx;   // dx [T, H]; may be dy itself unless accumulate
    bool accumulate;         // dx += ..., for the gradient of the residual stream
    struct loam_tensor dw;   // dw [H] f32, accumulates, optional
    struct loam_tensor db;   // db [H] f32, accumulates, optional
};
struct loam_rmsnorm_forward_args { // y = x rstd (offset + w); rstd = 1 / sqrt(mean_h(x^2) + eps)
    struct loam_tensor x;          // x [T, H]
    struct loam_tensor w;          // w [H], dtype of x
    float offset;                  // 1 in Gemma, whose weights are stored around 0; else 0
    float eps;
    struct loam_tensor y;    // y [T, H]
    struct loam_tensor rstd; // rstd [T] f32
};
// xh = x rstd; g = dy (offset + w); dx = rstd (g - xh mean_h(g xh)); dw += sum_t dy xh
struct loam_rmsnorm_backward_args {
    struct loam_tensor dy;   // dy [T, H]
    struct loam_tensor x;    // x [T, H]
    struct loam_tensor w;    // w [H]
    float offset;            // as in the forward
    struct loam_tensor rstd; // rstd [T] f32
    struct loam_tensor dx;   // dx [T, H]; may be dy itself unless accumulate
    bool accumulate;         // dx += ...
    struct loam_tensor dw;   // dw [H] f32, accumulates, optional
};

// ---- residual stream ----

struct loam_add_scaled_args {    // y = residual + factor x
    struct loam_tensor x;        // x [T, H], rows may be strided
    struct loam_tensor residual; // residual [T, H], rows may be strided, optional
    float factor;
    struct loam_tensor y; // y [T, H], rows may be strided; may be x or residual itself
};

struct loam_cast_args {   // y = x
    struct loam_tensor x; // x [T, H], rows may be strided
    struct loam_tensor y; // y [T, H] of any dtype of activations, rows may be strided
};

// ---- position ----

// R elements of a head are rotated: all D of them, or the first ones (partial RoPE).
// s[t] = factor (1 + query_beta log(1 + floor(positions[t] / query_context)));
// table[t, i] = s[t] cos(positions[t] frequencies[i]); table[t, R/2 + i] = s[t] sin(positions[t] frequencies[i])
struct loam_rope_table_args {
    struct loam_tensor positions;   // positions [T] i32, not negative
    struct loam_tensor frequencies; // frequencies [R/2] f32
    float factor;                   // of YaRN and LongRoPE; else 1
    float query_beta;               // Ministral 3 scales its queries by position
    int32_t query_context;          // 0: s[t] = factor
    struct loam_tensor table;       // table [T, R] f32
};
// (a, b) <- (a cos - b sin, b cos + a sin), in place, of the pairs (a, b) = (x_i, x_{i+R/2}), or
// (x_{2i}, x_{2i+1}) where interleaved
struct loam_rope_args {
    struct loam_tensor x;     // x [T, heads, R], rows and heads may be strided: part of larger heads, too
    struct loam_tensor table; // table [T, R] f32
    bool interleaved;
    bool inverse; // sin negated: the backward
};
struct loam_ropes_args { // rope of query and key, of the same T
    struct loam_rope_args query, key;
};

// ---- attention ----

// Packed sequences: tokens of sequence s are rows [q_offsets[s], q_offsets[s+1]) of q and
// [kv_offsets[s], kv_offsets[s+1]) of k and v, the queries being the last ones of the sequence. Query i of nq
// stands at key n = i + nkv - nq and sees the keys j <= n of its own sequence (causal); with a window it sees
// the keys n - window < j <= n. Query head h reads key/value head h / (Q / G). score = scale q.k + slopes[h] j
// (ALiBi: j within the sequence), or softcap tanh(scale q.k / softcap); p = softmax(score); out = p v.
struct loam_attention_shape {
    struct loam_tensor q_offsets;  // [S + 1] i32
    struct loam_tensor kv_offsets; // [S + 1] i32
    struct loam_tensor slopes;     // [Q] f32, optional
    int32_t max_q;                 // rows of the longest sequence, on the host for sizing
    int32_t max_kv;
    int64_t pairs;  // (query, visible key) over all sequences; only the cost of the op depends on it
    float scale;    // 1 / sqrt(D)
    int32_t window; // 0: none
    float softcap;  // 0: none; not together with slopes
};
struct loam_attention_forward_args {
    struct loam_tensor q; // q [Tq, Q, D], rows and heads may be strided
    struct loam_tensor k; // k [Tkv, G, D], rows and heads may be strided
    struct loam_tensor v; // v [Tkv, G, D], rows and heads may be strided
    struct loam_attention_shape shape;
    struct loam_tensor out; // out [Tq, Q, D] contiguous
    struct loam_tensor lse; // lse [Q, Tq] f32: log-sum-exp of each score row, kept for the backward
};
// p = exp(score - lse); dv = pT dout; dp = dout vT; ds = p (dp - sum_d(dout out)); dq = scale ds k;
// dk = scale dsT q (Dao et al. 2022, appendix B). With a soft cap ds has the factor 1 - (score / softcap)^2
// too. dk and dv are sums over the query heads that read them.
struct loam_attention_backward_args {
    struct loam_tensor q; // q [Tq, Q, D], as in the forward
    struct loam_tensor k; // k [Tkv, G, D]
    struct loam_tensor v; // v [Tkv, G, D]
    struct loam_attention_shape shape;
    struct loam_tensor out;  // out [Tq, Q, D]
    struct loam_tensor lse;  // lse [Q, Tq] f32
    struct loam_tensor dout; // dout [Tq, Q, D] contiguous
    struct loam_tensor dq;   // dq [Tq, Q, D], rows and heads may be strided
    struct loam_tensor dk;   // dk [Tkv, G, D], rows and heads may be strided
    struct loam_tensor dv;   // dv [Tkv, G, D], rows and heads may be strided
};
struct loam_kv_append_args {  // cache[first + t] = x[t]
    struct loam_tensor x;     // x [T, G, D], rows and heads may be strided
    struct loam_tensor cache; // cache [capacity, G, D] contiguous
    int32_t first;
};

// ---- MLP ----

enum loam_activation {
    LOAM_GELU_TANH,  // 0.5 x (1 + tanh(0.79788456 x (1 + 0.044715 x^2)))
    LOAM_SILU,       // x / (1 + exp(-x))
    LOAM_GELU,       // 0.5 x (1 + erf(x / sqrt(2)))
    LOAM_RELU,       // max(x, 0)
    LOAM_RELU2,      // max(x, 0)^2
    LOAM_QUICK_GELU, // x / (1 + exp(-1.702 x))
    LOAM_ACTIVATION_COUNT,
};
struct loam_activation_forward_args { // y = f(x)
    enum loam_activation kind;
    struct loam_tensor x; // x [T, F]
    struct loam_tensor y; // y [T, F], may be x itself
};
struct loam_activation_backward_args { // dx = dy f'(x)
    enum loam_activation kind;
    struct loam_tensor x;  // x [T, F], the input of the forward
    struct loam_tensor dy; // dy [T, F]
    struct loam_tensor dx; // dx [T, F], may be dy itself
};
struct loam_gated_activation_forward_args { // y = f(gate) up
    enum loam_activation kind;
    struct loam_tensor gate; // gate [T, F], rows may be strided, as of all five tensors
    struct loam_tensor up;   // up [T, F]
    struct loam_tensor y;    // y [T, F]
};
struct loam_gated_activation_backward_args { // dgate = dy up f'(gate); dup = dy f(gate)
    enum loam_activation kind;
    struct loam_tensor gate;  // gate [T, F], rows may be strided, as of all five tensors
    struct loam_tensor up;    // up [T, F]
    struct loam_tensor dy;    // dy [T, F]
    struct loam_tensor dgate; // dgate [T, F], may be dy itself
    struct loam_tensor dup;   // dup [T, F]
};

// ---- loss ----

enum { LOAM_NO_TARGET = -1 }; // of a row that does not count

// s = logit_factor (h wT + bias); logits = cap tanh(s / cap), or s without a cap, never held whole;
// losses[t] = logsumexp(logits[t]) - logits[t, targets[t]]; p = softmax(logits);
// ds[t] = factors[t] (p[t] - onehot(targets[t])) (1 - (logits[t] / cap)^2); g = logit_factor ds;
// dh = g w; dw += gT h; dbias += sum_t g[t]. A row without a target has loss 0 and dh 0.
struct loam_linear_cross_entropy_args {
    struct loam_tensor h;       // h [T, H]
    struct loam_weight w;       // w [V, H], not transposed
    struct loam_tensor bias;    // bias [V], dtype of h, optional
    float logit_factor;         // not 0; 1 in most families
    float logit_softcap;        // cap; 0: none
    struct loam_tensor targets; // targets [T] i32, LOAM_NO_TARGET or 0..V-1
    int64_t counted;            // rows with a target; only the cost of the op depends on it
    struct loam_tensor factors; // factors [T] f32 of the gradient of each row's loss; with a gradient only
    struct loam_tensor losses;  // losses [T] f32
    struct loam_tensor dh;      // dh [T, H], optional
    struct loam_tensor dw;      // dw [V, H] f32, accumulates, optional
    struct loam_tensor dbias;   // dbias [V] f32, accumulates, optional
};
// The losses of linear_cross_entropy where the products p [T, V] of the head are held: s = logit_factor p;
// logits = cap tanh(s / cap), or s without a cap; losses[t] = logsumexp(logits[t]) - logits[t, targets[t]].
// With `factors` the products become the gradient of sum_t factors[t] losses[t] with respect to them.
struct loam_cross_entropy_args {
    struct loam_tensor products; // products [T, V] f32, changed in place where there are factors
    float logit_factor;          // not 0
    float logit_softcap;         // cap; 0: none
    struct loam_tensor targets;  // targets [T] i32, LOAM_NO_TARGET or 0..V-1
    struct loam_tensor factors;  // factors [T] f32, optional
    struct loam_tensor losses;   // losses [T] f32
};
struct loam_cap_logits_args { // x = softcap tanh(factor x / softcap), or factor x without a cap, in place
    struct loam_tensor x;     // x [T, V] f32
    float factor;             // not 0
    float softcap;            // 0: none
};
enum { LOAM_MOST_TOP_LOGITS = 256 };
// The k largest logits of each row, and what a softmax over all of them needs. An id is a candidate where it is below
// `limit`, is allowed, and has a finite logit.
struct loam_top_logits_args {
    struct loam_tensor x; // x [T, V] f32
    int64_t limit;        // 1..V
    // allowed [T, (V + 31) / 32] i32: bit id % 32 of word id / 32; optional: every id
    struct loam_tensor allowed;
    struct loam_tensor asked;  // asked [T, m] i32, ids of any kind or -1, optional
    struct loam_tensor values; // values [T, k] f32, falling; k is at most LOAM_MOST_TOP_LOGITS
    struct loam_tensor ids; // ids [T, k] i32; of equal logits the lower id first; -1 past the last candidate
    struct loam_tensor factors; // factors [T] f32, positive: 1 / temperature; with `sums`
    // sums [T] f32, optional: sum over candidates v of exp(factors[t] (x[t, v] - values[t, 0]))
    struct loam_tensor sums;
    // faults [T] i32: the first id of the row whose logit is not finite; -1: there is none
    struct loam_tensor faults;
    struct loam_tensor answers; // answers [T, m] f32: x[t, asked[t]], or 0 where that is -1; with `asked`
};

// ---- optimiser ----

struct loam_squared_norm_args { // result += sum_i x_i^2 (not finite when any x_i is not)
    struct loam_tensor x;       // x [n] f32
    struct loam_tensor result;  // result [1] f64, accumulates
};
enum { LOAM_ADAMW_GROUPS = 8 };
struct loam_adamw_rates {
    float learning_rate;
    float weight_decay;
};
// Loshchilov and Hutter 2019, as torch.optim.AdamW, with the rates of each element's group:
// clip = min(1, max_norm / (f sqrt(squared_norm) + 1e-6)); g = clip f grad, f being grad_factor; p -= lr decay p;
// m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2;
// p -= lr (m / (1 - b1^step)) / (sqrt(v / (1 - b2^step)) + eps).
// Where squared_norm or guard is not finite, nothing changes.
struct loam_adamw_args {
    struct loam_tensor param;  // param [n] f32
    struct loam_tensor grad;   // grad [n] f32
    struct loam_tensor m;      // m [n] f32
    struct loam_tensor v;      // v [n] f32
    struct loam_tensor mirror; // mirror [n] bf16 or f16: the rounded copy that the forward reads, optional
    struct loam_tensor squared_norm; // squared_norm [1] f64, of all gradients together, optional
    struct loam_tensor guard;        // guard [1] f64, optional
    struct loam_tensor starts; // starts [R] i32: the elements that ranges begin with, rising from 0; optional
    struct loam_tensor groups; // groups [R] i32 of the ranges; without them all elements are of group 0
    struct loam_adamw_rates rates[LOAM_ADAMW_GROUPS];
    float grad_factor; // 1 over the scale that the loss had
    float max_norm;    // 0: no clipping
    float beta1;
    float beta2;
    float eps;
    int64_t step; // 1-based
};

#endif
