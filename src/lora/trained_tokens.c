// The trained tokens of an adapter: rows that take the place of those of the embedding or the head.
#include "lora/adapter.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "model/multimodal.h"

int64_t loam_trained_tokens_count(const struct loam_trained_tokens *tokens)
{
    return (int64_t)tokens->list->count;
}

// ---- attaching ----

static enum loam_status fail_module(const struct loam_adapter *adapter, const char *name,
                                    struct loam_error *error)
{
    return loam_fail(
        error, LOAM_ERROR_UNSUPPORTED,
        "trainable_token_indices: \"%s\" names neither the embedding (%s) nor the head (%s), which "
        "loam has trained tokens of",
        name, adapter->model->embedder.path, adapter->model->head.path);
}

// Finds the embedding or the head by the end of its path. NULL is the name of the embedding.
static bool find_module(const struct loam_model *model, const char *name, const struct loam_linear **module)
{
    const bool embedding = name == NULL || loam_target_entry_matches(name, model->embedder.path);
    *module = embedding ? &model->embedder : &model->head;
    return embedding || loam_target_entry_matches(name, model->head.path);
}

// PEFT applies trained tokens of a head without its bias, and nests them with other adapters of the module.
static enum loam_status check_module(const struct loam_adapter *adapter, const struct loam_linear *module,
                                     struct loam_error *error)
{
    if (module->bias != NULL)
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                         "trainable_token_indices of %s, which has a bias: loam does not have that, and PEFT "
                         "leaves the bias out",
                         module->path);
    const bool adapted = adapter->slots.slots[module->index].rank > 0;
    char *weight = loam_format(error, "%s.weight", module->path);
    if (weight == NULL) return LOAM_ERROR_MEMORY;
    const bool saved = loam_adapter_config_saves(&adapter->config, weight);
    free(weight);
    if (!adapted && !saved) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                     "trainable_token_indices of %s, which %s names too: choose one of both", module->path,
                     adapted ? "target_modules" : "modules_to_save");
}

static enum loam_status check_ids(const struct loam_token_list *list, const struct loam_linear *module,
                                  struct loam_error *error)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->tokens[i] >= module->out)
            return loam_fail(error, LOAM_ERROR_ARGUMENT,
                             "trainable_token_indices: token %d; %s has %lld rows", (int)list->tokens[i],
                             module->path, (long long)module->out);
    return LOAM_OK;
}

// order: by insertion, as lists are short.
static enum loam_status sort_tokens(struct loam_trained_tokens *tokens, struct loam_error *error)
{
    const int32_t *ids = tokens->list->tokens;
    tokens->order = loam_calloc(tokens->list->count, sizeof *tokens->order, error);
    if (tokens->order == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < tokens->list->count; i++) {
        size_t at = i;
        for (; at > 0 && ids[tokens->order[at - 1]] > ids[i]; at--)
            tokens->order[at] = tokens->order[at - 1];
        tokens->order[at] = (int64_t)i;
    }
    return LOAM_OK;
}

static void take_place(struct loam_adapter *adapter, struct loam_trained_tokens *tokens,
                       enum loam_token_place place)
{
    struct loam_token_rows *rows = &adapter->slots.tokens[place];
    const int64_t count = loam_trained_tokens_count(tokens);
    rows->tokens = loam_tensor_1d(NULL, LOAM_I32, count);
    rows->rows = rows->drows = loam_tensor_2d(NULL, LOAM_F32, count, tokens->module->in);
    tokens->places[tokens->place_count++] = rows;
}

static enum loam_status add_tokens(struct loam_adapter *adapter, const struct loam_token_list *list,
                                   bool with_head, struct loam_error *error)
{
    const struct loam_model *model = adapter->model;
    const struct loam_linear *module;
    if (!find_module(model, list->module, &module)) return fail_module(adapter, list->module, error);
    struct loam_trained_tokens *tokens = &adapter->tokens[adapter->token_count++];
    *tokens = (struct loam_trained_tokens){.module = module, .list = list};
    LOAM_TRY(check_module(adapter, module, error));
    if (with_head) LOAM_TRY(check_module(adapter, &model->head, error));
    LOAM_TRY(check_ids(list, module, error));
    LOAM_TRY(sort_tokens(tokens, error));
    take_place(adapter, tokens, module == &model->head ? LOAM_TOKENS_OF_HEAD : LOAM_TOKENS_OF_EMBEDDING);
    if (with_head) take_place(adapter, tokens, LOAM_TOKENS_OF_HEAD);
    tokens->name =
        loam_format(error, "base_model.model.%s.token_adapter.trainable_tokens_delta", module->path);
    return tokens->name == NULL ? LOAM_ERROR_MEMORY : LOAM_OK;
}

