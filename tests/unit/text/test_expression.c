// Expressions with classes rewritten as ranges: their mark_matches, and the constructs that are refused by
// name.
#include "test.h"

#include "text/expression.h"
#include "text/pattern.h"

static struct loam_error error;

// The text with each match that is not empty in angle brackets.
static char *mark_matches(const char *expression, const char *text)
{
    static char found[512];
    struct loam_pattern pattern;
    struct loam_matcher matcher = {0};
    bool more = true;
    assert_ok(loam_pattern_init_regex(&pattern, expression, strlen(expression), "test", &error));
    loam_matcher_begin(&matcher, &pattern, text, strlen(text));
    found[0] = '\0';
    for (;;) {
        assert_ok(loam_matcher_next(&matcher, &more, &error));
        if (!more) break;
        if (matcher.start == matcher.end) continue;
        size_t used = strlen(found);
        snprintf(found + used, sizeof found - used, "<%.*s>", (int)(matcher.end - matcher.start),
                 text + matcher.start);
    }
    loam_matcher_deinit(&matcher);
    loam_pattern_deinit(&pattern);
    return found;
}

// The expected matches come from `tokenizers` 0.23.3.
static const struct {
    const char *expression;
    const char *text;
    const char *found;
} cases[] = {
    {"[]a]+", "a]b", "<a]>"},
    {"[^]a]+", "a]b", "<b>"},
    {"[a-c-z]+", "abz-y", "<abz->"},
    {"[-a]+", "-ab", "<-a>"},
    {"[a-]+", "a-b", "<a->"},
    {"[!--]+", "!,-.", "<!,->"},
    {"[--a]+", "-.A`ab", "<-.A`a>"},
    {"[a-[b]]+", "ab-c", "<b>"},
    {"[a&&b]", "ab&", ""},
    {"[a-z&&[^aeiou]]+", "hello", "<h><ll>"},
    {"[^a-z&&[^aeiou]]+", "hello World", "<e><o Wo>"},
    {"[&a]+", "a&b", "<a&>"},
    {"[a&&]", "ab", ""},
    {"[a-&&-]", "a-", "<->"},
    {"[[:alpha:][:^digit:]]+", "ab1 \303\251", "<ab>< \303\251>"},
    {"[[:x]y]+", "x:y[", "<x:y>"},
    {"[[a]b[c&&[cd]]]+", "abcd[", "<abc>"},
    {"[\\b]", "a\010b", "<\010>"},
    {"[\\n\\t\\]\\[\\\\^]+", "a\012]\\^[b", "<\012]\\^[>"},
    {"[\\cA\\C-B\\x41\\101\\u0042\\o{103}]+", "\001\002ABC", "<\001\002ABC>"},
    {"[\\x]+", "x", ""},
    {"[\\x{z}]+", "xz{}", "<xz{}>"},
    {"[\\8\\9\\R\\X\\N\\y]+", "89RXNy", "<89RXNy>"},
    {"[\\e\\a\\f\\v\\r]+", "\033\007\014\013\015", "<\033\007\014\013\015>"},
    {"\\o", "o", "<o>"},
    {"\\h+\\H", "1aFg", "<1aFg>"},
    {"(\?i)straSSe", "STRA\303\237E stra\341\272\236e strasse",
     "<STRA\303\237E><stra\341\272\236e><strasse>"},
    {"(\?i:\303\237)", "ss SS \303\237 \341\272\236 sS x", "<ss><SS><\303\237><\341\272\236><sS>"},
    {"(\?i:[\303\237])", "ss SS \303\237 \341\272\236", "<ss><SS><\303\237><\341\272\236>"},
    {"(\?i:[^\303\237])+", "ss\303\237\341\272\236x", "<ss><x>"},
    {"(\?i)k", "kKK", "<k><K><K>"},
    {"(\?i)[k]", "kKK", "<k><K><K>"},
    {"(\?i:[^k])+", "kKKs", "<s>"},
    {"(\?i:\307\206)", "\307\205\307\204\307\206", "<\307\205><\307\204><\307\206>"},
    {"(\?i:\317\203)+", "\316\243\317\203\317\202x", "<\316\243\317\203\317\202>"},
    {"(\?i:\\x{3a3})+", "\316\243\317\203\317\202x", "<\316\243\317\203\317\202>"},
    {"(\?i:\357\254\201)", "fi FI \357\254\201", "<fi><FI><\357\254\201>"},
    {"(\?i:[\357\254\201x])", "fi FI \357\254\201 X", "<fi><FI><\357\254\201><X>"},
    {"(\?i:fi)", "fi FI \357\254\201", "<fi><FI><\357\254\201>"},
    {"(\?i:\320\271)+", "\320\271\320\231", "<\320\271\320\231>"},
    {"a(\?i)b|c", "aB C c aC", "<aB><aC>"},
    {"(\?:a(\?i)b)c", "aBc aBC", "<aBc>"},
    {"(\?i:a(\?-i)b)c", "Abc ABc", "<Abc>"},
    {"(\?i-x:a) b", "A b", "<A b>"},
    {"(\?x) a b # c [\012 c", "abc", "<abc>"},
    {"(\?x: a [ b] ) c", "a c ac abc", ""},
    {"a(\?#[\\)])b", "ab", "<ab>"},
    {"(\?<word>\\w+) \\k<word>", "ab ab", "<ab ab>"},
    {"(\?'w'a)\\g'w'", "aa", "<aa>"},
    {"(a)(\?(1)b|c)", "abac", "<ab>"},
    {"(\\w)\\1", "aabb", "<aa><bb>"},
    {"\\bfoo\\b", "foo food foo", "<foo><foo>"},
    {"\\Boo\\b", "foo oo", "<oo>"},
    {"(\?<=\\p{L})\\d", "a1 2b3", "<1><3>"},
    {"(\?<!\\w)\\p{Lu}", "AB C", "<A><C>"},
    {"\\p{^L}+", "ab12", "<12>"},
    {"\\P{^L}+", "ab12", "<ab>"},
    {"\\pL\\PL", "a1b", ""},
    {"\\p{ lOWER case-letter }+", "aB", "<a>"},
    {"[\\p{L}&&\\p{ASCII}]+", "a\303\251b", "<a><b>"},
    {"\\p{Greek}+", "\316\261\316\262\316\263abc", "<\316\261\316\262\316\263>"},
    {"\\p{In_Thai}+", "\340\270\201\340\270\202a", "<\340\270\201\340\270\202>"},
    {"\\xE3\\x81\\x82+", "\343\201\202\343\201\202a", "<\343\201\202\343\201\202>"},
    {"\\0", "a\001", ""},
    {"(\?m:.)+", "a\012b", "<a\012b>"},
    {".+", "a\012b", "<a><b>"},
    {"\\R", "a\015\012b\012c", "<\015\012><\012>"},
    {"[\\x{D7F0}-\\x{DFFF}]", "a\355\237\277\356\200\200", "<\355\237\277>"},
    {"[a-\\x{7fffffff}]+", "a\364\217\277\277`", "<a\364\217\277\277>"},
    {"\\p{Cs}|a", "ab", "<a>"},
    {"[^\\x{0}-\\x{10ffff}]|b", "ab", "<b>"},
    {"a{2}b{1,}c{,2}", "aabbcc", "<aabbcc>"},
    {"[\\p{L}]{2}", "abc", "<ab>"},
    {"\\w+\?", "ab", "<a><b>"},
    {"\\w++1", "ab1", ""},
    {"(\?>\\w+)", "ab", "<ab>"},
    {"(\?~ab)", "xxabx", "<xx><bx>"},
    {"x*", "axb", "<x>"},
    {"\\p{Garay}+", "\360\220\265\220\360\220\265\221a", "<\360\220\265\220\360\220\265\221>"},
    {"(\?i:\360\220\265\220)+", "\360\220\265\220\360\220\265\260", "<\360\220\265\220\360\220\265\260>"},
    {"(\?i:[\360\220\265\220])+", "\360\220\265\220\360\220\265\260", "<\360\220\265\220\360\220\265\260>"},
    {"(\?i:\311\244)+", "\311\244\352\237\213", "<\311\244\352\237\213>"},
    {"[[:punct:]]+", "$+<=>^`|~!a", "<$+<=>^`|~!>"},
    {"\\p{Punct}+", "$+<=>^`|~!a", "<!>"},
    {"\\<a\\>", "a <a>", "<<a>>"},
    {"\\-\\_\\\303\251", "-_\303\251", "<-_\303\251>"},
    {"[\\\303\251]", "\303\251\\", "<\303\251>"},
    {"\\A\\w|\\w\\z|\\w\\Z", "abc", "<a><c>"},
    {"(\?i)\\N+", "a\012b", "<a><b>"},
    {"a\\Kb", "ab", "<b>"},
    {"]", "a]", "<]>"},
    {"}{", "}{", "<}{>"},
    {"[a-z&&b-y&&c-x]+", "abcxyz", "<cx>"},
    {"[^^]+", "a^b", "<a><b>"},
    {"(\?i:[a-z&&[^k]])+", "KkKs", "<s>"},
    {"(\?i:\305\211)", "\305\211 \312\274n \312\274N", "<\305\211><\312\274n><\312\274N>"},
    {"(\?i:[\\p{Ll}])", "\307\204\307\2051\303\237", "<\307\204><\307\205><\303\237>"},
    {"(\?i)\\p{Ll}", "Aa", "<a>"},
    {"(\?i:\304\260)", "\304\260 i\314\207", "<\304\260><i\314\207>"},
    {"(\?i)[[:lower:]]+", "AbC", "<AbC>"},
    {"(\?<=[^\\s])\\s", "a b  c", "< >< >"},
    {"\\R", "\015\012\012\013\014\302\205\342\200\250\342\200\251\015a",
     "<\015\012><\012><\013><\014><\302\205><\342\200\250><\342\200\251><\015>"},
    {"\\R*+", "\342\200\250\0120", "<\342\200\250\012>"},
    {"(\?i)\\Ra", "\342\200\251A", "<\342\200\251A>"},
};

