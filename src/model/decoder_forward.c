// The forward of the decoder: op by op, in the order of the model.
#include "model/decoder_internal.h"

struct loam_tensor loam_pass_rows(struct loam_pass *pass, int64_t columns)
{
    size_t bytes = (size_t)(pass->tokens * columns) * loam_dtype_size(pass->model->dtype);
    return loam_tensor_2d(loam_arena_alloc(pass->arena, bytes), pass->model->dtype, pass->tokens, columns);
}

struct loam_tensor loam_pass_f32(struct loam_pass *pass, int64_t rows, int64_t columns)
{
    void *data = loam_arena_alloc(pass->arena, (size_t)(rows * columns) * sizeof(float));
    return loam_tensor_2d(data, LOAM_F32, rows, columns);
}

static struct loam_tensor pass_f32_vector(struct loam_pass *pass, int64_t count)
{
    void *data = loam_arena_alloc(pass->arena, (size_t)count * sizeof(float));
    return loam_tensor_1d(data, LOAM_F32, count);
}

struct loam_norm_stats loam_pass_norm_stats(struct loam_pass *pass, int64_t rows)
{
    struct loam_norm_stats stats = {0};
    if (pass->model->config.family->norm == LOAM_LAYERNORM) stats.mean = pass_f32_vector(pass, rows);
    stats.rstd = pass_f32_vector(pass, rows);
    return stats;
}

// [T, count, D] inside rows of `stride` elements, heads `head_stride` apart, from element `first` on.
static struct loam_tensor head_view(struct loam_tensor rows, int64_t first, int64_t count, int64_t head_dim,
                                    int64_t head_stride)
{
    char *data = rows.data;
    struct loam_tensor view = loam_tensor_3d(data + (size_t)first * loam_dtype_size(rows.dtype), rows.dtype,
                                             rows.shape[0], count, head_dim);
    view.stride[0] = rows.stride[0];
    view.stride[1] = head_stride;
    return view;
}

struct loam_heads loam_pass_heads(struct loam_pass *pass)
{
    const struct loam_config *config = &pass->model->config;
    int64_t d = config->head_dim;
    struct loam_heads heads = {0};
    if (config->family->fused_qkv) { // [T, Q, 3, D]
        heads.fused = loam_pass_rows(pass, 3 * config->heads * d);
        heads.q = head_view(heads.fused, 0, config->heads, d, 3 * d);
        heads.k = head_view(heads.fused, d, config->heads, d, 3 * d);
        heads.v = head_view(heads.fused, 2 * d, config->heads, d, 3 * d);
    } else {
        heads.q = head_view(loam_pass_rows(pass, config->heads * d), 0, config->heads, d, d);
        heads.k = head_view(loam_pass_rows(pass, config->kv_heads * d), 0, config->kv_heads, d, d);
        heads.v = head_view(loam_pass_rows(pass, config->kv_heads * d), 0, config->kv_heads, d, d);
    }
    return heads;
}

bool loam_norm_trained(const struct loam_norm *norm)
{
    return norm->w != NULL && norm->w->grad.data != NULL;
}

bool loam_linear_trained(const struct loam_linear *linear)
{
    return linear->weight != NULL && (linear->lora.da.data != NULL || linear->weight->grad.data != NULL);
}

void loam_decoder_norm(struct loam_pass *pass, const struct loam_norm *norm, struct loam_tensor x,
                       struct loam_norm_stats stats, struct loam_tensor y)
{
    const struct loam_config *config = &pass->model->config;
    if (config->family->norm == LOAM_LAYERNORM)
        loam_layernorm_forward(pass->stream,
                               &(struct loam_layernorm_forward_args){.x = x,
                                                                     .w = norm->w->value,
                                                                     .b = norm->b->value,
                                                                     .eps = (float)config->norm_eps,
                                                                     .y = y,
                                                                     .mean = stats.mean,
                                                                     .rstd = stats.rstd});
    else
        loam_rmsnorm_forward(
            pass->stream,
            &(struct loam_rmsnorm_forward_args){
                .x = x, .w = norm->w->value, .eps = (float)config->norm_eps, .y = y, .rstd = stats.rstd});
}

struct loam_dropout loam_pass_dropout(const struct loam_pass *pass, const struct loam_lora_slot *lora)
{
    return (struct loam_dropout){.p = pass->gradients ? lora->dropout : 0.0f,
                                 .seed = pass->seed,
                                 .stream = loam_rng_stream(LOAM_RNG_DROPOUT, lora->index),
                                 .counter = pass->dropout_counter << 32};
}

// y = x WT + bias + residual, then the adapter's part on top: a fresh adapter (B = 0) leaves every bit as it
// is.
static void linear_forward(struct loam_pass *pass, const struct loam_linear *linear, struct loam_tensor x,
                           struct loam_tensor residual, struct loam_tensor t, struct loam_tensor y)
{
    struct loam_linear_forward_args args = {
        .x = x, .w = {linear->weight->value}, .residual = residual, .y = y};
    if (linear->bias != NULL) args.bias = linear->bias->value;
    loam_linear_forward(pass->stream, &args);

