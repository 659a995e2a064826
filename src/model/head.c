// Rows without adapters on the head go through one fused op, which holds no logits. Rows with adapters there go
// by chunks, whose logits are held: the head is a linear like others, so every kind of adapter works on it. Where a
// batch has both, each has all rows, and only its own results are kept: a product of fewer rows may round otherwise,
// and a row must not depend on the other rows of its batch.
// There activations are f32, also in a bf16 model: logits are f32 anyway.
#include "model/head.h"

enum { CHUNK_LOGITS = 16 << 20 }; // that are held at a time

static const struct loam_tensor none;

// ---- rows with adapters on the head ----

static bool adapts_head(const struct loam_pass *pass, const struct loam_segment *segment)
{
    return segment->rows > 0 && (segment->adapter->slots[pass->model->head.index].rank > 0 ||
                                 segment->adapter->tokens[LOAM_TOKENS_OF_HEAD].tokens.data != NULL);
}

// Some rows, one after the other, that all go through adapters on the head, or all do not.
struct stretch {
    int64_t first, count;
    bool adapted;
};

// The stretch that begins with row `first` of rows up to `end`.
static struct stretch stretch_from(const struct loam_pass *pass, int64_t first, int64_t end)
{
    struct stretch stretch = {.first = first};
    for (size_t i = 0; i < pass->segment_count; i++) {
        const struct loam_segment *segment = &pass->segments[i];
        const int64_t begins = segment->first, ends = begins + segment->rows;
        if (!adapts_head(pass, segment)) continue;
        if (begins <= first && first < ends) stretch.adapted = true;
        if (begins > first && begins < end) end = begins;
        if (ends > first && ends < end) end = ends;
    }
    stretch.count = end - first;
    return stretch;
}

static bool any_adapts_head(const struct loam_pass *pass)
{
    for (size_t i = 0; i < pass->segment_count; i++)
        if (adapts_head(pass, &pass->segments[i])) return true;
    return false;
}

static bool any_row_without_adapter(const struct loam_pass *pass)
{
    struct stretch stretch = {0};
    for (int64_t row = 0; row < pass->tokens; row += stretch.count) {
        stretch = stretch_from(pass, row, pass->tokens);
        if (!stretch.adapted) return true;
    }
    return false;
}

// The tensor itself, or its values as f32.
static struct loam_tensor as_f32(struct loam_pass *pass, struct loam_tensor rows)
{
    if (rows.dtype == LOAM_F32) return rows;
    const struct loam_tensor wide = loam_pass_f32(pass, rows.shape[0], rows.shape[1]);
    loam_cast(pass->stream, &(struct loam_cast_args){.x = rows, .y = wide});
    return wide;
}

// Computes the norms of the head's DoRA once for all chunks.
static void compute_head_norms(struct loam_pass *pass)
{
    for (size_t i = 0; i < pass->segment_count; i++) {
        const struct loam_segment *segment = &pass->segments[i];
        const struct loam_lora_slot *slot = &segment->adapter->slots[pass->model->head.index];
        pass->decoder->head_norms[i] = none;
        if (segment->rows > 0 && slot->rank > 0 && slot->dora)
            pass->decoder->head_norms[i] = loam_linear_dora_norms(pass, &pass->model->head, slot);
    }
    pass->head_norms = pass->decoder->head_norms;
}

// ---- trained tokens ----

// What the rows of an adapter's tokens change in some rows of the products.
struct token_part {
    const struct loam_token_rows *tokens;
    float factor;
    int64_t first, rows;
    int64_t count; // n
};

static bool token_part(const struct loam_pass *pass, size_t segment, struct token_part *part)
{
    const struct loam_segment *own = &pass->segments[segment];
    *part = (struct token_part){.tokens = &own->adapter->tokens[LOAM_TOKENS_OF_HEAD],
                                .factor = own->factor,
                                .first = own->first,
                                .rows = own->rows};
    part->count = part->tokens->tokens.data == NULL ? 0 : loam_tensor_count(&part->tokens->tokens);
    return own->rows > 0 && part->count > 0;
}

