#include "data/record_reader.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "data/shape.h"

static const char line_field[] = "text"; // of plain text

static struct loam_record_place place_of(const struct loam_record_reader *reader, size_t line)
{
    return (struct loam_record_place){reader->path, line};
}

// ---- What is read ----

// Fails about a field that the format cannot have, whatever the records have.
static enum loam_status fail_absent(const struct loam_record_reader *reader, const char *name,
                                    struct loam_error *error)
{
    if (reader->format == LOAM_RECORD_LINE)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: no field \"%s\", which the template names; plain text has text", reader->path,
                         name);
    struct loam_bytes list = {0};
    unsigned shape = 0;
    for (size_t i = 0; i < reader->csv.count; i++)
        shape |= loam_shape_bit(reader->csv.columns[i].name, strlen(reader->csv.columns[i].name));
    const bool advise = strcmp(name, line_field) == 0; // its default: the user needs a template
    enum loam_status status = loam_csv_list(&reader->csv, &list, error);
    if (status == LOAM_OK)
        status =
            loam_fail(error, LOAM_ERROR_FORMAT, "%s: no column \"%s\"; the header has: %s%s%s", reader->path,
                      name, list.data, advise ? "; " : "", advise ? loam_shape_advice(shape) : "");
    loam_bytes_deinit(&list);
    return status;
}

static bool has_key(const struct loam_record_reader *reader, const char *key)
{
    if (key == NULL) return false;
    return reader->format == LOAM_RECORD_LINE ? strcmp(key, line_field) == 0
                                              : loam_csv_find(&reader->csv, key) < reader->csv.count;
}

// The key that a line or the header has for a field; NULL: it has none.
static const char *find_key(const struct loam_record_reader *reader, size_t field)
{
    const struct loam_field_names *names = &reader->names;
    if (has_key(reader, names->keys[field])) return names->keys[field];
    return has_key(reader, names->others[field]) ? names->others[field] : NULL;
}

// Checks that a line or the header has the required fields.
static enum loam_status check_names(const struct loam_record_reader *reader, struct loam_error *error)
{
    for (size_t i = 0; i < reader->names.required && reader->format != LOAM_RECORD_OBJECT; i++)
        if (find_key(reader, i) == NULL)
            return fail_absent(reader, loam_field_names_key(&reader->names, i), error);
    return LOAM_OK;
}

static enum loam_status choose_names(struct loam_record_reader *reader, const char *const *names,
                                     size_t count, size_t required, struct loam_error *error)
{
    LOAM_TRY(loam_field_names_init(&reader->names, names, count, required, reader->map, error));
    LOAM_TRY(loam_jsonl_init(&reader->jsonl, &reader->names, reader->map, error));
    reader->values = loam_calloc(count, sizeof *reader->values, error);
    if (reader->values == NULL) return LOAM_ERROR_MEMORY;
    reader->is_chosen = true;
    return check_names(reader, error);
}

static enum loam_status choose_shape(struct loam_record_reader *reader, enum loam_record_shape shape,
                                     struct loam_error *error)
{
    const struct loam_record_texts texts = loam_record_texts_of(shape);
    reader->shape = shape;
    reader->as_tree = texts.count == 0;
    return choose_names(reader, texts.names, texts.count, texts.required, error);
}

enum loam_status loam_record_reader_init(struct loam_record_reader *reader, const char *const *names,
                                         size_t count, struct loam_error *error)
{
    if (reader->format == LOAM_RECORD_LINE) {
        loam_field_map_note(reader->map, line_field, strlen(line_field));
        if (count == 0) return choose_shape(reader, LOAM_RECORD_TEXT, error);
    }
    // The columns of rows are known after their header.
    if (count == 0 || reader->format == LOAM_RECORD_ROW) {
        reader->names = (struct loam_field_names){.names = names, .count = count};
        return LOAM_OK;
    }
    return choose_names(reader, names, count, count, error);
}

void loam_record_reader_deinit(struct loam_record_reader *reader)
{
    loam_field_names_deinit(&reader->names);
    loam_jsonl_deinit(&reader->jsonl);
    loam_csv_deinit(&reader->csv);
    free(reader->values);
    *reader = (struct loam_record_reader){0};
}

void loam_record_reader_release(struct loam_record_reader *reader)
{
    loam_bytes_deinit(&reader->jsonl.values);
    loam_bytes_deinit(&reader->csv.values);
}

// ---- Trees ----

// Makes the tree of a line or a row, whose values are strings.
static enum loam_status make_tree(const struct loam_field *fields, size_t count, json_t **tree,
                                  struct loam_error *error)
{
    json_t *made = json_object();
    enum loam_status status =
        made != NULL ? LOAM_OK : loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: a record");
    for (size_t i = 0; i < count && status == LOAM_OK; i++) {
        if (fields[i].name[0] == '\0') continue;
        const char *value = fields[i].value != NULL ? fields[i].value : "";
        status = loam_record_set(made, fields[i].name, json_stringn_nocheck(value, fields[i].size), error);
    }
    if (status == LOAM_OK)
        *tree = made;
    else
        json_decref(made);
    return status;
}

