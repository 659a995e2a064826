// Generation with the KV cache, in chunks and token by token, gives the logits of the whole sequence.
#include "helpers/feed.h"
#include "parity/run/common_golden.h"

static void check_row(const struct golden *golden, const struct golden_run *run, const float *logits,
                      const float *row)
{
    const double bound = golden_pair_bound(golden, "adapter", run->model, GOLDEN_ROW);
    assert_true(golden_error(logits, row, run->model->config.vocabulary) < bound);
}

static void test_cached_is_whole(void **state)
{
    const struct golden_case *c = *state;
    struct loam_error error;
    struct golden golden;
    struct golden_run run;
    struct golden_run_options options = {
        .device = c->device, .dtype = c->dtype, .adapter = "adapter", .frozen = true};
    golden_open(&golden, c->golden);
    golden_run_start(&run, &golden, &options);
    golden_sequences(&golden, 2, 1, &run.batch);
    int32_t count = run.batch.tokens;
    int64_t vocabulary = run.model->config.vocabulary;
    float *whole = golden_run_logits(&run);
    float *logits = calloc((size_t)vocabulary, sizeof *logits);
    assert_non_null(logits);
    for (int32_t first = golden_run_depends_on_length(&run) ? count : 1; first <= count;
         first += 3) { // a prompt of `first` tokens, then one at a time
        loam_decoder_cache_truncate(run.decoder, 0, 0);
        assert_ok(test_feed(run.decoder, run.batch.ids, first, logits, &error));
        check_row(&golden, &run, logits, whole + (first - 1) * vocabulary);
        for (int32_t t = first; t < count; t++) {
            assert_ok(test_feed(run.decoder, run.batch.ids + t, 1, logits, &error));
            check_row(&golden, &run, logits, whole + t * vocabulary);
        }
    }
    free(logits);
    free(whole);
    golden_run_end(&run);
    golden_close(&golden);
}

int main(void)
{
    static struct golden_case cases[GOLDEN_CASES];
    struct CMUnitTest tests[GOLDEN_CASES];
    golden_cases(cases, tests, "cached = whole", test_cached_is_whole);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
