#include "hub/hub.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/event.h"
#include "base/heap.h"
#include "base/json.h"

enum { HINT_MAX = 300, URL_MAX = 4096 };

enum loam_status loam_hub_open(struct loam_hub *hub, const struct loam_callbacks *callbacks,
                               struct loam_error *error)
{
    *hub = (struct loam_hub){.callbacks = callbacks};
    return loam_hub_settings_load(&hub->settings, error);
}

void loam_hub_close(struct loam_hub *hub)
{
    loam_http_destroy(hub->http);
    loam_hub_settings_deinit(&hub->settings);
    *hub = (struct loam_hub){0};
}

static enum loam_status beat(void *user, struct loam_error *error)
{
    return loam_hub_report(user, error);
}

void loam_hub_begin_transfer(struct loam_hub *hub, struct loam_meter *meter, enum loam_activity activity,
                             int64_t total)
{
    loam_meter_start(meter, hub->callbacks, activity, total);
    hub->meter = meter;
}

enum loam_status loam_hub_end_transfer(struct loam_hub *hub, enum loam_status status)
{
    struct loam_meter *meter = hub->meter;
    hub->meter = NULL;
    if (status == LOAM_OK) loam_meter_finish(meter);
    return status;
}

enum loam_status loam_hub_report(struct loam_hub *hub, struct loam_error *error)
{
    if (hub->meter != NULL) return loam_meter_report(hub->meter, error);
    return loam_event_progress(hub->callbacks, LOAM_ACTIVITY_DOWNLOAD, 0, 0, error);
}

enum loam_status loam_hub_run(struct loam_hub *hub, struct loam_http_request *requests, size_t count,
                              struct loam_error *error)
{
    if (hub->settings.offline)
        return loam_fail(error, LOAM_ERROR_IO,
                         "%s: not in the cache %s, and HF_HUB_OFFLINE forbids asking the hub",
                         count == 0 ? "" : requests[0].what, hub->settings.cache);
    if (hub->http == NULL && hub->settings.missing_token != NULL)
        loam_log_write(&hub->callbacks->log, LOAM_LOG_WARNING,
                       "HF_TOKEN_PATH: there is no file %s: requests to the hub are made without a token",
                       hub->settings.missing_token);
    if (hub->http == NULL)
        LOAM_TRY(loam_http_create(&hub->http, &hub->settings, &hub->callbacks->log,
                                  (struct loam_http_pulse){beat, hub}, error));
    return loam_http_run(hub->http, requests, count, error);
}

// Copies the server's own message, from X-Error-Message or "error" of a JSON body, cut to HINT_MAX and made
// printable.
static void find_hint(const struct loam_hub *hub, const struct loam_http_request *request,
                      char hint[HINT_MAX])
{
    snprintf(hint, HINT_MAX, "%s", request->headers.error_message);
    json_t *root = NULL;
    struct loam_error ignored;
    if (hint[0] == '\0' && request->text.size > 0 &&
        loam_json_parse(&root, request->text.data, request->text.size, "answer", &ignored) == LOAM_OK) {
        const char *text = json_string_value(json_object_get(root, "error"));
        snprintf(hint, HINT_MAX, "%s", text == NULL ? "" : text);
    }
    json_decref(root);
    for (char *c = hint; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f) *c = ' ';
    loam_hub_settings_redact(&hub->settings, hint);
}

static enum loam_status fail_access(const struct loam_hub *hub, const struct loam_http_request *request,
                                    const char *hint, struct loam_error *error)
{
    if (hub->settings.token == NULL)
        return loam_fail(
            error, LOAM_ERROR_IO,
            "%s: the hub at %s does not show this repository without a token: check the name, or set "
            "HF_TOKEN if it is private or gated",
            request->what, hub->settings.endpoint);
    return loam_fail(error, LOAM_ERROR_IO,
                     "%s: the hub at %s refuses the token%s%s: check that it is valid and may do this (%s)",
                     request->what, hub->settings.endpoint, hint[0] == '\0' ? "" : ": ", hint,
                     hub->settings.token_source);
}

