#include "data/record_messages.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/json_read.h"
#include "base/utf8.h"

enum { FIELD_SIZE = 96 }; // bytes of a field's name in a message

enum loam_status loam_record_fail_field(struct loam_record_place place, const char *field,
                                        const char *expected, struct loam_error *error)
{
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s:%zu: field \"%s\": expected %s", place.path, place.line,
                     field, expected);
}

// ---- Checks ----

// A check of one list of messages.
struct checker {
    struct loam_record_place place;
    struct loam_record_notes *notes;
    const char *list; // name of the field
    size_t index;     // of the message
};

// Fails about a part of the current message: messages[2].content.
static enum loam_status LOAM_PRINTF(4, 5) fail_part(const struct checker *checker, struct loam_error *error,
                                                    const char *expected, const char *format, ...)
{
    char part[FIELD_SIZE / 2], field[FIELD_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(part, sizeof part, format, arguments);
    va_end(arguments);
    snprintf(field, sizeof field, "%.30s[%zu]%s", checker->list, checker->index, part);
    return loam_record_fail_field(checker->place, field, expected, error);
}

static bool is_known_role(const char *role)
{
    static const char *const roles[] = {"system", "developer", "user",   "assistant",
                                        "tool",   "function",  "ipython"};
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (strcmp(roles[i], role) == 0) return true;
    return false;
}

static enum loam_status check_role(const struct checker *checker, const json_t *message,
                                   struct loam_error *error)
{
    const char *role = json_string_value(json_object_get(message, "role"));
    if (role == NULL || role[0] == '\0')
        return fail_part(checker, error, "a string such as user or assistant", ".role");
    struct loam_record_notes *notes = checker->notes;
    if (is_known_role(role) || notes == NULL) return LOAM_OK;
    if (notes->unknown_roles++ > 0) return LOAM_OK;
    notes->line = checker->place.line;
    snprintf(notes->role, sizeof notes->role, "%.*s",
             (int)loam_utf8_fit(role, strlen(role), sizeof notes->role - 1), role);
    return LOAM_OK;
}

static void note(const struct checker *checker, struct loam_message_note *note)
{
    if (note->count++ == 0) note->line = checker->place.line;
}

// Checks content that is a list of parts, as for models that also read images.
static enum loam_status check_parts(const struct checker *checker, const json_t *parts,
                                    struct loam_error *error)
{
    for (size_t i = 0; i < json_array_size(parts); i++) {
        const json_t *part = json_array_get(parts, i);
        const char *type = json_string_value(json_object_get(part, "type"));
        if (type == NULL) return fail_part(checker, error, "an object with \"type\"", ".content[%zu]", i);
        if (strcmp(type, "text") != 0)
            return fail_part(checker, error, "\"text\"; loam reads no images, audio or video",
                             ".content[%zu].type", i);
        if (!json_is_string(json_object_get(part, "text")))
            return fail_part(checker, error, "a string", ".content[%zu].text", i);
    }
    return LOAM_OK;
}

static enum loam_status check_content(const struct checker *checker, const json_t *message,
                                      struct loam_error *error)
{
    const json_t *content = json_object_get(message, "content");
    if (json_is_string(content)) return LOAM_OK;
    if (json_is_array(content)) return check_parts(checker, content, error);
    const bool is_missing = content == NULL || json_is_null(content);
    if (is_missing && json_array_size(json_object_get(message, "tool_calls")) > 0) return LOAM_OK;
    return fail_part(checker, error, "a string", ".content");
}

static enum loam_status check_calls(const struct checker *checker, const json_t *message,
                                    struct loam_error *error)
{
    const json_t *calls = json_object_get(message, "tool_calls");
    if (calls == NULL || json_is_null(calls)) return LOAM_OK;
    if (!json_is_array(calls)) return fail_part(checker, error, "an array", ".tool_calls");
    for (size_t i = 0; i < json_array_size(calls); i++) {
        const json_t *call = json_array_get(calls, i);
        const json_t *function = json_object_get(call, "function");
        if (!json_is_string(json_object_get(function != NULL ? function : call, "name")))
            return fail_part(checker, error, "an object with a function and its name", ".tool_calls[%zu]", i);
        if (checker->notes != NULL && json_is_string(json_object_get(function, "arguments")))
            note(checker, &checker->notes->text_arguments);
    }
    return LOAM_OK;
}

static enum loam_status check_message(const struct checker *checker, const json_t *message,
                                      struct loam_error *error)
{
    static const char *const texts[] = {"name", "tool_call_id", "reasoning", "reasoning_content", "thinking"};
    if (!json_is_object(message))
        return fail_part(checker, error, "an object with \"role\" and \"content\"", "%s", "");
    LOAM_TRY(check_role(checker, message, error));
    LOAM_TRY(check_calls(checker, message, error));
    LOAM_TRY(check_content(checker, message, error));
    const json_t *weight = json_object_get(message, "weight");
    if (checker->notes != NULL && json_is_number(weight) && json_number_value(weight) != 1)
        note(checker, &checker->notes->weights);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const json_t *text = json_object_get(message, texts[i]);
        if (text != NULL && !json_is_string(text) && !json_is_null(text))
            return fail_part(checker, error, "a string", ".%s", texts[i]);
    }
    return LOAM_OK;
}

