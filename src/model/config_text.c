#include "model/config_text.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "io/atomic.h"
#include "model/config_parts.h"

enum { CONFIG_LIMIT = 1 << 24 }; // bytes of a config.json

static const char *const dtype_values[] = {
    [LOAM_F32] = "\"float32\"", [LOAM_F16] = "\"float16\"", [LOAM_BF16] = "\"bfloat16\""};

// A string, from its opening quote on: the place after its closing one.
static size_t skip_string(const char *text, size_t size, size_t at)
{
    for (at++; at < size && text[at] != '"'; at++)
        at += text[at] == '\\';
    return at < size ? at + 1 : size;
}

static size_t skip_blanks(const char *text, size_t size, size_t at)
{
    while (at < size && memchr(" \t\r\n", text[at], 4) != NULL)
        at++;
    return at;
}

// Where a value ends: a string, a word or number, an object or array.
static size_t skip_value(const char *text, size_t size, size_t at)
{
    int depth = 0;
    while (at < size) {
        const char c = text[at];
        if (depth == 0 && memchr(" \t\r\n,}]", c, 7) != NULL) return at;
        if (c == '"')
            at = skip_string(text, size, at);
        else
            at++;
        depth += c == '{' || c == '[';
        depth -= c == '}' || c == ']';
    }
    return at;
}

// The names of a value in the outermost object; NULL: no second one.
struct names {
    const char *added; // where none is there
    const char *other;
};
static const struct names dtype_names = {"torch_dtype", "dtype"}, tied_names = {"tie_word_embeddings", NULL};

// `string` has its quotes.
static bool is_name(const struct names *names, const char *string, size_t size)
{
    const char *const keys[] = {names->added, names->other};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0] && keys[i] != NULL; i++)
        if (strlen(keys[i]) + 2 == size && memcmp(keys[i], string + 1, size - 2) == 0) return true;
    return false;
}

// Copies the document with `value` in the place of each value of these names.
static enum loam_status replace(struct loam_bytes *out, const char *text, size_t size,
                                const struct names *names, const char *value, bool *found,
                                struct loam_error *error)
{
    int depth = 0;
    size_t copied = 0;
    for (size_t at = 0; at < size;) {
        if (text[at] != '"') {
            depth += text[at] == '{' || text[at] == '[';
            depth -= text[at] == '}' || text[at] == ']';
            at++;
            continue;
        }
        size_t end = skip_string(text, size, at);
        size_t colon = skip_blanks(text, size, end);
        bool is_key = depth == 1 && colon < size && text[colon] == ':';
        if (is_key && is_name(names, text + at, end - at)) {
            size_t begin = skip_blanks(text, size, colon + 1);
            LOAM_TRY(loam_bytes_append(out, text + copied, begin - copied, error));
            LOAM_TRY(loam_bytes_append_text(out, value, error));
            copied = end = skip_value(text, size, begin);
            *found = true;
        }
        at = end;
    }
    return loam_bytes_append(out, text + copied, size - copied, error);
}

static enum loam_status set(struct loam_bytes *out, const char *text, size_t size, const struct names *names,
                            const char *value, struct loam_error *error)
{
    bool found = false;
    size_t start = out->size;
    LOAM_TRY(replace(out, text, size, names, value, &found, error));
    if (found) return LOAM_OK;
    const char *brace = memchr(text, '{', size);
    if (brace == NULL) return loam_fail(error, LOAM_ERROR_FORMAT, "config.json is no JSON object");
    size_t head = (size_t)(brace - text) + 1;
    out->size = start;
    LOAM_TRY(loam_bytes_append(out, text, head, error));
    LOAM_TRY(loam_bytes_format(out, error, "\n  \"%s\": %s,", names->added, value));
    return loam_bytes_append(out, text + head, size - head, error);
}

enum loam_status loam_config_set_dtype(struct loam_bytes *out, const char *text, size_t size,
                                       enum loam_dtype dtype, struct loam_error *error)
{
    return set(out, text, size, &dtype_names, dtype_values[dtype], error);
}

enum loam_status loam_config_set_untied(struct loam_bytes *out, const char *text, size_t size,
                                        struct loam_error *error)
{
    return set(out, text, size, &tied_names, "false", error);
}

// ---- the file ----

