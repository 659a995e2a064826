// Reading the header lines of a response.
#include "test.h"

#include "hub/headers.h"

static struct loam_http_headers take(const char *const *lines)
{
    struct loam_http_headers headers;
    loam_http_headers_init(&headers);
    for (; *lines != NULL; lines++) {
        // A copy of the exact size, so that a sanitizer detects a read past the end.
        size_t size = strlen(*lines);
        char *line = malloc(size + 1);
        memcpy(line, *lines, size);
        line = realloc(line, size == 0 ? 1 : size);
        loam_http_headers_add_line(&headers, line, size);
        free(line);
    }
    return headers;
}
#define TAKE(...) take((const char *const[]){__VA_ARGS__, NULL})

static void test_a_file(void **state)
{
    (void)state;
    struct loam_http_headers headers =
        TAKE("HTTP/1.1 302 Found\r\n", "x-repo-commit: 0123456789abcdef0123456789abcdef01234567\r\n",
             "X-Linked-Size:  1119257680 \r\n", "X-Linked-ETag: \"abc\"\r\n", "ETag: W/\"def\"\r\n",
             "Content-Length: 12\r\n", "X-Error-Code: GatedRepo\r\n", "\r\n");
    assert_string_equal(headers.commit, "0123456789abcdef0123456789abcdef01234567");
    assert_int_equal(headers.linked_size, 1119257680);
    assert_string_equal(headers.linked_etag, "abc");
    assert_string_equal(headers.etag, "def");
    assert_string_equal(headers.part_etag, "W/\"def\"");
    assert_int_equal(headers.content_length, 12);
    assert_string_equal(headers.error_code, "GatedRepo");
    assert_int_equal(headers.retry_after, -1);
}

