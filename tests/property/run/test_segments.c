// Several adapters in one batch. Each row has the same bits as with its adapter alone, a row without an
// adapter those of the base. Each adapter gets the gradients of its own rows.
#include <math.h>

#include "helpers/feed.h"
#include "parity/run/common_golden.h"

enum { OF_LAYERS = 3, ADAPTERS, MAX_TOKENS = 256 };

// The third adapts other linears than the others; the last is the first without the head and the embedding.
static const struct loam_lora_settings settings[ADAPTERS] = {
    {.rank = 4, .alpha = 8, .target_modules = ".*"}, // the head and the embedding, too
    {.rank = 3, .alpha = 2, .target_modules = "all-linear"},
    {.rank = 2, .alpha = 8, .target_modules = ".*(layers|h|blocks)\\.1\\..*"},
    [OF_LAYERS] = {.rank = 4, .alpha = 8, .target_modules = "all-linear"},
};

struct bench {
    struct golden golden;
    struct loam_device *device;
    struct loam_model *model;
    struct loam_adapter *adapters[ADAPTERS];
    struct loam_trainables sets[ADAPTERS];
    struct loam_batch batch;
    struct loam_decoder *decoder;
    const struct golden_case *kind;
};

static struct loam_error error;

static struct loam_segment segment(const struct bench *bench, int adapter, int32_t first, int32_t rows,
                                   float factor)
{
    return (struct loam_segment){loam_adapter_slots(bench->adapters[adapter]), first, rows, factor};
}

static struct loam_segment sequence_of(const struct bench *bench, int adapter, int sequence)
{
    const int32_t *offsets = bench->batch.offsets;
    return segment(bench, adapter, offsets[sequence], offsets[sequence + 1] - offsets[sequence], 1);
}

static void adapt(struct bench *bench, const struct loam_segment *segments, size_t count)
{
    assert_ok(loam_decoder_adapt(bench->decoder, &(struct loam_segments){segments, count}, &error));
}

static void start_adapter(struct bench *bench, int i, double dropout)
{
    struct loam_lora_settings own = settings[i];
    struct loam_trainables *set = &bench->sets[i];
    own.dropout = dropout;
    assert_ok(loam_adapter_create(&bench->adapters[i], bench->model, &own, set, &error));
    assert_ok(loam_trainables_allocate(set, bench->device, &error));
    assert_ok(loam_adapter_start(bench->adapters[i], (uint64_t)(i % OF_LAYERS) + 1, &error));
    for (size_t t = 1; t < set->count; t += 2) { // B, which starts from zero
        float *b = set->items[t].value.data;
        for (int64_t j = 0; j < loam_tensor_count(&set->items[t].value); j++)
            b[j] = 0.02f * (float)sin((double)(j + 7 * (i % OF_LAYERS)) + (double)t);
    }
}

static void create_decoder(struct bench *bench, enum loam_checkpointing checkpointing, int32_t tokens)
{
    struct loam_segment all[ADAPTERS];
    for (int i = 0; i < ADAPTERS; i++)
        all[i] = segment(bench, i, 0, LOAM_ALL_ROWS, 1);
    const struct loam_decoder_limits limits = {.tokens = tokens,
                                               .sequences = GOLDEN_SEQUENCES,
                                               .context = bench->batch.tokens,
                                               .train = true,
                                               .checkpointing = checkpointing,
                                               .evaluate = true,
                                               .generate = true,
                                               .logit_rows = tokens,
                                               .adapters = {all, ADAPTERS},
                                               .adapters_of_row = 2};
    loam_decoder_destroy(bench->decoder);
    assert_ok(loam_decoder_create(&bench->decoder, bench->model, bench->device, &limits, &error));
}

