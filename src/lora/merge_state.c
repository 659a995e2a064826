#include "lora/merge_state.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "base/log.h"
#include "io/shards.h"
#include "model/sources.h"

const struct loam_log *loam_merge_log(const struct loam_merge_settings *settings)
{
    return settings->callbacks == NULL ? NULL : &settings->callbacks->log;
}

const struct loam_parameter *loam_merge_token_weight(const struct loam_merge_state *merge,
                                                     const struct loam_trained_tokens *tokens, size_t place)
{
    return place == 0 ? tokens->module->weight : merge->model->head.weight;
}

// Tensors keep their names. The base may store a tied pair under either name; untied, each has its own. A merged
// text part of a multimodal model is a model of its own.
static const char *name_of(const struct loam_merge_state *merge, size_t i)
{
    const struct loam_parameter *parameters = merge->model->parameters;
    const char *name = merge->sources[i]->name;
    if (merge->model->config.multimodal != NULL) return parameters[i].name;
    if (merge->untied == 0) return name;
    return i == merge->untied || strcmp(name, parameters[merge->untied].name) == 0 ? parameters[i].name
                                                                                   : name;
}

static enum loam_status describe_tensor(struct loam_merge_state *merge, size_t i, struct loam_error *error)
{
    const struct loam_stored_tensor *source = merge->sources[i];
    enum loam_dtype chosen = merge->settings->dtype;
    struct loam_write_tensor *tensor = &merge->tensors[i];
    *tensor = (struct loam_write_tensor){
        .name = name_of(merge, i),
        .dtype = chosen != LOAM_DTYPE_NONE ? chosen : loam_format_row(source->format)->dtype,
        .rank = source->rank};
    memcpy(tensor->shape, source->shape, sizeof tensor->shape);
    // The count fits in size_t, because the file holds all elements. The bytes in a wider dtype may not.
    size_t count = loam_format_elements(source->format, source->bytes);
    if (!loam_format_bytes(loam_format_of(tensor->dtype), count, &merge->bytes[i]))
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "tensor %s is too large to write", tensor->name);
    return LOAM_OK;
}

static enum loam_status allocate(struct loam_merge_state *merge, struct loam_error *error)
{
    size_t count = merge->model->parameter_count + 1; // a head may be untied
    merge->sources = loam_calloc(count, sizeof *merge->sources, error);
    merge->adapted = loam_calloc(count, merge->settings->adapters.count * sizeof *merge->adapted, error);
    merge->merged = loam_calloc(count, sizeof *merge->merged, error);
    merge->has_tokens = loam_calloc(count, sizeof *merge->has_tokens, error);
    merge->replaced = loam_calloc(count, sizeof *merge->replaced, error);
    merge->tensors = loam_calloc(count, sizeof *merge->tensors, error);
    merge->bytes = loam_calloc(count, sizeof *merge->bytes, error);
    merge->shard_of = loam_calloc(count, sizeof *merge->shard_of, error);
    merge->of_shard = loam_calloc(count, sizeof *merge->of_shard, error);
    merge->parameter_of = loam_calloc(count, sizeof *merge->parameter_of, error);
    bool whole = merge->sources != NULL && merge->adapted != NULL && merge->merged != NULL &&
                 merge->has_tokens != NULL && merge->replaced != NULL && merge->tensors != NULL &&
                 merge->bytes != NULL && merge->shard_of != NULL && merge->of_shard != NULL &&
                 merge->parameter_of != NULL;
    return whole ? LOAM_OK : LOAM_ERROR_MEMORY;
}

// Allocates the buffers of an adapter for its largest linear. `*row` becomes at least the longest row of one, in
// either order, and `*out` its outputs.
static enum loam_status allocate_matrices(struct loam_merge_state *merge, size_t index, size_t *row,
                                          size_t *out, struct loam_error *error)
{
    const struct loam_adapter *adapter = merge->adapters[index];
    size_t most = 0;
    for (size_t i = 0; i < adapter->count; i++) {
        const struct loam_linear *linear = adapter->items[i].linear;
        const struct loam_lora_slot *slot = adapter->items[i].slot;
        const size_t a = (size_t)loam_tensor_count(&slot->a), b = (size_t)loam_tensor_count(&slot->b);
        const size_t longest = (size_t)(linear->in > linear->out ? linear->in : linear->out);
        if (a > most) most = a;
        if (b > most) most = b;
        if (longest > *row) *row = longest;
        if (longest > *out) *out = longest; // an embedding has gains by its columns
    }
    for (size_t i = 0; i < adapter->token_count; i++)
        if ((size_t)adapter->tokens[i].module->in > *row) *row = (size_t)adapter->tokens[i].module->in;
    for (size_t i = 2 * index; i < 2 * index + 2; i++) {
        merge->buffers[i] = loam_calloc(most, sizeof(float), error);
        if (merge->buffers[i] == NULL) return LOAM_ERROR_MEMORY;
    }
    return LOAM_OK;
}

