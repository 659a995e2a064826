#include "commands/messages.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json_read.h"
#include "base/log.h"
#include "base/utf8.h"

void loam_messages_deinit(struct loam_messages *messages)
{
    json_decref(messages->items);
    json_decref(messages->tools);
    *messages = (struct loam_messages){0};
}

static enum loam_status fail_memory(struct loam_error *error)
{
    return loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: a conversation");
}

// ---- parsing ----

static bool is_known_role(const char *role)
{
    static const char *const known[] = {"system",    "developer", "user",      "assistant",
                                        "tool",      "function",  "ipython",   "environment",
                                        "tool_call", "document",  "documents", "context"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(role, known[i]) == 0) return true;
    return false;
}

static enum loam_status check_message(const json_t *message, size_t index, const char *name,
                                      const struct loam_log *log, struct loam_error *error)
{
    const char *role = json_string_value(json_object_get(message, "role"));
    if (!json_is_object(message))
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: message %zu is not an object: expected {\"role\": \"user\", \"content\": "
                         "\"...\"}",
                         name, index + 1);
    if (role == NULL)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: message %zu has no \"role\": expected system, user, assistant or tool", name,
                         index + 1);
    if (!is_known_role(role))
        loam_log_write(log, LOAM_LOG_WARNING,
                       "%s: message %zu has the role \"%s\"; the usual ones are system, user, assistant and "
                       "tool",
                       name, index + 1, role);
    return LOAM_OK;
}

static enum loam_status check_messages(const json_t *messages, const char *name, const struct loam_log *log,
                                       struct loam_error *error)
{
    const size_t count = json_array_size(messages);
    if (count == 0)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: expected a JSON array of at least one message, or an object with it as "
                         "\"messages\"",
                         name);
    for (size_t i = 0; i < count; i++)
        LOAM_TRY(check_message(json_array_get(messages, i), i, name, log, error));
    return LOAM_OK;
}

// Takes a member of the object, or the array itself as the messages.
static enum loam_status take_members(struct loam_messages *messages, json_t *root, const char *name,
                                     struct loam_error *error)
{
    json_t *tools = json_object_get(root, "tools");
    if (json_is_array(root)) {
        messages->items = json_incref(root);
        return LOAM_OK;
    }
    messages->items = json_incref(json_object_get(root, "messages"));
    if (tools == NULL || json_is_null(tools)) return LOAM_OK;
    if (!json_is_array(tools))
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"tools\" must be an array", name);
    messages->tools = json_incref(tools);
    return LOAM_OK;
}

// Parses a JSON document of any kind, behind a byte order mark.
static enum loam_status parse(json_t **root, const char *text, size_t size, const char *name,
                              struct loam_error *error)
{
    if (text == NULL) text = "";
    const size_t mark = loam_byte_order_mark(text, size);
    *root = loam_json_read(text + mark, size - mark, name, error);
    return *root != NULL ? LOAM_OK : loam_failure(error);
}

enum loam_status loam_messages_parse(struct loam_messages *messages, const char *text, size_t size,
                                     const char *name, const struct loam_log *log, struct loam_error *error)
{
    json_t *root;
    LOAM_TRY(parse(&root, text, size, name, error));
    enum loam_status status = take_members(messages, root, name, error);
    json_decref(root);
    return status == LOAM_OK ? check_messages(messages->items, name, log, error) : status;
}

enum loam_status loam_messages_parse_tools(struct loam_messages *messages, const char *text, size_t size,
                                           const char *name, struct loam_error *error)
{
    json_t *root;
    LOAM_TRY(parse(&root, text, size, name, error));
    if (!json_is_array(root)) {
        json_decref(root);
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: expected a JSON array of tools", name);
    }
    json_decref(messages->tools);
    messages->tools = root;
    return LOAM_OK;
}

// ---- messages ----

size_t loam_messages_size(const struct loam_messages *messages)
{
    return json_array_size(messages->items);
}

const char *loam_messages_role(const struct loam_messages *messages, size_t index)
{
    const char *role = json_string_value(json_object_get(json_array_get(messages->items, index), "role"));
    return role == NULL ? "" : role;
}

static json_t *make_message(const char *role, const char *text, size_t size)
{
    json_t *message = json_object();
    loam_json_put(&message, "role", json_string(role));
    loam_json_put(&message, "content", json_stringn(text, size));
    return message;
}

