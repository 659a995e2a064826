#include "data/jsonl.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "base/json_stream.h"
#include "base/utf8.h"
#include "data/record_tree.h"
#include "data/shape.h"

enum { LONGEST_LIST = 256, LONGEST_NAME = 64 }; // bytes in a message

struct parser {
    struct loam_jsonl *jsonl;
    const char *line;
    size_t size;
    const char *path;
    size_t number; // of the line
    int depth;
    size_t field;           // index of the field of the last key; names->count: another field
    struct loam_bytes seen; // all keys, for a message
    unsigned shape;         // bits of the keys that data/shape.h knows
};

enum loam_status loam_jsonl_init(struct loam_jsonl *jsonl, const struct loam_field_names *names,
                                 struct loam_field_map *map, struct loam_error *error)
{
    *jsonl = (struct loam_jsonl){.names = names, .map = map};
    jsonl->fields = loam_calloc(names->count, sizeof *jsonl->fields, error);
    jsonl->is_first_choice = loam_calloc(names->count, sizeof *jsonl->is_first_choice, error);
    return jsonl->fields != NULL && jsonl->is_first_choice != NULL ? LOAM_OK : LOAM_ERROR_MEMORY;
}

void loam_jsonl_deinit(struct loam_jsonl *jsonl)
{
    free(jsonl->fields);
    free(jsonl->is_first_choice);
    loam_bytes_deinit(&jsonl->values);
    *jsonl = (struct loam_jsonl){0};
}

static enum loam_status on_key(struct parser *parser, const struct loam_json_event *event,
                               struct loam_error *error)
{
    const struct loam_jsonl *jsonl = parser->jsonl;
    bool is_other;
    parser->field = loam_field_names_find(jsonl->names, event->text, event->size, &is_other);
    if (parser->field < jsonl->names->count) {
        if (is_other && jsonl->is_first_choice[parser->field])
            parser->field = jsonl->names->count;
        else
            jsonl->is_first_choice[parser->field] = !is_other;
    }
    loam_field_map_note(jsonl->map, event->text, event->size);
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
    const char *name = jsonl->names->names[parser->field];
    if (event->kind == LOAM_JSON_NULL && parser->field >= jsonl->names->required) return LOAM_OK;
    if (event->kind != LOAM_JSON_STRING && event->kind != LOAM_JSON_NUMBER)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s:%zu: field \"%s\" must be a string or a number",
                         parser->path, parser->number, loam_field_names_key(jsonl->names, parser->field));
    const char *value = jsonl->values.data + jsonl->values.size;
    jsonl->fields[parser->field] = (struct loam_field){name, value, event->size};
    return loam_bytes_append(&jsonl->values, event->text, event->size, error);
}

static enum loam_status on_event(void *user, const struct loam_json_event *event, struct loam_error *error)
{
    struct parser *parser = user;
    if (event->defect != NULL)
        return loam_record_fail_defect(parser->line, parser->size,
                                       (struct loam_record_place){parser->path, parser->number},
                                       event->defect, error);
    if (parser->depth == 0 && event->kind != LOAM_JSON_OBJECT)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s:%zu: expected a JSON object", parser->path,
                         parser->number);
    enum loam_status status = LOAM_OK;
    if (parser->depth == 1 && event->kind == LOAM_JSON_KEY)
        status = on_key(parser, event, error);
    else if (parser->depth == 1 && event->kind != LOAM_JSON_END &&
             parser->field < parser->jsonl->names->count)
        status = on_field(parser, event, error);
    if (event->kind == LOAM_JSON_OBJECT || event->kind == LOAM_JSON_ARRAY) parser->depth++;
    if (event->kind == LOAM_JSON_END) parser->depth--;
    return status;
}

static enum loam_status fail_missing(const struct parser *parser, size_t field, struct loam_error *error)
{
    const struct loam_field_names *names = parser->jsonl->names;
    const char *key = loam_field_names_key(names, field);
    const bool empty = parser->seen.size == 0;
    // Without the field "text", its default, the user needs a template. With a template only the name is
    // wrong.
    const bool advise = !empty && strcmp(key, "text") == 0;
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s:%zu: no field \"%s\"; the record has: %s%s%s",
                     parser->path, parser->number, key, empty ? "none" : parser->seen.data,
                     advise ? "; " : "", advise ? loam_shape_advice(parser->shape) : "");
}

static enum loam_status check_all_fields(const struct parser *parser, struct loam_error *error)
{
    const struct loam_jsonl *jsonl = parser->jsonl;
    const struct loam_field_names *names = jsonl->names;
    for (size_t i = 0; i < names->count; i++) {
        if (jsonl->fields[i].name != NULL) continue;
        if (i < names->required) return fail_missing(parser, i, error);
        jsonl->fields[i] = (struct loam_field){names->names[i], "", 0};
    }
    return LOAM_OK;
}

enum loam_status loam_jsonl_parse(struct loam_jsonl *jsonl, const char *line, size_t size, const char *path,
                                  size_t number, struct loam_error *error)
{
    memset(jsonl->fields, 0, jsonl->names->count * sizeof *jsonl->fields);
    memset(jsonl->is_first_choice, 0, jsonl->names->count * sizeof *jsonl->is_first_choice);
    loam_bytes_clear(&jsonl->values);
    // Values are never longer than their JSON, so the buffer does not move.
    LOAM_TRY(loam_bytes_reserve(&jsonl->values, size, error));
    struct parser parser = {.jsonl = jsonl,
                            .line = line,
                            .size = size,
                            .path = path,
                            .number = number,
                            .field = jsonl->names->count};
    enum loam_status status = loam_json_stream_parse(line, size, path, number, on_event, &parser, error);
    if (status == LOAM_OK) status = check_all_fields(&parser, error);
    loam_bytes_deinit(&parser.seen);
    return status;
}
