// Batching does not change the result: packed = separate = padded, N micro-batches = one batch.
#include "parity/run/common_golden.h"

#include <math.h>

#include "device/ops.h"

static double bound(const struct golden *golden, const struct golden_run *run, enum golden_value value)
{
    return golden_pair_bound(golden, run->adapter != NULL ? "adapter" : "full", run->model, value);
}

static void start_as(struct golden *golden, struct golden_run *run, const struct golden_case *c, bool full)
{
    struct golden_run_options options = {
        .device = c->device, .dtype = c->dtype, .adapter = full ? NULL : "adapter", .full = full};
    golden_open(golden, c->golden);
    golden_run_start(run, golden, &options);
}

static void start(struct golden *golden, struct golden_run *run, const struct golden_case *c)
{
    start_as(golden, run, c, false);
}

static void finish(struct golden *golden, struct golden_run *run)
{
    golden_run_end(run);
    golden_close(golden);
}

static void test_packed_is_separate(void **state)
{
    struct golden golden;
    struct golden_run run;
    start(&golden, &run, *state);
    int64_t vocabulary = run.model->config.vocabulary;
    float *packed = golden_run_logits(&run);
    const float *rows = packed;
    for (int s = 0; s < GOLDEN_SEQUENCES; s++) {
        golden_sequences(&golden, s, 1, &run.batch);
        int64_t count = run.batch.tokens * vocabulary;
        float *alone = golden_run_logits(&run);
        assert_true(golden_error(rows, alone, count) < bound(&golden, &run, GOLDEN_LOGITS));
        free(alone);
        rows += count;
    }
    free(packed);
    finish(&golden, &run);
}

// Weights of the golden's tokens. every_fourth and the_others add up to all; most_unequal and rest_of_most
// too. few_unequal gives few tokens unequal weights.
static float every_fourth(int32_t token)
{
    return token % 4 == 2 ? 1 : 0;
}

static float the_others(int32_t token)
{
    return 1 - every_fourth(token);
}

static float all(int32_t token)
{
    (void)token;
    return 1;
}

static float most_unequal(int32_t token)
{
    return token % 6 == 1 ? 0 : 0.1f + 0.2f * (float)(token % 5);
}

static float rest_of_most(int32_t token)
{
    return 1 - most_unequal(token);
}

static float few_unequal(int32_t token)
{
    return token % 4 == 2 ? 0.5f + (float)(token % 3) : 0;
}

typedef float (*weighing)(int32_t token);

// Pads the last sequence like a padding collator: tokens after its end, without weight.
static void pad_last_sequence(struct loam_batch *batch, int32_t to)
{
    int32_t first = batch->offsets[batch->sequences - 1];
    while (batch->tokens - first < to) {
        int32_t t = batch->tokens++;
        batch->ids[t] = 3;
        batch->positions[t] = t - first;
        batch->targets[t] = LOAM_NO_TARGET;
        batch->weights[t] = batch->losses[t] = 0;
    }
    batch->offsets[batch->sequences] = batch->tokens;
    batch->max_sequence = to;
}

static double evaluate(struct golden_run *run)
{
    struct loam_error error;
    assert_ok(loam_decoder_evaluate(run->decoder, &run->batch, &error));
    return loam_batch_loss(&run->batch);
}

static void test_packed_is_padded(void **state)
{
    static const weighing weights[] = {NULL, most_unequal, few_unequal}; // NULL: the golden's labels
    struct golden golden;
    struct golden_run run;
    start(&golden, &run, *state);
    if (golden_run_depends_on_length(&run)) {
        finish(&golden, &run);
        print_message("the padding changes the length, and with it the frequencies of RoPE\n");
        skip();
    }
    for (size_t i = 0; i < sizeof weights / sizeof weights[0]; i++) {
        golden_weighted(&golden, 0, GOLDEN_SEQUENCES, weights[i], &run.batch);
        const double weight = run.batch.labels.weight;
        const int32_t longest = run.batch.max_sequence;
        const double packed = evaluate(&run);
        double padded = 0;
        for (int s = 0; s < GOLDEN_SEQUENCES; s++) {
            golden_weighted(&golden, s, 1, weights[i], &run.batch);
            pad_last_sequence(&run.batch, longest);
            padded += evaluate(&run);
        }
        assert_true(packed > 1);
        assert_true(fabs(padded - packed) / weight < bound(&golden, &run, GOLDEN_LOSS));
    }
    finish(&golden, &run);
}

