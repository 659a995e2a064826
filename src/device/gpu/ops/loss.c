// The loss, of logits that are held and of a head's, which are made in chunks of the vocabulary.
#include "device/gpu/ops/ops.h"

// One loss: what its launches share.
struct loss {
    struct loam_stream *stream;
    int64_t rows;
    void *targets, *factors, *losses, *states;
    float logit_factor, logit_softcap;
    enum loam_dtype gradient; // of the logits, in their place
};

static size_t states_bytes(int64_t rows)
{
    return loam_scratch_bytes(rows * LOSS_STATE, sizeof(f32));
}

static struct loss_params params_of(const struct loss *loss, int64_t columns)
{
    return (struct loss_params){
        .columns = columns, .logit_factor = loss->logit_factor, .logit_softcap = loss->logit_softcap};
}

static enum loam_status begin(const struct loss *loss)
{
    const struct loss_params p = params_of(loss, loss->rows);
    return loam_gpu_launch(
        loss->stream, &(struct loam_launch){.kernel = LOAM_KERNEL_loss_begin,
                                            .grid = {loam_blocks(loss->rows * LOSS_STATE, BLOCK_THREADS)},
                                            .buffers = {loss->states},
                                            LOAM_PARAMS(p)});
}

static enum loam_status end(const struct loss *loss)
{
    const struct loss_params p = params_of(loss, loss->rows);
    return loam_gpu_launch(loss->stream,
                           &(struct loam_launch){.kernel = LOAM_KERNEL_loss_end,
                                                 .grid = {loam_blocks(loss->rows, BLOCK_THREADS)},
                                                 .buffers = {loss->states, loss->targets, loss->losses},
                                                 LOAM_PARAMS(p)});
}

// Takes the chunk `x` of logits, from entry `first` of the vocabulary, into the states.
static enum loam_status take_chunk(const struct loss *loss, const struct loam_tensor *x, int64_t first)
{
    struct loss_params p = params_of(loss, x->shape[1]);
    p.first = first;
    p.x_row = x->stride[0];
    return loam_gpu_launch(loss->stream,
                           &(struct loam_launch){.kernel = LOAM_KERNEL_loss_chunk,
                                                 .grid = {loss->rows},
                                                 .shared = BLOCK_THREADS * sizeof(f32),
                                                 .buffers = {x->data, loss->targets, loss->states},
                                                 LOAM_PARAMS(p)});
}

// The chunk becomes the gradient.
static enum loam_status differentiate(const struct loss *loss, const struct loam_tensor *x, int64_t first)
{
    struct loss_params p = params_of(loss, x->shape[1]);
    p.first = first;
    p.x_row = x->stride[0];
    p.gradient_dtype = (i32)loss->gradient;
    return loam_gpu_launch(
        loss->stream, &(struct loam_launch){.kernel = LOAM_KERNEL_loss_gradient,
                                            .grid = {loss->rows},
                                            .buffers = {x->data, loss->targets, loss->factors, loss->states},
                                            LOAM_PARAMS(p)});
}

size_t loam_gpu_cross_entropy_scratch(const struct loam_device *device,
                                      const struct loam_cross_entropy_args *args)
{
    (void)device;
    return states_bytes(args->products.shape[0]);
}

enum loam_status loam_gpu_cross_entropy(struct loam_stream *stream,
                                        const struct loam_cross_entropy_args *args)
{
    const struct loss loss = {.stream = stream,
                              .rows = args->products.shape[0],
                              .targets = args->targets.data,
                              .factors = args->factors.data,
                              .losses = args->losses.data,
                              .states = loam_stream_scratch(stream, states_bytes(args->products.shape[0])),
                              .logit_factor = args->logit_factor,
                              .logit_softcap = args->logit_softcap,
                              .gradient = LOAM_F32};
    if (loss.states == NULL) return LOAM_ERROR_INTERNAL;
    LOAM_TRY(begin(&loss));
    LOAM_TRY(take_chunk(&loss, &args->products, 0));
    LOAM_TRY(end(&loss));
    return args->factors.data != NULL ? differentiate(&loss, &args->products, 0) : LOAM_OK;
}

