#include "data/dataset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "base/json.h"
#include "base/machine.h"
#include "base/utf8.h"
#include "data/chat_record.h"
#include "data/reading.h"
#include "data/record_shape.h"
#include "model/batch.h"

void loam_dataset_destroy(struct loam_dataset *dataset)
{
    if (dataset == NULL) return;
    for (size_t i = 0; i < dataset->file_count; i++)
        loam_data_file_destroy(dataset->files[i]);
    free(dataset->files);
    free(dataset->firsts);
    free(dataset->parts);
    free(dataset->name);
    free(dataset->is_counted);
    loam_data_sources_deinit(&dataset->sources);
    loam_field_map_deinit(&dataset->map);
    loam_example_work_deinit(&dataset->work);
    loam_chat_work_deinit(&dataset->chat_work);
    free(dataset->chat_refusal);
    free(dataset->stops.ids);
    loam_rendered_deinit(&dataset->rendered);
    free(dataset);
}

size_t loam_dataset_count(const struct loam_dataset *dataset)
{
    return dataset->counts.records;
}

const char *loam_dataset_name(const struct loam_dataset *dataset)
{
    return dataset->name;
}

size_t loam_dataset_file_count(const struct loam_dataset *dataset)
{
    return dataset->file_count;
}

const char *loam_dataset_file_path(const struct loam_dataset *dataset, size_t file)
{
    return loam_data_file_path(dataset->files[file]);
}

const struct loam_mixture_part *loam_dataset_parts(const struct loam_dataset *dataset, size_t *count)
{
    *count = dataset->sources.count;
    return dataset->parts;
}

void loam_dataset_tell(const struct loam_dataset *dataset, const struct loam_log *log)
{
    loam_data_sources_tell(&dataset->sources, log);
    for (size_t i = 0; i < dataset->file_count; i++)
        loam_data_file_tell(dataset->files[i], log);
}

bool loam_dataset_has_template(const struct loam_dataset *dataset)
{
    if (dataset->has_template) return true;
    for (size_t i = 0; i < dataset->file_count; i++)
        if (loam_data_file_shape(dataset->files[i]) != LOAM_RECORD_TEXT) return true;
    return false;
}

// Whether a file's records become conversations.
static bool is_chat(const struct loam_dataset *dataset, const struct loam_data_file *file)
{
    const enum loam_record_shape shape = loam_data_file_shape(file);
    return loam_record_has_messages(shape) || (dataset->has_chat && loam_record_is_answered(shape));
}

bool loam_dataset_has_chats(const struct loam_dataset *dataset)
{
    for (size_t i = 0; i < dataset->file_count; i++)
        if (is_chat(dataset, dataset->files[i])) return true;
    return false;
}

// What is learnt of a file's records by default.
static enum loam_loss_on find_default_loss(const struct loam_data_file *file)
{
    const enum loam_record_shape shape = loam_data_file_shape(file);
    if (shape == LOAM_RECORD_MESSAGES) return LOAM_LOSS_ON_ASSISTANT;
    return shape == LOAM_RECORD_CHAT_COMPLETION || loam_record_is_answered(shape) ? LOAM_LOSS_ON_COMPLETION
                                                                                  : LOAM_LOSS_ON_ALL;
}

enum loam_loss_on loam_dataset_loss_on(const struct loam_dataset *dataset)
{
    for (size_t i = 0; i < dataset->file_count; i++)
        if (find_default_loss(dataset->files[i]) != LOAM_LOSS_ON_ALL)
            return find_default_loss(dataset->files[i]);
    return LOAM_LOSS_ON_ALL;
}

struct loam_dataset_counts loam_dataset_counts(const struct loam_dataset *dataset)
{
    return dataset->counts;
}

// ---- Opening ----

static enum loam_status check_options(const struct loam_dataset_options *options, struct loam_error *error)
{
    if (options->max_length < 1)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "the maximum length must be at least 1 token, not %d",
                         (int)options->max_length);
    if (options->vocabulary < 1)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "the vocabulary must have at least 1 row, not %d",
                         (int)options->vocabulary);
    return LOAM_OK;
}

static enum loam_status find_files(struct loam_dataset *dataset, const struct loam_dataset_options *options,
                                   struct loam_error *error)
{
    struct loam_data_sources *sources = &dataset->sources;
    if (options->path != NULL) return loam_data_sources_add_file(sources, options->path, error);
    LOAM_TRY(loam_data_sources_find(sources, options->sources, error));
    for (size_t i = 0; i < sources->count && options->takes_all; i++) {
        const struct loam_data_share *share = &sources->items[i].share;
        if (share->weight > 0 || share->count > 0)
            return loam_fail(
                error, LOAM_ERROR_ARGUMENT,
                "%s: an evaluation takes every record: leave out the weight or count after the name",
                options->sources->items[i]);
    }
    return LOAM_OK;
}

static enum loam_status name_data(struct loam_dataset *dataset, struct loam_error *error)
{
    const struct loam_text_list *files = &dataset->sources.files;
    const size_t others = files->count - 1;
    dataset->name = others == 0 ? loam_strdup(files->items[0], error)
                                : loam_format(error, "%s and %zu other file%s", files->items[0], others,
                                              others == 1 ? "" : "s");
    return dataset->name != NULL ? LOAM_OK : LOAM_ERROR_MEMORY;
}

