#include "base/json.h"
#include "test.h"

static enum loam_status parse(json_t **root, const char *text, struct loam_error *error)
{
    return loam_json_parse(root, text, strlen(text), "doc.json", error);
}

static void documents_that_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"", "doc.json is not valid JSON: line 1"},
        {"{", "doc.json is not valid JSON"},
        {"{\"a\": 1,}", "not valid JSON"},
        {"{\"a\": 1} x", "not valid JSON"},
        {"{\n\n\"a\": 01}", "line 3"},
        {"{\"a\": 1, \"a\": 2}", "duplicate"},
        {"{\"a\": \"\xff\"}", "not valid JSON"},
        {"{\"a\": 1e999}", "not valid JSON"},
        {"{\"a\": -}", "line 1, column 8: this is not a number"},
        {"{\"a\": 1.}", "this is not a number"},
        {"{\"a\": .5}", "column 7: a value expected"},
        {"{\"a\": 1e+}", "this is not a number"},
        {"{\"a\": -01}", "this is not a number"},
        {"{\"a\": +1}", "a value expected"},
        {"{\"a\": NaN}", "a value expected"},
        {"{\"a\": tru}", "a value expected"},
        {"{\"a\": truely}", "',' or '}' expected"},
        {"{\"a\" 1}", "':' expected"},
        {"{a: 1}", "a key between quotes expected"},
        {"{'a': 1}", "a key between quotes expected"},
        {"{\"a\": [1 2]}", "',' or ']' expected"},
        {"{\"a\": [1,]}", "a value expected"},
        {"{\"a\": \"b}", "the text ends within a string"},
        {"{\"a\": \"b\\", "a backslash"},
        {"{\"a\": \"\\x\"}", "a backslash"},
        {"{\"a\": \"b\nc\"}", "a control character"},
        {"{\"a\": \"\\u12g4\"}", "four hexadecimal digits"},
        {"{\"a\": \"\\u12", "four hexadecimal digits"},
        {"{\"a\": \"\\u0000\"}", "\\u0000"},
        {"{\"a\": \"\\ud800\"}", "half of a character"},
        {"{\"a\": \"\\ud800\\u0041\"}", "half of a character"},
        {"{\"a\": \"\\udc00\"}", "half of a character"},
        {"{\"a\": \"\xc0\x80\"}", "not UTF-8"},
        {"{\"a\": \"\xed\xa0\x80\"}", "not UTF-8"},
        {"{\"a\": \"\xf4\x90\x80\x80\"}", "not UTF-8"},
        {"{\"a\": \"\xc3", "not UTF-8"},
        {"{\"a\": \"\xc3(\"}", "not UTF-8"}, // a letter where a continuation byte belongs
        {"{\"a\": \"\xe2\x82(\"}", "not UTF-8"},
        {"{\"a\": \"\xf0\x9f\x98\xc0\"}", "not UTF-8"},
        {"{\"\xc3\xa9\": \"\xff\"}", "column 8: bytes"}, // a character is one column
        {"[1]", "doc.json must be a JSON object, it is an array"},
        {"3", "must be a JSON object, it is an integer"},
        {"null", "must be a JSON object, it is null"},
        {"\"x\"", "must be a JSON object, it is a string"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loam_error error = {0};
        json_t *root;
        assert_fails(parse(&root, cases[i].text, &error), LOAM_ERROR_FORMAT, cases[i].message);
        assert_null(root);
    }
}

