#include "data/question.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "data/dataset_read.h"

void loam_question_deinit(struct loam_question *question)
{
    loam_example_deinit(&question->prompt);
    loam_bytes_deinit(&question->rest);
    loam_text_list_deinit(&question->golds);
    loam_text_list_deinit(&question->options);
    *question = (struct loam_question){0};
}

// ---- Prompts ----

// Opens the record of an example. `*opened` is false for a piece of a text, which has no prompt.
static enum loam_status open_record(struct loam_dataset *dataset, size_t index,
                                    struct loam_dataset_reading *reading, struct loam_example *example,
                                    bool *opened, struct loam_error *error)
{
    *reading = (struct loam_dataset_reading){0};
    *opened = false;
    LOAM_TRY(loam_dataset_check_index(dataset, index, error));
    const struct loam_split_place place = loam_splits_find(&dataset->splits, index);
    if (place.split != NULL && place.split->is_text) return LOAM_OK;
    *opened = true;
    return loam_dataset_reading_open(dataset, &place, reading, example, error);
}

// Without an answer in a conversation, or without a template, there is no prompt.
static bool has_prompt(struct loam_dataset_reading *reading)
{
    struct loam_conversation *conversation = &reading->conversation;
    if (!reading->is_chat) return reading->fields.prompt_template != NULL;
    if (conversation->prompt_count == 0)
        conversation->prompt_count = loam_chat_prompt_count(conversation->messages);
    return conversation->prompt_count > 0;
}

static enum loam_status build_text_prompt(struct loam_dataset *dataset,
                                          const struct loam_dataset_reading *reading, int32_t max_length,
                                          struct loam_example *example, struct loam_error *error)
{
    struct loam_example_source source;
    const struct loam_example_options *options = &dataset->example_options;
    LOAM_TRY(loam_dataset_render(dataset, &reading->fields, true, &source, error));
    LOAM_TRY(loam_bytes_reserve(&dataset->rendered.text, 1, error)); // the text must not be NULL
    LOAM_TRY(loam_example_build_prompt(example, &dataset->rendered, options->tokenizer, options->special,
                                       max_length, &dataset->work, error));
    return loam_example_check_vocabulary(example, loam_data_file_path(reading->file), options->vocabulary,
                                         error);
}

enum loam_status loam_dataset_prompt(struct loam_dataset *dataset, size_t index, struct loam_example *example,
                                     struct loam_error *error)
{
    struct loam_dataset_reading reading;
    bool opened;
    example->count = example->length = 0;
    enum loam_status status = open_record(dataset, index, &reading, example, &opened, error);
    if (status == LOAM_OK && opened && has_prompt(&reading))
        status = reading.is_chat ? loam_chat_prompt_build(example, &reading.conversation, &dataset->chat,
                                                          &dataset->chat_work, error)
                                 : build_text_prompt(dataset, &reading, dataset->example_options.max_length,
                                                     example, error);
    loam_dataset_reading_close(&reading);
    return status;
}

// The settings for a conversation of which only the answer counts.
static struct loam_chat_options chat_options(const struct loam_dataset *dataset, int32_t max_length)
{
    struct loam_chat_options options = dataset->chat;
    options.loss_on = LOAM_LOSS_ON_COMPLETION;
    options.too_long = LOAM_TOO_LONG_CUT;
    options.max_length = max_length;
    return options;
}

// ---- The end of an answer ----

enum loam_status loam_dataset_stops(struct loam_dataset *dataset, const int32_t **ids, size_t *count,
                                    struct loam_error *error)
{
    struct loam_answer_stops *stops = &dataset->stops;
    if (dataset->has_chat && stops->count == 0)
        LOAM_TRY(loam_chat_stops(&dataset->chat, &dataset->chat_work, &stops->ids, &stops->count,
                                 &stops->capacity, error));
    *ids = stops->ids;
    *count = stops->count;
    return LOAM_OK;
}