static enum loam_status open_files(struct loam_dataset *dataset, const struct loam_dataset_options *options,
                                   struct loam_error *error)
{
    const struct loam_text_list *paths = &dataset->sources.files;
    dataset->files = loam_calloc(paths->count, sizeof(struct loam_data_file *), error);
    dataset->firsts = loam_calloc(paths->count, sizeof *dataset->firsts, error);
    if (dataset->files == NULL || dataset->firsts == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < paths->count; i++) {
        const struct loam_data_file_options file = {.path = paths->items[i],
                                                    .prompt_template = options->prompt_template,
                                                    .map = &dataset->map,
                                                    .skip_bad = options->skip_bad};
        LOAM_TRY(loam_data_file_open(&dataset->files[i], &file, error));
        dataset->file_count++;
        dataset->firsts[i] = dataset->counts.records;
        dataset->counts.records += loam_data_file_count(dataset->files[i]);
        dataset->counts.skipped_bad += loam_data_file_skipped(dataset->files[i]);
    }
    return loam_field_map_check(&dataset->map, dataset->name, error);
}

static enum loam_status make_parts(struct loam_dataset *dataset, struct loam_error *error)
{
    const struct loam_data_sources *sources = &dataset->sources;
    dataset->parts = loam_calloc(sources->count, sizeof *dataset->parts, error);
    if (dataset->parts == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < sources->count; i++) {
        const struct loam_data_source *source = &sources->items[i];
        struct loam_mixture_part *part = &dataset->parts[i];
        part->first = dataset->firsts[source->first];
        for (size_t j = 0; j < source->count; j++)
            part->count += loam_data_file_count(dataset->files[source->first + j]);
        part->taken = loam_data_share_take(&source->share, part->count);
    }
    return LOAM_OK;
}

static enum loam_status set_chat(struct loam_dataset *dataset, const struct loam_dataset_options *options,
                                 struct loam_error *error)
{
    dataset->has_chat = options->chat != NULL;
    if (dataset->has_chat) {
        dataset->chat = *options->chat;
        dataset->chat.loss_on = options->loss_on;
        dataset->chat.too_long = options->too_long;
    } else if (options->chat_refusal != NULL) {
        dataset->chat_refusal = loam_strdup(options->chat_refusal, error);
        if (dataset->chat_refusal == NULL) return LOAM_ERROR_MEMORY;
    }
    return LOAM_OK;
}

static enum loam_status open_into(struct loam_dataset *dataset, const struct loam_dataset_options *options,
                                  struct loam_error *error)
{
    LOAM_TRY(check_options(options, error));
    dataset->loss_on = options->loss_on;
    dataset->has_template = options->prompt_template != NULL;
    dataset->example_options = (struct loam_example_options){.too_long = options->too_long,
                                                             .max_length = options->max_length,
                                                             .tokenizer = options->tokenizer,
                                                             .special = options->special,
                                                             .vocabulary = options->vocabulary};
    LOAM_TRY(set_chat(dataset, options, error));
    LOAM_TRY(find_files(dataset, options, error));
    LOAM_TRY(name_data(dataset, error));
    LOAM_TRY(loam_field_map_init(&dataset->map, options->map, error));
    LOAM_TRY(open_files(dataset, options, error));
    LOAM_TRY(make_parts(dataset, error));
    dataset->is_counted = loam_calloc(dataset->counts.records, 1, error);
    return dataset->is_counted != NULL ? LOAM_OK : LOAM_ERROR_MEMORY;
}

