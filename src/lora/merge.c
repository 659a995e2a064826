#include "lora/merge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/event.h"
#include "base/file.h"
#include "base/heap.h"
#include "base/log.h"
#include "chat/source.h"
#include "io/atomic.h"
#include "io/safetensors.h"
#include "io/shards.h"
#include "io/staging.h"
#include "lora/adapter.h"
#include "model/config_text.h"
#include "model/files.h"
#include "model/sources.h"

enum { PAGE_LIMIT = 1 << 16 }; // bytes of the largest page size

// The update that an adapter has for the linear that is merged now.
struct term {
    const struct loam_adapted *item;
    float scale;  // with the adapter's factor
    float *left;  // [rows, r] of the stored matrix: B, or AT where that is transposed
    float *right; // [r, columns] A, or BT
};

// The state of a merge. Arrays are [parameter_count] if no other size is given.
struct merge {
    const struct loam_merge_settings *settings;
    struct loam_model *model; // names and shapes
    struct loam_container *base;
    struct loam_adapter **adapters; // [adapter_count]
    size_t adapter_count;
    const struct loam_stored_tensor **sources;
    const struct loam_adapted **adapted; // [parameter_count, adapters] the updates of a parameter; NULL: none
    const struct loam_linear **merged;   // the module of a parameter that has an update; NULL: none
    bool *has_tokens;                    // whether rows of a parameter are those of trained tokens
    const struct loam_stored_tensor **replaced; // an adapter's values of a parameter; NULL: those of the base
    struct loam_write_tensor *tensors;          // the tensors to write
    size_t *bytes;
    size_t *shard_of;
    size_t shards;
    size_t untied;                      // the parameter of a head that the merge unties; 0: none
    struct loam_write_tensor *of_shard; // the tensors of the current file
    size_t *parameter_of;               // the parameters of these tensors
    struct loam_staging staging;
    int64_t done;  // bytes written
    int64_t total; // bytes to write
    // The linear that is merged now, and its buffers.
    const struct loam_linear *current;
    struct term *terms; // [adapter_count], with `term_count` in use
    size_t term_count;
    float **buffers;     // [2 adapter_count] for left and right of each adapter
    float *row;          // [columns] W, then W'
    float *delta;        // [columns] left right
    bool has_other_chat; // the result has an adapter's chat template
    double *gains;       // [out] of DoRA: magnitude / ||W + scale B A|| by outputs
};

// ---- opening ----

static enum loam_status check_out(const struct loam_merge_settings *settings, struct loam_error *error)
{
    for (size_t i = 0; i <= settings->adapters.count; i++) {
        const bool model = i == settings->adapters.count;
        const char *other = model ? settings->model : settings->adapters.items[i].directory;
        if (!loam_directory_same(settings->out, other)) continue;
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "--out %s is the %s's own directory, which must stay as it is; choose another",
                         settings->out, model ? "model" : "adapter");
    }
    // Readers of the directory would apply that adapter to the merged model.
    char *marker = loam_path_join(settings->out, "adapter_config.json", error);
    if (marker == NULL) return LOAM_ERROR_MEMORY;
    bool there = loam_file_exists(marker);
    free(marker);
    if (!there) return LOAM_OK;
    return loam_fail(
        error, LOAM_ERROR_EXISTS,
        "--out %s holds an adapter (adapter_config.json), and a merge makes a model; choose another",
        settings->out);
}

// Tensors keep their names. The base may store a tied pair under either name; untied, each has its own. A merged
// text part of a multimodal model is a model of its own.
static const char *name_of(const struct merge *merge, size_t i)
{
    const struct loam_parameter *parameters = merge->model->parameters;
    const char *name = merge->sources[i]->name;
    if (merge->model->config.multimodal != NULL) return parameters[i].name;
    if (merge->untied == 0) return name;
    return i == merge->untied || strcmp(name, parameters[merge->untied].name) == 0 ? parameters[i].name
                                                                                   : name;
}

static enum loam_status describe_tensor(struct merge *merge, size_t i, struct loam_error *error)
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

static enum loam_status allocate(struct merge *merge, struct loam_error *error)
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
static enum loam_status allocate_matrices(struct merge *merge, size_t index, size_t *row, size_t *out,
                                          struct loam_error *error)
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

