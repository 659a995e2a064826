// From the ids to the residual stream and back: the embedding and the layers.
#include "model/layer.h"

// Frequencies of one sequence after another, [S, R/2], of a table that depends on their lengths. A dry pass
// takes the batch for one sequence.
static struct loam_tensor sequence_frequencies(struct loam_pass *pass, int table)
{
    const struct loam_config *config = &pass->model->config;
    const int64_t half = config->ropes[table].rotated / 2;
    float *host = pass->decoder->host_frequencies;
    const struct loam_tensor all = loam_pass_f32(pass, pass->sequences, half);
    for (int64_t s = 0; s < pass->sequences && !pass->stream->planning; s++) {
        const int32_t length = pass->host_lengths != NULL ? pass->host_lengths[s]
                                                          : pass->host_offsets[s + 1] - pass->host_offsets[s];
        loam_config_rope_frequencies(config, table, length, host + s * half);
    }
    if (all.data != NULL) loam_upload(pass->stream, all.data, host, loam_tensor_bytes(&all));
    return all;
}

static void make_rope_table(struct loam_pass *pass, int index, bool of_queries, struct loam_tensor table)
{
    const struct loam_model *model = pass->model;
    const struct loam_rope *rope = &model->config.ropes[index];
    const struct loam_tensor fixed = model->rope_frequencies[index];
    struct loam_rope_table_args args = {.positions = pass->positions,
                                        .frequencies = fixed,
                                        .factor = (float)rope->attention_factor,
                                        .query_beta = of_queries ? (float)rope->query_beta : 0.0f,
                                        .query_context = (int32_t)rope->original_positions,
                                        .table = table};
    if (!loam_config_rope_depends_on_length(&model->config, index)) {
        loam_rope_table(pass->stream, &args);
        return;
    }
    const struct loam_tensor all = sequence_frequencies(pass, index);
    const int64_t sequences = pass->stream->planning ? 1 : pass->sequences;
    for (int64_t s = 0; s < sequences; s++) {
        const int32_t first = pass->stream->planning ? 0 : pass->host_offsets[s];
        const int64_t end = pass->stream->planning ? pass->tokens : pass->host_offsets[s + 1];
        const struct loam_tensor row = loam_tensor_rows(&all, s, 1);
        args.positions = loam_tensor_rows(&pass->positions, first, end - first);
        args.frequencies = loam_tensor_1d(row.data, LOAM_F32, row.shape[1]);
        args.table = loam_tensor_rows(&table, first, end - first);
        loam_rope_table(pass->stream, &args);
    }
}

static void make_rope_tables(struct loam_pass *pass)
{
    const struct loam_config *config = &pass->model->config;
    for (int i = 0; i < config->family->rope_count; i++) {
        pass->ropes[i] = loam_pass_f32(pass, pass->tokens, config->ropes[i].rotated);
        make_rope_table(pass, i, false, pass->ropes[i]);
        if (config->ropes[i].query_beta == 0) continue;
        pass->query_ropes[i] = loam_pass_f32(pass, pass->tokens, config->ropes[i].rotated);
        make_rope_table(pass, i, true, pass->query_ropes[i]);
    }
}

// The factor of the embedding, rounded where the family rounds it to the model's dtype.
static float embedding_factor(const struct loam_model *model)
{
    const float factor = (float)model->config.embedding_factor;
    if (!model->config.family->rounds_embedding_factor || model->dtype == LOAM_F32) return factor;
    if (model->dtype == LOAM_F16) return loam_f16_to_f32(loam_f32_to_f16(factor));
    return loam_bf16_to_f32(loam_f32_to_bf16(factor));
}

// Row 0 of the table is that of position 0.
static struct loam_tensor position_rows(const struct loam_model *model, const struct loam_tensor *table)
{
    const int64_t first = model->config.family->position_offset;
    return loam_tensor_rows(table, first, table->shape[0] - first);
}

