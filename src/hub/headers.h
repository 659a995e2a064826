// The header lines of a response that loam uses.
#ifndef LOAM_HUB_HEADERS_H
#define LOAM_HUB_HEADERS_H

#include <stddef.h>
#include <stdint.h>

#include "hub/repo.h"

enum { LOAM_ETAG_SIZE = 128 };

// A text field is empty and a number is -1 when the line is missing or malformed.
struct loam_http_headers {
    char etag[LOAM_ETAG_SIZE];        // normalised: without W/ and quotes
    char linked_etag[LOAM_ETAG_SIZE]; // X-Linked-Etag: ETag of the file itself when it is stored elsewhere
    char part_etag[LOAM_ETAG_SIZE];   // ETag as received; completes an upload in parts
    char content_type[64];            // Content-Type
    char commit[LOAM_COMMIT_SIZE];    // X-Repo-Commit
    char error_code[64];              // X-Error-Code
    char error_message[256];          // X-Error-Message, printable characters only
    int64_t linked_size;              // X-Linked-Size
    int64_t content_length;
    int64_t range_start; // Content-Range: bytes START-END/TOTAL
    int64_t range_total;
    int64_t retry_after; // seconds, from Retry-After or an exhausted RateLimit
};

void loam_http_headers_init(struct loam_http_headers *headers);
// Reads one line of `size` bytes, with or without its line break. A status line clears all fields.
void loam_http_headers_add_line(struct loam_http_headers *headers, const char *line, size_t size);

// Whether the answer is an HTML page. The hub's own answers are JSON, and files have a hash or a commit.
bool loam_http_headers_are_page(const struct loam_http_headers *headers);
// Fails with the message for an HTML page. The caller adds the name of the request.
enum loam_status loam_http_headers_fail_page(const struct loam_http_headers *headers,
                                             struct loam_error *error);

#endif