static enum loam_status allocate_buffers(struct merge *merge, struct loam_error *error)
{
    size_t row = 0, out = 0;
    for (size_t i = 0; i < merge->adapter_count; i++)
        LOAM_TRY(allocate_matrices(merge, i, &row, &out, error));
    merge->row = loam_calloc(row, sizeof(float), error);
    merge->delta = loam_calloc(row, sizeof(float), error);
    merge->gains = loam_calloc(out, sizeof *merge->gains, error);
    return merge->row != NULL && merge->delta != NULL && merge->gains != NULL ? LOAM_OK : LOAM_ERROR_MEMORY;
}

static const struct loam_log *log_of(const struct loam_merge_settings *settings)
{
    return settings->callbacks == NULL ? NULL : &settings->callbacks->log;
}

static enum loam_status open_adapter(struct merge *merge, size_t index, struct loam_error *error)
{
    const struct loam_adapter_choices *choices = &merge->settings->adapters;
    struct loam_adapter **adapter = &merge->adapters[index];
    const struct loam_adapter_base base = {.weights = merge->sources};
    LOAM_TRY(loam_adapter_open_stored(adapter, merge->model, choices->items[index].directory, &base, error));
    merge->adapter_count++;
    LOAM_TRY(loam_adapter_check_sum(*adapter, choices, index, error));
    loam_adapter_warn(*adapter, log_of(merge->settings));
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
static enum loam_status untie_head(struct merge *merge, struct loam_error *error)
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

static void take_replaced(struct merge *merge, const struct loam_adapter *adapter)
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

static void set_merged(struct merge *merge, const struct loam_parameter *parameter, size_t adapter,
                       const struct loam_adapted *item)
{
    const size_t place = (size_t)(parameter - merge->model->parameters);
    merge->adapted[place * merge->adapter_count + adapter] = item;
    merge->merged[place] = item->linear;
}

// The weight that the rows of tokens go to: that of their module, or that of the head that shares them.
static const struct loam_parameter *weight_at(const struct merge *merge,
                                              const struct loam_trained_tokens *tokens, size_t place)
{
    return place == 0 ? tokens->module->weight : merge->model->head.weight;
}

static enum loam_status find_token_rows(struct merge *merge, const struct loam_trained_tokens *tokens,
                                        struct loam_error *error)
{
    for (size_t p = 0; p < tokens->place_count; p++) {
        const struct loam_parameter *weight = weight_at(merge, tokens, p);
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
static enum loam_status find_merged(struct merge *merge, size_t index, struct loam_error *error)
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

static enum loam_status open_adapters(struct merge *merge, struct loam_error *error)
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

static enum loam_status open_all(struct merge *merge, struct loam_error *error)
{
    const struct loam_merge_settings *settings = merge->settings;
    struct loam_config config;
    LOAM_TRY(loam_config_load(&config, settings->model, error));
    loam_config_log(&config, log_of(settings));
    LOAM_TRY(loam_model_create(&merge->model, &config, error));
    LOAM_TRY(loam_container_open_directory(&merge->base, settings->model, error));
    LOAM_TRY(loam_model_settle_head(merge->model, merge->base, log_of(settings), error));
    LOAM_TRY(allocate(merge, error));
    LOAM_TRY(loam_model_find_sources(merge->model, merge->base, settings->model, merge->sources, error));
    LOAM_TRY(open_adapters(merge, error));
    for (size_t i = 0; i < merge->model->parameter_count; i++)
        LOAM_TRY(describe_tensor(merge, i, error));
    merge->shards = loam_shards_cut(merge->bytes, merge->model->parameter_count, settings->max_shard_bytes,
                                    merge->shard_of);
    return LOAM_OK;
}

// ---- the sum ----

static bool is_transposed(const struct merge *merge)
{
    return (merge->current->weight->row->flags & LOAM_WEIGHT_TRANSPOSED) != 0;
}

// Columns of the stored matrix.
static size_t stored_columns(const struct merge *merge)
{
    const struct loam_linear *linear = merge->current;
    return (size_t)(is_transposed(merge) ? linear->out : linear->in);
}

// Adds an update to a piece of a stored row: row[j] += scale * sum over k of left[i, k] right[k, first + j],
// j < count.
static void add_update(const struct merge *merge, const struct term *term, size_t i, size_t first,
                       size_t count)
{
    const size_t rank = (size_t)term->item->slot->rank, columns = stored_columns(merge);
    float *restrict row = merge->row;
    float *restrict delta = merge->delta;
    memset(delta, 0, count * sizeof *delta);
    for (size_t k = 0; k < rank; k++) {
        const float *restrict right = term->right + k * columns + first;
        const float left = term->left[i * rank + k];
        for (size_t j = 0; j < count; j++)
            delta[j] += left * right[j];
    }
    for (size_t j = 0; j < count; j++)
        row[j] += term->scale * delta[j];
}

static void add_updates(const struct merge *merge, size_t i, size_t first, size_t count)
{
    for (size_t t = 0; t < merge->term_count; t++)
        add_update(merge, &merge->terms[t], i, first, count);
}

// Releases the mapped pages of a block, with the page that it shares with the block before.
static void release_elements(const struct loam_stored_tensor *source, size_t first, size_t count)
{
    const uint8_t *begin = loam_format_at(source->format, source->data, first);
    const uint8_t *end = loam_format_at(source->format, source->data, first + count);
    const size_t before = (size_t)(begin - source->data), back = before < PAGE_LIMIT ? before : PAGE_LIMIT;
    loam_map_release(begin - back, (size_t)(end - begin) + back);
}

static bool has_gains(const struct merge *merge)
{
    return merge->terms[0].item->slot->dora;
}

// DoRA scales by outputs: rows of W, columns where it is stored transposed, and columns of an embedding.
static bool scales_columns(const struct merge *merge)
{
    return is_transposed(merge) || merge->terms[0].item->is_embedding;
}

// gains[n] = magnitude[n] / ||W[n] + scale B[n] A||, by columns where they are scaled
static void compute_gains(struct merge *merge, const struct loam_stored_tensor *source)
{
    const struct loam_linear *linear = merge->current;
    const struct loam_stored_tensor *magnitude = merge->terms[0].item->parts[LOAM_PART_MAGNITUDE].stored;
    const bool by_columns = scales_columns(merge);
    const size_t columns = stored_columns(merge);
    const size_t rows = (size_t)(is_transposed(merge) ? linear->in : linear->out);
    const size_t count = by_columns ? columns : rows;
    memset(merge->gains, 0, count * sizeof *merge->gains);
    for (size_t i = 0; i < rows; i++) {
        loam_format_convert(merge->row, LOAM_F32, loam_format_at(source->format, source->data, i * columns),
                            source->format, columns);
        add_updates(merge, i, 0, columns);
        for (size_t j = 0; j < columns; j++)
            merge->gains[by_columns ? j : i] += (double)merge->row[j] * (double)merge->row[j];
        release_elements(source, i * columns, columns);
    }
    for (size_t n = 0; n < count; n++) {
        float value;
        loam_format_convert(&value, LOAM_F32, loam_format_at(magnitude->format, magnitude->data, n),
                            magnitude->format, 1);
        merge->gains[n] = (double)value / sqrt(merge->gains[n]);
    }
}

// target [columns, rows] = the transpose of a stored matrix [rows, columns]
static void load_transposed(float *target, const struct loam_stored_tensor *stored, size_t rows,
                            size_t columns)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            loam_format_convert(&target[j * rows + i], LOAM_F32,
                                loam_format_at(stored->format, stored->data, i * columns + j), stored->format,
                                1);
}

static void load_term(const struct merge *merge, const struct term *term)
{
    const struct loam_lora_slot *slot = term->item->slot;
    const struct loam_stored_tensor *a = term->item->parts[LOAM_PART_A].stored,
                                    *b = term->item->parts[LOAM_PART_B].stored;
    const size_t rank = (size_t)slot->rank;
    if (is_transposed(merge)) {
        load_transposed(term->left, a, rank, (size_t)merge->current->in);
        load_transposed(term->right, b, (size_t)merge->current->out, rank);
    } else if (term->item->is_embedding) {
        load_transposed(term->right, a, (size_t)merge->current->in, rank);
        load_transposed(term->left, b, rank, (size_t)merge->current->out);
    } else {
        loam_format_convert(term->right, LOAM_F32, a->data, a->format, (size_t)loam_tensor_count(&slot->a));
        loam_format_convert(term->left, LOAM_F32, b->data, b->format, (size_t)loam_tensor_count(&slot->b));
    }
}

// Loads the updates of a parameter. An adapter with DoRA is the only one (loam_adapter_check_sum).
static void load_terms(struct merge *merge, size_t parameter, const struct loam_stored_tensor *source)
{
    const size_t count = merge->adapter_count;
    merge->term_count = 0;
    merge->current = merge->merged[parameter];
    for (size_t i = 0; i < count; i++) {
        const struct loam_adapted *item = merge->adapted[parameter * count + i];
        if (item == NULL) continue;
        struct term *term = &merge->terms[merge->term_count++];
        *term = (struct term){.item = item,
                              .scale = (float)merge->settings->adapters.items[i].factor * item->slot->scale,
                              .left = merge->buffers[2 * i],
                              .right = merge->buffers[2 * i + 1]};
        load_term(merge, term);
    }
    if (has_gains(merge)) compute_gains(merge, source);
}

// row[j] *= the gain of its output; row i of the stored matrix, from column `first` on.
static void apply_gains(const struct merge *merge, size_t i, size_t first, size_t count)
{
    const bool by_columns = scales_columns(merge);
    for (size_t j = 0; j < count; j++)
        merge->row[j] *= (float)merge->gains[by_columns ? first + j : i];
}

// Writes elements [first, first + count) of W', row by row.
static void merge_block(struct merge *merge, const struct loam_stored_tensor *source, enum loam_dtype dtype,
                        size_t first, size_t count, char *block)
{
    const size_t columns = stored_columns(merge);
    for (size_t done = 0; columns > 0 && done < count;) {
        const size_t row = (first + done) / columns, column = (first + done) % columns;
        const size_t step = count - done < columns - column ? count - done : columns - column;
        loam_format_convert(merge->row, LOAM_F32, loam_format_at(source->format, source->data, first + done),
                            source->format, step);
        add_updates(merge, row, column, step);
        if (has_gains(merge)) apply_gains(merge, row, column, step);
        loam_convert(block + done * loam_dtype_size(dtype), dtype, merge->row, LOAM_F32, step);
        done += step;
    }
}

// The values of a parameter before updates.
static const struct loam_stored_tensor *source_of(const struct merge *merge, size_t parameter)
{
    return merge->replaced[parameter] != NULL ? merge->replaced[parameter] : merge->sources[parameter];
}

// Writes elements [first, first + count) of bias + scale times the biases of B.
static void merge_bias(struct merge *merge, size_t parameter, enum loam_dtype dtype, size_t first,
                       size_t count, char *block)
{
    const struct loam_stored_tensor *source = source_of(merge, parameter);
    loam_format_convert(merge->row, LOAM_F32, loam_format_at(source->format, source->data, first),
                        source->format, count);
    for (size_t i = 0; i < merge->adapter_count; i++) {
        const struct loam_adapted *item = merge->adapted[parameter * merge->adapter_count + i];
        if (item == NULL) continue;
        const struct loam_stored_tensor *bias = item->parts[LOAM_PART_BIAS].stored;
        const float scale = (float)merge->settings->adapters.items[i].factor * item->slot->scale;
        loam_format_convert(merge->delta, LOAM_F32, loam_format_at(bias->format, bias->data, first),
                            bias->format, count);
        for (size_t j = 0; j < count; j++)
            merge->row[j] += scale * merge->delta[j];
    }
    loam_convert(block, dtype, merge->row, LOAM_F32, count);
}

// Row `row` of a list of tokens, from column `column` on, into the block: (1 - factor) W + factor row.
static void merge_token(struct merge *merge, const struct loam_trained_tokens *tokens, float factor,
                        int64_t place, size_t parameter, enum loam_dtype dtype, size_t column, size_t count,
                        char *target)
{
    const struct loam_stored_tensor *source = source_of(merge, parameter), *rows = tokens->stored;
    const size_t width = (size_t)tokens->module->in;
    const size_t element = (size_t)tokens->list->tokens[place] * width + column;
    loam_format_convert(merge->row, LOAM_F32, loam_format_at(source->format, source->data, element),
                        source->format, count);
    loam_format_convert(merge->delta, LOAM_F32,
                        loam_format_at(rows->format, rows->data, (size_t)place * width + column),
                        rows->format, count);
    for (size_t j = 0; j < count; j++)
        merge->row[j] = (1.0f - factor) * merge->row[j] + factor * merge->delta[j];
    loam_convert(target, dtype, merge->row, LOAM_F32, count);
}

// Writes the rows of trained tokens among elements [first, first + count) of a weight.
static void merge_tokens(struct merge *merge, size_t adapter, const struct loam_trained_tokens *tokens,
                         size_t parameter, enum loam_dtype dtype, size_t first, size_t count, char *block)
{
    const float factor = (float)merge->settings->adapters.items[adapter].factor;
    const size_t width = (size_t)tokens->module->in, end = first + count;
    for (size_t j = 0; j < tokens->list->count; j++) {
        const size_t row = (size_t)tokens->list->tokens[j] * width;
        const size_t begin = row > first ? row : first, last = row + width < end ? row + width : end;
        if (begin < last)
            merge_token(merge, tokens, factor, (int64_t)j, parameter, dtype, begin - row, last - begin,
                        block + (begin - first) * loam_dtype_size(dtype));
    }
}

static void merge_all_tokens(struct merge *merge, size_t parameter, enum loam_dtype dtype, size_t first,
                             size_t count, char *block)
{
    for (size_t i = 0; i < merge->adapter_count; i++)
        for (size_t j = 0; j < merge->adapters[i]->token_count; j++) {
            const struct loam_trained_tokens *tokens = &merge->adapters[i]->tokens[j];
            for (size_t p = 0; p < tokens->place_count; p++)
                if (weight_at(merge, tokens, p) == &merge->model->parameters[parameter])
                    merge_tokens(merge, i, tokens, parameter, dtype, first, count, block);
        }
}

static enum loam_status fill_block(void *user, size_t index, size_t first, size_t count, void *block,
                                   struct loam_error *error)
{
    struct merge *merge = user;
    size_t i = merge->parameter_of[index];
    const struct loam_stored_tensor *replaced = merge->replaced[i], *source = source_of(merge, i);
    const struct loam_linear *merged = merge->merged[i];
    enum loam_dtype dtype = merge->tensors[i].dtype;
    if (merged != NULL && merge->model->parameters[i].value.rank == 1) {
        merge_bias(merge, i, dtype, first, count, block);
    } else if (merged != NULL) {
        if (merge->current != merged) load_terms(merge, i, source);
        merge_block(merge, source, dtype, first, count, block);
    } else {
        loam_format_convert(block, dtype, loam_format_at(source->format, source->data, first), source->format,
                            count);
    }
    if (merge->has_tokens[i]) merge_all_tokens(merge, i, dtype, first, count, block);
    release_elements(source, first, count);
    merge->done += (int64_t)(count * loam_dtype_size(dtype));
    if ((merged == NULL && !merge->has_tokens[i] && replaced == NULL &&
         loam_format_of(dtype) == source->format) ||
        loam_all_finite(block, dtype, count))
        return loam_event_progress(merge->settings->callbacks, LOAM_ACTIVITY_MERGE, merge->done, merge->total,
                                   error);
    return loam_fail(error, LOAM_ERROR_NUMERIC, "tensor %s would have values that are not finite in %s%s",
                     source->name, loam_dtype_name(dtype),
                     dtype == LOAM_F16 ? ", which ends at 65504: choose --dtype bf16 or f32"
                                       : "; the base or the adapter is broken");
}

// ---- writing ----

static enum loam_status write_shard(struct merge *merge, size_t shard, struct loam_error *error)
{
    size_t count = 0;
    char name[LOAM_SHARD_NAME_SIZE];
    loam_shard_name(shard, merge->shards, name);
    for (size_t i = 0; i < merge->model->parameter_count; i++) {
        if (merge->shard_of[i] != shard) continue;
        merge->of_shard[count] = merge->tensors[i];
        merge->parameter_of[count++] = i;
    }
    char *path = loam_path_join(merge->staging.directory, name, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    const struct loam_write_source source = {.fill = fill_block, .user = merge};
    enum loam_status status = loam_safetensors_write_from(path, merge->of_shard, count, &source, error);
    free(path);
    return status;
}

// Copies the chat template of the first adapter that was trained with another than the model's.
static enum loam_status copy_chat(struct merge *merge, const char *directory, struct loam_error *error)
{
    const struct loam_adapter_choices *adapters = &merge->settings->adapters;
    char *from = NULL;
    for (size_t i = 0; i < adapters->count && from == NULL; i++)
        LOAM_TRY(
            loam_chat_source_of_adapter(merge->settings->model, adapters->items[i].directory, &from, error));
    merge->has_other_chat = from != NULL;
    if (from == NULL) return LOAM_OK;
    char *to = loam_path_join(directory, loam_chat_source_file, error);
    const enum loam_status status = to == NULL ? LOAM_ERROR_MEMORY : loam_atomic_copy_file(from, to, error);
    free(to);
    free(from);
    return status;
}

static enum loam_status write_files(struct merge *merge, struct loam_merge_result *result,
                                    struct loam_error *error)
{
    const char *directory = merge->staging.directory;
    LOAM_TRY(loam_model_copy_files(merge->settings->model, directory, true, error));
    LOAM_TRY(loam_model_copy_templates(merge->settings->model, directory, error));
    LOAM_TRY(copy_chat(merge, directory, error));
    LOAM_TRY(loam_config_rewrite(directory, &merge->model->config, merge->settings->dtype, error));
    for (size_t shard = 0; shard < merge->shards; shard++)
        LOAM_TRY(write_shard(merge, shard, error));
    if (merge->shards == 1) return LOAM_OK;
    return loam_shards_write_index(directory, merge->tensors, merge->shard_of, merge->model->parameter_count,
                                   merge->shards, result->bytes, result->parameters, error);
}

static void count_all(const struct merge *merge, struct loam_merge_result *result)
{
    *result = (struct loam_merge_result){.tensors = merge->model->parameter_count,
                                         .files = merge->shards,
                                         .parameters = loam_model_parameter_total(merge->model)};
    for (size_t i = 0; i < merge->model->parameter_count; i++) {
        result->bytes += merge->bytes[i];
        const bool merged = merge->merged[i] != NULL || merge->has_tokens[i] || merge->replaced[i] != NULL;
        result->merged += merged;
    }
}

static enum loam_status run_merge(struct merge *merge, struct loam_merge_result *result,
                                  struct loam_error *error)
{
    LOAM_TRY(check_out(merge->settings, error));
    LOAM_TRY(loam_model_check_files(merge->settings->model, true, error));
    LOAM_TRY(open_all(merge, error));
    count_all(merge, result);
    merge->total = (int64_t)result->bytes;
    LOAM_TRY(loam_staging_open(&merge->staging, merge->settings->out, merge->settings->overwrite,
                               log_of(merge->settings), error));
    enum loam_status status = write_files(merge, result, error);
    if (status == LOAM_OK) status = loam_staging_commit(&merge->staging, "config.json", error);
    if (status == LOAM_OK) {
        loam_model_warn_of_old_files(merge->settings->model, merge->settings->out, true,
                                     merge->has_other_chat ? loam_chat_source_file : NULL,
                                     log_of(merge->settings));
        status = loam_shards_remove_old(merge->settings->out, merge->shards, error);
    }
    loam_staging_close(&merge->staging);
    return status;
}

enum loam_status loam_merge(const struct loam_merge_settings *settings, struct loam_merge_result *result,
                            struct loam_error *error)
{
    struct merge merge = {.settings = settings};
    enum loam_status status = run_merge(&merge, result, error);
    for (size_t i = 0; i < merge.adapter_count; i++) {
        loam_adapter_destroy(merge.adapters[i]);
        free(merge.buffers[2 * i]);
        free(merge.buffers[2 * i + 1]);
    }
    free(merge.adapters);
    free(merge.terms);
    free(merge.buffers);
    loam_model_destroy(merge.model);
    loam_container_destroy(merge.base);
    free(merge.sources);
    free(merge.adapted);
    free((void *)merge.merged);
    free(merge.has_tokens);
    free((void *)merge.replaced);
    free(merge.tensors);
    free(merge.bytes);
    free(merge.shard_of);
    free(merge.of_shard);
    free(merge.parameter_of);
    free(merge.row);
    free(merge.delta);
    free(merge.gains);
    return status;
}
