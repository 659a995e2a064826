// Tokens with rows of their own: the option, and PEFT's key.
#include "test.h"

#include "lora/token_choice.h"

static struct loam_error error;

static void assert_json(const struct loam_token_choice *choice, const char *expected)
{
    json_t *value = loam_token_choice_json(choice);
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    assert_string_equal(text, expected);
    json_decref(value);
    free(text);
}

static void test_option(void **state)
{
    (void)state;
    static const struct {
        const char *text, *json;
    } cases[] = {
        {NULL, "null"},
        {"0", "[0]"},
        {"9,5,2147483647", "[9,5,2147483647]"},
        {"embed_tokens=3", "{\"embed_tokens\":[3]}"},
        {"embed_tokens=3,1;lm_head=7", "{\"embed_tokens\":[3,1],\"lm_head\":[7]}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct loam_token_choice choice = {0};
        assert_ok(loam_token_choice_parse(&choice, cases[i].text, &error));
        assert_json(&choice, cases[i].json);
        loam_token_choice_deinit(&choice);
    }
}

static void test_bad_option(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum loam_status status;
        const char *message;
    } cases[] = {
        {"", LOAM_ERROR_ARGUMENT, "expected ids"},
        {"5,", LOAM_ERROR_ARGUMENT, "expected ids"},
        {",5", LOAM_ERROR_ARGUMENT, "expected ids"},
        {"-5", LOAM_ERROR_ARGUMENT, "expected ids"},
        {"5 6", LOAM_ERROR_ARGUMENT, "expected ids"},
        {"x", LOAM_ERROR_ARGUMENT, "expected ids"},
        {"embed_tokens=", LOAM_ERROR_ARGUMENT, "expected ids"},
        {"5;6", LOAM_ERROR_ARGUMENT, "expected ids"},
        {"a=5;", LOAM_ERROR_ARGUMENT, "expected ids"},
        {"99999999999999999999", LOAM_ERROR_ARGUMENT, "expected ids"},
        {"2147483648", LOAM_ERROR_FORMAT, "expected the id of a token"},
        {"5,6,5", LOAM_ERROR_FORMAT, "token 5 twice"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct loam_token_choice choice = {0};
        assert_fails(loam_token_choice_parse(&choice, cases[i].text, &error), cases[i].status,
                     cases[i].message);
        loam_token_choice_deinit(&choice);
    }
}

static enum loam_status read_text(struct loam_token_choice *choice, const char *value)
{
    json_t *root = json_pack("{s:o}", "trainable_token_indices", json_loads(value, JSON_DECODE_ANY, NULL));
    assert_non_null(root);
    enum loam_status status = loam_token_choice_read(choice, root, "file", &error);
    json_decref(root);
    return status;
}

static void test_key(void **state)
{
    (void)state;
    static const char *const same[] = {"null", "[4,2]", "{\"embed_tokens\":[4],\"lm_head\":[2,0]}"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        struct loam_token_choice choice = {0};
        assert_ok(read_text(&choice, same[i]));
        assert_json(&choice, same[i]);
        loam_token_choice_deinit(&choice);
    }
    static const char *const none[] = {"[]", "{}"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        struct loam_token_choice choice = {0};
        assert_ok(read_text(&choice, none[i]));
        assert_int_equal(choice.count, 0);
    }
}

static void test_bad_key(void **state)
{
    (void)state;
    static const struct {
        const char *value, *message;
    } cases[] = {
        {"true", "must be a list"},          {"\"5\"", "must be a list"},
        {"[\"5\"]", "must be a list"},       {"[5.5]", "must be a list"},
        {"[-1]", "expected the id"},         {"[5, 5]", "twice"},
        {"{\"a\": 5}", "must be a"},         {"{\"a\": []}", "must be a list"},
        {"[4294967296]", "expected the id"}, {"{\"a\": [true]}", "must be"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct loam_token_choice choice = {0};
        assert_fails(read_text(&choice, cases[i].value), LOAM_ERROR_FORMAT, cases[i].message);
        loam_token_choice_deinit(&choice);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_option),
        cmocka_unit_test(test_bad_option),
        cmocka_unit_test(test_key),
        cmocka_unit_test(test_bad_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
