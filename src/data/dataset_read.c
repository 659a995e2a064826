#include "data/dataset_read.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/machine.h"
#include "base/utf8.h"
#include "data/chat_record.h"
#include "data/chat_split.h"
#include "data/record_shape.h"
#include "model/batch.h"

bool loam_dataset_is_chat(const struct loam_dataset *dataset, const struct loam_data_file *file)
{
    const enum loam_record_shape shape = loam_data_file_shape(file);
    return loam_record_has_messages(shape) || (dataset->has_chat && loam_record_is_answered(shape));
}

enum loam_loss_on loam_dataset_default_loss(const struct loam_data_file *file)
{
    const enum loam_record_shape shape = loam_data_file_shape(file);
    if (shape == LOAM_RECORD_MESSAGES) return LOAM_LOSS_ON_ASSISTANT;
    return shape == LOAM_RECORD_CHAT_COMPLETION || loam_record_is_answered(shape) ? LOAM_LOSS_ON_COMPLETION
                                                                                  : LOAM_LOSS_ON_ALL;
}

enum loam_status loam_dataset_check_index(const struct loam_dataset *dataset, size_t index,
                                          struct loam_error *error)
{
    if (index < dataset->counts.examples) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_ARGUMENT, "%s: record %zu is out of range: the file has %zu",
                     dataset->name, index, dataset->counts.examples);
}

// Returns the file of a record, and the record's index in it.
static struct loam_data_file *find_file(const struct loam_dataset *dataset, size_t index, size_t *local)
{
    size_t low = 0, high = dataset->file_count; // the file is in [low, high)
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (dataset->firsts[middle] <= index)
            low = middle;
        else
            high = middle;
    }
    *local = index - dataset->firsts[low];
    return dataset->files[low];
}

static size_t record_of(const struct loam_dataset *dataset, size_t index)
{
    return loam_splits_find(&dataset->splits, index).record;
}

static void set_record_id(struct loam_example *example, const struct loam_record_fields *fields)
{
    if (fields->id_size == 0)
        snprintf(example->id, sizeof example->id, "line %zu", fields->line);
    else
        snprintf(example->id, sizeof example->id, "%.*s",
                 (int)loam_utf8_fit(fields->id, fields->id_size, sizeof example->id - 1), fields->id);
}

// Fails for records that are neither texts nor conversations.
static enum loam_status refuse_shape(const struct loam_dataset *dataset, const struct loam_data_file *file,
                                     struct loam_error *error)
{
    const enum loam_record_shape shape = loam_data_file_shape(file);
    const char *advice = "they need a chat template, such as --chat-template chatml";
    if (shape == LOAM_RECORD_PREFERENCE)
        advice = "loam trains on single texts: --map text=chosen learns the chosen ones";
    if (shape == LOAM_RECORD_CHOICES)
        advice = "give --template FILE with the fields to learn, such as {question}";
    const char *reason = loam_record_has_messages(shape) ? dataset->chat_refusal : NULL;
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s: the records are %s: %s%s%s", loam_data_file_path(file),
                     loam_record_shape_title(shape), advice, reason != NULL ? ": " : "",
                     reason != NULL ? reason : "");
}

enum loam_status loam_dataset_render(struct loam_dataset *dataset, const struct loam_record_fields *fields,
                                     bool prompt_only, struct loam_example_source *source,
                                     struct loam_error *error)
{
    const struct loam_template *chosen = fields->prompt_template;
    if (chosen == NULL) {
        *source = (struct loam_example_source){
            .text = fields->items[0].value, .size = fields->items[0].size, .wants_eos = fields->wants_eos};
        return LOAM_OK;
    }
    struct loam_rendered *rendered = &dataset->rendered;
    LOAM_TRY(loam_template_render(chosen, fields->items, fields->count, dataset->example_options.special,
                                  prompt_only, rendered, error));
    *source = (struct loam_example_source){
        .text = rendered->text.data,
        .size = rendered->text.size,
        .marks = rendered->marks,
        .mark_count = rendered->mark_count,
        .completion_start = rendered->completion_start,
        .context_start = rendered->context_start,
        .context_end = rendered->context_end,
        .has_context = loam_template_field_count(chosen) > 1,
        .wants_eos = fields->wants_eos,
    };
    return LOAM_OK;
}