    const struct loam_lora_slot *lora = &linear->lora;
    if (lora->rank == 0) return;
    loam_lora_forward(pass->stream, &(struct loam_lora_forward_args){.x = x,
                                                                     .a = lora->a,
                                                                     .b = lora->b,
                                                                     .scale = lora->scale,
                                                                     .dropout = loam_pass_dropout(pass, lora),
                                                                     .t = t,
                                                                     .y = y});
}

// A 3-D view of heads as the rows [T, heads D] that a projection writes.
static struct loam_tensor head_rows(struct loam_tensor heads)
{
    return loam_tensor_2d(heads.data, heads.dtype, heads.shape[0], heads.shape[1] * heads.shape[2]);
}

static void project_heads(struct loam_pass *pass, const struct loam_layer *layer,
                          struct loam_layer_state *state)
{
    struct loam_tensor none = {0};
    if (pass->model->config.family->fused_qkv) {
        linear_forward(pass, &layer->linears[LOAM_QKV], state->n1, none, state->t[LOAM_QKV],
                       state->heads.fused);
    } else {
        linear_forward(pass, &layer->linears[LOAM_Q], state->n1, none, state->t[LOAM_Q],
                       head_rows(state->heads.q));
        linear_forward(pass, &layer->linears[LOAM_K], state->n1, none, state->t[LOAM_K],
                       head_rows(state->heads.k));
        linear_forward(pass, &layer->linears[LOAM_V], state->n1, none, state->t[LOAM_V],
                       head_rows(state->heads.v));
    }
    if (pass->rope.data == NULL) return;
    loam_rope(pass->stream, &(struct loam_rope_args){.x = state->heads.q, .table = pass->rope});
    loam_rope(pass->stream, &(struct loam_rope_args){.x = state->heads.k, .table = pass->rope});
}

// Appends the new keys or values to a layer's cache and returns all of them, [length, G, D].
static struct loam_tensor through_cache(struct loam_pass *pass, struct loam_tensor x,
                                        const struct loam_tensor *cache)
{
    int32_t length = pass->decoder->cache_length;
    loam_kv_append(pass->stream, &(struct loam_kv_append_args){.x = x, .cache = *cache, .first = length});
    return loam_tensor_rows(cache, 0, length + pass->tokens);
}

static void attend(struct loam_pass *pass, int64_t index, struct loam_layer_state *state)
{
    const struct loam_config *config = &pass->model->config;
    struct loam_tensor k = state->heads.k, v = state->heads.v;
    if (pass->use_cache) {
        k = through_cache(pass, k, &pass->decoder->cache_k[index]);
        v = through_cache(pass, v, &pass->decoder->cache_v[index]);
    }
    loam_attention_forward(pass->stream,
                           &(struct loam_attention_forward_args){
                               .q = state->heads.q,
                               .k = k,
                               .v = v,
                               .shape = pass->attention,
                               .out = loam_tensor_3d(state->attn.data, state->attn.dtype, pass->tokens,
                                                     config->heads, config->head_dim),
                               .lse = state->lse});
}

static void mlp_forward(struct loam_pass *pass, const struct loam_layer *layer,
                        struct loam_layer_state *state, struct loam_tensor out)
{
    const struct loam_family *family = pass->model->config.family;
    struct loam_tensor none = {0};
    linear_forward(pass, &layer->linears[LOAM_UP], state->n2, none, state->t[LOAM_UP], state->pre);
    if (family->gated_mlp) {
        linear_forward(pass, &layer->linears[LOAM_GATE], state->n2, none, state->t[LOAM_GATE], state->gate);
        loam_gated_activation_forward(
            pass->stream,
            &(struct loam_gated_activation_forward_args){
                .kind = family->activation, .gate = state->gate, .up = state->pre, .y = state->act});
    } else {
        loam_activation_forward(pass->stream,
                                &(struct loam_activation_forward_args){
                                    .kind = family->activation, .x = state->pre, .y = state->act});
    }
    linear_forward(pass, &layer->linears[LOAM_DOWN], state->act, state->mid, state->t[LOAM_DOWN], out);
}

static bool any_trained(const struct loam_layer *layer, const enum loam_linear_slot *slots, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (loam_linear_trained(&layer->linears[slots[i]])) return true;
    return false;
}

static bool attention_input_kept(const struct loam_layer *layer)
{
    static const enum loam_linear_slot slots[] = {LOAM_QKV, LOAM_Q, LOAM_K, LOAM_V};
    return any_trained(layer, slots, sizeof slots / sizeof slots[0]);
}

static bool mlp_input_kept(const struct loam_layer *layer)
{
    static const enum loam_linear_slot slots[] = {LOAM_GATE, LOAM_UP};
    return any_trained(layer, slots, sizeof slots / sizeof slots[0]);
}

