// Goldens with the kernels of GPUs, run on fibers: a few, those named on the command line, or with
// LOAM_FIBER_GOLDENS=all those of the source tree, in f32, bf16 and f16.
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

enum { MOST = 3 * (GOLDEN_COUNT + GOLDEN_MODULE_COUNT) };
struct cases {
    struct golden_case items[MOST];
    size_t count;
};

static void add_case(struct cases *cases, const char *golden, enum loam_dtype dtype)
{
    if (cases->count == MOST) fail_msg("more than %d goldens", MOST / 3);
    cases->items[cases->count++] = case_of(golden, dtype);
}

static void add_goldens(struct cases *cases, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        add_case(cases, names[i], LOAM_F32);
        add_case(cases, names[i], LOAM_BF16);
        add_case(cases, names[i], LOAM_F16);
    }
}

// ALiBi, LayerNorm and a loss in chunks; RoPE, windows and soft-caps in groups; DoRA and its embedding; adapters of a
// tied head and its embedding.
static void add_few(struct cases *cases)
{
    add_case(cases, "bloom-6-heads", LOAM_F32);
    add_case(cases, "llama-grouped", LOAM_F16);
    add_case(cases, "gemma2-soft-caps", LOAM_BF16);
    add_case(cases, "modules-dora-embedding", LOAM_F32);
    add_case(cases, "modules-tied-head", LOAM_F16);
}

int main(int argc, char **argv)
{
    static struct cases cases;
    struct CMUnitTest tests[MOST];
    const char *chosen = getenv("LOAM_FIBER_GOLDENS");
    if (argc > 1) {
        add_goldens(&cases, (const char *const *)argv + 1, (size_t)argc - 1);
    } else if (chosen != NULL && strcmp(chosen, "all") == 0) {
        add_goldens(&cases, golden_names, GOLDEN_COUNT);
        add_goldens(&cases, golden_module_names, GOLDEN_MODULE_COUNT);
    } else {
        add_few(&cases);
    }
    for (size_t i = 0; i < cases.count; i++)
        tests[i] = (struct CMUnitTest){
            .name = cases.items[i].name, .test_func = golden_compare, .initial_state = &cases.items[i]};
    golden_compare_heading();
    return _cmocka_run_group_tests("golden", tests, cases.count, NULL, NULL);
}
