// The backward of the decoder: the mirror of decoder_forward.c, stopping below the lowest thing that is
// trained.
#include "model/linear.h"

void loam_decoder_norm_backward(struct loam_pass *pass, const struct loam_norm *norm, struct loam_tensor dy,
                                struct loam_tensor x, struct loam_norm_stats stats, struct loam_tensor dx,
                                bool accumulate)
{
    if (pass->model->config.family->norm == LOAM_LAYERNORM)
        loam_layernorm_backward(
            pass->stream, &(struct loam_layernorm_backward_args){.dy = dy,
                                                                 .x = x,
                                                                 .w = norm->w->value,
                                                                 .mean = stats.mean,
                                                                 .rstd = stats.rstd,
                                                                 .dx = dx,
                                                                 .accumulate = accumulate,
                                                                 .dw = loam_pass_gradient(pass, norm->w),
                                                                 .db = loam_pass_gradient(pass, norm->b)});
    else
        loam_rmsnorm_backward(pass->stream,
                              &(struct loam_rmsnorm_backward_args){.dy = dy,
                                                                   .x = x,
                                                                   .w = norm->w->value,
                                                                   .rstd = stats.rstd,
                                                                   .dx = dx,
                                                                   .accumulate = accumulate,
                                                                   .dw = loam_pass_gradient(pass, norm->w)});
}

// The norm's output, made again from its input: an adapted linear reads it.
static struct loam_tensor norm_again(struct loam_pass *pass, const struct loam_norm *norm,
                                     struct loam_tensor x, struct loam_norm_stats stats)
{
    struct loam_tensor y = loam_pass_rows(pass, pass->model->config.hidden);
    pass->stream->recomputing = true;
    loam_decoder_norm(pass, norm, x, stats, y);
    pass->stream->recomputing = false;
    return y;
}

// As it was in the forward: the input of the down projection, where that is read.
static void activation_again(struct loam_pass *pass, const struct loam_layer_state *state,
                             struct loam_tensor act)
{
    pass->stream->recomputing = true;
    loam_layer_activation(pass, state, act);
    pass->stream->recomputing = false;
}

// dres [T, H] is the gradient of the layer's output; on return it has the MLP half's input gradient added
// (x_out = mid + down(act(up(norm(mid)))), so d mid = dres + ...). Without `below` only parameters get
// gradients.
static void mlp_backward(struct loam_pass *pass, const struct loam_layer *layer,
                         struct loam_layer_state *state, struct loam_tensor dres, bool below)
{
    const struct loam_decoder *decoder = pass->decoder;
    const struct loam_config *config = &pass->model->config;
    const struct loam_family *family = config->family;
    const struct loam_linear *up = &layer->linears[LOAM_UP], *gate = &layer->linears[LOAM_GATE];
    const struct loam_linear *down = &layer->linears[LOAM_DOWN];
    const struct loam_norm *norm = &layer->norms[LOAM_NORM_MLP];
    bool through_norm = below || loam_norm_trained(decoder, norm);
    bool through_activation =
        through_norm || loam_linear_trained(decoder, up) || loam_linear_trained(decoder, gate);
    struct loam_tensor none = {0};

    // First the activation, then the gradient of the up projection where there is a gate.
    bool inner_used = loam_linear_reads_input(decoder, down) || family->gated_mlp;
    struct loam_tensor inner = inner_used ? loam_pass_rows(pass, config->inner) : none;
    if (loam_linear_reads_input(decoder, down)) activation_again(pass, state, inner);
    struct loam_tensor dact = through_activation ? loam_pass_rows(pass, config->inner) : none;
    loam_linear_run_backward(pass, down, inner, state->t[LOAM_DOWN], dres, dact, false);
    if (!through_activation) return;

    struct loam_tensor dn = through_norm ? loam_pass_rows(pass, config->hidden) : none;
    struct loam_tensor n2 = none;
    if (loam_linear_reads_input(decoder, up) || loam_linear_reads_input(decoder, gate))
        n2 = norm_again(pass, norm, state->mid, state->stats2);
    if (family->gated_mlp) {
        loam_gated_activation_backward(
            pass->stream, &(struct loam_gated_activation_backward_args){.kind = family->activation,
                                                                        .gate = state->gate,
                                                                        .up = state->pre,
                                                                        .dy = dact,
                                                                        .dgate = dact,
                                                                        .dup = inner});
        loam_linear_run_backward(pass, gate, n2, state->t[LOAM_GATE], dact, dn, false);
        loam_linear_run_backward(pass, up, n2, state->t[LOAM_UP], inner, dn, true);
    } else {
        loam_activation_backward(pass->stream,
                                 &(struct loam_activation_backward_args){
                                     .kind = family->activation, .x = state->pre, .dy = dact, .dx = dact});
        loam_linear_run_backward(pass, up, n2, state->t[LOAM_UP], dact, dn, false);
    }
    if (through_norm) loam_decoder_norm_backward(pass, norm, dn, state->mid, state->stats2, dres, true);
}