static enum loam_status allocate_buffers(struct loam_merge_state *merge, struct loam_error *error)
{
    size_t row = 0, out = 0;
    for (size_t i = 0; i < merge->adapter_count; i++)
        LOAM_TRY(allocate_matrices(merge, i, &row, &out, error));
    merge->row = loam_calloc(row, sizeof(float), error);
    merge->delta = loam_calloc(row, sizeof(float), error);
    merge->gains = loam_calloc(out, sizeof *merge->gains, error);
    return merge->row != NULL && merge->delta != NULL && merge->gains != NULL ? LOAM_OK : LOAM_ERROR_MEMORY;
}

static enum loam_status open_adapter(struct loam_merge_state *merge, size_t index, struct loam_error *error)
{
    const struct loam_adapter_choices *choices = &merge->settings->adapters;
    struct loam_adapter **adapter = &merge->adapters[index];
    const struct loam_adapter_base base = {.weights = merge->sources};
    LOAM_TRY(loam_adapter_open_stored(adapter, merge->model, choices->items[index].directory, &base, error));
    merge->adapter_count++;
    LOAM_TRY(loam_adapter_check_sum(*adapter, choices, index, error));
    loam_adapter_warn(*adapter, loam_merge_log(merge->settings));
    return LOAM_OK;
}

// Whether an adapter changes the embedding or its tied head, and not both alike: LoRA of one of them, or tokens or
// values that they do not share.
static bool parts_tied(const struct loam_model *model, const struct loam_adapter *adapter)
{
    const struct loam_lora_slot *slots = adapter->slots.slots;
    const struct loam_replacement **replaced = adapter->slots.replaced;
    const struct loam_lora_slot *head = &slots[model->head.index], *embedding = &slots[model->embedder.index];
    const bool alike = adapter->ties && !adapter->config.dora && head->scale == embedding->scale;
    if (!alike && (head->rank > 0 || embedding->rank > 0)) return true;
    for (size_t j = 0; j < adapter->token_count; j++)
        if (adapter->tokens[j].place_count < LOAM_TOKEN_PLACES) return true;
    return adapter->replaced_count > 0 &&
           replaced[model->embedding - model->parameters] != replaced[model->parameter_count];
}

// Gives a tied head a weight of its own where adapters change it or the embedding.
static enum loam_status untie_head(struct loam_merge_state *merge, struct loam_error *error)
{
    struct loam_model *model = merge->model;
    const size_t embedding = (size_t)(model->embedding - model->parameters), place = model->parameter_count;
    bool parts = false;
    if (!loam_model_head_is_tied(model)) return LOAM_OK;
    for (size_t i = 0; i < merge->adapter_count && !parts; i++)
        parts = parts_tied(model, merge->adapters[i]);
    if (!parts) return LOAM_OK;
    LOAM_TRY(loam_model_untie_head(model, error));
    merge->untied = place;
    merge->sources[place] = merge->sources[embedding];
    return LOAM_OK;
}

static void take_replaced(struct loam_merge_state *merge, const struct loam_adapter *adapter)
{
    const struct loam_model *model = merge->model;
    const struct loam_replacement **slots = adapter->slots.replaced;
    if (adapter->replaced_count == 0) return;
    const size_t embedding = (size_t)(model->embedding - model->parameters);
    for (size_t i = 0; i < adapter->replaced_count; i++) {
        const struct loam_replaced *item = &adapter->replaced[i];
        const size_t place = item->of_head ? merge->untied : (size_t)(item->parameter - model->parameters);
        merge->replaced[place] = item->stored;
    }
    if (merge->untied != 0 && slots[embedding] != NULL && slots[embedding] == slots[merge->untied])
        merge->replaced[merge->untied] = merge->replaced[embedding];
}

static void set_merged(struct loam_merge_state *merge, const struct loam_parameter *parameter, size_t adapter,
                       const struct loam_adapted *item)
{
    const size_t place = (size_t)(parameter - merge->model->parameters);
    merge->adapted[place * merge->adapter_count + adapter] = item;
    merge->merged[place] = item->linear;
}