// x += positions[positions of the tokens]
static void add_positions(struct loam_pass *pass)
{
    const struct loam_model *model = pass->model;
    if (model->positions == NULL) return;
    const size_t mark = loam_arena_mark(pass->arena);
    const struct loam_tensor rows = loam_pass_rows(pass, model->config.hidden);
    const struct loam_tensor table = loam_pass_value(pass, model->positions);
    loam_embedding_forward(pass->stream,
                           &(struct loam_embedding_forward_args){
                               .ids = pass->positions, .table = position_rows(model, &table), .y = rows});
    loam_add_scaled(pass->stream, &(struct loam_add_scaled_args){
                                      .x = rows, .residual = pass->x, .factor = 1.0f, .y = pass->x});
    loam_arena_release(pass->arena, mark);
}

static const struct loam_lora_slot *embedding_slot(const struct loam_pass *pass,
                                                   const struct loam_segment *segment)
{
    return &segment->adapter->slots[pass->model->embedder.index];
}

static struct loam_tensor ids_of(const struct loam_pass *pass, const struct loam_segment *segment)
{
    return loam_tensor_rows(&pass->ids, segment->first, segment->rows);
}

// The norms of DoRA [H]: those that the slot keeps, or computed in memory from the arena.
static struct loam_tensor embedding_norms(struct loam_pass *pass, const struct loam_lora_slot *slot)
{
    const int64_t hidden = pass->model->config.hidden;
    if (slot->norms.data != NULL) return slot->norms;
    const struct loam_tensor norms = loam_tensor_1d(loam_pass_f32(pass, 1, hidden).data, LOAM_F32, hidden);
    loam_dora_norm(pass->stream,
                   &(struct loam_dora_norm_args){.w.tensor = loam_pass_value(pass, pass->model->embedding),
                                                 .a = slot->a,
                                                 .b = slot->b,
                                                 .scale = slot->scale,
                                                 .columns = true,
                                                 .norms = norms});
    return norms;
}

// u = scale B[ids] A, in memory from the arena and the dtype of `like` [T, H].
static struct loam_tensor embedding_update(struct loam_pass *pass, const struct loam_lora_slot *slot,
                                           struct loam_tensor ids, const struct loam_tensor *like)
{
    const struct loam_tensor u = loam_pass_tensor(pass, like->dtype, like->shape[0], like->shape[1]);
    if (u.data != NULL) loam_zero(pass->stream, u.data, loam_tensor_bytes(&u));
    loam_lora_embedding_forward(pass->stream,
                                &(struct loam_lora_embedding_forward_args){
                                    .ids = ids, .a = slot->a, .b = slot->b, .scale = slot->scale, .y = u});
    return u;
}

// y = z + factor ((g - 1) z + g u) with z = y: DoRA has a magnitude for each column of the embedding.
static void scale_embedding(struct loam_pass *pass, const struct loam_segment *segment,
                            struct loam_tensor ids, struct loam_tensor y)
{
    const struct loam_lora_slot *slot = embedding_slot(pass, segment);
    const size_t mark = loam_arena_mark(pass->arena);
    const struct loam_tensor norms = embedding_norms(pass, slot);
    loam_dora_forward(pass->stream,
                      &(struct loam_dora_forward_args){.z = y,
                                                       .u = embedding_update(pass, slot, ids, &y),
                                                       .magnitude = slot->magnitude,
                                                       .norms = norms,
                                                       .factor = segment->factor,
                                                       .whole = true,
                                                       .y = y});
    loam_arena_release(pass->arena, mark);
}

static void update_embedding(struct loam_pass *pass, const struct loam_segment *segment,
                             struct loam_tensor ids, struct loam_tensor y)
{
    const struct loam_lora_slot *slot = embedding_slot(pass, segment);
    if (slot->rank == 0) return;
    if (slot->dora) {
        scale_embedding(pass, segment, ids, y);
        return;
    }
    loam_lora_embedding_forward(
        pass->stream,
        &(struct loam_lora_embedding_forward_args){
            .ids = ids, .a = slot->a, .b = slot->b, .scale = segment->factor * slot->scale, .y = y});
}

