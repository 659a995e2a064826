// The body of an attention branch: heads from linears, RoPE, attention, and the output linear's backward.
#include "model/layer.h"

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

static struct loam_tensor heads_of(const struct loam_config *config, const struct loam_head_layout *layout,
                                   struct loam_tensor rows, int64_t count)
{
    const int64_t d = config->head_dim;
    const int64_t first =
        layout->first + layout->first_queries * config->heads + layout->first_keys * config->kv_heads;
    return head_view(rows, first * d, count, d, layout->stride * d);
}

static void layouts_of(const struct loam_pass *pass, const struct loam_head_layout *layouts[3])
{
    const struct loam_family *family = pass->model->config.family;
    layouts[0] = &family->query;
    layouts[1] = &family->key;
    layouts[2] = &family->value;
}

// The first of query, key and value (0, 1, 2) that is written by the same linear as the i-th.
static int first_of_linear(const struct loam_head_layout *const layouts[3], int i)
{
    int first = 0;
    while (layouts[first]->linear != layouts[i]->linear)
        first++;
    return first;
}

static const struct loam_norm *head_norm(const struct loam_branch_run *run, int i)
{
    const struct loam_norm *norm = i == 2 ? NULL : &run->layer->norms[i == 0 ? LOAM_NORM_Q : LOAM_NORM_K];
    return norm == NULL || norm->w == NULL ? NULL : norm;
}

// Views of the heads over memory from the arena; also used for their gradients. Heads that lie by groups
// are copied, and those with a norm are normalised, into memory of their own; the gradient of a norm's output
// becomes that of its input in place.
static struct loam_heads allocate_heads(const struct loam_branch_run *run, bool gradients)
{
    const struct loam_config *config = &run->pass->model->config;
    const bool by_groups = config->family->heads_by_groups;
    const struct loam_head_layout *layouts[3];
    struct loam_heads heads = {0};
    struct loam_tensor *views[] = {&heads.q, &heads.k, &heads.v};
    layouts_of(run->pass, layouts);
    for (int i = 0; i < 3; i++) {
        const int64_t count = i == 0 ? config->heads : config->kv_heads;
        const int first = first_of_linear(layouts, i);
        if (first == i)
            heads.rows[i] = loam_pass_rows(run->pass, run->layer->linears[layouts[i]->linear].out);
        if (by_groups || (!gradients && head_norm(run, i) != NULL)) {
            const struct loam_tensor rows = loam_pass_rows(run->pass, count * config->head_dim);
            *views[i] = head_view(rows, 0, count, config->head_dim, config->head_dim);
        } else {
            *views[i] = heads_of(config, layouts[i], heads.rows[first], count);
        }
    }
    return heads;
}

static void allocate(const struct loam_branch_run *run)
{
    const struct loam_config *config = &run->pass->model->config;
    struct loam_branch_state *state = run->state;
    state->heads = allocate_heads(run, false);
    for (int i = 0; i < 2; i++) {
        const struct loam_norm *norm = head_norm(run, i);
        const int64_t heads = i == 0 ? config->heads : config->kv_heads;
        if (norm != NULL)
            state->head_norms[i] = loam_pass_norm_stats(
                run->pass, norm, run->pass->tokens * heads * config->head_dim / norm->w->value.shape[0]);
    }
    state->lse = loam_pass_f32(run->pass, config->heads, run->pass->tokens);
    state->attn = loam_pass_rows(run->pass, config->heads * config->head_dim);
}

// ---- heads that lie by groups ----

// [T G, count D] inside rows [T, G (Q / G + 2) D]: heads [first, first + count) of every group.
static struct loam_tensor group_view(const struct loam_config *config, struct loam_tensor rows, int64_t first,
                                     int64_t count)
{
    const int64_t d = config->head_dim, group = (config->heads / config->kv_heads + 2) * d;
    char *data = rows.data;
    struct loam_tensor view =
        loam_tensor_2d(data == NULL ? NULL : data + (size_t)(first * d) * loam_dtype_size(rows.dtype),
                       rows.dtype, rows.shape[0] * config->kv_heads, count * d);
    view.stride[0] = group;
    return view;
}

