// The head and its loss by blocks of the vocabulary, with a softmax that is rescaled as the blocks come (as
// attention does it, w taking the part of keys and values): every block of w is read once for the logits and
// the gradient of h, products are as wide as the batch, and only [ROWS, BLOCK] logits exist at a time.
//
// Per row, with m the largest logit so far: others = sum over v != label of exp(logit_v - m), and
// mix = sum over v != label of exp(logit_v - m) w_v. At the end, with total = others + exp(logit_label - m),
// loss = m + log(total) - logit_label and dh = grad_scale (mix - others w_label) / total: keeping the label
// apart leaves no difference of nearly equal numbers where the model is sure.
#include <math.h>

#include "device/cpu/simd/product.h"
#include "device/cpu/simd/vector.h"

enum { ROWS = 1024, BLOCK = 2048, IGNORED = -100 };

struct row_state {
    float largest, others, label_logit;
    int32_t label;
};

// The work of one call; `rows` labelled rows at a time.
struct loss {
    const struct loam_linear_cross_entropy_args *args;
    struct loam_stream *stream;
    bool h_bf16;
    bool products_bf16;              // h and the softmax are rounded to bf16 for their products
    int64_t size, vocabulary, block; // H, V, columns of logits at a time
    int32_t *tokens;                 // [T] of the labelled rows
    struct row_state *states;        // [rows]
    void *h;                         // [rows, H] in the dtype of the products
    float *logits;                   // [rows, block]
    uint16_t *weights;               // [rows, block] in bf16, where the products are in bf16
    float *mix;                      // [rows, H], where dh is asked for
    void *product;                   // scratch of the products
};

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

// Counts `count` elements of scratch into `bytes`, and takes them where there is a stream.
static void *take(struct loam_stream *stream, size_t *bytes, int64_t count, size_t element)
{
    if (count == 0) return NULL;
    *bytes += loam_scratch_bytes(count, element);
    return stream != NULL ? loam_stream_scratch(stream, (size_t)count * element) : NULL;
}

// Of h and of the softmax's weights.
static enum loam_dtype product_dtype(const struct loss *loss)
{
    return loss->products_bf16 ? LOAM_BF16 : LOAM_F32;
}

// The largest of the products of `rows` rows; that for dw has no w.
static size_t product_scratch(const struct loss *loss, const struct loam_device *device, int64_t rows)
{
    const enum loam_dtype w = loss->args->w.tensor.dtype, h = product_dtype(loss);
    const size_t sizes[] = {cpu_product_scratch(device, h, w, rows, loss->block, loss->size),
                            cpu_product_scratch(device, h, w, rows, loss->size, loss->block),
                            cpu_product_scratch(device, h, h, loss->block, loss->size, rows)};
    size_t largest = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        if (sizes[i] > largest) largest = sizes[i];
    return largest;
}

// Lays out the scratch, and takes it where there is a stream; returns its bytes.
static size_t loss_init(struct loss *loss, const struct loam_device *device,
                        const struct loam_linear_cross_entropy_args *args, struct loam_stream *stream)
{
    const int64_t tokens = args->h.shape[0], size = args->h.shape[1], vocabulary = args->w.tensor.shape[0];
    const int64_t rows = min64(tokens, ROWS), block = min64(vocabulary, BLOCK);
    const bool h_bf16 = args->h.dtype == LOAM_BF16, mixes = args->dh.data != NULL;
    const bool products_bf16 = h_bf16 && device->native_bf16;
    size_t bytes = 0;
    *loss = (struct loss){.args = args,
                          .stream = stream,
                          .h_bf16 = h_bf16,
                          .products_bf16 = products_bf16,
                          .size = size,
                          .vocabulary = vocabulary,
                          .block = block};
    loss->tokens = take(stream, &bytes, tokens, sizeof(int32_t));
    loss->states = take(stream, &bytes, rows, sizeof(struct row_state));
    loss->h = take(stream, &bytes, rows * size, products_bf16 ? sizeof(uint16_t) : sizeof(float));
    loss->logits = take(stream, &bytes, rows * block, sizeof(float));
    loss->weights = take(stream, &bytes, products_bf16 ? rows * block : 0, sizeof(uint16_t));
    loss->mix = take(stream, &bytes, mixes ? rows * size : 0, sizeof(float));
    loss->product = take(stream, &bytes, (int64_t)product_scratch(loss, device, rows), 1);
    return bytes;
}

static size_t linear_cross_entropy_scratch(const struct loam_device *device,
                                           const struct loam_linear_cross_entropy_args *args)
{
    struct loss loss;
    return loss_init(&loss, device, args, NULL);
}

// ---- products ----

// h [rows, H]
static struct gemm_operand labelled_h(const struct loss *loss)
{
    return (struct gemm_operand){loss->h, loss->size, 1, product_dtype(loss)};
}

