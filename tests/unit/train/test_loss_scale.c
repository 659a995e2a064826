// The scale of the loss, next to torch.amp.GradScaler of PyTorch 2.13.
#include "test.h"

#include "train/loss_scale.h"

static void as_torch(void **state)
{
    (void)state;
    static const int bad[] = {0, 1, 2, 1000, 1001, 2999, 4998};
    // The steps after which GradScaler has another factor.
    static const struct {
        int step;
        double factor;
    } changes[] = {{0, 32768},   {1, 16384},  {2, 8192},    {1000, 4096}, {1001, 2048},
                   {2999, 1024}, {4998, 512}, {6998, 1024}, {8998, 2048}};
    struct loam_loss_scale scale = loam_loss_scale_make(true);
    double expected = 65536;
    size_t next_bad = 0, next_change = 0;
    assert_true(scale.factor == expected);
    for (int step = 0; step < 9000; step++) {
        const bool finite = next_bad == sizeof bad / sizeof bad[0] || step != bad[next_bad];
        if (!finite) next_bad++;
        loam_loss_scale_update(&scale, finite);
        if (next_change < sizeof changes / sizeof changes[0] && step == changes[next_change].step)
            expected = changes[next_change++].factor;
        if (scale.factor != expected) fail_msg("after step %d: %g, not %g", step, scale.factor, expected);
        assert_true(loam_loss_scale_is_valid(&scale));
    }
    assert_int_equal(scale.good_steps, 1);
}

static void has_ends(void **state)
{
    (void)state;
    struct loam_loss_scale scale = loam_loss_scale_make(true), fixed = loam_loss_scale_make(false);
    for (int step = 0; step < 16; step++) {
        assert_true(loam_loss_scale_can_shrink(&scale));
        loam_loss_scale_update(&scale, false);
    }
    assert_true(scale.factor == 1 && !loam_loss_scale_can_shrink(&scale));
    loam_loss_scale_update(&scale, false);
    assert_true(scale.factor == 1);
    for (int step = 0; step < 2000 * 130; step++)
        loam_loss_scale_update(&scale, true);
    assert_true(scale.factor == 0x1p126 && loam_loss_scale_is_valid(&scale));
    loam_loss_scale_update(&fixed, false);
    assert_true(fixed.factor == 1 && !loam_loss_scale_can_shrink(&fixed));
    static const struct loam_loss_scale wrong[] = {{true, 0, 0},  {true, 0.5, 0},     {true, 3, 0},
                                                   {true, -2, 0}, {true, 0x1p127, 0}, {true, 2, 2000},
                                                   {true, 2, -1}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(loam_loss_scale_is_valid(&wrong[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_torch), cmocka_unit_test(has_ends)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
