// Code spans of a model card.
#include "test.h"

#include "run/markdown.h"

static void code_spans(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool in_table;
        const char *written;
    } cases[] = {
        {"org/model", false, "`org/model`"},
        {"a|b", false, "`a|b`"},
        {"a|b", true, "`a\\|b`"},
        {"a`b", false, "`` a`b ``"},
        {"``", true, "``` `` ```"},
        {"", false, "`  `"},
        {"a\nb\n\n# c", false, "`a?b??# c`"},
        {"\x1b[31mred\xc2\x9b", false, "`?[31mred?`"},
        {"<img src=x>", false, "`<img src=x>`"}, // within a code span this is not HTML
        {"\xe2\x80\xaeright\xc3\xa9", true, "`?right\xc3\xa9`"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loam_error error;
        struct loam_bytes out = {0};
        assert_ok(loam_markdown_code(&out, cases[i].text, cases[i].in_table, &error));
        assert_string_equal(out.data, cases[i].written);
        loam_bytes_deinit(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(code_spans)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