// The softmax's weights [rows, block]
static struct gemm_operand softmax_weights(const struct loss *loss)
{
    const void *data = loss->products_bf16 ? (const void *)loss->weights : loss->logits;
    return (struct gemm_operand){data, loss->block, 1, product_dtype(loss)};
}

// logits [rows, block] = h wT
static enum loam_status logits_product(struct loss *loss, int64_t rows, const struct loam_tensor *w)
{
    const struct gemm product = {.m = rows,
                                 .n = w->shape[0],
                                 .k = loss->size,
                                 .a = labelled_h(loss),
                                 .b = cpu_transposed(w),
                                 .c = loss->logits,
                                 .c_row = loss->block};
    return cpu_product(loss->stream, &product, loss->product);
}

// mix [rows, H] += weights w
static enum loam_status mix_product(struct loss *loss, int64_t rows, const struct loam_tensor *w,
                                    bool accumulate)
{
    const struct gemm product = {.m = rows,
                                 .n = loss->size,
                                 .k = w->shape[0],
                                 .a = softmax_weights(loss),
                                 .b = cpu_operand(w),
                                 .add = accumulate ? loss->mix : NULL,
                                 .add_row = loss->size,
                                 .c = loss->mix,
                                 .c_row = loss->size};
    return cpu_product(loss->stream, &product, loss->product);
}

// Rows of dw += dlogitsT h
static enum loam_status weight_gradient_product(struct loss *loss, int64_t rows, const struct loam_tensor *dw)
{
    const struct gemm_operand weights = softmax_weights(loss);
    const struct gemm product = {.m = dw->shape[0],
                                 .n = loss->size,
                                 .k = rows,
                                 .a = {weights.data, 1, weights.row, weights.dtype},
                                 .b = labelled_h(loss),
                                 .add = dw->data,
                                 .add_row = dw->stride[0],
                                 .c = dw->data,
                                 .c_row = dw->stride[0]};
    return cpu_product(loss->stream, &product, loss->product);
}

// ---- rows ----

static void gather_rows(struct loss *loss, const int32_t *tokens, int64_t rows)
{
    const int64_t size = loss->size;
    const int32_t *labels = loss->args->labels.data;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < rows; i++) {
        const void *h = cpu_row(&loss->args->h, tokens[i]);
        if (loss->products_bf16)
            memcpy((uint16_t *)loss->h + i * size, h, (size_t)size * sizeof(uint16_t));
        else
            widen((float *)loss->h + i * size, h, size, loss->h_bf16);
        loss->states[i] = (struct row_state){.largest = -INFINITY, .label = labels[tokens[i]]};
    }
}

static float row_largest(const float *logits, int64_t count, float largest)
{
    vec result = splat(largest);
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES)
        result = larger_vec(load_f32(logits + i), result);
    for (; i < count; i++)
        largest = fmaxf(largest, logits[i]);
    for (int lane = 0; lane < LANES; lane++)
        largest = fmaxf(largest, result[lane]);
    return largest;
}

// logits, or `rounded` where that is not NULL, <- exp(logits - largest); returns their sum.
static float row_weights(float *logits, uint16_t *rounded, int64_t count, float largest)
{
    vec sum = splat(0);
    for (int64_t i = 0; i < count; i += LANES) {
        vec weight = exp_vec(load(logits, i, count, false) - largest);
        if (count - i < LANES) weight = select_vec(lane_index() < (int32_t)(count - i), weight, splat(0));
        sum += weight;
        if (rounded != NULL)
            store(rounded, i, count, weight, true);
        else
            store(logits, i, count, weight, false);
    }
    return sum_lanes(sum);
}

// Takes the block of logits of columns [first, first + count) into row i's state; what was summed before is
// rescaled.
static void advance_row(struct loss *loss, int64_t i, int64_t first, int64_t count)
{
    struct row_state *state = &loss->states[i];
    float *logits = loss->logits + i * loss->block;
    const float largest = row_largest(logits, count, state->largest);
    const float rescale = state->largest == -INFINITY ? 0.0f : expf(state->largest - largest);
    if (state->label >= first && state->label < first + count) {
        state->label_logit = logits[state->label - first];
        logits[state->label - first] = -INFINITY;
    }
    uint16_t *rounded = loss->weights != NULL ? loss->weights + i * loss->block : NULL;
    state->others = state->others * rescale + row_weights(logits, rounded, count, largest);
    state->largest = largest;
    if (loss->mix == NULL || first == 0 || rescale == 1.0f) return;
    float *mix = loss->mix + i * loss->size;
    for (int64_t j = 0; j < loss->size; j += LANES)
        store(mix, j, loss->size, load(mix, j, loss->size, false) * rescale, false);
}

static float row_total(const struct row_state *state)
{
    return state->others + expf(state->label_logit - state->largest);
}