// As in PEFT, the rows of a tied embedding are those of its head too, unless the head is given other tokens.
enum loam_status loam_adapter_attach_tokens(struct loam_adapter *adapter, struct loam_error *error)
{
    const struct loam_token_choice *choice = &adapter->config.trained_tokens;
    const struct loam_model *model = adapter->model;
    const struct loam_token_list *own[2] = {NULL, NULL}; // of the embedding, of the head
    for (size_t i = 0; i < choice->count; i++) {
        const struct loam_linear *module;
        if (!find_module(model, choice->lists[i].module, &module))
            return fail_module(adapter, choice->lists[i].module, error);
        const struct loam_token_list **place = &own[module == &model->head];
        if (*place != NULL)
            return loam_fail(error, LOAM_ERROR_ARGUMENT, "trainable_token_indices names %s twice",
                             module->path);
        *place = &choice->lists[i];
    }
    const bool tied = loam_model_head_is_tied(model) && own[0] != NULL;
    const bool shared = tied && (own[1] == NULL || loam_token_lists_equal(own[0], own[1]));
    if (own[0] != NULL) LOAM_TRY(add_tokens(adapter, own[0], shared, error));
    return own[1] != NULL && !shared ? add_tokens(adapter, own[1], false, error) : LOAM_OK;
}

void loam_adapter_free_tokens(struct loam_adapter *adapter)
{
    for (size_t i = 0; i < adapter->token_count; i++) {
        free(adapter->tokens[i].order);
        free(adapter->tokens[i].name);
    }
    if (adapter->token_device != NULL) loam_device_arena_deinit(adapter->token_device, &adapter->token_arena);
}

// ---- memory ----

enum loam_status loam_adapter_register_tokens(struct loam_adapter *adapter, struct loam_trainables *set,
                                              struct loam_error *error)
{
    for (size_t i = 0; i < adapter->token_count; i++) {
        struct loam_trained_tokens *tokens = &adapter->tokens[i];
        LOAM_TRY(
            loam_trainables_add(set, tokens->name, tokens->places[0]->rows, true, &tokens->index, error));
    }
    return LOAM_OK;
}

void loam_adapter_point_tokens(struct loam_adapter *adapter)
{
    for (size_t i = 0; i < adapter->token_count; i++) {
        const struct loam_trained_tokens *tokens = &adapter->tokens[i];
        for (size_t p = 0; p < tokens->place_count; p++) {
            tokens->places[p]->rows = adapter->set->items[tokens->index].value;
            tokens->places[p]->drows = adapter->set->items[tokens->index].grad;
        }
    }
}

void loam_adapter_unregister_tokens(struct loam_adapter *adapter)
{
    for (size_t i = 0; i < LOAM_TOKEN_PLACES; i++)
        adapter->slots.tokens[i].drows.data = NULL;
}

void loam_adapter_place_tokens(struct loam_adapter *adapter, struct loam_arena *arena, bool counting)
{
    for (size_t i = 0; i < adapter->token_count; i++) {
        const struct loam_trained_tokens *tokens = &adapter->tokens[i];
        void *data = loam_arena_alloc(arena, loam_tensor_bytes(&tokens->places[0]->rows));
        for (size_t p = 0; p < tokens->place_count && !counting; p++)
            tokens->places[p]->rows.data = data;
    }
}