enum loam_status loam_gpu_cap_logits(struct loam_stream *stream, const struct loam_cap_logits_args *args)
{
    const struct cap_logits_params p = {
        .cells = loam_cells(loam_tensor_count(&args->x)), .factor = args->factor, .softcap = args->softcap};
    return loam_gpu_launch(stream, &(struct loam_launch){.kernel = LOAM_KERNEL_cap_logits,
                                                         .grid = {loam_cell_blocks(1, p.cells)},
                                                         .buffers = {args->x.data},
                                                         LOAM_PARAMS(p)});
}

// ---- a head's ----

enum { LEAST_CHUNK = 64 }; // entries

// Entries of the vocabulary in a chunk. It shrinks with the rows.
static int64_t chunk_of(const struct loam_device *device, const struct loam_linear_cross_entropy_args *args)
{
    const int64_t vocabulary = args->w.tensor.shape[0], rows = args->h.shape[0] > 0 ? args->h.shape[0] : 1;
    const int64_t held = loam_gpu(device)->loss_chunk / rows;
    const int64_t chunk = held > LEAST_CHUNK ? held / LEAST_CHUNK * LEAST_CHUNK : LEAST_CHUNK;
    return chunk < vocabulary ? chunk : vocabulary;
}

// Bytes for the logits of a chunk. It grows with the rows: a step is planned with the most that it can have.
static size_t logits_bytes(const struct loam_device *device,
                           const struct loam_linear_cross_entropy_args *args)
{
    const int64_t rows = args->h.shape[0], all = rows * args->w.tensor.shape[0];
    const int64_t held = loam_gpu(device)->loss_chunk < all ? loam_gpu(device)->loss_chunk : all;
    return loam_scratch_bytes(held > rows * LEAST_CHUNK ? held : rows * LEAST_CHUNK, sizeof(f32));
}

// dh sums over chunks in f32.
static bool needs_sum(const struct loam_device *device, const struct loam_linear_cross_entropy_args *args)
{
    return args->dh.data != NULL && args->dh.dtype != LOAM_F32 &&
           chunk_of(device, args) < args->w.tensor.shape[0];
}

size_t loam_gpu_linear_cross_entropy_scratch(const struct loam_device *device,
                                             const struct loam_linear_cross_entropy_args *args)
{
    const int64_t rows = args->h.shape[0];
    const size_t sum =
        needs_sum(device, args) ? loam_scratch_bytes(loam_tensor_count(&args->dh), sizeof(f32)) : 0;
    return states_bytes(rows) + logits_bytes(device, args) + sum + loam_gpu_product_scratch(device);
}

// Products of h with the chunk's rows of w, and its bias.
static enum loam_status make_logits(struct loam_stream *stream,
                                    const struct loam_linear_cross_entropy_args *args, int64_t first,
                                    const struct loam_tensor *logits)
{
    const int64_t count = logits->shape[1];
    const struct loam_tensor w = loam_tensor_rows(&args->w.tensor, first, count);
    struct loam_tensor bias = args->bias;
    if (bias.data != NULL) bias = loam_tensor_rows(&bias, first, count);
    return loam_gpu_product(stream, &(struct product){.m = args->h.shape[0],
                                                      .n = count,
                                                      .k = args->h.shape[1],
                                                      .a = loam_gpu_rows(&args->h),
                                                      .b = loam_gpu_rows(&w),
                                                      .bias = bias,
                                                      .c = *logits,
                                                      .scale = 1.0f});
}

// dh (+)= g w; dw += gT h; dbias += sum_t g, of the chunk's gradient
static enum loam_status backward_chunk(struct loam_stream *stream,
                                       const struct loam_linear_cross_entropy_args *args, int64_t first,
                                       const struct loam_tensor *g, const struct loam_tensor *dh)
{
    const int64_t rows = g->shape[0], count = g->shape[1], size = args->h.shape[1];
    const struct loam_tensor w = loam_tensor_rows(&args->w.tensor, first, count);
    if (dh->data != NULL)
        LOAM_TRY(loam_gpu_product(stream, &(struct product){.m = rows,
                                                            .n = size,
                                                            .k = count,
                                                            .a = loam_gpu_rows(g),
                                                            .b = loam_gpu_columns(&w),
                                                            .c = *dh,
                                                            .accumulate = first > 0,
                                                            .scale = 1.0f}));
    if (args->dw.data != NULL)
        LOAM_TRY(loam_gpu_product(stream, &(struct product){.m = count,
                                                            .n = size,
                                                            .k = rows,
                                                            .a = loam_gpu_columns(g),
                                                            .b = loam_gpu_columns(&args->h),
                                                            .c = loam_tensor_rows(&args->dw, first, count),
                                                            .accumulate = true,
                                                            .scale = 1.0f}));
    if (args->dbias.data == NULL) return LOAM_OK;
    const struct loam_tensor dbias = loam_tensor_rows(&args->dbias, first, count);
    return loam_gpu_column_sums(stream, &(struct column_sums){.dy = g, .factor = 1.0f, .out = dbias.data});
}

