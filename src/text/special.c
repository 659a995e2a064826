#include "text/special.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/grow.h"
#include "base/heap.h"
#include "base/json.h"
#include "text/tokenizer_parts.h"

// The files that name special tokens; NULL: the file does not exist.
struct sources {
    json_t *tokenizer;  // tokenizer_config.json
    json_t *map;        // special_tokens_map.json
    json_t *generation; // generation_config.json
    json_t *model;      // config.json
};

static enum loam_status load_file(json_t **root, const char *directory, const char *name,
                                  struct loam_error *error)
{
    char *path = loam_path_join(directory, name, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = loam_file_exists(path) ? loam_json_load(root, path, error) : LOAM_OK;
    free(path);
    return status;
}

static enum loam_status load_all(struct sources *sources, const char *directory, struct loam_error *error)
{
    LOAM_TRY(load_file(&sources->tokenizer, directory, "tokenizer_config.json", error));
    LOAM_TRY(load_file(&sources->map, directory, "special_tokens_map.json", error));
    LOAM_TRY(load_file(&sources->generation, directory, "generation_config.json", error));
    return load_file(&sources->model, directory, "config.json", error);
}

static void release_sources(struct sources *sources)
{
    json_decref(sources->tokenizer);
    json_decref(sources->map);
    json_decref(sources->generation);
    json_decref(sources->model);
}

// The id that a key of added_tokens_decoder spells; -1: none.
static int32_t parse_id(const char *text)
{
    char *end;
    errno = 0;
    long id = strtol(text, &end, 10);
    return end == text || *end != '\0' || errno != 0 || id < 0 || id >= LOAM_MAX_VOCABULARY ? -1
                                                                                            : (int32_t)id;
}

// The id of a token in the added_tokens_decoder of tokenizer_config.json; -1: none.
static int32_t find_in_decoder(const json_t *tokenizer_config, const char *content)
{
    json_t *decoder = json_object_get(tokenizer_config, "added_tokens_decoder");
    const char *key;
    json_t *token;
    json_object_foreach(decoder, key, token)
    {
        const char *text = json_string_value(json_object_get(token, "content"));
        if (text != NULL && strcmp(text, content) == 0) return parse_id(key);
    }
    return -1;
}

// Reads the text of the token under `key`: a string, or an object with "content". *text is unchanged if the
// key is absent or null.
static enum loam_status read_text(const json_t *source, const char *name, const char *key, const char **text,
                                  struct loam_error *error)
{
    const json_t *value = json_object_get(source, key);
    if (json_is_object(value)) value = json_object_get(value, "content");
    if (value == NULL || json_is_null(value)) return LOAM_OK;
    if (!json_is_string(value))
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: \"%s\" must be a string or an object with \"content\"", name, key);
    *text = json_string_value(value);
    return LOAM_OK;
}

// Finds the id of the token under `key` in tokenizer_config.json, else in special_tokens_map.json. Where the
// text is not a token, *id stays -1 and `note` gets a message.
static enum loam_status find_by_text(const struct sources *sources, const char *key,
                                     const struct loam_tokenizer *tokenizer, int32_t *id, const char **text,
                                     char note[160], struct loam_error *error)
{
    const struct {
        const json_t *root;
        const char *name;
    } files[] = {{sources->tokenizer, "tokenizer_config.json"}, {sources->map, "special_tokens_map.json"}};
    for (size_t i = 0; i < sizeof files / sizeof *files && *id < 0; i++) {
        *text = NULL;
        LOAM_TRY(read_text(files[i].root, files[i].name, key, text, error));
        if (*text == NULL) continue;
        *id = loam_tokenizer_token_to_id(tokenizer, *text);
        if (*id < 0) *id = find_in_decoder(sources->tokenizer, *text);
        if (*id < 0)
            snprintf(note, 160, "%s names \"%.40s\", which is not a token of tokenizer.json", files[i].name,
                     *text);
    }
    return LOAM_OK;
}

bool loam_special_tokens_is_stop(const struct loam_special_tokens *special, int32_t id)
{
    for (size_t i = 0; i < special->eos_count; i++)
        if (special->eos_ids[i] == id) return true;
    return false;
}

