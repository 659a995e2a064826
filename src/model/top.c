#include "model/top.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap.h"

enum { MORE_ASKED = 64 }; // ids that are asked for besides those of the context

// The sizes of a search: what the rows want together.
struct sizes {
    int64_t rows, vocabulary, words, k, asked;
    bool allowed, sums;
};

// The host's block of inputs, and the device's; each member is one after the other: allowed, asked, factors.
struct inputs {
    int32_t *allowed, *asked;
    float *factors;
    int64_t count; // of elements of 4 bytes
};
// The block of results: values, ids, answers, sums, faults.
struct results {
    float *values, *answers, *sums;
    int32_t *ids, *faults;
    int64_t count;
};

int32_t loam_top_most_asked(const struct loam_decoder *decoder)
{
    const int64_t vocabulary = decoder->model->config.vocabulary;
    const int64_t most = (int64_t)decoder->limits.context + MORE_ASKED;
    return (int32_t)(most < vocabulary ? most : vocabulary);
}

// The next `count` elements of a block; NULL where the block has no memory.
static void *take(char *block, int64_t *used, int64_t count)
{
    char *const at = block != NULL && count > 0 ? (char *)((uintptr_t)block + 4 * (uintptr_t)*used) : NULL;
    *used += count;
    return at;
}

static struct inputs place_inputs(void *block, const struct sizes *sizes)
{
    struct inputs inputs = {.count = 0};
    inputs.allowed = take(block, &inputs.count, sizes->allowed ? sizes->rows * sizes->words : 0);
    inputs.asked = take(block, &inputs.count, sizes->rows * sizes->asked);
    inputs.factors = take(block, &inputs.count, sizes->sums ? sizes->rows : 0);
    return inputs;
}

static struct results place_results(void *block, const struct sizes *sizes)
{
    struct results results = {.count = 0};
    results.values = take(block, &results.count, sizes->rows * sizes->k);
    results.ids = take(block, &results.count, sizes->rows * sizes->k);
    results.answers = take(block, &results.count, sizes->rows * sizes->asked);
    results.sums = take(block, &results.count, sizes->sums ? sizes->rows : 0);
    results.faults = take(block, &results.count, sizes->rows);
    return results;
}

// ---- host memory ----

static struct sizes largest_sizes(const struct loam_decoder *decoder, int64_t rows)
{
    const int64_t vocabulary = decoder->model->config.vocabulary;
    return (struct sizes){.rows = rows,
                          .vocabulary = vocabulary,
                          .words = (vocabulary + 31) / 32,
                          .k = LOAM_MOST_TOP_LOGITS,
                          .asked = loam_top_most_asked(decoder),
                          .allowed = true,
                          .sums = true};
}

enum loam_status loam_top_init(struct loam_decoder *decoder, struct loam_error *error)
{
    if (!decoder->limits.generate || decoder->device->planning) return LOAM_OK;
    const struct sizes group = largest_sizes(decoder, LOAM_ROWS_ALIKE);
    const struct sizes row = largest_sizes(decoder, 1);
    decoder->top_result_bytes = 4 * (size_t)place_results(NULL, &row).count;
    decoder->top_inputs = loam_calloc((size_t)place_inputs(NULL, &group).count, 4, error);
    decoder->top_results = loam_calloc((size_t)decoder->limits.cached, decoder->top_result_bytes, error);
    return decoder->top_inputs != NULL && decoder->top_results != NULL ? LOAM_OK : LOAM_ERROR_MEMORY;
}

void loam_top_deinit(struct loam_decoder *decoder)
{
    free(decoder->top_inputs);
    free(decoder->top_results);
}

// The host's block of the results from row `first` on.
static void *host_results(const struct loam_decoder *decoder, int32_t first)
{
    return (char *)decoder->top_results + (size_t)first * decoder->top_result_bytes;
}

// ---- a search ----

static struct sizes sizes_of(const struct loam_decoder *decoder, struct loam_top *const *tops, int32_t count)
{
    struct sizes sizes = largest_sizes(decoder, count);
    sizes.k = sizes.asked = 0;
    sizes.allowed = sizes.sums = false;
    for (int32_t i = 0; i < count; i++) {
        if (tops[i]->k > sizes.k) sizes.k = tops[i]->k;
        if (tops[i]->asked_count > sizes.asked) sizes.asked = tops[i]->asked_count;
        sizes.allowed = sizes.allowed || tops[i]->allowed != NULL;
        sizes.sums = sizes.sums || tops[i]->factor > 0;
    }
    return sizes;
}

