#include "base/json_stream.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/utf8.h"
#include "base/yajl_run.h"

struct stream {
    yajl_handle handle;
    const char *data;
    size_t size;
    const char *name;
    size_t at;     // the end of the last token
    bool complete; // all of the data was given to yajl, which counts from there on anew
    size_t line;
    int depth;
    loam_json_handler *handler;
    void *user;
    struct loam_error *error;
    enum loam_status status; // of the handler
};

// Moves to `end` and counts the lines up to it.
static void advance(struct stream *stream, size_t end)
{
    const char *last = stream->data + end;
    const char *at = stream->data + stream->at;
    while (at < last && (at = memchr(at, '\n', (size_t)(last - at))) != NULL) {
        stream->line++;
        at++;
    }
    stream->at = end;
}

// The code unit of "\uhhhh" at `text`; -1 for another escape.
static int32_t code_unit(const char *text, size_t size)
{
    if (size < 6 || text[0] != '\\' || text[1] != 'u') return -1;
    int32_t unit = 0;
    for (int i = 2; i < 6; i++) {
        char digit = text[i];
        int value = digit >= '0' && digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10;
        unit = unit * 16 + value;
    }
    return unit;
}

// Whether every \u escape of a surrogate in the token is part of a pair. yajl has checked the hex digits.
static bool surrogates_pair(const char *token, size_t size)
{
    const char *end = token + size;
    const char *at = token;
    while ((at = memchr(at, '\\', (size_t)(end - at))) != NULL) {
        int32_t unit = code_unit(at, (size_t)(end - at));
        bool high = unit >= 0xD800 && unit < 0xDC00;
        if (unit >= 0xDC00 && unit < 0xE000) return false;
        at += unit < 0 ? 2 : 6;
        if (!high) continue;
        int32_t low = code_unit(at, (size_t)(end - at));
        if (low < 0xDC00 || low >= 0xE000) return false;
        at += 6;
    }
    return true;
}

static const char *find_defect(const struct stream *stream, const char *text, size_t size, size_t end)
{
    if (!surrogates_pair(stream->data + stream->at, end - stream->at)) return "half of a surrogate pair";
    if (loam_utf8_check(text, size) < size) return "invalid UTF-8";
    return NULL;
}

static int emit(struct stream *stream, enum loam_json_kind kind, const char *text, size_t size)
{
    size_t end = stream->complete ? stream->size : yajl_get_bytes_consumed(stream->handle);
    bool is_text = kind == LOAM_JSON_KEY || kind == LOAM_JSON_STRING;
    const char *defect = is_text ? find_defect(stream, text, size, end) : NULL;
    advance(stream, end);
    const struct loam_json_event event = {
        .kind = kind, .text = text, .size = size, .at = end, .line = stream->line, .defect = defect};
    stream->status = stream->handler(stream->user, &event, stream->error);
    return stream->status == LOAM_OK;
}

static int on_null(void *user)
{
    return emit(user, LOAM_JSON_NULL, NULL, 0);
}
static int on_boolean(void *user, int value)
{
    return emit(user, value ? LOAM_JSON_TRUE : LOAM_JSON_FALSE, NULL, 0);
}
static int on_number(void *user, const char *text, size_t size)
{
    return emit(user, LOAM_JSON_NUMBER, text, size);
}
static int on_string(void *user, const unsigned char *text, size_t size)
{
    return emit(user, LOAM_JSON_STRING, (const char *)text, size);
}
static int on_key(void *user, const unsigned char *text, size_t size)
{
    return emit(user, LOAM_JSON_KEY, (const char *)text, size);
}

static int begin(struct stream *stream, enum loam_json_kind kind)
{
    if (stream->depth == LOAM_JSON_MAX_DEPTH) {
        advance(stream, yajl_get_bytes_consumed(stream->handle));
        stream->status =
            loam_fail(stream->error, LOAM_ERROR_FORMAT, "%s:%zu: JSON nested deeper than %d levels",
                      stream->name, stream->line, LOAM_JSON_MAX_DEPTH);
        return 0;
    }
    stream->depth++;
    return emit(stream, kind, NULL, 0);
}
static int on_start_map(void *user)
{
    return begin(user, LOAM_JSON_OBJECT);
}
static int on_start_array(void *user)
{
    return begin(user, LOAM_JSON_ARRAY);
}
static int on_end(void *user)
{
    struct stream *stream = user;
    stream->depth--;
    return emit(stream, LOAM_JSON_END, NULL, 0);
}

static const yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_boolean,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_start_map = on_start_map,
    .yajl_map_key = on_key,
    .yajl_end_map = on_end,
    .yajl_start_array = on_start_array,
    .yajl_end_array = on_end,
};

static enum loam_status fail_syntax(struct stream *stream)
{
    const unsigned char *data = (const unsigned char *)stream->data;
    unsigned char *text = yajl_get_error(stream->handle, 0, data, stream->size);
    const char *reason = text != NULL ? (const char *)text : "unknown reason";
    enum loam_status status = loam_fail(stream->error, LOAM_ERROR_FORMAT, "%s:%zu: not valid JSON: %.*s",
                                        stream->name, stream->line, (int)strcspn(reason, "\n"), reason);
    if (text != NULL) yajl_free_error(stream->handle, text);
    return status;
}

static enum loam_status parse(void *user, yajl_handle handle)
{
    struct stream *stream = user;
    stream->handle = handle;
    // find_defect checks strings, so that one bad record does not end the parse.
    yajl_config(handle, yajl_dont_validate_strings, 1);
    yajl_status parsed = yajl_parse(handle, (const unsigned char *)stream->data, stream->size);
    if (parsed == yajl_status_ok) {
        advance(stream, stream->size);
        stream->complete = true;
        parsed = yajl_complete_parse(handle);
    } else if (parsed == yajl_status_error) {
        size_t consumed = yajl_get_bytes_consumed(handle);
        advance(stream, consumed > stream->at ? consumed : stream->at);
    }
    return stream->status == LOAM_OK && parsed != yajl_status_ok ? fail_syntax(stream) : stream->status;
}

enum loam_status loam_json_stream_parse(const char *data, size_t size, const char *name, size_t first_line,
                                        loam_json_handler *handler, void *user, struct loam_error *error)
{
    struct stream stream = {.data = data,
                            .size = size,
                            .name = name,
                            .line = first_line,
                            .handler = handler,
                            .user = user,
                            .error = error,
                            .status = LOAM_OK};
    return loam_yajl_run(&callbacks, parse, &stream, error);
}