static bool is_stop(const struct loam_dataset *dataset, int32_t id)
{
    for (size_t i = 0; i < dataset->stops.count; i++)
        if (dataset->stops.ids[i] == id) return true;
    return loam_special_tokens_is_stop(dataset->example_options.special, id);
}

const char *loam_dataset_stop_text(const struct loam_dataset *dataset)
{
    const char *end = dataset->has_chat ? dataset->chat.source->end : NULL;
    if (end == NULL || loam_tokenizer_token_to_id(dataset->chat.tokenizer, end) >= 0) return NULL;
    return end;
}

// The tokens [*begin, *end) of an example that are learnt, up to the one that ends the answer.
static void find_answer(const struct loam_dataset *dataset, const struct loam_example *example,
                        int32_t *begin, int32_t *end)
{
    *begin = 0;
    while (*begin < example->count && example->weights[*begin] == 0)
        ++*begin;
    *end = *begin;
    while (*end < example->count && example->weights[*end] != 0 && !is_stop(dataset, example->ids[*end]))
        ++*end;
}

// ---- Right answers ----

static enum loam_status add_gold(struct loam_question *question, const json_t *value,
                                 struct loam_error *error)
{
    const json_t *text = json_is_object(value) ? json_object_get(value, "text") : value;
    return json_is_string(text) ? loam_text_list_add(&question->golds, json_string_value(text), error)
                                : LOAM_OK;
}

// The messages up to the answer.
static json_t *take_messages(const struct loam_conversation *conversation)
{
    json_t *messages = json_array();
    for (size_t i = 0; i <= conversation->prompt_count; i++)
        loam_json_push(&messages, json_incref(json_array_get(conversation->messages, i)));
    return messages;
}

// Appends the text of the answer's tokens, but for what the prompt has already.
static enum loam_status add_decoded(struct loam_dataset *dataset, const struct loam_example *example,
                                    struct loam_question *question, struct loam_error *error)
{
    struct loam_bytes text = {0};
    int32_t begin, end;
    find_answer(dataset, example, &begin, &end);
    enum loam_status status = loam_bytes_reserve(&text, 1, error);
    if (status == LOAM_OK)
        status = loam_tokenizer_decode(dataset->example_options.tokenizer, example->ids + begin,
                                       (size_t)(end - begin), true, &text, error);
    if (status == LOAM_OK) status = loam_bytes_append(&text, "", 1, error);
    if (status == LOAM_OK) {
        const size_t rest = question->rest.size;
        const bool repeats = text.size > rest && memcmp(text.data, question->rest.data, rest) == 0;
        char *start = text.data + (rest > 0 && repeats ? rest : 0);
        const char *stop_text = loam_dataset_stop_text(dataset);
        char *stop = stop_text != NULL ? strstr(start, stop_text) : NULL;
        if (stop != NULL) *stop = '\0';
        status = loam_text_list_add(&question->golds, start, error);
    }
    loam_bytes_deinit(&text);
    return status;
}

static enum loam_status add_rendered(struct loam_dataset *dataset, const struct loam_dataset_reading *reading,
                                     struct loam_question *question, struct loam_error *error)
{
    json_t *messages = take_messages(&reading->conversation);
    if (messages == NULL) return loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: a conversation");
    const struct loam_conversation conversation = {.messages = messages,
                                                   .tools = reading->conversation.tools,
                                                   .prompt_count = reading->conversation.prompt_count};
    const struct loam_chat_options options = chat_options(dataset, INT32_MAX);
    struct loam_example example = {0};
    enum loam_example_fate fate;
    snprintf(example.id, sizeof example.id, "%s", question->prompt.id);
    enum loam_status status =
        loam_chat_example_build(&example, &conversation, &options, &dataset->chat_work, &fate, error);
    if (status == LOAM_OK) status = add_decoded(dataset, &example, question, error);
    loam_example_deinit(&example);
    json_decref(messages);
    return status;
}

