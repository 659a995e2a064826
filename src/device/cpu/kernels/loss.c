// The head and its loss by blocks of the vocabulary (as attention does it, w taking the part of keys and
// values): every block of w is read once for the logits and the gradient of h, products are as wide as the
// batch, and a logit is made a weight of the softmax while its tile is in the first cache: only [ROWS, BLOCK]
// weights exist at a time, and no logits.
//
// Per row, with m a reference and s_v the slope of logit v: others = sum over v != target of
// exp(logit_v - m), and mix = sum over v != target of exp(logit_v - m) s_v w_v. At the end, with
// total = others + exp(logit_target - m), loss = m + log(total) - logit_target and
// dh = factor (mix - others s_target w_target) / total: keeping the target apart leaves no difference of
// nearly equal numbers where the model is sure. m need not be the largest logit, only so near that nothing
// overflows: it is the target's logit, until a block has one that is larger by far. Slopes are 1 without a
// soft-cap.
#include <math.h>

#include "device/cpu/kernels/logits.h"
#include "device/cpu/ops/product.h"

enum {
    ROWS = 2048,  // rows with a target at a time, at most
    BLOCK = 4096, // a multiple of GEMM_COLUMNS
    RANGE = 40,   // the sum of a tile's row may be exp(RANGE)
    FAR = 36,     // a logit that is larger than m by so much becomes m; GEMM_COLUMNS exp(FAR) < exp(RANGE)
};

struct row_state {
    float reference, others, target_logit, target_slope;
    int32_t target;
    float scale; // of the gradient: the row's element of `factors`, times the factor of the logits
    // The weights of the products are factor slope exp(logit - reference); the target's weight is `own`.
    float factor, own;
};