// Appends an id to the stop ids unless they have it.
static enum loam_status add_stop(struct loam_special_tokens *special, int32_t id, size_t *capacity,
                                 struct loam_error *error)
{
    if (loam_special_tokens_is_stop(special, id)) return LOAM_OK;
    int32_t *grown = loam_grow(special->eos_ids, capacity, special->eos_count + 1, sizeof *grown, error);
    if (grown == NULL) return LOAM_ERROR_MEMORY;
    special->eos_ids = grown;
    special->eos_ids[special->eos_count++] = id;
    return LOAM_OK;
}

// Reads one id. A negative id, as in old files, means none.
static enum loam_status read_id(const json_t *value, const char *name, const char *key, int32_t *id,
                                struct loam_error *error)
{
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number > INT32_MAX)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"%s\" must be a token id or a list of them", name,
                         key);
    *id = number < 0 ? -1 : (int32_t)number;
    return LOAM_OK;
}

// Adds every id under eos_token_id to the stop ids. The first that the tokenizer has becomes `eos` if that
// is not set.
static enum loam_status add_stops(struct loam_special_tokens *special, const json_t *source, const char *name,
                                  const struct loam_tokenizer *tokenizer, size_t *capacity,
                                  struct loam_error *error)
{
    static const char key[] = "eos_token_id";
    const json_t *value = json_object_get(source, key);
    if (value == NULL || json_is_null(value)) return LOAM_OK;
    size_t count = json_is_array(value) ? json_array_size(value) : 1;
    for (size_t i = 0; i < count; i++) {
        int32_t id = -1;
        LOAM_TRY(read_id(json_is_array(value) ? json_array_get(value, i) : value, name, key, &id, error));
        if (id < 0) continue;
        bool known = loam_tokenizer_id_to_token(tokenizer, id) != NULL;
        if (special->eos < 0 && known) special->eos = id;
        if (!known && special->note[0] == '\0')
            snprintf(special->note, sizeof special->note,
                     "%s gives %s %d, which is not a token of tokenizer.json", name, key, (int)id);
        LOAM_TRY(add_stop(special, id, capacity, error));
    }
    return LOAM_OK;
}

static enum loam_status find_bos(struct loam_special_tokens *special, const json_t *source, const char *name,
                                 const struct loam_tokenizer *tokenizer, struct loam_error *error)
{
    const json_t *value = json_object_get(source, "bos_token_id");
    if (special->bos >= 0 || value == NULL || json_is_null(value)) return LOAM_OK;
    int32_t id = -1;
    LOAM_TRY(read_id(value, name, "bos_token_id", &id, error));
    if (id >= 0 && loam_tokenizer_id_to_token(tokenizer, id) != NULL) special->bos = id;
    return LOAM_OK;
}

// Whether the post-processor adds the token before (else after) the text.
static bool has_in_template(const struct loam_postprocessor *processor, int32_t id, bool before)
{
    bool text_passed = false;
    for (size_t i = 0; i < processor->piece_count; i++) {
        if (processor->pieces[i] == LOAM_POST_TEXT)
            text_passed = true;
        else if (processor->pieces[i] == id && text_passed != before)
            return true;
    }
    return false;
}

// Sets the text of EOS from tokenizer.json, else from the file that names EOS.
static enum loam_status set_eos_text(struct loam_special_tokens *special, const char *named,
                                     const struct loam_tokenizer *tokenizer, struct loam_error *error)
{
    if (special->eos < 0) return LOAM_OK;
    special->eos_text = loam_tokenizer_id_to_token(tokenizer, special->eos);
    if (special->eos_text != NULL && special->eos_text[0] != '\0') return LOAM_OK;
    special->eos_text = special->text =
        loam_strdup(named != NULL && named[0] != '\0' ? named : "</s>", error);
    return special->text != NULL ? LOAM_OK : LOAM_ERROR_MEMORY;
}

// The object of config.json that has a key: the root or, in a multimodal model, its text part.
static const json_t *holder_of(const json_t *root, const char *key)
{
    const json_t *text = json_object_get(root, "text_config");
    const bool given = json_object_get(root, key) != NULL && !json_is_null(json_object_get(root, key));
    return given || text == NULL ? root : text;
}