enum loam_status loam_adapter_allocate_tokens(struct loam_adapter *adapter, const struct loam_device *device,
                                              struct loam_error *error)
{
    struct loam_arena counting;
    if (adapter->token_count == 0) return LOAM_OK;
    loam_device_arena_init_counting(device, &counting);
    for (size_t i = 0; i < adapter->token_count; i++)
        loam_arena_alloc(&counting, loam_tensor_bytes(&adapter->tokens[i].places[0]->tokens));
    LOAM_TRY(loam_device_arena_init(device, &adapter->token_arena, counting.used, true, error));
    adapter->token_device = device;
    for (size_t i = 0; i < adapter->token_count; i++) {
        const struct loam_trained_tokens *tokens = &adapter->tokens[i];
        void *data = loam_arena_alloc(&adapter->token_arena, loam_tensor_bytes(&tokens->places[0]->tokens));
        for (size_t p = 0; p < tokens->place_count; p++)
            tokens->places[p]->tokens.data = data;
    }
    return LOAM_OK;
}

// ---- values ----

static enum loam_status upload_ids(const struct loam_trained_tokens *tokens, struct loam_stream *stream,
                                   struct loam_error *error)
{
    const size_t count = tokens->list->count;
    int32_t *ids = loam_calloc(count, sizeof *ids, error);
    if (ids == NULL) return LOAM_ERROR_MEMORY;
    for (size_t j = 0; j < count; j++)
        ids[j] = tokens->list->tokens[tokens->order[j]];
    loam_upload(stream, tokens->places[0]->tokens.data, ids, count * sizeof *ids);
    enum loam_status status = loam_stream_finish(stream, error);
    free(ids);
    return status;
}

// Row `id` of the base's weight.
static enum loam_status read_base_row(const struct loam_trained_tokens *tokens, int32_t id,
                                      struct loam_stream *stream, float *row, struct loam_error *error)
{
    const struct loam_tensor *weight = &tokens->module->weight->value;
    const size_t size = loam_dtype_size(weight->dtype), count = (size_t)tokens->module->in;
    char *stored = loam_calloc(count, size, error);
    if (stored == NULL) return LOAM_ERROR_MEMORY;
    loam_download(stream, stored, (const char *)weight->data + (size_t)id * count * size, count * size);
    enum loam_status status = loam_stream_finish(stream, error);
    loam_convert(row, LOAM_F32, stored, weight->dtype, count);
    free(stored);
    return status;
}

// Writes row j, which is `place` in the list, of every module's tokens.
typedef enum loam_status read_row(const struct loam_trained_tokens *tokens, int64_t place,
                                  struct loam_stream *stream, float *row, struct loam_error *error);

static enum loam_status read_base(const struct loam_trained_tokens *tokens, int64_t place,
                                  struct loam_stream *stream, float *row, struct loam_error *error)
{
    return read_base_row(tokens, tokens->list->tokens[place], stream, row, error);
}

static enum loam_status read_file(const struct loam_trained_tokens *tokens, int64_t place,
                                  struct loam_stream *stream, float *row, struct loam_error *error)
{
    (void)stream;
    (void)error;
    const size_t width = (size_t)tokens->module->in;
    loam_format_convert(row, LOAM_F32,
                        loam_format_at(tokens->stored->format, tokens->stored->data, (size_t)place * width),
                        tokens->stored->format, width);
    return LOAM_OK;
}

