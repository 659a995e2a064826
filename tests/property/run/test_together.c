// Sequences that generate together, take other adapters, begin and end at other times, and share the beginnings of
// their prompts: each gets, to the bit, what it gets alone. Losses that come with a prompt are those of an
// evaluation.
#include <math.h>

#include "helpers/generation.h"
#include "parity/run/common_golden.h"

enum { SEQUENCES = 11, PROMPT = 44, NEW = 9, CONTEXT = PROMPT + NEW, ADAPTERS = 3, PREFIX = 20 };

static const struct loam_lora_settings settings[ADAPTERS] = {
    {.rank = 4, .alpha = 8, .target_modules = ".*"}, // the head and the embedding, too
    {.rank = 3, .alpha = 2, .target_modules = "all-linear"},
    {.rank = 2, .alpha = 4, .target_modules = "all-linear", .dora = true},
};

struct bench {
    struct golden golden;
    struct loam_device *device;
    struct loam_model *model;
    struct loam_adapter *adapters[ADAPTERS];
    struct loam_trainables sets[ADAPTERS];
    struct loam_segment all[ADAPTERS];
    uint64_t random;
};

// What a sequence is asked for and what it gave.
struct request {
    int32_t prompt[PROMPT];
    int32_t count;
    int adapter; // -1: the base
    struct loam_generation generation;
};
struct output {
    int32_t ids[NEW + 1];
    int32_t count;
    enum loam_finish finish;
};

static struct loam_error error;

static uint32_t draw(struct bench *bench, uint32_t below)
{
    bench->random = bench->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(bench->random >> 33) % below;
}

static void start_adapter(struct bench *bench, int i)
{
    struct loam_trainables *set = &bench->sets[i];
    assert_ok(loam_adapter_create(&bench->adapters[i], bench->model, &settings[i], set, &error));
    assert_ok(loam_trainables_allocate(set, bench->device, &error));
    assert_ok(loam_adapter_start(bench->adapters[i], (uint64_t)i + 1, &error));
    for (size_t t = 0; t < set->count; t++) {
        float *values = set->items[t].value.data;
        for (int64_t j = 0; j < loam_tensor_count(&set->items[t].value); j++)
            values[j] += 0.02f * (float)sin((double)(j + 7 * i) + (double)t);
    }
    bench->all[i] = (struct loam_segment){loam_adapter_slots(bench->adapters[i]), 0, LOAM_ALL_ROWS, 1};
}

static void start(struct bench *bench, const struct golden_case *kind)
{
    struct loam_config config;
    const struct loam_load_options load = {.dtype = kind->dtype};
    *bench = (struct bench){.random = 7};
    golden_open(&bench->golden, kind->golden);
    assert_ok(loam_device_create(&bench->device, kind->device, 1, &error));
    assert_ok(loam_config_load(&config, bench->golden.directory, &error));
    assert_ok(loam_model_create(&bench->model, &config, &error));
    assert_ok(loam_model_load(bench->model, bench->golden.directory, bench->device, &load, &error));
    for (int i = 0; i < ADAPTERS; i++)
        start_adapter(bench, i);
}

static void end(struct bench *bench)
{
    for (int i = 0; i < ADAPTERS; i++) {
        loam_adapter_destroy(bench->adapters[i]);
        loam_trainables_deinit(&bench->sets[i]);
    }
    loam_model_destroy(bench->model);
    loam_device_destroy(bench->device);
    golden_close(&bench->golden);
}

static int32_t context_of(const struct bench *bench)
{
    const int64_t positions = loam_config_position_limit(&bench->model->config);
    return positions < CONTEXT ? (int32_t)positions : CONTEXT;
}

static struct loam_generator *open_generator(const struct bench *bench, int32_t sequences, bool shares)
{
    struct loam_generator *generator;
    const struct loam_generator_limits limits = {.sequences = sequences,
                                                 .context = context_of(bench),
                                                 .tokens = 2 * PROMPT,
                                                 .adapters = {bench->all, ADAPTERS},
                                                 .adapters_of_sequence = 1,
                                                 .scores = true,
                                                 .shares = shares};
    assert_ok(loam_generator_create(&generator, bench->model, bench->device, &limits, &error));
    return generator;
}

static struct loam_segments adapters_of(const struct bench *bench, const struct request *request)
{
    if (request->adapter < 0) return (struct loam_segments){0};
    return (struct loam_segments){&bench->all[request->adapter], 1};
}