// The value that jansson reads from the same text.
static void documents_that_are_taken(void **state)
{
    (void)state;
    static const char *const documents[] = {
        "{}",
        " {\t\"a\" :\r\n[ ] , \"b\":{ }} ",
        "{\"a\": [0, -0, 1.5, -1.5e3, 1E-2, 1e+2, 0e0, 9223372036854775807, -9223372036854775808]}",
        "{\"a\": [true, false, null, [[[]]]]}",
        "{\"a\": \"\\\"\\\\\\/\\b\\f\\n\\r\\t\", \"\\u0061b\": 1}",
        "{\"\": \"\\u0001\\u007f\\u0080\\u07ff\\u0800\\uffff\\ud800\\udc00\\uDBFF\\uDFFF\\ud7ff\\ue000\"}",
        "{\"\": \"\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\"}",
        "{\"\": \"\xee\x80\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"}",
    };
    for (size_t i = 0; i < sizeof documents / sizeof documents[0]; i++) {
        struct loam_error error = {0};
        json_t *root, *expected = json_loads(documents[i], 0, NULL);
        assert_ok(parse(&root, documents[i], &error));
        assert_non_null(expected);
        assert_true(json_equal(root, expected));
        json_decref(root);
        json_decref(expected);
    }
    // The parser does not read past the given size.
    json_t *root;
    struct loam_error error = {0};
    assert_ok(loam_json_parse(&root, "{}x", 2, "doc.json", &error));
    json_decref(root);
    assert_fails(loam_json_parse(&root, "{}\0", 3, "doc.json", &error), LOAM_ERROR_FORMAT,
                 "the end of the text");
}

static void depth_is_bounded(void **state)
{
    (void)state;
    enum { DEPTH = 100000 };
    char *text = malloc(DEPTH + 6);
    assert_non_null(text);
    memcpy(text, "{\"a\":", 5);
    memset(text + 5, '[', DEPTH);
    text[DEPTH + 5] = '\0';
    struct loam_error error = {0};
    json_t *root;
    assert_fails(parse(&root, text, &error), LOAM_ERROR_FORMAT, "depth");
    free(text);
}

// A small text can require much memory: an empty array takes two bytes of text.
static void values_are_counted(void **state)
{
    (void)state;
    enum { ALLOWED = 2097152 - 2, PAIR = 2 }; // the object and the array around them count too
    static const char start[] = "{\"a\":[", end[] = "1]}";
    struct loam_error error = {0};
    json_t *root;
    for (size_t more = 0; more < 2; more++) {
        size_t pairs = ALLOWED - 1 + more;
        char *text = malloc(sizeof start + PAIR * pairs + sizeof end);
        assert_non_null(text);
        char *at = stpcpy(text, start);
        for (size_t i = 0; i < pairs; i++)
            at = stpcpy(at, "1,");
        stpcpy(at, end);
        if (more == 0) {
            assert_ok(parse(&root, text, &error));
            json_decref(root);
        } else {
            assert_fails(parse(&root, text, &error), LOAM_ERROR_FORMAT, "more than 2097152 values");
        }
        free(text);
    }
}

static void values_are_typed(void **state)
{
    (void)state;
    struct loam_error error = {0};
    json_t *root;
    assert_ok(parse(&root,
                    "\xEF\xBB\xBF{\"i\": 7, \"r\": 2.5, \"w\": 16.0, \"big\": 1e300, \"b\": true, \"s\": "
                    "\"x\", \"n\": null}",
                    &error));
    int64_t integer = -1;
    double real = -1;
    bool boolean = false;
    const char *text = "default";
    assert_ok(loam_json_get_int(root, "d", "i", &integer, &error));
    assert_int_equal(integer, 7);
    assert_ok(loam_json_get_int(root, "d", "w", &integer, &error));
    assert_int_equal(integer, 16);
    assert_ok(loam_json_get_double(root, "d", "i", &real, &error));
    assert_true(real == 7);
    assert_ok(loam_json_get_double(root, "d", "r", &real, &error));
    assert_true(real == 2.5);
    assert_ok(loam_json_get_bool(root, "d", "b", &boolean, &error));
    assert_true(boolean);
    assert_ok(loam_json_get_string(root, "d", "s", &text, &error));
    assert_string_equal(text, "x");
    // An absent key and null keep the default.
    assert_ok(loam_json_get_int(root, "d", "none", &integer, &error));
    assert_ok(loam_json_get_int(root, "d", "n", &integer, &error));
    assert_int_equal(integer, 16);
    assert_ok(loam_json_get_string(root, "d", "n", &text, &error));
    assert_string_equal(text, "x");
    // The message about a wrong type names the document and the key.
    assert_fails(loam_json_get_int(root, "d", "r", &integer, &error), LOAM_ERROR_FORMAT,
                 "d: \"r\" must be an integer, it is a number with a fraction");
    assert_fails(loam_json_get_int(root, "d", "big", &integer, &error), LOAM_ERROR_FORMAT,
                 "d: \"big\" is 1e+300, which is too large");
    assert_fails(loam_json_get_int(root, "d", "s", &integer, &error), LOAM_ERROR_FORMAT, "it is a string");
    assert_fails(loam_json_get_double(root, "d", "b", &real, &error), LOAM_ERROR_FORMAT,
                 "\"b\" must be a number");
    assert_fails(loam_json_get_bool(root, "d", "i", &boolean, &error), LOAM_ERROR_FORMAT,
                 "must be true or false");
    assert_fails(loam_json_get_string(root, "d", "i", &text, &error), LOAM_ERROR_FORMAT,
                 "\"i\" must be a string");
    assert_int_equal(integer, 16);
    json_decref(root);
}