static void allocate_adapter_states(struct loam_pass *pass, const struct loam_layer *layer,
                                    struct loam_layer_state *state)
{
    for (int slot = 0; slot < LOAM_LINEAR_SLOTS; slot++)
        if (layer->linears[slot].lora.rank > 0)
            state->t[slot] = loam_pass_f32(pass, pass->tokens, layer->linears[slot].lora.rank);
}

// Memory for one layer. What the backward reads comes first and stays (the caller releases it after the
// layer's backward); `temporaries` marks where the rest begins.
static void allocate_layer(struct loam_pass *pass, const struct loam_layer *layer, bool kept,
                           struct loam_layer_state *state, struct loam_tensor *out, size_t *temporaries)
{
    const struct loam_config *config = &pass->model->config;
    *state = (struct loam_layer_state){.mark = loam_arena_mark(pass->arena), .x = pass->x};
    *temporaries = state->mark;
    bool keep_n1 = kept && attention_input_kept(layer);
    bool keep_n2 = kept && mlp_input_kept(layer);
    bool keep_act = kept && loam_linear_trained(&layer->linears[LOAM_DOWN]);

    *out = kept ? loam_pass_rows(pass, config->hidden)
                : pass->x; // without a backward the stream is updated in place
    state->mid = kept ? loam_pass_rows(pass, config->hidden) : pass->x;
    state->stats1 = loam_pass_norm_stats(pass, pass->tokens);
    state->stats2 = loam_pass_norm_stats(pass, pass->tokens);
    allocate_adapter_states(pass, layer, state);
    state->heads = loam_pass_heads(pass);
    state->lse = loam_pass_f32(pass, config->heads, pass->tokens);
    state->attn = loam_pass_rows(pass, config->heads * config->head_dim);
    state->pre = loam_pass_rows(pass, config->inner);
    if (config->family->gated_mlp) state->gate = loam_pass_rows(pass, config->inner);
    if (keep_n1) state->n1 = loam_pass_rows(pass, config->hidden);
    if (keep_n2) state->n2 = loam_pass_rows(pass, config->hidden);
    if (keep_act) state->act = loam_pass_rows(pass, config->inner);
    if (kept) *temporaries = loam_arena_mark(pass->arena);
    if (!keep_n1) state->n1 = loam_pass_rows(pass, config->hidden);
    if (!keep_n2)
        state->n2 = keep_n1 ? loam_pass_rows(pass, config->hidden) : state->n1; // n1 is done with by then
    if (!keep_act) state->act = loam_pass_rows(pass, config->inner);
}

static void layer_forward(struct loam_pass *pass, int64_t index)
{
    const struct loam_layer *layer = &pass->model->layers[index];
    struct loam_layer_state *state = &pass->decoder->layers[index];
    struct loam_tensor out;
    size_t temporaries;
    bool kept = pass->gradients && index >= pass->decoder->first_trained;
    allocate_layer(pass, layer, kept, state, &out, &temporaries);

    loam_decoder_norm(pass, &layer->norms[LOAM_NORM_ATTENTION], state->x, state->stats1, state->n1);
    project_heads(pass, layer, state);
    attend(pass, index, state);
    linear_forward(pass, &layer->linears[LOAM_O], state->attn, state->x, state->t[LOAM_O], state->mid);

    loam_decoder_norm(pass, &layer->norms[LOAM_NORM_MLP], state->mid, state->stats2, state->n2);
    mlp_forward(pass, layer, state, out);
    pass->x = out;
    loam_arena_release(pass->arena, temporaries);
}

static void embed(struct loam_pass *pass)
{
    const struct loam_model *model = pass->model;
    pass->x = loam_pass_rows(pass, model->config.hidden);
    pass->embedded = model->embedding_norm.w == NULL ? pass->x : loam_pass_rows(pass, model->config.hidden);
    loam_embedding_forward(pass->stream,
                           &(struct loam_embedding_forward_args){
                               .ids = pass->ids, .table = model->embedding->value, .y = pass->embedded});
    if (model->embedding_norm.w == NULL) return;
    pass->embedded_stats = loam_pass_norm_stats(pass, pass->tokens);
    loam_decoder_norm(pass, &model->embedding_norm, pass->embedded, pass->embedded_stats, pass->x);
}

void loam_decoder_forward(struct loam_pass *pass)
{
    const struct loam_model *model = pass->model;
    if (model->rope_frequencies.data != NULL) {
        pass->rope = loam_pass_f32(pass, pass->tokens, model->config.head_dim);
        loam_rope_table(pass->stream, &(struct loam_rope_table_args){.positions = pass->positions,
                                                                     .frequencies = model->rope_frequencies,
                                                                     .table = pass->rope});
    }
    embed(pass);
    for (int64_t index = 0; index < model->config.layers; index++)
        layer_forward(pass, index);
}
