#include "data/chat_messages.h"

#include <stdint.h>
#include <string.h>

#include "base/json.h"

bool loam_chat_has_role(const json_t *messages, size_t index, const char *role)
{
    const char *found = json_string_value(json_object_get(json_array_get(messages, index), "role"));
    return found != NULL && strcmp(found, role) == 0;
}

size_t loam_chat_find_last(const json_t *messages, const char *role)
{
    for (size_t i = json_array_size(messages); i-- > 0;)
        if (loam_chat_has_role(messages, i, role)) return i;
    return SIZE_MAX;
}

size_t loam_chat_prompt_count(const json_t *messages)
{
    const size_t last = loam_chat_find_last(messages, "assistant");
    return last == SIZE_MAX ? 0 : last;
}

size_t loam_chat_count_system(const json_t *messages)
{
    size_t count = 0;
    while (loam_chat_has_role(messages, count, "system") || loam_chat_has_role(messages, count, "developer"))
        count++;
    return count;
}

// A copy of a message without the keys whose value is null; NULL for lack of memory.
static json_t *copy_message(const json_t *message)
{
    json_t *copy = json_copy((json_t *)(uintptr_t)message), *value; // jansson's functions take no const
    const char *key;
    void *next;
    if (json_object_size(copy) != json_object_size(message)) { // json_copy() ignores lack of memory
        json_decref(copy);
        return NULL;
    }
    json_object_foreach_safe(copy, next, key, value)
    {
        if (json_is_null(value)) json_object_del(copy, key);
    }
    return copy;
}

enum loam_status loam_chat_copy_messages(const json_t *messages, size_t count, json_t **copy,
                                         struct loam_error *error)
{
    if (!json_is_array(messages))
        return loam_fail(error, LOAM_ERROR_FORMAT, "the messages must be an array of objects");
    *copy = json_array();
    for (size_t i = 0; i < count && i < json_array_size(messages); i++)
        loam_json_push(copy, copy_message(json_array_get(messages, i)));
    return *copy != NULL ? LOAM_OK : loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: a conversation");
}
