// Goldens with the kernels of GPUs, run on fibers: a few of the source tree, or those named on the command line.
#include "device/gpu/fiber/fiber.h"
#include "parity/run/common_golden.h"

static struct loam_device *create_fiber(void)
{
    struct loam_error error = {0};
    struct loam_device *device = NULL;
    assert_ok(loam_device_fiber_create(&device, LOAM_FIBER_SHUFFLED, &error));
    return device;
}

static struct golden_case case_of(const char *golden, enum loam_dtype dtype)
{
    struct golden_case c = {.golden = golden, .device = "fiber", .create = create_fiber, .dtype = dtype};
    snprintf(c.name, sizeof c.name, "golden: %s fiber %s", golden, loam_dtype_name(dtype));
    return c;
}

int main(int argc, char **argv)
{
    enum { MOST = 256 };
    static struct golden_case cases[MOST];
    struct CMUnitTest tests[MOST];
    size_t count = 0;
    for (int i = 1; i < argc && count < MOST; i++) {
        cases[count++] = case_of(argv[i], LOAM_F32);
        cases[count++] = case_of(argv[i], LOAM_BF16);
        cases[count++] = case_of(argv[i], LOAM_F16);
    }
    if (argc ==
        1) { // ALiBi, LayerNorm and a loss in chunks; RoPE, windows and soft-caps in groups; DoRA and its embedding
        cases[count++] = case_of("bloom-6-heads", LOAM_F32);
        cases[count++] = case_of("llama-grouped", LOAM_F16);
        cases[count++] = case_of("gemma2-soft-caps", LOAM_BF16);
        cases[count++] = case_of("modules-dora-embedding", LOAM_F32);
    }
    for (size_t i = 0; i < count; i++)
        tests[i] = (struct CMUnitTest){
            .name = cases[i].name, .test_func = golden_compare, .initial_state = &cases[i]};
    golden_compare_heading();
    return _cmocka_run_group_tests("golden", tests, count, NULL, NULL);
}