// The work of one call; `rows` rows with a target at a time.
struct loss {
    const struct loam_linear_cross_entropy_args *args;
    struct loam_stream *stream;
    bool h_bf16;
    bool plain;                      // logits are the products of h and w as they are
    bool products_bf16;              // h and the softmax are rounded to bf16 for their products
    int64_t size, vocabulary, block; // H, V, columns of weights at a time
    int64_t tiles;                   // of a row of the block
    int64_t first;                   // column that the block begins with
    int32_t *tokens;                 // [T] of the rows with a target
    struct row_state *states;        // [rows]
    void *h;                         // [rows, H] in the dtype of the products
    void *weights;                   // [rows, block], the same; NULL where no gradient is asked for
    float *of_tiles;                 // [rows, tiles]: sum of the weights, or the largest logit, of each
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
    const size_t sizes[] = {loam_cpu_product_finish_scratch(device, h, w, rows, loss->block, loss->size),
                            loam_cpu_product_scratch(device, h, w, rows, loss->size, loss->block),
                            loam_cpu_product_scratch(device, h, h, loss->block, loss->size, rows)};
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
    const bool products_bf16 = h_bf16 && cpu_has_bf16(device);
    const size_t element = products_bf16 ? sizeof(uint16_t) : sizeof(float);
    size_t bytes = 0;
    *loss =
        (struct loss){.args = args,
                      .stream = stream,
                      .h_bf16 = h_bf16,
                      .plain = args->bias.data == NULL && args->logit_factor == 1 && args->logit_softcap == 0,
                      .products_bf16 = products_bf16,
                      .size = size,
                      .vocabulary = vocabulary,
                      .block = block,
                      .tiles = (block + GEMM_COLUMNS - 1) / GEMM_COLUMNS};
    loss->tokens = take(stream, &bytes, tokens, sizeof(int32_t));
    loss->states = take(stream, &bytes, rows, sizeof(struct row_state));
    loss->h = take(stream, &bytes, rows * size, element);
    const bool weighs = mixes || args->dw.data != NULL || args->dbias.data != NULL;
    loss->weights = take(stream, &bytes, weighs ? rows * block : 0, element);
    loss->of_tiles = take(stream, &bytes, rows * loss->tiles, sizeof(float));
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
static struct gemm_operand counted_h(const struct loss *loss)
{
    return (struct gemm_operand){loss->h, loss->size, 1, product_dtype(loss)};
}

// The softmax's weights [rows, block]
static struct gemm_operand softmax_weights(const struct loss *loss)
{
    return (struct gemm_operand){loss->weights, loss->block, 1, product_dtype(loss)};
}

// h wT [rows, block], each tile to `finish`
static enum loam_status logits_product(struct loss *loss, int64_t rows, const struct loam_tensor *w,
                                       void (*finish)(void *loss, const struct gemm_tile *logits))
{
    const struct gemm product = {.m = rows,
                                 .n = w->shape[0],
                                 .k = loss->size,
                                 .a = counted_h(loss),
                                 .b = cpu_transposed(w),
                                 .c = loss->weights,
                                 .c_row = loss->block,
                                 .c_bf16 = loss->products_bf16,
                                 .finish = finish,
                                 .context = loss};
    return loam_cpu_product(loss->stream, &product, loss->product);
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
    return loam_cpu_product(loss->stream, &product, loss->product);
}

// Rows of dw += dlogitsT h
static enum loam_status weight_gradient_product(struct loss *loss, int64_t rows, const struct loam_tensor *dw)
{
    const struct gemm_operand weights = softmax_weights(loss);
    const struct gemm product = {.m = dw->shape[0],
                                 .n = loss->size,
                                 .k = rows,
                                 .a = {weights.data, 1, weights.row, weights.dtype},
                                 .b = counted_h(loss),
                                 .add = dw->data,
                                 .add_row = dw->stride[0],
                                 .c = dw->data,
                                 .c_row = dw->stride[0]};
    return loam_cpu_product(loss->stream, &product, loss->product);
}

// ---- logits ----

// Logits of columns [column, column + LANES) of the vocabulary.
INLINE struct logits finish_logits(const struct loss *loss, vec products, int64_t column)
{
    const struct loam_linear_cross_entropy_args *args = loss->args;
    if (args->bias.data != NULL) products += load(args->bias.data, column, loss->vocabulary, loss->h_bf16);
    return cap_logits_vec(products * args->logit_factor, args->logit_softcap);
}

// The logits [j, j + LANES) of row i of a tile of products. `plain` is a constant where this is called.
INLINE struct logits tile_logits(const struct loss *loss, const struct gemm_tile *tile, int64_t i, int64_t j,
                                 bool plain)
{
    const vec products = load_f32(tile->sums + i * tile->sums_row + j);
    if (plain) return (struct logits){products, splat(1)};
    return finish_logits(loss, products, loss->first + tile->column + j);
}

// Row i of a tile of products becomes weights; returns the sum of exp(logit - reference) of those that are not
// the target's.
INLINE float row_weights(const struct loss *loss, const struct gemm_tile *tile, int64_t i, bool plain)
{
    const struct row_state *state = &loss->states[tile->row + i];
    const int64_t size = loss->products_bf16 ? 2 : 4;
    char *weights = loss->weights;
    if (weights != NULL) weights += ((tile->row + i) * loss->block + tile->column) * size;
    const int64_t target = state->target - loss->first - tile->column;
    vec sum = splat(0);
    for (int64_t j = 0; j < tile->columns; j += LANES) {
        const vec_int column = lane_index() + (int32_t)j;
        const vec_int is_target = column == (int32_t)target,
                      others = ~is_target & (column < (int32_t)tile->columns);
        const struct logits logits = tile_logits(loss, tile, i, j, plain);
        const vec weight = select_vec(others, exp_vec(logits.value - state->reference), splat(0));
        sum += weight;
        if (weights == NULL) continue;
        const vec of_product = plain ? weight : weight * logits.slope;
        const vec scaled = select_vec(is_target, splat(state->own), of_product * state->factor);
        store(weights, j, tile->columns, scaled, loss->products_bf16);
    }
    return sum_lanes(sum);
}

static float *of_tile(const struct loss *loss, const struct gemm_tile *tile, int64_t i)
{
    return loss->of_tiles + (tile->row + i) * loss->tiles + tile->column / GEMM_COLUMNS;
}

static void finish_weights(void *context, const struct gemm_tile *tile)
{
    const struct loss *loss = context;
    for (int64_t i = 0; i < tile->rows; i++)
        *of_tile(loss, tile, i) =
            loss->plain ? row_weights(loss, tile, i, true) : row_weights(loss, tile, i, false);
}

static void finish_largest(void *context, const struct gemm_tile *tile)
{
    const struct loss *loss = context;
    for (int64_t i = 0; i < tile->rows; i++) {
        float largest = -INFINITY;
        for (int64_t j = 0; j < tile->columns; j += LANES) {
            const vec logits = tile_logits(loss, tile, i, j, loss->plain).value;
            for (int64_t lane = 0; lane < LANES && j + lane < tile->columns; lane++)
                largest = fmaxf(largest, logits[lane]);
        }
        *of_tile(loss, tile, i) = largest;
    }
}

static float row_largest(const struct loss *loss, int64_t i, int64_t tiles)
{
    float largest = -INFINITY;
    for (int64_t j = 0; j < tiles; j++)
        largest = fmaxf(largest, loss->of_tiles[i * loss->tiles + j]);
    return largest;
}

// A logit of the block that is larger by far becomes the row's reference; what was summed before is rescaled.
static void raise_reference(struct loss *loss, int64_t i, int64_t tiles)
{
    struct row_state *state = &loss->states[i];
    const float largest = row_largest(loss, i, tiles);
    if (!(largest - state->reference > (float)FAR)) return;
    const float rescale = expf(state->reference - largest);
    state->others *= rescale;
    state->reference = largest;
    if (loss->mix == NULL || loss->first == 0) return;
    float *mix = loss->mix + i * loss->size;
    for (int64_t j = 0; j < loss->size; j += LANES)
        store(mix, j, loss->size, load(mix, j, loss->size, false) * rescale, false);
}

// The weights of the block of w, and of_tiles their sums.
static enum loam_status block_weights(struct loss *loss, int64_t rows, const struct loam_tensor *w)
{
    const int64_t tiles = (w->shape[0] + GEMM_COLUMNS - 1) / GEMM_COLUMNS;
    const float limit = expf((float)RANGE);
    bool too_large = false;
    LOAM_TRY(logits_product(loss, rows, w, finish_weights));
#pragma omp parallel for schedule(static) reduction(|| : too_large) num_threads(cpu_threads(loss->stream))
    for (int64_t i = 0; i < rows; i++)
        too_large = row_largest(loss, i, tiles) > limit || too_large;
    if (!too_large) return LOAM_OK;
    LOAM_TRY(logits_product(loss, rows, w, finish_largest));
#pragma omp parallel for schedule(static) num_threads(cpu_threads(loss->stream))
    for (int64_t i = 0; i < rows; i++)
        raise_reference(loss, i, tiles);
    return logits_product(loss, rows, w, finish_weights);
}

// ---- rows ----

static float target_product(const struct loss *loss, int64_t i, int32_t target)
{
    const enum loam_dtype dtype = product_dtype(loss), w_dtype = loss->args->w.tensor.dtype;
    const char *h = (const char *)loss->h + i * loss->size * (int64_t)loam_dtype_size(dtype);
    const void *w = cpu_row(&loss->args->w.tensor, target);
    vec sum = splat(0);
    for (int64_t j = 0; j < loss->size; j += LANES)
        sum += load_any(h, j, loss->size, dtype) * load_any(w, j, loss->size, w_dtype);
    return sum_lanes(sum);
}

static struct logits target_logit(const struct loss *loss, int64_t i, int32_t target)
{
    const vec product = splat(target_product(loss, i, target));
    return loss->plain ? (struct logits){product, splat(1)} : finish_logits(loss, product, target);
}

static void gather_rows(struct loss *loss, const int32_t *tokens, int64_t rows)
{
    const int64_t size = loss->size;
    const int32_t *targets = loss->args->targets.data;
    const float *factors = loss->args->factors.data;
#pragma omp parallel for schedule(static) num_threads(cpu_threads(loss->stream))
    for (int64_t i = 0; i < rows; i++) {
        const void *h = cpu_row(&loss->args->h, tokens[i]);
        if (loss->products_bf16)
            memcpy((uint16_t *)loss->h + i * size, h, (size_t)size * sizeof(uint16_t));
        else
            widen((float *)loss->h + i * size, h, size, loss->h_bf16);
        const int32_t target = targets[tokens[i]];
        const struct logits logit = target_logit(loss, i, target);
        const float factor = factors != NULL ? factors[tokens[i]] : 0;
        loss->states[i] = (struct row_state){.reference = logit.value[0],
                                             .target_logit = logit.value[0],
                                             .target_slope = logit.slope[0],
                                             .target = target,
                                             .scale = factor * loss->args->logit_factor,
                                             .factor = 1};
    }
}

static double row_total(const struct row_state *state)
{
    return (double)state->others + exp((double)state->target_logit - (double)state->reference);
}

static float row_factor(const struct row_state *state)
{
    return (float)((double)state->scale / row_total(state));
}

// dh = factor (mix - others s_target w_target) / total
static void write_row(struct loss *loss, int64_t i, int64_t token)
{
    const struct row_state *state = &loss->states[i];
    const float factor = row_factor(state), others = state->others * state->target_slope;
    const void *w = cpu_row(&loss->args->w.tensor, state->target);
    const float *mix = loss->mix + i * loss->size;
    void *dh = cpu_row(&loss->args->dh, token);
    for (int64_t j = 0; j < loss->size; j += LANES) {
        const vec other = load(mix, j, loss->size, false),
                  own = load_any(w, j, loss->size, loss->args->w.tensor.dtype);
        store(dh, j, loss->size, (other - own * others) * factor, loss->h_bf16);
    }
}

static void sum_tiles(struct loss *loss, int64_t rows, int64_t tiles)
{
#pragma omp parallel for schedule(static) num_threads(cpu_threads(loss->stream))
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < tiles; j++)
            loss->states[i].others += loss->of_tiles[i * loss->tiles + j];
}

