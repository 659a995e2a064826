#include "data/data_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "data/dataset_format.h"
#include "data/dataset_sniff.h"

static const char *const squad_names[] = {"id", "title", "context", "question", "answer"};
enum { SQUAD_FIELDS = sizeof squad_names / sizeof squad_names[0] };

// What renders records without a template of the user. Both texts of Alpaca are those of Stanford's data set;
// an instruction without an input has the second.
enum built_in { SQUAD_TEXT, COMPLETION_TEXT, CHOICE_TEXT, ALPACA_INPUT, ALPACA_BARE, BUILT_INS };
#define ALPACA_BEGIN "Below is an instruction that describes a task"
#define ALPACA_END " appropriately completes the request.\n\n### Instruction:\n{instruction}\n\n"
static const char *const built_in_texts[BUILT_INS] = {
    [COMPLETION_TEXT] = "{prompt}{completion}",
    [CHOICE_TEXT] = "Question: {question}\nAnswer: {answer}",
    [ALPACA_INPUT] =
        ALPACA_BEGIN ", paired with an input that provides further context. Write a response that" ALPACA_END
                     "### Input:\n{input}\n\n### Response:\n{output}",
    [ALPACA_BARE] = ALPACA_BEGIN ". Write a response that" ALPACA_END "### Response:\n{output}",
};

struct loam_data_file {
    char *path;
    struct loam_field_map *map;
    enum loam_data_format format;
    const struct loam_template *given;          // NULL: none
    struct loam_template *built_ins[BUILT_INS]; // those that are needed
    struct loam_squad *squad;                   // records of a SQuAD file, else NULL
    struct loam_lines *lines;                   // records of other files, else NULL
    const char **template_names;                // of the given template's fields, for `lines`
    const char *names[SQUAD_FIELDS];            // of a SQuAD file's fields, after --map; "": hidden by it
    struct loam_field fields[SQUAD_FIELDS];
    json_t *tree; // of the last record
    size_t count;
    size_t skipped;
    bool is_unpacked;
    size_t unpacked_size; // bytes
    struct loam_record_notes notes;
};

void loam_data_file_destroy(struct loam_data_file *file)
{
    if (file == NULL) return;
    for (size_t i = 0; i < BUILT_INS; i++)
        loam_template_destroy(file->built_ins[i]);
    loam_squad_destroy(file->squad);
    loam_lines_destroy(file->lines);
    json_decref(file->tree);
    free(file->template_names);
    free(file->path);
    free(file);
}

const char *loam_data_file_path(const struct loam_data_file *file)
{
    return file->path;
}

size_t loam_data_file_count(const struct loam_data_file *file)
{
    return file->count;
}

size_t loam_data_file_skipped(const struct loam_data_file *file)
{
    return file->skipped;
}

size_t loam_data_file_longest(const struct loam_data_file *file)
{
    return file->squad != NULL ? loam_squad_longest(file->squad) : loam_lines_longest(file->lines);
}

size_t loam_data_file_reading_bytes(const struct loam_data_file *file)
{
    return file->squad != NULL ? 0 : loam_lines_reading_bytes(file->lines);
}

enum loam_record_shape loam_data_file_shape(const struct loam_data_file *file)
{
    if (file->squad != NULL) return LOAM_RECORD_SQUAD;
    return file->given != NULL ? LOAM_RECORD_FIELDS : loam_lines_reader(file->lines)->shape;
}

void loam_data_file_tell(const struct loam_data_file *file, const struct loam_log *log)
{
    if (file->is_unpacked)
        loam_log_write(log, LOAM_LOG_INFO, "%s: unpacked to %zu bytes in a temporary file", file->path,
                       file->unpacked_size);
    if (file->notes.unknown_roles > 0)
        loam_log_write(
            log, LOAM_LOG_WARNING,
            "%s:%zu: a message has the role \"%s\", which chat templates rarely know (%zu messages "
            "have such roles)",
            file->path, file->notes.line, file->notes.role, file->notes.unknown_roles);
    if (file->notes.text_arguments.count > 0)
        loam_log_write(
            log, LOAM_LOG_WARNING,
            "%s:%zu: the arguments of a tool call are a text, and most chat templates expect an object "
            "(%zu calls have such arguments)",
            file->path, file->notes.text_arguments.line, file->notes.text_arguments.count);
    if (file->notes.weights.count > 0)
        loam_log_write(
            log, LOAM_LOG_WARNING,
            "%s:%zu: the \"weight\" of a message has no effect: --loss-on says which are learnt (%zu "
            "messages have another weight than 1)",
            file->path, file->notes.weights.line, file->notes.weights.count);
}

