#include "text/tokenizer_json.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "text/normalizer.h"
#include "text/part.h"
#include "text/tokenizer_config.h"
#include "text/tokenizer_file.h"

// ---- The model ----

static enum loam_status read_text(const json_t *model, const char *name, const char *key,
                                  struct loam_bytes *value, bool *given, struct loam_error *error)
{
    const json_t *found = json_object_get(model, key);
    *given = found != NULL && !json_is_null(found);
    return *given ? loam_part_text(model, name, key, value, error) : LOAM_OK;
}

static enum loam_status check_model_type(const json_t *model, const char *name, struct loam_error *error)
{
    // Old files without a type are BPE if they have merges, which the caller checks.
    const char *type = "BPE";
    LOAM_TRY(loam_json_get_string(model, name, "type", &type, error));
    if (strcmp(type, "BPE") != 0)
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                         "%s: model \"%.80s\" is not supported; loam knows BPE", name, type);
    double dropout = 0;
    LOAM_TRY(loam_json_get_double(model, name, "dropout", &dropout, error));
    if (dropout != 0)
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED, "%s: \"dropout\" is %g, only null or 0 is supported",
                         name, dropout);
    return LOAM_OK;
}

static enum loam_status read_model(struct loam_bpe *bpe, struct loam_tokenizer_file *file, const char *path,
                                   struct loam_error *error)
{
    const json_t *model = json_object_get(file->root, "model");
    char *name = loam_format(error, "%s: model", path);
    if (name == NULL) return LOAM_ERROR_MEMORY;
    bool given;
    enum loam_status status = LOAM_OK;
    if (!json_is_object(model)) status = loam_fail(error, LOAM_ERROR_FORMAT, "%s must be an object", name);
    if (status == LOAM_OK) status = check_model_type(model, name, error);
    if (status == LOAM_OK && !(file->has_vocab && file->has_merges))
        status = loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"%s\" is missing or no %s", name,
                           file->has_vocab ? "merges" : "vocab", file->has_vocab ? "array" : "object");
    if (status == LOAM_OK)
        status = read_text(model, name, "continuing_subword_prefix", &bpe->prefix, &given, error);
    if (status == LOAM_OK) status = read_text(model, name, "end_of_word_suffix", &bpe->suffix, &given, error);
    if (status == LOAM_OK)
        status = read_text(model, name, "unk_token", &bpe->unk_token, &bpe->has_unk, error);
    if (status == LOAM_OK) status = loam_json_get_bool(model, name, "fuse_unk", &bpe->fuse_unk, error);
    if (status == LOAM_OK)
        status = loam_json_get_bool(model, name, "byte_fallback", &bpe->byte_fallback, error);
    if (status == LOAM_OK)
        status = loam_json_get_bool(model, name, "ignore_merges", &bpe->ignore_merges, error);
    free(name);
    if (status != LOAM_OK) return status;
    bpe->vocab = file->vocab;
    file->vocab = (struct loam_vocab){0};
    status = loam_bpe_build(bpe, file->merges, file->merge_count, file->merge_text.data, error);
    return status == LOAM_OK ? LOAM_OK : loam_fail_prefix(error, "%s", path);
}

// ---- Added tokens ----

static enum loam_status read_added_token(struct loam_added_tokens *tokens, const json_t *item,
                                         const char *name, struct loam_error *error)
{
    struct loam_added_token token = {0};
    struct {
        const char *key;
        bool *value;
    } flags[] = {
        {"single_word", &token.single_word}, {"lstrip", &token.lstrip},   {"rstrip", &token.rstrip},
        {"normalized", &token.normalized},   {"special", &token.special},
    };
    enum loam_status status = LOAM_OK;
    for (size_t i = 0; i < sizeof flags / sizeof *flags && status == LOAM_OK; i++)
        status = loam_part_bool(item, name, flags[i].key, flags[i].value, error);
    if (status == LOAM_OK) status = loam_part_text(item, name, "content", &token.content, error);
    if (status == LOAM_OK) return loam_added_tokens_add(tokens, &token, error);
    loam_bytes_deinit(&token.content);
    return status;
}

static enum loam_status read_added_tokens(struct loam_added_tokens *tokens, const json_t *root,
                                          const char *path, struct loam_error *error)
{
    const json_t *items = json_object_get(root, "added_tokens");
    if (items == NULL) return LOAM_OK;
    if (!json_is_array(items))
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"added_tokens\" must be an array", path);
    for (size_t i = 0; i < json_array_size(items); i++) {
        char *name = loam_format(error, "%s: added_tokens[%zu]", path, i);
        if (name == NULL) return LOAM_ERROR_MEMORY;
        enum loam_status status = read_added_token(tokens, json_array_get(items, i), name, error);
        free(name);
        if (status != LOAM_OK) return status;
    }
    return LOAM_OK;
}

// ---- The table by id ----

