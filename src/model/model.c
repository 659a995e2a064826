#include "model/model.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "model/multimodal.h"

static bool in_layer(const struct loam_weight_row *row)
{
    return strstr(row->name, "%d") != NULL;
}

// The row's name with the layer in the place of %d.
static char *row_name(const struct loam_weight_row *row, int layer, struct loam_error *error)
{
    const char *gap = strstr(row->name, "%d");
    if (gap == NULL) return loam_strdup(row->name, error);
    return loam_format(error, "%.*s%d%s", (int)(gap - row->name), row->name, layer, gap + 2);
}

static struct loam_tensor row_shape(const struct loam_config *config, const struct loam_weight_row *row)
{
    int64_t first = loam_config_dimension(config, row->shape[0]);
    if (row->shape[1] == LOAM_DIM_NONE) return loam_tensor_1d(NULL, LOAM_F32, first);
    return loam_tensor_2d(NULL, LOAM_F32, first, loam_config_dimension(config, row->shape[1]));
}

// ---- where the decoder finds a parameter ----

static void bind_norm(struct loam_norm *norm, const struct loam_family *family,
                      const struct loam_parameter *parameter)
{
    norm->kind = family->norm;
    norm->offset = family->norm_offset;
    if ((parameter->row->flags & LOAM_WEIGHT_BIAS) != 0)
        norm->b = parameter;
    else
        norm->w = parameter;
}

static enum loam_status bind_linear(const struct loam_config *config, struct loam_linear *linear,
                                    const struct loam_parameter *parameter, struct loam_error *error)
{
    if ((parameter->row->flags & LOAM_WEIGHT_BIAS) != 0) {
        linear->bias = parameter;
        return LOAM_OK;
    }
    const int out = (parameter->row->flags & LOAM_WEIGHT_TRANSPOSED) != 0 ? 1 : 0;
    linear->weight = parameter;
    linear->out = parameter->value.shape[out];
    linear->in = parameter->value.shape[1 - out];
    char *path = loam_strndup(parameter->name, strlen(parameter->name) - strlen(".weight"), error);
    if (path != NULL) linear->path = loam_multimodal_module_path(config->multimodal, path, error);
    free(path);
    return linear->path == NULL ? LOAM_ERROR_MEMORY : LOAM_OK;
}

static enum loam_status bind(struct loam_model *model, const struct loam_parameter *parameter,
                             struct loam_error *error)
{
    const struct loam_weight_row *row = parameter->row;
    const struct loam_family *family = model->config.family;
    switch (row->role) {
    case LOAM_ROLE_EMBEDDING:
        model->embedding = parameter;
        return bind_linear(&model->config, &model->embedder, parameter, error);
    case LOAM_ROLE_POSITIONS:
        model->positions = parameter;
        break;
    case LOAM_ROLE_EMBEDDING_NORM:
        bind_norm(&model->embedding_norm, family, parameter);
        break;
    case LOAM_ROLE_NORM:
        bind_norm(&model->layers[parameter->layer].norms[row->slot], family, parameter);
        break;
    case LOAM_ROLE_LINEAR:
        return bind_linear(&model->config, &model->layers[parameter->layer].linears[row->slot], parameter,
                           error);
    case LOAM_ROLE_FINAL_NORM:
        bind_norm(&model->final_norm, family, parameter);
        break;
    case LOAM_ROLE_HEAD:
        return bind_linear(&model->config, &model->head, parameter, error);
    case LOAM_ROLE_IGNORED:
        break;
    }
    return LOAM_OK;
}

// ---- creating ----

static enum loam_status add_parameter(struct loam_model *model, const struct loam_weight_row *row, int layer,
                                      struct loam_error *error)
{
    if (!loam_config_has_row(&model->config, row)) return LOAM_OK;
    struct loam_parameter *parameter = &model->parameters[model->parameter_count];
    *parameter = (struct loam_parameter){.name = row_name(row, layer, error),
                                         .row = row,
                                         .layer = layer,
                                         .value = row_shape(&model->config, row)};
    if (parameter->name == NULL) return LOAM_ERROR_MEMORY;
    model->parameter_count++;
    return bind(model, parameter, error);
}

// The rows of a layer stand together; they repeat for each layer, in the place where they stand.
static enum loam_status add_parameters(struct loam_model *model, struct loam_error *error)
{
    const struct loam_family *family = model->config.family;
    for (size_t i = 0; i < family->row_count;) {
        size_t end = i;
        while (end < family->row_count && in_layer(&family->rows[end]) == in_layer(&family->rows[i]))
            end++;
        int layers = in_layer(&family->rows[i]) ? (int)model->config.layers : 1;
        for (int layer = 0; layer < layers; layer++)
            for (size_t j = i; j < end; j++)
                LOAM_TRY(
                    add_parameter(model, &family->rows[j], in_layer(&family->rows[j]) ? layer : -1, error));
        i = end;
    }
    return LOAM_OK;
}

