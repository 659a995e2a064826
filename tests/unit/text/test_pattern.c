// Expressions of real tokenizers over runs of a megabyte stay far below the limits of a search.
#include "test.h"

#include "text/pattern.h"

static struct loam_error error;

static const char llama3[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
    "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
static const char bloom[] = " ?[^(\\s|[.,!?…。，、।۔،])]+";

enum { RUN = 1 << 20 };

// The number of matches in RUN repetitions of a byte followed by an x, and their bytes.
struct found {
    size_t matches;
    size_t bytes;
};

static struct found count_matches(const struct loam_pattern *pattern, char byte)
{
    char *text = malloc(RUN + 1);
    struct loam_matcher matcher = {0};
    struct found found = {0};
    bool more = true;
    assert_non_null(text);
    memset(text, byte, RUN);
    text[RUN] = 'x';
    loam_matcher_begin(&matcher, pattern, text, RUN + 1);
    for (;;) {
        assert_ok(loam_matcher_next(&matcher, &more, &error));
        if (!more) break;
        found.matches++;
        found.bytes += matcher.end - matcher.start;
    }
    assert_int_equal(matcher.last_end, RUN + 1);
    loam_matcher_deinit(&matcher);
    free(text);
    return found;
}

static void long_runs_are_split_like_short_ones(void **state)
{
    (void)state;
    static const struct {
        const char *expression; // NULL: GPT-2's
        char byte;
        struct found found;
    } cases[] = {
        // The last space belongs to the word.
        {NULL, ' ', {2, RUN + 1}},
        {NULL, 'a', {1, RUN + 1}},
        {NULL, '1', {2, RUN + 1}},
        {llama3, ' ', {2, RUN + 1}},
        {llama3, '\n', {2, RUN + 1}},
        {llama3, 'a', {1, RUN + 1}},
        {llama3, '1', {(RUN + 2) / 3 + 1, RUN + 1}},
        {llama3, '-', {2, RUN + 1}},
        {bloom, ' ', {1, 2}},
        {bloom, 'a', {1, RUN + 1}},
        {bloom, '1', {1, RUN + 1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct loam_pattern pattern;
        const char *expression = cases[i].expression;
        assert_ok(expression == NULL
                      ? loam_pattern_init_gpt2(&pattern, &error)
                      : loam_pattern_init_regex(&pattern, expression, strlen(expression), "test", &error));
        struct found found = count_matches(&pattern, cases[i].byte);
        if (found.matches != cases[i].found.matches || found.bytes != cases[i].found.bytes)
            fail_msg("case %zu: %zu matches of %zu bytes", i, found.matches, found.bytes);
        loam_pattern_deinit(&pattern);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_runs_are_split_like_short_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