static void fill_inputs(const struct sizes *sizes, const struct inputs *inputs, struct loam_top *const *tops)
{
    for (int64_t i = 0; i < sizes->rows; i++) {
        const struct loam_top *top = tops[i];
        if (inputs->allowed != NULL && top->allowed != NULL)
            memcpy(inputs->allowed + i * sizes->words, top->allowed, (size_t)sizes->words * sizeof(int32_t));
        else if (inputs->allowed != NULL)
            memset(inputs->allowed + i * sizes->words, 0xff, (size_t)sizes->words * sizeof(int32_t));
        for (int64_t j = 0; j < sizes->asked; j++)
            inputs->asked[i * sizes->asked + j] = j < top->asked_count ? top->asked[j] : -1;
        if (inputs->factors != NULL) inputs->factors[i] = top->factor > 0 ? top->factor : 1;
    }
}

static void *allocate(struct loam_pass *pass, int64_t count)
{
    return count > 0 ? loam_arena_alloc(pass->arena, 4 * (size_t)count) : NULL;
}

static void search(struct loam_pass *pass, struct loam_tensor logits, const struct sizes *sizes,
                   int64_t limit, const struct inputs *inputs, const struct results *results)
{
    loam_top_logits(pass->stream,
                    &(struct loam_top_logits_args){
                        .x = logits,
                        .limit = limit,
                        .allowed = loam_tensor_2d(inputs->allowed, LOAM_I32, sizes->rows, sizes->words),
                        .asked = loam_tensor_2d(inputs->asked, LOAM_I32, sizes->rows, sizes->asked),
                        .values = loam_tensor_2d(results->values, LOAM_F32, sizes->rows, sizes->k),
                        .ids = loam_tensor_2d(results->ids, LOAM_I32, sizes->rows, sizes->k),
                        .factors = loam_tensor_1d(inputs->factors, LOAM_F32, sizes->rows),
                        .sums = loam_tensor_1d(results->sums, LOAM_F32, sizes->rows),
                        .faults = loam_tensor_1d(results->faults, LOAM_I32, sizes->rows),
                        .answers = loam_tensor_2d(results->answers, LOAM_F32, sizes->rows, sizes->asked)});
}

void loam_top_queue(struct loam_pass *pass, struct loam_tensor logits, struct loam_top *const *tops,
                    int32_t first, int32_t count)
{
    const struct loam_decoder *decoder = pass->decoder;
    const struct sizes sizes = sizes_of(decoder, tops, count);
    const struct inputs host = place_inputs(decoder->top_inputs, &sizes);
    void *const input = allocate(pass, host.count);
    const struct inputs inputs = place_inputs(input, &sizes);
    void *const result = allocate(pass, place_results(NULL, &sizes).count);
    const struct results results = place_results(result, &sizes);
    fill_inputs(&sizes, &host, tops);
    if (input != NULL) loam_upload(pass->stream, input, decoder->top_inputs, 4 * (size_t)host.count);
    if (result == NULL) return; // the arena is exhausted, which ends the pass
    search(pass, logits, &sizes, tops[0]->limit, &inputs, &results);
    loam_download(pass->stream, host_results(decoder, first), result, 4 * (size_t)results.count);
}

// Copies `count` elements of a list in the results, where they have it.
static void copy_found(void *target, const void *list, int64_t first, int64_t count)
{
    if (list != NULL && count > 0) memcpy(target, (const char *)list + 4 * first, 4 * (size_t)count);
}

void loam_top_share(const struct loam_decoder *decoder, struct loam_top *const *tops, int32_t first,
                    int32_t count)
{
    const struct sizes sizes = sizes_of(decoder, tops, count);
    const struct results results = place_results(host_results(decoder, first), &sizes);
    for (int32_t i = 0; i < count; i++) {
        struct loam_top *top = tops[i];
        copy_found(top->values, results.values, i * sizes.k, top->k);
        copy_found(top->ids, results.ids, i * sizes.k, top->k);
        copy_found(top->answers, results.answers, i * sizes.asked, top->asked_count);
        copy_found(&top->sum, results.sums, i, 1);
        copy_found(&top->fault, results.faults, i, 1);
    }
}

void loam_top_dry(struct loam_pass *pass, struct loam_tensor logits, int32_t count)
{
    const struct sizes sizes = largest_sizes(pass->decoder, count);
    const struct inputs inputs = place_inputs(allocate(pass, place_inputs(NULL, &sizes).count), &sizes);
    const struct results results = place_results(allocate(pass, place_results(NULL, &sizes).count), &sizes);
    search(pass, logits, &sizes, sizes.vocabulary, &inputs, &results);
}