enum loam_status loam_messages_add(struct loam_messages *messages, const char *role, const char *text,
                                   size_t size, struct loam_error *error)
{
    if (text == NULL) text = "";
    if (loam_utf8_check(text, size) != size)
        return loam_fail(error, LOAM_ERROR_FORMAT, "the message is not UTF-8: byte %zu is invalid",
                         loam_utf8_check(text, size) + 1);
    if (messages->items == NULL) messages->items = json_array();
    if (json_array_append_new(messages->items, make_message(role, text, size)) == 0) return LOAM_OK;
    return fail_memory(error);
}

void loam_messages_shorten(struct loam_messages *messages, size_t count)
{
    while (loam_messages_size(messages) > count)
        json_array_remove(messages->items, loam_messages_size(messages) - 1);
    if (messages->dropped >= count) messages->dropped = 0;
}

// The number of system messages at the start, 0 or 1.
static size_t count_system(const struct loam_messages *messages)
{
    return strcmp(loam_messages_role(messages, 0), "system") == 0;
}

enum loam_status loam_messages_set_system(struct loam_messages *messages, const char *text,
                                          struct loam_error *error)
{
    if (loam_utf8_check(text, strlen(text)) != strlen(text))
        return loam_fail(error, LOAM_ERROR_FORMAT, "the system message is not UTF-8: byte %zu is invalid",
                         loam_utf8_check(text, strlen(text)) + 1);
    if (messages->items == NULL) messages->items = json_array();
    if (count_system(messages) > 0) json_array_remove(messages->items, 0);
    if (text[0] == '\0') return LOAM_OK;
    json_t *message = make_message("system", text, strlen(text));
    return json_array_insert_new(messages->items, 0, message) == 0 ? LOAM_OK : fail_memory(error);
}

// ---- prompts ----

bool loam_messages_drop_turn(struct loam_messages *messages)
{
    const size_t system = count_system(messages), count = loam_messages_size(messages);
    for (size_t i = system + messages->dropped + 1; i < count; i++) {
        if (strcmp(loam_messages_role(messages, i), "user") != 0) continue;
        messages->dropped = i - system;
        return true;
    }
    return false;
}

enum loam_status loam_messages_window(const struct loam_messages *messages, json_t **window,
                                      struct loam_error *error)
{
    const size_t system = count_system(messages), count = loam_messages_size(messages);
    *window = json_array();
    for (size_t i = 0; i < count; i++)
        if (i < system || i >= system + messages->dropped)
            loam_json_push(window, json_incref(json_array_get(messages->items, i)));
    return *window == NULL ? fail_memory(error) : LOAM_OK;
}

// ---- saving ----

// Returns whether the last line of a file has no line break. A pipe has no last line.
static bool ends_within_line(FILE *file)
{
    if (fseek(file, -1, SEEK_END) != 0) return false;
    const int last = fgetc(file);
    (void)fseek(file, 0, SEEK_END);
    return last != EOF && last != '\n';
}

static enum loam_status append_line(const char *path, const struct loam_bytes *line, struct loam_error *error)
{
    FILE *file = fopen(path, "a+e");
    if (file == NULL) return loam_fail(error, LOAM_ERROR_IO, "cannot write %s: %s", path, strerror(errno));
    const bool joins = ends_within_line(file);
    const bool written =
        (!joins || fputc('\n', file) != EOF) && fwrite(line->data, 1, line->size, file) == line->size;
    const int reason = errno;
    if (fclose(file) == 0 && written) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_IO, "cannot write %s: %s", path, strerror(written ? errno : reason));
}

enum loam_status loam_messages_save(const struct loam_messages *messages, const char *path,
                                    struct loam_error *error)
{
    struct loam_bytes line = {0};
    json_t *record = json_object();
    loam_json_put(&record, "messages", json_incref(messages->items));
    enum loam_status status = loam_json_append(&line, record, JSON_COMPACT, error);
    json_decref(record);
    if (status == LOAM_OK) status = loam_bytes_append_text(&line, "\n", error);
    if (status == LOAM_OK) status = append_line(path, &line, error);
    loam_bytes_deinit(&line);
    return status;
}