static enum loam_status parse_tree(struct loam_record_reader *reader, const char *text, size_t size,
                                   size_t line, json_t **tree, struct loam_error *error)
{
    const struct loam_record_place place = place_of(reader, line);
    if (reader->format == LOAM_RECORD_OBJECT) return loam_record_tree_parse(tree, text, size, place, error);
    if (reader->format == LOAM_RECORD_ROW) {
        LOAM_TRY(loam_csv_read_row(&reader->csv, text, size, place, error));
        return make_tree(reader->csv.columns, reader->csv.count, tree, error);
    }
    LOAM_TRY(loam_record_check_text(text, size, place, "line", error));
    return make_tree(&(struct loam_field){line_field, text, size}, 1, tree, error);
}

enum loam_status loam_record_reader_tree(struct loam_record_reader *reader, const char *text, size_t size,
                                         size_t line, json_t **tree, enum loam_record_shape *shape,
                                         struct loam_error *error)
{
    *tree = NULL;
    json_t *made = NULL;
    LOAM_TRY(parse_tree(reader, text, size, line, &made, error));
    enum loam_status status = loam_field_map_apply(reader->map, made, error);
    if (status == LOAM_OK) {
        *shape = reader->as_tree ? reader->shape : loam_record_recognise(made);
        status = loam_record_check(made, *shape, place_of(reader, line), &reader->notes, error);
    }
    if (status == LOAM_OK)
        *tree = made;
    else
        json_decref(made);
    return status;
}

// ---- Fields ----

// Chooses by the tree of the first good record, or of the header.
static enum loam_status choose_by_tree(struct loam_record_reader *reader, json_t *tree,
                                       struct loam_error *error)
{
    LOAM_TRY(loam_field_map_apply(reader->map, tree, error));
    return choose_shape(reader, loam_record_recognise(tree), error);
}

static enum loam_status choose_by_object(struct loam_record_reader *reader, const char *text, size_t size,
                                         size_t line, struct loam_error *error)
{
    json_t *tree = NULL;
    LOAM_TRY(loam_record_tree_parse(&tree, text, size, place_of(reader, line), error));
    enum loam_status status = choose_by_tree(reader, tree, error);
    json_decref(tree);
    return status;
}

enum loam_status loam_record_reader_header(struct loam_record_reader *reader, const char *text, size_t size,
                                           size_t line, struct loam_error *error)
{
    LOAM_TRY(loam_csv_read_header(&reader->csv, text, size, place_of(reader, line), error));
    for (size_t i = 0; i < reader->csv.count; i++)
        loam_field_map_note(reader->map, reader->csv.columns[i].name, strlen(reader->csv.columns[i].name));
    const struct loam_field_names names = reader->names; // of the template
    if (names.count > 0) return choose_names(reader, names.names, names.count, names.count, error);
    json_t *tree = NULL;
    LOAM_TRY(make_tree(reader->csv.columns, reader->csv.count, &tree, error));
    enum loam_status status = choose_by_tree(reader, tree, error);
    json_decref(tree);
    return status;
}

static void pick_columns(struct loam_record_reader *reader)
{
    const struct loam_field_names *names = &reader->names;
    for (size_t i = 0; i < names->count; i++) {
        const char *key = find_key(reader, i);
        const bool found = key != NULL;
        const size_t at = found ? loam_csv_find(&reader->csv, key) : 0;
        reader->values[i] = (struct loam_field){.name = names->names[i],
                                                .value = found ? reader->csv.columns[at].value : "",
                                                .size = found ? reader->csv.columns[at].size : 0};
    }
}

static void sum_text(struct loam_record_reader *reader)
{
    reader->text_bytes = 0;
    for (size_t i = 0; i < reader->names.count; i++)
        reader->text_bytes += reader->fields[i].size;
}

static enum loam_status read_fields(struct loam_record_reader *reader, const char *text, size_t size,
                                    size_t line, struct loam_error *error)
{
    const struct loam_record_place place = place_of(reader, line);
    reader->fields = reader->values;
    switch (reader->format) {
    case LOAM_RECORD_OBJECT:
        LOAM_TRY(loam_jsonl_parse(&reader->jsonl, text, size, reader->path, line, error));
        reader->fields = reader->jsonl.fields;
        break;
    case LOAM_RECORD_ROW:
        LOAM_TRY(loam_csv_read_row(&reader->csv, text, size, place, error));
        pick_columns(reader);
        break;
    case LOAM_RECORD_LINE:
        LOAM_TRY(loam_record_check_text(text, size, place, "line", error));
        for (size_t i = 0; i < reader->names.count; i++) // all have the one key of a line
            reader->values[i] = (struct loam_field){reader->names.names[i], text, size};
        break;
    }
    sum_text(reader);
    return LOAM_OK;
}

enum loam_status loam_record_reader_read(struct loam_record_reader *reader, const char *text, size_t size,
                                         size_t line, struct loam_error *error)
{
    if (!reader->is_chosen) LOAM_TRY(choose_by_object(reader, text, size, line, error));
    if (!reader->as_tree) return read_fields(reader, text, size, line, error);
    json_t *tree;
    enum loam_record_shape shape;
    LOAM_TRY(loam_record_reader_tree(reader, text, size, line, &tree, &shape, error));
    json_decref(tree);
    reader->text_bytes = size;
    return LOAM_OK;
}
