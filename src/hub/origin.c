#include "hub/origin.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <string.h>
#include <strings.h>

static bool is_loopback(const char *host)
{
    struct in_addr address;
    if (inet_pton(AF_INET, host, &address) == 1) return ntohl(address.s_addr) >> 24 == 127;
    return strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0;
}

static CURLUcode take_part(CURLU *url, CURLUPart part, char *text, size_t capacity)
{
    char *value = NULL;
    CURLUcode code = curl_url_get(url, part, &value, CURLU_DEFAULT_PORT);
    if (code != CURLUE_OK) return code;
    size_t size = strlen(value);
    bool fits = size > 0 && size < capacity;
    if (fits) memcpy(text, value, size + 1);
    curl_free(value);
    return fits ? CURLUE_OK : CURLUE_MALFORMED_INPUT;
}

enum loam_status loam_origin_parse(struct loam_origin *origin, const char *url, struct loam_error *error)
{
    *origin = (struct loam_origin){0};
    CURLU *parsed = curl_url();
    CURLUcode code =
        parsed == NULL ? CURLUE_OUT_OF_MEMORY : curl_url_set(parsed, CURLUPART_URL, url, CURLU_DISALLOW_USER);
    if (code == CURLUE_OK) code = take_part(parsed, CURLUPART_SCHEME, origin->scheme, sizeof origin->scheme);
    if (code == CURLUE_OK) code = take_part(parsed, CURLUPART_HOST, origin->host, sizeof origin->host);
    if (code == CURLUE_OK) code = take_part(parsed, CURLUPART_PORT, origin->port, sizeof origin->port);
    curl_url_cleanup(parsed);
    if (code == CURLUE_OUT_OF_MEMORY) return loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: an address");
    if (code != CURLUE_OK || (strcmp(origin->scheme, "https") != 0 && strcmp(origin->scheme, "http") != 0))
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "not an address of the form https://HOST/...");
    origin->loopback = is_loopback(origin->host);
    return LOAM_OK;
}

bool loam_origin_equal(const struct loam_origin *a, const struct loam_origin *b)
{
    return strcmp(a->scheme, b->scheme) == 0 && strcasecmp(a->host, b->host) == 0 &&
           strcmp(a->port, b->port) == 0;
}

bool loam_origin_is_private(const struct loam_origin *origin, const struct loam_origin *endpoint)
{
    return strcmp(origin->scheme, "https") == 0 || (origin->loopback && endpoint->loopback);
}
