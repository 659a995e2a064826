// A choice from the largest logits, as a device finds them, against loam_sample on all logits: settings, histories and
// logits drawn at random. Where the largest do not settle the choice, the result must tell it.
#include "test.h"

#include <math.h>

#include "base/rng.h"
#include "device/device.h"
#include "generate/choice.h"
#include "generate/sample.h"

enum { MOST = 20000, HISTORY = 96, CASES = 900 };

static struct loam_error error;

struct draws {
    uint64_t stream, next;
};

static double draw(struct draws *draws)
{
    return (double)loam_rng_uniform(5, draws->stream, draws->next++);
}

static int32_t draw_below(struct draws *draws, int32_t limit)
{
    const int32_t drawn = (int32_t)(draw(draws) * limit);
    return drawn < limit ? drawn : limit - 1;
}

struct bench {
    int32_t vocabulary, most_asked;
    float logits[MOST], copy[MOST];
    int32_t history[HISTORY];
    size_t history_count;
    int32_t eos_ids[2];
    struct loam_special_tokens special;
    struct loam_generation generation;
    struct loam_choice choice;
};

// Flat or peaked, and often with equal ones.
static void draw_logits(struct bench *bench, struct draws *draws)
{
    const double spread = 0.5 + 30 * draw(draws) * draw(draws), step = draw(draws) < 0.5 ? 0.25 : 0;
    for (int32_t i = 0; i < bench->vocabulary; i++) {
        double logit = spread * (draw(draws) + draw(draws) + draw(draws) - 1.5);
        if (step > 0) logit = step * floor(logit / step);
        bench->logits[i] = (float)logit;
    }
}

static void draw_sampling(struct loam_sampling *sampling, struct draws *draws)
{
    static const double temperatures[] = {0, 0.1, 0.7, 1, 1.5, 40}, penalties[] = {1, 1, 1.3, 0.8};
    static const int32_t ks[] = {0, 0, 1, 40, 255, 256, 257, 5000};
    static const double ps[] = {1, 1, 0.999, 0.9, 0.5, 0.01}, mins[] = {0, 0, 0.05, 0.5, 1e-6};
    *sampling = (struct loam_sampling){.temperature = temperatures[draw_below(draws, 6)],
                                       .top_k = ks[draw_below(draws, 8)],
                                       .top_p = ps[draw_below(draws, 6)],
                                       .min_p = mins[draw_below(draws, 5)],
                                       .repetition_penalty = penalties[draw_below(draws, 4)],
                                       .seed = draws->stream};
}

static void draw_case(struct bench *bench, struct draws *draws)
{
    static const int32_t sizes[] = {1, 33, 256, 257, 3000, 3000, MOST};
    bench->vocabulary = sizes[draw_below(draws, 7)];
    draw_logits(bench, draws);
    bench->history_count = (size_t)draw_below(draws, HISTORY);
    for (size_t i = 0; i < bench->history_count; i++)
        bench->history[i] = draw_below(draws, bench->vocabulary < 50 ? bench->vocabulary : 50) *
                            (bench->vocabulary < 50 ? 1 : bench->vocabulary / 50);
    bench->eos_ids[0] = bench->vocabulary - 1;
    bench->eos_ids[1] = draw_below(draws, bench->vocabulary);
    bench->special = (struct loam_special_tokens){.eos_ids = bench->eos_ids, .eos_count = 2};
    bench->generation = (struct loam_generation){
        .vocabulary = draw(draws) < 0.5 ? bench->vocabulary : 1 + draw_below(draws, bench->vocabulary),
        .special = &bench->special};
    draw_sampling(&bench->generation.sampling, draws);
    bench->most_asked = draw(draws) < 0.1 ? 5 : 64;
}

// What a device gives for choice->top.
static void search(struct loam_stream *stream, const struct bench *bench, struct loam_top *top)
{
    const int32_t v = bench->vocabulary;
    const struct loam_top_logits_args args = {
        .x = loam_tensor_2d((float *)bench->logits, LOAM_F32, 1, v),
        .limit = top->limit,
        .allowed = loam_tensor_2d((int32_t *)top->allowed, LOAM_I32, 1, (v + 31) / 32),
        .asked = loam_tensor_2d(top->asked_count > 0 ? (int32_t *)top->asked : NULL, LOAM_I32, 1,
                                top->asked_count),
        .values = loam_tensor_2d(top->values, LOAM_F32, 1, top->k),
        .ids = loam_tensor_2d(top->ids, LOAM_I32, 1, top->k),
        .factors = loam_tensor_1d(&top->factor, LOAM_F32, 1),
        .sums = loam_tensor_1d(top->factor > 0 ? &top->sum : NULL, LOAM_F32, 1),
        .faults = loam_tensor_1d(&top->fault, LOAM_I32, 1),
        .answers = loam_tensor_2d(top->asked_count > 0 ? top->answers : NULL, LOAM_F32, 1, top->asked_count)};
    stream->checked = true;
    loam_top_logits(stream, &args);
    assert_ok(loam_stream_finish(stream, &error));
}

