// Every device of the registry against the reference, over the whole case table, in f32 and bf16.
#include "hidden_device.h"
#include "isa.h"
#include "op/device/common_op.h"

static void test_devices_agree_with_ref(void **state)
{
    (void)state;
    struct loam_error error = {0};
    for (size_t i = 0; loam_device_name(i) != NULL; i++) {
        for (int threads = 1; threads <= 3; threads += 2) {
            struct loam_device *device = NULL;
            assert_ok(loam_device_create(&device, loam_device_name(i), threads, &error));
            op_check_device(device, device->formats.compute);
            loam_device_destroy(device);
        }
    }
}

// The tests themselves reach a device's memory through its table alone.
static void test_memory_that_is_hidden(void **state)
{
    (void)state;
    struct loam_device *device = hidden_device_create();
    op_check_device(device, device->formats.compute);
    loam_device_destroy(device);
}

static void test_every_op_has_cases(void **state)
{
    (void)state;
    for (int op = 0; op < OP_COUNT; op++) {
        size_t count = 0;
        for (size_t i = 0; i < op_case_count; i++)
            count += op_cases[i].op == (enum op)op;
        if (count < 2) fail_msg("%s has %zu cases", op_name((enum op)op), count);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_op_has_cases),
        cmocka_unit_test(test_devices_agree_with_ref),
        cmocka_unit_test(test_memory_that_is_hidden),
    };
    const int missing = test_level_is_missing();
    return missing != 0 ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