enum loam_status loam_messages_check(const json_t *list, const char *field, struct loam_record_place place,
                                     struct loam_record_notes *notes, struct loam_error *error)
{
    if (!json_is_array(list) || json_array_size(list) == 0)
        return loam_record_fail_field(place, field, "a list of at least one message", error);
    struct checker checker = {.place = place, .notes = notes, .list = field};
    for (; checker.index < json_array_size(list); checker.index++)
        LOAM_TRY(check_message(&checker, json_array_get(list, checker.index), error));
    return LOAM_OK;
}

// ---- ShareGPT ----

static const char function_call[] = "function_call";

// The role of a turn; an unknown name stays as it is.
static const char *role_of(const char *from)
{
    static const struct {
        const char *from, *role;
    } roles[] = {
        {"human", "user"},       {"gpt", "assistant"},          {"chatgpt", "assistant"},
        {"bot", "assistant"},    {"model", "assistant"},        {function_call, "assistant"},
        {"observation", "tool"}, {"function_response", "tool"},
    };
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (strcmp(roles[i].from, from) == 0) return roles[i].role;
    return from;
}

static bool is_call(const json_t *value)
{
    return json_is_string(json_object_get(value, "name"));
}

static enum loam_status add_call(json_t *calls, json_t *call, struct loam_error *error)
{
    return loam_record_add(calls, json_pack("{s:s, s:O}", "type", "function", "function", call), error);
}

// Adds the calls of a turn from "function_call", whose value is JSON: one call, or an array of calls. Another
// value adds none.
static enum loam_status add_calls(json_t *calls, json_t *value, struct loam_error *error)
{
    if (!json_is_array(value)) return is_call(value) ? add_call(calls, value, error) : LOAM_OK;
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!is_call(json_array_get(value, i))) return LOAM_OK;
    for (size_t i = 0; i < json_array_size(value); i++)
        LOAM_TRY(add_call(calls, json_array_get(value, i), error));
    return LOAM_OK;
}

// Gives a message the calls that its value is the text of. `*found` is false where it is another text.
static enum loam_status set_calls(json_t *message, const json_t *text, bool *found, struct loam_error *error)
{
    struct loam_error cause;
    *found = false;
    json_t *value = loam_json_read(json_string_value(text), json_string_length(text), function_call, &cause);
    if (value == NULL && cause.status != LOAM_ERROR_MEMORY) return LOAM_OK;
    json_t *calls = value != NULL ? json_array() : NULL;
    enum loam_status status = calls != NULL ? add_calls(calls, value, error)
                                            : loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: a record");
    *found = json_array_size(calls) > 0;
    if (status == LOAM_OK && *found)
        status = loam_record_set(message, "tool_calls", json_incref(calls), error);
    json_decref(calls);
    json_decref(value);
    return status;
}

