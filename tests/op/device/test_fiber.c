// The kernels of GPUs, run on fibers, against the reference over the whole case table. A missing barrier may show in
// one order of the threads only.
#include "device/gpu/fiber/fiber.h"
#include "op/device/common_op.h"

static void check_order(enum loam_fiber_order order, unsigned dtypes)
{
    struct loam_error error = {0};
    struct loam_device *device = NULL;
    assert_ok(loam_device_fiber_create(&device, order, &error));
    op_check_device(device, dtypes);
    loam_device_destroy(device);
}

static void test_forward(void **state)
{
    (void)state;
    check_order(LOAM_FIBER_FORWARD, 1u << LOAM_F32 | 1u << LOAM_BF16);
}

static void test_reversed(void **state)
{
    (void)state;
    check_order(LOAM_FIBER_REVERSED, 1u << LOAM_F32);
}

static void test_shuffled(void **state)
{
    (void)state;
    check_order(LOAM_FIBER_SHUFFLED, 1u << LOAM_BF16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward),
        cmocka_unit_test(test_reversed),
        cmocka_unit_test(test_shuffled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