// What the adapters change of the rows that were gathered.
static void adapt_embedding(struct loam_pass *pass, struct loam_tensor rows)
{
    for (size_t i = 0; i < pass->segment_count; i++) {
        const struct loam_segment *segment = &pass->segments[i];
        const struct loam_token_rows *tokens = &segment->adapter->tokens[LOAM_TOKENS_OF_EMBEDDING];
        const struct loam_tensor ids = ids_of(pass, segment),
                                 y = loam_tensor_rows(&rows, segment->first, segment->rows);
        if (segment->rows == 0) continue;
        update_embedding(pass, segment, ids, y);
        if (tokens->tokens.data != NULL)
            loam_replace_rows_forward(pass->stream,
                                      &(struct loam_replace_rows_forward_args){.ids = ids,
                                                                               .tokens = tokens->tokens,
                                                                               .rows = tokens->rows,
                                                                               .factor = segment->factor,
                                                                               .y = y});
    }
}

static void embed(struct loam_pass *pass)
{
    const struct loam_model *model = pass->model;
    const float factor = embedding_factor(model);
    pass->x = loam_pass_rows(pass, model->config.hidden);
    pass->normed_layer = -1;
    if (loam_family_shares_norm(model->config.family))
        pass->normed = loam_pass_rows(pass, model->config.hidden);
    if (loam_family_is_parallel(model->config.family))
        pass->spare = loam_pass_rows(pass, model->config.hidden);
    pass->embedded = model->embedding_norm.w == NULL ? pass->x : loam_pass_rows(pass, model->config.hidden);
    loam_embedding_forward(
        pass->stream, &(struct loam_embedding_forward_args){.ids = pass->ids,
                                                            .table = loam_pass_value(pass, model->embedding),
                                                            .y = pass->embedded});
    adapt_embedding(pass, pass->embedded);
    if (factor != 1.0f)
        loam_add_scaled(pass->stream, &(struct loam_add_scaled_args){
                                          .x = pass->embedded, .factor = factor, .y = pass->embedded});
    add_positions(pass);
    if (model->embedding_norm.w == NULL) return;
    pass->embedded_stats = loam_pass_norm_stats(pass, &model->embedding_norm, pass->tokens);
    loam_decoder_norm(pass, &model->embedding_norm, pass->embedded, pass->embedded_stats, pass->x);
}

void loam_decoder_forward(struct loam_pass *pass)
{
    make_rope_tables(pass);
    embed(pass);
    for (int64_t index = 0; index < pass->model->config.layers; index++) {
        loam_offload_turn(pass->model->offload, pass->stream, index, true);
        loam_layer_forward(pass, index);
    }
    // A backward begins with the layers that are there.
    if (!pass->gradients) loam_offload_begin(pass->model->offload, pass->stream);
}

// dpositions[p[t]] += dres[t], p the positions.
static void positions_backward(struct loam_pass *pass, struct loam_tensor dres)
{
    const struct loam_tensor all = loam_pass_gradient(pass, pass->model->positions);
    if (all.data == NULL) return;
    loam_embedding_backward(
        pass->stream, &(struct loam_embedding_backward_args){
                          .ids = pass->positions, .dy = dres, .dtable = position_rows(pass->model, &all)});
}

// dmagnitude, and dy of the gathered rows; returns that of the update. The gathered rows are read again.
static struct loam_tensor scale_backward(struct loam_pass *pass, const struct loam_segment *segment,
                                         struct loam_tensor ids, struct loam_tensor dy)
{
    const struct loam_lora_slot *slot = embedding_slot(pass, segment);
    const struct loam_tensor norms = embedding_norms(pass, slot);
    const struct loam_tensor z = loam_pass_tensor(pass, dy.dtype, dy.shape[0], dy.shape[1]);
    const struct loam_tensor u = embedding_update(pass, slot, ids, &dy);
    loam_embedding_forward(pass->stream,
                           &(struct loam_embedding_forward_args){
                               .ids = ids, .table = loam_pass_value(pass, pass->model->embedding), .y = z});
    loam_dora_backward(pass->stream, &(struct loam_dora_backward_args){.dy = dy,
                                                                       .z = z,
                                                                       .u = u,
                                                                       .magnitude = slot->magnitude,
                                                                       .norms = norms,
                                                                       .factor = segment->factor,
                                                                       .whole = true,
                                                                       .dmagnitude = slot->dmagnitude,
                                                                       .dz = dy,
                                                                       .du = u});
    return u;
}