static enum loam_status build_token_table(struct loam_tokenizer *tokenizer, struct loam_error *error)
{
    const struct loam_vocab *vocab = &tokenizer->bpe.vocab;
    const struct loam_added_tokens *added = &tokenizer->added;
    tokenizer->size = vocab->size;
    for (size_t i = 0; i < added->count; i++) {
        if (added->items[i].id >= tokenizer->size) tokenizer->size = added->items[i].id + 1;
    }
    tokenizer->tokens = loam_calloc((size_t)tokenizer->size, sizeof *tokenizer->tokens, error);
    tokenizer->is_special = loam_calloc((size_t)tokenizer->size, sizeof *tokenizer->is_special, error);
    if (tokenizer->tokens == NULL || tokenizer->is_special == NULL) return LOAM_ERROR_MEMORY;
    for (int32_t id = 0; id < vocab->size; id++) {
        struct loam_token_text *entry = &tokenizer->tokens[id];
        entry->text = loam_vocab_get(vocab, id, &entry->size);
        entry->content = entry->text;
    }
    for (size_t i = 0; i < added->count; i++) {
        const struct loam_added_token *token = &added->items[i];
        struct loam_token_text *entry = &tokenizer->tokens[token->id];
        // The decoder reverses the normalizer, so its input is the normalised content.
        const struct loam_bytes *text = token->normalized ? &token->normalized_content : &token->content;
        entry->content = token->content.data;
        entry->text = text->size == 0 ? "" : text->data;
        entry->size = text->size;
        // `tokenizers` finds special tokens by content: a token whose normalised text differs is not special.
        int32_t same = loam_vocab_find(&added->by_content, entry->text, entry->size);
        tokenizer->is_special[token->id] = same >= 0 && added->items[same].special;
    }
    return LOAM_OK;
}

static enum loam_status check_template_ids(const struct loam_tokenizer *tokenizer, const char *path,
                                           struct loam_error *error)
{
    const struct loam_postprocessor *processor = &tokenizer->postprocessor;
    for (size_t i = 0; i < processor->piece_count; i++) {
        int32_t id = processor->pieces[i];
        bool is_known =
            id == LOAM_POST_TEXT || (id < tokenizer->size && tokenizer->tokens[id].content != NULL);
        if (!is_known)
            return loam_fail(error, LOAM_ERROR_FORMAT, "%s: post_processor: id %d is not in the vocabulary",
                             path, (int)id);
    }
    return LOAM_OK;
}

// ---- The file ----

static enum loam_status parse_normalizer(struct loam_tokenizer *tokenizer, const json_t *part,
                                         const char *name, struct loam_error *error)
{
    return loam_normalizer_parse(part, name, &tokenizer->normalizer, error);
}

static enum loam_status parse_pretokenizer(struct loam_tokenizer *tokenizer, const json_t *part,
                                           const char *name, struct loam_error *error)
{
    return loam_pretokenizer_parse(part, name, &tokenizer->pretokenizer, error);
}

static enum loam_status parse_postprocessor(struct loam_tokenizer *tokenizer, const json_t *part,
                                            const char *name, struct loam_error *error)
{
    return loam_postprocessor_parse(part, name, &tokenizer->postprocessor, error);
}

static enum loam_status parse_decoder(struct loam_tokenizer *tokenizer, const json_t *part, const char *name,
                                      struct loam_error *error)
{
    return loam_token_decoder_parse(part, name, &tokenizer->decoder, error);
}

static const struct {
    const char *key;
    enum loam_status (*parse)(struct loam_tokenizer *tokenizer, const json_t *part, const char *name,
                              struct loam_error *error);
} sections[] = {
    {"normalizer", parse_normalizer},
    {"pre_tokenizer", parse_pretokenizer},
    {"post_processor", parse_postprocessor},
    {"decoder", parse_decoder},
};

static enum loam_status read_sections(struct loam_tokenizer *tokenizer, const json_t *root, const char *path,
                                      struct loam_error *error)
{
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        char *name = loam_format(error, "%s: %s", path, sections[i].key);
        if (name == NULL) return LOAM_ERROR_MEMORY;
        enum loam_status status =
            sections[i].parse(tokenizer, json_object_get(root, sections[i].key), name, error);
        free(name);
        if (status != LOAM_OK) return status;
    }
    return LOAM_OK;
}

static enum loam_status check_version(const json_t *root, const char *path, struct loam_error *error)
{
    const char *version = "1.0";
    LOAM_TRY(loam_json_get_string(root, path, "version", &version, error));
    if (strcmp(version, "1.0") == 0) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_UNSUPPORTED, "%s: version \"%.80s\" is not supported; loam knows 1.0",
                     path, version);
}

// Ignores "truncation" and "padding", as transformers does: they are settings of a use of the tokenizer.
static enum loam_status read_parts(struct loam_tokenizer *tokenizer, struct loam_tokenizer_file *file,
                                   const char *path, struct loam_error *error)
{
    LOAM_TRY(check_version(file->root, path, error));
    LOAM_TRY(read_model(&tokenizer->bpe, file, path, error));
    LOAM_TRY(read_sections(tokenizer, file->root, path, error));
    LOAM_TRY(read_added_tokens(&tokenizer->added, file->root, path, error));
    LOAM_TRY(loam_tokenizer_config_add_tokens(&tokenizer->added, &tokenizer->bpe.vocab, path, error));
    enum loam_status status =
        loam_added_tokens_build(&tokenizer->added, &tokenizer->bpe.vocab, &tokenizer->normalizer, error);
    if (status != LOAM_OK) return loam_fail_prefix(error, "%s: added_tokens", path);
    LOAM_TRY(build_token_table(tokenizer, error));
    return check_template_ids(tokenizer, path, error);
}

enum loam_status loam_tokenizer_read(struct loam_tokenizer *tokenizer, const char *path,
                                     struct loam_error *error)
{
    struct loam_tokenizer_file file;
    enum loam_status status = loam_tokenizer_file_read(&file, path, error);
    if (status == LOAM_OK) status = read_parts(tokenizer, &file, path, error);
    loam_tokenizer_file_deinit(&file);
    return status;
}