// Every layer has the same linears.
static void number_linears(struct loam_model *model)
{
    for (int64_t layer = 0; layer < model->config.layers; layer++)
        for (int slot = 0; slot < LOAM_LINEAR_SLOTS; slot++) {
            struct loam_linear *linear = &model->layers[layer].linears[slot];
            if (linear->weight != NULL) linear->index = model->linear_count++;
        }
    model->head.index = model->linear_count;
    model->embedder.index = model->linear_count + 1;
    model->module_count = model->linear_count + 2;
}

static enum loam_status tie_head(struct loam_model *model, struct loam_error *error)
{
    const char *name = loam_family_tied_row(model->config.family)->name;
    model->head.weight = model->embedding;
    model->head.out = model->embedding->value.shape[0];
    model->head.in = model->embedding->value.shape[1];
    char *path = loam_strndup(name, strlen(name) - strlen(".weight"), error);
    if (path != NULL) model->head.path = loam_multimodal_module_path(model->config.multimodal, path, error);
    free(path);
    return model->head.path == NULL ? LOAM_ERROR_MEMORY : LOAM_OK;
}

// So that no sum over the parameters overflows: of their bytes, gradients and moments in f32.
static enum loam_status check_total(const struct loam_model *model, struct loam_error *error)
{
    const int64_t most = INT64_C(1) << 58;
    int64_t total = 0;
    for (size_t i = 0; i < model->parameter_count; i++)
        total = loam_add_bytes(total, loam_tensor_count(&model->parameters[i].value));
    if (total <= most) return LOAM_OK;
    return loam_fail(
        error, LOAM_ERROR_FORMAT,
        "the config describes a model of %.1e parameters; expected at most %.1e: its sizes cannot be "
        "right",
        (double)total, (double)most);
}

static enum loam_status fill(struct loam_model *model, struct loam_error *error)
{
    size_t layers = (size_t)model->config.layers;
    model->layers = loam_calloc(layers, sizeof *model->layers, error);
    model->parameters =
        loam_calloc(model->config.family->row_count * layers, sizeof *model->parameters, error);
    if (model->layers == NULL || model->parameters == NULL) return LOAM_ERROR_MEMORY;
    LOAM_TRY(add_parameters(model, error));
    if (model->head.weight == NULL) LOAM_TRY(tie_head(model, error));
    number_linears(model);
    return check_total(model, error);
}

enum loam_status loam_model_create(struct loam_model **out, const struct loam_config *config,
                                   struct loam_error *error)
{
    *out = NULL;
    struct loam_model *model = loam_calloc(1, sizeof *model, error);
    if (model == NULL) return LOAM_ERROR_MEMORY;
    model->config = *config;
    model->dtype = LOAM_F32;
    enum loam_status status = fill(model, error);
    if (status == LOAM_OK)
        *out = model;
    else
        loam_model_destroy(model);
    return status;
}

enum loam_status loam_model_untie_head(struct loam_model *model, struct loam_error *error)
{
    model->config.tied_head = false;
    free(model->head.path);
    model->head.path = NULL;
    return add_parameter(model, loam_family_tied_row(model->config.family), -1, error);
}

void loam_model_destroy(struct loam_model *model)
{
    if (model == NULL) return;
    for (size_t i = 0; i < model->parameter_count; i++)
        free(model->parameters[i].name);
    for (int64_t i = 0; model->layers != NULL && i < model->config.layers; i++)
        for (int slot = 0; slot < LOAM_LINEAR_SLOTS; slot++)
            free(model->layers[i].linears[slot].path);
    free(model->head.path);
    free(model->embedder.path);
    if (model->device != NULL) loam_device_arena_deinit(model->device, &model->arena);
    loam_container_destroy(model->file);
    free(model->reader);
    loam_offload_destroy(model->offload);
    free(model->layers);
    free(model->parameters);
    free(model);
}

// ---- questions ----

void loam_parameter_read(const struct loam_parameter *parameter, struct loam_stream *stream)
{
    if (parameter->offload != NULL) loam_offload_read(parameter->offload, stream, parameter->layer);
}

int64_t loam_model_parameter_total(const struct loam_model *model)
{
    int64_t total = 0;
    for (size_t i = 0; i < model->parameter_count; i++)
        total += loam_tensor_count(&model->parameters[i].value);
    return total;
}

const struct loam_linear *loam_model_linear_at(const struct loam_model *model, size_t index)
{
    const size_t of_layer = model->linear_count / (size_t)model->config.layers;
    if (index >= model->linear_count) return NULL;
    const struct loam_layer *layer = &model->layers[index / of_layer];
    for (size_t slot = 0; slot < LOAM_LINEAR_SLOTS; slot++)
        if (layer->linears[slot].weight != NULL && layer->linears[slot].index == index)
            return &layer->linears[slot];
    return NULL;
}

const struct loam_linear *loam_model_module_at(const struct loam_model *model, size_t index)
{
    if (index < model->linear_count) return loam_model_linear_at(model, index);
    if (index == model->linear_count) return &model->embedder;
    return index == model->linear_count + 1 ? &model->head : NULL;
}

bool loam_model_head_is_tied(const struct loam_model *model)
{
    return model->head.weight == model->embedding;
}
