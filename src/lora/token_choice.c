#include "lora/token_choice.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "base/json.h"

static const char key[] = "trainable_token_indices";

// ---- lists ----

static enum loam_status start_list(struct loam_token_choice *choice, const char *module, size_t size,
                                   size_t most, struct loam_error *error)
{
    struct loam_token_list *list = &choice->lists[choice->count++];
    *list = (struct loam_token_list){0};
    if (module != NULL) {
        list->module = loam_strndup(module, size, error);
        if (list->module == NULL) return LOAM_ERROR_MEMORY;
    }
    list->tokens = loam_calloc(most, sizeof *list->tokens, error);
    return list->tokens != NULL ? LOAM_OK : LOAM_ERROR_MEMORY;
}

static enum loam_status add_token(struct loam_token_choice *choice, int64_t token, const char *path,
                                  struct loam_error *error)
{
    struct loam_token_list *list = &choice->lists[choice->count - 1];
    if (token < 0 || token > INT32_MAX)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"%s\" has %lld; expected the id of a token", path,
                         key, (long long)token);
    for (size_t i = 0; i < list->count; i++)
        if (list->tokens[i] == token)
            return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"%s\" has token %lld twice", path, key,
                             (long long)token);
    list->tokens[list->count++] = (int32_t)token;
    return LOAM_OK;
}

// ---- reading ----

static enum loam_status fail_kind(const char *path, struct loam_error *error)
{
    return loam_fail(error, LOAM_ERROR_FORMAT,
                     "%s: \"%s\" must be a list of token ids, or an object from module names to such lists",
                     path, key);
}

static enum loam_status read_list(struct loam_token_choice *choice, const char *module, const json_t *value,
                                  const char *path, struct loam_error *error)
{
    const size_t count = json_array_size(value);
    if (count == 0) return fail_kind(path, error);
    LOAM_TRY(start_list(choice, module, module == NULL ? 0 : strlen(module), count, error));
    for (size_t i = 0; i < count; i++) {
        const json_t *token = json_array_get(value, i);
        if (!json_is_integer(token)) return fail_kind(path, error);
        LOAM_TRY(add_token(choice, json_integer_value(token), path, error));
    }
    return LOAM_OK;
}

enum loam_status loam_token_choice_read(struct loam_token_choice *choice, const json_t *root,
                                        const char *path, struct loam_error *error)
{
    const json_t *value = json_object_get(root, key), *list;
    const char *module;
    if (value == NULL || json_is_null(value)) return LOAM_OK;
    if (json_is_array(value) ? json_array_size(value) == 0 : json_object_size(value) == 0)
        return json_is_array(value) || json_is_object(value) ? LOAM_OK : fail_kind(path, error);
    choice->lists =
        loam_calloc(json_is_array(value) ? 1 : json_object_size(value), sizeof *choice->lists, error);
    if (choice->lists == NULL) return LOAM_ERROR_MEMORY;
    if (json_is_array(value)) return read_list(choice, NULL, value, path, error);
    enum loam_status status = LOAM_OK;
    json_object_foreach((json_t *)value, module, list)
    {
        if (status == LOAM_OK) status = read_list(choice, module, list, path, error);
    }
    return status;
}

// ---- the option ----

static enum loam_status fail_text(const char *text, struct loam_error *error)
{
    return loam_fail(error, LOAM_ERROR_ARGUMENT,
                     "trained tokens \"%.100s\": expected ids such as 5,9, or modules with ids such as "
                     "embed_tokens=5,9;lm_head=7 (--trainable-token-indices)",
                     text);
}

// One list "5,9" of `size` characters.
static enum loam_status parse_list(struct loam_token_choice *choice, const char *module, size_t module_size,
                                   const char *text, size_t size, const char *whole, struct loam_error *error)
{
    LOAM_TRY(start_list(choice, module, module_size, size + 1, error));
    for (const char *at = text; at <= text + size;) {
        char *end;
        errno = 0;
        const long long token = strtoll(at, &end, 10);
        const bool ends = end == text + size;
        if (end == at || errno != 0 || (!ends && *end != ',') || *at < '0' || *at > '9')
            return fail_text(whole, error);
        LOAM_TRY(add_token(choice, token, "--trainable-token-indices", error));
        at = end + 1;
    }
    return LOAM_OK;
}

enum loam_status loam_token_choice_parse(struct loam_token_choice *choice, const char *text,
                                         struct loam_error *error)
{
    size_t lists = 1;
    if (text == NULL) return LOAM_OK;
    for (const char *c = text; *c != '\0'; c++)
        lists += *c == ';';
    choice->lists = loam_calloc(lists, sizeof *choice->lists, error);
    if (choice->lists == NULL) return LOAM_ERROR_MEMORY;
    for (const char *at = text;;) {
        const size_t size = strcspn(at, ";"), name = strcspn(at, "=;");
        const bool named = name < size;
        if (!named && lists > 1) return fail_text(text, error);
        const char *ids = named ? at + name + 1 : at;
        LOAM_TRY(parse_list(choice, named ? at : NULL, name, ids, (size_t)(at + size - ids), text, error));
        if (at[size] == '\0') return LOAM_OK;
        at += size + 1;
    }
}

void loam_token_choice_deinit(struct loam_token_choice *choice)
{
    for (size_t i = 0; i < choice->count; i++) {
        free(choice->lists[i].module);
        free(choice->lists[i].tokens);
    }
    free(choice->lists);
    *choice = (struct loam_token_choice){0};
}

bool loam_token_lists_equal(const struct loam_token_list *a, const struct loam_token_list *b)
{
    return a->count == b->count && memcmp(a->tokens, b->tokens, a->count * sizeof *a->tokens) == 0;
}

static json_t *list_json(const struct loam_token_list *list)
{
    json_t *array = json_array();
    for (size_t i = 0; i < list->count; i++)
        loam_json_push(&array, json_integer(list->tokens[i]));
    return array;
}

json_t *loam_token_choice_json(const struct loam_token_choice *choice)
{
    if (choice->count == 0) return json_null();
    if (choice->lists[0].module == NULL) return list_json(&choice->lists[0]);
    json_t *object = json_object();
    for (size_t i = 0; i < choice->count; i++)
        loam_json_put(&object, choice->lists[i].module, list_json(&choice->lists[i]));
    return object;
}
