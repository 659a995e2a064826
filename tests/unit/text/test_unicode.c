// Every code point is treated as by the package `tokenizers`, by the digests in unicode_digests.h: ids do
// not depend on the Unicode version of the system's libraries.
#include "test.h"

#include "text/char_set.h"
#include "text/expression_parts.h"
#include "text/normalizer.h"
#include "text/unicode.h"
#include "text/unicode_data.h"

#include "unicode_digests.h"

static struct loam_error error;

enum { SURROGATES = 0xD800, SURROGATES_END = 0xE000 };

// ---- Digests ----

static const uint64_t digest_start = UINT64_C(0xCBF29CE484222325);

static void feed(uint64_t *digest, const void *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        *digest = (*digest ^ ((const unsigned char *)data)[i]) * UINT64_C(0x100000001B3);
}

static void feed_number(uint64_t *digest, uint32_t number)
{
    unsigned char bytes[3] = {(unsigned char)number, (unsigned char)(number >> 8),
                              (unsigned char)(number >> 16)};
    feed(digest, bytes, 3);
}

// Spans as scripts/unicode_tables.py writes them: without surrogates; a gap of surrogates only does not end
// a span.
struct spans {
    uint64_t digest;
    bool open;
    uint32_t first;
    uint32_t end;
};

static void close_span(struct spans *spans)
{
    if (!spans->open) return;
    feed_number(&spans->digest, spans->first);
    feed_number(&spans->digest, spans->end);
    spans->open = false;
}

static void add_span(struct spans *spans, uint32_t first, uint32_t end)
{
    if (first >= SURROGATES && first < SURROGATES_END) first = SURROGATES_END;
    if (end > SURROGATES && end <= SURROGATES_END) end = SURROGATES;
    if (first >= end) return;
    bool touches =
        spans->open && (spans->end == first || (spans->end == SURROGATES && first == SURROGATES_END));
    if (!touches) {
        close_span(spans);
        spans->open = true;
        spans->first = first;
    }
    spans->end = end;
}

static void assert_digest(const struct digest *expected, uint64_t digest)
{
    if (digest != expected->value)
        fail_msg("%s: digest %#llx, expected %#llx", expected->name, (unsigned long long)digest,
                 (unsigned long long)expected->value);
}

// ---- Texts of all code points ----

struct text {
    char *bytes;
    size_t size;
};

// Every code point except `except`, each between two texts.
static struct text make_text_of_all_code_points(const char *before, const char *after, int32_t except)
{
    size_t around = strlen(before) + strlen(after);
    struct text text = {malloc((size_t)LOAM_CODE_POINTS * (LOAM_UTF8_MAX + around)), 0};
    assert_non_null(text.bytes);
    for (int32_t c = 0; c < LOAM_CODE_POINTS; c++) {
        if (c == except || (c >= SURROGATES && c < SURROGATES_END)) continue;
        memcpy(text.bytes + text.size, before, strlen(before));
        text.size += strlen(before);
        text.size += loam_utf8_encode(c, text.bytes + text.size);
        memcpy(text.bytes + text.size, after, strlen(after));
        text.size += strlen(after);
    }
    return text;
}

static uint32_t code_point_at(const char *text)
{
    size_t length;
    return (uint32_t)loam_utf8_decode(text, &length);
}

// ---- The tests ----

// The classes that an expression can name; they are parsed, not searched.
static void every_property_has_its_code_points(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof property_digests / sizeof *property_digests; i++) {
        char class[128];
        struct loam_char_set set = {0};
        struct spans spans = {.digest = digest_start};
        snprintf(class, sizeof class, "[%s]", property_digests[i].name);
        struct loam_expression expression = {.text = class, .size = strlen(class), .name = "test"};
        assert_ok(loam_expression_read_class(&expression, &set, &error));
        for (size_t j = 0; j < set.count; j++)
            add_span(&spans, set.spans[j].first, set.spans[j].end);
        close_span(&spans);
        loam_char_set_deinit(&set);
        assert_digest(&property_digests[i], spans.digest);
    }
}

