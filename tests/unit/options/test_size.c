#include "options/size.h"

#include "test.h"

static void sizes(void **state)
{
    (void)state;
    struct loam_error error;
    static const struct {
        const char *text;
        size_t bytes; // 0: refused
    } cases[] = {
        {"5GB", 5000000000},
        {"1.5 GiB", 1610612736},
        {"300kb", 300000},
        {"7", 7},
        {"12 B", 12},
        {"2MiB", 2097152},
        {"1TB", 1000000000000},
        {"0.001KB", 1},
        {"", 0},
        {"GB", 0},
        {"-1GB", 0},
        {"0", 0},
        {"5 PB", 0},
        {"nan", 0},
        {"inf", 0},
        {"5GBs", 0},
        {"1e300GB", 0},
        {"0.5", 0},
        {"0x10", 0},
        {"1e9", 0},
        {"+1GB", 0},
        {" 1GB", 0},
        {".5GB", 0},
        {"1.5.GB", 0},
        {"five", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t bytes = 0;
        if (cases[i].bytes == 0) {
            assert_fails(loam_size_parse(&bytes, "max-shard-size", cases[i].text, &error), LOAM_ERROR_USAGE,
                         "--max-shard-size");
            continue;
        }
        assert_ok(loam_size_parse(&bytes, "max-shard-size", cases[i].text, &error));
        assert_int_equal(bytes, cases[i].bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sizes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