static const char *completion_name(const struct loam_dataset_reading *reading)
{
    const struct loam_template *chosen = reading->fields.prompt_template;
    return loam_template_field_name(chosen, loam_template_field_count(chosen) - 1);
}

// The field that follows the prompt.
static const struct loam_field *find_completion(const struct loam_dataset_reading *reading)
{
    const struct loam_record_fields *fields = &reading->fields;
    const char *name = completion_name(reading);
    size_t i = 0;
    while (i + 1 < fields->count && strcmp(fields->items[i].name, name) != 0)
        i++;
    return &fields->items[i];
}

static enum loam_status add_completion(const struct loam_dataset_reading *reading,
                                       struct loam_question *question, struct loam_error *error)
{
    struct loam_bytes text = {0};
    const struct loam_field *field = find_completion(reading);
    enum loam_status status = loam_bytes_append(&text, field->value, field->size, error);
    if (status == LOAM_OK) status = loam_bytes_append(&text, "", 1, error);
    if (status == LOAM_OK) status = loam_text_list_add(&question->golds, text.data, error);
    loam_bytes_deinit(&text);
    return status;
}

// ---- Choices ----

// Takes the right answers of a list, which may be the member "text" of an object.
static enum loam_status take_list(const json_t *answers, struct loam_question *question,
                                  struct loam_error *error)
{
    if (json_is_object(answers)) answers = json_object_get(answers, "text");
    question->has_list = json_is_array(answers);
    for (size_t i = 0; i < json_array_size(answers); i++)
        LOAM_TRY(add_gold(question, json_array_get(answers, i), error));
    return LOAM_OK;
}

static enum loam_status take_choices(const json_t *tree, struct loam_question *question,
                                     struct loam_error *error)
{
    const json_t *choices = json_object_get(tree, "choices");
    for (size_t i = 0; i < json_array_size(choices); i++)
        LOAM_TRY(
            loam_text_list_add(&question->options, json_string_value(json_array_get(choices, i)), error));
    question->right = (size_t)json_integer_value(json_object_get(tree, "answer"));
    return LOAM_OK;
}

// Takes the lists that a record has beside its prompt and its completion. With a template, fields that it does not name
// may be anything.
static enum loam_status take_lists(struct loam_dataset *dataset, size_t index, struct loam_question *question,
                                   struct loam_error *error)
{
    struct loam_record record;
    struct loam_error refusal = {.status = LOAM_OK};
    const enum loam_status status = loam_dataset_record(dataset, index, &record, &refusal);
    if (status == LOAM_ERROR_MEMORY) return loam_fail(error, status, "%s", refusal.message);
    if (status != LOAM_OK || record.shape == LOAM_RECORD_SQUAD) return LOAM_OK;
    if (record.shape == LOAM_RECORD_CHOICES) return take_choices(record.tree, question, error);
    return take_list(json_object_get(record.tree, "answers"), question, error);
}

// Writes the options as the field "answer" of a template's record is: as texts, letters or numbers.
static enum loam_status write_options(const struct loam_dataset_reading *reading,
                                      struct loam_question *question, struct loam_error *error)
{
    const struct loam_field *answer = find_completion(reading);
    struct loam_text_list *options = &question->options, written = {0};
    const char *right = options->items[question->right];
    char text[24];
    if (answer->size == strlen(right) && memcmp(answer->value, right, answer->size) == 0) return LOAM_OK;
    const bool is_number = answer->value[0] >= '0' && answer->value[0] <= '9';
    enum loam_status status = LOAM_OK;
    for (size_t i = 0; i < options->count && status == LOAM_OK; i++) {
        if (is_number)
            snprintf(text, sizeof text, "%zu", i);
        else
            snprintf(text, sizeof text, "%c", (int)('A' + i));
        status = loam_text_list_add(&written, text, error);
    }
    loam_text_list_deinit(options);
    *options = written;
    return status;
}