enum loam_status loam_dataset_open(struct loam_dataset **out, const struct loam_dataset_options *options,
                                   struct loam_error *error)
{
    *out = NULL;
    struct loam_dataset *dataset = loam_calloc(1, sizeof *dataset, error);
    if (dataset == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = open_into(dataset, options, error);
    if (status != LOAM_OK) {
        loam_dataset_destroy(dataset);
        return status;
    }
    *out = dataset;
    return LOAM_OK;
}

// ---- Reading ----

static enum loam_status check_index(const struct loam_dataset *dataset, size_t index,
                                    struct loam_error *error)
{
    if (index < dataset->counts.records) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_ARGUMENT, "%s: record %zu is out of range: the file has %zu",
                     dataset->name, index, dataset->counts.records);
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

enum loam_status loam_reading_render(struct loam_dataset *dataset, const struct loam_record_fields *fields,
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

// Reads a record as a conversation. `reading->made` is to be released, also on failure.
static enum loam_status open_chat(struct loam_dataset *dataset, struct loam_reading *reading,
                                  struct loam_example *example, struct loam_error *error)
{
    struct loam_record record;
    enum loam_status status = loam_data_file_record(reading->file, reading->local, &record, error);
    snprintf(example->id, sizeof example->id, "line %zu", record.line);
    if (status != LOAM_OK) return status;
    dataset->chat.name = loam_data_file_path(reading->file);
    return loam_record_conversation(&record, &reading->conversation, &reading->made, error);
}

// Reads a record as a text.
static enum loam_status open_text(struct loam_dataset *dataset, struct loam_reading *reading,
                                  struct loam_example *example, struct loam_error *error)
{
    enum loam_status status = loam_data_file_fields(reading->file, reading->local, &reading->fields, error);
    set_record_id(example, &reading->fields);
    if (status != LOAM_OK) return status;
    return reading->fields.count == 0 ? refuse_shape(dataset, reading->file, error) : LOAM_OK;
}

enum loam_status loam_reading_open(struct loam_dataset *dataset, size_t index, struct loam_reading *reading,
                                   struct loam_example *example, struct loam_error *error)
{
    *reading = (struct loam_reading){0};
    LOAM_TRY(check_index(dataset, index, error));
    reading->file = find_file(dataset, index, &reading->local);
    reading->is_chat = dataset->has_chat && is_chat(dataset, reading->file);
    return (reading->is_chat ? open_chat : open_text)(dataset, reading, example, error);
}

static enum loam_status build_text(struct loam_dataset *dataset, const struct loam_reading *reading,
                                   struct loam_example *example, enum loam_example_fate *fate,
                                   struct loam_error *error)
{
    struct loam_example_source source;
    struct loam_example_options *options = &dataset->example_options;
    options->name = loam_data_file_path(reading->file);
    options->loss_on =
        dataset->loss_on == LOAM_LOSS_ON_DEFAULT ? find_default_loss(reading->file) : dataset->loss_on;
    LOAM_TRY(loam_reading_render(dataset, &reading->fields, false, &source, error));
    return loam_example_build(example, &source, options, &dataset->work, fate, error);
}

static enum loam_status read_record(struct loam_dataset *dataset, size_t index, struct loam_example *example,
                                    enum loam_example_fate *fate, struct loam_error *error)
{
    struct loam_reading reading;
    enum loam_status status = loam_reading_open(dataset, index, &reading, example, error);
    if (status == LOAM_OK && reading.is_chat)
        status = loam_chat_example_build(example, &reading.conversation, &dataset->chat, &dataset->chat_work,
                                         fate, error);
    else if (status == LOAM_OK)
        status = build_text(dataset, &reading, example, fate, error);
    json_decref(reading.made);
    return status;
}

enum loam_status loam_dataset_read(struct loam_dataset *dataset, size_t index, struct loam_example *example,
                                   struct loam_error *error)
{
    enum loam_example_fate fate = LOAM_EXAMPLE_WHOLE;
    LOAM_TRY(read_record(dataset, index, example, &fate, error));
    count_fate(dataset, index, fate, loam_labels_count(example->weights, example->count).count > 0);
    return LOAM_OK;
}

enum loam_status loam_dataset_look(struct loam_dataset *dataset, size_t index, struct loam_example *example,
                                   struct loam_error *error)
{
    enum loam_example_fate fate;
    return read_record(dataset, index, example, &fate, error);
}

static enum loam_status format_record(struct loam_dataset *dataset, const struct loam_reading *reading,
                                      const char **text, size_t *size, struct loam_error *error)
{
    struct loam_example_source source = {0};
    struct loam_bytes *rendered = &dataset->rendered.text;
    if (reading->is_chat) {
        loam_bytes_clear(rendered);
        LOAM_TRY(loam_json_append(rendered, reading->conversation.messages, JSON_COMPACT, error));
        source.text = rendered->data;
        source.size = rendered->size;
    } else {
        LOAM_TRY(loam_reading_render(dataset, &reading->fields, false, &source, error));
    }
    *text = source.text != NULL ? source.text : "";
    *size = source.size;
    return LOAM_OK;
}

enum loam_status loam_dataset_text(struct loam_dataset *dataset, size_t index, const char **text,
                                   size_t *size, struct loam_error *error)
{
    struct loam_reading reading;
    struct loam_example unused;
    enum loam_status status = loam_reading_open(dataset, index, &reading, &unused, error);
    if (status == LOAM_OK) status = format_record(dataset, &reading, text, size, error);
    json_decref(reading.made);
    return status;
}

struct loam_dataset_place loam_dataset_place(const struct loam_dataset *dataset, size_t index)
{
    size_t local;
    const struct loam_data_file *file = find_file(dataset, index, &local);
    return (struct loam_dataset_place){.path = loam_data_file_path(file),
                                       .line = loam_data_file_line(file, local)};
}

static enum loam_status try_record(struct loam_dataset *dataset, size_t index, struct loam_error *error)
{
    struct loam_example example = {0};
    enum loam_status status = loam_dataset_look(dataset, index, &example, error);
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
    LOAM_TRY(check_index(dataset, index, error));
    struct loam_data_file *file = find_file(dataset, index, &local);
    return loam_data_file_record(file, local, record, error);
}

enum loam_status loam_dataset_squad(const struct loam_dataset *dataset, size_t index,
                                    struct loam_squad_record *record, struct loam_error *error)
{
    size_t local;
    LOAM_TRY(check_index(dataset, index, error));
    struct loam_data_file *file = find_file(dataset, index, &local);
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