static void count_fate(struct loam_dataset *dataset, size_t index, enum loam_example_fate fate,
                       bool has_label)
{
    if (dataset->is_counted[index]) return;
    dataset->is_counted[index] = 1;
    dataset->counts.cut += fate == LOAM_EXAMPLE_CUT;
    dataset->counts.dropped += fate == LOAM_EXAMPLE_DROPPED;
    dataset->counts.without_label += fate != LOAM_EXAMPLE_DROPPED && !has_label;
}

// Takes the messages of a piece.
static enum loam_status take_piece(const struct loam_dataset *dataset, const struct loam_split_place *place,
                                   struct loam_dataset_reading *reading, struct loam_example *example,
                                   struct loam_error *error)
{
    size_t start, end;
    loam_splits_messages(&dataset->splits, place, &start, &end);
    loam_split_name(example, place);
    reading->piece = loam_chat_piece(reading->conversation.messages, start, end);
    reading->conversation.messages = reading->piece;
    return reading->piece != NULL ? LOAM_OK
                                  : loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: a conversation");
}

// Reads a record, or a piece of it, as a conversation.
static enum loam_status open_chat(struct loam_dataset *dataset, const struct loam_split_place *place,
                                  struct loam_dataset_reading *reading, struct loam_example *example,
                                  struct loam_error *error)
{
    struct loam_record record;
    enum loam_status status = loam_data_file_record(reading->file, reading->local, &record, error);
    snprintf(example->id, sizeof example->id, "line %zu", record.line);
    if (status != LOAM_OK) return status;
    dataset->chat.name = loam_data_file_path(reading->file);
    LOAM_TRY(loam_record_conversation(&record, &reading->conversation, &reading->made, error));
    return place->split != NULL ? take_piece(dataset, place, reading, example, error) : LOAM_OK;
}

// Reads a record as a text.
static enum loam_status open_text(struct loam_dataset *dataset, struct loam_dataset_reading *reading,
                                  struct loam_example *example, struct loam_error *error)
{
    enum loam_status status = loam_data_file_fields(reading->file, reading->local, &reading->fields, error);
    set_record_id(example, &reading->fields);
    if (status != LOAM_OK) return status;
    return reading->fields.count == 0 ? refuse_shape(dataset, reading->file, error) : LOAM_OK;
}

enum loam_status loam_dataset_reading_open(struct loam_dataset *dataset, const struct loam_split_place *place,
                                           struct loam_dataset_reading *reading, struct loam_example *example,
                                           struct loam_error *error)
{
    *reading = (struct loam_dataset_reading){0};
    reading->file = find_file(dataset, place->record, &reading->local);
    reading->is_chat = dataset->has_chat && loam_dataset_is_chat(dataset, reading->file);
    return reading->is_chat ? open_chat(dataset, place, reading, example, error)
                            : open_text(dataset, reading, example, error);
}

void loam_dataset_reading_close(struct loam_dataset_reading *reading)
{
    json_decref(reading->piece);
    json_decref(reading->made);
}

enum loam_status loam_dataset_build_text(struct loam_dataset *dataset,
                                         const struct loam_dataset_reading *reading, int32_t max_length,
                                         struct loam_example *example, enum loam_example_fate *fate,
                                         struct loam_error *error)
{
    struct loam_example_source source;
    struct loam_example_options options = dataset->example_options;
    options.name = loam_data_file_path(reading->file);
    options.max_length = max_length;
    options.loss_on = dataset->loss_on == LOAM_LOSS_ON_DEFAULT ? loam_dataset_default_loss(reading->file)
                                                               : dataset->loss_on;
    LOAM_TRY(loam_dataset_render(dataset, &reading->fields, false, &source, error));
    return loam_example_build(example, &source, &options, &dataset->work, fate, error);
}

