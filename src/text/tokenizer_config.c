#include "text/tokenizer_config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/heap.h"
#include "base/json.h"

struct config {
    const char *name; // of the file, for messages
    struct loam_added_tokens *added;
    const struct loam_vocab *vocab;
    int32_t next; // id of the next token that is not in the vocabulary
};

static enum loam_status add_token(struct config *config, const json_t *token, const char *content,
                                  struct loam_error *error)
{
    struct loam_added_token made = {.special = true};
    if (loam_vocab_find(config->vocab, content, strlen(content)) < 0) config->next++;
    LOAM_TRY(loam_json_get_bool(token, config->name, "special", &made.special, error));
    made.normalized = !made.special;
    LOAM_TRY(loam_json_get_bool(token, config->name, "normalized", &made.normalized, error));
    LOAM_TRY(loam_json_get_bool(token, config->name, "single_word", &made.single_word, error));
    LOAM_TRY(loam_json_get_bool(token, config->name, "lstrip", &made.lstrip, error));
    LOAM_TRY(loam_json_get_bool(token, config->name, "rstrip", &made.rstrip, error));
    LOAM_TRY(loam_bytes_append_text(&made.content, content, error));
    return loam_added_tokens_add(config->added, &made, error);
}

// The text of a token that is not among the added tokens of tokenizer.json, else NULL.
static const char *find_missing(const struct config *config, const json_t *token)
{
    const char *content =
        json_string_value(json_is_object(token) ? json_object_get(token, "content") : token);
    if (content == NULL || content[0] == '\0') return NULL;
    return loam_vocab_find(&config->added->by_content, content, strlen(content)) < 0 ? content : NULL;
}

struct entry {
    long id;
    const json_t *token;
};

static int compare_entries(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    return (a->id > b->id) - (a->id < b->id);
}

// Adds the tokens of added_tokens_decoder, {"ID": {"content": ...}}, in the order of their ids. An entry
// whose id is not the next one is skipped: it was written for another tokenizer.
static enum loam_status add_decoder_tokens(struct config *config, json_t *decoder, struct loam_error *error)
{
    size_t count = 0;
    struct entry *entries = loam_calloc(json_object_size(decoder) + 1, sizeof *entries, error);
    if (entries == NULL) return LOAM_ERROR_MEMORY;
    const char *key;
    json_t *token;
    json_object_foreach(decoder, key, token)
    {
        char *end;
        errno = 0;
        long id = strtol(key, &end, 10);
        if (end != key && *end == '\0' && errno == 0) entries[count++] = (struct entry){id, token};
    }
    qsort(entries, count, sizeof *entries, compare_entries);
    enum loam_status status = LOAM_OK;
    for (size_t i = 0; i < count && status == LOAM_OK; i++) {
        const char *content = find_missing(config, entries[i].token);
        if (content == NULL) continue;
        int32_t known = loam_vocab_find(config->vocab, content, strlen(content));
        if (entries[i].id == (known >= 0 ? known : config->next))
            status = add_token(config, entries[i].token, content, error);
    }
    free(entries);
    return status;
}

// Adds a token that the config names for a purpose, such as "pad_token", if it is in the vocabulary.
static enum loam_status add_named(struct config *config, const json_t *token, struct loam_error *error)
{
    const char *content = find_missing(config, token);
    if (content == NULL || loam_vocab_find(config->vocab, content, strlen(content)) < 0) return LOAM_OK;
    return add_token(config, token, content, error);
}

static enum loam_status add_all_tokens(struct config *config, const json_t *root, struct loam_error *error)
{
    static const char *const names[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                        "pad_token", "cls_token", "mask_token"};
    static const char *const lists[] = {"additional_special_tokens", "extra_special_tokens"};
    LOAM_TRY(add_decoder_tokens(config, json_object_get(root, "added_tokens_decoder"), error));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        LOAM_TRY(add_named(config, json_object_get(root, names[i]), error));
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        const json_t *list = json_object_get(root, lists[i]);
        for (size_t j = 0; j < json_array_size(list); j++)
            LOAM_TRY(add_named(config, json_array_get(list, j), error));
    }
    return LOAM_OK;
}

enum loam_status loam_tokenizer_config_add_tokens(struct loam_added_tokens *added,
                                                  const struct loam_vocab *vocab, const char *tokenizer_path,
                                                  struct loam_error *error)
{
    static const char name[] = "tokenizer_config.json";
    const char *slash = strrchr(tokenizer_path, '/');
    int directory = slash != NULL ? (int)(slash - tokenizer_path) + 1 : 0;
    char *path = loam_format(error, "%.*s%s", directory, tokenizer_path, name);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    struct config config = {.name = path, .added = added, .vocab = vocab};
    config.next = (int32_t)config.vocab->count;
    for (size_t i = 0; i < config.added->count; i++) {
        const struct loam_bytes *content = &config.added->items[i].content;
        config.next += loam_vocab_find(config.vocab, content->data, content->size) < 0;
    }
    json_t *root = NULL;
    enum loam_status status = loam_file_exists(path) ? loam_json_load(&root, path, error) : LOAM_OK;
    if (status == LOAM_OK) status = add_all_tokens(&config, root, error);
    json_decref(root);
    free(path);
    return status;
}
