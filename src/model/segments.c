// Which rows of a pass go through which adapter.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "model/decoder.h"
#include "model/pass.h"

// ---- what a decoder is made for ----

// The most segments that one row of a batch goes through. Several may name the same adapter.
static int64_t adapters_of_row(const struct loam_decoder *decoder)
{
    const int32_t most = decoder->limits.adapters_of_row;
    return most > 0 ? most : (int64_t)decoder->adapter_count;
}

// Columns of x AT for each row.
static int64_t columns_of(const struct loam_decoder *decoder, size_t linear)
{
    int64_t largest = 0;
    for (size_t i = 0; i < decoder->adapter_count; i++) {
        const struct loam_lora_slot *slot = &decoder->adapters[i]->slots[linear];
        const int64_t rank = slot->rank + (slot->taken != NULL ? slot->taken->rank : 0);
        if (rank > largest) largest = rank;
    }
    return adapters_of_row(decoder) * largest;
}

static bool adapter_trained(const struct loam_decoder *decoder, size_t linear)
{
    for (size_t i = 0; i < decoder->adapter_count; i++)
        if (decoder->adapters[i]->slots[linear].da.data != NULL) return true;
    return false;
}

static struct loam_linear_use use_of(const struct loam_decoder *decoder, const struct loam_linear *linear)
{
    const bool weight = loam_decoder_weight_gradient(decoder, linear).data != NULL;
    const bool bias = loam_decoder_gradient(decoder, linear->bias).data != NULL;
    const int64_t columns = columns_of(decoder, linear->index);
    const bool adapter = adapter_trained(decoder, linear->index);
    return (struct loam_linear_use){
        .columns = columns, .trained = weight || bias || adapter, .reads_input = weight || columns > 0};
}

static enum loam_status check_adapter(const struct loam_model *model, const struct loam_segment *segment,
                                      struct loam_error *error)
{
    const size_t beyond = model->module_count - model->linear_count; // head and embedding
    const size_t count = segment->adapter == NULL ? 0 : segment->adapter->count;
    if (count != model->module_count)
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "an adapter of %zu linears for a model of %zu: it was made for another model",
                         count < beyond ? 0 : count - beyond, model->linear_count);
    if (segment->first < 0 || (segment->rows < 0 && segment->rows != LOAM_ALL_ROWS) ||
        !isfinite(segment->factor))
        return loam_fail(
            error, LOAM_ERROR_ARGUMENT,
            "a segment of %d rows from row %d with the factor %g: expected rows of the batch and "
            "a finite factor",
            segment->rows, segment->first, (double)segment->factor);
    return LOAM_OK;
}

bool loam_decoder_trains_tokens(const struct loam_decoder *decoder, enum loam_token_place place)
{
    for (size_t i = 0; i < decoder->adapter_count; i++)
        if (decoder->adapters[i]->tokens[place].drows.data != NULL) return true;
    return false;
}

bool loam_decoder_trains_embedding(const struct loam_decoder *decoder)
{
    return adapter_trained(decoder, decoder->model->embedder.index) ||
           loam_decoder_trains_tokens(decoder, LOAM_TOKENS_OF_EMBEDDING);
}

static bool trains(const struct loam_decoder *decoder)
{
    const struct loam_model *model = decoder->model;
    for (size_t i = 0; i <= model->linear_count; i++)
        if (decoder->uses[i].trained) return true;
    if (loam_decoder_trains_tokens(decoder, LOAM_TOKENS_OF_HEAD)) return true;
    if (loam_decoder_trains_embedding(decoder)) return true;
    for (size_t i = 0; i < model->parameter_count; i++)
        if (loam_decoder_gradient(decoder, &model->parameters[i]).data != NULL) return true;
    return false;
}

bool loam_decoder_replaces(const struct loam_decoder *decoder)
{
    for (size_t i = 0; i < decoder->adapter_count; i++)
        if (decoder->adapters[i]->replaced_count > 0) return true;
    return false;
}

