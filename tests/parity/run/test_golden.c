// The same mathematics as PyTorch, transformers and PEFT: every golden, on every device, in f32 and bf16.
#include "isa.h"
#include "parity/run/common_golden.h"

// Keeps the tests of one device; returns their number.
static size_t keep_device(const char *device, size_t count, struct CMUnitTest *tests)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (strcmp(((const struct golden_case *)tests[i].initial_state)->device, device) == 0)
            tests[kept++] = tests[i];
    return kept;
}

// Keeps the tests of the device LOAM_TEST_DEVICE where that is set. Else those of cpu at each level of
// instructions, and those of ref, which no level changes, at the level portable alone.
static size_t choose_device(size_t count, struct CMUnitTest *tests)
{
    const char *device = getenv("LOAM_TEST_DEVICE"), *level = getenv("LOAM_ISA");
    if (device != NULL) return keep_device(device, count, tests);
    if (level == NULL || strcmp(level, "portable") == 0) return count;
    return keep_device("cpu", count, tests);
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
    const int missing = test_level_is_missing();
    if (missing != 0) return missing;
    return _cmocka_run_group_tests("golden", tests, choose_device(4 * count, tests), NULL, NULL);
}