// products[:, tokens] = h rowsT of each segment. h [T, H] f32; products [T, V].
static void replace_columns(struct loam_pass *pass, struct loam_tensor h, struct loam_tensor products)
{
    struct token_part part;
    for (size_t i = 0; i < pass->segment_count; i++) {
        if (!token_part(pass, i, &part)) continue;
        const size_t mark = loam_arena_mark(pass->arena);
        const struct loam_tensor own = loam_pass_f32(pass, part.rows, part.count);
        loam_linear_forward(
            pass->stream, &(struct loam_linear_forward_args){.x = loam_tensor_rows(&h, part.first, part.rows),
                                                             .w.tensor = part.tokens->rows,
                                                             .y = own});
        loam_replace_columns_forward(pass->stream,
                                     &(struct loam_replace_columns_forward_args){
                                         .x = own,
                                         .tokens = part.tokens->tokens,
                                         .factor = part.factor,
                                         .y = loam_tensor_rows(&products, part.first, part.rows)});
        loam_arena_release(pass->arena, mark);
    }
}

// dh += the gradients through the rows of the tokens; drows += dproductsT h. dproducts become those of the
// head itself.
static void replace_columns_backward(struct loam_pass *pass, struct loam_tensor h,
                                     struct loam_tensor dproducts, struct loam_tensor dh)
{
    struct token_part part;
    for (size_t i = pass->segment_count; i-- > 0;) {
        if (!token_part(pass, i, &part)) continue;
        const size_t mark = loam_arena_mark(pass->arena);
        const struct loam_tensor own = loam_pass_f32(pass, part.rows, part.count);
        loam_replace_columns_backward(pass->stream,
                                      &(struct loam_replace_columns_backward_args){
                                          .tokens = part.tokens->tokens,
                                          .factor = part.factor,
                                          .dx = own,
                                          .dy = loam_tensor_rows(&dproducts, part.first, part.rows)});
        if (part.tokens->drows.data != NULL)
            loam_linear_backward_weight(
                pass->stream,
                &(struct loam_linear_backward_weight_args){
                    .dy = own, .x = loam_tensor_rows(&h, part.first, part.rows), .dw = part.tokens->drows});
        loam_linear_backward_input(pass->stream, &(struct loam_linear_backward_input_args){
                                                     .dy = own,
                                                     .w.tensor = part.tokens->rows,
                                                     .dx = loam_tensor_rows(&dh, part.first, part.rows),
                                                     .accumulate = true});
        loam_arena_release(pass->arena, mark);
    }
}

// ---- loss ----

// The products of a part's rows h with the head, and of the adapters' rows of tokens.
static void run_head(struct loam_pass *part, struct loam_tensor h, struct loam_tensor t,
                     struct loam_tensor products)
{
    loam_linear_run(part, &part->model->head, h, none, t, products);
    replace_columns(part, h, products);
}

static void copy_adapted(const struct loam_pass *part, struct loam_tensor source, struct loam_tensor target)
{
    struct stretch stretch = {0};
    for (int64_t row = 0; row < part->tokens; row += stretch.count) {
        stretch = stretch_from(part, row, part->tokens);
        if (stretch.adapted)
            loam_cast(part->stream,
                      &(struct loam_cast_args){.x = loam_tensor_rows(&source, row, stretch.count),
                                               .y = loam_tensor_rows(&target, row, stretch.count)});
    }
}

// The gradients of a part's rows h, of which those with adapters go to dh. dproducts is overwritten.
static void head_backward(struct loam_pass *part, struct loam_tensor h, struct loam_tensor t,
                          struct loam_tensor dproducts, struct loam_tensor dh)
{
    const struct loam_tensor sum = loam_pass_f32(part, dh.shape[0], dh.shape[1]);
    if (sum.data != NULL) loam_zero(part->stream, sum.data, loam_tensor_bytes(&sum));
    replace_columns_backward(part, h, dproducts, sum);
    loam_linear_run_backward(part, &part->model->head, h, t, dproducts, sum, true);
    copy_adapted(part, sum, dh);
}

