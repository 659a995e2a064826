// A device against the reference, over one case or the whole table.
#include "op/device/common_op.h"

// Sums of a device repeat bit for bit.
static void check_repeats(struct op_run *run, const struct loam_device *device)
{
    char text[96];
    op_expect(run);
    op_restore(run);
    op_run_case(device, run);
    for (size_t i = 0; i < run->count; i++) {
        const struct op_buffer *buffer = &run->buffers[i];
        if (memcmp(buffer->memory, buffer->expected, buffer->bytes) == 0) continue;
        fail_msg("%s: a second run gives other bits in %s", op_describe(run, text), buffer->name);
    }
}

static void check_once(struct op_run *run, const struct op_case *test, enum loam_dtype dtype,
                       const struct loam_device *ref, const struct loam_device *device)
{
    op_build(run, test, dtype);
    op_run_case(ref, run);
    op_check_untouched(run);
    op_expect(run);
    op_restore(run);
    op_run_case(device, run);
    op_check_untouched(run);
    op_check_expected(run);
}

void op_check_case_once(const struct op_case *test, enum loam_dtype dtype, const struct loam_device *ref,
                        const struct loam_device *device)
{
    struct op_run run;
    check_once(&run, test, dtype, ref, device);
    op_run_free(&run);
}

void op_check_case(const struct op_case *test, enum loam_dtype dtype, const struct loam_device *ref,
                   const struct loam_device *device)
{
    struct op_run run;
    check_once(&run, test, dtype, ref, device);
    check_repeats(&run, device);
    op_run_free(&run);
}

void op_check_device(const struct loam_device *device, unsigned dtypes)
{
    struct loam_error error = {0};
    struct loam_device *ref = NULL;
    assert_ok(loam_device_create(&ref, "ref", 1, &error));
    for (size_t i = 0; i < op_case_count; i++) {
        for (enum loam_dtype dtype = LOAM_F32; dtype <= LOAM_BF16; dtype++)
            if (loam_formats_have(dtypes, dtype)) op_check_case(&op_cases[i], dtype, ref, device);
    }
    loam_device_destroy(ref);
}
