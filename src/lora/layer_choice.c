#include "lora/layer_choice.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "base/json.h"

static const char layers_key[] = "layers_to_transform";
static const char names_key[] = "layers_pattern";

// ---- reading ----

static enum loam_status allocate_layers(struct loam_layer_choice *choice, size_t count,
                                        struct loam_error *error)
{
    choice->layers = loam_calloc(count, sizeof *choice->layers, error);
    return choice->layers != NULL ? LOAM_OK : LOAM_ERROR_MEMORY;
}

static enum loam_status add_layer(struct loam_layer_choice *choice, const json_t *value, const char *path,
                                  struct loam_error *error)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: \"%s\" must be the number of a layer, or a list of such numbers", path,
                         layers_key);
    choice->layers[choice->count++] = json_integer_value(value);
    return LOAM_OK;
}

static enum loam_status read_layers(struct loam_layer_choice *choice, const json_t *value, const char *path,
                                    struct loam_error *error)
{
    if (value == NULL || json_is_null(value)) return LOAM_OK;
    choice->is_number = !json_is_array(value);
    const size_t count = choice->is_number ? 1 : json_array_size(value);
    LOAM_TRY(allocate_layers(choice, count, error));
    if (choice->is_number) return add_layer(choice, value, path, error);
    for (size_t i = 0; i < count; i++)
        LOAM_TRY(add_layer(choice, json_array_get(value, i), path, error));
    return LOAM_OK;
}

// The name is compiled alone first: "a)|(b" is no expression, but would compile within the group.
static enum loam_status add_name(struct loam_layer_choice *choice, const char *text, struct loam_error *error)
{
    struct loam_targets alone;
    LOAM_TRY(loam_targets_init_pattern(&alone, text, error));
    loam_targets_deinit(&alone);
    char *whole = loam_format(error, "(?:.*\\.)?(?:%s)", text);
    if (whole == NULL) return LOAM_ERROR_MEMORY;
    struct loam_layer_name *name = &choice->names[choice->name_count];
    enum loam_status status = loam_targets_init_pattern(&name->where, whole, error);
    free(whole);
    if (status != LOAM_OK) return status;
    choice->name_count++;
    name->text = loam_strdup(text, error);
    return name->text != NULL ? LOAM_OK : LOAM_ERROR_MEMORY;
}

static enum loam_status allocate_names(struct loam_layer_choice *choice, size_t count,
                                       struct loam_error *error)
{
    choice->names = loam_calloc(count, sizeof *choice->names, error);
    return choice->names != NULL ? LOAM_OK : LOAM_ERROR_MEMORY;
}

// PEFT takes "" and [] as no name.
static enum loam_status read_names(struct loam_layer_choice *choice, const json_t *value, const char *path,
                                   struct loam_error *error)
{
    if (value == NULL || json_is_null(value)) return LOAM_OK;
    choice->is_text = !json_is_array(value);
    const size_t count = choice->is_text ? 1 : json_array_size(value);
    LOAM_TRY(allocate_names(choice, count, error));
    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(choice->is_text ? value : json_array_get(value, i));
        if (text == NULL)
            return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"%s\" must be a name or a list of names", path,
                             names_key);
        if (text[0] == '\0') continue;
        if (add_name(choice, text, error) != LOAM_OK)
            return loam_fail_prefix(error, "%s: \"%s\"", path, names_key);
    }
    return LOAM_OK;
}

enum loam_status loam_layer_choice_read(struct loam_layer_choice *choice, const json_t *root,
                                        const char *path, struct loam_error *error)
{
    *choice = (struct loam_layer_choice){0};
    enum loam_status status = read_layers(choice, json_object_get(root, layers_key), path, error);
    if (status == LOAM_OK) status = read_names(choice, json_object_get(root, names_key), path, error);
    if (status != LOAM_OK) loam_layer_choice_deinit(choice);
    return status;
}

// ---- parsing ----

static size_t count_entries(const char *text)
{
    size_t count = 1;
    for (; *text != '\0'; text++)
        count += *text == ',';
    return count;
}

static enum loam_status parse_layers(struct loam_layer_choice *choice, const char *text,
                                     struct loam_error *error)
{
    LOAM_TRY(allocate_layers(choice, count_entries(text), error));
    for (const char *at = text;; at++) {
        char *end;
        errno = 0;
        const int64_t layer = strtoll(at, &end, 10);
        if (end == at || errno != 0 || layer < 0 || (*end != ',' && *end != '\0'))
            return loam_fail(error, LOAM_ERROR_ARGUMENT,
                             "layers to transform \"%.200s\": expected numbers of layers, from 0, separated "
                             "by commas (--layers-to-transform)",
                             text);
        choice->layers[choice->count++] = layer;
        if (*end == '\0') return LOAM_OK;
        at = end;
    }
}