// Fills a message from a turn of the conversation; other keys of the turn are kept.
static enum loam_status fill_message(json_t *message, const char *from, json_t *value,
                                     struct loam_error *error)
{
    bool has_calls = false;
    (void)json_object_del(message, "from");
    (void)json_object_del(message, "value");
    LOAM_TRY(loam_record_set(message, "role", json_string_nocheck(role_of(from)), error));
    if (strcmp(from, function_call) == 0) LOAM_TRY(set_calls(message, value, &has_calls, error));
    return loam_record_set(message, "content", has_calls ? json_string("") : json_incref(value), error);
}

static enum loam_status convert_turn(json_t *messages, json_t *turn, const struct checker *checker,
                                     struct loam_error *error)
{
    if (!json_is_object(turn))
        return fail_part(checker, error, "an object with \"from\" and \"value\"", "%s", "");
    if (json_object_get(turn, "role") != NULL) return loam_record_add(messages, json_incref(turn), error);
    const char *from = json_string_value(json_object_get(turn, "from"));
    json_t *value = json_object_get(turn, "value");
    if (from == NULL) return fail_part(checker, error, "a string such as human or gpt", ".from");
    if (!json_is_string(value)) return fail_part(checker, error, "a string", ".value");
    json_t *message;
    LOAM_TRY(loam_record_copy(&message, turn, error));
    enum loam_status status = fill_message(message, from, value, error); // `turn` keeps both alive
    if (status == LOAM_OK) return loam_record_add(messages, message, error);
    json_decref(message);
    return status;
}

// Adds the record's "system", a text beside the conversation, as its first message.
static enum loam_status add_system(json_t *messages, const json_t *tree, struct loam_record_place place,
                                   struct loam_error *error)
{
    json_t *system = json_object_get(tree, "system");
    if (system == NULL || json_is_null(system)) return LOAM_OK;
    if (!json_is_string(system)) return loam_record_fail_field(place, "system", "a string", error);
    if (json_string_length(system) == 0) return LOAM_OK;
    return loam_record_add(messages, json_pack("{s:s, s:O}", "role", "system", "content", system), error);
}

enum loam_status loam_messages_convert(json_t *tree, struct loam_record_place place, struct loam_error *error)
{
    const json_t *turns = json_object_get(tree, "conversations");
    if (!json_is_array(turns))
        return loam_record_fail_field(place, "conversations", "a list of turns", error);
    json_t *messages = json_array();
    if (messages == NULL) return loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: a record");
    struct checker checker = {.place = place, .list = "conversations"};
    enum loam_status status = add_system(messages, tree, place, error);
    for (; checker.index < json_array_size(turns) && status == LOAM_OK; checker.index++)
        status = convert_turn(messages, json_array_get(turns, checker.index), &checker, error);
    if (status == LOAM_OK) status = loam_record_set(tree, "messages", json_incref(messages), error);
    json_decref(messages);
    if (status != LOAM_OK) return status;
    (void)json_object_del(tree, "conversations");
    (void)json_object_del(tree, "system");
    return LOAM_OK;
}

enum loam_status loam_messages_read_tools(json_t *tree, struct loam_record_place place,
                                          struct loam_error *error)
{
    static const char expected[] = "an array of tools, or its JSON text";
    json_t *tools = json_object_get(tree, "tools");
    const bool is_empty = json_is_string(tools) && json_string_length(tools) == 0;
    if (tools == NULL || json_is_array(tools)) return LOAM_OK;
    if (json_is_null(tools) || is_empty) {
        (void)json_object_del(tree, "tools");
        return LOAM_OK;
    }
    if (!json_is_string(tools)) return loam_record_fail_field(place, "tools", expected, error);
    struct loam_error cause;
    json_t *read = loam_json_read(json_string_value(tools), json_string_length(tools), "tools", &cause);
    if (read == NULL && cause.status == LOAM_ERROR_MEMORY)
        return loam_fail(error, cause.status, "%s", cause.message);
    if (json_is_array(read)) return loam_record_set(tree, "tools", read, error);
    json_decref(read);
    return loam_record_fail_field(place, "tools", expected, error);
}