// transformers writes this number for "no limit" into a tokenizer's config.
static void integers_beyond_64_bits(void **state)
{
    (void)state;
    struct loam_error error = {0};
    json_t *root;
    assert_ok(parse(
        &root, "{\"model_max_length\": 1000000000000000019884624838656, \"bos\": 9007199254740992}", &error));
    int64_t integer = -1;
    double real = 0;
    assert_ok(loam_json_get_int(root, "d", "bos", &integer, &error));
    assert_int_equal(integer, 9007199254740992);
    assert_ok(loam_json_get_double(root, "d", "model_max_length", &real, &error));
    assert_true(real == 1e30);
    assert_fails(loam_json_get_int(root, "d", "model_max_length", &integer, &error), LOAM_ERROR_FORMAT,
                 "\"model_max_length\" is 1e+30, which is too large");
    json_decref(root);
}

static void files_are_named(void **state)
{
    (void)state;
    struct loam_error error = {0};
    char directory[256], path[300];
    json_t *root;
    assert_non_null(test_make_directory(directory));
    snprintf(path, sizeof path, "%s/config.json", directory);
    assert_fails(loam_json_load(&root, path, &error), LOAM_ERROR_IO, path);
    test_write_file(path, "{\"a\": ", 6);
    assert_fails(loam_json_load(&root, path, &error), LOAM_ERROR_FORMAT, path);
    test_write_file(path, "", 0);
    assert_fails(loam_json_load(&root, path, &error), LOAM_ERROR_FORMAT, path);
    test_write_file(path, "{\"a\": 3}", 8);
    assert_ok(loam_json_load(&root, path, &error));
    assert_int_equal(json_integer_value(json_object_get(root, "a")), 3);
    json_decref(root);
    test_remove_directory(directory);
}

// transformers writes int(1e30) for a tokenizer without a length limit.
static void an_integer_beyond_64_bits_is_a_real(void **state)
{
    (void)state;
    struct loam_error error = {0};
    json_t *root;
    assert_ok(parse(&root, "{\"limit\": 1000000000000000019884624838656, \"eos\": 2}", &error));
    int64_t integer = 0;
    double real = 0;
    assert_ok(loam_json_get_int(root, "doc.json", "eos", &integer, &error));
    assert_int_equal(integer, 2);
    assert_ok(loam_json_get_double(root, "doc.json", "limit", &real, &error));
    assert_true(real == 1e30);
    assert_int_not_equal(loam_json_get_int(root, "doc.json", "limit", &integer, &error), LOAM_OK);
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents_that_are_refused),
        cmocka_unit_test(documents_that_are_taken),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(values_are_counted),
        cmocka_unit_test(values_are_typed),
        cmocka_unit_test(integers_beyond_64_bits),
        cmocka_unit_test(an_integer_beyond_64_bits_is_a_real),
        cmocka_unit_test(files_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
