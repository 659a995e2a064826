// Base64 of every length, each in a fresh buffer, so that a sanitizer sees a byte too few.
#include "test.h"

#include "hub/base64.h"

static void test_known(void **state)
{
    (void)state;
    // RFC 4648, section 10.
    static const struct {
        const char *data, *text;
    } cases[] = {{"", ""},
                 {"f", "Zg=="},
                 {"fo", "Zm8="},
                 {"foo", "Zm9v"},
                 {"foob", "Zm9vYg=="},
                 {"fooba", "Zm9vYmE="},
                 {"foobar", "Zm9vYmFy"}};
    struct loam_error error;
    struct loam_bytes text = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        loam_bytes_clear(&text);
        assert_ok(loam_bytes_append_text(&text, "data:", &error));
        assert_ok(loam_base64_append(&text, cases[i].data, strlen(cases[i].data), &error));
        assert_int_equal(text.size, 5 + strlen(cases[i].text));
        assert_string_equal(text.data + 5, cases[i].text);
    }
    loam_bytes_deinit(&text);
}

static void test_lengths(void **state)
{
    (void)state;
    static const unsigned char data[400];
    for (size_t size = 0; size <= sizeof data; size++) {
        struct loam_error error;
        struct loam_bytes text = {0};
        assert_ok(loam_base64_append(&text, data, size, &error));
        assert_int_equal(text.size, (size + 2) / 3 * 4);
        assert_int_equal(strspn(text.data, "A="), text.size);
        loam_bytes_deinit(&text);
    }
}

static void test_limit(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_bytes text = {0};
    unsigned char *data = calloc(LOAM_BASE64_LIMIT, 1);
    assert_non_null(data);
    assert_ok(loam_base64_append(&text, data, LOAM_BASE64_LIMIT, &error));
    assert_fails(loam_base64_append(&text, data, LOAM_BASE64_LIMIT + 1, &error), LOAM_ERROR_ARGUMENT,
                 "too many");
    free(data);
    loam_bytes_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_known), cmocka_unit_test(test_lengths),
                                       cmocka_unit_test(test_limit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
