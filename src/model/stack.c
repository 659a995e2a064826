// From the ids to the residual stream and back: the embedding and the layers.
#include "model/layer.h"

static void make_rope_tables(struct loam_pass *pass)
{
    const struct loam_model *model = pass->model;
    for (int i = 0; i < model->config.family->rope_count; i++) {
        pass->ropes[i] = loam_pass_f32(pass, pass->tokens, model->config.head_dim);
        loam_rope_table(pass->stream,
                        &(struct loam_rope_table_args){.positions = pass->positions,
                                                       .frequencies = model->rope_frequencies[i],
                                                       .factor = 1,
                                                       .table = pass->ropes[i]});
    }
}

static void embed(struct loam_pass *pass)
{
    const struct loam_model *model = pass->model;
    pass->x = loam_pass_rows(pass, model->config.hidden);
    if (loam_family_is_parallel(model->config.family))
        pass->spare = loam_pass_rows(pass, model->config.hidden);
    pass->embedded = model->embedding_norm.w == NULL ? pass->x : loam_pass_rows(pass, model->config.hidden);
    loam_embedding_forward(pass->stream,
                           &(struct loam_embedding_forward_args){
                               .ids = pass->ids, .table = model->embedding->value, .y = pass->embedded});
    if (model->embedding_norm.w == NULL) return;
    pass->embedded_stats = loam_pass_norm_stats(pass, &model->embedding_norm, pass->tokens);
    loam_decoder_norm(pass, &model->embedding_norm, pass->embedded, pass->embedded_stats, pass->x);
}

void loam_decoder_forward(struct loam_pass *pass)
{
    make_rope_tables(pass);
    embed(pass);
    for (int64_t index = 0; index < pass->model->config.layers; index++)
        loam_layer_forward(pass, index);
}

// dtable[ids[t]] += dres[t], after the backward of the embedding norm. dres [T, H].
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

// Stops below the lowest layer with something trained, or at the embedding where that is trained.
void loam_decoder_backward(struct loam_pass *pass, struct loam_tensor dres)
{
    const int64_t first = pass->decoder->first_trained;
    const bool embedding_trained = pass->decoder->embedding_trained;
    for (int64_t index = pass->model->config.layers - 1; index >= first; index--)
        loam_layer_backward(pass, index, dres, index > first || embedding_trained);
    if (embedding_trained) embedding_backward(pass, dres);
}