// ---- Opening ----

static bool is_squad_name(const char *name)
{
    for (size_t i = 0; i < SQUAD_FIELDS; i++)
        if (strcmp(squad_names[i], name) == 0) return true;
    return false;
}

// The name of a field of SQuAD after --map; "": another field has its name.
static const char *rename_field(const struct loam_field_map *map, const char *key)
{
    const char *name = key;
    for (size_t i = 0; i < map->count; i++) {
        if (strcmp(map->items[i].value, key) == 0) return map->items[i].name;
        if (strcmp(map->items[i].name, key) == 0 && is_squad_name(map->items[i].value)) name = "";
    }
    return name;
}

static bool has_squad_field(const struct loam_data_file *file, const char *name)
{
    for (size_t i = 0; i < SQUAD_FIELDS; i++)
        if (strcmp(file->names[i], name) == 0) return true;
    return false;
}

// Names the fields of a SQuAD file, and checks that they have all that the template names.
static enum loam_status name_squad_fields(struct loam_data_file *file, const struct loam_template *chosen,
                                          struct loam_error *error)
{
    for (size_t i = 0; i < SQUAD_FIELDS; i++) {
        loam_field_map_note(file->map, squad_names[i], strlen(squad_names[i]));
        file->names[i] = rename_field(file->map, squad_names[i]);
    }
    for (size_t i = 0; i < loam_template_field_count(chosen); i++)
        if (!has_squad_field(file, loam_template_field_name(chosen, i)))
            return loam_fail(
                error, LOAM_ERROR_FORMAT,
                "%s: no field \"%s\", which the template names; a SQuAD file has id, title, context, "
                "question, answer",
                file->path, loam_template_field_name(chosen, i));
    return LOAM_OK;
}

static enum loam_status open_squad(struct loam_data_file *file, const struct loam_map *map, bool skip_bad,
                                   struct loam_error *error)
{
    struct loam_template **built_in = &file->built_ins[SQUAD_TEXT];
    if (file->given == NULL) LOAM_TRY(loam_template_open(built_in, "squad", error));
    LOAM_TRY(name_squad_fields(file, file->given != NULL ? file->given : *built_in, error));
    LOAM_TRY(loam_squad_parse(&file->squad, map, file->path, skip_bad, &file->skipped, error));
    file->count = loam_squad_count(file->squad);
    return LOAM_OK;
}

static enum loam_lines_kind line_kind(enum loam_data_format format)
{
    static const enum loam_lines_kind kinds[] = {
        [LOAM_DATA_TEXT] = LOAM_LINES_TEXT,   [LOAM_DATA_JSONL] = LOAM_LINES_JSON,
        [LOAM_DATA_ARRAY] = LOAM_LINES_ARRAY, [LOAM_DATA_CSV] = LOAM_LINES_CSV,
        [LOAM_DATA_TSV] = LOAM_LINES_TSV,
    };
    return kinds[format];
}

static enum loam_status open_lines(struct loam_data_file *file, struct loam_data_input *input, bool skip_bad,
                                   struct loam_error *error)
{
    const size_t count = file->given != NULL ? loam_template_field_count(file->given) : 0;
    file->template_names = loam_calloc(count, sizeof *file->template_names, error);
    if (file->template_names == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++)
        file->template_names[i] = loam_template_field_name(file->given, i);
    const struct loam_lines_options options = {.path = file->path,
                                               .kind = line_kind(file->format),
                                               .names = file->template_names,
                                               .name_count = count,
                                               .map = file->map,
                                               .skip_bad = skip_bad};
    LOAM_TRY(loam_lines_open(&file->lines, &options, input, &file->skipped, error));
    file->count = loam_lines_count(file->lines);
    file->notes = loam_lines_reader(file->lines)->notes;
    return LOAM_OK;
}

// Opens the templates that render lines without one of the user.
static enum loam_status open_built_ins(struct loam_data_file *file, struct loam_error *error)
{
    const enum loam_record_shape shape = loam_data_file_shape(file);
    const bool needed[BUILT_INS] = {[COMPLETION_TEXT] = shape == LOAM_RECORD_COMPLETION,
                                    [CHOICE_TEXT] = shape == LOAM_RECORD_CHOICES,
                                    [ALPACA_INPUT] = shape == LOAM_RECORD_INSTRUCTION,
                                    [ALPACA_BARE] = shape == LOAM_RECORD_INSTRUCTION};
    for (size_t i = 0; i < BUILT_INS; i++) {
        const char *text = built_in_texts[i];
        if (needed[i])
            LOAM_TRY(loam_template_parse(&file->built_ins[i], text, strlen(text), "alpaca", error));
    }
    return LOAM_OK;
}