static enum loam_status reserve(struct loam_decoder *decoder, size_t count, struct loam_error *error)
{
    if (count <= decoder->segment_capacity) return LOAM_OK;
    struct loam_segment *chosen = loam_calloc(4 * count, sizeof *chosen, error);
    struct loam_tensor *norms = loam_calloc(count, sizeof *norms, error);
    if (chosen == NULL || norms == NULL) {
        free(chosen);
        free(norms);
        return LOAM_ERROR_MEMORY;
    }
    free(decoder->chosen);
    free(decoder->head_norms);
    decoder->head_norms = norms;
    decoder->chosen = chosen;
    decoder->of_rows = chosen + count;
    decoder->of_kept = chosen + 2 * count;
    decoder->of_part = chosen + 3 * count;
    decoder->segment_capacity = count;
    return LOAM_OK;
}

enum loam_status loam_decoder_take_adapters(struct loam_decoder *decoder, struct loam_error *error)
{
    const struct loam_segments *given = &decoder->limits.adapters;
    const struct loam_model *model = decoder->model;
    const struct loam_linear *linear;
    decoder->uses = loam_calloc(model->linear_count + 1, sizeof *decoder->uses, error);
    decoder->adapters = loam_calloc(given->count, sizeof *decoder->adapters, error);
    if (decoder->uses == NULL || decoder->adapters == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < given->count; i++) {
        LOAM_TRY(check_adapter(model, &given->items[i], error));
        decoder->adapters[decoder->adapter_count++] = given->items[i].adapter;
    }
    for (size_t i = 0; (linear = loam_model_linear_at(model, i)) != NULL; i++)
        decoder->uses[i] = use_of(decoder, linear);
    decoder->uses[model->linear_count] = use_of(decoder, &model->head);
    if (decoder->limits.train && !trains(decoder))
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "a decoder to train has nothing that is trained: neither an adapter with gradients "
                         "nor gradients of the model");
    LOAM_TRY(reserve(decoder, given->count, error));
    for (size_t i = 0; i < given->count; i++)
        decoder->chosen[i] = (struct loam_segment){
            .adapter = given->items[i].adapter, .rows = LOAM_ALL_ROWS, .factor = given->items[i].factor};
    decoder->segment_count = given->count;
    return LOAM_OK;
}

// ---- what the next passes take ----

static bool made_for(const struct loam_decoder *decoder, const struct loam_adapter_slots *adapter)
{
    for (size_t i = 0; i < decoder->adapter_count; i++)
        if (decoder->adapters[i] == adapter) return true;
    return false;
}

enum loam_status loam_decoder_adapt(struct loam_decoder *decoder, const struct loam_segments *segments,
                                    struct loam_error *error)
{
    for (size_t i = 0; i < segments->count; i++) {
        LOAM_TRY(check_adapter(decoder->model, &segments->items[i], error));
        if (!made_for(decoder, segments->items[i].adapter))
            return loam_fail(error, LOAM_ERROR_ARGUMENT,
                             "segment %zu names an adapter that the decoder was not made for", i);
    }
    LOAM_TRY(reserve(decoder, segments->count, error));
    if (segments->count > 0)
        memcpy(decoder->chosen, segments->items, segments->count * sizeof *segments->items);
    decoder->segment_count = segments->count;
    return LOAM_OK;
}

// How many of the chosen segments a row of the batch goes through; `replacing`: of those alone whose adapters
// replace parameters.
static int64_t segments_over(const struct loam_decoder *decoder, int32_t row, bool replacing)
{
    int64_t count = 0;
    for (size_t i = 0; i < decoder->segment_count; i++) {
        const struct loam_segment *segment = &decoder->chosen[i];
        const bool ends_later = segment->rows == LOAM_ALL_ROWS || row - segment->first < segment->rows;
        const bool counts = !replacing || segment->adapter->replaced_count > 0;
        count += counts && row >= segment->first && ends_later;
    }
    return count;
}

// An adapter that replaces parameters goes over each row of a batch once: a row cannot have parameters of its
// own.
static enum loam_status check_replacing(const struct loam_decoder *decoder, int32_t rows,
                                        struct loam_error *error)
{
    const struct loam_adapter_slots *adapter = NULL;
    int64_t covered = 0;
    bool fits = true;
    for (size_t i = 0; i < decoder->segment_count; i++) {
        const struct loam_segment *segment = &decoder->chosen[i];
        const int32_t count = segment->rows == LOAM_ALL_ROWS ? rows - segment->first : segment->rows;
        if (segment->adapter->replaced_count == 0 || count == 0) continue;
        fits = fits && segment->factor == 1.0f && (adapter == NULL || adapter == segment->adapter) &&
               segments_over(decoder, segment->first, true) == 1;
        adapter = segment->adapter;
        covered += count;
    }
    if (fits && (adapter == NULL || covered == rows)) return LOAM_OK;
    return loam_fail(
        error, LOAM_ERROR_ARGUMENT,
        "an adapter with parameters in place of the model's (modules_to_save, bias): expected it "
        "over every row of the batch once, with the factor 1, and no second such adapter");
}