static void start(struct bench *bench, const struct golden_case *kind, double dropout)
{
    struct loam_config config;
    const struct loam_load_options load = {.dtype = kind->dtype};
    *bench = (struct bench){.kind = kind};
    golden_open(&bench->golden, kind->golden);
    assert_ok(loam_device_create(&bench->device, kind->device, 1, &error));
    assert_ok(loam_config_load(&config, bench->golden.directory, &error));
    assert_ok(loam_model_create(&bench->model, &config, &error));
    assert_ok(loam_model_load(bench->model, bench->golden.directory, bench->device, &load, &error));
    for (int i = 0; i < ADAPTERS; i++)
        start_adapter(bench, i, dropout);
    assert_ok(loam_batch_init(&bench->batch, 512, GOLDEN_SEQUENCES, &error));
    golden_sequences(&bench->golden, 0, GOLDEN_SEQUENCES, &bench->batch);
    create_decoder(bench, LOAM_CHECKPOINT_NONE, bench->batch.tokens);
}

static void end(struct bench *bench)
{
    loam_decoder_destroy(bench->decoder);
    loam_batch_deinit(&bench->batch);
    for (int i = 0; i < ADAPTERS; i++) {
        loam_adapter_destroy(bench->adapters[i]);
        loam_trainables_deinit(&bench->sets[i]);
    }
    loam_model_destroy(bench->model);
    loam_device_destroy(bench->device);
    golden_close(&bench->golden);
}

// ---- forward ----

static float *logits_of(struct bench *bench, const struct loam_segment *segments, size_t count)
{
    const size_t elements = (size_t)(bench->batch.tokens * bench->model->config.vocabulary);
    float *logits = calloc(elements, sizeof *logits);
    assert_non_null(logits);
    adapt(bench, segments, count);
    assert_ok(loam_decoder_logits(bench->decoder, &bench->batch, logits, &error));
    return logits;
}

// Returns the logits of a decoder that was created without adapters.
static float *base_logits(struct bench *bench)
{
    const struct loam_decoder_limits limits = {
        .tokens = bench->batch.tokens, .sequences = GOLDEN_SEQUENCES, .logit_rows = bench->batch.tokens};
    struct loam_decoder *with = bench->decoder;
    assert_ok(loam_decoder_create(&bench->decoder, bench->model, bench->device, &limits, &error));
    float *logits = logits_of(bench, NULL, 0);
    loam_decoder_destroy(bench->decoder);
    bench->decoder = with;
    return logits;
}

static void assert_rows(const struct bench *bench, const float *logits, const float *expected, int sequence)
{
    const int64_t vocabulary = bench->model->config.vocabulary, first = bench->batch.offsets[sequence];
    const int64_t count = bench->batch.offsets[sequence + 1] - first;
    assert_memory_equal(logits + first * vocabulary, expected + first * vocabulary,
                        (size_t)(count * vocabulary) * sizeof *logits);
}

static void rows_have_the_bits_of_their_adapter(void **state)
{
    struct bench bench;
    start(&bench, *state, 0);
    const struct loam_segment alone[] = {segment(&bench, 0, 0, LOAM_ALL_ROWS, 1),
                                         segment(&bench, 2, 0, LOAM_ALL_ROWS, 1)};
    const struct loam_segment shared[] = {sequence_of(&bench, 0, 0), sequence_of(&bench, 2, 2)};
    float *base = base_logits(&bench), *none = logits_of(&bench, NULL, 0);
    float *first = logits_of(&bench, &alone[0], 1), *last = logits_of(&bench, &alone[1], 1);
    float *both = logits_of(&bench, shared, 2);
    const size_t bytes = (size_t)(bench.batch.tokens * bench.model->config.vocabulary) * sizeof *base;
    assert_memory_equal(none, base, bytes);
    assert_memory_not_equal(first, base, bytes);
    assert_memory_not_equal(last, base, bytes);
    assert_rows(&bench, both, first, 0);
    assert_rows(&bench, both, base, 1);
    assert_rows(&bench, both, last, 2);
    free(base), free(none), free(first), free(last), free(both);
    end(&bench);
}

static double difference(const float *a, const float *b, size_t count)
{
    double most = 0, largest = 0;
    for (size_t i = 0; i < count; i++) {
        most = fmax(most, fabs((double)a[i] - (double)b[i]));
        largest = fmax(largest, fabs((double)b[i]));
    }
    return most / largest;
}

