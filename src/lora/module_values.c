#include "lora/module_values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"

// Compiles "(.*\.)?(KEY)" as PEFT does. The key is compiled alone first: "a)|(b" is no expression, but would
// compile within the group.
static enum loam_status compile_key(struct loam_module_value *item, const char *key, struct loam_error *error)
{
    struct loam_targets alone;
    LOAM_TRY(loam_targets_init_pattern(&alone, key, error));
    loam_targets_deinit(&alone);
    char *whole = loam_format(error, "(.*\\.)?(%s)", key);
    if (whole == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = loam_targets_init_pattern(&item->where, whole, error);
    free(whole);
    if (status != LOAM_OK) return status;
    item->key = loam_strdup(key, error);
    return item->key != NULL ? LOAM_OK : LOAM_ERROR_MEMORY;
}

static bool is_allowed(double value, double most, bool whole)
{
    return value > 0 && value <= most && (!whole || value == floor(value));
}

static enum loam_status add_value(struct loam_module_values *values, const char *key, const json_t *number,
                                  const char *path, const char *name, double most, bool whole,
                                  struct loam_error *error)
{
    double value = json_number_value(number);
    if (!json_is_number(number) || !is_allowed(value, most, whole) || (whole && !json_is_integer(number)))
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"%s\" of \"%s\": expected a%s number above 0%s",
                         path, key, name, whole ? " whole" : "", whole ? " that a layer can have" : "");
    struct loam_module_value *item = &values->items[values->count++];
    item->value = value;
    if (compile_key(item, key, error) != LOAM_OK) return loam_fail_prefix(error, "%s: \"%s\"", path, name);
    return LOAM_OK;
}

enum loam_status loam_module_values_read(struct loam_module_values *values, const json_t *root,
                                         const char *path, const char *name, double most, bool whole,
                                         struct loam_error *error)
{
    json_t *object = json_object_get(root, name);
    *values = (struct loam_module_values){0};
    if (object == NULL || json_is_null(object)) return LOAM_OK;
    if (!json_is_object(object))
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"%s\" must be an object of numbers", path, name);
    if (json_object_size(object) == 0) return LOAM_OK;
    values->items = loam_calloc(json_object_size(object), sizeof *values->items, error);
    if (values->items == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = LOAM_OK;
    const char *key;
    const json_t *number;
    json_object_foreach(object, key, number)
    {
        if (status == LOAM_OK) status = add_value(values, key, number, path, name, most, whole, error);
    }
    if (status != LOAM_OK) loam_module_values_deinit(values);
    return status;
}

// Finds the end of the entry at `text`, a comma or the end of the text behind "=N". `*equals` is the place of
// "="; NULL: there is none.
static const char *find_entry_end(const char *text, const char **equals, double *value)
{
    for (*equals = strchr(text, '='); *equals != NULL; *equals = strchr(*equals + 1, '=')) {
        char *end;
        *value = strtod(*equals + 1, &end);
        if (end > *equals + 1 && (*end == ',' || *end == '\0')) return end;
    }
    return text;
}

static enum loam_status parse_entries(struct loam_module_values *values, const char *text, const char *name,
                                      double most, bool whole, struct loam_error *error)
{
    for (;; text++) {
        const char *equals;
        double value = 0;
        const char *end = find_entry_end(text, &equals, &value);
        if (equals == NULL || equals == text || !is_allowed(value, most, whole))
            return loam_fail(error, LOAM_ERROR_ARGUMENT,
                             "%s \"%.200s\": expected MODULE=N with a%s number above 0%s, or several "
                             "separated by commas",
                             name, text, whole ? " whole" : "", whole ? " that a layer can have" : "");
        char *key = loam_strndup(text, (size_t)(equals - text), error);
        if (key == NULL) return LOAM_ERROR_MEMORY;
        struct loam_module_value *item = &values->items[values->count++];
        item->value = value;
        enum loam_status status = compile_key(item, key, error);
        free(key);
        if (status != LOAM_OK) return loam_fail_prefix(error, "%s", name);
        text = end;
        if (*text == '\0') return LOAM_OK;
    }
}

enum loam_status loam_module_values_parse(struct loam_module_values *values, const char *text,
                                          const char *name, double most, bool whole, struct loam_error *error)
{
    size_t most_entries = 1;
    for (const char *at = text; *at != '\0'; at++)
        most_entries += *at == ',';
    *values = (struct loam_module_values){0};
    values->items = loam_calloc(most_entries, sizeof *values->items, error);
    if (values->items == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = parse_entries(values, text, name, most, whole, error);
    if (status != LOAM_OK) loam_module_values_deinit(values);
    return status;
}

void loam_module_values_deinit(struct loam_module_values *values)
{
    for (size_t i = 0; i < values->count; i++) {
        free(values->items[i].key);
        loam_targets_deinit(&values->items[i].where);
    }
    free(values->items);
    *values = (struct loam_module_values){0};
}

enum loam_status loam_module_values_index(const struct loam_module_values *values, const char *module,
                                          size_t *index, struct loam_error *error)
{
    for (size_t i = 0; i < values->count; i++) {
        bool matches = false;
        LOAM_TRY(loam_targets_match(&values->items[i].where, module, &matches, error));
        if (!matches) continue;
        *index = i;
        return LOAM_OK;
    }
    return LOAM_OK;
}

enum loam_status loam_module_values_find(const struct loam_module_values *values, const char *module,
                                         double *value, struct loam_error *error)
{
    size_t index = values->count;
    LOAM_TRY(loam_module_values_index(values, module, &index, error));
    if (index < values->count) *value = values->items[index].value;
    return LOAM_OK;
}

json_t *loam_module_values_json(const struct loam_module_values *values)
{
    json_t *object = json_object();
    for (size_t i = 0; i < values->count; i++) {
        double value = values->items[i].value;
        bool whole = value == floor(value) && value < 1e15;
        json_t *number = whole ? json_integer((json_int_t)value) : json_real(value);
        if (json_object_set_new(object, values->items[i].key, number) == 0) continue;
        json_decref(object);
        return NULL;
    }
    return object;
}
