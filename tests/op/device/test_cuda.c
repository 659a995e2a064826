// The CUDA host on the driver library of the tests, over the whole case table. The host cannot read the addresses of that
// device, and more shared memory than was asked for is refused.
#include "device/registry.h"
#include "op/device/common_op.h"

static void test_cases(void **state)
{
    (void)state;
    struct loam_error error = {0};
    struct loam_device *device = NULL;
    char directory[256];
    assert_non_null(test_make_directory(directory));
    assert_int_equal(setenv("XDG_CACHE_HOME", directory, 1), 0);
    assert_ok(loam_cuda_backend.create(&device, 0, 1, &error));
    op_check_device(device, 1u << LOAM_BF16); // the fibers have the other dtypes
    loam_device_destroy(device);
    test_remove_directory(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
