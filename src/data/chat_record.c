#include "data/chat_record.h"

#include "base/json.h"

bool loam_record_has_messages(enum loam_record_shape shape)
{
    return shape == LOAM_RECORD_MESSAGES || shape == LOAM_RECORD_CHAT_COMPLETION;
}

bool loam_record_is_answered(enum loam_record_shape shape)
{
    return shape == LOAM_RECORD_COMPLETION || shape == LOAM_RECORD_INSTRUCTION ||
           shape == LOAM_RECORD_CHOICES;
}

// Adds the messages of `list`.
static void add_messages(json_t **messages, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        loam_json_push(messages, json_incref(json_array_get(list, i)));
}

// Adds a message whose text is `content`, and `more` after an empty line unless that is missing or empty.
static enum loam_status add_message(json_t **messages, const char *role, const json_t *content,
                                    const json_t *more, struct loam_error *error)
{
    struct loam_bytes text = {0};
    const size_t rest = json_string_length(more);
    enum loam_status status =
        loam_bytes_append(&text, json_string_value(content), json_string_length(content), error);
    if (status == LOAM_OK && rest > 0) status = loam_bytes_append_text(&text, "\n\n", error);
    if (status == LOAM_OK && rest > 0)
        status = loam_bytes_append(&text, json_string_value(more), rest, error);
    if (status == LOAM_OK) {
        json_t *message = json_object();
        loam_json_put(&message, "role", json_string_nocheck(role));
        loam_json_put(&message, "content", json_stringn_nocheck(text.size > 0 ? text.data : "", text.size));
        loam_json_push(messages, message);
    }
    loam_bytes_deinit(&text);
    return status;
}

// Adds the prompt and the answer of a record as two messages.
static enum loam_status add_answered(json_t **messages, const struct loam_record *record,
                                     struct loam_error *error)
{
    const json_t *tree = record->tree, *more = NULL;
    const char *name = "prompt";
    const json_t *answer = json_object_get(tree, "completion");
    if (record->shape == LOAM_RECORD_INSTRUCTION) {
        name = "instruction";
        answer = json_object_get(tree, "output");
        more = json_object_get(tree, "input");
    }
    if (record->shape == LOAM_RECORD_CHOICES) {
        name = "question";
        const json_int_t right = json_integer_value(json_object_get(tree, "answer"));
        answer = json_array_get(json_object_get(tree, "choices"), (size_t)right);
        if (!json_is_string(json_object_get(tree, name)))
            return loam_fail(error, LOAM_ERROR_FORMAT,
                             "%s:%zu: field \"question\": expected a string; for choices with other fields "
                             "give --template FILE",
                             record->path, record->line);
    }
    LOAM_TRY(add_message(messages, "user", json_object_get(tree, name), more, error));
    return add_message(messages, "assistant", answer, NULL, error);
}

enum loam_status loam_record_conversation(const struct loam_record *record,
                                          struct loam_conversation *conversation, json_t **made,
                                          struct loam_error *error)
{
    const json_t *tree = record->tree;
    *made = NULL;
    *conversation = (struct loam_conversation){.messages = json_object_get(tree, "messages"),
                                               .tools = json_object_get(tree, "tools")};
    if (record->shape == LOAM_RECORD_MESSAGES) return LOAM_OK;
    *made = json_array();
    if (record->shape == LOAM_RECORD_CHAT_COMPLETION) {
        add_messages(made, json_object_get(tree, "prompt"));
        conversation->prompt_count = json_array_size(*made);
        add_messages(made, json_object_get(tree, "completion"));
    } else {
        LOAM_TRY(add_answered(made, record, error));
        conversation->prompt_count = 1;
    }
    conversation->messages = *made;
    return *made != NULL ? LOAM_OK : loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: a conversation");
}