// Makes the example of a record, or of a piece of a conversation.
static enum loam_status build_example(struct loam_dataset *dataset, const struct loam_split_place *place,
                                      struct loam_example *example, enum loam_example_fate *fate,
                                      struct loam_error *error)
{
    struct loam_dataset_reading reading;
    const int32_t max_length = dataset->example_options.max_length;
    enum loam_status status = loam_dataset_reading_open(dataset, place, &reading, example, error);
    if (status == LOAM_OK && reading.is_chat)
        status = loam_chat_example_build(example, &reading.conversation, &dataset->chat, &dataset->chat_work,
                                         fate, error);
    else if (status == LOAM_OK)
        status = loam_dataset_build_text(dataset, &reading, max_length, example, fate, error);
    loam_dataset_reading_close(&reading);
    return status;
}

static bool is_text_piece(const struct loam_split_place *place)
{
    return place->split != NULL && place->split->is_text;
}

static enum loam_status read_example(struct loam_dataset *dataset, size_t index, struct loam_example *example,
                                     enum loam_example_fate *fate, struct loam_error *error)
{
    LOAM_TRY(loam_dataset_check_index(dataset, index, error));
    const struct loam_split_place place = loam_splits_find(&dataset->splits, index);
    example->begins_inside = example->ends_inside = false;
    if (!is_text_piece(&place)) return build_example(dataset, &place, example, fate, error);
    *fate = LOAM_EXAMPLE_WHOLE;
    return loam_splits_read(&dataset->splits, &place, example, error);
}

enum loam_status loam_dataset_read(struct loam_dataset *dataset, size_t index, struct loam_example *example,
                                   struct loam_error *error)
{
    enum loam_example_fate fate = LOAM_EXAMPLE_WHOLE;
    LOAM_TRY(read_example(dataset, index, example, &fate, error));
    count_fate(dataset, index, fate, loam_labels_count(example->weights, example->count).count > 0);
    return LOAM_OK;
}

void loam_dataset_want_roles(struct loam_dataset *dataset)
{
    dataset->chat_work.wants_roles = true;
}

const unsigned char *loam_dataset_roles(const struct loam_dataset *dataset, size_t index)
{
    size_t local;
    const struct loam_data_file *file = find_file(dataset, record_of(dataset, index), &local);
    return dataset->has_chat && loam_dataset_is_chat(dataset, file) ? dataset->chat_work.roles : NULL;
}

enum loam_status loam_dataset_look(struct loam_dataset *dataset, size_t index, struct loam_example *example,
                                   struct loam_error *error)
{
    enum loam_example_fate fate;
    return read_example(dataset, index, example, &fate, error);
}

// Appends what the keys of the messages have, a line each: texts as they are, others as JSON.
static enum loam_status append_messages(struct loam_bytes *text, const json_t *messages,
                                        struct loam_error *error)
{
    for (size_t i = 0; i < json_array_size(messages); i++) {
        // jansson iterates over objects through pointers that are not const.
        json_t *message = (json_t *)(uintptr_t)json_array_get(messages, i);
        for (void *at = json_object_iter(message); at != NULL; at = json_object_iter_next(message, at)) {
            const json_t *value = json_object_iter_value(at);
            LOAM_TRY(json_is_string(value)
                         ? loam_bytes_append(text, json_string_value(value), json_string_length(value), error)
                         : loam_json_append(text, value, JSON_COMPACT | JSON_ENCODE_ANY, error));
            LOAM_TRY(loam_bytes_append(text, "\n", 1, error));
        }
    }
    return LOAM_OK;
}

static enum loam_status format_record(struct loam_dataset *dataset,
                                      const struct loam_dataset_reading *reading, const char **text,
                                      size_t *size, struct loam_error *error)
{
    struct loam_example_source source = {0};
    struct loam_bytes *rendered = &dataset->rendered.text;
    if (reading->is_chat) {
        loam_bytes_clear(rendered);
        LOAM_TRY(append_messages(rendered, reading->conversation.messages, error));
        source.text = rendered->data;
        source.size = rendered->size;
    } else {
        LOAM_TRY(loam_dataset_render(dataset, &reading->fields, false, &source, error));
    }
    *text = source.text != NULL ? source.text : "";
    *size = source.size;
    return LOAM_OK;
}

