#include "text/part.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap.h"

static enum loam_status fail_unknown_type(const struct loam_part_table *table, const char *type,
                                          const char *name, struct loam_error *error)
{
    struct loam_bytes known = {0};
    enum loam_status status = LOAM_OK;
    for (size_t i = 0; i < table->count && status == LOAM_OK; i++)
        status = loam_bytes_format(&known, error, "%s, ", table->kinds[i].type);
    if (status == LOAM_OK)
        status = loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                           "%s: %s \"%.80s\" is not supported; loam knows %sSequence", name, table->noun,
                           type, known.data);
    loam_bytes_deinit(&known);
    return status;
}

static enum loam_status parse_sequence(const struct loam_part_table *table, const json_t *part,
                                       const char *name, void *target, struct loam_error *error)
{
    const json_t *parts = json_object_get(part, table->sequence);
    if (!json_is_array(parts))
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"%s\" must be an array", name, table->sequence);
    for (size_t i = 0; i < json_array_size(parts); i++) {
        char *item_name = loam_format(error, "%s.%s[%zu]", name, table->sequence, i);
        if (item_name == NULL) return LOAM_ERROR_MEMORY;
        const json_t *item = json_array_get(parts, i);
        enum loam_status status = json_is_null(item) ? loam_fail(error, LOAM_ERROR_FORMAT,
                                                                 "%s: must be an object, not null", item_name)
                                                     : loam_part_parse(table, item, item_name, target, error);
        free(item_name);
        if (status != LOAM_OK) return status;
    }
    return LOAM_OK;
}

enum loam_status loam_part_parse(const struct loam_part_table *table, const json_t *part, const char *name,
                                 void *target, struct loam_error *error)
{
    if (part == NULL || json_is_null(part)) return LOAM_OK;
    if (!json_is_object(part))
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: must be an object or null", name);
    const char *type = NULL;
    LOAM_TRY(loam_json_get_string(part, name, "type", &type, error));
    if (type == NULL) return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"type\" is missing", name);
    if (strcmp(type, "Sequence") == 0) return parse_sequence(table, part, name, target, error);
    for (size_t i = 0; i < table->count; i++) {
        if (strcmp(type, table->kinds[i].type) == 0) return table->kinds[i].parse(part, name, target, error);
    }
    return fail_unknown_type(table, type, name, error);
}

static enum loam_status fail_field(const char *name, const char *key, const char *wanted,
                                   struct loam_error *error)
{
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"%s\" must be %s", name, key, wanted);
}

enum loam_status loam_part_bool(const json_t *part, const char *name, const char *key, bool *value,
                                struct loam_error *error)
{
    const json_t *found = json_object_get(part, key);
    if (!json_is_boolean(found)) return fail_field(name, key, "true or false", error);
    *value = json_is_true(found);
    return LOAM_OK;
}

enum loam_status loam_part_text(const json_t *part, const char *name, const char *key,
                                struct loam_bytes *value, struct loam_error *error)
{
    const json_t *found = json_object_get(part, key);
    if (!json_is_string(found)) return fail_field(name, key, "a string", error);
    return loam_bytes_append(value, json_string_value(found), json_string_length(found), error);
}

enum loam_status loam_part_choice(const json_t *part, const char *name, const char *key,
                                  const char *const *choices, size_t count, int *index,
                                  struct loam_error *error)
{
    const char *value = NULL;
    LOAM_TRY(loam_json_get_string(part, name, key, &value, error));
    if (value == NULL) return LOAM_OK;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(value, choices[i]) != 0) continue;
        *index = (int)i;
        return LOAM_OK;
    }
    return loam_fail(error, LOAM_ERROR_UNSUPPORTED, "%s: \"%s\" is \"%.80s\", which is not supported", name,
                     key, value);
}

enum loam_status loam_part_pattern(const json_t *part, const char *name, struct loam_pattern *pattern,
                                   struct loam_error *error)
{
    const json_t *object = json_object_get(part, "pattern");
    const json_t *text = json_object_get(object, "String");
    const json_t *expression = json_object_get(object, "Regex");
    if (json_is_string(text))
        return loam_pattern_init_literal(pattern, json_string_value(text), json_string_length(text), error);
    if (json_is_string(expression))
        return loam_pattern_init_regex(pattern, json_string_value(expression), json_string_length(expression),
                                       name, error);
    return fail_field(name, "pattern", "{\"String\": text} or {\"Regex\": expression}", error);
}