// The losses of the rows, and mix.
static enum loam_status forward_rows(struct loss *loss, const int32_t *tokens, int64_t rows)
{
    for (loss->first = 0; loss->first < loss->vocabulary; loss->first += loss->block) {
        const int64_t count = min64(loss->block, loss->vocabulary - loss->first);
        const struct loam_tensor w = loam_tensor_rows(&loss->args->w.tensor, loss->first, count);
        LOAM_TRY(block_weights(loss, rows, &w));
        sum_tiles(loss, rows, (count + GEMM_COLUMNS - 1) / GEMM_COLUMNS);
        if (loss->mix != NULL) LOAM_TRY(mix_product(loss, rows, &w, loss->first > 0));
    }
    float *losses = loss->args->losses.data;
    for (int64_t i = 0; i < rows; i++) {
        const struct row_state *state = &loss->states[i];
        losses[tokens[i]] =
            (float)((double)state->reference + log(row_total(state)) - (double)state->target_logit);
    }
    return LOAM_OK;
}

// dbias += sum_t g[t], in token order, from the weights of the block.
static void add_bias_gradient(struct loss *loss, int64_t rows, int64_t columns)
{
    enum { COLUMNS = 8 * LANES }; // of a task
    const struct gemm_operand weights = softmax_weights(loss);
    const int64_t size = (int64_t)loam_dtype_size(weights.dtype);
    float *dbias = (float *)loss->args->dbias.data + loss->first;
#pragma omp parallel for schedule(static) num_threads(cpu_threads(loss->stream))
    for (int64_t first = 0; first < columns; first += COLUMNS) {
        const int64_t last = min64(first + COLUMNS, columns);
        for (int64_t i = 0; i < rows; i++) {
            const char *row = (const char *)weights.data + i * weights.row * size;
            for (int64_t j = first; j < last; j += LANES)
                store(dbias, j, last, load(dbias, j, last, false) + load(row, j, last, size == 2), false);
        }
    }
}

