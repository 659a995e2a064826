#include "test.h"

#include "base/utf8.h"

static void test_check(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;
        size_t valid;
    } cases[] = {
        {"", 0, 0},
        {"plain ASCII, longer than a word", 31, 31},
        {"\x7F\0\xC2\x80", 4, 4},
        {"\xDF\xBF\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xEF\xBF\xBF\xF0\x90\x80\x80\xF4\x8F\xBF\xBF", 22, 22},
        {"\x80", 1, 0},             // a continuation alone
        {"1234567\x80", 8, 7},      // at the end of a word
        {"12345678\xFF", 9, 8},     // just behind it
        {"\xC0\x80", 2, 0},         // overlong
        {"\xC1\xBF", 2, 0},         // overlong
        {"\xE0\x9F\xBF", 3, 0},     // overlong
        {"\xF0\x8F\xBF\xBF", 4, 0}, // overlong
        {"\xED\xA0\x80", 3, 0},     // a surrogate
        {"\xF4\x90\x80\x80", 4, 0}, // beyond U+10FFFF
        {"\xF8\x88\x80\x80\x80", 5, 0},
        {"\xE2\x82\xAC", 2, 0}, // the rest of the character is not part of the text
        {"a\xF0\x9F\x98\x80", 4, 1},
        {"\xE2\x82(", 3, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(loam_utf8_check(cases[i].text, cases[i].size), cases[i].valid);
}

static void test_fit(void **state)
{
    (void)state;
    static const char text[] = "a\xC3\xA9\xF0\x9F\x98\x80z"; // characters of 1, 2, 4 and 1 bytes
    static const size_t fits[] = {0, 1, 1, 3, 3, 3, 3, 7, 8, 8};
    for (size_t limit = 0; limit < sizeof fits / sizeof fits[0]; limit++)
        assert_int_equal(loam_utf8_fit(text, strlen(text), limit), fits[limit]);
    assert_int_equal(loam_utf8_fit("", 0, 0), 0);
}

static void test_count(void **state)
{
    (void)state;
    // Characters of 1, 2, 3 and 4 bytes; each start and size is tried, so that characters begin and end at all
    // places of a word.
    static const char text[] =
        "az\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\x7F\xDF\xBF\xEF\xBF\xBF\xF4\x8F\xBF\xBFz";
    for (size_t from = 0; from < sizeof text; from++)
        for (size_t size = 0; size < sizeof text - from; size++) {
            size_t expected = 0;
            for (size_t i = from; i < from + size; i++)
                expected += ((unsigned char)text[i] & 0xC0) != 0x80;
            assert_int_equal(loam_utf8_count(text + from, size), expected);
        }
    assert_int_equal(loam_utf8_count(text, sizeof text - 1), 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_fit),
        cmocka_unit_test(test_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