static void check_micro_batches(struct golden *golden, struct golden_run *run, weighing weight)
{
    golden_run_zero_gradients(run);
    golden_weighted(golden, 0, GOLDEN_SEQUENCES, weight, &run->batch);
    const double scale = 1 / run->batch.labels.weight;
    const double whole_loss = golden_run_train(run, scale);
    const int64_t count = loam_tensor_count(&run->set.gradients);
    float *whole = golden_run_download(run, &run->set.gradients);
    golden_run_zero_gradients(run);
    double loss = 0;
    for (int s = 0; s < GOLDEN_SEQUENCES; s++) {
        golden_weighted(golden, s, 1, weight, &run->batch);
        loss += golden_run_train(run, scale);
    }
    float *parts = golden_run_download(run, &run->set.gradients);
    assert_true(fabs(loss - whole_loss) / whole_loss < bound(golden, run, GOLDEN_LOSS));
    assert_true(golden_error(parts, whole, count) < bound(golden, run, GOLDEN_GRADIENTS));
    free(parts);
    free(whole);
}

static void test_micro_batches_are_one_batch(void **state)
{
    struct golden golden;
    struct golden_run run;
    start(&golden, &run, *state);
    check_micro_batches(&golden, &run, NULL);
    check_micro_batches(&golden, &run, most_unequal);
    check_micro_batches(&golden, &run, few_unequal);
    finish(&golden, &run);
}

// Loss and gradients of two weightings add up to those of their sum. If few rows count, the other tokens skip
// a part of the top layer.
static void check_sum(const struct golden_case *c, bool full, weighing first, weighing second, weighing sum)
{
    struct golden golden;
    struct golden_run run;
    start_as(&golden, &run, c, full);
    const double scale = 1 / (double)run.batch.tokens;
    golden_weighted(&golden, 0, GOLDEN_SEQUENCES, sum, &run.batch);
    const int64_t count = loam_tensor_count(&run.set.gradients);
    const double whole_loss = golden_run_train(&run, scale);
    float *whole = golden_run_download(&run, &run.set.gradients);

    golden_run_zero_gradients(&run);
    golden_weighted(&golden, 0, GOLDEN_SEQUENCES, first, &run.batch);
    const double first_loss = golden_run_train(&run, scale);
    golden_weighted(&golden, 0, GOLDEN_SEQUENCES, second, &run.batch);
    const double second_loss = golden_run_train(&run, scale);
    float *parts = golden_run_download(&run, &run.set.gradients);
    const double near = bound(&golden, &run, GOLDEN_LOSS);
    assert_true(fabs(first_loss + second_loss - whole_loss) / whole_loss < near);
    assert_true(golden_error(parts, whole, count) < bound(&golden, &run, GOLDEN_GRADIENTS));
    const double evaluated = evaluate(&run);
    assert_true(second_loss > 0 && fabs(evaluated - second_loss) / second_loss < near);
    free(parts);
    free(whole);
    finish(&golden, &run);
}

static void test_few_labels(void **state)
{
    check_sum(*state, false, the_others, every_fourth, all);
    check_sum(*state, true, the_others, every_fourth, all);
}

static void test_weights(void **state)
{
    check_sum(*state, false, most_unequal, rest_of_most, all);
    check_sum(*state, true, most_unequal, rest_of_most, all);
}

int main(void)
{
    static struct golden_case cases[5][GOLDEN_CASES];
    struct CMUnitTest tests[5 * GOLDEN_CASES];
    golden_cases(cases[0], tests, "packed = separate", test_packed_is_separate);
    golden_cases(cases[1], tests + GOLDEN_CASES, "packed = padded", test_packed_is_padded);
    golden_cases(cases[2], tests + 2 * GOLDEN_CASES, "micro-batches = one batch",
                 test_micro_batches_are_one_batch);
    golden_cases(cases[3], tests + 3 * GOLDEN_CASES, "few labels", test_few_labels);
    golden_cases(cases[4], tests + 4 * GOLDEN_CASES, "weights", test_weights);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
