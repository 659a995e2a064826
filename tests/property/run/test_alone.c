// A parameter that is trained alone gets the same gradient, bit for bit, as in full training. This holds for
// matrices, and for biases and norms below frozen weights.
#include "parity/run/common_golden.h"

static struct loam_error error;

static void train(struct golden_run *run, const struct loam_tensor *gradients)
{
    struct loam_decoder *decoder;
    const struct loam_decoder_limits limits = {
        .tokens = run->batch.tokens, .sequences = GOLDEN_SEQUENCES, .train = true, .gradients = gradients};
    assert_ok(loam_decoder_create(&decoder, run->model, run->device, &limits, &error));
    golden_run_zero_gradients(run);
    assert_ok(loam_decoder_train(decoder, &run->batch, 0.125, 0, 0, &error));
    loam_decoder_destroy(decoder);
}

static void gradient_is_that_of_full_training(void **state)
{
    const struct golden_case *c = *state;
    struct golden golden;
    struct golden_run run;
    const struct golden_run_options options = {.device = c->device, .dtype = c->dtype, .full = true};
    golden_open(&golden, c->golden);
    golden_run_start(&run, &golden, &options);
    train(&run, run.set.of_model);
    const size_t bytes = loam_tensor_bytes(&run.set.gradients);
    float *all = malloc(bytes);
    struct loam_tensor *gradients = calloc(run.model->parameter_count, sizeof *gradients);
    assert_non_null(all);
    assert_non_null(gradients);
    memcpy(all, run.set.gradients.data, bytes);
    for (size_t i = 0; i < run.model->parameter_count; i++) {
        const struct loam_tensor *own = &run.set.of_model[i];
        const size_t before = (size_t)((const float *)own->data - (const float *)run.set.gradients.data);
        gradients[i] = *own;
        train(&run, gradients);
        if (memcmp(own->data, all + before, loam_tensor_bytes(own)) != 0)
            fail_msg("%s", run.model->parameters[i].name);
        assert_memory_equal(own->data, all + before, loam_tensor_bytes(own));
        // The gradients of the others stay zero.
        memset(own->data, 0, loam_tensor_bytes(own));
        memset(all + before, 0, loam_tensor_bytes(own));
        for (size_t j = 0; j < bytes / sizeof(float); j++)
            assert_true(((const float *)run.set.gradients.data)[j] == 0);
        gradients[i] = (struct loam_tensor){0};
    }
    for (size_t j = 0; j < bytes / sizeof(float); j++)
        assert_true(all[j] == 0); // every gradient belongs to a parameter
    free(gradients);
    free(all);
    golden_run_end(&run);
    golden_close(&golden);
}

int main(void)
{
    static struct golden_case cases[GOLDEN_CASES];
    struct CMUnitTest tests[GOLDEN_CASES];
    golden_cases(cases, tests, "alone = full", gradient_is_that_of_full_training);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