static void check_expression(const struct digest *expected, const struct text *text)
{
    struct loam_pattern pattern;
    struct loam_matcher matcher = {0};
    struct spans spans = {.digest = digest_start};
    bool found = true;
    assert_ok(loam_pattern_init_regex(&pattern, expected->name, strlen(expected->name), "test", &error));
    loam_matcher_begin(&matcher, &pattern, text->bytes, text->size);
    for (;;) {
        assert_ok(loam_matcher_next(&matcher, &found, &error));
        if (!found) break;
        if (matcher.start == matcher.end) continue;
        size_t last = matcher.end - loam_utf8_last(text->bytes, matcher.end);
        add_span(&spans, code_point_at(text->bytes + matcher.start), code_point_at(text->bytes + last) + 1);
    }
    close_span(&spans);
    loam_matcher_deinit(&matcher);
    loam_pattern_deinit(&pattern);
    assert_digest(expected, spans.digest);
}

static void expressions_match_the_same_code_points(void **state)
{
    (void)state;
    struct text text = make_text_of_all_code_points("", "", -1);
    for (size_t i = 0; i < sizeof expression_digests / sizeof *expression_digests; i++)
        check_expression(&expression_digests[i], &text);
    free(text.bytes);
}

static void word_boundaries_are_at_the_same_code_points(void **state)
{
    (void)state;
    struct text text = make_text_of_all_code_points("a", "", -1);
    for (size_t i = 0; i < sizeof boundary_digests / sizeof *boundary_digests; i++) {
        const char *name = boundary_digests[i].name;
        bool before = strstr(name, "<=") != NULL; // the code point follows the boundary
        struct loam_pattern pattern;
        struct loam_matcher matcher = {0};
        struct spans spans = {.digest = digest_start};
        bool found = true;
        assert_ok(loam_pattern_init_regex(&pattern, name, strlen(name), "test", &error));
        loam_matcher_begin(&matcher, &pattern, text.bytes, text.size);
        for (;;) {
            assert_ok(loam_matcher_next(&matcher, &found, &error));
            if (!found) break;
            if (matcher.start == 0) continue;
            size_t place = before ? matcher.start : matcher.start - loam_utf8_last(text.bytes, matcher.start);
            add_span(&spans, code_point_at(text.bytes + place), code_point_at(text.bytes + place) + 1);
        }
        close_span(&spans);
        loam_matcher_deinit(&matcher);
        loam_pattern_deinit(&pattern);
        assert_digest(&boundary_digests[i], spans.digest);
    }
    free(text.bytes);
}

// The output of the steps.
struct outcome {
    struct loam_bytes text;   // of all pieces, end to end
    struct loam_bytes pieces; // struct loam_piece
};

static void outcome_deinit(struct outcome *outcome)
{
    loam_bytes_deinit(&outcome->text);
    loam_bytes_deinit(&outcome->pieces);
}

static enum loam_status take_piece(struct loam_stage *stage, struct loam_piece piece,
                                   struct loam_error *failure)
{
    struct outcome *outcome = stage->user;
    LOAM_TRY(loam_bytes_append(&outcome->pieces, &piece, sizeof piece, failure));
    return loam_bytes_append(&outcome->text, stage->pieces.text.bytes + piece.start, piece.end - piece.start,
                             failure);
}

static void run_steps(enum loam_status (*parse)(const json_t *, const char *, struct loam_steps *,
                                                struct loam_error *),
                      const char *json, const struct text *text, struct outcome *outcome)
{
    json_t *part = json_loads(json, 0, NULL);
    struct loam_steps steps = {0};
    struct loam_stage stages[LOAM_MAX_STEPS + 1] = {0};
    *outcome = (struct outcome){0};
    assert_non_null(part);
    assert_ok(parse(part, "test", &steps, &error));
    loam_steps_make_stages(&steps, stages);
    stages[steps.count] = (struct loam_stage){.run = take_piece, .user = outcome};
    assert_ok(loam_stages_run(stages, steps.count + 1, text->bytes, text->size, &error));
    loam_stages_deinit(stages, steps.count + 1);
    loam_steps_deinit(&steps);
    json_decref(part);
}

static bool is_class(int32_t code_point, const char *name)
{
    if (strcmp(name, "word") == 0) return loam_char_is_word(code_point);
    if (strcmp(name, "numeric") == 0) return loam_char_is_numeric(code_point);
    if (strcmp(name, "punctuation") == 0) return loam_char_is_punctuation(code_point);
    return loam_char_is_whitespace(code_point);
}

static void classes_have_the_same_code_points(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof class_digests / sizeof *class_digests; i++) {
        struct spans spans = {.digest = digest_start};
        for (int32_t c = 0; c < LOAM_CODE_POINTS; c++)
            if (is_class(c, class_digests[i].name)) add_span(&spans, (uint32_t)c, (uint32_t)c + 1);
        close_span(&spans);
        assert_digest(&class_digests[i], spans.digest);
    }
}