static enum loam_status read_records(struct loam_data_file *file, struct loam_data_input *input,
                                     bool skip_bad, struct loam_error *error)
{
    if (file->format == LOAM_DATA_SQUAD)
        LOAM_TRY(open_squad(file, &input->map, skip_bad, error));
    else
        LOAM_TRY(open_lines(file, input, skip_bad, error));
    const bool has_lines = file->format == LOAM_DATA_TEXT || file->format == LOAM_DATA_JSONL;
    if (file->count > 0) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s has no records (%zu broken ones were skipped)%s",
                     file->path, file->skipped, has_lines && file->skipped == 0 ? ": the file is blank" : "");
}

static enum loam_status open_input(struct loam_data_file *file, struct loam_data_input *input, bool skip_bad,
                                   struct loam_error *error)
{
    const struct loam_map *map = &input->map;
    const char *data = map->data != NULL ? (const char *)map->data : "";
    if (map->size == 0)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s is empty: it has no records", file->path);
    file->is_unpacked = input->is_unpacked;
    file->unpacked_size = map->size;
    LOAM_TRY(loam_data_refuse_binary(file->path, map, error));
    LOAM_TRY(loam_data_format_find(&file->format, file->path, data, map->size, error));
    LOAM_TRY(read_records(file, input, skip_bad, error));
    return file->given != NULL ? LOAM_OK : open_built_ins(file, error);
}

static enum loam_status open_into(struct loam_data_file *file, const struct loam_data_file_options *options,
                                  struct loam_error *error)
{
    file->path = loam_strdup(options->path, error);
    if (file->path == NULL) return LOAM_ERROR_MEMORY;
    file->given = options->prompt_template;
    file->map = options->map;
    struct loam_data_input input;
    LOAM_TRY(loam_data_input_open(&input, file->path, error));
    enum loam_status status = open_input(file, &input, options->skip_bad, error);
    loam_data_input_close(&input);
    return status;
}