enum loam_status loam_decoder_check_segments(const struct loam_decoder *decoder, int32_t rows,
                                             struct loam_error *error)
{
    const int64_t most = adapters_of_row(decoder);
    for (size_t i = 0; i < decoder->segment_count; i++) {
        const struct loam_segment *segment = &decoder->chosen[i];
        const int32_t room = rows - segment->first;
        if (segment->first > rows || (segment->rows != LOAM_ALL_ROWS && segment->rows > room))
            return loam_fail(error, LOAM_ERROR_ARGUMENT,
                             "a segment of %d rows from row %d: the batch has %d rows", segment->rows,
                             segment->first, rows);
        // The count over a row rises only at the first row of a segment.
        const int64_t count = segments_over(decoder, segment->first, false);
        if (count > most)
            return loam_fail(error, LOAM_ERROR_ARGUMENT,
                             "row %d of a batch goes through %lld segments: the decoder was made for at most "
                             "%lld",
                             segment->first, (long long)count, (long long)most);
    }
    return check_replacing(decoder, rows, error);
}

// ---- the rows of a pass ----

static int32_t clamp(int32_t value, int32_t most)
{
    if (value < 0) return 0;
    return value < most ? value : most;
}

void loam_pass_take_segments(struct loam_pass *pass, int32_t first, int32_t count)
{
    struct loam_decoder *decoder = pass->decoder;
    for (size_t i = 0; i < decoder->segment_count; i++) {
        const struct loam_segment *chosen = &decoder->chosen[i];
        const int32_t begin = clamp(chosen->first - first, count);
        int32_t end = count;
        if (chosen->rows != LOAM_ALL_ROWS) end = clamp(chosen->first - first + chosen->rows, count);
        decoder->of_rows[i] = *chosen;
        decoder->of_rows[i].first = begin;
        decoder->of_rows[i].rows = end - begin;
    }
    pass->segments = decoder->of_rows;
    pass->segment_count = decoder->segment_count;
}

// How many of the ascending rows [count] are below `row`.
static int32_t rows_below(const int32_t *rows, int32_t count, int32_t row)
{
    int32_t low = 0;
    for (int32_t high = count; low < high;) {
        const int32_t middle = low + (high - low) / 2;
        if (rows[middle] < row)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void loam_pass_keep_segments(struct loam_pass *pass, const int32_t *rows, int32_t count)
{
    struct loam_decoder *decoder = pass->decoder;
    for (size_t i = 0; i < pass->segment_count; i++) {
        const struct loam_segment *all = &decoder->of_rows[i];
        const int32_t end = all->first + all->rows;
        // A segment of all rows keeps all: a dry run has no rows to look at.
        const bool whole = all->first == 0 && end == pass->tokens;
        const int32_t from = whole ? 0 : rows_below(rows, count, all->first);
        decoder->of_kept[i] = *all;
        decoder->of_kept[i].first = from;
        decoder->of_kept[i].rows = (whole ? count : rows_below(rows, count, end)) - from;
    }
}

struct loam_pass loam_pass_part(const struct loam_pass *pass, int64_t first, int64_t count)
{
    struct loam_pass part = *pass;
    part.tokens = count;
    part.first_row += first;
    part.segments = pass->decoder->of_part;
    for (size_t i = 0; i < pass->segment_count; i++) {
        const struct loam_segment *all = &pass->segments[i];
        struct loam_segment *own = &pass->decoder->of_part[i];
        const int32_t begin = clamp(all->first - (int32_t)first, (int32_t)count);
        const int32_t end = clamp(all->first + all->rows - (int32_t)first, (int32_t)count);
        *own = *all;
        own->first = begin;
        own->rows = end - begin;
    }
    return part;
}

void loam_pass_use_kept(struct loam_pass *pass, bool kept)
{
    pass->tokens = kept ? pass->kept.rows.shape[0] : pass->ids.shape[0];
    pass->segments = kept ? pass->decoder->of_kept : pass->decoder->of_rows;
}
