// Plain ranges: bytes of a text in which special and reserved tokens are not found.
#include "test.h"

#include "text/tokenizer.h"

static struct loam_error error;

// Letters and three added tokens: <s> and <s>a are special, <t> is not, and <n> is searched for in lower-case text.
static const char file[] =
    "{\"version\": \"1.0\", \"added_tokens\": ["
    "{\"id\": 8, \"content\": \"<s>\", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, "
    "\"normalized\": false, \"special\": true},"
    "{\"id\": 9, \"content\": \"<s>a\", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, "
    "\"normalized\": false, \"special\": true},"
    "{\"id\": 10, \"content\": \"<t>\", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, "
    "\"normalized\": false, \"special\": false},"
    "{\"id\": 11, \"content\": \"<n>\", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, "
    "\"normalized\": true, \"special\": true}],"
    "\"normalizer\": {\"type\": \"Lowercase\"}, \"pre_tokenizer\": null, \"post_processor\": null, "
    "\"decoder\": null, \"model\": {\"type\": \"BPE\", \"unk_token\": \"<unk>\", \"fuse_unk\": false, "
    "\"vocab\": {\"<unk>\": 0, \"<\": 1, \">\": 2, \"s\": 3, \"t\": 4, \"n\": 5, \"a\": 6, \"aa\": 7}, "
    "\"merges\": [\"a a\"]}}";

struct plain_case {
    const char *text;
    struct loam_plain_range plain[2];
    size_t plain_count;
    int32_t ids[12];
    size_t count;
};

static const struct plain_case cases[] = {
    {"a<s>a<t>", {{0}}, 0, {6, 9, 10}, 3},
    // Every byte of a token counts.
    {"a<s>a<t>", {{1, 4, false}}, 1, {6, 1, 3, 2, 6, 10}, 6},
    {"a<s>a<t>", {{3, 4, false}}, 1, {6, 1, 3, 2, 6, 10}, 6},
    {"a<s>a<t>", {{0, 1, false}}, 1, {6, 9, 10}, 3},
    {"a<s>a<t>", {{0, 1, false}, {4, 5, false}}, 2, {6, 8, 6, 10}, 4},
    {"a<s>a<t>", {{5, 8, true}}, 1, {6, 9, 10}, 3},
    {"a<s>a<t>", {{0, 8, true}}, 1, {6, 1, 3, 2, 6, 10}, 6},
    {"a<s>a<t>", {{0, 8, false}}, 1, {6, 1, 3, 2, 6, 1, 4, 2}, 8},
    // A range has no effect on words.
    {"aa", {{0, 1, false}}, 1, {7}, 1},
    // In the normalised text, too.
    {"a<N>", {{0}}, 0, {6, 11}, 2},
    {"a<N>", {{1, 2, false}}, 1, {6, 1, 5, 2}, 4},
};

static void test_plain_ranges(void **state)
{
    (void)state;
    char directory[256], path[300];
    struct loam_tokenizer *tokenizer;
    struct loam_encoding encoding = {0};
    const int32_t reserved[] = {10};
    snprintf(path, sizeof path, "%s/tokenizer.json", test_make_directory(directory));
    test_write_file(path, file, sizeof file - 1);
    assert_ok(loam_tokenizer_load(&tokenizer, path, &error));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct plain_case *at = &cases[i];
        const struct loam_text_input input = {.text = at->text,
                                              .size = strlen(at->text),
                                              .plain = at->plain,
                                              .plain_count = at->plain_count,
                                              .reserved = reserved,
                                              .reserved_count = 1};
        assert_ok(loam_tokenizer_encode_input(tokenizer, &input, NULL, &encoding, &error));
        print_message("case %zu\n", i);
        assert_int_equal(encoding.count, at->count);
        assert_memory_equal(encoding.ids, at->ids, at->count * sizeof *at->ids);
    }
    struct loam_added_text token;
    assert_true(loam_tokenizer_added(tokenizer, 2, &token));
    assert_true(token.id == 10 && !token.special && strcmp(token.text, "<t>") == 0);
    assert_false(loam_tokenizer_added(tokenizer, 4, &token));
    assert_true(loam_tokenizer_is_special(tokenizer, 9) && !loam_tokenizer_is_special(tokenizer, 10));
    loam_encoding_deinit(&encoding);
    loam_tokenizer_destroy(tokenizer);
    test_remove_directory(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_plain_ranges)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
