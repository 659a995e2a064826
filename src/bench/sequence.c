#include "bench/sequence.h"

#include <stdlib.h>

#include "base/grow.h"

enum loam_status loam_bench_sequence_add(struct loam_bench_sequence *sequence,
                                         const struct loam_bench_product *item, struct loam_error *error)
{
    struct loam_bench_product *items =
        loam_grow(sequence->items, &sequence->capacity, sequence->count + 1, sizeof *items, error);
    if (items == NULL) return LOAM_ERROR_MEMORY;
    sequence->items = items;
    items[sequence->count++] = *item;
    return LOAM_OK;
}

static void add(struct loam_bench_sequence *sequence, struct loam_product product, const void *weight)
{
    const struct loam_bench_product item = {product, weight};
    if (sequence->failure.status != LOAM_OK || product.m == 0) return;
    (void)loam_bench_sequence_add(sequence, &item, &sequence->failure);
}

// x wT with w [N, K], or dy w with w [N, K].
static void add_product(struct loam_bench_sequence *sequence, enum loam_product_kind kind, int64_t rows,
                        const struct loam_tensor *w)
{
    const bool forward = kind == LOAM_PRODUCT_FORWARD;
    const int64_t n = w->shape[forward ? 0 : 1], k = w->shape[forward ? 1 : 0];
    add(sequence, (struct loam_product){kind, rows, n, k, w->dtype, w->dtype}, w->data);
}

// A transposed weight takes part in the one as others do in the other.
static void add_forward(struct loam_bench_sequence *sequence, int64_t rows, const struct loam_weight *w)
{
    add_product(sequence, w->transposed ? LOAM_PRODUCT_INPUT : LOAM_PRODUCT_FORWARD, rows, &w->tensor);
}

static void add_input(struct loam_bench_sequence *sequence, int64_t rows, const struct loam_weight *w)
{
    add_product(sequence, w->transposed ? LOAM_PRODUCT_FORWARD : LOAM_PRODUCT_INPUT, rows, &w->tensor);
}

static void add_weight(struct loam_bench_sequence *sequence, int64_t rows, const struct loam_tensor *dw,
                       enum loam_dtype dtype)
{
    add(sequence,
        (struct loam_product){LOAM_PRODUCT_WEIGHT, dw->shape[0], dw->shape[1], rows, dtype, dw->dtype}, NULL);
}

static void add_head(struct loam_bench_sequence *sequence, const struct loam_linear_cross_entropy_args *args)
{
    add_forward(sequence, args->counted, &args->w);
    if (args->dh.data != NULL) add_input(sequence, args->counted, &args->w);
    if (args->dw.data != NULL && args->counted > 0)
        add_weight(sequence, args->counted, &args->dw, args->h.dtype);
}

// The products of a fused op; of other ops none.
static void add_fused(struct loam_bench_sequence *sequence, enum loam_op_id op, const void *args)
{
    const struct loam_lora_linear_forward_args *forward = args;
    const struct loam_lora_linear_backward_args *backward = args;
    const struct loam_linears_forward_args *forwards = args;
    const struct loam_linears_backward_args *backwards = args;
    if (op == LOAM_OP_ID_lora_linear_forward) add_forward(sequence, forward->x.shape[0], &forward->w);
    if (op == LOAM_OP_ID_lora_linear_backward) add_input(sequence, backward->dy.shape[0], &backward->w);
    for (int i = 0; op == LOAM_OP_ID_linears_forward && i < forwards->count; i++)
        add_forward(sequence, forwards->x.shape[0], &forwards->parts[i].w);
    for (int i = 0; op == LOAM_OP_ID_linears_backward && i < backwards->count; i++)
        add_input(sequence, backwards->dx.shape[0], &backwards->parts[i].w);
}

void loam_bench_sequence_watch(void *user, enum loam_op_id op, const void *args)
{
    const struct loam_linear_forward_args *forward = args;
    const struct loam_linear_backward_input_args *input = args;
    const struct loam_linear_backward_weight_args *weight = args;
    if (op == LOAM_OP_ID_linear_forward) add_forward(user, forward->x.shape[0], &forward->w);
    if (op == LOAM_OP_ID_linear_backward_input) add_input(user, input->dy.shape[0], &input->w);
    if (op == LOAM_OP_ID_linear_backward_weight)
        add_weight(user, weight->dy.shape[0], &weight->dw, weight->dy.dtype);
    if (op == LOAM_OP_ID_linear_cross_entropy) add_head(user, args);
    add_fused(user, op, args);
}

void loam_bench_sequence_clear(struct loam_bench_sequence *sequence)
{
    sequence->count = 0;
}

void loam_bench_sequence_deinit(struct loam_bench_sequence *sequence)
{
    free(sequence->items);
    *sequence = (struct loam_bench_sequence){0};
}

bool loam_bench_same_product(const struct loam_product *a, const struct loam_product *b)
{
    return a->kind == b->kind && a->m == b->m && a->n == b->n && a->k == b->k && a->dtype == b->dtype &&
           a->c_dtype == b->c_dtype;
}

double loam_bench_product_flops(const struct loam_product *product)
{
    return 2.0 * (double)product->m * (double)product->n * (double)product->k;
}

int64_t loam_bench_weight_bytes(const struct loam_product *product)
{
    return product->n * product->k * (int64_t)loam_dtype_size(product->dtype);
}