// The losses of a chunk's rows with adapters. With gradients, products become gradients: zero in other rows.
static void chunk_losses(struct loam_pass *pass, int64_t first, int64_t count, struct loam_tensor products)
{
    const struct loam_config *config = &pass->model->config;
    struct stretch stretch = {0};
    for (int64_t row = first; row < first + count; row += stretch.count) {
        stretch = stretch_from(pass, row, first + count);
        const struct loam_tensor own = loam_tensor_rows(&products, row - first, stretch.count);
        struct loam_cross_entropy_args args = {.products = own,
                                               .logit_factor = (float)config->logit_factor,
                                               .logit_softcap = (float)config->logit_softcap,
                                               .targets =
                                                   loam_tensor_rows(&pass->targets, row, stretch.count),
                                               .losses = loam_tensor_rows(&pass->losses, row, stretch.count)};
        if (pass->gradients) args.factors = loam_tensor_rows(&pass->factors, row, stretch.count);
        if (stretch.adapted)
            loam_cross_entropy(pass->stream, &args);
        else if (pass->gradients)
            loam_zero(pass->stream, own.data, loam_tensor_bytes(&own));
    }
}

static void chunk_loss(struct loam_pass *pass, struct loam_tensor h, struct loam_tensor dh, int64_t first,
                       int64_t count)
{
    const size_t mark = loam_arena_mark(pass->arena);
    struct loam_pass part = loam_pass_part(pass, first, count);
    const struct loam_tensor rows = as_f32(&part, loam_tensor_rows(&h, first, count));
    const struct loam_tensor t = loam_linear_updates(&part, &pass->model->head);
    const struct loam_tensor products = loam_pass_f32(&part, count, pass->model->config.vocabulary);
    run_head(&part, rows, t, products);
    chunk_losses(pass, first, count, products);
    if (pass->gradients) head_backward(&part, rows, t, products, loam_tensor_rows(&dh, first, count));
    loam_arena_release(pass->arena, mark);
}

// Chunks without an adapter are left out.
static void adapted_losses(struct loam_pass *pass, struct loam_tensor h, struct loam_tensor dh)
{
    const int64_t most = 1 + CHUNK_LOGITS / pass->model->config.vocabulary;
    for (int64_t first = 0; first < pass->tokens; first += most) {
        const int64_t count = pass->tokens - first < most ? pass->tokens - first : most;
        const struct stretch stretch = stretch_from(pass, first, first + count);
        if (stretch.adapted || stretch.count < count) chunk_loss(pass, h, dh, first, count);
    }
}

// The factors of the rows' losses, 0 where a row has an adapter.
static struct loam_tensor mask_factors(struct loam_pass *pass)
{
    const struct loam_tensor copy = loam_pass_f32(pass, 1, pass->tokens);
    loam_cast(pass->stream,
              &(struct loam_cast_args){.x = loam_tensor_2d(pass->factors.data, LOAM_F32, 1, pass->tokens),
                                       .y = copy});
    const struct loam_tensor factors = loam_tensor_1d(copy.data, LOAM_F32, pass->tokens);
    struct stretch stretch = {0};
    for (int64_t row = 0; row < pass->tokens; row += stretch.count) {
        stretch = stretch_from(pass, row, pass->tokens);
        const struct loam_tensor own = loam_tensor_rows(&factors, row, stretch.count);
        if (stretch.adapted && own.data != NULL) loam_zero(pass->stream, own.data, loam_tensor_bytes(&own));
    }
    return factors;
}

// dh = dlogits W (struct loam_linear_cross_entropy_args)
static void fused_losses(struct loam_pass *pass, struct loam_tensor h, struct loam_tensor dh, bool adapted)
{
    const struct loam_model *model = pass->model;
    const struct loam_weight_handle *head = loam_pass_weight(pass, &model->head);
    const size_t mark = loam_arena_mark(pass->arena);
    struct loam_linear_cross_entropy_args args = {
        .h = h,
        .w = loam_weight_open(head, pass->stream, pass->arena, 0, model->head.out),
        .targets = pass->targets,
        .logit_factor = (float)model->config.logit_factor,
        .logit_softcap = (float)model->config.logit_softcap,
        .counted = pass->counted,
        .losses = pass->losses,
        .bias = loam_pass_value(pass, model->head.bias)};
    if (pass->gradients) {
        args.factors = adapted ? mask_factors(pass) : pass->factors;
        args.dh = dh;
        args.dw = loam_pass_weight_gradient(pass, &model->head);
        args.dbias = loam_pass_gradient(pass, model->head.bias);
    }
    loam_linear_cross_entropy(pass->stream, &args);
    loam_weight_close(head, pass->stream, 0, model->head.out);
    loam_arena_release(pass->arena, mark);
}