static enum loam_status fail_missing(const struct loam_hub *hub, const struct loam_http_request *request,
                                     const struct loam_repo *repo, struct loam_error *error)
{
    const char *code = request->headers.error_code;
    if (strcmp(code, "RevisionNotFound") == 0)
        return loam_fail(error, LOAM_ERROR_IO, "%s: there is no revision \"%s\" of it on %s", request->what,
                         repo->revision, hub->settings.endpoint);
    if (strcmp(code, "EntryNotFound") == 0)
        return loam_fail(error, LOAM_ERROR_IO, "%s: there is no such file at revision \"%s\" on %s",
                         request->what, repo->revision, hub->settings.endpoint);
    const char *source = hub->settings.token_source;
    return loam_fail(error, LOAM_ERROR_IO, "%s: there is no such repository on %s%s%s%s", request->what,
                     hub->settings.endpoint,
                     source == NULL ? ", or it is private and needs a token in HF_TOKEN"
                                    : ", or the token of ",
                     source == NULL ? "" : source, source == NULL ? "" : " may not see it");
}

enum loam_status loam_hub_check(const struct loam_hub *hub, const struct loam_http_request *request,
                                const struct loam_repo *repo, struct loam_error *error)
{
    bool stopped = request->redirects == LOAM_REDIRECT_STOP && request->status < 400;
    bool succeeded = request->status < 300;
    if (succeeded && loam_http_headers_are_page(&request->headers)) {
        loam_http_headers_fail_page(&request->headers, error);
        return loam_fail_prefix(error, "%s", request->what);
    }
    if (succeeded || stopped) return LOAM_OK;
    char hint[HINT_MAX];
    find_hint(hub, request, hint);
    if (strcmp(request->headers.error_code, "GatedRepo") == 0)
        return loam_fail(error, LOAM_ERROR_IO, "%s: it is gated: accept its terms at %s/%s%s, and try again",
                         request->what, hub->settings.endpoint, repo->id,
                         hub->settings.token == NULL ? ", put a token of your account into HF_TOKEN"
                                                     : " with the account of the token");
    if (request->status == 401) return fail_access(hub, request, hint, error);
    if (request->status == 404) return fail_missing(hub, request, repo, error);
    if (request->status == 403)
        return loam_fail(error, LOAM_ERROR_IO,
                         "%s: the hub at %s forbids it%s%s: the token of %s needs the right to do this",
                         request->what, hub->settings.endpoint, hint[0] == '\0' ? "" : ": ", hint,
                         hub->settings.token_source != NULL ? hub->settings.token_source : "HF_TOKEN");
    return loam_fail(error, LOAM_ERROR_IO, "%s: the hub at %s answers with status %ld%s%s", request->what,
                     hub->settings.endpoint, request->status, hint[0] == '\0' ? "" : ": ", hint);
}

char *loam_hub_url(const struct loam_hub *hub, struct loam_error *error, const char *format, ...)
{
    char path[URL_MAX];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(path, sizeof path, format, arguments);
    va_end(arguments);
    if (size >= 0 && size < (int)sizeof path)
        return loam_format(error, "%s/%s", hub->settings.endpoint, path);
    loam_fail(error, LOAM_ERROR_ARGUMENT, "an address on the hub would be longer than %d bytes", URL_MAX);
    return NULL;
}

enum loam_status loam_hub_redirect_to_mirror(const struct loam_hub *hub, char **address,
                                             struct loam_error *error)
{
    static const char original[] = "https://huggingface.co/";
    const size_t size = sizeof original - 2; // without the slash
    if (*address == NULL || strncmp(*address, original, size + 1) != 0) return LOAM_OK;
    char *local = loam_format(error, "%s%s", hub->settings.endpoint, *address + size);
    if (local == NULL) return LOAM_ERROR_MEMORY;
    free(*address);
    *address = local;
    return LOAM_OK;
}