enum loam_status loam_data_file_open(struct loam_data_file **out,
                                     const struct loam_data_file_options *options, struct loam_error *error)
{
    *out = NULL;
    struct loam_data_file *file = loam_calloc(1, sizeof *file, error);
    if (file == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = open_into(file, options, error);
    if (status != LOAM_OK) {
        loam_data_file_destroy(file);
        return status;
    }
    *out = file;
    return LOAM_OK;
}

// ---- Texts ----

bool loam_data_file_question(const struct loam_data_file *file, size_t index,
                             struct loam_squad_question *question)
{
    if (file->squad == NULL) return false;
    *question = loam_squad_at(file->squad, index);
    return true;
}

// Fills the fields of a question, in the order of squad_names.
static void fill_squad_fields(struct loam_data_file *file, const struct loam_squad_question *question)
{
    static const struct loam_squad_text no_answer = {LOAM_NO_ANSWER, sizeof LOAM_NO_ANSWER - 1};
    const struct loam_squad_text texts[SQUAD_FIELDS] = {
        question->id,
        question->title,
        question->context,
        question->question,
        question->answer_count > 0 ? question->first_answer : no_answer,
    };
    for (int i = 0; i < SQUAD_FIELDS; i++)
        file->fields[i] = (struct loam_field){file->names[i], texts[i].text, texts[i].size};
}

// Whether the record has no input, the third field of an instruction.
static bool is_bare_instruction(const struct loam_field *fields)
{
    return fields[2].size == 0;
}

// Chooses what renders the record, and whether EOS ends it.
static void choose_template(const struct loam_data_file *file, struct loam_record_fields *fields)
{
    const enum loam_record_shape shape = loam_data_file_shape(file);
    fields->prompt_template = file->given;
    if (file->given != NULL) return;
    fields->wants_eos = shape != LOAM_RECORD_SQUAD; // the template of SQuAD has {eos}
    if (shape == LOAM_RECORD_SQUAD) fields->prompt_template = file->built_ins[SQUAD_TEXT];
    if (shape == LOAM_RECORD_COMPLETION) fields->prompt_template = file->built_ins[COMPLETION_TEXT];
    if (shape == LOAM_RECORD_CHOICES) fields->prompt_template = file->built_ins[CHOICE_TEXT];
    if (shape == LOAM_RECORD_INSTRUCTION)
        fields->prompt_template =
            file->built_ins[is_bare_instruction(fields->items) ? ALPACA_BARE : ALPACA_INPUT];
}

static struct loam_field field_of(const char *name, const json_t *value)
{
    return (struct loam_field){name, json_string_value(value), json_string_length(value)};
}

// Reads a record with choices: the question, and the text of the right choice. Without a question it has no fields.
static enum loam_status read_choice(struct loam_data_file *file, size_t index,
                                    struct loam_record_fields *fields, struct loam_error *error)
{
    struct loam_record record;
    LOAM_TRY(loam_data_file_record(file, index, &record, error));
    const json_t *question = json_object_get(record.tree, "question");
    if (!json_is_string(question)) return LOAM_OK;
    const size_t right = (size_t)json_integer_value(json_object_get(record.tree, "answer"));
    file->fields[0] = field_of("question", question);
    file->fields[1] = field_of("answer", json_array_get(json_object_get(record.tree, "choices"), right));
    fields->items = file->fields;
    fields->count = 2;
    return LOAM_OK;
}

static enum loam_status read_line(struct loam_data_file *file, size_t index,
                                  struct loam_record_fields *fields, struct loam_error *error)
{
    fields->line = loam_lines_number(file->lines, index);
    if (loam_data_file_shape(file) == LOAM_RECORD_CHOICES) return read_choice(file, index, fields, error);
    LOAM_TRY(loam_lines_read(file->lines, index, &fields->items, error));
    fields->count = loam_lines_reader(file->lines)->names.count;
    return LOAM_OK;
}

enum loam_status loam_data_file_fields(struct loam_data_file *file, size_t index,
                                       struct loam_record_fields *fields, struct loam_error *error)
{
    *fields = (struct loam_record_fields){.id = ""};
    struct loam_squad_question question;
    if (loam_data_file_question(file, index, &question)) {
        fill_squad_fields(file, &question);
        *fields = (struct loam_record_fields){.items = file->fields,
                                              .count = SQUAD_FIELDS,
                                              .id = question.id.text,
                                              .id_size = question.id.size,
                                              .line = question.line};
    } else {
        LOAM_TRY(read_line(file, index, fields, error));
        if (fields->count == 0) return LOAM_OK;
    }
    choose_template(file, fields);
    return LOAM_OK;
}

size_t loam_data_file_line(const struct loam_data_file *file, size_t index)
{
    struct loam_squad_question question;
    if (loam_data_file_question(file, index, &question)) return question.line;
    return loam_lines_number(file->lines, index);
}

// ---- Trees ----

// Appends the gold answers of a question to its tree.
static enum loam_status add_answers(json_t *tree, const struct loam_squad_question *question,
                                    struct loam_error *error)
{
    json_t *answers = json_array();
    LOAM_TRY(loam_record_set(tree, "answers", answers, error)); // the tree owns it from here on
    for (size_t i = 0; i < question->answer_count; i++) {
        const char *text = question->answers[i];
        LOAM_TRY(loam_record_add(answers, json_stringn_nocheck(text, strlen(text)), error));
    }
    return LOAM_OK;
}

static enum loam_status make_question_tree(struct loam_data_file *file,
                                           const struct loam_squad_question *question,
                                           struct loam_error *error)
{
    const struct loam_squad_text texts[] = {question->id, question->title, question->context,
                                            question->question};
    file->tree = json_object();
    if (file->tree == NULL) return loam_fail(error, LOAM_ERROR_MEMORY, "out of memory: a record");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        LOAM_TRY(loam_record_set(file->tree, squad_names[i],
                                 json_stringn_nocheck(texts[i].text, texts[i].size), error));
    LOAM_TRY(add_answers(file->tree, question, error));
    return loam_field_map_apply(file->map, file->tree, error);
}

enum loam_status loam_data_file_record(struct loam_data_file *file, size_t index, struct loam_record *record,
                                       struct loam_error *error)
{
    json_decref(file->tree);
    file->tree = NULL;
    struct loam_squad_question question;
    *record = (struct loam_record){.path = file->path, .shape = LOAM_RECORD_SQUAD};
    if (loam_data_file_question(file, index, &question)) {
        record->line = question.line;
        LOAM_TRY(make_question_tree(file, &question, error));
    } else {
        record->line = loam_lines_number(file->lines, index);
        LOAM_TRY(loam_lines_tree(file->lines, index, &file->tree, &record->shape, error));
    }
    record->tree = file->tree;
    return LOAM_OK;
}
