// The scanner finds the matches that Oniguruma finds, for the expressions of real tokenizers and for random ones.
#include "test.h"

#include "text/pattern.h"

static struct loam_error error;

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"

static const char *const scanned[] = {
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
    CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"
                 "\\s+(?!\\S)|\\s+",
    CONTRACTIONS
    "|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+|\\s++(?!\\S)|\\s+",
    " ?[^(\\s|[.,!?\xE2\x80\xA6\xE3\x80\x82])]+",
    ("[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| "
     "?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"),
    "(?i:kb|a|s)|(?i:d)|b",
    "[\\x{4E00}-\\x{9FFF}]+",
    "\\w+|[^\\w\\s]+",
};

// Forms that are left to Oniguruma: lazy and nested repetitions, groups, places, matches that may be empty or take long, and
// case folding of several characters.
static const char *const others[] = {
    "a+?",
    "a{2}+b",
    "(?:ab)+",
    "^a",
    "a$",
    "a.",
    "a*",
    "a|",
    "",
    "(?=a)b",
    "(?<!a)b",
    "\\bA",
    "a*b*c",
    "a*b*c*d",
    "(?i:ss)",
    "(?i:fi|a)",
    "(?i:\xC3\xA9)",
    "(?i:[ab])",
    "(a)\\1",
    "\\xE3\\x81\\x82",
    "(?!a)",
    "a{2,}",
    "\xFF",
};

static uint32_t state = 1;

static uint32_t draw(uint32_t limit)
{
    state = state * 1664525u + 1013904223u;
    return (state >> 16) % limit;
}

static void make_text(struct loam_bytes *text)
{
    static const char *const pieces[] = {
        "a",
        "b",
        "B",
        "s",
        "S",
        "k",
        "L",
        "d",
        "'",
        " ",
        " ",
        "\n",
        "\r",
        "\t",
        "1",
        "23",
        ".",
        "-",
        "(",
        "/",
        "_",
        "\xC3\xA9",
        "\xC5\xBF",
        "\xE2\x84\xAA",
        "\xC2\xA0",
        "\xE3\x80\x82",
        "\xE4\xB8\xAD",
        "ll",
        "ve",
        "\xCC\x81",
        "\xC2\xB2",
        "\xF0\x9F\x98\x80",
    };
    loam_bytes_clear(text);
    for (uint32_t i = draw(30); i > 0; i--)
        assert_ok(loam_bytes_append_text(text, pieces[draw(sizeof pieces / sizeof *pieces)], &error));
    if (text->data == NULL) assert_ok(loam_bytes_reserve(text, 1, &error));
}

static struct loam_pattern make_pattern(const char *expression)
{
    struct loam_pattern pattern;
    assert_ok(loam_pattern_init_regex(&pattern, expression, strlen(expression), "test", &error));
    return pattern;
}

static void assert_same_matches(const char *expression, const struct loam_pattern patterns[2],
                                const struct loam_bytes *text)
{
    struct loam_matcher matchers[2] = {{0}};
    bool found[2];
    for (int i = 0; i < 2; i++)
        loam_matcher_begin(&matchers[i], &patterns[i], text->data, text->size);
    do {
        for (int i = 0; i < 2; i++)
            assert_ok(loam_matcher_next(&matchers[i], &found[i], &error));
        if (found[0] != found[1] ||
            (found[0] && (matchers[0].start != matchers[1].start || matchers[0].end != matchers[1].end)))
            fail_msg("\"%s\" in \"%.*s\": [%zu, %zu) and not [%zu, %zu)", expression, (int)text->size,
                     text->data, matchers[0].start, matchers[0].end, matchers[1].start, matchers[1].end);
    } while (found[0]);
    for (int i = 0; i < 2; i++)
        loam_matcher_deinit(&matchers[i]);
}

