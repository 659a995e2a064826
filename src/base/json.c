#include "base/json.h"

#include <math.h>

#include "base/file.h"
#include "base/json_read.h"

enum { JSON_LIMIT = 256 << 20 }; // bytes of a document that is parsed as a tree

static const char *type_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a number with a fraction";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    case JSON_NULL:
        break;
    }
    return "null";
}

enum loam_status loam_json_parse(json_t **root, const char *text, size_t size, const char *name,
                                 struct loam_error *error)
{
    *root = NULL;
    if (text == NULL) text = ""; // an empty file
    size_t mark = loam_byte_order_mark(text, size);
    text += mark;
    size -= mark;
    struct loam_error problem = {0}; // `error` may be NULL
    json_t *value = loam_json_read(text, size, name, &problem);
    if (value == NULL) return loam_fail(error, problem.status, "%s", problem.message);
    if (!json_is_object(value)) {
        enum loam_status status =
            loam_fail(error, LOAM_ERROR_FORMAT, "%s must be a JSON object, it is %s", name, type_name(value));
        json_decref(value);
        return status;
    }
    *root = value;
    return LOAM_OK;
}

enum loam_status loam_json_load(json_t **root, const char *path, struct loam_error *error)
{
    *root = NULL;
    struct loam_bytes text = {0};
    enum loam_status status = loam_file_read(path, JSON_LIMIT, &text, error);
    if (status == LOAM_OK) status = loam_json_parse(root, text.data, text.size, path, error);
    loam_bytes_deinit(&text);
    return status;
}

static enum loam_status wrong_type(const char *name, const char *key, const char *wanted, const json_t *value,
                                   struct loam_error *error)
{
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"%s\" must be %s, it is %s", name, key, wanted,
                     type_name(value));
}

// The value of a key; NULL if it is absent or null.
static const json_t *find_value(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

enum loam_status loam_json_get_int(const json_t *object, const char *name, const char *key, int64_t *value,
                                   struct loam_error *error)
{
    const json_t *found = find_value(object, key);
    if (found == NULL) return LOAM_OK;
    if (json_is_integer(found)) {
        *value = json_integer_value(found);
        return LOAM_OK;
    }
    double real = json_real_value(found); // 0 if it is not a real
    if (!json_is_real(found) || real != floor(real)) return wrong_type(name, key, "an integer", found, error);
    if (fabs(real) > 0x1p53)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"%s\" is %g, which is too large", name, key, real);
    *value = (int64_t)real;
    return LOAM_OK;
}

enum loam_status loam_json_get_double(const json_t *object, const char *name, const char *key, double *value,
                                      struct loam_error *error)
{
    const json_t *found = find_value(object, key);
    if (found == NULL) return LOAM_OK;
    if (!json_is_number(found)) return wrong_type(name, key, "a number", found, error);
    *value = json_number_value(found);
    return LOAM_OK;
}

enum loam_status loam_json_get_bool(const json_t *object, const char *name, const char *key, bool *value,
                                    struct loam_error *error)
{
    const json_t *found = find_value(object, key);
    if (found == NULL) return LOAM_OK;
    if (!json_is_boolean(found)) return wrong_type(name, key, "true or false", found, error);
    *value = json_is_true(found);
    return LOAM_OK;
}

enum loam_status loam_json_get_string(const json_t *object, const char *name, const char *key,
                                      const char **value, struct loam_error *error)
{
    const json_t *found = find_value(object, key);
    if (found == NULL) return LOAM_OK;
    if (!json_is_string(found)) return wrong_type(name, key, "a string", found, error);
    *value = json_string_value(found);
    return LOAM_OK;
}

static void release_unless(bool complete, json_t **value)
{
    if (complete) return;
    json_decref(*value);
    *value = NULL;
}

void loam_json_put(json_t **object, const char *key, json_t *value)
{
    release_unless(json_object_set_new(*object, key, value) == 0, object);
}

void loam_json_push(json_t **array, json_t *value)
{
    release_unless(json_array_append_new(*array, value) == 0, array);
}

struct sink {
    struct loam_bytes *text;
    bool failed;
};

// jansson continues after a key that could not be written, so the failure is remembered.
static int take_piece(const char *data, size_t size, void *user)
{
    struct sink *sink = user;
    sink->failed = sink->failed || loam_bytes_append(sink->text, data, size, NULL) != LOAM_OK;
    return sink->failed ? -1 : 0;
}

enum loam_status loam_json_append(struct loam_bytes *text, const json_t *value, size_t flags,
                                  struct loam_error *error)
{
    struct sink sink = {.text = text};
    if (value != NULL && json_dump_callback(value, take_piece, &sink, flags) == 0 && !sink.failed)
        return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_MEMORY, "out of memory while writing JSON");
}
