#include "model/linear_weight.h"

enum { BLOCK_ELEMENTS = 8 << 20 }; // of a streamed weight that one product reads, where it may be split

static const struct loam_linear_use *use_of(const struct loam_decoder *decoder,
                                            const struct loam_linear *linear)
{
    return &decoder->uses[linear->index];
}

bool loam_linear_trained(const struct loam_decoder *decoder, const struct loam_linear *linear)
{
    return linear->weight != NULL && use_of(decoder, linear)->trained;
}

bool loam_linear_reads_input(const struct loam_decoder *decoder, const struct loam_linear *linear)
{
    return linear->weight != NULL && use_of(decoder, linear)->reads_input;
}

struct loam_tensor loam_columns_of(struct loam_tensor y, int64_t first, int64_t count)
{
    if (y.data != NULL) y.data = (char *)y.data + (size_t)first * loam_dtype_size(y.dtype);
    y.shape[y.rank - 1] = count;
    return y;
}

int64_t loam_linear_rows_at_once(const struct loam_linear *linear, const struct loam_weight_handle *handle,
                                 bool cut)
{
    return cut && !handle->weight.transposed ? 1 + BLOCK_ELEMENTS / linear->in : linear->out;
}

// A streamed weight is read in blocks of rows; each gives some columns of y.
// With a residual it is read whole: the op adds a residual to whole rows of y.
void loam_linear_product(struct loam_pass *pass, const struct loam_linear *linear, struct loam_tensor x,
                         struct loam_tensor bias, struct loam_tensor residual, struct loam_tensor y)
{
    const struct loam_weight_handle *handle = loam_pass_weight(pass, linear);
    const bool transposed = handle->weight.transposed;
    const int64_t most =
        loam_linear_rows_at_once(linear, handle, handle->reader != NULL && residual.data == NULL);
    for (int64_t first = 0; first < linear->out; first += most) {
        const int64_t count = linear->out - first < most ? linear->out - first : most;
        const size_t mark = loam_arena_mark(pass->arena);
        struct loam_linear_forward_args args = {
            .x = x,
            .w = loam_weight_open(handle, pass->stream, pass->arena, first, transposed ? linear->in : count),
            .residual = residual,
            .y = loam_columns_of(y, first, count)};
        if (bias.data != NULL) args.bias = loam_columns_of(bias, first, count);
        loam_linear_forward(pass->stream, &args);
        loam_weight_close(handle, pass->stream, first, transposed ? linear->in : count);
        loam_arena_release(pass->arena, mark);
    }
}

void loam_linear_input_gradient(struct loam_pass *pass, const struct loam_linear *linear,
                                struct loam_tensor dy, struct loam_tensor dx, bool accumulate)
{
    const struct loam_weight_handle *handle = loam_pass_weight(pass, linear);
    const int64_t rows = handle->weight.tensor.shape[0];
    const size_t mark = loam_arena_mark(pass->arena);
    loam_linear_backward_input(pass->stream,
                               &(struct loam_linear_backward_input_args){
                                   .dy = dy,
                                   .w = loam_weight_open(handle, pass->stream, pass->arena, 0, rows),
                                   .dx = dx,
                                   .accumulate = accumulate});
    loam_weight_close(handle, pass->stream, 0, rows);
    loam_arena_release(pass->arena, mark);
}

void loam_linear_add_weight_gradients(struct loam_pass *pass, const struct loam_linear *linear,
                                      struct loam_tensor x, struct loam_tensor dy)
{
    const struct loam_tensor dw = loam_pass_weight_gradient(pass, linear);
    const struct loam_tensor dbias = loam_pass_gradient(pass, linear->bias);
    if (dw.data != NULL)
        loam_linear_backward_weight(
            pass->stream,
            &(struct loam_linear_backward_weight_args){
                .dy = dy, .x = x, .dw = dw, .transposed = loam_pass_weight(pass, linear)->weight.transposed});
    if (dbias.data != NULL)
        loam_bias_backward(pass->stream, &(struct loam_bias_backward_args){.dy = dy, .dbias = dbias});
}

struct loam_tensor loam_linear_bias(struct loam_pass *pass, const struct loam_linear *linear,
                                    enum loam_dtype dtype)
{
    const struct loam_tensor bias = loam_pass_value(pass, linear->bias);
    if (bias.data == NULL || bias.dtype == dtype) return bias;
    const struct loam_tensor cast = loam_pass_tensor(pass, dtype, 1, linear->out);
    loam_cast(pass->stream, &(struct loam_cast_args){
                                .x = loam_tensor_2d(bias.data, bias.dtype, 1, linear->out), .y = cast});
    return loam_tensor_1d(cast.data, dtype, linear->out);
}
