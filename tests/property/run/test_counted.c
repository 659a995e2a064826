// The ops that a plan counts are those that a pass over the same batch runs.
#include <math.h>

#include "parity/run/common_golden.h"

static const struct loam_lora_settings everywhere = {.rank = 2, .alpha = 4, .target_modules = "all-linear"};

// The tokens of the largest batch, which are those that the decoder takes.
static int32_t most_tokens(struct golden_run *run, const struct golden *golden)
{
    int32_t most = 0;
    for (int s = 0; s < GOLDEN_STEPS; s++) {
        golden_sequences(golden, s * GOLDEN_SEQUENCES, GOLDEN_SEQUENCES, &run->batch);
        if (run->batch.tokens > most) most = run->batch.tokens;
    }
    return most;
}

// A batch of one sequence, all of it learnt.
static void fill_batch(struct golden_run *run, int32_t tokens)
{
    struct loam_error error = {0};
    int32_t *ids = malloc((size_t)tokens * sizeof *ids);
    float *weights = malloc((size_t)tokens * sizeof *weights);
    assert_true(ids != NULL && weights != NULL);
    for (int32_t t = 0; t < tokens; t++) {
        ids[t] = t % 16;
        weights[t] = 1;
    }
    loam_batch_clear(&run->batch);
    assert_ok(loam_batch_append(&run->batch, "long", ids, weights, tokens, &error));
    free(ids);
    free(weights);
}

static void check(const char *name, enum loam_checkpointing checkpointing)
{
    struct golden golden;
    struct golden_run run;
    struct loam_error error = {0};
    struct loam_trace counted = {.watch = NULL}, run_trace = {.watch = NULL};
    const struct golden_run_options options = {
        .device = "ref", .dtype = LOAM_F32, .lora = &everywhere, .checkpointing = checkpointing};
    golden_open(&golden, name);
    golden_run_start(&run, &golden, &options);
    const int32_t tokens = most_tokens(&run, &golden);
    fill_batch(&run, tokens);
    loam_decoder_trace(run.decoder, &run_trace);
    (void)golden_run_train(&run, 1);
    assert_ok(loam_decoder_count(run.decoder, tokens, &counted, &error));
    for (int op = 0; op < LOAM_OP_COUNT; op++) {
        const struct loam_op_total *a = &counted.ops[op], *b = &run_trace.ops[op];
        // The first token of a sequence has no loss.
        const double slack = op == LOAM_OP_ID_linear_cross_entropy ? 1.5 / tokens : 1e-9;
        if (a->calls != b->calls || fabs(a->flops - b->flops) > slack * b->flops ||
            fabs(a->bytes - b->bytes) > slack * b->bytes)
            fail_msg("%s, %s: %lld calls, %g operations, %g bytes; the pass has %lld, %g, %g", name,
                     loam_op_name((enum loam_op_id)op), (long long)a->calls, a->flops, a->bytes,
                     (long long)b->calls, b->flops, b->bytes);
    }
    golden_run_end(&run);
    golden_close(&golden);
}

static void test_counted(void **state)
{
    (void)state;
    check("bloom-4-heads", LOAM_CHECKPOINT_NONE);
    check("llama-grouped", LOAM_CHECKPOINT_BLOCK);
    check("gemma2-soft-caps", LOAM_CHECKPOINT_MLP);
    check("gpt-neox-parallel", LOAM_CHECKPOINT_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_counted)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
