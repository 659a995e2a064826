// Random texts: comparing a prompt from its last separating token on gives what comparing all of it gives.
#include "test.h"

#include "text/prompt.h"

static struct loam_error error;

#define ADDED(id, content, lstrip, rstrip, normalized)                                                       \
    "{\"id\": " id ", \"content\": \"" content "\", \"single_word\": false, \"lstrip\": " lstrip             \
    ", \"rstrip\": " rstrip ", \"normalized\": " normalized ", \"special\": true}"

// Added tokens that separate (<s>), that take white space (<l>, <r>) and that are found in normalised text (<n>).
#define FILE_OF(normalizer, pre_tokenizer)                                                                   \
    "{\"version\": \"1.0\", \"added_tokens\": [" ADDED("20", "<s>", "false", "false", "false") "," ADDED(    \
        "21", "<l>", "true", "false",                                                                        \
        "false") "," ADDED("22", "<r>", "false", "true",                                                     \
                           "false") "," ADDED("23", "<n>", "false", "false",                                 \
                                              "true") "],"                                                   \
                                                      "\"normalizer\": " normalizer                          \
                                                      ", \"pre_tokenizer\": " pre_tokenizer                  \
                                                      ", \"post_processor\": null, \"decoder\": null, "      \
                                                      "\"model\": {\"type\": \"BPE\", \"unk_token\": "       \
                                                      "\"<\", "                                              \
                                                      "\"fuse_unk\": false, \"vocab\": {\"<\": 0, \">\": "   \
                                                      "1, \"s\": 2, \"l\": 3, \"r\": 4, \"n\": 5, \"a\": "   \
                                                      "6, "                                                  \
                                                      "\" \": 7, \"\\n\": 8, \"_\": 9, \"_a\": 10, \"aa\": " \
                                                      "11, \"\\n\\n\": 12, \"\\na\": 13, \" a\": 14, "       \
                                                      "\"a \": 15, \"as\": 16}, \"merges\": [\"a a\", "      \
                                                      "\"\\n \\n\", \"\\n a\", \"a s\"]}}"

#define METASPACE(scheme)                                                                                    \
    "{\"type\": \"Metaspace\", \"replacement\": \"_\", \"prepend_scheme\": \"" scheme "\", \"split\": "      \
    "false}"
#define SPLIT                                                                                                \
    "{\"type\": \"Split\", \"pattern\": {\"Regex\": \" ?a+|\\\\n+|[^a\\\\n]\"}, \"behavior\": "              \
    "\"Isolated\", "                                                                                         \
    "\"invert\": false}"

static const char *const files[] = {
    FILE_OF("null", "null"),
    FILE_OF("{\"type\": \"Lowercase\"}", SPLIT),
    FILE_OF("null", METASPACE("always")),
    FILE_OF("{\"type\": \"Prepend\", \"prepend\": \"_\"}", METASPACE("first")),
};

static struct loam_tokenizer *load(const char *json)
{
    char directory[256], path[300];
    struct loam_tokenizer *tokenizer;
    assert_non_null(test_make_directory(directory));
    snprintf(path, sizeof path, "%s/tokenizer.json", directory);
    test_write_file(path, json, strlen(json));
    assert_ok(loam_tokenizer_load(&tokenizer, path, &error));
    test_remove_directory(directory);
    return tokenizer;
}

static uint32_t state = 1;

static uint32_t draw(uint32_t limit)
{
    state = state * 1664525u + 1013904223u;
    return (state >> 16) % limit;
}

static void make_text(struct loam_bytes *text)
{
    static const char *const pieces[] = {"<s>", "<s>", "<l>", "<r>", "<n>", "a",
                                         "aa",  "\n",  " ",   "s",   "<",   "A"};
    loam_bytes_clear(text);
    for (uint32_t i = 2 + draw(12); i > 0; i--)
        assert_ok(loam_bytes_append_text(text, pieces[draw(sizeof pieces / sizeof *pieces)], &error));
}

static void assert_same_ids(const struct loam_encoding *a, const struct loam_encoding *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        assert_int_equal(a->ids[i], b->ids[i]);
        assert_int_equal(a->starts[i], b->starts[i]);
        assert_int_equal(a->ends[i], b->ends[i]);
    }
}

// Aligns the encoding with and without its separator. Returns whether there was one.
static bool align_both(const struct loam_tokenizer *tokenizer, const struct loam_text_input *input, size_t at,
                       struct loam_prompt *prompt, struct loam_encoding encodings[2])
{
    size_t counts[2];
    bool separates = false;
    for (int i = 0; i < 2; i++) {
        struct loam_boundary boundary = {.at = at};
        assert_ok(loam_tokenizer_encode_input(tokenizer, input, &boundary, &encodings[i], &error));
        separates = boundary.separator != SIZE_MAX;
        if (i == 1) boundary.separator = SIZE_MAX;
        assert_ok(loam_prompt_align(prompt, tokenizer, input, &boundary, &encodings[i], &counts[i], &error));
    }
    assert_int_equal(counts[0], counts[1]);
    assert_same_ids(&encodings[0], &encodings[1]);
    return separates;
}

static void test_separators(void **unused)
{
    (void)unused;
    struct loam_prompt prompt = {0};
    struct loam_encoding encodings[2] = {{0}};
    struct loam_bytes text = {0};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct loam_tokenizer *tokenizer = load(files[i]);
        int separated = 0;
        for (int j = 0; j < 5000; j++) {
            make_text(&text);
            const size_t start = draw((uint32_t)text.size), at = 1 + draw((uint32_t)text.size - 1);
            const struct loam_plain_range plain = {start, start + 1 + draw((uint32_t)(text.size - start)),
                                                   false};
            const struct loam_text_input input = {
                .text = text.data, .size = text.size, .plain = &plain, .plain_count = draw(2)};
            separated += align_both(tokenizer, &input, at, &prompt, encodings);
        }
        assert_true(separated > 1000);
        loam_tokenizer_destroy(tokenizer);
    }
    loam_bytes_deinit(&text);
    loam_encoding_deinit(&encodings[0]);
    loam_encoding_deinit(&encodings[1]);
    loam_prompt_deinit(&prompt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_separators)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
