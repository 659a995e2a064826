#include "chat/input.h"

#include "base/utf8.h"

enum { DEEPEST = 500 }; // levels of the JSON

struct reader {
    struct chat_run *run;
    struct chat_sources *sources;
};

static enum loam_status add_source(struct reader *reader, int32_t message, const char *field,
                                   uint32_t *origin)
{
    struct chat_sources *sources = reader->sources;
    if (sources->count == sources->capacity) {
        size_t capacity = sources->capacity == 0 ? 32 : sources->capacity * 2;
        struct chat_input_source *items =
            chat_pool_take(&reader->run->pool, capacity, sizeof *items, reader->run->error);
        if (items == NULL) return loam_failure(reader->run->error);
        if (sources->count > 0) memcpy(items, sources->items, sources->count * sizeof *items);
        sources->items = items;
        sources->capacity = capacity;
    }
    sources->items[sources->count++] = (struct chat_input_source){message, field};
    *origin = (uint32_t)sources->count;
    return LOAM_OK;
}

static enum loam_status read_value(struct reader *reader, const json_t *json, uint32_t origin, int depth,
                                   struct chat_value *value);

static enum loam_status read_text(struct reader *reader, const char *text, size_t size, uint32_t origin,
                                  struct chat_value *value)
{
    if (loam_utf8_check(text, size) != size)
        return chat_fail(reader->run, "the input has a string that is not UTF-8");
    return chat_string_create(value, text, size, origin, &reader->run->pool, reader->run->error);
}

static enum loam_status read_array(struct reader *reader, const json_t *json, uint32_t origin, int depth,
                                   struct chat_value *value)
{
    struct chat_value *items;
    size_t count = json_array_size(json);
    LOAM_TRY(chat_list_create(value, CHAT_LIST, count, &items, &reader->run->pool, reader->run->error));
    for (size_t i = 0; i < count; i++)
        LOAM_TRY(read_value(reader, json_array_get(json, i), origin, depth - 1, &items[i]));
    value->origin = origin;
    return LOAM_OK;
}

static enum loam_status put(struct reader *reader, struct chat_dict *dict, const char *key, size_t size,
                            uint32_t origin, struct chat_value value)
{
    struct chat_value name;
    LOAM_TRY(read_text(reader, key, size, origin, &name));
    return chat_dict_put(dict, &reader->run->pool, name, value, reader->run->error);
}

static enum loam_status read_object(struct reader *reader, const json_t *json, uint32_t origin, int depth,
                                    struct chat_value *value)
{
    struct chat_dict *dict = chat_dict_create(&reader->run->pool, reader->run->error);
    if (dict == NULL) return loam_failure(reader->run->error);
    json_t *object = (json_t *)(uintptr_t)json; // jansson's iterators take no const
    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at)) {
        struct chat_value item = {0};
        LOAM_TRY(read_value(reader, json_object_iter_value(at), origin, depth - 1, &item));
        LOAM_TRY(put(reader, dict, json_object_iter_key(at), strlen(json_object_iter_key(at)), origin, item));
    }
    *value = (struct chat_value){.kind = CHAT_DICT, .origin = origin, .as.dict = dict};
    return LOAM_OK;
}

static enum loam_status read_value(struct reader *reader, const json_t *json, uint32_t origin, int depth,
                                   struct chat_value *value)
{
    LOAM_TRY(chat_step(reader->run));
    if (depth == 0) return chat_fail(reader->run, "the input has more than %d levels", DEEPEST);
    *value = CHAT_NO_VALUE;
    if (json == NULL) return LOAM_OK;
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return read_object(reader, json, origin, depth, value);
    case JSON_ARRAY:
        return read_array(reader, json, origin, depth, value);
    case JSON_STRING:
        return read_text(reader, json_string_value(json), json_string_length(json), origin, value);
    case JSON_INTEGER:
        *value = chat_int(json_integer_value(json));
        break;
    case JSON_REAL:
        *value = chat_float(json_real_value(json));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        *value = chat_bool(json_is_true(json));
        break;
    case JSON_NULL:
        break;
    }
    value->origin = origin;
    return LOAM_OK;
}

// The key under which a message has its reasoning; NULL if it has none.
static const char *find_reasoning(const json_t *message)
{
    static const char *const names[] = {"reasoning_content", "thinking", "reasoning"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const json_t *value = json_object_get(message, names[i]);
        if (value != NULL && !json_is_null(value)) return names[i];
    }
    return NULL;
}