// Whether "answer" is what is learnt of the record.
static bool learns_answer(const struct loam_dataset_reading *reading)
{
    return reading->is_chat || strcmp(completion_name(reading), "answer") == 0;
}

static enum loam_status build_text_option(struct loam_dataset *dataset, struct loam_dataset_reading *reading,
                                          const char *option, int32_t max_length,
                                          struct loam_example *example, struct loam_error *error)
{
    struct loam_example_options options = dataset->example_options;
    struct loam_special_tokens special = *options.special;
    struct loam_example_source source;
    struct loam_bytes *text = &dataset->rendered.text;
    enum loam_example_fate fate;
    special.add_eos = false;
    options.special = &special;
    options.loss_on = LOAM_LOSS_ON_COMPLETION;
    options.too_long = LOAM_TOO_LONG_DROP;
    options.max_length = max_length;
    options.name = loam_data_file_path(reading->file);
    LOAM_TRY(loam_dataset_render(dataset, &reading->fields, true, &source, error));
    source.completion_start = text->size;
    LOAM_TRY(loam_bytes_append_text(text, option, error));
    source.text = text->data;
    source.size = text->size;
    source.wants_eos = false;
    return loam_example_build(example, &source, &options, &dataset->work, &fate, error);
}

static enum loam_status build_chat_option(struct loam_dataset *dataset, struct loam_dataset_reading *reading,
                                          const char *option, int32_t max_length,
                                          struct loam_example *example, struct loam_error *error)
{
    json_t *answer = json_array_get(reading->made, reading->conversation.prompt_count);
    struct loam_chat_options options = chat_options(dataset, max_length);
    enum loam_example_fate fate;
    options.too_long = LOAM_TOO_LONG_DROP;
    LOAM_TRY(loam_record_set(answer, "content", json_string_nocheck(option), error));
    return loam_chat_example_build(example, &reading->conversation, &options, &dataset->chat_work, &fate,
                                   error);
}

// Leaves out the tokens that end the answer, and those after them.
static void end_option(const struct loam_dataset *dataset, struct loam_example *example)
{
    int32_t begin, end;
    find_answer(dataset, example, &begin, &end);
    example->count = end;
}

enum loam_status loam_dataset_option(struct loam_dataset *dataset, size_t index,
                                     const struct loam_question *question, size_t option, int32_t max_length,
                                     struct loam_example *example, struct loam_error *error)
{
    struct loam_dataset_reading reading;
    const char *text = question->options.items[option];
    bool opened;
    enum loam_status status = open_record(dataset, index, &reading, example, &opened, error);
    if (status == LOAM_OK && opened)
        status = (reading.is_chat ? build_chat_option : build_text_option)(dataset, &reading, text,
                                                                           max_length, example, error);
    loam_dataset_reading_close(&reading);
    if (status == LOAM_OK) end_option(dataset, example);
    return status;
}

// ---- Questions ----

static enum loam_status read_prompt(struct loam_dataset *dataset, struct loam_dataset_reading *reading,
                                    int32_t max_length, struct loam_question *question,
                                    struct loam_error *error)
{
    struct loam_example *prompt = &question->prompt;
    const struct loam_bytes *text = &dataset->rendered.text;
    size_t cut;
    if (reading->is_chat) {
        const struct loam_chat_options options = chat_options(dataset, max_length);
        LOAM_TRY(
            loam_chat_prompt_build(prompt, &reading->conversation, &options, &dataset->chat_work, error));
        text = &dataset->chat_work.rendering.text;
        cut = dataset->chat_work.prompt.cut;
    } else {
        LOAM_TRY(build_text_prompt(dataset, reading, max_length, prompt, error));
        cut = dataset->work.prompt.cut;
    }
    return loam_bytes_append(&question->rest, text->data + cut, text->size - cut, error);
}

