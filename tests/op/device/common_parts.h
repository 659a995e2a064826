// Pieces that the builders of several ops share.
#ifndef LOAM_TESTS_OP_COMMON_PARTS_H
#define LOAM_TESTS_OP_COMMON_PARTS_H

#include "op/device/common_op.h"

// Absent where the case has no optional tensors.
struct loam_tensor optional_vector(struct op_run *run, const char *name, enum op_role role,
                                   enum loam_dtype dtype, int64_t count);
// values = factor values + offset
void scale_values(const struct loam_tensor *tensor, double factor, double offset);
void expect_sums(struct op_run *run, double reduction, double magnitude);
// Of a matrix that activations are multiplied with.
enum loam_dtype weight_dtype(const struct op_run *run);
// w [N, K], or [K, N] where it is transposed
struct loam_weight make_weight(struct op_run *run, int64_t n, int64_t k);
struct loam_dropout make_dropout(const struct op_run *run);
// Rising and repeated, all in 0..limit-1.
struct loam_tensor make_ids(struct op_run *run, const char *name, int64_t count, int64_t limit);

// Builders outside common_cases.c.
void build_lora_forward(struct op_run *run);
void build_lora_backward(struct op_run *run);
void build_lora_linear_forward(struct op_run *run);
void build_lora_linear_backward(struct op_run *run);
void build_linears_forward(struct op_run *run);
void build_linears_backward(struct op_run *run);
void build_dora_norm(struct op_run *run);
void build_dora_forward(struct op_run *run);
void build_dora_backward(struct op_run *run);
void build_dropout(struct op_run *run);
void build_lora_embedding_forward(struct op_run *run);
void build_lora_embedding_backward(struct op_run *run);
void build_replace_rows_forward(struct op_run *run);
void build_replace_rows_backward(struct op_run *run);
void build_replace_columns_forward(struct op_run *run);
void build_replace_columns_backward(struct op_run *run);
void build_cast(struct op_run *run);
void build_top_logits(struct op_run *run);

#endif
