// The loop over the requests: starts them, retries them after a delay, follows redirects.
#include "hub/http.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/heap.h"
#include "hub/attempt.h"

enum {
    TRIES = 6,                  // without progress
    REDIRECTS = 10,             // of one request
    PROGRESS_BYTES = 256 << 10, // received bytes that reset the count of tries
    LONGEST_WAIT = 300,         // seconds that a server may ask for
    LONGEST_BACKOFF = 16,       // seconds
    POLL_MILLISECONDS = 200,
};

struct loam_http {
    const struct loam_hub_settings *settings;
    const struct loam_log *log;
    struct loam_http_pulse pulse;
    CURLM *multi;
};

// The state of a request while loam_http_run works on it.
struct task {
    struct loam_http_request *request;
    struct loam_attempt *attempt; // NULL: not running
    char *url;                    // target of the last redirect; NULL: not redirected
    bool left_hub;   // a redirect left the hub: no token is sent, even if a later one returns to it
    int tries;       // without progress
    int64_t reached; // largest position in the file that an attempt reached
    int redirects;
    double due; // seconds, by loam_clock_seconds: the next attempt starts then
    bool done;
};

enum loam_status loam_http_create(struct loam_http **out, const struct loam_hub_settings *settings,
                                  const struct loam_log *log, struct loam_http_pulse pulse,
                                  struct loam_error *error)
{
    struct loam_http *http = loam_calloc(1, sizeof *http, error);
    if (http == NULL) return LOAM_ERROR_MEMORY;
    *http = (struct loam_http){.settings = settings, .log = log, .pulse = pulse};
    CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
    if (code == CURLE_OK) http->multi = curl_multi_init();
    if (http->multi != NULL) {
        *out = http;
        return LOAM_OK;
    }
    free(http);
    if (code != CURLE_OK) return loam_attempt_fail(code, "libcurl cannot be initialised", error);
    curl_global_cleanup();
    return loam_attempt_fail(CURLE_OUT_OF_MEMORY, "libcurl cannot be initialised", error);
}

void loam_http_destroy(struct loam_http *http)
{
    if (http == NULL) return;
    curl_multi_cleanup(http->multi);
    curl_global_cleanup();
    free(http);
}

void loam_http_request_deinit(struct loam_http_request *request)
{
    loam_bytes_deinit(&request->text);
}

// ---- One attempt ----

static enum loam_status fail_multi(CURLMcode code, const char *what, struct loam_error *error)
{
    if (code == CURLM_OUT_OF_MEMORY) return loam_attempt_fail(CURLE_OUT_OF_MEMORY, what, error);
    return loam_fail(error, LOAM_ERROR_INTERNAL, "%s: %s", what, curl_multi_strerror(code));
}

static enum loam_status start_task(struct loam_http *http, struct task *task, struct loam_error *error)
{
    struct loam_origin origin;
    const char *url = task->url == NULL ? task->request->url : task->url;
    if (loam_origin_parse(&origin, url, error) != LOAM_OK)
        return loam_fail_prefix(error, "%s", task->request->what);
    if (!loam_origin_is_private(&origin, &http->settings->origin))
        return loam_fail(error, LOAM_ERROR_IO,
                         "%s: the hub names an address on %s without https, which is refused",
                         task->request->what, origin.host);
    bool at_hub = loam_origin_equal(&origin, &http->settings->origin) && !task->left_hub;
    struct loam_attempt_options options = {
        .request = task->request,
        .url = url,
        .token = task->request->to_hub && at_hub ? http->settings->token : NULL,
        .endpoint = &http->settings->origin,
        .certificates = http->settings->certificates,
        .stall_seconds = http->settings->stall_seconds,
        .user = task,
    };
    LOAM_TRY(loam_attempt_create(&task->attempt, &options, error));
    CURLMcode code = curl_multi_add_handle(http->multi, loam_attempt_handle(task->attempt));
    if (code == CURLM_OK) return LOAM_OK;
    loam_attempt_destroy(task->attempt);
    task->attempt = NULL;
    return fail_multi(code, task->request->what, error);
}