// Whether the document ties the head, by the defaults of its family.
static enum loam_status is_tied(const struct loam_bytes *text, const char *path, bool *tied,
                                struct loam_error *error)
{
    json_t *root = NULL;
    struct loam_config declared;
    LOAM_TRY(loam_json_parse(&root, text->data, text->size, path, error));
    enum loam_status status = loam_config_parse(&declared, root, path, error);
    json_decref(root);
    *tied = declared.tied_head;
    return status;
}

// Sizes that the text part leaves to their defaults.
static int add_sizes(json_t *text, const struct loam_config *config)
{
    int failed = 0;
    for (size_t i = 0; i < config->family->key_count; i++) {
        const struct loam_config_key *key = &config->family->keys[i];
        int64_t size;
        if (!key->required || json_object_get(text, key->names[0]) != NULL) continue;
        memcpy(&size, (const char *)config + key->offset, sizeof size);
        failed = failed || json_object_set_new(text, key->names[0], json_integer(size)) != 0;
    }
    return failed;
}

// The document of the text part of a multimodal model, which `root` describes.
static enum loam_status make_text_part(json_t *root, const char *path, struct loam_bytes *out,
                                       struct loam_error *error)
{
    struct loam_config config;
    json_t *text = NULL;
    LOAM_TRY(loam_config_parse(&config, root, path, error));
    if (config.multimodal == NULL)
        return loam_fail(error, LOAM_ERROR_INTERNAL, "%s describes no multimodal model", path);
    LOAM_TRY(loam_config_text_part(config.multimodal, root, path, &text, error));
    int failed = json_object_set_new(text, "architectures", json_pack("[s]", config.family->architecture));
    failed = failed || json_object_set_new(text, "tie_word_embeddings", json_boolean(config.tied_head)) != 0;
    failed = failed || add_sizes(text, &config) != 0;
    char *printed = failed ? NULL : json_dumps(text, JSON_INDENT(2));
    json_decref(text);
    if (printed == NULL) return loam_fail(error, LOAM_ERROR_MEMORY, "%s: out of memory", path);
    enum loam_status status = loam_bytes_append_text(out, printed, error);
    free(printed);
    return status;
}

// Replaces the document of a multimodal model by that of its text part.
static enum loam_status take_text_part(struct loam_bytes *text, const char *path,
                                       const struct loam_config *config, struct loam_error *error)
{
    struct loam_bytes part = {0};
    json_t *root = NULL;
    if (config->multimodal == NULL) return LOAM_OK;
    LOAM_TRY(loam_json_parse(&root, text->data, text->size, path, error));
    const enum loam_status status = make_text_part(root, path, &part, error);
    json_decref(root);
    if (status == LOAM_OK) {
        loam_bytes_deinit(text);
        *text = part;
        return LOAM_OK;
    }
    loam_bytes_deinit(&part);
    return status;
}

static enum loam_status change(const char *path, const struct loam_config *config, enum loam_dtype dtype,
                               struct loam_bytes *text, struct loam_bytes *changed, struct loam_error *error)
{
    bool tied = false;
    LOAM_TRY(loam_file_read(path, CONFIG_LIMIT, text, error));
    LOAM_TRY(take_text_part(text, path, config, error));
    LOAM_TRY(is_tied(text, path, &tied, error));
    if (tied && !config->tied_head) {
        LOAM_TRY(loam_config_set_untied(changed, text->data, text->size, error));
        loam_bytes_deinit(text);
        *text = *changed;
        *changed = (struct loam_bytes){0};
    }
    if (dtype == LOAM_DTYPE_NONE) return loam_bytes_append(changed, text->data, text->size, error);
    return loam_config_set_dtype(changed, text->data, text->size, dtype, error);
}

enum loam_status loam_config_rewrite(const char *directory, const struct loam_config *config,
                                     enum loam_dtype dtype, struct loam_error *error)
{
    char *path = loam_path_join(directory, "config.json", error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    struct loam_bytes text = {0}, changed = {0};
    enum loam_status status = change(path, config, dtype, &text, &changed, error);
    if (status == LOAM_OK) status = loam_atomic_write_file(path, changed.data, changed.size, error);
    loam_bytes_deinit(&changed);
    loam_bytes_deinit(&text);
    free(path);
    return status;
}