static enum loam_status parse_names(struct loam_layer_choice *choice, const char *text,
                                    struct loam_error *error)
{
    LOAM_TRY(allocate_names(choice, count_entries(text), error));
    for (;; text++) {
        const size_t size = strcspn(text, ",");
        if (size == 0)
            return loam_fail(
                error, LOAM_ERROR_ARGUMENT,
                "layers pattern: an empty name in the list; write names separated by single commas");
        char *name = loam_strndup(text, size, error);
        if (name == NULL) return LOAM_ERROR_MEMORY;
        enum loam_status status = add_name(choice, name, error);
        free(name);
        if (status != LOAM_OK) return status;
        text += size;
        if (*text == '\0') return LOAM_OK;
    }
}

enum loam_status loam_layer_choice_parse(struct loam_layer_choice *choice, const char *layers,
                                         const char *names, struct loam_error *error)
{
    *choice = (struct loam_layer_choice){0};
    enum loam_status status = LOAM_OK;
    if (layers == NULL && names != NULL)
        return loam_fail(
            error, LOAM_ERROR_ARGUMENT,
            "a layers pattern without layers to transform has no effect (--layers-to-transform)");
    if (layers != NULL) status = parse_layers(choice, layers, error);
    if (status == LOAM_OK && names != NULL) status = parse_names(choice, names, error);
    if (status != LOAM_OK) loam_layer_choice_deinit(choice);
    return status;
}

void loam_layer_choice_deinit(struct loam_layer_choice *choice)
{
    for (size_t i = 0; i < choice->name_count; i++) {
        free(choice->names[i].text);
        loam_targets_deinit(&choice->names[i].where);
    }
    free(choice->names);
    free(choice->layers);
    *choice = (struct loam_layer_choice){0};
}

// ---- matching ----

// Finds the first number of a path, followed by more of the path, whose path before it the name matches; NULL:
// after two components. `*layer` is -1 if there is none.
static enum loam_status find_layer(const struct loam_layer_name *name, const char *module, int64_t *layer,
                                   struct loam_error *error)
{
    int component = 0;
    *layer = -1;
    for (const char *at = module; at != NULL; component++) {
        const size_t digits = strspn(at, "0123456789");
        if (digits > 0 && at[digits] == '.' && component > 0) {
            bool follows = component > 1;
            if (name != NULL) {
                char *before = loam_strndup(module, (size_t)(at - module) - 1, error);
                if (before == NULL) return LOAM_ERROR_MEMORY;
                enum loam_status status = loam_targets_match(&name->where, before, &follows, error);
                free(before);
                if (status != LOAM_OK) return status;
            }
            if (follows) {
                *layer = strtoll(at, NULL, 10);
                return LOAM_OK;
            }
        }
        at = strchr(at, '.');
        if (at != NULL) at++;
    }
    return LOAM_OK;
}

enum loam_status loam_layer_choice_has(const struct loam_layer_choice *choice, const char *module, bool *has,
                                       struct loam_error *error)
{
    int64_t layer = -1;
    *has = choice->count == 0;
    if (*has) return LOAM_OK;
    if (choice->name_count == 0) LOAM_TRY(find_layer(NULL, module, &layer, error));
    for (size_t i = 0; i < choice->name_count && layer < 0; i++)
        LOAM_TRY(find_layer(&choice->names[i], module, &layer, error));
    for (size_t i = 0; i < choice->count && layer >= 0; i++)
        *has = *has || choice->layers[i] == layer;
    return LOAM_OK;
}

// ---- JSON ----

json_t *loam_layer_choice_layers_json(const struct loam_layer_choice *choice)
{
    if (choice->layers == NULL) return json_null();
    if (choice->is_number) return json_integer((json_int_t)choice->layers[0]);
    json_t *array = json_array();
    for (size_t i = 0; i < choice->count; i++)
        loam_json_push(&array, json_integer((json_int_t)choice->layers[i]));
    return array;
}

json_t *loam_layer_choice_names_json(const struct loam_layer_choice *choice)
{
    if (choice->name_count == 0) return json_null();
    if (choice->is_text) return json_string(choice->names[0].text);
    json_t *array = json_array();
    for (size_t i = 0; i < choice->name_count; i++)
        loam_json_push(&array, json_string(choice->names[i].text));
    return array;
}
