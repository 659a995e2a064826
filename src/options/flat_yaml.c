#include "options/flat_yaml.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/bytes.h"
#include "base/heap.h"

enum { LONGEST_LIST = 1024 };

struct reader {
    yaml_parser_t parser;
    yaml_event_t event; // the current one
    const char *name;
    loam_flat_visit *visit;
    void *user;
};

// ---- Events ----

static int line_of(yaml_mark_t mark)
{
    return (int)(mark.line + 1);
}

static enum loam_status fail(const struct reader *reader, const char *what, struct loam_error *error)
{
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s:%d: %s", reader->name, line_of(reader->event.start_mark),
                     what);
}

static enum loam_status fail_parse(const struct reader *reader, struct loam_error *error)
{
    const yaml_parser_t *parser = &reader->parser;
    if (parser->error == YAML_MEMORY_ERROR)
        return loam_fail(error, LOAM_ERROR_MEMORY, "no memory to read %s", reader->name);
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s:%d: not valid YAML: %s", reader->name,
                     line_of(parser->problem_mark), parser->problem != NULL ? parser->problem : "?");
}

static bool has_tag_or_anchor(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return event->data.scalar.anchor != NULL || event->data.scalar.tag != NULL;
    case YAML_SEQUENCE_START_EVENT:
        return event->data.sequence_start.anchor != NULL || event->data.sequence_start.tag != NULL;
    case YAML_MAPPING_START_EVENT:
        return event->data.mapping_start.anchor != NULL || event->data.mapping_start.tag != NULL;
    default:
        return event->type == YAML_ALIAS_EVENT;
    }
}

static enum loam_status next_event(struct reader *reader, struct loam_error *error)
{
    yaml_event_delete(&reader->event);
    if (yaml_parser_parse(&reader->parser, &reader->event) == 0) return fail_parse(reader, error);
    if (has_tag_or_anchor(&reader->event))
        return fail(reader,
                    "anchors, aliases and tags (&, * and !) are not supported; write the value itself",
                    error);
    return LOAM_OK;
}

// Copies the current scalar.
static enum loam_status copy_scalar(const struct reader *reader, char **text, struct loam_error *error)
{
    const yaml_event_t *event = &reader->event;
    const char *value = (const char *)event->data.scalar.value;
    if (memchr(value, '\0', event->data.scalar.length) != NULL)
        return fail(reader, "a NUL character is not allowed", error);
    *text = loam_strndup(value, event->data.scalar.length, error);
    return *text == NULL ? LOAM_ERROR_MEMORY : LOAM_OK;
}

// ---- Entries ----

static void deinit_entry(struct loam_flat_entry *entry)
{
    for (size_t i = 0; i < entry->count; i++)
        free(entry->values[i].text);
    free(entry->values);
    free(entry->key);
    *entry = (struct loam_flat_entry){0};
}

static enum loam_status add_value(const struct reader *reader, struct loam_flat_entry *entry,
                                  struct loam_error *error)
{
    if (entry->count == LONGEST_LIST)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s:%d: %s: more than %d values", reader->name,
                         entry->line, entry->key, LONGEST_LIST);
    if (entry->count == entry->capacity) {
        size_t capacity = entry->capacity == 0 ? 1 : 2 * entry->capacity;
        struct loam_flat_value *values = loam_calloc(capacity, sizeof *values, error);
        if (values == NULL) return LOAM_ERROR_MEMORY;
        if (entry->count > 0) memcpy(values, entry->values, entry->count * sizeof *values);
        free(entry->values);
        entry->values = values;
        entry->capacity = capacity;
    }
    struct loam_flat_value *value = &entry->values[entry->count];
    LOAM_TRY(copy_scalar(reader, &value->text, error));
    value->line = line_of(reader->event.start_mark);
    value->plain = reader->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    entry->count++;
    return LOAM_OK;
}

static enum loam_status fail_nested(const struct reader *reader, const struct loam_flat_entry *entry,
                                    struct loam_error *error)
{
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s:%d: %s: expected %s", reader->name,
                     line_of(reader->event.start_mark), entry->key,
                     entry->list ? "a list of plain values, nothing deeper" : "a value or a list of values");
}

static enum loam_status read_list(struct reader *reader, struct loam_flat_entry *entry,
                                  struct loam_error *error)
{
    entry->list = true;
    for (;;) {
        LOAM_TRY(next_event(reader, error));
        if (reader->event.type == YAML_SEQUENCE_END_EVENT) return LOAM_OK;
        if (reader->event.type != YAML_SCALAR_EVENT) return fail_nested(reader, entry, error);
        LOAM_TRY(add_value(reader, entry, error));
    }
}

// Reads the entry whose key is the current event.
static enum loam_status read_entry(struct reader *reader, struct loam_flat_entry *entry,
                                   struct loam_error *error)
{
    if (reader->event.type != YAML_SCALAR_EVENT) return fail(reader, "expected the name of an option", error);
    LOAM_TRY(copy_scalar(reader, &entry->key, error));
    entry->line = line_of(reader->event.start_mark);
    LOAM_TRY(next_event(reader, error));
    if (reader->event.type == YAML_SCALAR_EVENT)
        LOAM_TRY(add_value(reader, entry, error));
    else if (reader->event.type == YAML_SEQUENCE_START_EVENT)
        LOAM_TRY(read_list(reader, entry, error));
    else
        return fail_nested(reader, entry, error);
    return reader->visit(reader->user, entry, error);
}

static enum loam_status read_mapping(struct reader *reader, struct loam_error *error)
{
    for (;;) {
        LOAM_TRY(next_event(reader, error));
        if (reader->event.type == YAML_MAPPING_END_EVENT) return LOAM_OK;
        struct loam_flat_entry entry = {0};
        enum loam_status status = read_entry(reader, &entry, error);
        deinit_entry(&entry);
        if (status != LOAM_OK) return status;
    }
}

static enum loam_status read_stream(struct reader *reader, struct loam_error *error)
{
    LOAM_TRY(next_event(reader, error)); // the start of the stream
    LOAM_TRY(next_event(reader, error));
    if (reader->event.type == YAML_STREAM_END_EVENT) return LOAM_OK; // the file is empty or has only comments
    LOAM_TRY(next_event(reader, error));
    if (reader->event.type != YAML_MAPPING_START_EVENT)
        return fail(reader, "expected lines of the form \"option: value\"", error);
    LOAM_TRY(read_mapping(reader, error));
    LOAM_TRY(next_event(reader, error)); // the end of the document
    LOAM_TRY(next_event(reader, error));
    if (reader->event.type != YAML_STREAM_END_EVENT)
        return fail(reader, "expected one document; a second one begins here", error);
    return LOAM_OK;
}

enum loam_status loam_flat_yaml_read(const char *text, size_t size, const char *name, loam_flat_visit *visit,
                                     void *user, struct loam_error *error)
{
    struct reader reader = {.name = name, .visit = visit, .user = user};
    if (yaml_parser_initialize(&reader.parser) == 0)
        return loam_fail(error, LOAM_ERROR_MEMORY, "no memory to read %s", name);
    size_t mark = loam_byte_order_mark(text, size);
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text + mark, size - mark);
    enum loam_status status = read_stream(&reader, error);
    yaml_event_delete(&reader.event);
    yaml_parser_delete(&reader.parser);
    return status;
}
