#include "data/dataset_format.h"

#include <string.h>
#include <strings.h>

#include "base/bytes.h"
#include "base/json_stream.h"
#include "data/data_input.h"

struct detector {
    int depth;
    bool data_follows; // the last key of the outermost object is "data"
    bool in_data;      // inside the array under "data"
    bool has_records;  // the first element of "data" is not an article
    bool ended;        // the format is known
    size_t first_line;
    size_t last_line;
};

static bool is_key(const struct loam_json_event *event, const char *key)
{
    return event->size == strlen(key) && memcmp(event->text, key, event->size) == 0;
}

// Examines the keys of the first element of "data": articles have "paragraphs".
static void examine_data(struct detector *detector, const struct loam_json_event *event)
{
    bool closes = event->kind == LOAM_JSON_END;
    if (detector->depth == 3 && event->kind == LOAM_JSON_KEY) {
        if (!is_key(event, "title")) detector->has_records = true;
        if (is_key(event, "paragraphs")) {
            detector->has_records = false;
            detector->ended = true;
        }
    }
    bool first_ends = closes && detector->depth <= 3;
    bool is_not_object = !closes && detector->depth == 2 && event->kind != LOAM_JSON_OBJECT;
    if (first_ends || is_not_object) detector->ended = true;
}

static enum loam_status on_event(void *user, const struct loam_json_event *event, struct loam_error *error)
{
    (void)error;
    struct detector *detector = user;
    bool begins = event->kind == LOAM_JSON_OBJECT || event->kind == LOAM_JSON_ARRAY;
    if (detector->depth == 0) detector->first_line = event->line;
    detector->last_line = event->line;
    if (detector->in_data) examine_data(detector, event);
    if (detector->depth == 1 && event->kind == LOAM_JSON_ARRAY) detector->in_data |= detector->data_follows;
    if (detector->depth == 1 && event->kind == LOAM_JSON_KEY) detector->data_follows = is_key(event, "data");
    if (begins) detector->depth++;
    if (event->kind == LOAM_JSON_END) detector->depth--;
    detector->ended |= detector->depth == 0;
    return detector->ended ? LOAM_ERROR_STOPPED : LOAM_OK;
}

static size_t blank_prefix(const char *data, size_t size)
{
    size_t at = 0;
    while (at < size && (data[at] == ' ' || data[at] == '\t' || data[at] == '\r' || data[at] == '\n'))
        at++;
    return at;
}

static bool has_extension(const char *path, const char *extension)
{
    size_t length = loam_data_name_size(path);
    size_t tail = strlen(extension);
    return length >= tail && strncasecmp(path + length - tail, extension, tail) == 0;
}

// Finds the format of a file that begins with an array. With `lines` (named .jsonl) a first line that is a
// complete array is a broken record of JSONL.
static enum loam_status find_array(enum loam_data_format *format, bool lines, const char *data, size_t size,
                                   const char *path, struct loam_error *error)
{
    *format = LOAM_DATA_ARRAY;
    const char *end = memchr(data, '\n', size);
    size_t rest = end != NULL ? size - (size_t)(end - data) : 0;
    if (!lines || blank_prefix(end, rest) == rest) return LOAM_OK;
    struct detector detector = {0};
    enum loam_status status =
        loam_json_stream_parse(data, (size_t)(end - data), path, 1, on_event, &detector, error);
    if (status == LOAM_ERROR_MEMORY) return status;
    if (detector.ended) *format = LOAM_DATA_JSONL;
    return LOAM_OK;
}

enum loam_status loam_data_format_find(enum loam_data_format *format, const char *path, const char *data,
                                       size_t size, struct loam_error *error)
{
    *format = has_extension(path, ".txt") ? LOAM_DATA_TEXT : LOAM_DATA_JSONL;
    if (*format == LOAM_DATA_TEXT) return LOAM_OK;
    size_t mark = loam_byte_order_mark(data, size);
    size_t start = mark + blank_prefix(data + mark, size - mark);
    if (start < size && data[start] == '[')
        return find_array(format, has_extension(path, ".jsonl"), data + start, size - start, path, error);
    if (has_extension(path, ".jsonl")) return LOAM_OK;
    enum loam_status status = LOAM_OK;
    if (start < size && data[start] == '{') {
        struct detector detector = {0};
        status = loam_json_stream_parse(data + mark, size - mark, path, 1, on_event, &detector, error);
        if (status == LOAM_ERROR_MEMORY) return status;
        if (detector.in_data) *format = detector.has_records ? LOAM_DATA_ARRAY : LOAM_DATA_SQUAD;
        // A broken first line is JSONL: the reader of lines reports or skips it.
        if (detector.in_data || detector.first_line == detector.last_line) return LOAM_OK;
        if (status == LOAM_ERROR_FORMAT) return status;
    }
    const bool is_csv = has_extension(path, ".csv");
    *format = is_csv ? LOAM_DATA_CSV : LOAM_DATA_TSV;
    if (is_csv || has_extension(path, ".tsv")) return LOAM_OK;
    return loam_fail(
        error, LOAM_ERROR_FORMAT,
        "%s: the format is not recognised: expected SQuAD JSON (an object with a \"data\" array), "
        "JSONL (one object per line), an array of objects, CSV or TSV with a header (a name that ends in "
        ".csv or "
        ".tsv), or plain text (a name that ends in .txt)",
        path);
}

bool loam_data_format_has_name(const char *path)
{
    static const char *const endings[] = {".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".txt"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (has_extension(path, endings[i])) return true;
    return false;
}
