// Tokenizers: text to ids and back.
#include <stdlib.h>
#include <string.h>

#include "api/handles.h"
#include "api/sized.h"
#include "base/file.h"
#include "base/heap.h"
#include "data/example.h"

static enum loam_status load(struct loam_tokenizer_handle *tokenizer, const char *directory,
                             struct loam_error *error)
{
    char *path = loam_path_join(directory, "tokenizer.json", error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = loam_tokenizer_load(&tokenizer->tokenizer, path, error);
    free(path);
    if (status != LOAM_OK) return status;
    return loam_special_tokens_load(&tokenizer->special, directory, tokenizer->tokenizer, error);
}

enum loam_status loam_tokenizer_open(struct loam_tokenizer_handle **out, const char *directory,
                                     struct loam_error *error)
{
    LOAM_ENSURE_ERROR(error);
    LOAM_TRY(loam_require(out, "the place for a tokenizer", error));
    *out = NULL;
    LOAM_TRY(loam_require_path(directory, "the directory", error));
    struct loam_tokenizer_handle *tokenizer = loam_calloc(1, sizeof *tokenizer, error);
    if (tokenizer == NULL) return LOAM_ERROR_MEMORY;
    tokenizer->holders = 1;
    enum loam_status status = load(tokenizer, directory, error);
    if (status != LOAM_OK) {
        loam_tokenizer_release(tokenizer);
        return status;
    }
    *out = tokenizer;
    return LOAM_OK;
}

void loam_tokenizer_release(struct loam_tokenizer_handle *tokenizer)
{
    if (tokenizer == NULL || --tokenizer->holders > 0) return;
    loam_tokenizer_destroy(tokenizer->tokenizer);
    loam_special_tokens_deinit(&tokenizer->special);
    free(tokenizer);
}

void loam_tokenizer_close(struct loam_tokenizer_handle *tokenizer)
{
    loam_tokenizer_release(tokenizer);
}

enum loam_status loam_tokenizer_describe(const struct loam_tokenizer_handle *tokenizer,
                                         struct loam_tokenizer_info *info, struct loam_error *error)
{
    LOAM_ENSURE_ERROR(error);
    LOAM_TRY(loam_require(tokenizer, "the tokenizer", error));
    const struct loam_special_tokens *special = &tokenizer->special;
    const struct loam_tokenizer_info all = {.vocabulary =
                                                loam_tokenizer_vocabulary_size(tokenizer->tokenizer),
                                            .bos = special->bos,
                                            .eos = special->eos,
                                            .pad = special->pad,
                                            .end_ids = special->eos_ids,
                                            .end_count = special->eos_count};
    return LOAM_SIZED_WRITE(info, &all, "loam_tokenizer_info", error);
}

// ---- text to ids ----

static void copy_ids(const int32_t *from, size_t size, int32_t *ids, size_t capacity, size_t *count)
{
    *count = size;
    if (size > capacity) size = capacity;
    if (size > 0) memcpy(ids, from, size * sizeof *ids);
}

static enum loam_status encode_example(const struct loam_tokenizer_handle *tokenizer, const char *text,
                                       size_t size, int32_t *ids, size_t capacity, size_t *count,
                                       struct loam_error *error)
{
    const struct loam_example_source source = {.text = text, .size = size, .wants_eos = true};
    const struct loam_example_options options = {.name = "text",
                                                 .max_length = INT32_MAX,
                                                 .tokenizer = tokenizer->tokenizer,
                                                 .special = &tokenizer->special,
                                                 .vocabulary = INT32_MAX};
    struct loam_example_work work = {0};
    struct loam_example example = {0};
    enum loam_example_fate fate;
    enum loam_status status = loam_example_build(&example, &source, &options, &work, &fate, error);
    if (status == LOAM_OK) copy_ids(example.ids, (size_t)example.count, ids, capacity, count);
    loam_example_deinit(&example);
    loam_example_work_deinit(&work);
    return status;
}

static enum loam_status encode_prompt(const struct loam_tokenizer_handle *tokenizer, const char *text,
                                      size_t size, int32_t *ids, size_t capacity, size_t *count,
                                      struct loam_error *error)
{
    struct loam_rendered rendered = {0};
    struct loam_example_work work = {0};
    struct loam_example prompt = {0};
    enum loam_status status = loam_bytes_reserve(&rendered.text, 1, error);
    if (status == LOAM_OK) status = loam_bytes_append(&rendered.text, text, size, error);
    if (status == LOAM_OK)
        status = loam_example_build_prompt(&prompt, &rendered, tokenizer->tokenizer, &tokenizer->special,
                                           INT32_MAX, &work, error);
    if (status == LOAM_OK) copy_ids(prompt.ids, (size_t)prompt.count, ids, capacity, count);
    loam_example_deinit(&prompt);
    loam_example_work_deinit(&work);
    loam_rendered_deinit(&rendered);
    return status;
}

static enum loam_status encode_text(const struct loam_tokenizer_handle *tokenizer, const char *text,
                                    size_t size, bool whole, int32_t *ids, size_t capacity, size_t *count,
                                    struct loam_error *error)
{
    struct loam_encoding encoding = {0};
    enum loam_status status =
        loam_tokenizer_encode(tokenizer->tokenizer, text, size, whole, &encoding, error);
    if (status == LOAM_OK && whole)
        status = loam_special_tokens_surround(&tokenizer->special, &encoding, error);
    if (status == LOAM_OK) copy_ids(encoding.ids, encoding.count, ids, capacity, count);
    loam_encoding_deinit(&encoding);
    return status;
}

enum loam_status loam_text_encode(const struct loam_tokenizer_handle *tokenizer, const char *text,
                                  size_t size, enum loam_text_kind kind, int32_t *ids, size_t capacity,
                                  size_t *count, struct loam_error *error)
{
    LOAM_ENSURE_ERROR(error);
    LOAM_TRY(loam_require(tokenizer, "the tokenizer", error));
    LOAM_TRY(loam_require(count, "the place for a count", error));
    *count = 0;
    if (size > 0) LOAM_TRY(loam_require(text, "the text", error));
    if (capacity > 0) LOAM_TRY(loam_require(ids, "the room for ids", error));
    if (text == NULL) text = "";
    switch (kind) {
    case LOAM_TEXT_PLAIN:
        return encode_text(tokenizer, text, size, false, ids, capacity, count, error);
    case LOAM_TEXT_WHOLE:
        return encode_text(tokenizer, text, size, true, ids, capacity, count, error);
    case LOAM_TEXT_EXAMPLE:
        return encode_example(tokenizer, text, size, ids, capacity, count, error);
    case LOAM_TEXT_PROMPT:
        return encode_prompt(tokenizer, text, size, ids, capacity, count, error);
    }
    return loam_fail(error, LOAM_ERROR_ARGUMENT, "%d is no kind of text", (int)kind);
}

// ---- ids to text ----

enum loam_status loam_text_decode(const struct loam_tokenizer_handle *tokenizer, const int32_t *ids,
                                  size_t count, bool skip_special_tokens, char *text, size_t capacity,
                                  size_t *size, struct loam_error *error)
{
    LOAM_ENSURE_ERROR(error);
    LOAM_TRY(loam_require(tokenizer, "the tokenizer", error));
    LOAM_TRY(loam_require(size, "the place for a size", error));
    *size = 0;
    if (count > 0) LOAM_TRY(loam_require(ids, "the ids", error));
    if (capacity > 0) LOAM_TRY(loam_require(text, "the room for text", error));
    struct loam_bytes bytes = {0};
    enum loam_status status =
        loam_tokenizer_decode(tokenizer->tokenizer, ids, count, skip_special_tokens, &bytes, error);
    if (status == LOAM_OK) {
        *size = bytes.size;
        const size_t copied = bytes.size < capacity ? bytes.size : capacity > 0 ? capacity - 1 : 0;
        if (copied > 0) memcpy(text, bytes.data, copied);
        if (capacity > 0) text[copied] = '\0';
    }
    loam_bytes_deinit(&bytes);
    return status;
}