// Whether a and b differ by no more than rounding: in bf16 in the norm, but for BLOOM's and Llama's in their
// elements, as in f32.
static bool are_near(const struct bench *bench, const float *a, const float *b, size_t count,
                     enum golden_value value)
{
    const bool f32 = bench->kind->dtype == LOAM_F32;
    const double bound = f32 ? 1e-5 : golden_pair_bound(&bench->golden, "adapter", bench->model, value);
    if (f32 || golden_is_plain(bench->model)) return difference(a, b, count) < bound;
    return golden_error(a, b, (int64_t)count) < bound;
}

// Factors of segments over the same rows add up: 1 and -1 give the base, twice a half gives the whole
// adapter. In bf16 the bounds count the roundings of layers alone.
static void updates_of_shared_rows_add_up(void **state)
{
    struct bench bench;
    start(&bench, *state, 0);
    const int which = bench.kind->dtype == LOAM_F32 ? 0 : OF_LAYERS;
    const struct loam_segment gone[] = {segment(&bench, which, 0, LOAM_ALL_ROWS, 1),
                                        segment(&bench, which, 0, LOAM_ALL_ROWS, -1)};
    const struct loam_segment halves[] = {segment(&bench, which, 0, LOAM_ALL_ROWS, 0.5f),
                                          segment(&bench, which, 0, LOAM_ALL_ROWS, 0.5f)};
    const size_t count = (size_t)(bench.batch.tokens * bench.model->config.vocabulary);
    float *base = base_logits(&bench), *whole = logits_of(&bench, gone, 1);
    float *without = logits_of(&bench, gone, 2), *twice = logits_of(&bench, halves, 2);
    assert_false(are_near(&bench, whole, base, count, GOLDEN_SUMS));
    assert_true(are_near(&bench, without, base, count, GOLDEN_SUMS));
    assert_true(are_near(&bench, twice, whole, count, GOLDEN_SUMS));
    free(base), free(whole), free(without), free(twice);
    end(&bench);
}

// ---- generation ----

static void feed(struct bench *bench, const struct loam_segment *segments, size_t count, float *logits)
{
    adapt(bench, segments, count);
    loam_decoder_cache_truncate(bench->decoder, 0, 0);
    assert_ok(test_feed(bench->decoder, bench->batch.ids, bench->batch.tokens, logits, &error));
}

// Segments count rows of the fed tokens, also if these are fed in chunks.
static void generation_takes_segments(void **state)
{
    struct bench bench;
    start(&bench, *state, 0);
    const int32_t tokens = bench.batch.tokens;
    const size_t count = (size_t)bench.model->config.vocabulary;
    float *logits[4];
    for (int i = 0; i < 4; i++)
        assert_non_null(logits[i] = calloc(count, sizeof *logits[i]));
    create_decoder(&bench, LOAM_CHECKPOINT_NONE, 3); // tokens of a chunk
    const struct loam_segment whole = segment(&bench, 0, 0, LOAM_ALL_ROWS, 1);
    const struct loam_segment parts[] = {segment(&bench, 0, 0, 4, 1), segment(&bench, 0, 4, tokens - 4, 1)};
    // With windows the last row may not see the first ones: there the segment leaves out more rows.
    const int32_t from = bench.model->config.window > 0 ? tokens - 2 : 4;
    const struct loam_segment end_alone = segment(&bench, 0, from, tokens - from, 1);
    feed(&bench, &whole, 1, logits[0]);
    feed(&bench, parts, 2, logits[1]);
    feed(&bench, &end_alone, 1, logits[2]);
    feed(&bench, NULL, 0, logits[3]);
    assert_true(difference(logits[1], logits[0], count) < 1e-5);
    assert_memory_not_equal(logits[2], logits[0], count * sizeof(float));
    assert_memory_not_equal(logits[3], logits[0], count * sizeof(float));
    assert_memory_not_equal(logits[3], logits[2], count * sizeof(float));
    for (int i = 0; i < 4; i++)
        free(logits[i]);
    end(&bench);
}

// ---- backward ----

