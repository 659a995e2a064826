#include "hub/headers.h"

#include <string.h>
#include <strings.h>

// A part of a header line, without the white space around it.
struct value {
    const char *text;
    size_t size;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct value trim(const char *text, size_t size)
{
    while (size > 0 && is_space(text[0]))
        text++, size--;
    while (size > 0 && is_space(text[size - 1]))
        size--;
    return (struct value){text, size};
}

static bool is_printable(struct value value)
{
    for (size_t i = 0; i < value.size; i++)
        if (value.text[i] < ' ' || value.text[i] > '~') return false;
    return true;
}

// A value that does not fit or is not printable counts as missing.
static void take_text(char *text, size_t capacity, struct value value)
{
    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a row without a number has a text.
    text[0] = '\0';
    if (value.size >= capacity || !is_printable(value)) return;
    memcpy(text, value.text, value.size);
    text[value.size] = '\0';
}

// Copies as much as fits, with "?" in place of unprintable characters. Messages show the text.
static void take_message(char *text, size_t capacity, struct value value)
{
    size_t size = value.size < capacity ? value.size : capacity - 1;
    for (size_t i = 0; i < size; i++)
        text[i] = value.text[i] < ' ' || value.text[i] > '~' ? '?' : value.text[i];
    text[size] = '\0';
}

static void take_etag(char *text, struct value value)
{
    if (value.size >= 2 && value.text[0] == 'W' && value.text[1] == '/')
        value = trim(value.text + 2, value.size - 2);
    if (value.size >= 2 && value.text[0] == '"' && value.text[value.size - 1] == '"')
        value = (struct value){value.text + 1, value.size - 2};
    take_text(text, LOAM_ETAG_SIZE, value);
}

// Reads the whole number at the value's beginning and moves `*value` past it. Returns -1 if there is none or
// it is too large.
static int64_t take_digits(struct value *value)
{
    int64_t number = -1;
    while (value->size > 0 && value->text[0] >= '0' && value->text[0] <= '9') {
        int digit = value->text[0] - '0';
        if (number > (INT64_MAX - digit) / 10) return -1;
        number = (number < 0 ? 0 : number * 10) + digit;
        value->text++, value->size--;
    }
    return number;
}

static int64_t take_number(struct value value)
{
    int64_t number = take_digits(&value);
    return value.size == 0 ? number : -1;
}

static bool skip(struct value *value, const char *text)
{
    size_t size = strlen(text);
    if (value->size < size || strncasecmp(value->text, text, size) != 0) return false;
    *value = trim(value->text + size, value->size - size);
    return true;
}

// Content-Range: "bytes 100-199/200", or "bytes */200" for a range that the server does not have.
static void take_range(struct loam_http_headers *headers, struct value value)
{
    headers->range_start = headers->range_total = -1;
    if (!skip(&value, "bytes")) return;
    int64_t start = -1;
    if (!skip(&value, "*")) {
        start = take_digits(&value);
        if (start < 0 || !skip(&value, "-") || take_digits(&value) < start) return;
    }
    if (!skip(&value, "/")) return;
    headers->range_total = take_number(value);
    headers->range_start = start;
}

// RateLimit: "api";r=0;t=55 - no requests remain, and the limit resets in 55 seconds.
static void take_rate_limit(struct loam_http_headers *headers, struct value value)
{
    int64_t remaining = -1, seconds = -1;
    while (value.size > 0) {
        const char *end = memchr(value.text, ';', value.size);
        size_t size = end == NULL ? value.size : (size_t)(end - value.text);
        struct value field = trim(value.text, size);
        if (skip(&field, "r") && skip(&field, "="))
            remaining = take_number(field);
        else if (skip(&field, "t") && skip(&field, "="))
            seconds = take_number(field);
        value = trim(value.text + size, value.size - size);
        (void)skip(&value, ";");
    }
    if (remaining == 0 && seconds >= 0) headers->retry_after = seconds;
}

void loam_http_headers_init(struct loam_http_headers *headers)
{
    *headers = (struct loam_http_headers){
        .linked_size = -1, .content_length = -1, .range_start = -1, .range_total = -1, .retry_after = -1};
}

void loam_http_headers_add_line(struct loam_http_headers *headers, const char *line, size_t size)
{
    if (size >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        loam_http_headers_init(headers);
        return;
    }
    const char *colon = size == 0 ? NULL : memchr(line, ':', size);
    if (colon == NULL) return;
    struct value name = {line, (size_t)(colon - line)};
    struct value value = trim(colon + 1, size - name.size - 1);
    const struct {
        const char *name;
        int64_t *number;
        char *text;
        size_t capacity;
    } plain[] = {
        {"X-Linked-Size", &headers->linked_size, NULL, 0},
        {"Content-Length", &headers->content_length, NULL, 0},
        {"Content-Type", NULL, headers->content_type, sizeof headers->content_type},
        {"X-Repo-Commit", NULL, headers->commit, sizeof headers->commit},
        {"X-Error-Code", NULL, headers->error_code, sizeof headers->error_code},
    };
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        if (strlen(plain[i].name) != name.size || strncasecmp(plain[i].name, name.text, name.size) != 0)
            continue;
        if (plain[i].number != NULL)
            *plain[i].number = take_number(value);
        else
            take_text(plain[i].text, plain[i].capacity, value);
        return;
    }
    if (name.size == 4 && strncasecmp(name.text, "ETag", 4) == 0) {
        take_etag(headers->etag, value);
        take_text(headers->part_etag, sizeof headers->part_etag, value);
    } else if (name.size == 13 && strncasecmp(name.text, "X-Linked-Etag", 13) == 0) {
        take_etag(headers->linked_etag, value);
    } else if (name.size == 15 && strncasecmp(name.text, "X-Error-Message", 15) == 0) {
        take_message(headers->error_message, sizeof headers->error_message, value);
    } else if (name.size == 13 && strncasecmp(name.text, "Content-Range", 13) == 0) {
        take_range(headers, value);
    } else if (name.size == 11 && strncasecmp(name.text, "Retry-After", 11) == 0) {
        headers->retry_after = take_number(value);
    } else if (name.size == 9 && strncasecmp(name.text, "RateLimit", 9) == 0) {
        take_rate_limit(headers, value);
    }
}

bool loam_http_headers_are_page(const struct loam_http_headers *headers)
{
    static const char page[] = "text/html";
    return strncasecmp(headers->content_type, page, sizeof page - 1) == 0 && headers->commit[0] == '\0' &&
           headers->etag[0] == '\0';
}

enum loam_status loam_http_headers_fail_page(const struct loam_http_headers *headers,
                                             struct loam_error *error)
{
    return loam_fail(
        error, LOAM_ERROR_FORMAT,
        "a web page (%s) arrives in place of the hub's answer: a proxy or the login page of a network sent "
        "it; open a page in a browser, or set HF_ENDPOINT",
        headers->content_type);
}
