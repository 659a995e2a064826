#include "base/json.h"

#include <math.h>

#include "base/file.h"

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
    size_t mark = loam_byte_order_mark(text, size);
    text += mark;
    size -= mark;
    json_error_t problem;
    json_t *value = json_loadb(text, size, JSON_REJECT_DUPLICATES, &problem);
    // Tokenizer configs say "no limit" as an integer of a hundred bits: such a document is read with every
    // number as a real, which the getters take for an integer when it is a whole one.
    if (value == NULL && json_error_code(&problem) == json_error_numeric_overflow)
        value = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &problem);
    // jansson has nothing to say about a document that it had no memory for.
    if (value == NULL && (problem.text[0] == '\0' || json_error_code(&problem) == json_error_out_of_memory))
        return loam_fail(error, LOAM_ERROR_MEMORY, "out of memory while reading %s", name);
    if (value == NULL)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s is not valid JSON: line %d, column %d: %s", name,
                         problem.line, problem.column, problem.text);
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

// The value of a key that is there and not null, else NULL.
static const json_t *present(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

enum loam_status loam_json_get_int(const json_t *object, const char *name, const char *key, int64_t *value,
                                   struct loam_error *error)
{
    const json_t *found = present(object, key);
    if (found == NULL) return LOAM_OK;
    if (json_is_integer(found)) {
        *value = json_integer_value(found);
        return LOAM_OK;
    }
    double real = json_real_value(found); // 0 for what is not a real
    if (!json_is_real(found) || real != floor(real)) return wrong_type(name, key, "an integer", found, error);
    if (fabs(real) > 0x1p53)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"%s\" is %g, which is too large", name, key, real);
    *value = (int64_t)real;
    return LOAM_OK;
}

enum loam_status loam_json_get_double(const json_t *object, const char *name, const char *key, double *value,
                                      struct loam_error *error)
{
    const json_t *found = present(object, key);
    if (found == NULL) return LOAM_OK;
    if (!json_is_number(found)) return wrong_type(name, key, "a number", found, error);
    *value = json_number_value(found);
    return LOAM_OK;
}

enum loam_status loam_json_get_bool(const json_t *object, const char *name, const char *key, bool *value,
                                    struct loam_error *error)
{
    const json_t *found = present(object, key);
    if (found == NULL) return LOAM_OK;
    if (!json_is_boolean(found)) return wrong_type(name, key, "true or false", found, error);
    *value = json_is_true(found);
    return LOAM_OK;
}

enum loam_status loam_json_get_string(const json_t *object, const char *name, const char *key,
                                      const char **value, struct loam_error *error)
{
    const json_t *found = present(object, key);
    if (found == NULL) return LOAM_OK;
    if (!json_is_string(found)) return wrong_type(name, key, "a string", found, error);
    *value = json_string_value(found);
    return LOAM_OK;
}

enum loam_status loam_json_append(struct loam_bytes *text, const json_t *value, struct loam_error *error)
{
    size_t size = json_dumpb(value, NULL, 0, JSON_COMPACT);
    if (size == 0) return loam_fail(error, LOAM_ERROR_MEMORY, "out of memory while writing JSON");
    LOAM_TRY(loam_bytes_reserve(text, text->size + size + 1, error));
    text->size += json_dumpb(value, text->data + text->size, size, JSON_COMPACT);
    text->data[text->size] = '\0';
    return LOAM_OK;
}
