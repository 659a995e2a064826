#include "chat/source.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/heap.h"
#include "base/json.h"
#include "chat/source_gguf.h"

enum { TEMPLATE_SIZE = 16 << 20 }; // bytes of a template's file
static const char tool_use[] = "tool_use";

const char loam_chat_source_file[] = "chat_template.jinja";

struct search {
    const char *directory;
    const char *name;       // NULL: the model's own
    bool has_tools;         // a template named tool_use stands before the others
    bool only_tools;        // there may be none
    json_t *config;         // tokenizer_config.json; NULL: the file does not exist
    struct loam_bytes text; // of the template that was found
    char *origin;           // NULL: none was found
};

static enum loam_status load_config(struct search *search, struct loam_error *error)
{
    char *path = loam_path_join(search->directory, "tokenizer_config.json", error);
    if (path == NULL) return loam_failure(error);
    enum loam_status status = loam_file_exists(path) ? loam_json_load(&search->config, path, error) : LOAM_OK;
    free(path);
    return status;
}

// Reads a file if it exists and remembers it as the origin.
static enum loam_status read_file(struct search *search, const char *directory, const char *name,
                                  struct loam_error *error)
{
    char *path = directory == NULL ? loam_strdup(name, error) : loam_path_join(directory, name, error);
    if (path == NULL) return loam_failure(error);
    if (!loam_file_exists(path)) {
        free(path);
        return LOAM_OK;
    }
    search->origin = path;
    return loam_file_read(path, TEMPLATE_SIZE, &search->text, error);
}

static enum loam_status read_additional(struct search *search, const char *name, struct loam_error *error)
{
    char *file =
        strchr(name, '/') != NULL ? NULL : loam_format(error, "additional_chat_templates/%s.jinja", name);
    if (file == NULL) return strchr(name, '/') != NULL ? LOAM_OK : loam_failure(error);
    enum loam_status status = read_file(search, search->directory, file, error);
    free(file);
    return status;
}

static enum loam_status take_text(struct search *search, const json_t *text, const char *name,
                                  struct loam_error *error)
{
    search->origin = name == NULL ? loam_format(error, "%s/tokenizer_config.json", search->directory)
                                  : loam_format(error, "%s/tokenizer_config.json, template \"%s\"",
                                                search->directory, name);
    if (search->origin == NULL) return loam_failure(error);
    if (!json_is_string(text))
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: the template must be a string", search->origin);
    return loam_bytes_append(&search->text, json_string_value(text), json_string_length(text), error);
}

// Takes a named template out of the list in tokenizer_config.json, if it is there.
static enum loam_status take_named(struct search *search, const char *name, struct loam_error *error)
{
    const json_t *list = json_object_get(search->config, "chat_template");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *entry = json_array_get(list, i);
        const char *found = json_string_value(json_object_get(entry, "name"));
        if (found != NULL && strcmp(found, name) == 0)
            return take_text(search, json_object_get(entry, "template"), name, error);
    }
    return LOAM_OK;
}

static enum loam_status take_model_template(struct search *search, const char *name, struct loam_error *error)
{
    LOAM_TRY(read_additional(search, name, error));
    return search->origin == NULL ? take_named(search, name, error) : LOAM_OK;
}

// The template that transformers takes without a name. Files stand before tokenizer_config.json.
static enum loam_status take_default(struct search *search, struct loam_error *error)
{
    const json_t *text = json_object_get(search->config, "chat_template");
    if (search->origin == NULL) LOAM_TRY(read_file(search, search->directory, loam_chat_source_file, error));
    const bool is_one = text != NULL && !json_is_null(text) && !json_is_array(text);
    if (search->origin == NULL && is_one) LOAM_TRY(take_text(search, text, NULL, error));
    if (search->origin == NULL) LOAM_TRY(take_model_template(search, "default", error));
    if (search->origin != NULL) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                     "%s has no chat template: neither chat_template.jinja nor a template named default in "
                     "tokenizer_config.json. Name one of chatml, llama3, gemma, mistral, phi, zephyr, "
                     "alpaca, vicuna, or a "
                     "file",
                     search->directory);
}