static void end_attempt(struct loam_http *http, struct task *task)
{
    if (task->attempt == NULL) return;
    curl_multi_remove_handle(http->multi, loam_attempt_handle(task->attempt));
    loam_attempt_destroy(task->attempt);
    task->attempt = NULL;
}

// Sets the time of the next attempt. Fails after too many tries, or if the server asks for too long a delay.
static enum loam_status schedule_retry(struct loam_http *http, struct task *task,
                                       const struct loam_attempt_result *result, struct loam_error *error)
{
    const struct loam_http_request *request = task->request;
    const char *reason = result->error.message;
    if (request->sent != NULL) request->sent(request->sent_user, -result->sent);
    if (result->reached >= task->reached + PROGRESS_BYTES) task->tries = 0;
    if (result->reached > task->reached) task->reached = result->reached;
    task->tries++;
    int64_t asked = request->headers.retry_after;
    bool server_asks = result->answered && asked >= 0;
    if (task->tries >= TRIES)
        return loam_fail(error, LOAM_ERROR_IO, "%s: %s; given up after %d tries without progress",
                         request->what, reason, task->tries);
    if (server_asks && asked > LONGEST_WAIT)
        return loam_fail(error, LOAM_ERROR_IO,
                         "%s: %s; the server asks to wait %lld seconds, so try again later", request->what,
                         reason, (long long)asked);
    double delay = server_asks ? (double)asked : (double)(1 << (task->tries - 1));
    if (!server_asks && delay > LONGEST_BACKOFF) delay = LONGEST_BACKOFF;
    loam_log_write(http->log, LOAM_LOG_INFO, "%s: %s; another try in %.0f s", request->what, reason, delay);
    task->due = loam_clock_seconds() + delay * http->settings->delay_scale;
    return LOAM_OK;
}

static enum loam_status follow_redirect(struct loam_http *http, struct task *task, const char *location,
                                        struct loam_error *error)
{
    const struct loam_http_request *request = task->request;
    const char *from_url = task->url == NULL ? request->url : task->url;
    struct loam_origin from, to;
    if (++task->redirects > REDIRECTS)
        return loam_fail(error, LOAM_ERROR_IO, "%s: more than %d redirects", request->what, REDIRECTS);
    LOAM_TRY(loam_origin_parse(&from, from_url, error));
    if (loam_origin_parse(&to, location, error) != LOAM_OK)
        return loam_fail_prefix(error, "%s: redirected", request->what);
    if (!loam_origin_is_private(&to, &http->settings->origin))
        return loam_fail(error, LOAM_ERROR_IO, "%s: redirected to %s without https, which is refused",
                         request->what, to.host);
    if (!loam_origin_equal(&from, &to)) {
        if (request->redirects == LOAM_REDIRECT_REFUSE)
            return loam_fail(error, LOAM_ERROR_IO, "%s: redirected to another host, %s, which is refused",
                             request->what, to.host);
        task->left_hub = true;
        if (request->redirects == LOAM_REDIRECT_STOP) {
            task->done = true;
            return LOAM_OK;
        }
    }
    char *url = loam_strdup(location, error);
    if (url == NULL) return LOAM_ERROR_MEMORY;
    free(task->url);
    task->url = url;
    return LOAM_OK;
}

static bool is_redirect(const struct loam_http_request *request)
{
    long status = request->status;
    bool any_method = status == 307 || status == 308;
    bool reading = request->body_size == 0 && (status == 301 || status == 302 || status == 303);
    return any_method || reading;
}

static bool has_retryable_status(const struct loam_http_request *request)
{
    long status = request->status;
    if (status == 429) return true;
    return !request->not_idempotent &&
           (status == 408 || status == 500 || status == 502 || status == 503 || status == 504);
}

