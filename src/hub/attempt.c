#include "hub/attempt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/heap.h"

enum {
    CONNECT_SECONDS = 20,
    STALL_BYTES = 512,        // per second; a slower connection counts as stalled
    UPLOAD_STALL_FACTOR = 10, // an upload may stall longer, while the server processes the body
    HEADER_LIMIT = 128 << 10, // bytes of all header lines
    BUFFER_BYTES = 256 << 10,
};

struct loam_attempt {
    struct loam_http_request *request;
    CURL *curl;
    struct curl_slist *lines;
    char message[CURL_ERROR_SIZE];
    struct loam_error failure; // of a callback
    int64_t offset;            // first byte of the file that was asked for
    int64_t start;             // first byte of the file in the answer's body
    int64_t sent;              // bytes of the request's body
    int64_t received;          // bytes of the answer's body
    size_t header_bytes;
    bool answered;   // headers have arrived
    bool sink_begun; // the sink receives the body
};

// ---- libcurl's callbacks ----

static size_t take_header(char *data, size_t size, size_t count, void *user)
{
    struct loam_attempt *attempt = user;
    size_t bytes = size * count;
    attempt->header_bytes += bytes;
    if (attempt->header_bytes > HEADER_LIMIT) {
        loam_fail(&attempt->failure, LOAM_ERROR_FORMAT, "the answer has more than %d bytes of header",
                  HEADER_LIMIT);
        return 0;
    }
    attempt->answered = true;
    loam_http_headers_add_line(&attempt->request->headers, data, bytes);
    return bytes;
}

static enum loam_status begin_sink(struct loam_attempt *attempt, long status)
{
    const struct loam_http_request *request = attempt->request;
    int64_t offset = status == 206 ? attempt->offset : 0;
    if (status == 206 && request->headers.range_start != attempt->offset)
        return loam_fail(&attempt->failure, LOAM_ERROR_FORMAT,
                         "the server sends another range than was asked for");
    if (loam_http_headers_are_page(&request->headers))
        return loam_http_headers_fail_page(&request->headers, &attempt->failure);
    attempt->sink_begun = true;
    attempt->start = offset;
    return request->sink->begin(request->sink->user, offset, &attempt->failure);
}

static enum loam_status append_text(struct loam_attempt *attempt, const char *data, size_t size)
{
    struct loam_bytes *text = &attempt->request->text;
    if (text->size + size > LOAM_HTTP_TEXT_LIMIT)
        return loam_fail(&attempt->failure, LOAM_ERROR_FORMAT, "the answer is larger than %d MiB",
                         LOAM_HTTP_TEXT_LIMIT >> 20);
    return loam_bytes_append(text, data, size, &attempt->failure);
}

static size_t take_body(char *data, size_t size, size_t count, void *user)
{
    struct loam_attempt *attempt = user;
    const struct loam_http_sink *sink = attempt->request->sink;
    size_t bytes = size * count;
    long status = 0;
    curl_easy_getinfo(attempt->curl, CURLINFO_RESPONSE_CODE, &status);
    bool to_sink = sink != NULL && (status == 200 || status == 206);
    if (to_sink && !attempt->sink_begun && begin_sink(attempt, status) != LOAM_OK) return 0;
    enum loam_status result =
        to_sink ? sink->write(sink->user, data, bytes, &attempt->failure) : append_text(attempt, data, bytes);
    if (result != LOAM_OK) return 0;
    attempt->received += (int64_t)bytes;
    return bytes;
}

static size_t give_body(char *data, size_t size, size_t count, void *user)
{
    struct loam_attempt *attempt = user;
    const struct loam_http_request *request = attempt->request;
    int64_t left = request->body_size - attempt->sent;
    size_t bytes = size * count;
    if ((int64_t)bytes > left) bytes = (size_t)left;
    if (bytes == 0) return 0;
    if (request->body != NULL) {
        memcpy(data, (const char *)request->body + attempt->sent, bytes);
    } else {
        ssize_t got = pread(request->body_file, data, bytes, request->body_offset + attempt->sent);
        if (got <= 0) {
            loam_fail(&attempt->failure, LOAM_ERROR_IO, "the file cannot be read: %s",
                      got < 0 ? strerror(errno) : "it has become shorter");
            return CURL_READFUNC_ABORT;
        }
        bytes = (size_t)got;
    }
    attempt->sent += (int64_t)bytes;
    if (request->sent != NULL) request->sent(request->sent_user, (int64_t)bytes);
    return bytes;
}