static enum loam_status find_eos(struct loam_special_tokens *special, const struct sources *sources,
                                 const struct loam_tokenizer *tokenizer, struct loam_error *error)
{
    static const char generation_file[] = "generation_config.json";
    const char *text = NULL;
    size_t capacity = 0;
    LOAM_TRY(find_by_text(sources, "eos_token", tokenizer, &special->eos, &text, special->note, error));
    if (special->eos >= 0) LOAM_TRY(add_stop(special, special->eos, &capacity, error));
    // eos_token_id of generation_config.json replaces that of config.json.
    const json_t *stops = json_object_get(sources->generation, "eos_token_id");
    if (stops != NULL && !json_is_null(stops))
        LOAM_TRY(add_stops(special, sources->generation, generation_file, tokenizer, &capacity, error));
    else
        LOAM_TRY(add_stops(special, holder_of(sources->model, "eos_token_id"), "config.json", tokenizer,
                           &capacity, error));
    return set_eos_text(special, text, tokenizer, error);
}

static enum loam_status find_all(struct loam_special_tokens *special, const struct sources *sources,
                                 const struct loam_tokenizer *tokenizer, struct loam_error *error)
{
    static const char tokenizer_file[] = "tokenizer_config.json";
    const char *text;
    char note[sizeof special->note];
    LOAM_TRY(find_by_text(sources, "bos_token", tokenizer, &special->bos, &text, note, error));
    LOAM_TRY(find_by_text(sources, "pad_token", tokenizer, &special->pad, &text, note, error));
    LOAM_TRY(find_bos(special, sources->generation, "generation_config.json", tokenizer, error));
    LOAM_TRY(find_bos(special, holder_of(sources->model, "bos_token_id"), "config.json", tokenizer, error));
    LOAM_TRY(find_eos(special, sources, tokenizer, error));

    LOAM_TRY(
        loam_json_get_bool(sources->tokenizer, tokenizer_file, "add_bos_token", &special->add_bos, error));
    LOAM_TRY(
        loam_json_get_bool(sources->tokenizer, tokenizer_file, "add_eos_token", &special->add_eos, error));
    const struct loam_postprocessor *processor = &tokenizer->postprocessor;
    special->add_bos =
        special->bos >= 0 && (special->add_bos || has_in_template(processor, special->bos, true));
    special->add_eos =
        special->eos >= 0 && (special->add_eos || has_in_template(processor, special->eos, false));
    return LOAM_OK;
}

enum loam_status loam_special_tokens_load(struct loam_special_tokens *special, const char *model_directory,
                                          const struct loam_tokenizer *tokenizer, struct loam_error *error)
{
    *special = (struct loam_special_tokens){.bos = -1, .pad = -1, .eos = -1};
    struct sources sources = {0};
    enum loam_status status = load_all(&sources, model_directory, error);
    // Messages of load_all have the full path. Those of find_all have the file's name, so the directory is
    // added.
    if (status == LOAM_OK) {
        status = find_all(special, &sources, tokenizer, error);
        if (status != LOAM_OK) status = loam_fail_prefix(error, "%s", model_directory);
    }
    release_sources(&sources);
    if (status != LOAM_OK) loam_special_tokens_deinit(special);
    return status;
}

void loam_special_tokens_deinit(struct loam_special_tokens *special)
{
    free(special->eos_ids);
    free(special->text);
    *special = (struct loam_special_tokens){.bos = -1, .pad = -1, .eos = -1};
}

enum loam_status loam_special_tokens_surround(const struct loam_special_tokens *special,
                                              struct loam_encoding *encoding, struct loam_error *error)
{
    size_t count = encoding->count;
    if (special->add_bos && (count == 0 || encoding->ids[0] != special->bos)) {
        struct loam_encoding all = {0};
        enum loam_status status = loam_encoding_add(&all, special->bos, 0, 0, error);
        if (status == LOAM_OK) status = loam_encoding_append(&all, encoding, 0, error);
        struct loam_encoding unused = status == LOAM_OK ? *encoding : all;
        if (status == LOAM_OK) *encoding = all;
        loam_encoding_deinit(&unused);
        LOAM_TRY(status);
    }
    if (!special->add_eos || (count > 0 && encoding->ids[encoding->count - 1] == special->eos))
        return LOAM_OK;
    return loam_encoding_add(encoding, special->eos, 0, 0, error);
}

enum loam_status loam_special_tokens_fail_eos(const struct loam_special_tokens *special, const char *reason,
                                              struct loam_error *error)
{
    return loam_fail(error, LOAM_ERROR_FORMAT,
                     "%s, but the model has no end-of-sequence token%s%s; name it as \"eos_token\" in its "
                     "tokenizer_config.json",
                     reason, special->note[0] != '\0' ? ": " : "", special->note);
}
