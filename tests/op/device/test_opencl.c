// The OpenCL host over the case table, on the first device of OpenCL where there is one.
#include "device/gpu/opencl/opencl.h"
#include "op/device/common_op.h"

static void test_cases(void **state)
{
    (void)state;
    struct loam_error error = {0};
    struct loam_device *device = NULL;
    char directory[256];
    assert_non_null(test_make_directory(directory));
    assert_int_equal(setenv("XDG_CACHE_HOME", directory, 1), 0);
    assert_ok(loam_device_opencl_create(&device, 0, &error));
    op_check_device(device, 1u << LOAM_F32);
    loam_device_destroy(device);
    test_remove_directory(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