static enum loam_status take_builtin(struct search *search, const struct loam_chat_builtin *builtin,
                                     struct loam_error *error)
{
    search->origin = loam_strdup(builtin->name, error);
    if (search->origin == NULL) return loam_failure(error);
    return loam_bytes_append_text(&search->text, builtin->text, error);
}

static enum loam_status take_by_name(struct search *search, const char **end, struct loam_error *error)
{
    LOAM_TRY(take_model_template(search, search->name, error));
    if (search->origin != NULL) return LOAM_OK;
    const struct loam_chat_builtin *builtin = loam_chat_builtin_find(search->name);
    if (builtin != NULL) {
        *end = builtin->end;
        return take_builtin(search, builtin, error);
    }
    LOAM_TRY(loam_chat_source_gguf(search->name, search->has_tools, &search->text, &search->origin, error));
    if (search->origin == NULL) LOAM_TRY(read_file(search, NULL, search->name, error));
    if (search->origin != NULL) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_USAGE,
                     "no chat template \"%s\": it is no template of %s, none of chatml, llama3, gemma, "
                     "mistral, phi, zephyr, "
                     "alpaca, vicuna, and no file",
                     search->name, search->directory);
}

// ---- Variables ----

// The text of a special token: a string, or an object with "content".
static const char *token_text(const json_t *token)
{
    return json_string_value(json_is_object(token) ? json_object_get(token, "content") : token);
}

static enum loam_status read_tokens(const struct search *search, json_t **variables, struct loam_error *error)
{
    static const char *const names[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                        "pad_token", "cls_token", "mask_token"};
    const json_t *extra = json_object_get(search->config, "extra_special_tokens");
    const char *key;
    json_t *token;
    *variables = json_object();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *text = token_text(json_object_get(search->config, names[i]));
        if (text != NULL) loam_json_put(variables, names[i], json_string(text));
    }
    json_object_foreach((json_t *)(uintptr_t)extra, key,
                        token) // of an object; jansson's macro takes no const
        if (token_text(token) != NULL) loam_json_put(variables, key, json_string(token_text(token)));
    if (*variables == NULL) return loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: special tokens");
    return LOAM_OK;
}

static enum loam_status take(struct search *search, const char **end, struct loam_error *error)
{
    if (search->name != NULL) return take_by_name(search, end, error);
    if (search->has_tools) LOAM_TRY(take_model_template(search, tool_use, error));
    return search->origin == NULL && !search->only_tools ? take_default(search, error) : LOAM_OK;
}

// The end of a turn of the built-in template that the text is, as an adapter's file may have it.
static const char *find_end(const struct search *search)
{
    const struct loam_chat_builtin *builtin;
    for (size_t i = 0; (builtin = loam_chat_builtin_at(i)) != NULL; i++)
        if (strlen(builtin->text) == search->text.size &&
            memcmp(builtin->text, search->text.data, search->text.size) == 0)
            return builtin->end;
    return NULL;
}

static enum loam_status find(struct search *search, struct loam_chat_source *source, struct loam_error *error)
{
    LOAM_TRY(load_config(search, error));
    LOAM_TRY(take(search, &source->end, error));
    if (search->origin == NULL) return LOAM_OK;
    if (source->end == NULL) source->end = find_end(search);
    LOAM_TRY(read_tokens(search, &source->variables, error));
    return loam_chat_template_parse(&source->chat_template, search->text.data, search->text.size,
                                    search->origin, error);
}

static enum loam_status search_source(struct search *search, struct loam_chat_source *source,
                                      struct loam_error *error)
{
    *source = (struct loam_chat_source){0};
    enum loam_status status = find(search, source, error);
    source->origin = search->origin;
    source->text = search->text;
    json_decref(search->config);
    if (status != LOAM_OK) loam_chat_source_deinit(source);
    return status;
}