// dh = grad_scale (mix - others w_label) / total
static void write_row(struct loss *loss, int64_t i, int64_t token)
{
    const struct row_state *state = &loss->states[i];
    const float inverse = loss->args->grad_scale / row_total(state);
    const void *w = cpu_row(&loss->args->w.tensor, state->label);
    const float *mix = loss->mix + i * loss->size;
    void *dh = cpu_row(&loss->args->dh, token);
    for (int64_t j = 0; j < loss->size; j += LANES) {
        const vec other = load(mix, j, loss->size, false),
                  own = load_any(w, j, loss->size, loss->args->w.tensor.dtype);
        store(dh, j, loss->size, (other - own * state->others) * inverse, loss->h_bf16);
    }
}

// The loss of the rows, and mix.
static enum loam_status forward_rows(struct loss *loss, int64_t rows)
{
    for (int64_t first = 0; first < loss->vocabulary; first += loss->block) {
        const int64_t count = min64(loss->block, loss->vocabulary - first);
        const struct loam_tensor w = loam_tensor_rows(&loss->args->w.tensor, first, count);
        LOAM_TRY(logits_product(loss, rows, &w));
#pragma omp parallel for schedule(static)
        for (int64_t i = 0; i < rows; i++)
            advance_row(loss, i, first, count);
        if (loss->mix != NULL) LOAM_TRY(mix_product(loss, rows, &w, first > 0));
    }
    double *sum = loss->args->loss_sum.data;
    for (int64_t i = 0; i < rows; i++) {
        const struct row_state *state = &loss->states[i];
        *sum += (double)state->largest + log((double)row_total(state)) - (double)state->label_logit;
    }
    return LOAM_OK;
}

// dlogits = grad_scale (p - onehot) of one row and block, into the weights of the products.
static void gradient_row(struct loss *loss, int64_t i, int64_t first, int64_t count)
{
    const struct row_state *state = &loss->states[i];
    float *logits = loss->logits + i * loss->block;
    const float factor = loss->args->grad_scale / row_total(state);
    const int64_t label = state->label - first;
    (void)row_weights(logits, NULL, count, state->largest);
    for (int64_t j = 0; j < count; j += LANES)
        store(logits, j, count, load(logits, j, count, false) * factor, false);
    if (label >= 0 && label < count) logits[label] = -state->others * factor;
    for (int64_t j = 0; j < count && loss->weights != NULL; j += LANES)
        store(loss->weights + i * loss->block, j, count, load(logits, j, count, false), true);
}

// The logits once more, now that the sums are known: dw += dlogitsT h.
static enum loam_status weight_gradient_rows(struct loss *loss, int64_t rows)
{
    for (int64_t first = 0; first < loss->vocabulary; first += loss->block) {
        const int64_t count = min64(loss->block, loss->vocabulary - first);
        const struct loam_tensor w = loam_tensor_rows(&loss->args->w.tensor, first, count);
        LOAM_TRY(logits_product(loss, rows, &w));
#pragma omp parallel for schedule(static)
        for (int64_t i = 0; i < rows; i++)
            gradient_row(loss, i, first, count);
        const struct loam_tensor dw = loam_tensor_rows(&loss->args->dw, first, count);
        LOAM_TRY(weight_gradient_product(loss, rows, &dw));
    }
    return LOAM_OK;
}

// ---- the op ----

// Lists the labelled tokens; the gradient of the others is zero.
static int64_t find_labelled(struct loss *loss)
{
    const struct loam_tensor *dh = &loss->args->dh;
    const int32_t *labels = loss->args->labels.data;
    int64_t count = 0;
    for (int64_t t = 0; t < loss->args->h.shape[0]; t++) {
        if (labels[t] != IGNORED)
            loss->tokens[count++] = (int32_t)t;
        else if (dh->data != NULL)
            memset(cpu_row(dh, t), 0, (size_t)loss->size * loam_dtype_size(dh->dtype));
    }
    return count;
}

static enum loam_status linear_cross_entropy(struct loam_stream *stream,
                                             const struct loam_linear_cross_entropy_args *args)
{
    struct loss loss;
    (void)loss_init(&loss, stream->device, args, stream);
    if (stream->failure.status != LOAM_OK) return stream->failure.status;
    const int64_t count = find_labelled(&loss);
    for (int64_t first = 0; first < count; first += ROWS) {
        const int64_t rows = min64(ROWS, count - first);
        const int32_t *tokens = loss.tokens + first;
        gather_rows(&loss, tokens, rows);
        LOAM_TRY(forward_rows(&loss, rows));
        if (args->dw.data != NULL) LOAM_TRY(weight_gradient_rows(&loss, rows));
        if (args->dh.data == NULL) continue;
#pragma omp parallel for schedule(static)
        for (int64_t i = 0; i < rows; i++)
            write_row(&loss, i, tokens[i]);
    }
    return LOAM_OK;
}

void CPU_OVERRIDES(loss)(struct loam_op_table *ops)
{
    ops->linear_cross_entropy.run = linear_cross_entropy;
    ops->linear_cross_entropy.scratch = linear_cross_entropy_scratch;
}
