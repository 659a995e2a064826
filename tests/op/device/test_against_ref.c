// Every device of the registry against the reference, over the whole case table, in f32 and bf16.
#include "hidden_device.h"
#include "isa.h"
#include "op/device/common_op.h"

// The reference has one thread and no levels of instructions, so its own sums are repeated once.
static bool is_left_out(const char *device, int threads)
{
    const char *level = getenv("LOAM_ISA");
    return strcmp(device, "ref") == 0 && (threads > 1 || (level != NULL && strcmp(level, "portable") != 0));
}

static void test_devices_agree_with_ref(void **state)
{
    (void)state;
    struct loam_error error = {0};
    for (size_t i = 0; loam_device_name(i) != NULL; i++) {
        for (int threads = 1; threads <= 3; threads += 2) {
            if (is_left_out(loam_device_name(i), threads)) continue;
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
    if (is_left_out("ref", 1)) skip();
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

// Whether LOAM_TEST_OPS, "add_scaled,cast", has the op, or is not set.
static bool is_chosen(enum op op)
{
    const char *list = getenv("LOAM_TEST_OPS"), *name = op_name(op);
    const size_t size = strlen(name);
    for (const char *at = list; at != NULL && *at != '\0'; at += strcspn(at, ",") + (strchr(at, ',') != NULL))
        if (strcspn(at, ",") == size && strncmp(at, name, size) == 0) return true;
    return list == NULL;
}

// LOAM_TEST_DEVICE names another device, such as a GPU of this machine.
static void test_chosen_device(void **state)
{
    (void)state;
    struct loam_error error = {0};
    struct loam_device *device = NULL, *ref = NULL;
    int count = 0;
    assert_ok(loam_device_create(&device, getenv("LOAM_TEST_DEVICE"), 0, &error));
    assert_ok(loam_device_create(&ref, "ref", 1, &error));
    for (size_t i = 0; i < op_case_count; i++)
        for (enum loam_dtype dtype = LOAM_F32; dtype <= LOAM_BF16; dtype++) {
            if (!is_chosen(op_cases[i].op) || !loam_formats_have(device->formats.compute, dtype)) continue;
            op_check_case(&op_cases[i], dtype, ref, device);
            count++;
        }
    printf("%d cases on %s\n", count, device->name);
    assert_true(count > 0);
    loam_device_destroy(ref);
    loam_device_destroy(device);
}

int main(void)
{
    const struct CMUnitTest chosen[] = {cmocka_unit_test(test_chosen_device)};
    if (getenv("LOAM_TEST_DEVICE") != NULL) return cmocka_run_group_tests(chosen, NULL, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_op_has_cases),
        cmocka_unit_test(test_devices_agree_with_ref),
        cmocka_unit_test(test_memory_that_is_hidden),
    };
    const int missing = test_level_is_missing();
    return missing != 0 ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
