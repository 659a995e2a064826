#include "data/record_tree.h"

#include <string.h>

#include "base/bytes.h"
#include "base/json_read.h"
#include "base/json_stream.h"
#include "base/utf8.h"

struct builder {
    struct loam_record_place place;
    const char *text;
    size_t size;
    json_t *root;                      // NULL before the first event
    json_t *open[LOAM_JSON_MAX_DEPTH]; // objects and arrays that have begun; they belong to `root`
    int depth;
    struct loam_bytes key; // the last one
};

static enum loam_status fail_memory(struct loam_error *error)
{
    return loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: a record");
}

enum loam_status loam_record_set(json_t *object, const char *key, json_t *value, struct loam_error *error)
{
    if (value == NULL) return fail_memory(error);
    return json_object_set_new_nocheck(object, key, value) == 0 ? LOAM_OK : fail_memory(error);
}

enum loam_status loam_record_add(json_t *array, json_t *value, struct loam_error *error)
{
    if (value == NULL) return fail_memory(error);
    return json_array_append_new(array, value) == 0 ? LOAM_OK : fail_memory(error);
}

enum loam_status loam_record_copy(json_t **copy, json_t *object, struct loam_error *error)
{
    *copy = json_object();
    enum loam_status status = *copy != NULL ? LOAM_OK : fail_memory(error);
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        if (status == LOAM_OK) status = loam_record_set(*copy, key, json_incref(value), error);
    }
    if (status == LOAM_OK) return LOAM_OK;
    json_decref(*copy);
    *copy = NULL;
    return status;
}

enum loam_status loam_record_fail_defect(const char *text, size_t size, struct loam_record_place place,
                                         const char *defect, struct loam_error *error)
{
    size_t at = loam_utf8_check(text, size);
    if (at == size)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s:%zu: %s in a string", place.path, place.line, defect);
    return loam_fail(error, LOAM_ERROR_FORMAT,
                     "%s:%zu: %s in a string, at byte %zu of the record (0x%02X); " LOAM_ENCODING_REMEDY,
                     place.path, place.line, defect, at + 1, (unsigned)(unsigned char)text[at]);
}

enum loam_status loam_record_check_text(const char *text, size_t size, struct loam_record_place place,
                                        const char *what, struct loam_error *error)
{
    const size_t valid = loam_utf8_check(text, size);
    if (valid < size)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s:%zu: invalid UTF-8 at byte %zu of the %s (0x%02X); " LOAM_ENCODING_REMEDY,
                         place.path, place.line, valid + 1, what, (unsigned)(unsigned char)text[valid]);
    const char *nul = memchr(text, '\0', size);
    if (nul == NULL) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_FORMAT,
                     "%s:%zu: a NUL byte at byte %zu of the %s: the file is not text", place.path, place.line,
                     (size_t)(nul - text) + 1, what);
}

// Keeps a key. Keys of a tree end at their first NUL, so another character stands for it.
static enum loam_status on_key(struct builder *builder, const struct loam_json_event *event,
                               struct loam_error *error)
{
    const char *end = event->text + event->size;
    loam_bytes_clear(&builder->key);
    for (const char *at = event->text;;) {
        const char *nul = memchr(at, '\0', (size_t)(end - at));
        LOAM_TRY(loam_bytes_append(&builder->key, at, (size_t)((nul != NULL ? nul : end) - at), error));
        if (nul == NULL) return LOAM_OK;
        LOAM_TRY(loam_bytes_append_text(&builder->key, "\xEF\xBF\xBD", error));
        at = nul + 1;
    }
}

// json_read has the same grammar and works in every locale. It refuses a number that a double cannot hold.
static enum loam_status make_number(const struct loam_json_event *event, json_t **value,
                                    struct loam_error *error)
{
    struct loam_error cause;
    *value = loam_json_read(event->text, event->size, "number", &cause);
    if (*value == NULL && cause.status != LOAM_ERROR_MEMORY)
        *value = json_stringn_nocheck(event->text, event->size);
    return *value != NULL ? LOAM_OK : fail_memory(error);
}

static enum loam_status make_value(const struct loam_json_event *event, json_t **value,
                                   struct loam_error *error)
{
    switch (event->kind) {
    case LOAM_JSON_OBJECT:
        *value = json_object();
        break;
    case LOAM_JSON_ARRAY:
        *value = json_array();
        break;
    case LOAM_JSON_STRING:
        *value = json_stringn_nocheck(event->text, event->size);
        break;
    case LOAM_JSON_NUMBER:
        return make_number(event, value, error);
    case LOAM_JSON_TRUE:
        *value = json_true();
        break;
    case LOAM_JSON_FALSE:
        *value = json_false();
        break;
    default:
        *value = json_null();
        break;
    }
    return *value != NULL ? LOAM_OK : fail_memory(error);
}

// Puts a value into the open object or array, or makes it the root.
static enum loam_status attach(struct builder *builder, json_t *value, struct loam_error *error)
{
    if (builder->depth == 0) {
        builder->root = value;
        return LOAM_OK;
    }
    json_t *top = builder->open[builder->depth - 1];
    if (json_is_array(top)) return loam_record_add(top, value, error);
    return loam_record_set(top, builder->key.data, value, error);
}

static enum loam_status on_event(void *user, const struct loam_json_event *event, struct loam_error *error)
{
    struct builder *builder = user;
    if (event->defect != NULL)
        return loam_record_fail_defect(builder->text, builder->size, builder->place, event->defect, error);
    if (builder->depth == 0 && event->kind != LOAM_JSON_OBJECT)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s:%zu: expected a JSON object", builder->place.path,
                         builder->place.line);
    if (event->kind == LOAM_JSON_KEY) return on_key(builder, event, error);
    if (event->kind == LOAM_JSON_END) {
        builder->depth--;
        return LOAM_OK;
    }
    json_t *value = NULL;
    LOAM_TRY(make_value(event, &value, error));
    LOAM_TRY(attach(builder, value, error));
    const bool begins = event->kind == LOAM_JSON_OBJECT || event->kind == LOAM_JSON_ARRAY;
    if (begins) builder->open[builder->depth++] = value;
    return LOAM_OK;
}

enum loam_status loam_record_tree_parse(json_t **tree, const char *text, size_t size,
                                        struct loam_record_place place, struct loam_error *error)
{
    *tree = NULL;
    struct builder builder = {.place = place, .text = text, .size = size};
    enum loam_status status =
        loam_json_stream_parse(text, size, place.path, place.line, on_event, &builder, error);
    loam_bytes_deinit(&builder.key);
    if (status != LOAM_OK) {
        json_decref(builder.root);
        return status;
    }
    *tree = builder.root;
    return LOAM_OK;
}
