// The CPU's levels of instructions that its device does not pick here, over the whole case table.
#include "op/device/common_op.h"

#include "device/cpu/cpu.h"

static void check_level(const struct cpu_level *level, const struct loam_device *ref,
                        struct loam_device *device)
{
    static const enum loam_dtype dtypes[] = {LOAM_F32, LOAM_BF16};
    level->override(&device->ops);
    for (size_t i = 0; i < op_case_count; i++) {
        for (size_t d = 0; d < sizeof dtypes / sizeof dtypes[0]; d++) {
            struct op_run run;
            op_build(&run, &op_cases[i], dtypes[d]);
            op_run_on(ref, run.test->op, &run.args);
            op_expect(&run);
            op_restore(&run);
            op_run_on(device, run.test->op, &run.args);
            op_check_untouched(&run);
            op_check_expected(&run);
            op_run_free(&run);
        }
    }
}

static void test_levels_agree_with_ref(void **state)
{
    (void)state;
    struct loam_error error = {0};
    struct loam_device *ref = NULL, *device = NULL;
    assert_ok(loam_device_create(&ref, "ref", 1, &error));
    assert_ok(loam_device_create(&device, "cpu", 2, &error));
    size_t levels = 0;
    for (; loam_cpu_level(levels) != NULL; levels++)
        check_level(loam_cpu_level(levels), ref, device);
    assert_string_equal(loam_cpu_level(levels - 1)->name, "portable");
    loam_device_destroy(device);
    loam_device_destroy(ref);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_levels_agree_with_ref)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
