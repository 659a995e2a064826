// Stop texts: the output ends before them, however it is split, and nothing of them is released.
#include "test.h"

#include "base/rng.h"
#include "generate/stop_texts.h"

static struct loam_error error;

struct result {
    char text[128];
    bool is_found;
};

// Pushes the output in pieces of the given sizes, the last one repeated, and releases the rest.
static struct result scan_pieces(const char *const *texts, size_t count, const char *output,
                                 const size_t *pieces, size_t piece_count)
{
    struct loam_stop_scan scan = {.texts = {texts, count}};
    struct loam_bytes out = {0};
    struct result result = {0};
    const size_t size = strlen(output);
    for (size_t at = 0, i = 0; at < size; i++) {
        size_t piece = pieces[i < piece_count ? i : piece_count - 1];
        if (piece > size - at) piece = size - at;
        assert_ok(loam_stop_scan_push(&scan, output + at, piece, &out, &error));
        at += piece;
    }
    result.is_found = scan.is_found;
    assert_ok(loam_stop_scan_finish(&scan, &out, &error));
    assert_true(out.size < sizeof result.text);
    memcpy(result.text, out.data == NULL ? "" : out.data, out.size);
    loam_bytes_deinit(&out);
    loam_stop_scan_deinit(&scan);
    return result;
}

static void check(const char *const *texts, size_t count, const char *output, const char *expected,
                  bool found)
{
    for (size_t piece = 1; piece <= strlen(output) + 1; piece++) {
        const struct result result = scan_pieces(texts, count, output, &piece, 1);
        assert_string_equal(result.text, expected);
        assert_int_equal(result.is_found, found);
    }
}

#define CHECK(output, expected, found, ...)                                                                  \
    do {                                                                                                     \
        const char *const texts_[] = {__VA_ARGS__};                                                          \
        check(texts_, sizeof texts_ / sizeof texts_[0], output, expected, found);                            \
    } while (0)

static void test_output_ends_before_the_text(void **state)
{
    (void)state;
    CHECK("one\nUser: two", "one", true, "\nUser:");
    CHECK("User:", "", true, "User:");
    CHECK("no such text", "no such text", false, "\nUser:");
    CHECK("", "", false, "x");
    CHECK("nothing to look for", "nothing to look for", false, "");
    check(NULL, 0, "no texts", "no texts", false);
}

static void test_a_beginning_alone_is_text(void **state)
{
    (void)state;
    CHECK("one\nUse", "one\nUse", false, "\nUser:");
    CHECK("aab", "", true, "aab");
    CHECK("aaab", "a", true, "aab"); // the text begins anew inside its own beginning
    CHECK("ababac", "ab", true, "abac");
}

static void test_overlapping_texts(void **state)
{
    (void)state;
    CHECK("abc", "a", true, "abc", "b");   // "b" ends first
    CHECK("xabc", "x", true, "bc", "abc"); // of two that end together the longest
    CHECK("xabc", "x", true, "abc", "bc");
    CHECK("abd", "abd", false, "abc");
    CHECK("abx", "a", true, "abc", "bx"); // another text in the beginning of the first
}

static void test_characters_stay_whole(void **state)
{
    (void)state;
    // "é" is C3 A9, "ê" C3 AA.
    CHECK("caf\xC3\xAA\xC3\xA9!", "caf\xC3\xAA", true, "\xC3\xA9");
    CHECK("\xE2\x82\xAC 5", "", true, "\xE2\x82\xAC");
    const char *const texts[] = {"\xC3\xA9"};
    struct loam_stop_scan scan = {.texts = {texts, 1}};
    struct loam_bytes out = {0};
    assert_ok(loam_stop_scan_push(&scan, "a\xC3\xAA", 3, &out, &error));
    assert_int_equal(out.size, 3); // nothing is held: no end of the output begins a text
    loam_bytes_deinit(&out);
    loam_stop_scan_deinit(&scan);
}

static void test_only_what_may_become_a_text_is_held(void **state)
{
    (void)state;
    const char *const texts[] = {"<end>"};
    struct loam_stop_scan scan = {.texts = {texts, 1}};
    struct loam_bytes out = {0};
    assert_ok(loam_stop_scan_push(&scan, "a <en", 5, &out, &error));
    assert_string_equal(out.data, "a ");
    assert_ok(loam_stop_scan_push(&scan, "t <", 3, &out, &error));
    assert_string_equal(out.data, "a <ent ");
    assert_ok(loam_stop_scan_push(&scan, "end> more", 9, &out, &error));
    assert_string_equal(out.data, "a <ent ");
    assert_true(scan.is_found);
    assert_ok(loam_stop_scan_push(&scan, "even more", 9, &out, &error));
    assert_ok(loam_stop_scan_finish(&scan, &out, &error));
    assert_string_equal(out.data, "a <ent ");
    loam_bytes_deinit(&out);
    loam_stop_scan_deinit(&scan);
}

// ---- Against a search of the whole output ----

// The start of the text that ends first, the longest of those that end together; -1: none.
static int search(const char *const *texts, size_t count, const char *output)
{
    for (size_t end = 1; end <= strlen(output); end++) {
        size_t longest = 0;
        for (size_t i = 0; i < count; i++) {
            const size_t size = strlen(texts[i]);
            if (size <= end && size > longest && memcmp(output + end - size, texts[i], size) == 0)
                longest = size;
        }
        if (longest > 0) return (int)(end - longest);
    }
    return -1;
}

static uint32_t draw(uint64_t *counter, uint32_t below)
{
    return (uint32_t)(loam_rng_uniform(11, loam_rng_stream(LOAM_RNG_SAMPLE, 0), (*counter)++) *
                      (float)below) %
           below;
}

static void draw_text(uint64_t *counter, uint32_t most, char *text)
{
    const uint32_t size = 1 + draw(counter, most);
    for (uint32_t i = 0; i < size; i++)
        text[i] = (char)('a' + draw(counter, 3));
    text[size] = '\0';
}

static void test_random_outputs(void **state)
{
    (void)state;
    uint64_t counter = 0;
    for (int round = 0; round < 3000; round++) {
        char stops[3][8], output[40], expected[40];
        const char *const texts[] = {stops[0], stops[1], stops[2]};
        size_t pieces[40];
        for (int i = 0; i < 3; i++)
            draw_text(&counter, 5, stops[i]);
        draw_text(&counter, 38, output);
        for (int i = 0; i < 40; i++)
            pieces[i] = 1 + draw(&counter, 6);
        const int start = search(texts, 3, output);
        snprintf(expected, sizeof expected, "%.*s", start < 0 ? (int)sizeof expected : start, output);
        const struct result result = scan_pieces(texts, 3, output, pieces, 40);
        assert_string_equal(result.text, expected);
        assert_int_equal(result.is_found, start >= 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output_ends_before_the_text),
        cmocka_unit_test(test_a_beginning_alone_is_text),
        cmocka_unit_test(test_overlapping_texts),
        cmocka_unit_test(test_characters_stay_whole),
        cmocka_unit_test(test_only_what_may_become_a_text_is_held),
        cmocka_unit_test(test_random_outputs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