static void expressions_match_as_in_the_package(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *found = mark_matches(cases[i].expression, cases[i].text);
        if (strcmp(found, cases[i].found) != 0)
            fail_msg("%s in %s: %s, expected %s", cases[i].expression, cases[i].text, found, cases[i].found);
    }
}

static const struct {
    const char *expression;
    enum loam_status status;
    const char *message;
} refused[] = {
    {"[", LOAM_ERROR_FORMAT,
     "test: not a readable regular expression (premature end of char-class, at byte 1)"},
    {"a[]", LOAM_ERROR_FORMAT, "empty char-class, at byte"},
    {"[^]", LOAM_ERROR_FORMAT, "empty char-class"},
    {"[z-a]", LOAM_ERROR_FORMAT, "empty range in char class"},
    {"[a-\\d]", LOAM_ERROR_FORMAT, "char-class value at end of range"},
    {"[\\w-z]", LOAM_ERROR_FORMAT, "unmatched range specifier"},
    {"[[:letter:]]", LOAM_ERROR_FORMAT, "invalid POSIX bracket type"},
    {"[[:Alpha:]]", LOAM_ERROR_FORMAT, "invalid POSIX bracket type"},
    {"[\\x{110000}]", LOAM_ERROR_FORMAT, "invalid code point value"},
    {"[\\x{D800}]", LOAM_ERROR_FORMAT, "invalid code point value"},
    {"[\\x{41", LOAM_ERROR_FORMAT, "invalid code point value"},
    {"[\\u12]", LOAM_ERROR_FORMAT, "\\u needs four digits"},
    {"[\\777]", LOAM_ERROR_FORMAT, "too big number"},
    {"ab\\", LOAM_ERROR_FORMAT, "end pattern at escape, at byte 2"},
    {"[a\\", LOAM_ERROR_FORMAT, "end pattern at escape, at byte 2"},
    {"\\p{L", LOAM_ERROR_FORMAT, "a property's name has no end"},
    {"(?#", LOAM_ERROR_FORMAT, "end pattern in group"},
    {"(?<name", LOAM_ERROR_FORMAT, "a name has no end"},
    {"\\k<name", LOAM_ERROR_FORMAT, "a name has no end"},
    {"(a", LOAM_ERROR_FORMAT, "test: not a readable regular expression (end pattern with unmatched"},
    {"a\x80", LOAM_ERROR_FORMAT, "not UTF-8, at byte 1"},
    {"a\\p{Klingon}", LOAM_ERROR_UNSUPPORTED,
     "test: the regular expression has the property \"Klingon\" at byte 1, which loam does not"},
    {"\\p{}", LOAM_ERROR_UNSUPPORTED, "the property \"\""},
    {"\\p{\xC3\xA9}", LOAM_ERROR_UNSUPPORTED, "the property"},
    {"\\p{Age=6.0}", LOAM_ERROR_UNSUPPORTED, "the property \"Age=6.0\""},
    {"\\p{Grapheme_Cluster_Break_L}", LOAM_ERROR_UNSUPPORTED, "the property"},
    {"a\\X", LOAM_ERROR_UNSUPPORTED, "a text segment (\\X, \\y or \\Y) at byte 1"},
    {"\\y", LOAM_ERROR_UNSUPPORTED, "a text segment"},
    {"(?W:\\w)", LOAM_ERROR_UNSUPPORTED, "options other than i, m and x at byte 0"},
    {"(?y{w})a", LOAM_ERROR_UNSUPPORTED, "options other than"},
    {"(?", LOAM_ERROR_UNSUPPORTED, "a group of a kind"},
    {"(?{x})", LOAM_ERROR_UNSUPPORTED, "a callout"},
    {"(*FAIL)", LOAM_ERROR_UNSUPPORTED, "a callout"},
    {"(?i)(a)\\1", LOAM_ERROR_UNSUPPORTED, "a back reference that ignores case"},
    {"(?i:(?<n>a)\\k<n>)", LOAM_ERROR_UNSUPPORTED, "a back reference that ignores case"},
    {"[\\xE3\\x81\\x82]", LOAM_ERROR_UNSUPPORTED, "a byte that is not a character"},
    {"(?i:\\xE3\\x81\\x82)", LOAM_ERROR_UNSUPPORTED, "a byte that is not a character"},
    {"[\\x{61 62}]", LOAM_ERROR_UNSUPPORTED, "a list of code points"},
    {"[\\M-a]", LOAM_ERROR_UNSUPPORTED, "\\M-"},
};