// Copies between the rows of a linear, which lie by groups, and the heads.
static void copy_groups(const struct loam_branch_run *run, const struct loam_heads *heads, bool to_heads)
{
    const struct loam_config *config = &run->pass->model->config;
    const int64_t queries = config->heads / config->kv_heads;
    const struct loam_tensor *parts[] = {&heads->q, &heads->k, &heads->v};
    if (!config->family->heads_by_groups) return;
    for (int i = 0; i < 3; i++) {
        const int64_t count = i == 0 ? queries : 1, first = i == 0 ? 0 : queries + i - 1;
        const struct loam_tensor grouped = group_view(config, heads->rows[0], first, count);
        const struct loam_tensor plain =
            loam_tensor_2d(parts[i]->data, grouped.dtype, grouped.shape[0], grouped.shape[1]);
        loam_add_scaled(run->pass->stream, &(struct loam_add_scaled_args){.x = to_heads ? grouped : plain,
                                                                          .factor = 1.0f,
                                                                          .y = to_heads ? plain : grouped});
    }
}

// ---- norms of query and key ----

// The rows over which a norm goes: [T heads, D], or [T, heads D].
static struct loam_tensor norm_rows(const struct loam_norm *norm, struct loam_tensor heads)
{
    const int64_t columns = norm->w->value.shape[0];
    const int64_t count = heads.shape[0] * heads.shape[1] * heads.shape[2];
    return loam_tensor_2d(heads.data, heads.dtype, count / columns, columns);
}

static struct loam_tensor *head_of(struct loam_heads *heads, int i)
{
    return i == 0 ? &heads->q : &heads->k;
}

static void normalise_heads(const struct loam_branch_run *run)
{
    struct loam_branch_state *state = run->state;
    for (int i = 0; i < 2; i++) {
        const struct loam_norm *norm = head_norm(run, i);
        if (norm == NULL) continue;
        const struct loam_tensor y = norm_rows(norm, *head_of(&state->heads, i));
        const struct loam_tensor x =
            loam_tensor_2d(state->heads.rows[i].data, y.dtype, y.shape[0], y.shape[1]);
        loam_decoder_norm(run->pass, norm, x, state->head_norms[i], y);
    }
}

// From the gradients of the heads to those of what the linears wrote, in place.
static void normalise_heads_backward(const struct loam_branch_run *run, struct loam_heads *gradients)
{
    struct loam_branch_state *state = run->state;
    for (int i = 0; i < 2; i++) {
        const struct loam_norm *norm = head_norm(run, i);
        if (norm == NULL) continue;
        const struct loam_tensor dy = norm_rows(norm, *head_of(gradients, i));
        const struct loam_tensor x =
            loam_tensor_2d(state->heads.rows[i].data, dy.dtype, dy.shape[0], dy.shape[1]);
        loam_decoder_norm_backward(run->pass, norm, dy, x, state->head_norms[i], dy, false);
    }
}

// ---- forward ----

// The elements of each head that RoPE turns, [T, heads, R].
static struct loam_tensor rotated_part(const struct loam_tensor *heads, const struct loam_tensor *table)
{
    struct loam_tensor part = *heads;
    part.shape[2] = table->shape[1];
    return part;
}

// Rotates query and key by the layer's RoPE table; `inverse` is the backward of that.
static void rotate(const struct loam_branch_run *run, const struct loam_heads *heads, bool inverse)
{
    const struct loam_pass *pass = run->pass;
    const struct loam_config *config = &pass->model->config;
    const int index = loam_config_layer_kind(config, run->index)->rope;
    if (index == LOAM_NO_ROPE) return;
    const struct loam_tensor *table = &pass->ropes[index];
    const struct loam_tensor *query =
        pass->query_ropes[index].data != NULL ? &pass->query_ropes[index] : table;
    const struct loam_tensor *tables[] = {query, table}, *parts[] = {&heads->q, &heads->k};
    struct loam_rope_args args[2];
    for (int i = 0; i < 2; i++)
        args[i] = (struct loam_rope_args){.x = rotated_part(parts[i], tables[i]),
                                          .table = *tables[i],
                                          .interleaved = config->family->rope_interleaved,
                                          .inverse = inverse};
    loam_ropes(pass->stream, &(struct loam_ropes_args){.query = args[0], .key = args[1]});
}