// A gradient of heads as the rows [T, heads D] that the projection wrote.
static struct loam_tensor gradient_rows(struct loam_tensor heads)
{
    return loam_tensor_2d(heads.data, heads.dtype, heads.shape[0], heads.shape[1] * heads.shape[2]);
}

static void projections_backward(struct loam_pass *pass, const struct loam_layer *layer,
                                 struct loam_tensor n1, struct loam_layer_state *state,
                                 const struct loam_heads *gradients, struct loam_tensor dn)
{
    const struct loam_linear *linears = layer->linears;
    if (pass->model->config.family->fused_qkv) {
        loam_linear_run_backward(pass, &linears[LOAM_QKV], n1, state->t[LOAM_QKV], gradients->fused, dn,
                                 false);
        return;
    }
    loam_linear_run_backward(pass, &linears[LOAM_Q], n1, state->t[LOAM_Q], gradient_rows(gradients->q), dn,
                             false);
    loam_linear_run_backward(pass, &linears[LOAM_K], n1, state->t[LOAM_K], gradient_rows(gradients->k), dn,
                             true);
    loam_linear_run_backward(pass, &linears[LOAM_V], n1, state->t[LOAM_V], gradient_rows(gradients->v), dn,
                             true);
}

static void heads_backward(struct loam_pass *pass, const struct loam_layer_state *state,
                           struct loam_tensor dattn, const struct loam_heads *gradients)
{
    const struct loam_config *config = &pass->model->config;
    loam_attention_backward(
        pass->stream,
        &(struct loam_attention_backward_args){
            .q = state->heads.q,
            .k = state->heads.k,
            .v = state->heads.v,
            .shape = pass->attention,
            .out = loam_tensor_3d(state->attn.data, state->attn.dtype, pass->tokens, config->heads,
                                  config->head_dim),
            .lse = state->lse,
            .dout = loam_tensor_3d(dattn.data, dattn.dtype, pass->tokens, config->heads, config->head_dim),
            .dq = gradients->q,
            .dk = gradients->k,
            .dv = gradients->v});
    if (pass->rope.data == NULL) return;
    loam_rope(pass->stream,
              &(struct loam_rope_args){.x = gradients->q, .table = pass->rope, .inverse = true});
    loam_rope(pass->stream,
              &(struct loam_rope_args){.x = gradients->k, .table = pass->rope, .inverse = true});
}

static bool heads_trained(const struct loam_decoder *decoder, const struct loam_layer *layer)
{
    return loam_linear_trained(decoder, &layer->linears[LOAM_QKV]) ||
           loam_linear_trained(decoder, &layer->linears[LOAM_Q]) ||
           loam_linear_trained(decoder, &layer->linears[LOAM_K]) ||
           loam_linear_trained(decoder, &layer->linears[LOAM_V]);
}

static bool heads_reads_input(const struct loam_decoder *decoder, const struct loam_layer *layer)
{
    return loam_linear_reads_input(decoder, &layer->linears[LOAM_QKV]) ||
           loam_linear_reads_input(decoder, &layer->linears[LOAM_Q]) ||
           loam_linear_reads_input(decoder, &layer->linears[LOAM_K]) ||
           loam_linear_reads_input(decoder, &layer->linears[LOAM_V]);
}

// The gradients of all T rows from those of the R that were kept, zero elsewhere: of the attention's output,
// which is returned, and of the stream.
static struct loam_tensor spread_rows(struct loam_pass *pass, struct loam_tensor dto_stream,
                                      struct loam_tensor dres)
{
    loam_pass_use_kept(pass, false);
    struct loam_tensor dattn = loam_pass_rows(pass, dto_stream.shape[1]);
    loam_pass_take_rows(pass, pass->kept.places, dto_stream, dattn);
    loam_pass_take_rows(pass, pass->kept.places, pass->kept.dx, dres);
    return dattn;
}

