// Numbers as text: the shortest form that reads back as the same value.
#include "test.h"

#include <float.h>
#include <locale.h>
#include <math.h>

#include "base/decimal.h"

static void spellings(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0, "0"},
        {1, "1"},
        {-3, "-3"},
        {1690, "1690"},
        {1722408960, "1722408960"},
        {999999999999999, "999999999999999"},
        {1e15, "1e+15"},
        {0.05, "0.05"},
        {1e-5, "1e-05"},
        {0.1 + 0.2, "0.30000000000000004"},
        {NAN, "null"},
        {INFINITY, "null"},
        {-INFINITY, "null"},
        {-2.5, "-2.5"},
        {1.0 / 3, "0.3333333333333333"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[LOAM_DECIMAL_SIZE];
        loam_decimal_format(cases[i].value, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void values_read_back(void **state)
{
    (void)state;
    double values[] = {DBL_MAX, -DBL_MAX, DBL_MIN, DBL_TRUE_MIN, DBL_EPSILON, 3.0237, 1e22, 123456.789};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char text[LOAM_DECIMAL_SIZE];
        loam_decimal_format(values[i], text);
        assert_true(strtod(text, NULL) == values[i]);
    }
}

// The point does not depend on the program's locale: a comma would break JSON.
static void locale_has_no_effect(void **state)
{
    (void)state;
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "nl_NL.UTF-8"};
    size_t i = 0;
    while (i < sizeof names / sizeof names[0] && setlocale(LC_NUMERIC, names[i]) == NULL)
        i++;
    if (i == sizeof names / sizeof names[0]) skip(); // none of them is installed
    char text[LOAM_DECIMAL_SIZE];
    loam_decimal_format(0.05, text);
    setlocale(LC_NUMERIC, "C");
    assert_string_equal(text, "0.05");
}

static void memory_has_its_unit(void **state)
{
    (void)state;
    static const struct {
        size_t bytes;
        const char *text;
    } cases[] = {{0, "0 bytes"},
                 {1023, "1023 bytes"},
                 {1024, "1.0 KiB"},
                 {200 << 10, "200.0 KiB"},
                 {1 << 20, "1.0 MiB"},
                 {((size_t)1 << 30) - 1, "1024.0 MiB"},
                 {(size_t)3 << 29, "1.50 GiB"},
                 {(size_t)5 << 40, "5120.00 GiB"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[LOAM_MEMORY_SIZE];
        assert_string_equal(loam_memory_format(cases[i].bytes, text), cases[i].text);
    }
}

// A message that compares two amounts shows that they differ.
static void different_amounts_have_different_texts(void **state)
{
    (void)state;
    static const struct {
        size_t a, b;
        const char *a_text, *b_text;
    } cases[] = {{1 << 20, 1 << 20, "1.0 MiB", "1.0 MiB"},
                 {2 << 20, 1 << 20, "2.0 MiB", "1.0 MiB"},
                 {(1 << 20) + 1, 1 << 20, "1048577 bytes", "1048576 bytes"},
                 {SIZE_MAX, SIZE_MAX - 1, "18446744073709551615 bytes", "18446744073709551614 bytes"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char a[LOAM_MEMORY_SIZE], b[LOAM_MEMORY_SIZE];
        loam_memory_format_both(cases[i].a, cases[i].b, a, b);
        assert_string_equal(a, cases[i].a_text);
        assert_string_equal(b, cases[i].b_text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(spellings), cmocka_unit_test(values_read_back),
                                       cmocka_unit_test(locale_has_no_effect),
                                       cmocka_unit_test(memory_has_its_unit),
                                       cmocka_unit_test(different_amounts_have_different_texts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