static enum loam_status find_token_rows(struct loam_merge_state *merge,
                                        const struct loam_trained_tokens *tokens, struct loam_error *error)
{
    for (size_t p = 0; p < tokens->place_count; p++) {
        const struct loam_parameter *weight = loam_merge_token_weight(merge, tokens, p);
        merge->has_tokens[weight - merge->model->parameters] = true;
        if (merge->merged[weight - merge->model->parameters] == NULL) continue;
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                         "%s: one adapter has trained tokens for it and another has matrices; merge them one "
                         "after the other",
                         weight->name);
    }
    return LOAM_OK;
}

// Notes which parameters an adapter changes.
static enum loam_status find_merged(struct loam_merge_state *merge, size_t index, struct loam_error *error)
{
    const struct loam_adapter *adapter = merge->adapters[index];
    for (size_t i = 0; i < adapter->count; i++) {
        const struct loam_adapted *item = &adapter->items[i];
        const struct loam_linear *linear = item->linear;
        set_merged(merge, linear->weight, index, item);
        if (item->parts[LOAM_PART_BIAS].name == NULL) continue;
        if (linear->bias == NULL)
            return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                             "%s: the adapter has a bias of B (lora_bias) for %s, which has no bias in this "
                             "model to add it to: it cannot be merged, in PEFT neither",
                             merge->settings->adapters.items[index].directory, linear->path);
        set_merged(merge, linear->bias, index, item);
    }
    for (size_t i = 0; i < adapter->token_count; i++)
        LOAM_TRY(find_token_rows(merge, &adapter->tokens[i], error));
    return LOAM_OK;
}

static enum loam_status open_adapters(struct loam_merge_state *merge, struct loam_error *error)
{
    const size_t count = merge->settings->adapters.count;
    merge->adapters = loam_calloc(count, sizeof(struct loam_adapter *), error);
    merge->terms = loam_calloc(count, sizeof *merge->terms, error);
    merge->buffers = loam_calloc(2 * count, sizeof(float *), error);
    if (merge->adapters == NULL || merge->terms == NULL || merge->buffers == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++)
        LOAM_TRY(open_adapter(merge, i, error));
    LOAM_TRY(loam_adapter_check_replacing(merge->adapters, &merge->settings->adapters, error));
    LOAM_TRY(untie_head(merge, error));
    for (size_t i = 0; i < count; i++)
        take_replaced(merge, merge->adapters[i]);
    for (size_t i = 0; i < count; i++)
        LOAM_TRY(find_merged(merge, i, error));
    return allocate_buffers(merge, error);
}

enum loam_status loam_merge_state_init(struct loam_merge_state *merge,
                                       const struct loam_merge_settings *settings, struct loam_error *error)
{
    struct loam_config config;
    *merge = (struct loam_merge_state){.settings = settings};
    LOAM_TRY(loam_config_load(&config, settings->model, error));
    loam_config_log(&config, loam_merge_log(settings));
    LOAM_TRY(loam_model_create(&merge->model, &config, error));
    LOAM_TRY(loam_container_open_directory(&merge->base, settings->model, error));
    LOAM_TRY(loam_model_settle_head(merge->model, merge->base, loam_merge_log(settings), error));
    LOAM_TRY(allocate(merge, error));
    LOAM_TRY(loam_model_find_sources(merge->model, merge->base, settings->model, merge->sources, error));
    LOAM_TRY(open_adapters(merge, error));
    for (size_t i = 0; i < merge->model->parameter_count; i++)
        LOAM_TRY(describe_tensor(merge, i, error));
    merge->shards = loam_shards_cut(merge->bytes, merge->model->parameter_count, settings->max_shard_bytes,
                                    merge->shard_of);
    return LOAM_OK;
}

void loam_merge_state_deinit(struct loam_merge_state *merge)
{
    for (size_t i = 0; i < merge->adapter_count; i++) {
        loam_adapter_destroy(merge->adapters[i]);
        free(merge->buffers[2 * i]);
        free(merge->buffers[2 * i + 1]);
    }
    free(merge->adapters);
    free(merge->terms);
    free(merge->buffers);
    loam_model_destroy(merge->model);
    loam_container_destroy(merge->base);
    free(merge->sources);
    free(merge->adapted);
    free((void *)merge->merged);
    free(merge->has_tokens);
    free((void *)merge->replaced);
    free(merge->tensors);
    free(merge->bytes);
    free(merge->shard_of);
    free(merge->of_shard);
    free(merge->parameter_of);
    free(merge->row);
    free(merge->delta);
    free(merge->gains);
}