static enum loam_status finish_task(struct loam_http *http, struct task *task, CURLcode code,
                                    struct loam_error *error)
{
    struct loam_attempt_result result;
    loam_attempt_finish(task->attempt, code, &result);
    struct loam_http_request *request = task->request;
    enum loam_status status = LOAM_OK;
    if (result.error.status != LOAM_OK) {
        loam_hub_settings_redact(http->settings, result.error.message);
        if (result.may_retry)
            status = schedule_retry(http, task, &result, error);
        else
            status = loam_fail(error, result.error.status, "%s: %s", request->what, result.error.message);
    } else if (has_retryable_status(request)) {
        loam_fail(&result.error, LOAM_ERROR_IO, "the server answers with status %ld", request->status);
        status = schedule_retry(http, task, &result, error);
    } else if (is_redirect(request) && result.location != NULL) {
        status = follow_redirect(http, task, result.location, error);
    } else {
        task->done = true;
    }
    end_attempt(http, task);
    return status;
}

// ---- All requests ----

// Starts the attempts that are due. `*wait` receives the milliseconds until the next one is due, and `*open`
// the number of requests that are not done.
static enum loam_status start_due(struct loam_http *http, struct task *tasks, size_t count, int *wait,
                                  size_t *open, struct loam_error *error)
{
    size_t running = 0;
    double time = loam_clock_seconds();
    *open = 0;
    for (size_t i = 0; i < count; i++) {
        running += tasks[i].attempt != NULL;
        *open += !tasks[i].done;
    }
    for (size_t i = 0; i < count && running < LOAM_HTTP_PARALLEL; i++) {
        if (tasks[i].done || tasks[i].attempt != NULL) continue;
        double seconds = tasks[i].due - time;
        if (seconds <= 0) {
            LOAM_TRY(start_task(http, &tasks[i], error));
            running++;
        } else if (seconds * 1e3 < *wait) {
            *wait = (int)(seconds * 1e3) + 1;
        }
    }
    return LOAM_OK;
}

static enum loam_status take_finished(struct loam_http *http, int *finished, struct loam_error *error)
{
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(http->multi, &left)) != NULL;) {
        if (message->msg != CURLMSG_DONE) continue;
        struct task *task = NULL;
        CURLcode code = message->data.result; // read now: finish_task frees the message with its handle
        ++*finished;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &task);
        LOAM_TRY(finish_task(http, task, code, error));
    }
    return LOAM_OK;
}

static enum loam_status run(struct loam_http *http, struct task *tasks, size_t count,
                            struct loam_error *error)
{
    for (;;) {
        int wait = POLL_MILLISECONDS, running = 0, finished = 0;
        size_t open = 0;
        LOAM_TRY(start_due(http, tasks, count, &wait, &open, error));
        if (open == 0) return LOAM_OK;
        LOAM_TRY(http->pulse.beat(http->pulse.user, error));
        CURLMcode code = curl_multi_perform(http->multi, &running);
        LOAM_TRY(take_finished(http, &finished, error));
        // A finished attempt may let others start, so there is no wait after one.
        if (code == CURLM_OK && finished == 0) code = curl_multi_poll(http->multi, NULL, 0, wait, NULL);
        if (code != CURLM_OK) return fail_multi(code, "libcurl cannot continue", error);
    }
}

enum loam_status loam_http_run(struct loam_http *http, struct loam_http_request *requests, size_t count,
                               struct loam_error *error)
{
    struct task *tasks = loam_calloc(count, sizeof *tasks, error);
    if (tasks == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++)
        tasks[i].request = &requests[i];
    enum loam_status status = run(http, tasks, count, error);
    for (size_t i = 0; i < count; i++) {
        end_attempt(http, &tasks[i]);
        free(tasks[i].url);
    }
    free(tasks);
    return status;
}