static void compare(const char *expression, struct loam_pattern *pattern, int texts)
{
    struct loam_bytes text = {0};
    struct loam_pattern patterns[] = {*pattern, *pattern};
    patterns[1].scanner = NULL; // Oniguruma searches
    for (int i = 0; i < texts; i++) {
        make_text(&text);
        assert_same_matches(expression, patterns, &text);
    }
    loam_bytes_deinit(&text);
}

static void test_expressions_of_tokenizers(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof scanned / sizeof *scanned; i++) {
        struct loam_pattern pattern = make_pattern(scanned[i]);
        if (pattern.scanner == NULL) fail_msg("\"%s\" is not scanned", scanned[i]);
        compare(scanned[i], &pattern, 3000);
        loam_pattern_deinit(&pattern);
    }
}

// Alternatives of characters and classes with repetitions, maybe a group that ignores case, maybe a refused class behind.
static void make_expression(struct loam_bytes *text)
{
    static const char *const sets[] = {"a",          "b",      " ",       "'",       "\\s",      "\\S",
                                       "\\p{L}",     "\\p{N}", "[^\\sa]", "\\w",     "[\\r\\n]", "l",
                                       "[^\\p{L}1]", "-",      "\\d",     "\xC3\xA9"};
    static const char *const repeats[] = {"", "", "", "?", "*", "+", "+", "{1,2}", "{2}", "?+", "*+", "++"};
    loam_bytes_clear(text);
    for (uint32_t i = 0, count = 1 + draw(4); i < count; i++) {
        if (i > 0) assert_ok(loam_bytes_append_text(text, "|", &error));
        if (draw(8) == 0) {
            assert_ok(loam_bytes_append_text(text, "(?i:'s|k|'ll)", &error));
            continue;
        }
        for (uint32_t j = 1 + draw(3); j > 0; j--) {
            assert_ok(loam_bytes_append_text(text, sets[draw(sizeof sets / sizeof *sets)], &error));
            assert_ok(loam_bytes_append_text(text, repeats[draw(sizeof repeats / sizeof *repeats)], &error));
        }
        if (draw(6) == 0)
            assert_ok(loam_bytes_format(text, &error, "(?!%s)", sets[draw(sizeof sets / sizeof *sets)]));
    }
}

static void test_random_expressions(void **unused)
{
    (void)unused;
    struct loam_bytes expression = {0};
    int compared = 0;
    for (int i = 0; i < 300; i++) {
        make_expression(&expression);
        struct loam_pattern pattern = make_pattern(expression.data);
        if (pattern.scanner != NULL) {
            compare(expression.data, &pattern, 50);
            compared++;
        }
        loam_pattern_deinit(&pattern);
    }
    loam_bytes_deinit(&expression);
    assert_true(compared > 100);
}

static void test_other_forms(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct loam_scanner *scanner;
        assert_ok(loam_scanner_create(&scanner, others[i], strlen(others[i]), &error));
        if (scanner != NULL) fail_msg("\"%s\" is scanned", others[i]);
    }
}

// Where an expression looks at the rest of the text from each place, the regular expression takes over.
static void test_steps(void **unused)
{
    (void)unused;
    enum { SIZE = 2000 };
    char text[SIZE];
    struct loam_matcher matcher = {0};
    struct loam_pattern pattern = make_pattern("a+b|c");
    bool found;
    memset(text, 'a', SIZE);
    text[SIZE - 1] = 'c';
    assert_non_null(pattern.scanner);
    loam_matcher_begin(&matcher, &pattern, text, SIZE);
    assert_ok(loam_matcher_next(&matcher, &found, &error));
    assert_true(found);
    assert_int_equal(matcher.steps, 0);
    assert_int_equal(matcher.start, SIZE - 1);
    assert_int_equal(matcher.end, SIZE);
    loam_matcher_deinit(&matcher);
    loam_pattern_deinit(&pattern);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expressions_of_tokenizers),
        cmocka_unit_test(test_random_expressions),
        cmocka_unit_test(test_other_forms),
        cmocka_unit_test(test_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
