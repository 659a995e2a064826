#include "data/record_shape.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

static const char *const text_names[] = {"text"};
static const char *const completion_names[] = {"prompt", "completion"};
static const char *const instruction_names[] = {"instruction", "output", "input"};

#define TEXTS(list, needed)                                                                                  \
    {                                                                                                        \
        list, sizeof(list) / sizeof *(list), needed                                                          \
    }

static const struct shape {
    const char *title;
    struct loam_record_texts texts;
} shapes[] = {
    [LOAM_RECORD_TEXT] = {"texts", TEXTS(text_names, 1)},
    [LOAM_RECORD_COMPLETION] = {"prompts and completions", TEXTS(completion_names, 2)},
    [LOAM_RECORD_CHAT_COMPLETION] = {"prompts and completions that are messages", {0}},
    [LOAM_RECORD_INSTRUCTION] = {"instructions", TEXTS(instruction_names, 2)},
    [LOAM_RECORD_MESSAGES] = {"conversations", {0}},
    [LOAM_RECORD_PREFERENCE] = {"preference pairs", {0}},
    [LOAM_RECORD_SQUAD] = {"SQuAD questions", {0}},
    [LOAM_RECORD_CHOICES] = {"questions with choices", {0}},
    // The only field that is read without a template. A record without it is refused with advice.
    [LOAM_RECORD_FIELDS] = {"other fields", TEXTS(text_names, 1)},
};

// The shapes by their fields. `is_list`: the first field is an array.
static const struct rule {
    const char *fields[2];
    bool is_list;
    enum loam_record_shape shape;
} rules[] = {
    {{"text", NULL}, false, LOAM_RECORD_TEXT},
    {{"messages", NULL}, false, LOAM_RECORD_MESSAGES},
    {{"conversations", NULL}, false, LOAM_RECORD_MESSAGES},
    {{"chosen", "rejected"}, false, LOAM_RECORD_PREFERENCE},
    {{"prompt", "completion"}, true, LOAM_RECORD_CHAT_COMPLETION},
    {{"prompt", "completion"}, false, LOAM_RECORD_COMPLETION},
    {{"choices", "answer"}, false, LOAM_RECORD_CHOICES},
    {{"instruction", "output"}, false, LOAM_RECORD_INSTRUCTION},
};

const char *loam_record_shape_title(enum loam_record_shape shape)
{
    return shapes[shape].title;
}

struct loam_record_texts loam_record_texts_of(enum loam_record_shape shape)
{
    return shapes[shape].texts;
}

static bool has(const json_t *tree, const char *field)
{
    const json_t *value = field != NULL ? json_object_get(tree, field) : NULL;
    return field == NULL || (value != NULL && !json_is_null(value));
}

enum loam_record_shape loam_record_recognise(const json_t *tree)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        const struct rule *rule = &rules[i];
        if (!has(tree, rule->fields[0]) || !has(tree, rule->fields[1])) continue;
        if (!rule->is_list || json_is_array(json_object_get(tree, rule->fields[0]))) return rule->shape;
    }
    return LOAM_RECORD_FIELDS;
}

// ---- Checks ----

static enum loam_status check_texts(const json_t *tree, enum loam_record_shape shape,
                                    struct loam_record_place place, struct loam_error *error)
{
    const struct loam_record_texts texts = shapes[shape].texts;
    for (size_t i = 0; i < texts.count; i++) {
        const json_t *value = json_object_get(tree, texts.names[i]);
        if (value == NULL && i >= texts.required) continue;
        if (!json_is_string(value) && !json_is_number(value))
            return loam_record_fail_field(place, texts.names[i], "a string or a number", error);
    }
    return LOAM_OK;
}

// Checks that the named fields are all strings or all lists of messages, as the first one.
static enum loam_status check_alike(const json_t *tree, const char *const *names, size_t count,
                                    struct loam_record_place place, struct loam_record_notes *notes,
                                    struct loam_error *error)
{
    const bool is_list = json_is_array(json_object_get(tree, names[0]));
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_object_get(tree, names[i]);
        if (is_list && json_is_array(value))
            LOAM_TRY(loam_messages_check(value, names[i], place, notes, error));
        else if (is_list || !json_is_string(value))
            return loam_record_fail_field(
                place, names[i], is_list ? "a list of messages, as the other fields" : "a string", error);
    }
    return LOAM_OK;
}