static void update_backward(struct loam_pass *pass, const struct loam_segment *segment,
                            struct loam_tensor ids, struct loam_tensor dy)
{
    const struct loam_lora_slot *slot = embedding_slot(pass, segment);
    const size_t mark = loam_arena_mark(pass->arena);
    if (slot->da.data == NULL) return;
    loam_lora_embedding_backward(pass->stream,
                                 &(struct loam_lora_embedding_backward_args){
                                     .ids = ids,
                                     .dy = slot->dora ? scale_backward(pass, segment, ids, dy) : dy,
                                     .a = slot->a,
                                     .b = slot->b,
                                     .scale = slot->dora ? slot->scale : segment->factor * slot->scale,
                                     .da = slot->da,
                                     .db = slot->db});
    loam_arena_release(pass->arena, mark);
}

// The gradients of what the adapters changed. dy becomes that of the rows that were gathered.
static void adapted_backward(struct loam_pass *pass, struct loam_tensor dy)
{
    for (size_t i = pass->segment_count; i-- > 0;) {
        const struct loam_segment *segment = &pass->segments[i];
        const struct loam_token_rows *tokens = &segment->adapter->tokens[LOAM_TOKENS_OF_EMBEDDING];
        const struct loam_tensor ids = ids_of(pass, segment),
                                 rows = loam_tensor_rows(&dy, segment->first, segment->rows);
        if (segment->rows == 0) continue;
        if (tokens->tokens.data != NULL)
            loam_replace_rows_backward(pass->stream,
                                       &(struct loam_replace_rows_backward_args){.ids = ids,
                                                                                 .tokens = tokens->tokens,
                                                                                 .factor = segment->factor,
                                                                                 .drows = tokens->drows,
                                                                                 .dy = rows});
        update_backward(pass, segment, ids, rows);
    }
}

// dtable[ids[t]] += factor dres[t], after the backward of the embedding norm. dres [T, H].
static void embedding_backward(struct loam_pass *pass, struct loam_tensor dres)
{
    const struct loam_model *model = pass->model;
    if (model->embedding_norm.w != NULL)
        loam_decoder_norm_backward(pass, &model->embedding_norm, dres, pass->embedded, pass->embedded_stats,
                                   dres, false);
    const struct loam_tensor dtable = loam_pass_gradient(pass, model->embedding);
    const float factor = embedding_factor(model);
    positions_backward(pass, dres);
    if (dtable.data == NULL && !loam_decoder_trains_embedding(pass->decoder)) return;
    if (factor != 1.0f)
        loam_add_scaled(pass->stream, &(struct loam_add_scaled_args){.x = dres, .factor = factor, .y = dres});
    adapted_backward(pass, dres);
    if (dtable.data != NULL)
        loam_embedding_backward(pass->stream, &(struct loam_embedding_backward_args){
                                                  .ids = pass->ids, .dy = dres, .dtable = dtable});
}

// Stops below the lowest layer with something trained, or at the embedding where that is trained.
void loam_decoder_backward(struct loam_pass *pass, struct loam_tensor dres)
{
    const int64_t first = pass->decoder->first_trained;
    const bool embedding_trained = pass->decoder->embedding_trained;
    for (int64_t index = pass->model->config.layers - 1; index >= first; index--) {
        loam_offload_turn(pass->model->offload, pass->stream, index, false);
        loam_layer_backward(pass, index, dres, index > first || embedding_trained);
    }
    loam_offload_begin(pass->model->offload, pass->stream);
    if (embedding_trained) embedding_backward(pass, dres);
}