// Later passes may go without the adapters that a plan knows. The chunks overwrite the losses and gradients of their
// adapted rows.
static void all_losses(struct loam_pass *pass, struct loam_tensor h, struct loam_tensor dh)
{
    const bool adapted = any_adapts_head(pass);
    if (pass->stream->planning || any_row_without_adapter(pass)) fused_losses(pass, h, dh, adapted);
    if (!adapted) return;
    compute_head_norms(pass);
    adapted_losses(pass, h, dh);
    pass->head_norms = NULL;
}

void loam_head_loss(struct loam_pass *pass, struct loam_tensor dx)
{
    const struct loam_model *model = pass->model;
    const int64_t hidden = model->config.hidden;
    const size_t mark = loam_arena_mark(pass->arena);
    struct loam_norm_stats stats = loam_pass_norm_stats(pass, &model->final_norm, pass->tokens);
    struct loam_tensor h = loam_pass_rows(pass, hidden), dh = {0};
    loam_decoder_norm(pass, &model->final_norm, pass->x, stats, h);
    if (pass->gradients) dh = loam_pass_rows(pass, hidden);
    all_losses(pass, h, dh);
    if (pass->gradients) loam_decoder_norm_backward(pass, &model->final_norm, dh, pass->x, stats, dx, false);
    loam_arena_release(pass->arena, mark);
}

// ---- logits ----

// The products of all rows as a pass without adapters has them.
static void plain_products(struct loam_pass *part, struct loam_tensor h, struct loam_tensor products)
{
    struct loam_pass plain = *part;
    plain.segment_count = 0;
    loam_linear_run(&plain, &part->model->head, h, none, none, products);
}

// Rows with adapters in f32, other rows as in a pass without. In f32 both are one product.
static void adapted_products(struct loam_pass *part, struct loam_tensor h, struct loam_tensor products)
{
    const size_t mark = loam_arena_mark(part->arena);
    const bool all = stretch_from(part, 0, part->tokens).count == part->tokens, wide = h.dtype == LOAM_F32;
    const bool apart = part->stream->planning || !(all || wide);
    const struct loam_tensor own =
        apart ? loam_pass_f32(part, products.shape[0], products.shape[1]) : products;
    const struct loam_tensor t = loam_linear_updates(part, &part->model->head);
    run_head(part, as_f32(part, h), t, own);
    if (apart) {
        plain_products(part, h, products);
        copy_adapted(part, own, products);
    }
    loam_arena_release(part->arena, mark);
}

struct loam_tensor loam_head_logits(struct loam_pass *pass, int64_t first, int64_t count)
{
    const struct loam_model *model = pass->model;
    const struct loam_config *config = &model->config;
    struct loam_tensor x = loam_tensor_rows(&pass->x, first, count);
    struct loam_tensor h = loam_pass_rows_of(pass, count, config->hidden);
    loam_decoder_norm(pass, &model->final_norm, x, loam_pass_norm_stats(pass, &model->final_norm, count), h);
    struct loam_tensor logits = loam_pass_f32(pass, count, config->vocabulary);
    struct loam_pass part = loam_pass_part(pass, first, count);
    if (any_adapts_head(&part))
        adapted_products(&part, h, logits);
    else
        plain_products(&part, h, logits);
    if (config->logit_factor != 1 || config->logit_softcap != 0)
        loam_cap_logits(pass->stream,
                        &(struct loam_cap_logits_args){.x = logits,
                                                       .factor = (float)config->logit_factor,
                                                       .softcap = (float)config->logit_softcap});
    return logits;
}

struct loam_tensor loam_head_logits_of(struct loam_pass *pass, const int32_t *rows, int32_t count)
{
    // The rows of a dry run are not known: it gathers whatever their places are.
    if (count == 1 || (!pass->stream->planning && rows[count - 1] - rows[0] == count - 1))
        return loam_head_logits(pass, rows[0], count);
    struct loam_pass part = *pass;
    loam_pass_keep_segments(pass, rows, count);
    part.tokens = count;
    part.segments = pass->decoder->of_kept;
    part.x = loam_pass_rows_of(pass, count, pass->x.shape[1]);
    loam_pass_take_rows(pass, loam_pass_ints(pass, rows, count), pass->x, part.x);
    return loam_head_logits(&part, 0, count);
}