// libcurl sends the body again on a new connection when the server has closed the one that was kept open.
static int rewind_body(void *user, curl_off_t offset, int origin)
{
    struct loam_attempt *attempt = user;
    if (origin != SEEK_SET || offset < 0 || offset > attempt->request->body_size)
        return CURL_SEEKFUNC_CANTSEEK;
    if (attempt->request->sent != NULL)
        attempt->request->sent(attempt->request->sent_user, offset - attempt->sent);
    attempt->sent = offset;
    return CURL_SEEKFUNC_OK;
}

// ---- The handle ----

static bool add_line(struct loam_attempt *attempt, const char *name, const char *value)
{
    char *line = loam_format(NULL, "%s%s", name, value);
    struct curl_slist *lines = line == NULL ? NULL : curl_slist_append(attempt->lines, line);
    free(line);
    if (lines != NULL) attempt->lines = lines;
    return lines != NULL;
}

// Does not use CURLOPT_RESUME_FROM, which fails when the server sends the whole file instead of a range.
static bool add_range(struct loam_attempt *attempt)
{
    char range[64];
    if (attempt->offset == 0) return true;
    snprintf(range, sizeof range, "bytes=%lld-", (long long)attempt->offset);
    return add_line(attempt, "Range: ", range);
}

static bool add_lines(struct loam_attempt *attempt, const char *token)
{
    const struct loam_http_request *request = attempt->request;
    return add_range(attempt) && add_line(attempt, "Expect:", "") &&
           add_line(attempt, "Accept-Encoding: ", "identity") &&
           (request->accept == NULL || add_line(attempt, "Accept: ", request->accept)) &&
           add_line(attempt, request->content_type == NULL ? "Content-Type:" : "Content-Type: ",
                    request->content_type == NULL ? "" : request->content_type) &&
           (token == NULL || add_line(attempt, "Authorization: Bearer ", token));
}

static void set_method(struct loam_attempt *attempt)
{
    const struct loam_http_request *request = attempt->request;
    CURL *curl = attempt->curl;
    bool post = strcmp(request->method, "POST") == 0, put = strcmp(request->method, "PUT") == 0;
    if (strcmp(request->method, "HEAD") == 0) curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    if (post) {
        curl_easy_setopt(curl, CURLOPT_POST, 1L);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_size);
    }
    if (put) {
        curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)request->body_size);
    }
    if (!post && !put) return;
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, give_body);
    curl_easy_setopt(curl, CURLOPT_READDATA, attempt);
    curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, rewind_body);
    curl_easy_setopt(curl, CURLOPT_SEEKDATA, attempt);
}

static void set_limits(const struct loam_attempt *attempt, const struct loam_attempt_options *options)
{
    CURL *curl = attempt->curl;
    bool uploads = attempt->request->body_size > 0;
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, (long)STALL_BYTES);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME,
                     options->stall_seconds * (uploads ? UPLOAD_STALL_FACTOR : 1));
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
}

// Sets the options that libcurl copies. Each copy may fail for lack of memory, which must end the
// attempt: the request would otherwise be sent without the option.
static CURLcode set_texts(const struct loam_attempt *attempt, const struct loam_attempt_options *options)
{
    bool loopback = options->endpoint->loopback;
    const struct {
        CURLoption option;
        const char *text; // NULL: leave the default
    } texts[] = {
        {CURLOPT_URL, options->url},
        {CURLOPT_USERAGENT, "loam/" LOAM_VERSION},
        {CURLOPT_CAINFO, options->certificates},
        {CURLOPT_PROTOCOLS_STR, loopback ? "http,https" : "https"},
        // Connections within this machine use no proxy.
        {CURLOPT_NOPROXY, loopback ? "localhost,127.0.0.1,::1" : NULL},
    };
    CURLcode code = CURLE_OK;
    for (size_t i = 0; i < sizeof texts / sizeof *texts && code == CURLE_OK; i++)
        if (texts[i].text != NULL) code = curl_easy_setopt(attempt->curl, texts[i].option, texts[i].text);
    return code;
}

static CURLcode set_options(struct loam_attempt *attempt, const struct loam_attempt_options *options)
{
    CURL *curl = attempt->curl;
    curl_easy_setopt(curl, CURLOPT_PRIVATE, options->user);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, attempt->lines);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, attempt->message);
    curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, (long)BUFFER_BYTES);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, attempt);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, attempt);
    set_method(attempt);
    set_limits(attempt, options);
    return set_texts(attempt, options);
}