// As mlp_backward, for mid = x + o(attention(norm(x))). `dmid` is dres itself, or the gradient of the rows
// that were kept.
static void attention_half_backward(struct loam_pass *pass, int64_t index, struct loam_layer_state *state,
                                    struct loam_tensor dmid, struct loam_tensor dres, bool below)
{
    const struct loam_decoder *decoder = pass->decoder;
    const struct loam_config *config = &pass->model->config;
    const struct loam_layer *layer = &pass->model->layers[index];
    const struct loam_norm *norm = &layer->norms[LOAM_NORM_ATTENTION];
    const bool drops = loam_layer_drops_rows(pass, index);
    bool through_norm = below || loam_norm_trained(decoder, norm);
    bool through_heads = through_norm || heads_trained(decoder, layer);
    struct loam_tensor none = {0}, dattn = none;

    const int64_t columns = config->heads * config->head_dim;
    if (through_heads)
        dattn = drops ? loam_pass_rows_and_zeros(pass, pass->tokens, columns) : loam_pass_rows(pass, columns);
    loam_linear_run_backward(pass, &layer->linears[LOAM_O], state->to_stream, state->t[LOAM_O], dmid,
                             loam_tensor_rows(&dattn, 0, pass->tokens), false);
    if (!through_heads) return;
    if (drops) dattn = spread_rows(pass, dattn, dres);

    struct loam_heads gradients = loam_pass_heads(pass);
    heads_backward(pass, state, dattn, &gradients);
    struct loam_tensor dn = through_norm ? loam_pass_rows(pass, config->hidden) : none;
    struct loam_tensor n1 = none;
    if (heads_reads_input(decoder, layer)) n1 = norm_again(pass, norm, state->x, state->stats1);
    projections_backward(pass, layer, n1, state, &gradients, dn);
    if (through_norm) loam_decoder_norm_backward(pass, norm, dn, state->x, state->stats1, dres, true);
}

static bool attention_half_trained(const struct loam_decoder *decoder, const struct loam_layer *layer)
{
    return heads_trained(decoder, layer) || loam_linear_trained(decoder, &layer->linears[LOAM_O]) ||
           loam_norm_trained(decoder, &layer->norms[LOAM_NORM_ATTENTION]);
}

static void embedding_backward(struct loam_pass *pass, struct loam_tensor dres)
{
    const struct loam_model *model = pass->model;
    if (model->embedding_norm.w != NULL)
        loam_decoder_norm_backward(pass, &model->embedding_norm, dres, pass->embedded, pass->embedded_stats,
                                   dres, false);
    const struct loam_tensor dtable = loam_pass_gradient(pass, model->embedding);
    if (dtable.data != NULL)
        loam_embedding_backward(pass->stream, &(struct loam_embedding_backward_args){
                                                  .ids = pass->ids, .dy = dres, .dtable = dtable});
}

// Makes again what the forward has not kept of the MLP half, and before that of the attention half; returns
// the mark between the two.
static size_t recompute(struct loam_pass *pass, int64_t index, struct loam_layer_state *state)
{
    enum loam_checkpointing level = loam_layer_checkpointing(pass, index);
    pass->stream->recomputing = true;
    if (level == LOAM_CHECKPOINT_BLOCK) {
        state->mid = loam_pass_rows(pass, pass->model->config.hidden);
        loam_layer_attention(pass, index, state);
    }
    size_t mark = loam_arena_mark(pass->arena);
    if (level != LOAM_CHECKPOINT_NONE) loam_layer_mlp_inner(pass, index, state);
    pass->stream->recomputing = false;
    return mark;
}

static void layer_backward(struct loam_pass *pass, int64_t index, struct loam_tensor dres, bool below)
{
    const struct loam_decoder *decoder = pass->decoder;
    const struct loam_layer *layer = &pass->model->layers[index];
    struct loam_layer_state *state = &pass->decoder->layers[index];
    bool through_mid = below || attention_half_trained(decoder, layer);
    size_t mark = recompute(pass, index, state);
    struct loam_tensor dout = dres;
    if (loam_layer_drops_rows(pass, index)) dout = loam_tensor_rows(&pass->kept.dx, 0, pass->tokens);
    mlp_backward(pass, layer, state, dout, through_mid);
    loam_arena_release(pass->arena, mark);
    if (through_mid) attention_half_backward(pass, index, state, dout, dres, below);
    loam_arena_release(pass->arena, state->mark); // this layer's activations are done with
}

void loam_decoder_backward(struct loam_pass *pass, struct loam_tensor dres)
{
    int64_t first = pass->decoder->first_trained;
    const bool embedding_trained = pass->decoder->embedding_trained;
    for (int64_t index = pass->model->config.layers - 1; index >= first; index--)
        layer_backward(pass, index, dres, index > first || embedding_trained);
    if (embedding_trained) embedding_backward(pass, dres);
}