// A prompt of 1 to PROMPT tokens. With `shared` it begins with one of two prefixes, or with a part of one.
static void draw_request(struct bench *bench, struct request *request, bool shared)
{
    static const struct loam_special_tokens none = {.bos = -1, .eos = -1};
    const uint32_t vocabulary = (uint32_t)bench->model->config.vocabulary;
    const uint32_t most = (uint32_t)(context_of(bench) < PROMPT ? context_of(bench) : PROMPT);
    request->count = (int32_t)(1 + draw(bench, most));
    if (shared && request->count < PREFIX) request->count = (int32_t)most;
    const uint32_t prefix = draw(bench, 2), common = PREFIX - draw(bench, 4);
    for (uint32_t t = 0; t < (uint32_t)request->count; t++)
        request->prompt[t] =
            (int32_t)(shared && t < common ? (17 * t + 5 * prefix) % vocabulary : draw(bench, vocabulary));
    request->adapter = (int)draw(bench, ADAPTERS + 1) - 1;
    request->generation = (struct loam_generation){
        .max_new_tokens = (int32_t)(1 + draw(bench, NEW)),
        .vocabulary = INT32_MAX,
        .sampling = {.temperature = 1, .top_p = 1, .repetition_penalty = 1, .seed = draw(bench, 1000)},
        .special = &none};
}

static void generate_alone(const struct bench *bench, struct loam_generator *generator,
                           const struct request *request, struct output *output)
{
    const struct loam_segments adapters = adapters_of(bench, request);
    *output = (struct output){0};
    output->finish = test_generate(generator, request->prompt, request->count, &request->generation,
                                   &adapters, output->ids, &output->count);
}

static void step(struct loam_generator *generator, const size_t *owners, struct output *outputs,
                 size_t *ended)
{
    struct loam_generated next[SEQUENCES];
    size_t count;
    assert_ok(loam_generator_advance(generator, next, &count, &error));
    for (size_t i = 0; i < count; i++) {
        struct output *output = &outputs[owners[next[i].sequence]];
        if (i > 0) assert_true(next[i].sequence > next[i - 1].sequence);
        if (next[i].id >= 0) output->ids[output->count++] = next[i].id;
        output->finish = next[i].finish;
        if (next[i].finish == LOAM_FINISH_NONE) continue;
        loam_generator_end(generator, next[i].sequence);
        ++*ended;
    }
}

// Begins the requests at random times, as places become free.
static void generate_together(struct bench *bench, struct loam_generator *generator,
                              const struct request *requests, size_t count, struct output *outputs)
{
    size_t owners[SEQUENCES], begun = 0, ended = 0;
    memset(outputs, 0, count * sizeof *outputs);
    while (ended < count) {
        while (begun < count && begun - ended < SEQUENCES && draw(bench, 3) > 0) {
            const struct loam_segments adapters = adapters_of(bench, &requests[begun]);
            int32_t sequence;
            assert_ok(loam_generator_begin(generator, requests[begun].prompt, requests[begun].count,
                                           &requests[begun].generation, &adapters, &sequence, &error));
            owners[sequence] = begun++;
        }
        step(generator, owners, outputs, &ended);
    }
}

// The reference device is slow: there a few sequences have to do.
static bool is_slow(const struct golden_case *kind)
{
    return strcmp(kind->device, "ref") == 0;
}

static void check(const struct golden_case *kind, bool shared)
{
    enum { REQUESTS = 12 };
    struct bench bench;
    struct request requests[REQUESTS];
    struct output alone, together[REQUESTS];
    start(&bench, kind);
    struct loam_generator *one = open_generator(&bench, 1, false);
    struct loam_generator *many = open_generator(&bench, SEQUENCES, shared);
    const size_t count = is_slow(kind) ? 4 : REQUESTS;
    for (size_t i = 0; i < count; i++)
        draw_request(&bench, &requests[i], shared);
    generate_together(&bench, many, requests, count, together);
    for (size_t i = 0; i < count; i++) {
        generate_alone(&bench, one, &requests[i], &alone);
        assert_int_equal(together[i].count, alone.count);
        assert_int_equal(together[i].finish, alone.finish);
        assert_memory_equal(together[i].ids, alone.ids, (size_t)alone.count * sizeof(int32_t));
    }
    loam_generator_destroy(one);
    loam_generator_destroy(many);
    end(&bench);
}

static void together_is_alone(void **state)
{
    check(*state, false);
}

static void shared_beginnings_change_nothing(void **state)
{
    check(*state, true);
}

// ---- losses ----

// A text of which the prompt is a part, and the losses that an evaluation gives it.
struct text {
    struct request request;
    float weights[PROMPT];
    float losses[PROMPT];
    float expected[PROMPT];
    int32_t prompt;
};