// Only the last `last` labelled rows of each sequence count.
static void label(struct bench *bench, int32_t last)
{
    struct loam_batch *batch = &bench->batch;
    int32_t ids[MAX_TOKENS];
    float weights[MAX_TOKENS] = {0};
    golden_sequences(&bench->golden, 0, GOLDEN_SEQUENCES, batch);
    assert_true(batch->tokens < MAX_TOKENS);
    memcpy(ids, batch->ids, (size_t)batch->tokens * sizeof *ids);
    for (int s = 0; s < batch->sequences; s++)
        for (int32_t t = batch->offsets[s]; t < batch->offsets[s + 1]; t++)
            if (t >= batch->offsets[s + 1] - last) weights[t + 1] = batch->weights[t];
    loam_batch_clear(batch);
    for (int s = 0; s < GOLDEN_SEQUENCES; s++) {
        const int32_t first = batch->tokens;
        assert_ok(loam_batch_append(batch, "golden", ids + first, weights + first,
                                    batch->offsets[s + 1] - first, &error));
    }
}

// Returns the gradients of all adapters in one array, released with free().
static float *gradients_of(struct bench *bench, const struct loam_segment *segments, size_t count,
                           size_t *elements)
{
    *elements = 0;
    for (int i = 0; i < ADAPTERS; i++) {
        const struct loam_tensor *gradients = &bench->sets[i].gradients;
        memset(gradients->data, 0, loam_tensor_bytes(gradients));
        *elements += (size_t)loam_tensor_count(gradients);
    }
    adapt(bench, segments, count);
    assert_ok(loam_decoder_train(bench->decoder, &bench->batch, 0.125, 5, 3, &error));
    assert_true(loam_batch_loss(&bench->batch) > 0 || bench->batch.labels.count == 0);
    float *all = calloc(*elements, sizeof *all), *next = all;
    assert_non_null(all);
    for (int i = 0; i < ADAPTERS; i++) {
        const struct loam_tensor *gradients = &bench->sets[i].gradients;
        memcpy(next, gradients->data, loam_tensor_bytes(gradients));
        next += loam_tensor_count(gradients);
    }
    return all;
}

static bool is_zero(const float *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (values[i] != 0) return false;
    return true;
}

// An adapter in a shared batch gets the same gradient bits as alone over its rows. Over all rows it gets the
// sum of the gradients of the sequences. With a small `last` the top layer drops rows.
static void check_gradients(struct bench *bench, int32_t last)
{
    const struct loam_segment both[] = {sequence_of(bench, 0, 1), sequence_of(bench, 1, 2)};
    const struct loam_segment whole = segment(bench, 0, 0, LOAM_ALL_ROWS, 1);
    const size_t own = (size_t)loam_tensor_count(&bench->sets[0].gradients);
    const size_t second = (size_t)loam_tensor_count(&bench->sets[1].gradients);
    size_t count;
    label(bench, last);
    float *shared = gradients_of(bench, both, 2, &count), *other = gradients_of(bench, &both[1], 1, &count);
    float *all = gradients_of(bench, &whole, 1, &count), *sum = calloc(own, sizeof *sum);
    assert_non_null(sum);
    assert_memory_equal(shared + own, other + own, second * sizeof *shared);
    assert_true(is_zero(other, own));
    assert_true(is_zero(shared + own + second, count - own - second));
    for (int s = 0; s < GOLDEN_SEQUENCES; s++) {
        const struct loam_segment one = sequence_of(bench, 0, s);
        float *part = gradients_of(bench, &one, 1, &count);
        if (s == 1) assert_memory_equal(shared, part, own * sizeof *shared);
        assert_true(is_zero(part + own, count - own));
        for (size_t i = 0; i < own; i++)
            sum[i] += part[i];
        free(part);
    }
    assert_false(is_zero(all, own));
    assert_true(are_near(bench, sum, all, own, GOLDEN_GRADIENTS));
    free(shared), free(other), free(all), free(sum);
}

static void adapters_get_the_gradients_of_their_rows(void **state)
{
    static const double dropouts[] = {0, 0.3};
    for (size_t d = 0; d < 2; d++) {
        struct bench bench;
        start(&bench, *state, dropouts[d]);
        check_gradients(&bench, INT32_MAX / 2);
        check_gradients(&bench, 2);
        end(&bench);
    }
}