// Returns whether the largest logits settle the choice.
static bool check_case(struct loam_stream *stream, struct bench *bench, struct draws *draws)
{
    struct loam_sampling sampling = bench->generation.sampling;
    struct loam_choice *choice = &bench->choice;
    bool is_known = false, settled = true;
    assert_ok(loam_choice_init(choice, &bench->generation, bench->vocabulary, bench->most_asked, &error));
    for (int step = 0; step < 3; step++) {
        const uint64_t number = draws->next++;
        int32_t id = -1, expected = -1;
        if (loam_choice_prepare(choice, &bench->generation, bench->history, bench->history_count)) {
            search(stream, bench, &choice->top);
            assert_ok(loam_choice_sample(choice, &sampling, number, &id, &is_known, &error));
        } else {
            is_known = false;
        }
        memcpy(bench->copy, bench->logits, sizeof bench->copy);
        sampling.allowed = choice->allowed;
        assert_ok(loam_sample(&sampling, bench->copy, bench->vocabulary, bench->history, bench->history_count,
                              number, &expected, &error));
        if (is_known && id != expected)
            fail_msg("case %d: chose %d, expected %d", (int)draws->stream, id, expected);
        settled = settled && is_known;
        if (bench->history_count < HISTORY) bench->history[bench->history_count++] = expected;
    }
    loam_choice_deinit(choice);
    return settled;
}

static void test_largest_logits_give_the_same_token(void **state)
{
    (void)state;
    static struct bench bench;
    struct loam_device *device = NULL;
    int cases = 0, settled = 0;
    struct loam_stream stream;
    assert_ok(loam_device_create(&device, "cpu", 1, &error));
    assert_ok(loam_stream_init(&stream, device, 1 << 20, &error));
    for (uint64_t number = 0; number < CASES; number++) {
        struct draws draws = {.stream = number};
        draw_case(&bench, &draws);
        const struct loam_sampling *sampling = &bench.generation.sampling;
        const bool is_greedy = sampling->temperature == 0;
        const bool few = sampling->top_k > 0 && sampling->top_k <= LOAM_MOST_TOP_LOGITS;
        const bool ok = check_case(&stream, &bench, &draws);
        if (!ok && (is_greedy || few) && bench.most_asked == 64 && sampling->repetition_penalty == 1)
            fail_msg("case %d: %d candidates settle the choice", (int)number, (int)sampling->top_k);
        cases++;
        settled += ok;
    }
    loam_stream_deinit(&stream);
    loam_device_destroy(device);
    assert_in_range(settled, cases * 2 / 3, cases - 20); // both outcomes are tested
}

static void test_damaged_logits_are_refused(void **state)
{
    (void)state;
    static struct bench bench;
    struct draws draws = {.stream = 1};
    struct loam_device *device = NULL;
    bool is_known;
    int32_t id;
    struct loam_stream stream;
    assert_ok(loam_device_create(&device, "cpu", 1, &error));
    assert_ok(loam_stream_init(&stream, device, 1 << 20, &error));
    draw_case(&bench, &draws);
    bench.vocabulary = 300;
    bench.generation.vocabulary = 200;
    bench.special.eos_count = 0;
    bench.logits[250] = INFINITY;
    bench.logits[220] = NAN;
    assert_ok(loam_choice_init(&bench.choice, &bench.generation, 300, 64, &error));
    assert_true(loam_choice_prepare(&bench.choice, &bench.generation, NULL, 0));
    search(&stream, &bench, &bench.choice.top);
    assert_fails(loam_choice_sample(&bench.choice, &bench.generation.sampling, 0, &id, &is_known, &error),
                 LOAM_ERROR_NUMERIC, "token 220");
    loam_choice_deinit(&bench.choice);
    loam_stream_deinit(&stream);
    loam_device_destroy(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_largest_logits_give_the_same_token),
        cmocka_unit_test(test_damaged_logits_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