enum loam_status loam_dataset_text(struct loam_dataset *dataset, size_t index, const char **text,
                                   size_t *size, struct loam_error *error)
{
    struct loam_dataset_reading reading;
    struct loam_example unused = {0};
    LOAM_TRY(loam_dataset_check_index(dataset, index, error));
    const struct loam_split_place whole = {.record = record_of(dataset, index)};
    enum loam_status status = loam_dataset_reading_open(dataset, &whole, &reading, &unused, error);
    if (status == LOAM_OK) status = format_record(dataset, &reading, text, size, error);
    loam_dataset_reading_close(&reading);
    return status;
}

struct loam_dataset_place loam_dataset_place(const struct loam_dataset *dataset, size_t index)
{
    size_t local;
    const struct loam_split_place place = loam_splits_find(&dataset->splits, index);
    const struct loam_data_file *file = find_file(dataset, place.record, &local);
    return (struct loam_dataset_place){.path = loam_data_file_path(file),
                                       .line = loam_data_file_line(file, local),
                                       .piece = place.piece,
                                       .pieces = place.split != NULL ? place.split->pieces : 1};
}

static enum loam_status try_record(struct loam_dataset *dataset, size_t record, struct loam_error *error)
{
    struct loam_example example = {0};
    enum loam_status status =
        loam_dataset_look(dataset, loam_splits_first(&dataset->splits, record), &example, error);
    loam_example_deinit(&example);
    return status;
}

enum loam_status loam_dataset_try(struct loam_dataset *dataset, struct loam_error *error)
{
    size_t bytes = 0;
    for (size_t i = 0; i < dataset->file_count; i++) {
        const struct loam_data_file *file = dataset->files[i];
        LOAM_TRY(try_record(dataset, dataset->firsts[i], error));
        LOAM_TRY(try_record(dataset, dataset->firsts[i] + loam_data_file_longest(file), error));
        const size_t reading = loam_data_file_reading_bytes(file);
        if (reading > bytes) bytes = reading;
    }
    bytes += loam_example_work_bytes(&dataset->work) + loam_chat_work_bytes(&dataset->chat_work);
    // The counted bytes are an upper bound. Memory that the process has released since its peak is another
    // one.
    struct loam_machine_memory memory = loam_machine_measure_memory("");
    size_t released = memory.peak > memory.resident ? memory.peak - memory.resident : 0;
    dataset->reading_bytes = memory.peak > 0 && bytes > released ? released : bytes;
    return LOAM_OK;
}

size_t loam_dataset_reading_bytes(const struct loam_dataset *dataset)
{
    return dataset->reading_bytes;
}

enum loam_status loam_dataset_record(struct loam_dataset *dataset, size_t index, struct loam_record *record,
                                     struct loam_error *error)
{
    size_t local;
    LOAM_TRY(loam_dataset_check_index(dataset, index, error));
    struct loam_data_file *file = find_file(dataset, record_of(dataset, index), &local);
    return loam_data_file_record(file, local, record, error);
}

enum loam_status loam_dataset_squad(const struct loam_dataset *dataset, size_t index,
                                    struct loam_squad_record *record, struct loam_error *error)
{
    size_t local;
    LOAM_TRY(loam_dataset_check_index(dataset, index, error));
    struct loam_data_file *file = find_file(dataset, record_of(dataset, index), &local);
    struct loam_squad_question question;
    if (!loam_data_file_question(file, local, &question))
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "%s is not a SQuAD file", loam_data_file_path(file));
    *record = (struct loam_squad_record){
        .id = question.id.text,
        .title = question.title.text,
        .context = question.context.text,
        .question = question.question.text,
        .answers = question.answers,
        .answer_count = question.answer_count,
    };
    return LOAM_OK;
}