// A frozen adapter, here with a negative factor, passes the gradient on to its input and gets none itself.
static void frozen_adapters_pass_gradients_on(void **state)
{
    struct bench bench;
    start(&bench, *state, 0);
    const struct loam_segment segments[] = {segment(&bench, 0, 0, LOAM_ALL_ROWS, 1),
                                            segment(&bench, 1, 0, LOAM_ALL_ROWS, -1)};
    const size_t own = (size_t)loam_tensor_count(&bench.sets[0].gradients);
    const size_t second = (size_t)loam_tensor_count(&bench.sets[1].gradients);
    const struct loam_adapter_slots *slots = loam_adapter_slots(bench.adapters[1]);
    size_t count;
    label(&bench, INT32_MAX / 2);
    float *trained = gradients_of(&bench, segments, 2, &count);
    for (size_t i = 0; i < slots->count; i++)
        slots->slots[i].da.data = slots->slots[i].db.data = NULL;
    create_decoder(&bench, LOAM_CHECKPOINT_NONE, bench.batch.tokens);
    float *frozen = gradients_of(&bench, segments, 2, &count);
    assert_false(is_zero(trained + own, second));
    assert_true(is_zero(frozen + own, second));
    assert_memory_equal(frozen, trained, own * sizeof *frozen);
    free(trained), free(frozen);
    end(&bench);
}

// The levels of checkpointing give the same bits.
static void checkpointing_keeps_segments(void **state)
{
    struct bench bench;
    start(&bench, *state, 0.3);
    const struct loam_segment segments[] = {sequence_of(&bench, 0, 0), sequence_of(&bench, 1, 2),
                                            segment(&bench, 2, 0, LOAM_ALL_ROWS, 0.5f)};
    for (int32_t last = 2; last < 99; last += 96) {
        float *expected = NULL;
        label(&bench, last);
        for (enum loam_checkpointing level = LOAM_CHECKPOINT_NONE; level <= LOAM_CHECKPOINT_BLOCK; level++) {
            size_t count;
            create_decoder(&bench, level, bench.batch.tokens);
            float *gradients = gradients_of(&bench, segments, 3, &count);
            if (expected != NULL) assert_memory_equal(gradients, expected, count * sizeof *gradients);
            if (expected == NULL)
                expected = gradients;
            else
                free(gradients);
        }
        free(expected);
    }
    end(&bench);
}

// Micro-batches of one sequence add up to the gradients of the whole batch.
static void micro_batches_add_up(void **state)
{
    struct bench bench;
    size_t count;
    start(&bench, *state, 0);
    const struct loam_segment segments[] = {sequence_of(&bench, 0, 0), sequence_of(&bench, 1, 1),
                                            sequence_of(&bench, 0, 2)};
    label(&bench, INT32_MAX / 2);
    float *whole = gradients_of(&bench, segments, 3, &count), *sum = calloc(count, sizeof *sum);
    assert_non_null(sum);
    for (int s = 0; s < GOLDEN_SEQUENCES; s++) {
        golden_sequences(&bench.golden, s, 1, &bench.batch);
        const struct loam_segment own = segment(&bench, s == 1, 0, LOAM_ALL_ROWS, 1);
        float *part = gradients_of(&bench, &own, 1, &count);
        for (size_t i = 0; i < count; i++)
            sum[i] += part[i];
        free(part);
    }
    assert_true(are_near(&bench, sum, whole, count, GOLDEN_GRADIENTS));
    free(whole), free(sum);
    end(&bench);
}

// ---- failures and destruction ----