static void evaluate(const struct bench *bench, struct text *text)
{
    struct loam_decoder *decoder;
    struct loam_batch batch;
    const struct loam_decoder_limits limits = {
        .tokens = PROMPT, .sequences = 1, .evaluate = true, .adapters = adapters_of(bench, &text->request)};
    assert_ok(loam_decoder_create(&decoder, bench->model, bench->device, &limits, &error));
    assert_ok(loam_batch_init(&batch, PROMPT, 1, &error));
    assert_ok(
        loam_batch_append(&batch, "text", text->request.prompt, text->weights, text->request.count, &error));
    assert_ok(loam_decoder_evaluate(decoder, &batch, &error));
    memcpy(text->expected, batch.losses, (size_t)batch.tokens * sizeof *batch.losses);
    loam_batch_deinit(&batch);
    loam_decoder_destroy(decoder);
}

static void draw_text(struct bench *bench, struct text *text)
{
    *text = (struct text){0};
    do
        draw_request(bench, &text->request, true);
    while (text->request.count < 2);
    text->prompt = (int32_t)(1 + draw(bench, (uint32_t)text->request.count));
    const bool whole = draw(bench, 4) == 0; // else the loss is on what follows the prompt
    for (int32_t t = whole ? 1 : text->prompt; t < text->request.count; t++)
        text->weights[t] = draw(bench, 5) == 0 ? 0 : 0.5f + (float)draw(bench, 3);
    if (draw(bench, 6) == 0) text->request.generation.max_new_tokens = 0;
}

static void begin_text(const struct bench *bench, struct loam_generator *generator, struct text *text,
                       int32_t *sequence)
{
    const struct loam_scored scored = {text->request.prompt, text->weights, text->request.count,
                                       text->losses};
    const struct loam_segments adapters = adapters_of(bench, &text->request);
    assert_ok(loam_generator_begin_scored(generator, &scored, text->prompt, &text->request.generation,
                                          &adapters, sequence, &error));
}

static void check_text(const struct bench *bench, struct loam_generator *one, struct text *text,
                       const struct output *together)
{
    const double bound = golden_pair_bound(&bench->golden, "adapter", bench->model, GOLDEN_LOSS);
    struct output alone = {0};
    double loss = 0, expected = 0;
    evaluate(bench, text);
    for (int32_t t = 0; t + 1 < text->request.count; t++) {
        loss += (double)text->weights[t + 1] * (double)text->losses[t];
        expected += (double)text->weights[t + 1] * (double)text->expected[t];
    }
    if (!(fabs(loss - expected) <= bound * expected + 1e-12))
        fail_msg("loss %.9g with the prompt, %.9g alone: bound %g", loss, expected, bound);
    text->request.count = text->prompt;
    if (text->request.generation.max_new_tokens > 0) generate_alone(bench, one, &text->request, &alone);
    // A prompt of few tokens is read by other products alone than with the rest of its text.
    if (text->prompt < 2 * LOAM_ROWS_ALIKE) return;
    assert_int_equal(together->count, alone.count);
    assert_memory_equal(together->ids, alone.ids, (size_t)alone.count * sizeof(int32_t));
}

static void losses_come_with_prompts(void **state)
{
    struct bench bench;
    struct text texts[SEQUENCES];
    struct output outputs[SEQUENCES] = {0};
    size_t owners[SEQUENCES], ended = 0;
    start(&bench, *state);
    struct loam_generator *one = open_generator(&bench, 1, false);
    struct loam_generator *many = open_generator(&bench, SEQUENCES, true);
    const size_t count = is_slow(*state) ? 4 : SEQUENCES;
    for (size_t i = 0; i < count; i++) {
        int32_t sequence;
        draw_text(&bench, &texts[i]);
        begin_text(&bench, many, &texts[i], &sequence);
        owners[sequence] = i;
    }
    while (ended < count)
        step(many, owners, outputs, &ended);
    for (size_t i = 0; i < count; i++)
        check_text(&bench, one, &texts[i], &outputs[i]);
    loam_generator_destroy(one);
    loam_generator_destroy(many);
    end(&bench);
}

int main(void)
{
    static struct golden_case cases[3][GOLDEN_CASES];
    struct CMUnitTest tests[3 * GOLDEN_CASES];
    golden_cases(cases[0], tests, "together = alone", together_is_alone);
    golden_cases(cases[1], tests + GOLDEN_CASES, "shared = alone", shared_beginnings_change_nothing);
    golden_cases(cases[2], tests + 2 * GOLDEN_CASES, "scored = evaluated", losses_come_with_prompts);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