// A pass over the vocabulary: the first one takes the logits into the losses, the second one differentiates.
// The only chunk of a small vocabulary is still there for the second.
static enum loam_status pass(const struct loss *loss, const struct loam_linear_cross_entropy_args *args,
                             struct loam_tensor logits, bool backward, const struct loam_tensor *dh)
{
    const int64_t vocabulary = args->w.tensor.shape[0], chunk = logits.shape[1];
    for (int64_t first = 0; first < vocabulary; first += chunk) {
        const int64_t count = vocabulary - first < chunk ? vocabulary - first : chunk;
        struct loam_tensor x = loam_tensor_2d(logits.data, LOAM_F32, loss->rows, count), g = x;
        x.stride[0] = chunk; // rows stay aligned in the last chunk
        g.dtype = loss->gradient;
        g.stride[0] = loss->gradient == LOAM_F32 ? chunk : 2 * chunk;
        if (!backward || chunk < vocabulary) LOAM_TRY(make_logits(loss->stream, args, first, &x));
        if (!backward) {
            LOAM_TRY(take_chunk(loss, &x, first));
            continue;
        }
        LOAM_TRY(differentiate(loss, &x, first));
        LOAM_TRY(backward_chunk(loss->stream, args, first, &g, dh));
    }
    return LOAM_OK;
}

// The dtype of the logits' gradient: that of h where tensor cores multiply it, else f32.
static enum loam_dtype gradient_dtype(const struct loam_device *device, enum loam_dtype dtype)
{
    return dtype != LOAM_F32 && (loam_gpu(device)->mma >> dtype & 1u) != 0 ? dtype : LOAM_F32;
}

enum loam_status loam_gpu_linear_cross_entropy(struct loam_stream *stream,
                                               const struct loam_linear_cross_entropy_args *args)
{
    const struct loam_device *device = stream->device;
    const int64_t rows = args->h.shape[0], chunk = chunk_of(device, args);
    const struct loss loss = {.stream = stream,
                              .rows = rows,
                              .targets = args->targets.data,
                              .factors = args->factors.data,
                              .losses = args->losses.data,
                              .states = loam_stream_scratch(stream, states_bytes(rows)),
                              .logit_factor = args->logit_factor,
                              .logit_softcap = args->logit_softcap,
                              .gradient = gradient_dtype(device, args->h.dtype)};
    void *const held = loam_stream_scratch(stream, logits_bytes(device, args));
    if (loss.states == NULL || held == NULL) return LOAM_ERROR_INTERNAL;
    const struct loam_tensor logits = loam_tensor_2d(held, LOAM_F32, rows, chunk);
    struct loam_tensor dh = args->dh;
    if (needs_sum(device, args)) {
        void *const sum =
            loam_stream_scratch(stream, loam_scratch_bytes(loam_tensor_count(&dh), sizeof(f32)));
        if (sum == NULL) return LOAM_ERROR_INTERNAL;
        dh = loam_tensor_2d(sum, LOAM_F32, dh.shape[0], dh.shape[1]);
    }
    LOAM_TRY(begin(&loss));
    LOAM_TRY(pass(&loss, args, logits, false, &dh));
    LOAM_TRY(end(&loss));
    if (dh.data == NULL && args->dw.data == NULL && args->dbias.data == NULL) return LOAM_OK;
    LOAM_TRY(pass(&loss, args, logits, true, &dh));
    if (dh.data == args->dh.data) return LOAM_OK;
    return loam_gpu_add_scaled_rows(stream, &dh, &(struct loam_tensor){0}, 1.0f, &args->dh);
}
