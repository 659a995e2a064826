// The forward of the decoder: op by op, in the order of the model.
#include "model/linear.h"

static struct loam_tensor rows_of(struct loam_pass *pass, int64_t rows, int64_t columns)
{
    size_t bytes = (size_t)(rows * columns) * loam_dtype_size(pass->model->dtype);
    return loam_tensor_2d(loam_arena_alloc(pass->arena, bytes), pass->model->dtype, rows, columns);
}

struct loam_tensor loam_pass_rows(struct loam_pass *pass, int64_t columns)
{
    return rows_of(pass, pass->tokens, columns);
}

struct loam_tensor loam_pass_rows_and_zeros(struct loam_pass *pass, int64_t rows, int64_t columns)
{
    struct loam_tensor all = rows_of(pass, rows + 1, columns);
    struct loam_tensor zeros = loam_tensor_rows(&all, rows, 1);
    if (zeros.data != NULL) loam_zero(pass->stream, zeros.data, loam_tensor_bytes(&zeros));
    return all;
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

struct loam_tensor loam_decoder_gradient(const struct loam_decoder *decoder,
                                         const struct loam_parameter *parameter)
{
    if (parameter == NULL || decoder->limits.gradients == NULL) return (struct loam_tensor){0};
    return decoder->limits.gradients[parameter - decoder->model->parameters];
}

struct loam_tensor loam_pass_gradient(const struct loam_pass *pass, const struct loam_parameter *parameter)
{
    return loam_decoder_gradient(pass->decoder, parameter);
}

bool loam_norm_trained(const struct loam_decoder *decoder, const struct loam_norm *norm)
{
    return loam_decoder_gradient(decoder, norm->w).data != NULL ||
           loam_decoder_gradient(decoder, norm->b).data != NULL;
}

void loam_decoder_norm(struct loam_pass *pass, const struct loam_norm *norm, struct loam_tensor x,
                       struct loam_norm_stats stats, struct loam_tensor y)
{
    const struct loam_config *config = &pass->model->config;
    if (config->family->norm == LOAM_LAYERNORM)
        loam_layernorm_forward(pass->stream,
                               &(struct loam_layernorm_forward_args){
                                   .x = x,
                                   .w = norm->w->value,
                                   .b = norm->b != NULL ? norm->b->value : (struct loam_tensor){0},
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

struct loam_dropout loam_pass_dropout(const struct loam_pass *pass, const struct loam_lora_slot *slot,
                                      int64_t element)
{
    return (struct loam_dropout){.p = pass->gradients ? slot->dropout : 0.0f,
                                 .seed = pass->seed,
                                 .stream = loam_rng_stream(LOAM_RNG_DROPOUT, slot->index),
                                 .counter = (pass->dropout_counter << 32) + (uint64_t)element};
}

// A 3-D view of heads as the rows [T, heads D] that a projection writes.
static struct loam_tensor head_rows(struct loam_tensor heads)
{
    return loam_tensor_2d(heads.data, heads.dtype, heads.shape[0], heads.shape[1] * heads.shape[2]);
}

static void project_heads(struct loam_pass *pass, const struct loam_layer *layer, struct loam_tensor n1,
                          struct loam_layer_state *state)
{
    struct loam_tensor none = {0};
    if (pass->model->config.family->fused_qkv) {
        loam_linear_run(pass, &layer->linears[LOAM_QKV], n1, none, state->t[LOAM_QKV], state->heads.fused);
    } else {
        loam_linear_run(pass, &layer->linears[LOAM_Q], n1, none, state->t[LOAM_Q], head_rows(state->heads.q));
        loam_linear_run(pass, &layer->linears[LOAM_K], n1, none, state->t[LOAM_K], head_rows(state->heads.k));
        loam_linear_run(pass, &layer->linears[LOAM_V], n1, none, state->t[LOAM_V], head_rows(state->heads.v));
    }
    if (pass->rope.data == NULL) return;
    loam_rope(pass->stream, &(struct loam_rope_args){.x = state->heads.q, .table = pass->rope});
    loam_rope(pass->stream, &(struct loam_rope_args){.x = state->heads.k, .table = pass->rope});
}

bool loam_layer_drops_rows(const struct loam_pass *pass, int64_t index)
{
    return pass->kept.rows.shape[0] > 0 && index == pass->model->config.layers - 1;
}

void loam_pass_take_rows(struct loam_pass *pass, struct loam_tensor rows, struct loam_tensor x,
                         struct loam_tensor y)
{
    loam_gather_rows(pass->stream, &(struct loam_gather_rows_args){.x = x, .rows = rows, .y = y});
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

static void allocate_adapter_states(struct loam_pass *pass, const struct loam_layer *layer,
                                    const enum loam_linear_slot *slots, size_t count,
                                    struct loam_layer_state *state)
{
    for (size_t i = 0; i < count; i++)
        state->t[slots[i]] = loam_linear_updates(pass, &layer->linears[slots[i]]);
}

static void allocate_attention(struct loam_pass *pass, const struct loam_layer *layer,
                               struct loam_layer_state *state)
{
    static const enum loam_linear_slot slots[] = {LOAM_QKV, LOAM_Q, LOAM_K, LOAM_V, LOAM_O};
    const struct loam_config *config = &pass->model->config;
    state->stats1 = loam_pass_norm_stats(pass, pass->tokens);
    allocate_adapter_states(pass, layer, slots, sizeof slots / sizeof slots[0], state);
    state->heads = loam_pass_heads(pass);
    state->lse = loam_pass_f32(pass, config->heads, pass->tokens);
    state->attn = loam_pass_rows(pass, config->heads * config->head_dim);
}

// The rows of the attention's output that go on; the same of the stream, to state->mid.
static void drop_rows(struct loam_pass *pass, struct loam_layer_state *state)
{
    const struct loam_tensor rows = pass->kept.rows;
    loam_pass_use_kept(pass, true);
    state->to_stream = loam_pass_rows(pass, state->attn.shape[1]);
    loam_pass_take_rows(pass, rows, state->attn, state->to_stream);
    loam_pass_take_rows(pass, rows, state->x, state->mid);
}

void loam_layer_attention(struct loam_pass *pass, int64_t index, struct loam_layer_state *state)
{
    const struct loam_layer *layer = &pass->model->layers[index];
    allocate_attention(pass, layer, state);
    size_t mark = loam_arena_mark(pass->arena);
    struct loam_tensor n1 = loam_pass_rows(pass, pass->model->config.hidden);
    loam_decoder_norm(pass, &layer->norms[LOAM_NORM_ATTENTION], state->x, state->stats1, n1);
    project_heads(pass, layer, n1, state);
    loam_arena_release(pass->arena, mark);
    attend(pass, index, state);
    const bool drops = loam_layer_drops_rows(pass, index);
    state->to_stream = state->attn;
    if (drops) drop_rows(pass, state);
    loam_linear_run(pass, &layer->linears[LOAM_O], state->to_stream, drops ? state->mid : state->x,
                    state->t[LOAM_O], state->mid);
}

static void allocate_mlp(struct loam_pass *pass, const struct loam_layer *layer,
                         struct loam_layer_state *state)
{
    static const enum loam_linear_slot slots[] = {LOAM_GATE, LOAM_UP};
    const struct loam_config *config = &pass->model->config;
    state->stats2 = loam_pass_norm_stats(pass, pass->tokens);
    allocate_adapter_states(pass, layer, slots, sizeof slots / sizeof slots[0], state);
    state->pre = loam_pass_rows(pass, config->inner);
    if (config->family->gated_mlp) state->gate = loam_pass_rows(pass, config->inner);
}

void loam_layer_mlp_inner(struct loam_pass *pass, int64_t index, struct loam_layer_state *state)
{
    const struct loam_layer *layer = &pass->model->layers[index];
    struct loam_tensor none = {0};
    allocate_mlp(pass, layer, state);
    size_t mark = loam_arena_mark(pass->arena);
    struct loam_tensor n2 = loam_pass_rows(pass, pass->model->config.hidden);
    loam_decoder_norm(pass, &layer->norms[LOAM_NORM_MLP], state->mid, state->stats2, n2);
    loam_linear_run(pass, &layer->linears[LOAM_UP], n2, none, state->t[LOAM_UP], state->pre);
    if (pass->model->config.family->gated_mlp)
        loam_linear_run(pass, &layer->linears[LOAM_GATE], n2, none, state->t[LOAM_GATE], state->gate);
    loam_arena_release(pass->arena, mark);
}

void loam_layer_activation(struct loam_pass *pass, const struct loam_layer_state *state, struct loam_tensor y)
{
    const struct loam_family *family = pass->model->config.family;
    if (family->gated_mlp)
        loam_gated_activation_forward(
            pass->stream, &(struct loam_gated_activation_forward_args){
                              .kind = family->activation, .gate = state->gate, .up = state->pre, .y = y});
    else
        loam_activation_forward(pass->stream, &(struct loam_activation_forward_args){
                                                  .kind = family->activation, .x = state->pre, .y = y});
}

static void mlp_forward(struct loam_pass *pass, int64_t index, struct loam_layer_state *state,
                        struct loam_tensor out)
{
    const struct loam_linear *down = &pass->model->layers[index].linears[LOAM_DOWN];
    loam_layer_mlp_inner(pass, index, state);
    size_t mark = loam_arena_mark(pass->arena);
    struct loam_tensor act = loam_pass_rows(pass, pass->model->config.inner);
    loam_layer_activation(pass, state, act);
    loam_linear_run(pass, down, act, state->mid, state->t[LOAM_DOWN], out);
    loam_arena_release(pass->arena, mark);
}

enum loam_checkpointing loam_layer_checkpointing(const struct loam_pass *pass, int64_t index)
{
    bool top = index == pass->model->config.layers - 1;
    return top ? LOAM_CHECKPOINT_NONE : pass->decoder->limits.checkpointing;
}

// What stays until the layer's backward comes first in the arena; what does not is given back at the end of
// each half.
static void layer_forward(struct loam_pass *pass, int64_t index)
{
    static const enum loam_linear_slot down = LOAM_DOWN;
    struct loam_layer_state *state = &pass->decoder->layers[index];
    int64_t hidden = pass->model->config.hidden;
    bool backward = pass->gradients && index >= pass->decoder->first_trained;
    enum loam_checkpointing level = loam_layer_checkpointing(pass, index);
    bool keep_attention = backward && level < LOAM_CHECKPOINT_BLOCK;
    bool keep_mlp = backward && level < LOAM_CHECKPOINT_MLP;

    *state = (struct loam_layer_state){.mark = loam_arena_mark(pass->arena), .x = pass->x};
    // Without a backward the stream is updated in place. The down projection is never run again, so its xAT
    // stays.
    const bool drops = loam_layer_drops_rows(pass, index);
    if (drops) loam_pass_use_kept(pass, true);
    struct loam_tensor out = backward || drops ? loam_pass_rows(pass, hidden) : pass->x;
    allocate_adapter_states(pass, &pass->model->layers[index], &down, 1, state);
    size_t before_mid = loam_arena_mark(pass->arena);
    state->mid = backward ? loam_pass_rows(pass, hidden) : out;
    if (drops) loam_pass_use_kept(pass, false);
    size_t before_attention = loam_arena_mark(pass->arena);
    loam_layer_attention(pass, index, state);
    if (!keep_attention) loam_arena_release(pass->arena, before_attention);
    size_t before_mlp = loam_arena_mark(pass->arena);
    mlp_forward(pass, index, state, out);
    if (!keep_mlp) loam_arena_release(pass->arena, keep_attention ? before_mlp : before_mid);
    pass->x = out;
    if (!backward && !drops) loam_arena_release(pass->arena, state->mark);
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
