// The same mathematics as PyTorch, transformers and PEFT: every golden, on every device, in f32 and bf16.
#include "isa.h"
#include "parity/run/common_golden.h"

// Keeps one case for each golden and dtype, on the device LOAM_TEST_DEVICE; returns their number.
static size_t choose_device(const char *device, size_t count, struct golden_case *cases,
                            struct CMUnitTest *tests)
{
    size_t kept = 0;
    for (size_t i = 0; i < 4 * count; i++) {
        if (strcmp(cases[i].device, "ref") != 0) continue;
        cases[kept] = cases[i];
        cases[kept].device = device;
        snprintf(cases[kept].name, sizeof cases[kept].name, "golden: %s %s %s", cases[kept].golden, device,
                 loam_dtype_name(cases[kept].dtype));
        tests[kept] = (struct CMUnitTest){
            .name = cases[kept].name, .test_func = golden_compare, .initial_state = &cases[kept]};
        kept++;
    }
    return kept;
}

// The goldens named on the command line (below LOAM_GOLDENS), or those of the source tree.
int main(int argc, char **argv)
{
    enum { MOST = 256 };
    static struct golden_case cases[4 * MOST];
    struct CMUnitTest tests[4 * MOST];
    const char *names[MOST];
    size_t count = 0;
    for (int i = 1; i < argc && count < MOST; i++)
        names[count++] = argv[i];
    for (size_t i = 0; argc == 1 && i < GOLDEN_COUNT; i++)
        names[count++] = golden_names[i];
    for (size_t i = 0; argc == 1 && i < GOLDEN_MODULE_COUNT; i++)
        names[count++] = golden_module_names[i];
    golden_fill_cases(names, count, cases, tests, "golden", golden_compare);
    golden_compare_heading();
    const char *chosen = getenv("LOAM_TEST_DEVICE");
    if (chosen != NULL)
        return _cmocka_run_group_tests("golden", tests, choose_device(chosen, count, cases, tests), NULL,
                                       NULL);
    const int missing = test_level_is_missing();
    return missing != 0 ? missing : _cmocka_run_group_tests("golden", tests, 4 * count, NULL, NULL);
}