// The linears of the heads, each once; their number. `rows`: what they write, or its gradients.
static int outputs_of(const struct loam_branch_run *run, const struct loam_tensor *rows,
                      struct loam_linear_output outputs[3])
{
    const struct loam_head_layout *layouts[3];
    int count = 0;
    layouts_of(run->pass, layouts);
    for (int i = 0; i < 3; i++) {
        const enum loam_linear_slot slot = layouts[i]->linear;
        if (first_of_linear(layouts, i) == i)
            outputs[count++] =
                (struct loam_linear_output){&run->layer->linears[slot], run->layer_state->t[slot], rows[i]};
    }
    return count;
}

static void project(const struct loam_branch_run *run, struct loam_tensor n)
{
    struct loam_linear_output outputs[3];
    const int count = outputs_of(run, run->state->heads.rows, outputs);
    loam_linears_run(run->pass, n, outputs, count);
    copy_groups(run, &run->state->heads, true);
    normalise_heads(run);
    rotate(run, &run->state->heads, false);
}

// [tokens, QD] as heads.
static struct loam_tensor as_heads(const struct loam_branch_run *run, struct loam_tensor rows)
{
    const struct loam_config *config = &run->pass->model->config;
    return loam_tensor_3d(rows.data, rows.dtype, rows.shape[0], config->heads, config->head_dim);
}

// Appends the new keys or values [T, G, D] to those that a layer's cache has of each sequence.
static void through_cache(struct loam_pass *pass, struct loam_tensor x, const struct loam_tensor *cache)
{
    for (int64_t s = 0; s < pass->sequences; s++) {
        const int32_t first = pass->host_offsets[s], count = pass->host_offsets[s + 1] - first;
        if (count == 0) continue; // in a plan all rows are those of one sequence
        loam_kv_append(pass->stream, &(struct loam_kv_append_args){.x = loam_tensor_rows(&x, first, count),
                                                                   .cache = *cache,
                                                                   .first = pass->cache_places[s]});
    }
}

// The shape of the pass with what the layer's kind sets.
static struct loam_attention_shape shape_of(const struct loam_branch_run *run)
{
    const struct loam_config *config = &run->pass->model->config;
    struct loam_attention_shape shape = run->pass->attention;
    shape.window = (int32_t)loam_config_layer_window(config, run->index);
    shape.pairs = run->pass->pairs[loam_config_layer_kind(config, run->index) - config->family->kinds];
    return shape;
}

static void attend(const struct loam_branch_run *run)
{
    struct loam_pass *pass = run->pass;
    struct loam_branch_state *state = run->state;
    struct loam_tensor k = state->heads.k, v = state->heads.v;
    if (pass->cache_places != NULL) {
        const struct loam_tensor cache_k = pass->decoder->cache_k[run->index],
                                 cache_v = pass->decoder->cache_v[run->index];
        through_cache(pass, k, &cache_k);
        through_cache(pass, v, &cache_v);
        k = loam_tensor_rows(&cache_k, 0, pass->cache_end);
        v = loam_tensor_rows(&cache_v, 0, pass->cache_end);
    }
    loam_attention_forward(pass->stream,
                           &(struct loam_attention_forward_args){.q = state->heads.q,
                                                                 .k = k,
                                                                 .v = v,
                                                                 .shape = shape_of(run),
                                                                 .out = as_heads(run, state->attn),
                                                                 .lse = state->lse});
    state->source = state->attn;
    if (!loam_branch_drops_rows(pass, run->index, run->row)) return;
    loam_pass_use_kept(pass, true);
    state->source = loam_pass_rows(pass, state->attn.shape[1]);
    loam_pass_take_rows(pass, pass->kept.rows, state->attn, state->source);
}

static struct loam_tensor source(const struct loam_branch_run *run)
{
    return run->state->source;
}

// ---- backward ----

