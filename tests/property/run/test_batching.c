// How examples are cut into batches changes nothing: packed = separate = padded, N micro-batches = one batch.
#include "parity/run/common_golden.h"

#include <math.h>

// Sums over other numbers of rows may be taken in another order, and bf16 results may then round the other
// way.
static double tolerance(const struct golden_run *run)
{
    return run->model->dtype == LOAM_F32 ? 1e-5 : 1e-2;
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
        assert_true(golden_error(rows, alone, count) < tolerance(&run));
        free(alone);
        rows += count;
    }
    free(packed);
    finish(&golden, &run);
}

// What a collator that pads to the longest does: tokens after the end of a sequence, their labels ignored.
static void pad_last_sequence(struct loam_batch *batch, int32_t to)
{
    int32_t first = batch->offsets[batch->sequences - 1];
    while (batch->tokens - first < to) {
        int32_t t = batch->tokens++;
        batch->ids[t] = 3;
        batch->positions[t] = t - first;
        batch->labels[t] = LOAM_IGNORED_LABEL;
    }
    batch->offsets[batch->sequences] = batch->tokens;
    batch->max_sequence = to;
}

static void test_packed_is_padded(void **state)
{
    struct loam_error error;
    struct golden golden;
    struct golden_run run;
    start(&golden, &run, *state);
    int64_t labels = run.batch.label_count;
    int32_t longest = run.batch.max_sequence;
    double packed = 0, padded = 0;
    assert_ok(loam_decoder_evaluate(run.decoder, &run.batch, &packed, &error));
    for (int s = 0; s < GOLDEN_SEQUENCES; s++) {
        golden_sequences(&golden, s, 1, &run.batch);
        pad_last_sequence(&run.batch, longest);
        assert_ok(loam_decoder_evaluate(run.decoder, &run.batch, &padded, &error));
    }
    assert_true(packed > 1);
    assert_true(fabs(padded - packed) / (double)labels < tolerance(&run));
    finish(&golden, &run);
}

static void test_micro_batches_are_one_batch(void **state)
{
    struct golden golden;
    struct golden_run run;
    start(&golden, &run, *state);
    float scale = 1 / (float)run.batch.label_count;
    double whole_loss = golden_run_train(&run, scale);
    int64_t count = loam_tensor_count(&run.set.gradients);
    float *whole = golden_run_download(&run, &run.set.gradients);
    golden_run_zero_gradients(&run);
    double loss = 0;
    for (int s = 0; s < GOLDEN_SEQUENCES; s++) {
        golden_sequences(&golden, s, 1, &run.batch);
        loss += golden_run_train(&run, scale);
    }
    float *parts = golden_run_download(&run, &run.set.gradients);
    assert_true(fabs(loss - whole_loss) / whole_loss < tolerance(&run));
    assert_true(golden_error(parts, whole, count) < 2 * tolerance(&run));
    free(parts);
    free(whole);
    finish(&golden, &run);
}

// Each token has a label, of which every fourth counts, or all but these, or all.
enum labels { EVERY_FOURTH, THE_OTHERS, ALL };

static void set_labels(struct loam_batch *batch, enum labels which)
{
    batch->label_count = 0;
    for (int32_t t = 0; t < batch->tokens; t++) {
        const bool counts = which == ALL || (t % 4 == 1) == (which == EVERY_FOURTH);
        batch->labels[t] = counts ? batch->ids[(t + 1) % batch->tokens] : LOAM_IGNORED_LABEL;
        batch->label_count += counts;
    }
}

// Where few labels count, the rest of the tokens do not go through the whole of the top layer. Loss and
// gradients of these labels and of the others are together those of all.
static void check_few_labels(const struct golden_case *c, bool full)
{
    struct loam_error error;
    struct golden golden;
    struct golden_run run;
    start_as(&golden, &run, c, full);
    const float scale = 1 / (float)run.batch.tokens;
    set_labels(&run.batch, ALL);
    const int64_t count = loam_tensor_count(&run.set.gradients);
    const double whole_loss = golden_run_train(&run, scale);
    float *whole = golden_run_download(&run, &run.set.gradients);

    golden_run_zero_gradients(&run);
    set_labels(&run.batch, THE_OTHERS);
    const double others_loss = golden_run_train(&run, scale);
    set_labels(&run.batch, EVERY_FOURTH);
    const double few_loss = golden_run_train(&run, scale);
    float *parts = golden_run_download(&run, &run.set.gradients);
    assert_true(fabs(few_loss + others_loss - whole_loss) / whole_loss < tolerance(&run));
    assert_true(golden_error(parts, whole, count) < 2 * tolerance(&run));
    double evaluated = 0;
    assert_ok(loam_decoder_evaluate(run.decoder, &run.batch, &evaluated, &error));
    assert_true(few_loss > 0 && fabs(evaluated - few_loss) / few_loss < tolerance(&run));
    free(parts);
    free(whole);
    finish(&golden, &run);
}

static void test_few_labels(void **state)
{
    check_few_labels(*state, false);
    check_few_labels(*state, true);
}

int main(void)
{
    static struct golden_case cases[4][GOLDEN_CASES];
    struct CMUnitTest tests[4 * GOLDEN_CASES];
    golden_cases(cases[0], tests, "packed = separate", test_packed_is_separate);
    golden_cases(cases[1], tests + GOLDEN_CASES, "packed = padded", test_packed_is_padded);
    golden_cases(cases[2], tests + 2 * GOLDEN_CASES, "micro-batches = one batch",
                 test_micro_batches_are_one_batch);
    golden_cases(cases[3], tests + 3 * GOLDEN_CASES, "few labels", test_few_labels);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
