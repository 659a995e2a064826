// What loam reads from the header lines of a response.
#ifndef LOAM_HUB_HEADERS_H
#define LOAM_HUB_HEADERS_H

#include <stddef.h>
#include <stdint.h>

#include "hub/repo.h"

enum { LOAM_ETAG_SIZE = 128 };

// Text fields are empty and numbers -1 when the line was not there or made no sense.
struct loam_http_headers {
    char etag[LOAM_ETAG_SIZE];        // normalised: without W/ and quotes
    char linked_etag[LOAM_ETAG_SIZE]; // X-Linked-Etag: of the file that is meant, be it stored elsewhere
    char part_etag[LOAM_ETAG_SIZE];   // ETag as it came: what an upload of parts is completed with
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
// Takes one line, `size` bytes with or without its line break. A status line begins anew.
void loam_http_headers_take(struct loam_http_headers *headers, const char *line, size_t size);

// Whether the answer is a page for a browser. The hub's own answers are JSON, and files have a hash or a
// commit.
bool loam_http_headers_are_page(const struct loam_http_headers *headers);
// The message for such an answer, without the name of what was asked for.
enum loam_status loam_http_fail_page(const struct loam_http_headers *headers, struct loam_error *error);

#endif