static void test_a_page(void **state)
{
    (void)state;
    static const struct {
        const char *lines[4];
        bool page;
    } cases[] = {
        {{"HTTP/1.1 200 OK", "content-type: Text/HTML; charset=utf-8"}, true},
        {{"HTTP/1.1 200 OK", "Content-Type: application/json"}, false},
        {{"HTTP/1.1 200 OK"}, false},
        {{"HTTP/1.1 200 OK", "Content-Type: text/html", "ETag: \"1\""}, false}, // a file of HTML
        {{"HTTP/1.1 200 OK", "Content-Type: text/html",
          "X-Repo-Commit: 0123456789abcdef0123456789abcdef01234567"},
         false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct loam_http_headers headers = take(cases[i].lines);
        assert_int_equal(loam_http_headers_are_page(&headers), cases[i].page);
    }
    struct loam_error error;
    struct loam_http_headers headers = take(cases[0].lines);
    assert_fails(loam_http_headers_fail_page(&headers, &error), LOAM_ERROR_FORMAT,
                 "(Text/HTML; charset=utf-8)");
}

static void test_a_new_answer(void **state)
{
    (void)state;
    struct loam_http_headers headers =
        TAKE("HTTP/1.1 100 Continue", "ETag: \"old\"", "HTTP/2 200", "Content-Length: 5");
    assert_string_equal(headers.etag, "");
    assert_int_equal(headers.content_length, 5);
}

static void test_ranges(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        int64_t start, total;
    } cases[] = {
        {"Content-Range: bytes 100-199/200", 100, 200},
        {"content-range: bytes 0-0/1", 0, 1},
        {"Content-Range: bytes */200", -1, 200},
        {"Content-Range: bytes 5-9/*", 5, -1},
        {"Content-Range: bytes 200-100/300", -1, -1},
        {"Content-Range: items 1-2/3", -1, -1},
        {"Content-Range: bytes", -1, -1},
        {"Content-Range:", -1, -1},
        {"Content-Range: bytes 1", -1, -1},
        {"Content-Range: bytes 1-", -1, -1},
        {"Content-Range: bytes 1-2", -1, -1},
        {"Content-Range: bytes 1-2/x", 1, -1},
        {"Content-Range: bytes -1-2/3", -1, -1},
        {"Content-Range: bytes 1-99999999999999999999/3", -1, -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct loam_http_headers headers = TAKE(cases[i].line);
        if (headers.range_start != cases[i].start || headers.range_total != cases[i].total)
            fail_msg("%s: %lld of %lld", cases[i].line, (long long)headers.range_start,
                     (long long)headers.range_total);
    }
}

static void test_waits(void **state)
{
    (void)state;
    assert_int_equal(TAKE("Retry-After: 120").retry_after, 120);
    assert_int_equal(TAKE("Retry-After: Wed, 21 Oct 2026 07:28:00 GMT").retry_after, -1);
    assert_int_equal(TAKE("Retry-After: -5").retry_after, -1);
    assert_int_equal(TAKE("Retry-After: 99999999999999999999").retry_after, -1);
    assert_int_equal(TAKE("RateLimit: \"api\";r=0;t=55").retry_after, 55);
    assert_int_equal(TAKE("RateLimit: \"api\"; r = 0 ; t = 7").retry_after, 7);
    assert_int_equal(TAKE("RateLimit: \"api\";r=3;t=55").retry_after, -1);
    assert_int_equal(TAKE("RateLimit: ;;;r=;t=").retry_after, -1);
}

// The longest values that fit, and those a byte longer.
static void test_capacities(void **state)
{
    (void)state;
    for (size_t more = 0; more < 2; more++) {
        char etag[200] = "ETag: ", code[100] = "X-Error-Code: ", message[300] = "X-Error-Message: ";
        memset(etag + 6, 'a', LOAM_ETAG_SIZE - 1 + more);
        memset(code + 14, 'b', sizeof(struct loam_http_headers){0}.error_code - 1 + more);
        memset(message + 17, 'c', sizeof(struct loam_http_headers){0}.error_message - 1 + more);
        struct loam_http_headers headers = TAKE(etag, code, message);
        assert_int_equal(strlen(headers.etag), more == 0 ? LOAM_ETAG_SIZE - 1 : 0);
        assert_int_equal(strlen(headers.part_etag), more == 0 ? LOAM_ETAG_SIZE - 1 : 0);
        assert_int_equal(strlen(headers.error_code), more == 0 ? sizeof headers.error_code - 1 : 0);
        assert_int_equal(strlen(headers.error_message), sizeof headers.error_message - 1); // cut
        assert_int_equal(strspn(headers.error_message, "c"), sizeof headers.error_message - 1);
        assert_int_equal(headers.linked_size, -1); // what comes after the texts is untouched
    }
}

static void test_nonsense(void **state)
{
    (void)state;
    char long_line[400] = "ETag: ";
    memset(long_line + 6, 'a', sizeof long_line - 7);
    assert_string_equal(TAKE(long_line).etag, "");
    memcpy(long_line, "X-Error-Message: ", 17);
    assert_int_equal(strlen(TAKE(long_line).error_message), 255);
    assert_string_equal(TAKE("X-Error-Message: a\x01\xff"
                             "b")
                            .error_message,
                        "a??b");
    assert_string_equal(TAKE("ETag: \"a\x01\"").etag, "");
    assert_string_equal(TAKE("ETag: \"").etag, "\"");
    assert_string_equal(TAKE("ETag:", "", ":", "no colon", "ETag ; x").etag, "");
    assert_int_equal(TAKE("Content-Length: 12x").content_length, -1);
    assert_int_equal(TAKE("Content-Length: 9223372036854775807").content_length, INT64_MAX);
    assert_int_equal(TAKE("Content-Length: 9223372036854775808").content_length, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file),     cmocka_unit_test(test_a_page), cmocka_unit_test(test_a_new_answer),
        cmocka_unit_test(test_ranges),     cmocka_unit_test(test_waits),  cmocka_unit_test(test_nonsense),
        cmocka_unit_test(test_capacities),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