// g = factor (p - onehot) slope, once more from the logits, now that the sums are known: dw += gT h.
static enum loam_status weight_gradients(struct loss *loss, int64_t rows)
{
    for (int64_t i = 0; i < rows; i++) {
        struct row_state *state = &loss->states[i];
        state->factor = row_factor(state);
        state->own = -state->others * state->factor * state->target_slope;
    }
    for (loss->first = 0; loss->first < loss->vocabulary; loss->first += loss->block) {
        const int64_t count = min64(loss->block, loss->vocabulary - loss->first);
        const struct loam_tensor w = loam_tensor_rows(&loss->args->w.tensor, loss->first, count);
        LOAM_TRY(logits_product(loss, rows, &w, finish_weights));
        if (loss->args->dbias.data != NULL) add_bias_gradient(loss, rows, count);
        if (loss->args->dw.data == NULL) continue;
        const struct loam_tensor dw = loam_tensor_rows(&loss->args->dw, loss->first, count);
        LOAM_TRY(weight_gradient_product(loss, rows, &dw));
    }
    return LOAM_OK;
}

// ---- the op ----

// Lists the tokens with a target; loss and gradient of the others are zero.
static int64_t find_counted(struct loss *loss)
{
    const struct loam_tensor *dh = &loss->args->dh;
    const int32_t *targets = loss->args->targets.data;
    float *losses = loss->args->losses.data;
    int64_t count = 0;
    for (int64_t t = 0; t < loss->args->h.shape[0]; t++) {
        if (targets[t] != LOAM_NO_TARGET) {
            loss->tokens[count++] = (int32_t)t;
            continue;
        }
        losses[t] = 0;
        if (dh->data != NULL) memset(cpu_row(dh, t), 0, (size_t)loss->size * loam_dtype_size(dh->dtype));
    }
    return count;
}