enum loam_status loam_attempt_create(struct loam_attempt **out, const struct loam_attempt_options *options,
                                     struct loam_error *error)
{
    struct loam_attempt *attempt = loam_calloc(1, sizeof *attempt, error);
    if (attempt == NULL) return LOAM_ERROR_MEMORY;
    struct loam_http_request *request = options->request;
    attempt->request = request;
    request->status = 0;
    loam_http_headers_init(&request->headers);
    loam_bytes_clear(&request->text);
    enum loam_status status = LOAM_OK;
    if (request->sink != NULL) status = request->sink->start(request->sink->user, &attempt->offset, error);
    if (status == LOAM_OK) {
        CURLcode code = CURLE_OUT_OF_MEMORY;
        attempt->curl = curl_easy_init();
        if (attempt->curl != NULL && add_lines(attempt, options->token)) code = set_options(attempt, options);
        if (code != CURLE_OK) status = loam_attempt_fail(code, request->what, error);
    }
    if (status != LOAM_OK) {
        loam_attempt_destroy(attempt);
        return status;
    }
    *out = attempt;
    return LOAM_OK;
}

CURL *loam_attempt_handle(const struct loam_attempt *attempt)
{
    return attempt->curl;
}

enum loam_status loam_attempt_fail(CURLcode code, const char *what, struct loam_error *error)
{
    if (code == CURLE_OUT_OF_MEMORY) return loam_fail(error, LOAM_ERROR_MEMORY, "%s: out of memory", what);
    return loam_fail(error, LOAM_ERROR_INTERNAL, "%s: %s", what, curl_easy_strerror(code));
}

// Whether another attempt may succeed. Network failures are transient; wrong certificates and addresses, and
// problems of this machine, are not.
static bool is_transient(const struct loam_attempt *attempt, CURLcode code)
{
    static const CURLcode transient[] = {
        CURLE_PARTIAL_FILE,         CURLE_OPERATION_TIMEDOUT, CURLE_SEND_ERROR,
        CURLE_RECV_ERROR,           CURLE_GOT_NOTHING,        CURLE_HTTP2,
        CURLE_HTTP2_STREAM,         CURLE_SSL_CONNECT_ERROR,  CURLE_WEIRD_SERVER_REPLY,
        CURLE_SEND_FAIL_REWIND,
        CURLE_UNSUPPORTED_PROTOCOL, // not HTTP: the connection still held bytes of an earlier answer
    };
    if (code == CURLE_COULDNT_CONNECT) return true;
    // The server may already have acted on the request.
    if (attempt->request->not_idempotent) return false;
    for (size_t i = 0; i < sizeof transient / sizeof *transient; i++)
        if (code == transient[i]) return true;
    return false;
}

static void describe_failure(struct loam_attempt *attempt, CURLcode code, struct loam_attempt_result *result)
{
    if (code == CURLE_OUT_OF_MEMORY) {
        loam_fail(&result->error, LOAM_ERROR_MEMORY, "out of memory");
        return;
    }
    const char *message = attempt->message[0] != '\0' ? attempt->message : curl_easy_strerror(code);
    result->may_retry = is_transient(attempt, code);
    loam_fail(&result->error, LOAM_ERROR_IO, "%.300s%s", message,
              code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_CONNECT
                  ? "; with HF_HUB_OFFLINE=1 loam takes only what is in the cache"
                  : "");
}

static void finish_sink(struct loam_attempt *attempt, struct loam_attempt_result *result)
{
    const struct loam_http_sink *sink = attempt->request->sink;
    enum loam_status status = LOAM_OK;
    // libcurl does not call take_body for an empty body.
    if (!attempt->sink_begun) status = begin_sink(attempt, attempt->request->status);
    if (status == LOAM_OK) status = sink->finish(sink->user, &result->may_retry, &attempt->failure);
    if (status != LOAM_OK) result->error = attempt->failure;
}

void loam_attempt_finish(struct loam_attempt *attempt, CURLcode code, struct loam_attempt_result *result)
{
    struct loam_http_request *request = attempt->request;
    *result = (struct loam_attempt_result){
        .answered = attempt->answered, .reached = attempt->start + attempt->received, .sent = attempt->sent};
    curl_easy_getinfo(attempt->curl, CURLINFO_RESPONSE_CODE, &request->status);
    char *location = NULL;
    curl_easy_getinfo(attempt->curl, CURLINFO_REDIRECT_URL, &location);
    result->location = location;
    if (attempt->failure.status != LOAM_OK)
        result->error = attempt->failure;
    else if (code != CURLE_OK)
        describe_failure(attempt, code, result);
    else if (request->sink != NULL && (request->status == 200 || request->status == 206))
        finish_sink(attempt, result);
}

void loam_attempt_destroy(struct loam_attempt *attempt)
{
    if (attempt == NULL) return;
    curl_easy_cleanup(attempt->curl);
    curl_slist_free_all(attempt->lines);
    free(attempt);
}