static enum loam_status put_reasoning(struct reader *reader, struct chat_dict *dict, const char *name,
                                      struct chat_value reasoning, uint32_t origin)
{
    return put(reader, dict, name, strlen(name), origin, reasoning);
}

// Reads a message. Each key has an origin of its own. As in transformers, reasoning is also there as `thinking`, in
// front, and as `reasoning_content`.
static enum loam_status read_message(struct reader *reader, const json_t *json, int32_t index,
                                     struct chat_value *value)
{
    struct chat_dict *dict = chat_dict_create(&reader->run->pool, reader->run->error);
    const char *name = find_reasoning(json);
    struct chat_value item, reasoning = {0};
    uint32_t origin, reasoning_origin = 0;
    if (dict == NULL) return loam_failure(reader->run->error);
    if (!json_is_object(json)) return chat_fail(reader->run, "message %d must be an object", (int)index);
    if (name != NULL) {
        LOAM_TRY(add_source(reader, index, name, &reasoning_origin));
        LOAM_TRY(read_value(reader, json_object_get(json, name), reasoning_origin, DEEPEST, &reasoning));
        LOAM_TRY(put_reasoning(reader, dict, "thinking", reasoning, reasoning_origin));
    }
    json_t *object = (json_t *)(uintptr_t)json; // jansson's iterators take no const
    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at)) {
        const char *key = json_object_iter_key(at);
        LOAM_TRY(add_source(reader, index, key, &origin));
        LOAM_TRY(read_value(reader, json_object_iter_value(at), origin, DEEPEST, &item));
        LOAM_TRY(put(reader, dict, key, strlen(key), origin, item));
    }
    if (name != NULL) LOAM_TRY(put_reasoning(reader, dict, "reasoning_content", reasoning, reasoning_origin));
    LOAM_TRY(add_source(reader, index, NULL, &origin));
    *value = (struct chat_value){.kind = CHAT_DICT, .origin = origin, .as.dict = dict};
    return LOAM_OK;
}

static enum loam_status read_messages(struct reader *reader, const json_t *messages, struct chat_value *value)
{
    struct chat_value *items;
    size_t count = json_array_size(messages);
    if (!json_is_array(messages)) return chat_fail(reader->run, "messages must be an array");
    LOAM_TRY(chat_list_create(value, CHAT_LIST, count, &items, &reader->run->pool, reader->run->error));
    for (size_t i = 0; i < count; i++)
        LOAM_TRY(read_message(reader, json_array_get(messages, i), (int32_t)i, &items[i]));
    LOAM_TRY(add_source(reader, -1, NULL, &value->origin));
    return LOAM_OK;
}

static enum loam_status put_variable(struct reader *reader, const char *name, struct chat_value value)
{
    return put(reader, reader->run->context, name, strlen(name), CHAT_TEMPLATE_ORIGIN, value);
}

static enum loam_status read_variables(struct reader *reader, const json_t *variables)
{
    json_t *object = (json_t *)(uintptr_t)variables; // jansson's iterators take no const
    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at)) {
        struct chat_value value;
        LOAM_TRY(read_value(reader, json_object_iter_value(at), CHAT_TEMPLATE_ORIGIN, DEEPEST, &value));
        LOAM_TRY(put_variable(reader, json_object_iter_key(at), value));
    }
    return LOAM_OK;
}

enum loam_status chat_input_read(struct chat_run *run, const struct loam_chat_input *input,
                                 struct chat_sources *sources)
{
    struct reader reader = {run, sources};
    struct chat_value messages, tools, documents;
    const struct chat_native *function;
    uint32_t other;
    run->context = chat_dict_create(&run->pool, run->error);
    if (run->context == NULL) return loam_failure(run->error);
    for (size_t i = 0; (function = chat_function_at(i)) != NULL; i++)
        LOAM_TRY(put_variable(&reader, function->name,
                              (struct chat_value){.kind = CHAT_FUNCTION, .as.function = function}));
    LOAM_TRY(read_variables(&reader, input->variables));
    LOAM_TRY(add_source(&reader, -1, NULL, &other));
    LOAM_TRY(read_messages(&reader, input->messages, &messages));
    LOAM_TRY(read_value(&reader, input->tools, other, DEEPEST, &tools));
    LOAM_TRY(read_value(&reader, input->documents, other, DEEPEST, &documents));
    LOAM_TRY(put_variable(&reader, "messages", messages));
    LOAM_TRY(put_variable(&reader, "tools", tools));
    LOAM_TRY(put_variable(&reader, "documents", documents));
    return put_variable(&reader, "add_generation_prompt", chat_bool(input->add_generation_prompt));
}