static enum loam_status write_rows(const struct loam_trained_tokens *tokens, struct loam_stream *stream,
                                   read_row *read, struct loam_error *error)
{
    const size_t count = tokens->list->count, width = (size_t)tokens->module->in;
    float *rows = loam_calloc(count * width, sizeof *rows, error);
    if (rows == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = LOAM_OK;
    for (size_t j = 0; j < count && status == LOAM_OK; j++)
        status = read(tokens, tokens->order[j], stream, rows + j * width, error);
    loam_upload(stream, tokens->places[0]->rows.data, rows, count * width * sizeof *rows);
    if (status == LOAM_OK) status = loam_stream_finish(stream, error);
    free(rows);
    return status;
}

static enum loam_status write_all(struct loam_adapter *adapter, struct loam_stream *stream, read_row *read,
                                  struct loam_error *error)
{
    for (size_t i = 0; i < adapter->token_count; i++) {
        LOAM_TRY(upload_ids(&adapter->tokens[i], stream, error));
        LOAM_TRY(write_rows(&adapter->tokens[i], stream, read, error));
        adapter->tokens[i].stored = NULL;
    }
    return LOAM_OK;
}

enum loam_status loam_adapter_start_tokens(struct loam_adapter *adapter, struct loam_stream *stream,
                                           struct loam_error *error)
{
    return write_all(adapter, stream, read_base, error);
}

enum loam_status loam_adapter_fill_tokens(struct loam_adapter *adapter, struct loam_stream *stream,
                                          struct loam_error *error)
{
    return write_all(adapter, stream, read_file, error);
}

// ---- the file ----

static enum loam_status check_stored(const struct loam_adapter *adapter,
                                     const struct loam_trained_tokens *tokens, struct loam_error *error)
{
    const struct loam_stored_tensor *stored = tokens->stored;
    if (stored == NULL)
        return loam_fail(
            error, LOAM_ERROR_FORMAT,
            "%s: no tensor \"%s\", which \"trainable_token_indices\" in adapter_config.json asks for",
            loam_container_at(adapter->stored.file, 0)->file, tokens->name);
    if (!loam_format_decodes(stored->format))
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED, "%s: tensor \"%s\" is %s; expected f32, f16 or bf16",
                         stored->file, stored->name, loam_format_name(stored->format));
    const int64_t count = loam_trained_tokens_count(tokens), width = tokens->module->in;
    if (stored->rank == 2 && stored->shape[0] == count && stored->shape[1] == width) return LOAM_OK;
    return loam_fail(
        error, LOAM_ERROR_FORMAT,
        "%s: tensor \"%s\" has another shape than [%lld, %lld]: the tokens in adapter_config.json, and "
        "the hidden size",
        stored->file, stored->name, (long long)count, (long long)width);
}

static bool head_shares_rows(const struct loam_adapter *adapter)
{
    for (size_t i = 0; i < adapter->token_count; i++)
        if (adapter->tokens[i].place_count == LOAM_TOKEN_PLACES) return true;
    return false;
}

static enum loam_status assign_rows(struct loam_adapter *adapter, const struct loam_stored_module *module,
                                    struct loam_error *error)
{
    if (module->tokens == NULL) return LOAM_OK;
    for (size_t i = 0; i < adapter->token_count; i++)
        if (loam_same_module(adapter->tokens[i].module->path, module->path)) {
            adapter->tokens[i].stored = module->tokens;
            return LOAM_OK;
        }
    // PEFT writes them a second time where it saves embeddings, and does not read them.
    if (head_shares_rows(adapter) && loam_same_module(adapter->model->head.path, module->path))
        return loam_adapter_config_note(
            &adapter->config, error,
            "tensor \"%s\": passed over, because the tied head has the rows of the embedding",
            module->tokens->name);
    return loam_fail(error, LOAM_ERROR_FORMAT,
                     "%s: tensor \"%s\" has rows of tokens that \"trainable_token_indices\" in "
                     "adapter_config.json leaves out",
                     module->tokens->file, module->tokens->name);
}

enum loam_status loam_adapter_find_tokens(struct loam_adapter *adapter, struct loam_error *error)
{
    for (size_t i = 0; i < adapter->stored.count; i++)
        LOAM_TRY(assign_rows(adapter, &adapter->stored.modules[i], error));
    for (size_t i = 0; i < adapter->token_count; i++)
        LOAM_TRY(check_stored(adapter, &adapter->tokens[i], error));
    return LOAM_OK;
}

enum loam_status loam_adapter_download_tokens(const struct loam_trained_tokens *tokens,
                                              struct loam_stream *stream, float *host,
                                              struct loam_error *error)
{
    const size_t count = tokens->list->count, width = (size_t)tokens->module->in;
    float *rows = loam_calloc(count * width, sizeof *rows, error);
    if (rows == NULL) return LOAM_ERROR_MEMORY;
    loam_download(stream, rows, tokens->places[0]->rows.data, count * width * sizeof *rows);
    enum loam_status status = loam_stream_finish(stream, error);
    for (size_t j = 0; j < count; j++)
        memcpy(host + (size_t)tokens->order[j] * width, rows + j * width, width * sizeof *rows);
    free(rows);
    return status;
}