static void refused(void **state)
{
    struct bench bench;
    struct loam_adapter *stranger;
    struct loam_lora_settings own = {.rank = 1, .alpha = 1};
    start(&bench, *state, 0);
    assert_ok(loam_adapter_create(&stranger, bench.model, &own, NULL, &error));
    struct loam_adapter_slots short_of_one = *loam_adapter_slots(bench.adapters[0]);
    short_of_one.count--;
    const int32_t tokens = bench.batch.tokens;
    const struct {
        struct loam_segment segments[3];
        size_t count;
        const char *message;
    } cases[] = {
        {{{loam_adapter_slots(stranger), 0, 1, 1}}, 1, "segment 0 names an adapter that the decoder was not"},
        {{{&short_of_one, 0, 1, 1}}, 1, "it was made for another model"},
        {{{NULL, 0, 1, 1}}, 1, "an adapter of 0 linears"},
        {{segment(&bench, 0, -1, 2, 1)}, 1, "a segment of 2 rows from row -1"},
        {{segment(&bench, 0, 0, -2, 1)}, 1, "a segment of -2 rows"},
        {{segment(&bench, 0, 0, 1, NAN)}, 1, "a finite factor"},
        {{segment(&bench, 0, 0, tokens + 1, 1)}, 1, "the batch has"},
        {{segment(&bench, 0, 3, INT32_MAX, 1)}, 1, "the batch has"},
        {{segment(&bench, 0, tokens + 1, LOAM_ALL_ROWS, 1)}, 1, "the batch has"},
        {{segment(&bench, 0, 0, LOAM_ALL_ROWS, 1), segment(&bench, 1, 0, LOAM_ALL_ROWS, 1),
          segment(&bench, 2, 0, 1, 1)},
         3,
         "the decoder was made for at most"},
        // Few rows in all, but each of them goes through three segments.
        {{segment(&bench, 0, 1, 2, 1), segment(&bench, 1, 1, 2, 1), segment(&bench, 2, 1, 2, 1)},
         3,
         "row 1 of a batch goes through 3 segments: the decoder was made for at most 2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum loam_status status = loam_decoder_adapt(
            bench.decoder, &(struct loam_segments){cases[i].segments, cases[i].count}, &error);
        if (status == LOAM_OK) status = loam_decoder_evaluate(bench.decoder, &bench.batch, &error);
        assert_fails(status, LOAM_ERROR_ARGUMENT, cases[i].message);
    }
    const struct loam_decoder_limits nothing = {.tokens = 8, .sequences = 1, .train = true};
    struct loam_decoder *decoder;
    assert_fails(loam_decoder_create(&decoder, bench.model, bench.device, &nothing, &error),
                 LOAM_ERROR_ARGUMENT, "nothing that is trained");
    loam_adapter_destroy(stranger);
    end(&bench);
}

// Model, adapter, trainables and decoder may be destroyed in any order.
static void destroyed_in_any_order(void **state)
{
    static const char *const orders[] = {"mads", "amds", "dmas", "smad", "dsam", "admsa", "sdma", "masd"};
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        struct bench bench;
        start(&bench, *state, 0);
        free(logits_of(&bench, &(struct loam_segment){loam_adapter_slots(bench.adapters[0]), 0, 1, 1}, 1));
        for (const char *next = orders[i]; *next != '\0'; next++) {
            if (*next == 'm') loam_model_destroy(bench.model), bench.model = NULL;
            if (*next == 'd') loam_decoder_destroy(bench.decoder), bench.decoder = NULL;
            for (int j = 0; j < ADAPTERS; j++) {
                if (*next == 'a') loam_adapter_destroy(bench.adapters[j]), bench.adapters[j] = NULL;
                if (*next == 's') loam_trainables_deinit(&bench.sets[j]);
            }
        }
        end(&bench);
    }
}

int main(void)
{
    static const struct {
        const char *name;
        CMUnitTestFunction function;
    } properties[] = {
        {"rows have the bits of their adapter", rows_have_the_bits_of_their_adapter},
        {"updates of shared rows add up", updates_of_shared_rows_add_up},
        {"generation takes segments", generation_takes_segments},
        {"adapters get the gradients of their rows", adapters_get_the_gradients_of_their_rows},
        {"frozen adapters pass gradients on", frozen_adapters_pass_gradients_on},
        {"checkpointing keeps segments", checkpointing_keeps_segments},
        {"micro-batches add up", micro_batches_add_up},
        {"refused", refused},
        {"destroyed in any order", destroyed_in_any_order},
    };
    enum { PROPERTIES = sizeof properties / sizeof properties[0] };
    static struct golden_case cases[PROPERTIES][GOLDEN_CASES];
    static struct CMUnitTest tests[PROPERTIES * GOLDEN_CASES];
    for (size_t i = 0; i < PROPERTIES; i++)
        golden_cases(cases[i], tests + i * GOLDEN_CASES, properties[i].name, properties[i].function);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