static enum loam_status linear_cross_entropy(struct loam_stream *stream,
                                             const struct loam_linear_cross_entropy_args *args)
{
    struct loss loss;
    (void)loss_init(&loss, stream->device, args, stream);
    if (stream->failure.status != LOAM_OK) return stream->failure.status;
    const int64_t count = find_counted(&loss);
    const int64_t batches = (count - 1) / ROWS + 1, at_once = (count + batches - 1) / batches;
    for (int64_t first = 0; first < count; first += at_once) {
        const int64_t rows = min64(at_once, count - first);
        const int32_t *tokens = loss.tokens + first;
        gather_rows(&loss, tokens, rows);
        LOAM_TRY(forward_rows(&loss, tokens, rows));
        if (args->dw.data != NULL || args->dbias.data != NULL) LOAM_TRY(weight_gradients(&loss, rows));
        if (args->dh.data == NULL) continue;
#pragma omp parallel for schedule(static) num_threads(cpu_threads(stream))
        for (int64_t i = 0; i < rows; i++)
            write_row(&loss, i, tokens[i]);
    }
    return LOAM_OK;
}

void CPU_NAME(loss)(struct loam_op_table *ops)
{
    ops->linear_cross_entropy.run = linear_cross_entropy;
    ops->linear_cross_entropy.scratch = linear_cross_entropy_scratch;
}