static void unsupported_expressions_are_refused_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct loam_pattern pattern;
        const char *expression = refused[i].expression;
        enum loam_status status =
            loam_pattern_init_regex(&pattern, expression, strlen(expression), "test", &error);
        if (status == LOAM_OK) loam_pattern_deinit(&pattern);
        if (status != refused[i].status || strstr(error.message, refused[i].message) == NULL)
            fail_msg("%s: status %d, \"%s\"", expression, (int)status,
                     status == LOAM_OK ? "" : error.message);
    }
}

static char *repeat(const char *part, size_t count)
{
    char *text = calloc(count, strlen(part) + 1);
    assert_non_null(text);
    for (size_t i = 0; i < count; i++)
        memcpy(text + i * strlen(part), part, strlen(part));
    return text;
}

static void expressions_stay_within_bounds(void **state)
{
    (void)state;
    struct loam_bytes out = {0};
    char *deep = repeat("[", 100000);
    assert_fails(loam_expression_rewrite(deep, strlen(deep), "test", &out, &error), LOAM_ERROR_UNSUPPORTED,
                 "more than 64 nested classes");
    free(deep);
    char *wide = repeat("\\b", 100000);
    assert_fails(loam_expression_rewrite(wide, strlen(wide), "test", &out, &error), LOAM_ERROR_UNSUPPORTED,
                 "takes more than 16 MiB");
    free(wide);
    loam_bytes_deinit(&out);
    // Letters that one class repeats are stored once.
    char *same = repeat("\\p{L}", 10000);
    char *class = calloc(1, strlen(same) + 3);
    assert_non_null(class);
    sprintf(class, "[%s]", same);
    assert_ok(loam_expression_rewrite(class, strlen(class), "test", &out, &error));
    assert_in_range(out.size, 1000, 16384);
    free(class);
    free(same);
    loam_bytes_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expressions_match_as_in_the_package),
        cmocka_unit_test(unsupported_expressions_are_refused_by_name),
        cmocka_unit_test(expressions_stay_within_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
