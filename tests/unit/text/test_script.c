// Scripts of characters and their names.
#include "test.h"

#include "text/script.h"

static void test_characters(void **state)
{
    (void)state;
    static const struct {
        int32_t character;
        const char *script;
    } cases[] = {
        {'a', "latin"},      {'Z', "latin"},       {0xE9, "latin"},      {0x3B1, "greek"},
        {0x436, "cyrillic"}, {0x5D0, "hebrew"},    {0x627, "arabic"},    {0x915, "devanagari"},
        {0xE01, "thai"},     {0x3042, "hiragana"}, {0x30AB, "katakana"}, {0x6F22, "han"},
        {0xAC00, "hangul"},  {0x20000, "han"},     {'1', "common"},      {' ', "common"},
        {0x1F600, "common"}, {0x301, "inherited"}, {0x0378, "unknown"},  {0x10FFFF, "unknown"},
        {0xA000, "yi"},      {0x7CA, "nko"},       {0xE81, "lao"},       {0x1E900, "adlam"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(loam_script_name(loam_char_script(cases[i].character)), cases[i].script);
}

static void test_shared(void **state)
{
    (void)state;
    assert_true(loam_script_is_shared(loam_char_script('1')));
    assert_true(loam_script_is_shared(loam_char_script(0x301)));
    assert_true(loam_script_is_shared(loam_char_script(0x0378)));
    assert_false(loam_script_is_shared(loam_char_script('a')));
    assert_true(loam_script_is_shared(LOAM_SCRIPTS - 1));
    assert_null(loam_script_name(LOAM_SCRIPTS - 1));
}

// Every script below the first that has no name has one, and they fit into the array.
static void test_names(void **state)
{
    (void)state;
    uint32_t count = 0;
    while (count < LOAM_SCRIPTS && loam_script_name(count) != NULL)
        count++;
    assert_in_range(count, 100, LOAM_SCRIPTS - 1);
    for (int32_t c = 0; c < 0x110000; c += 7)
        assert_true(loam_char_script(c) < count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_characters),
        cmocka_unit_test(test_shared),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
