// The header lines of the hub's answers, split at line breaks as libcurl does, and repository names.
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "hub/headers.h"

static bool is_text(const char *text, size_t capacity)
{
    size_t size = strnlen(text, capacity);
    for (size_t i = 0; i < size; i++)
        if (text[i] < ' ' || text[i] > '~') return false;
    return size < capacity;
}

static void check_headers(const struct loam_http_headers *headers)
{
    fuzz_require(is_text(headers->etag, sizeof headers->etag));
    fuzz_require(is_text(headers->linked_etag, sizeof headers->linked_etag));
    fuzz_require(is_text(headers->part_etag, sizeof headers->part_etag));
    fuzz_require(is_text(headers->commit, sizeof headers->commit));
    fuzz_require(is_text(headers->error_code, sizeof headers->error_code));
    fuzz_require(is_text(headers->error_message, sizeof headers->error_message));
    fuzz_require(headers->linked_size >= -1 && headers->content_length >= -1 && headers->range_start >= -1 &&
                 headers->range_total >= -1 && headers->retry_after >= -1);
}

// An accepted name must be usable as a directory of the cache, as part of a URL and as a line of a ref.
static void check_name(const char *text)
{
    struct loam_repo repo;
    struct loam_error error;
    enum loam_status status = loam_repo_parse(&repo, text, &error);
    fuzz_require_message(status, &error);
    if (status != LOAM_OK) return;
    fuzz_require(loam_repo_file_is_safe(repo.id) && loam_repo_file_is_safe(repo.revision));
    fuzz_require(strstr(repo.id, "--") == NULL && strstr(repo.id, "..") == NULL);
    fuzz_require(strcspn(repo.id, " @?#%&") == strlen(repo.id));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct loam_http_headers headers;
    loam_http_headers_init(&headers);
    const uint8_t *end = data + size;
    while (data < end) {
        const uint8_t *newline = memchr(data, '\n', (size_t)(end - data));
        size_t length = newline == NULL ? (size_t)(end - data) : (size_t)(newline - data) + 1;
        // A separate block, so that a sanitizer detects a read past the line.
        char *line = malloc(length + 1);
        fuzz_require(line != NULL);
        memcpy(line, data, length);
        line[length] = '\0';
        check_name(line);
        char *exact = realloc(line, length);
        fuzz_require(exact != NULL);
        loam_http_headers_add_line(&headers, exact, length);
        free(exact);
        check_headers(&headers);
        data += length;
    }
    return 0;
}
