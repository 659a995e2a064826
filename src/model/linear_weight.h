// The weight of a linear in a pass: its products and the gradients of what is trained.
#ifndef LOAM_MODEL_LINEAR_WEIGHT_H
#define LOAM_MODEL_LINEAR_WEIGHT_H

#include "model/pass.h"

// What a linear writes: x AT of the adapters (loam_linear_updates), and y.
struct loam_linear_output {
    const struct loam_linear *linear;
    struct loam_tensor t;
    struct loam_tensor y; // [T, N]; in the backward its gradient dy
};

// The most outputs of a weight that are read at once. The stored rows of a transposed weight are inputs: it is read whole.
int64_t loam_linear_rows_at_once(const struct loam_linear *linear, const struct loam_weight_handle *handle,
                                 bool cut);
// y = x WT + bias + residual
void loam_linear_product(struct loam_pass *pass, const struct loam_linear *linear, struct loam_tensor x,
                         struct loam_tensor bias, struct loam_tensor residual, struct loam_tensor y);
// dx (+)= dy W
void loam_linear_input_gradient(struct loam_pass *pass, const struct loam_linear *linear,
                                struct loam_tensor dy, struct loam_tensor dx, bool accumulate);
// The gradients of a weight and a bias that are trained.
void loam_linear_add_weight_gradients(struct loam_pass *pass, const struct loam_linear *linear,
                                      struct loam_tensor x, struct loam_tensor dy);
// The bias in the dtype of x: the head may read f32 where the model is bf16.
struct loam_tensor loam_linear_bias(struct loam_pass *pass, const struct loam_linear *linear,
                                    enum loam_dtype dtype);
// Columns [first, first + count) of y; where y is a vector, its elements.
struct loam_tensor loam_columns_of(struct loam_tensor y, int64_t first, int64_t count);

// Whether a pass with gradients trains the weight, the bias or an adapter of the linear.
bool loam_linear_trained(const struct loam_decoder *decoder, const struct loam_linear *linear);
// Whether the backward of the linear reads its input x.
bool loam_linear_reads_input(const struct loam_decoder *decoder, const struct loam_linear *linear);

#endif