// Remembers why the template of conversations with tools does not open: others do not need it.
static enum loam_status refuse_tools(struct loam_chat_source *source, const struct loam_error *refusal,
                                     struct loam_error *error)
{
    if (refusal->status == LOAM_ERROR_MEMORY)
        return loam_fail(error, refusal->status, "%s", refusal->message);
    source->tools_refusal = loam_calloc(1, sizeof *source->tools_refusal, error);
    if (source->tools_refusal == NULL) return LOAM_ERROR_MEMORY;
    *source->tools_refusal = *refusal;
    return LOAM_OK;
}

// Adds the model's template of conversations with tools.
static enum loam_status add_tools(struct loam_chat_source *source, const char *model_directory,
                                  struct loam_error *error)
{
    struct loam_error refusal = {.status = LOAM_OK};
    struct search search = {.directory = model_directory, .has_tools = true, .only_tools = true};
    source->for_tools = loam_calloc(1, sizeof *source->for_tools, error);
    if (source->for_tools == NULL) return LOAM_ERROR_MEMORY;
    const enum loam_status status = search_source(&search, source->for_tools, &refusal);
    source->for_tools->is_for_tools = true;
    if (source->for_tools->chat_template != NULL) return LOAM_OK;
    loam_chat_source_deinit(source->for_tools);
    free(source->for_tools);
    source->for_tools = NULL;
    return status == LOAM_OK ? LOAM_OK : refuse_tools(source, &refusal, error);
}

enum loam_status loam_chat_source_find(struct loam_chat_source *source, const char *model_directory,
                                       const char *name, bool has_tools, struct loam_error *error)
{
    LOAM_ENSURE_ERROR(error);
    struct search search = {.directory = model_directory, .name = name, .has_tools = has_tools};
    LOAM_TRY(search_source(&search, source, error));
    if (name != NULL || has_tools) return LOAM_OK;
    const enum loam_status status = add_tools(source, model_directory, error);
    if (status != LOAM_OK) loam_chat_source_deinit(source);
    return status;
}

enum loam_status loam_chat_source_choose(const struct loam_chat_source *source, const json_t *tools,
                                         const struct loam_chat_source **chosen, struct loam_error *error)
{
    const bool has_tools = tools != NULL && !json_is_null(tools);
    *chosen = has_tools && source->for_tools != NULL ? source->for_tools : source;
    if (!has_tools || source->tools_refusal == NULL) return LOAM_OK;
    return loam_fail(error, source->tools_refusal->status, "the template of conversations with tools: %s",
                     source->tools_refusal->message);
}

void loam_chat_source_deinit(struct loam_chat_source *source)
{
    loam_chat_template_destroy(source->chat_template);
    json_decref(source->variables);
    loam_bytes_deinit(&source->text);
    free(source->origin);
    free(source->tools_refusal);
    if (source->for_tools != NULL) loam_chat_source_deinit(source->for_tools);
    free(source->for_tools);
    *source = (struct loam_chat_source){0};
}

// Whether the file of the directory has this text.
static enum loam_status has_text(const char *directory, const struct loam_bytes *text, bool *same,
                                 struct loam_error *error)
{
    struct search other = {0};
    enum loam_status status = read_file(&other, directory, loam_chat_source_file, error);
    *same = other.origin != NULL && other.text.size == text->size &&
            (text->size == 0 || memcmp(other.text.data, text->data, text->size) == 0);
    loam_bytes_deinit(&other.text);
    free(other.origin);
    return status;
}

enum loam_status loam_chat_source_of_adapter(const char *model_directory, const char *adapter_directory,
                                             char **path, struct loam_error *error)
{
    LOAM_ENSURE_ERROR(error);
    struct search found = {0};
    bool same = true;
    *path = NULL;
    enum loam_status status = read_file(&found, adapter_directory, loam_chat_source_file, error);
    if (status == LOAM_OK && found.origin != NULL)
        status = has_text(model_directory, &found.text, &same, error);
    loam_bytes_deinit(&found.text);
    if (status == LOAM_OK && !same)
        *path = found.origin;
    else
        free(found.origin);
    return status;
}