static enum loam_status check_preference(const json_t *tree, struct loam_record_place place,
                                         struct loam_record_notes *notes, struct loam_error *error)
{
    static const char *const names[] = {"chosen", "rejected", "prompt"};
    return check_alike(tree, names, has(tree, "prompt") ? 3 : 2, place, notes, error);
}

static enum loam_status check_messages(json_t *tree, struct loam_record_place place,
                                       struct loam_record_notes *notes, struct loam_error *error)
{
    if (!has(tree, "messages") && has(tree, "conversations"))
        LOAM_TRY(loam_messages_convert(tree, place, error));
    LOAM_TRY(loam_messages_read_tools(tree, place, error));
    return loam_messages_check(json_object_get(tree, "messages"), "messages", place, notes, error);
}

static enum loam_status check_chat_completion(json_t *tree, struct loam_record_place place,
                                              struct loam_record_notes *notes, struct loam_error *error)
{
    LOAM_TRY(loam_messages_read_tools(tree, place, error));
    return check_alike(tree, completion_names, 2, place, notes, error);
}

// The index that a text names: a number from 0 on, or a letter from A on. `count`: none.
static size_t read_index(const char *text, size_t count)
{
    char *end;
    if (text[0] >= 'A' && text[0] <= 'Z' && text[1] == '\0' && (size_t)(text[0] - 'A') < count)
        return (size_t)(text[0] - 'A');
    if (text[0] < '0' || text[0] > '9') return count;
    const unsigned long index = strtoul(text, &end, 10);
    return *end == '\0' && index < count ? index : count;
}

// The index of the right choice; `count`: none.
static size_t find_answer(const json_t *choices, const json_t *answer)
{
    const size_t count = json_array_size(choices);
    if (json_is_integer(answer)) {
        const json_int_t index = json_integer_value(answer);
        return index >= 0 && (uintmax_t)index < count ? (size_t)index : count;
    }
    if (!json_is_string(answer)) return count;
    size_t i = 0;
    while (i < count && !json_equal(json_array_get(choices, i), answer))
        i++;
    return i < count ? i : read_index(json_string_value(answer), count);
}

static enum loam_status check_choices(json_t *tree, struct loam_record_place place, struct loam_error *error)
{
    const json_t *choices = json_object_get(tree, "choices");
    const size_t count = json_array_size(choices);
    bool good = count >= 2;
    for (size_t i = 0; i < count; i++)
        good = good && json_is_string(json_array_get(choices, i));
    if (!good) return loam_record_fail_field(place, "choices", "an array of at least two strings", error);
    if (has(tree, "question") && !json_is_string(json_object_get(tree, "question")))
        return loam_record_fail_field(place, "question", "a string", error);
    const size_t index = find_answer(choices, json_object_get(tree, "answer"));
    if (index == count)
        return loam_record_fail_field(
            place, "answer", "the index of a choice, from 0 on, its text, or its letter, from A on", error);
    return loam_record_set(tree, "answer", json_integer((json_int_t)index), error);
}

enum loam_status loam_record_check(json_t *tree, enum loam_record_shape shape, struct loam_record_place place,
                                   struct loam_record_notes *notes, struct loam_error *error)
{
    switch (shape) {
    case LOAM_RECORD_MESSAGES:
        return check_messages(tree, place, notes, error);
    case LOAM_RECORD_CHAT_COMPLETION:
        return check_chat_completion(tree, place, notes, error);
    case LOAM_RECORD_PREFERENCE:
        return check_preference(tree, place, notes, error);
    case LOAM_RECORD_CHOICES:
        return check_choices(tree, place, error);
    case LOAM_RECORD_TEXT:
    case LOAM_RECORD_COMPLETION:
    case LOAM_RECORD_INSTRUCTION:
        return check_texts(tree, shape, place, error);
    case LOAM_RECORD_SQUAD:
    case LOAM_RECORD_FIELDS:
        break;
    }
    return LOAM_OK;
}
