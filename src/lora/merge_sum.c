#include "lora/merge_sum.h"

#include <math.h>
#include <string.h>

#include "base/event.h"
#include "base/file.h"
#include "io/streamed.h"

enum { PAGE_LIMIT = 1 << 16 }; // bytes of the largest page size

static bool is_transposed(const struct loam_merge_state *merge)
{
    return (merge->current->weight->row->flags & LOAM_WEIGHT_TRANSPOSED) != 0;
}

// Columns of the stored matrix.
static size_t stored_columns(const struct loam_merge_state *merge)
{
    const struct loam_linear *linear = merge->current;
    return (size_t)(is_transposed(merge) ? linear->out : linear->in);
}

// Adds an update to a piece of a stored row: row[j] += scale * sum over k of left[i, k] right[k, first + j],
// j < count.
static void add_update(const struct loam_merge_state *merge, const struct loam_merge_term *term, size_t i,
                       size_t first, size_t count)
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

static void add_updates(const struct loam_merge_state *merge, size_t i, size_t first, size_t count)
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

static bool has_gains(const struct loam_merge_state *merge)
{
    return merge->terms[0].item->slot->dora;
}

// DoRA scales by outputs: rows of W, columns where it is stored transposed, and columns of an embedding.
static bool scales_columns(const struct loam_merge_state *merge)
{
    return is_transposed(merge) || merge->terms[0].item->is_embedding;
}

// gains[n] = magnitude[n] / ||W[n] + scale B[n] A||, by columns where they are scaled
static void compute_gains(struct loam_merge_state *merge, const struct loam_stored_tensor *source)
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

static void load_term(const struct loam_merge_state *merge, const struct loam_merge_term *term)
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
static void load_terms(struct loam_merge_state *merge, size_t parameter,
                       const struct loam_stored_tensor *source)
{
    const size_t count = merge->adapter_count;
    merge->term_count = 0;
    merge->current = merge->merged[parameter];
    for (size_t i = 0; i < count; i++) {
        const struct loam_adapted *item = merge->adapted[parameter * count + i];
        if (item == NULL) continue;
        struct loam_merge_term *term = &merge->terms[merge->term_count++];
        *term = (struct loam_merge_term){.item = item,
                                         .scale = (float)merge->settings->adapters.items[i].factor *
                                                  item->slot->scale,
                                         .left = merge->buffers[2 * i],
                                         .right = merge->buffers[2 * i + 1]};
        load_term(merge, term);
    }
    if (has_gains(merge)) compute_gains(merge, source);
}

// row[j] *= the gain of its output; row i of the stored matrix, from column `first` on.
static void apply_gains(const struct loam_merge_state *merge, size_t i, size_t first, size_t count)
{
    const bool by_columns = scales_columns(merge);
    for (size_t j = 0; j < count; j++)
        merge->row[j] *= (float)merge->gains[by_columns ? first + j : i];
}

// Writes elements [first, first + count) of W', row by row.
static void merge_block(struct loam_merge_state *merge, const struct loam_stored_tensor *source,
                        enum loam_dtype dtype, size_t first, size_t count, char *block)
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
static const struct loam_stored_tensor *source_of(const struct loam_merge_state *merge, size_t parameter)
{
    return merge->replaced[parameter] != NULL ? merge->replaced[parameter] : merge->sources[parameter];
}

// Writes elements [first, first + count) of bias + scale times the biases of B.
static void merge_bias(struct loam_merge_state *merge, size_t parameter, enum loam_dtype dtype, size_t first,
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
static void merge_token(struct loam_merge_state *merge, const struct loam_trained_tokens *tokens,
                        float factor, int64_t place, size_t parameter, enum loam_dtype dtype, size_t column,
                        size_t count, char *target)
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
static void merge_tokens(struct loam_merge_state *merge, size_t adapter,
                         const struct loam_trained_tokens *tokens, size_t parameter, enum loam_dtype dtype,
                         size_t first, size_t count, char *block)
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

static void merge_all_tokens(struct loam_merge_state *merge, size_t parameter, enum loam_dtype dtype,
                             size_t first, size_t count, char *block)
{
    for (size_t i = 0; i < merge->adapter_count; i++)
        for (size_t j = 0; j < merge->adapters[i]->token_count; j++) {
            const struct loam_trained_tokens *tokens = &merge->adapters[i]->tokens[j];
            for (size_t p = 0; p < tokens->place_count; p++)
                if (loam_merge_token_weight(merge, tokens, p) == &merge->model->parameters[parameter])
                    merge_tokens(merge, i, tokens, parameter, dtype, first, count, block);
        }
}

enum loam_status loam_merge_fill_block(void *user, size_t index, size_t first, size_t count, void *block,
                                       struct loam_error *error)
{
    struct loam_merge_state *merge = user;
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