// How a pre-tokenizer splits a code point between two letters: it shares a piece with the letter before (1),
// begins a piece (2), ends a piece (4).
static void pretokenizers_split_by_the_same_classes(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        const char *cuts; // the class whose characters are pieces of their own; for "word" all others are
        bool removed;
    } cases[] = {
        {"{\"type\": \"Digits\", \"individual_digits\": true}", "numeric", false},
        {"{\"type\": \"Punctuation\", \"behavior\": \"Isolated\"}", "punctuation", false},
        {"{\"type\": \"WhitespaceSplit\"}", "white space", true},
        {"{\"type\": \"Whitespace\"}", "word", true},
    };
    struct text text = make_text_of_all_code_points("a", "a", -1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct outcome outcome;
        run_steps(loam_pretokenizer_parse, cases[i].json, &text, &outcome);
        const struct loam_piece *pieces = (const void *)outcome.pieces.data;
        const size_t count = outcome.pieces.size / sizeof *pieces;
        size_t next = 0;
        size_t at = 0;
        for (int32_t c = 0; c < LOAM_CODE_POINTS; c++) {
            if (c >= SURROGATES && c < SURROGATES_END) continue;
            char encoded[LOAM_UTF8_MAX];
            size_t start = at + 1;
            size_t end = start + loam_utf8_encode(c, encoded);
            at = end + 1;
            while (next < count && pieces[next].end <= start)
                next++;
            bool there = next < count && pieces[next].start < end;
            bool alone = there && pieces[next].start == start && pieces[next].end == end;
            bool is_word = strcmp(cases[i].cuts, "word") == 0;
            bool in = is_class(c, cases[i].cuts);
            bool gone = cases[i].removed && (is_word ? loam_char_is_whitespace(c) : in);
            bool cut = is_word ? !in && !gone : in && !cases[i].removed;
            if (there == gone || alone != cut) fail_msg("%s: U+%04X", cases[i].json, (unsigned)c);
        }
        outcome_deinit(&outcome);
    }
    free(text.bytes);
}

// Reads the texts around a code point from the name of the form.
static void read_context(const char *name, const char **before, const char **after)
{
    *before = strstr(name, "U+0345") != NULL ? "e\xCD\x85" : strstr(name, "between") != NULL ? "e" : "";
    *after = strstr(name, "U+0334") != NULL ? "\xCC\xB4" : strstr(name, "U+0301") != NULL ? "\xCC\x81" : "";
}

// Works line by line: no form combines characters across a line feed.
static uint64_t form_digest(const struct text *text, const struct loam_bytes *made, size_t before)
{
    uint64_t digest = digest_start;
    const char *old = text->bytes;
    const char *new = made->data;
    const char *new_end = new + made->size;
    while (old < text->bytes + text->size) {
        // NUL and line feed have no other form and are left out.
        size_t old_size = (size_t)((const char *)memchr(old, '\n', SIZE_MAX / 2) - old);
        const char *end = memchr(new, '\n', (size_t)(new_end - new));
        assert_non_null(end);
        size_t new_size = (size_t)(end - new);
        if (new_size != old_size || memcmp(new, old, new_size) != 0) {
            feed_number(&digest, code_point_at(old + before));
            feed(&digest, new, new_size);
            feed(&digest, "", 1);
        }
        old += old_size + 1;
        new = end + 1;
    }
    return digest;
}

static void forms_change_the_same_characters(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof form_digests / sizeof *form_digests; i++) {
        const char *before;
        const char *after;
        char json[64];
        char line[16];
        read_context(form_digests[i].name, &before, &after);
        snprintf(line, sizeof line, "%s\n", after);
        snprintf(json, sizeof json, "{\"type\": \"%.*s\"}", (int)strcspn(form_digests[i].name, " "),
                 form_digests[i].name);
        struct text text = make_text_of_all_code_points(before, line, '\n');
        struct outcome outcome;
        run_steps(loam_normalizer_parse, json, &text, &outcome);
        assert_digest(&form_digests[i], form_digest(&text, &outcome.text, strlen(before)));
        outcome_deinit(&outcome);
        free(text.bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_property_has_its_code_points),
        cmocka_unit_test(expressions_match_the_same_code_points),
        cmocka_unit_test(word_boundaries_are_at_the_same_code_points),
        cmocka_unit_test(classes_have_the_same_code_points),
        cmocka_unit_test(pretokenizers_split_by_the_same_classes),
        cmocka_unit_test(forms_change_the_same_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
