#include "data/jsonl.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "base/json_stream.h"
#include "base/utf8.h"
#include "data/shape.h"

enum { LONGEST_LIST = 256, LONGEST_NAME = 64 }; // bytes in a message

struct parser {
    struct loam_jsonl *jsonl;
    const char *line;
    size_t size;
    const char *path;
    size_t number; // of the line
    int depth;
    size_t field;           // index of the field of the last key; name_count: another field
    struct loam_bytes seen; // all keys, for a message
    unsigned shape;         // bits of the keys that data/shape.h knows
};

enum loam_status loam_jsonl_init(struct loam_jsonl *jsonl, const char *const *names, size_t name_count,
                                 struct loam_error *error)
{
    *jsonl = (struct loam_jsonl){.names = names, .name_count = name_count};
    jsonl->fields = loam_calloc(name_count, sizeof *jsonl->fields, error);
    return jsonl->fields != NULL ? LOAM_OK : LOAM_ERROR_MEMORY;
}

void loam_jsonl_deinit(struct loam_jsonl *jsonl)
{
    free(jsonl->fields);
    loam_bytes_deinit(&jsonl->values);
    *jsonl = (struct loam_jsonl){0};
}

static enum loam_status on_key(struct parser *parser, const struct loam_json_event *event,
                               struct loam_error *error)
{
    const struct loam_jsonl *jsonl = parser->jsonl;
    for (parser->field = 0; parser->field < jsonl->name_count; parser->field++) {
        const char *name = jsonl->names[parser->field];
        if (strlen(name) == event->size && memcmp(name, event->text, event->size) == 0) break;
    }
    parser->shape |= loam_shape_bit(event->text, event->size);
    if (parser->seen.size >= LONGEST_LIST) return LOAM_OK;
    if (parser->seen.size > 0) LOAM_TRY(loam_bytes_append_text(&parser->seen, ", ", error));
    size_t shown = loam_utf8_fit(event->text, event->size, LONGEST_NAME);
    return loam_bytes_append(&parser->seen, event->text, shown, error);
}

// Takes the value of a named field. If a key occurs twice the last value counts, as in Python's json.
static enum loam_status on_field(struct parser *parser, const struct loam_json_event *event,
                                 struct loam_error *error)
{
    struct loam_jsonl *jsonl = parser->jsonl;
    const char *name = jsonl->names[parser->field];
    if (event->kind != LOAM_JSON_STRING && event->kind != LOAM_JSON_NUMBER)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s:%zu: field \"%s\" must be a string or a number",
                         parser->path, parser->number, name);
    const char *value = jsonl->values.data + jsonl->values.size;
    jsonl->fields[parser->field] = (struct loam_field){name, value, event->size};
    return loam_bytes_append(&jsonl->values, event->text, event->size, error);
}

static enum loam_status fail_defect(const struct parser *parser, const char *defect, struct loam_error *error)
{
    size_t at = loam_utf8_check(parser->line, parser->size);
    if (at == parser->size)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s:%zu: %s in a string", parser->path, parser->number,
                         defect);
    return loam_fail(error, LOAM_ERROR_FORMAT,
                     "%s:%zu: %s in a string, at byte %zu of the record (0x%02X); " LOAM_ENCODING_REMEDY,
                     parser->path, parser->number, defect, at + 1, (unsigned)(unsigned char)parser->line[at]);
}

static enum loam_status on_event(void *user, const struct loam_json_event *event, struct loam_error *error)
{
    struct parser *parser = user;
    if (event->defect != NULL) return fail_defect(parser, event->defect, error);
    if (parser->depth == 0 && event->kind != LOAM_JSON_OBJECT)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s:%zu: expected a JSON object", parser->path,
                         parser->number);
    enum loam_status status = LOAM_OK;
    if (parser->depth == 1 && event->kind == LOAM_JSON_KEY)
        status = on_key(parser, event, error);
    else if (parser->depth == 1 && event->kind != LOAM_JSON_END && parser->field < parser->jsonl->name_count)
        status = on_field(parser, event, error);
    if (event->kind == LOAM_JSON_OBJECT || event->kind == LOAM_JSON_ARRAY) parser->depth++;
    if (event->kind == LOAM_JSON_END) parser->depth--;
    return status;
}

static enum loam_status check_all_fields(const struct parser *parser, struct loam_error *error)
{
    const struct loam_jsonl *jsonl = parser->jsonl;
    for (size_t i = 0; i < jsonl->name_count; i++) {
        if (jsonl->fields[i].name != NULL) continue;
        bool empty = parser->seen.size == 0;
        // Without the field "text", its default, the user needs a template. With a template only the name is
        // wrong.
        bool advise = !empty && strcmp(jsonl->names[i], "text") == 0;
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s:%zu: no field \"%s\"; the record has: %s%s%s",
                         parser->path, parser->number, jsonl->names[i], empty ? "none" : parser->seen.data,
                         advise ? "; " : "", advise ? loam_shape_advice(parser->shape) : "");
    }
    return LOAM_OK;
}

enum loam_status loam_jsonl_parse(struct loam_jsonl *jsonl, const char *line, size_t size, const char *path,
                                  size_t number, struct loam_error *error)
{
    memset(jsonl->fields, 0, jsonl->name_count * sizeof *jsonl->fields);
    loam_bytes_clear(&jsonl->values);
    // Values are never longer than their JSON, so the buffer does not move.
    LOAM_TRY(loam_bytes_reserve(&jsonl->values, size, error));
    struct parser parser = {.jsonl = jsonl,
                            .line = line,
                            .size = size,
                            .path = path,
                            .number = number,
                            .field = jsonl->name_count};
    enum loam_status status = loam_json_stream_parse(line, size, path, number, on_event, &parser, error);
    if (status == LOAM_OK) status = check_all_fields(&parser, error);
    loam_bytes_deinit(&parser.seen);
    return status;
}
