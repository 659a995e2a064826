// AdamW with clipping, next to torch.optim.AdamW and clip_grad_norm_ of PyTorch 2.13.
#include "unit/train/common_set.h"

#include <math.h>

#include "train/optimiser.h"

enum { STEPS = 3 };
static const double rates[STEPS] = {0.01, 0.02, 0.005};
static const double norms[STEPS] = {2.65331864, 3.54401255, 5.13636398};
static const float a_after[STEPS][6] = {
    {0.489500016f, -0.989000022f, 1.98800004f, 0.249750003f, -0.0100000007f, -2.98699999f},
    {0.468797296f, -0.967298269f, 1.96430027f, 0.249250516f, -0.0297037624f, -2.96130252f},
    {0.463607132f, -0.961858809f, 1.95836234f, 0.249125883f, -0.0346446894f, -2.95486593f},
};
static const float b_after[STEPS][4] = {
    {0.99000001f, -1.99000001f, 0.5f, 3.99000001f},
    {0.972059309f, -1.97205937f, 0.5f, 3.97205925f},
    {0.968076766f, -1.96807683f, 0.5f, 3.96807671f},
};

static void as_torch(void **state)
{
    struct loam_error error;
    struct loam_device *device;
    struct loam_trainables set;
    struct loam_optimiser optimiser;
    struct loam_optimiser_settings settings = {
        .beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .weight_decay = 0.1, .max_grad_norm = 1};
    assert_ok(loam_device_create(&device, *state, 1, &error));
    make_set(&set, device);
    assert_ok(loam_optimiser_init(&optimiser, &set, &settings, &error));
    for (int step = 0; step < STEPS; step++) {
        double norm = 0;
        assert_ok(loam_optimiser_zero_gradients(&optimiser, &error));
        assert_ok(loam_optimiser_gradient_norm(&optimiser, &norm, &error));
        assert_true(norm == 0);
        set_gradients(&set, step + 1);
        assert_ok(loam_optimiser_gradient_norm(&optimiser, &norm, &error));
        assert_true(fabs(norm / norms[step] - 1) < 1e-6);
        assert_ok(loam_optimiser_update(&optimiser, rates[step], &error));
        check_values(set.items[0].value.data, a_after[step], 6);
        check_values(set.items[1].value.data, b_after[step], 4);
    }
    assert_int_equal(optimiser.step, STEPS);
    loam_optimiser_deinit(&optimiser);
    loam_trainables_deinit(&set);
    loam_device_destroy(device);
}

// Without clipping the size of the gradient does not matter to the first step: m / sqrt(v) is its sign.
static void without_clipping(void **state)
{
    struct loam_error error;
    struct loam_device *device;
    struct loam_trainables set;
    struct loam_optimiser optimiser;
    struct loam_optimiser_settings settings = {.beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8};
    assert_ok(loam_device_create(&device, *state, 1, &error));
    make_set(&set, device);
    assert_ok(loam_optimiser_init(&optimiser, &set, &settings, &error));
    float *grad = set.items[1].grad.data;
    memcpy(grad, (float[]){1000, -2000, 0.001f, 0}, 4 * sizeof *grad);
    double norm = 0;
    assert_ok(loam_optimiser_gradient_norm(&optimiser, &norm, &error));
    assert_true(fabs(norm - sqrt(5e6)) < 1e-3);
    assert_ok(loam_optimiser_update(&optimiser, 0.5, &error));
    check_values(set.items[1].value.data, (const float[]){0.5f, -1.5f, 0.000005f, 4.0f}, 4);

    grad[2] = NAN;
    assert_ok(loam_optimiser_gradient_norm(&optimiser, &norm, &error));
    assert_true(!isfinite(norm));
    grad[2] = INFINITY;
    assert_ok(loam_optimiser_gradient_norm(&optimiser, &norm, &error));
    assert_true(!isfinite(norm));
    loam_optimiser_deinit(&optimiser);
    loam_trainables_deinit(&set);
    loam_device_destroy(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"as_torch, ref", as_torch, NULL, NULL, "ref"},
        {"as_torch, cpu", as_torch, NULL, NULL, "cpu"},
        {"without_clipping, ref", without_clipping, NULL, NULL, "ref"},
        {"without_clipping, cpu", without_clipping, NULL, NULL, "cpu"},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