// Whether an answer of the assistant follows the prompt of a conversation.
static bool is_answered(const struct loam_dataset_reading *reading)
{
    const struct loam_conversation *conversation = &reading->conversation;
    const json_t *next = json_array_get(conversation->messages, conversation->prompt_count);
    const char *role = json_string_value(json_object_get(next, "role"));
    return !reading->is_chat || (role != NULL && strcmp(role, "assistant") == 0);
}

// Reads the gold answers of a question of SQuAD, where they are what follows the prompt.
static enum loam_status read_squad(const struct loam_dataset_reading *reading, struct loam_question *question,
                                   struct loam_error *error)
{
    struct loam_squad_question squad;
    if (!loam_data_file_question(reading->file, reading->local, &squad)) return LOAM_OK;
    if (strcmp(completion_name(reading), reading->fields.items[LOAM_SQUAD_ANSWER].name) != 0) return LOAM_OK;
    question->kind = LOAM_QUESTION_SQUAD;
    for (size_t i = 0; i < squad.answer_count; i++)
        LOAM_TRY(loam_text_list_add(&question->golds, squad.answers[i], error));
    return LOAM_OK;
}

// Reads the question of a record that has a prompt.
static enum loam_status read_question(struct loam_dataset *dataset, struct loam_dataset_reading *reading,
                                      int32_t max_length, struct loam_question *question,
                                      struct loam_error *error)
{
    LOAM_TRY(read_prompt(dataset, reading, max_length, question, error));
    question->is_chat = reading->is_chat;
    if (!is_answered(reading) || (question->prompt.count == 0 && !question->prompt.dropped)) return LOAM_OK;
    if (question->options.count > 0 && learns_answer(reading)) {
        question->kind = LOAM_QUESTION_CHOICE;
        return reading->is_chat ? LOAM_OK : write_options(reading, question, error);
    }
    question->kind = LOAM_QUESTION_ANSWER;
    if (!reading->is_chat) LOAM_TRY(read_squad(reading, question, error));
    if (question->kind == LOAM_QUESTION_SQUAD || question->has_list) return LOAM_OK;
    return reading->is_chat ? add_rendered(dataset, reading, question, error)
                            : add_completion(reading, question, error);
}

enum loam_status loam_dataset_question(struct loam_dataset *dataset, size_t index, int32_t max_length,
                                       struct loam_question *question, struct loam_error *error)
{
    struct loam_dataset_reading reading;
    bool opened;
    const int32_t *stops;
    size_t stop_count;
    loam_text_list_deinit(&question->golds);
    loam_text_list_deinit(&question->options);
    loam_bytes_clear(&question->rest);
    question->kind = LOAM_QUESTION_NONE;
    question->is_chat = question->has_list = question->prompt.dropped = false;
    question->prompt.count = question->prompt.length = 0;
    LOAM_TRY(loam_dataset_stops(dataset, &stops, &stop_count, error));
    LOAM_TRY(take_lists(dataset, index, question, error));
    enum loam_status status = open_record(dataset, index, &reading, &question->prompt, &opened, error);
    if (status == LOAM_OK && opened && has_prompt(&reading))
        status = read_question(dataset, &reading, max_length, question, error);
    loam_dataset_reading_close(&reading);
    return status;
}

enum loam_status loam_dataset_has_choices(struct loam_dataset *dataset, bool *has, struct loam_error *error)
{
    struct loam_question question = {0};
    enum loam_status status = LOAM_OK;
    *has = false;
    for (size_t i = 0; i < dataset->file_count && !*has && status == LOAM_OK; i++) {
        const int32_t max_length = dataset->example_options.max_length;
        status = loam_dataset_question(dataset, loam_splits_first(&dataset->splits, dataset->firsts[i]),
                                       max_length, &question, error);
        *has = question.kind == LOAM_QUESTION_CHOICE;
    }
    loam_question_deinit(&question);
    return status;
}