// The gradients of all T rows from those of the R that were kept, zero elsewhere: of the attention's output,
// which is returned, and of the stream.
static struct loam_tensor spread_rows(const struct loam_branch_run *run, struct loam_tensor dsource)
{
    struct loam_pass *pass = run->pass;
    loam_pass_use_kept(pass, false);
    struct loam_tensor dattn = loam_pass_rows(pass, dsource.shape[1]);
    loam_pass_take_rows(pass, pass->kept.places, dsource, dattn);
    loam_pass_take_rows(pass, pass->kept.places, pass->kept.dx, run->target);
    return dattn;
}

// From dattn [T, QD] to the gradients of what the linears wrote; formulas at struct
// loam_attention_backward_args.
static void attend_backward(const struct loam_branch_run *run, struct loam_tensor dattn,
                            struct loam_heads *gradients)
{
    const struct loam_branch_state *state = run->state;
    loam_attention_backward(run->pass->stream,
                            &(struct loam_attention_backward_args){.q = state->heads.q,
                                                                   .k = state->heads.k,
                                                                   .v = state->heads.v,
                                                                   .shape = shape_of(run),
                                                                   .out = as_heads(run, state->attn),
                                                                   .lse = state->lse,
                                                                   .dout = as_heads(run, dattn),
                                                                   .dq = gradients->q,
                                                                   .dk = gradients->k,
                                                                   .dv = gradients->v});
    rotate(run, gradients, true);
    normalise_heads_backward(run, gradients);
    copy_groups(run, gradients, false);
}

// dn += sum over the linears of drows W, and through the norm to run->target.
static void project_backward(const struct loam_branch_run *run, const struct loam_heads *gradients)
{
    struct loam_linear_output outputs[3];
    const int count = outputs_of(run, gradients->rows, outputs);
    bool wanted = false;
    for (int i = 0; i < count; i++)
        wanted = wanted || loam_linear_reads_input(run->pass->decoder, outputs[i].linear);
    const struct loam_branch_input input = loam_branch_input_open(run, wanted);
    loam_linears_run_backward(run->pass, input.n, outputs, count, input.dn, input.accumulate);
    loam_branch_input_close(run, &input);
}

static bool head_norms_trained(const struct loam_branch_run *run)
{
    bool trained = false;
    for (int i = 0; i < 2; i++)
        trained = trained ||
                  (head_norm(run, i) != NULL && loam_norm_trained(run->pass->decoder, head_norm(run, i)));
    return trained;
}

static bool heads_trained(const struct loam_branch_run *run)
{
    const struct loam_head_layout *layouts[3];
    bool trained = head_norms_trained(run);
    layouts_of(run->pass, layouts);
    for (int i = 0; i < 3; i++)
        trained =
            trained || loam_linear_trained(run->pass->decoder, &run->layer->linears[layouts[i]->linear]);
    return trained;
}

// dsource = dy W_o, dy [T, H]; then through the attention, RoPE and the linears of the heads.
static void backward(const struct loam_branch_run *run, struct loam_tensor dy)
{
    struct loam_pass *pass = run->pass;
    const struct loam_config *config = &pass->model->config;
    const bool drops = loam_branch_drops_rows(pass, run->index, run->row);
    const bool through = run->through_input || heads_trained(run);
    const int64_t columns = config->heads * config->head_dim;
    struct loam_tensor dsource = {0};
    if (through)
        dsource =
            drops ? loam_pass_rows_and_zeros(pass, pass->tokens, columns) : loam_pass_rows(pass, columns);
    loam_linear_run_backward(pass, &run->layer->linears[LOAM_O], run->state->source,
                             run->layer_state->t[LOAM_O], dy, loam_tensor_rows(&dsource, 0, pass->tokens),
                             false);
    if (!through) return;
    const struct loam_tensor dattn = drops ? spread_rows(run, dsource) : dsource;
    struct loam_heads gradients = allocate_heads(run, true);
    attend_backward(run, dattn, &gradients);
    project_backward(run, &gradients);
}

const struct loam_body_table loam_attention_body = {.inner = {LOAM_QKV, LOAM_Q, LOAM_K, LOAM_V},
                                                    .inner_count = 4,
                                                    .norms = {LOAM_NORM_Q, LOAM_NORM_K},
                                                    .norm_count = 2,
                                                    .output = LOAM_O,
                                                    .allocate = allocate,
                                                    .project = project,
                                                    .mix = attend,
                                                    .source = source,
                                                    .backward = backward};
