#include "data/dataset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/heap.h"
#include "base/machine.h"
#include "base/utf8.h"
#include "data/dataset_format.h"
#include "data/dataset_lines.h"
#include "data/dataset_sniff.h"
#include "data/dataset_squad.h"
#include "model/batch.h"

static const char *const squad_names[] = {"id", "title", "context", "question", "answer"};
static const char *const text_names[] = {"text"};
enum { SQUAD_FIELDS = sizeof squad_names / sizeof squad_names[0] };

struct loam_dataset {
    struct loam_example_options example_options;
    bool skip_bad;
    char *path;
    enum loam_data_format format;
    struct loam_template *built_in;              // the squad template, if no template is given
    const struct loam_template *prompt_template; // NULL: the text field unchanged
    const char **names; // [name_count] fields to read; the strings belong to the template or are text_names
    size_t name_count;

    struct loam_squad *squad; // records of a SQuAD file, else NULL
    struct loam_lines *lines; // records of other files, else NULL

    struct loam_dataset_counts counts;
    unsigned char *is_counted; // [records] whether `counts` has the record

    // Working memory of reading.
    struct loam_example_work work;
    struct loam_rendered rendered;
    size_t reading_bytes; // temporary memory of reading a record
};

void loam_dataset_destroy(struct loam_dataset *dataset)
{
    if (dataset == NULL) return;
    free(dataset->path);
    free(dataset->names);
    free(dataset->is_counted);
    loam_template_destroy(dataset->built_in);
    loam_squad_destroy(dataset->squad);
    loam_lines_destroy(dataset->lines);
    loam_example_work_deinit(&dataset->work);
    loam_rendered_deinit(&dataset->rendered);
    free(dataset);
}

size_t loam_dataset_count(const struct loam_dataset *dataset)
{
    return dataset->counts.records;
}

bool loam_dataset_has_template(const struct loam_dataset *dataset)
{
    return dataset->prompt_template != NULL;
}

struct loam_dataset_counts loam_dataset_counts(const struct loam_dataset *dataset)
{
    return dataset->counts;
}

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

// Checks that a file of a format with fixed fields has those that the template names. Fields of JSONL are
// checked on each line.
static enum loam_status check_names(const struct loam_dataset *dataset, struct loam_error *error)
{
    bool squad = dataset->format == LOAM_DATA_SQUAD;
    if (!squad && dataset->format != LOAM_DATA_TEXT) return LOAM_OK;
    const char *const *offered = squad ? squad_names : text_names;
    size_t offered_count = squad ? SQUAD_FIELDS : 1;
    for (size_t i = 0; i < dataset->name_count; i++) {
        size_t at = 0;
        while (at < offered_count && strcmp(offered[at], dataset->names[i]) != 0)
            at++;
        if (at < offered_count) continue;
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: no field \"%s\", which the template names; %s",
                         dataset->path, dataset->names[i],
                         squad ? "a SQuAD file has id, title, context, question, answer"
                               : "plain text has text");
    }
    return LOAM_OK;
}

static enum loam_status choose_template(struct loam_dataset *dataset, const struct loam_template *given,
                                        struct loam_error *error)
{
    dataset->prompt_template = given;
    if (given == NULL && dataset->format == LOAM_DATA_SQUAD) {
        LOAM_TRY(loam_template_open(&dataset->built_in, "squad", error));
        dataset->prompt_template = dataset->built_in;
    }
    const struct loam_template *chosen = dataset->prompt_template;
    dataset->name_count = chosen != NULL ? loam_template_field_count(chosen) : 1;
    dataset->names = loam_calloc(dataset->name_count, sizeof *dataset->names, error);
    if (dataset->names == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < dataset->name_count; i++)
        dataset->names[i] = chosen != NULL ? loam_template_field_name(chosen, i) : text_names[0];
    return check_names(dataset, error);
}

static enum loam_lines_kind line_kind(enum loam_data_format format)
{
    return format == LOAM_DATA_TEXT    ? LOAM_LINES_TEXT
           : format == LOAM_DATA_JSONL ? LOAM_LINES_JSON
                                       : LOAM_LINES_ARRAY;
}

static enum loam_status read_records(struct loam_dataset *dataset, const struct loam_map *map,
                                     struct loam_error *error)
{
    size_t *bad = &dataset->counts.skipped_bad;
    bool skip_bad = dataset->skip_bad;
    if (dataset->format == LOAM_DATA_SQUAD) {
        LOAM_TRY(loam_squad_parse(&dataset->squad, map, dataset->path, skip_bad, bad, error));
        dataset->counts.records = loam_squad_count(dataset->squad);
    } else {
        const struct loam_lines_options options = {
            .path = dataset->path,
            .kind = line_kind(dataset->format),
            .names = dataset->names,
            .name_count = dataset->name_count,
            .skip_bad = skip_bad,
        };
        LOAM_TRY(loam_lines_open(&dataset->lines, &options, map, bad, error));
        dataset->counts.records = loam_lines_count(dataset->lines);
    }
    bool has_lines = dataset->format == LOAM_DATA_TEXT || dataset->format == LOAM_DATA_JSONL;
    if (dataset->counts.records == 0)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s has no records (%zu broken ones were skipped)%s",
                         dataset->path, *bad, has_lines && *bad == 0 ? ": the file is blank" : "");
    dataset->is_counted = loam_calloc(dataset->counts.records, 1, error);
    return dataset->is_counted != NULL ? LOAM_OK : LOAM_ERROR_MEMORY;
}

static enum loam_status open_data(struct loam_dataset *dataset, const struct loam_template *given,
                                  const struct loam_map *map, struct loam_error *error)
{
    const char *data = map->data != NULL ? (const char *)map->data : "";
    if (map->size == 0)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s is empty: it has no records", dataset->path);
    LOAM_TRY(loam_data_refuse_binary(dataset->path, map, error));
    LOAM_TRY(loam_data_format_find(&dataset->format, dataset->path, data, map->size, error));
    LOAM_TRY(choose_template(dataset, given, error));
    return read_records(dataset, map, error);
}

static enum loam_status open_into(struct loam_dataset *dataset, const struct loam_dataset_options *options,
                                  struct loam_error *error)
{
    LOAM_TRY(check_options(options, error));
    dataset->path = loam_strdup(options->path, error);
    if (dataset->path == NULL) return LOAM_ERROR_MEMORY;
    dataset->skip_bad = options->skip_bad;
    dataset->example_options = (struct loam_example_options){.name = dataset->path,
                                                             .loss_on = options->loss_on,
                                                             .too_long = options->too_long,
                                                             .max_length = options->max_length,
                                                             .tokenizer = options->tokenizer,
                                                             .special = options->special,
                                                             .vocabulary = options->vocabulary};
    struct loam_map map;
    LOAM_TRY(loam_map_open(&map, dataset->path, false, error));
    enum loam_status status = open_data(dataset, options->prompt_template, &map, error);
    loam_map_close(&map);
    return status;
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

static struct loam_field make_field(const char *name, struct loam_squad_text text)
{
    return (struct loam_field){name, text.text, text.size};
}

// Fills the fields of a question, in the order of squad_names.
static void fill_squad_fields(const struct loam_squad_question *question,
                              struct loam_field fields[SQUAD_FIELDS])
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
        fields[i] = make_field(squad_names[i], texts[i]);
}

static void set_record_id(struct loam_example *example, const char *id, size_t size, size_t line)
{
    if (size == 0)
        snprintf(example->id, sizeof example->id, "line %zu", line);
    else
        snprintf(example->id, sizeof example->id, "%.*s",
                 (int)loam_utf8_fit(id, size, sizeof example->id - 1), id);
}

// Renders the record through the template; without a template, takes the text field.
static enum loam_status render_record(struct loam_dataset *dataset, const struct loam_field *fields,
                                      size_t count, bool prompt_only, struct loam_example_source *source,
                                      struct loam_error *error)
{
    const struct loam_template *chosen = dataset->prompt_template;
    if (chosen == NULL) {
        *source =
            (struct loam_example_source){.text = fields[0].value, .size = fields[0].size, .wants_eos = true};
        return LOAM_OK;
    }
    struct loam_rendered *rendered = &dataset->rendered;
    LOAM_TRY(loam_template_render(chosen, fields, count, dataset->example_options.special, prompt_only,
                                  rendered, error));
    *source = (struct loam_example_source){
        .text = rendered->text.data,
        .size = rendered->text.size,
        .marks = rendered->marks,
        .mark_count = rendered->mark_count,
        .completion_start = rendered->completion_start,
        .context_start = rendered->context_start,
        .context_end = rendered->context_end,
        .has_context = loam_template_field_count(chosen) > 1,
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

static enum loam_status check_index(const struct loam_dataset *dataset, size_t index,
                                    struct loam_error *error)
{
    if (index < dataset->counts.records) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_ARGUMENT, "%s: record %zu is out of range: the file has %zu",
                     dataset->path, index, dataset->counts.records);
}

// Finds the fields of record `index`: those of SQuAD go to `squad`.
static enum loam_status read_fields(struct loam_dataset *dataset, size_t index,
                                    struct loam_field squad[SQUAD_FIELDS], const struct loam_field **fields,
                                    size_t *count, struct loam_error *error)
{
    LOAM_TRY(check_index(dataset, index, error));
    *fields = squad;
    *count = dataset->squad != NULL ? (size_t)SQUAD_FIELDS : dataset->name_count;
    if (dataset->squad == NULL) return loam_lines_read(dataset->lines, index, fields, error);
    struct loam_squad_question question = loam_squad_at(dataset->squad, index);
    fill_squad_fields(&question, squad);
    return LOAM_OK;
}

static enum loam_status render_index(struct loam_dataset *dataset, size_t index, bool prompt_only,
                                     struct loam_example_source *source, struct loam_error *error)
{
    struct loam_field squad[SQUAD_FIELDS];
    const struct loam_field *fields;
    size_t count;
    LOAM_TRY(read_fields(dataset, index, squad, &fields, &count, error));
    return render_record(dataset, fields, count, prompt_only, source, error);
}

static void name_record(const struct loam_dataset *dataset, size_t index, struct loam_example *example)
{
    struct loam_squad_question question = {0};
    if (dataset->squad != NULL) question = loam_squad_at(dataset->squad, index);
    set_record_id(example, question.id.text, question.id.size, loam_dataset_place(dataset, index).line);
}

static enum loam_status read_record(struct loam_dataset *dataset, size_t index, struct loam_example *example,
                                    enum loam_example_fate *fate, struct loam_error *error)
{
    struct loam_example_source source;
    LOAM_TRY(check_index(dataset, index, error));
    name_record(dataset, index, example);
    LOAM_TRY(render_index(dataset, index, false, &source, error));
    return loam_example_build(example, &source, &dataset->example_options, &dataset->work, fate, error);
}

enum loam_status loam_dataset_read(struct loam_dataset *dataset, size_t index, struct loam_example *example,
                                   struct loam_error *error)
{
    enum loam_example_fate fate;
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

enum loam_status loam_dataset_text(struct loam_dataset *dataset, size_t index, const char **text,
                                   size_t *size, struct loam_error *error)
{
    struct loam_example_source source;
    LOAM_TRY(render_index(dataset, index, false, &source, error));
    *text = source.text != NULL ? source.text : "";
    *size = source.size;
    return LOAM_OK;
}

enum loam_status loam_dataset_prompt(struct loam_dataset *dataset, size_t index, struct loam_example *example,
                                     struct loam_error *error)
{
    struct loam_example_source source;
    const struct loam_example_options *options = &dataset->example_options;
    LOAM_TRY(check_index(dataset, index, error));
    name_record(dataset, index, example);
    example->count = example->length = 0;
    if (dataset->prompt_template == NULL) return LOAM_OK;
    LOAM_TRY(render_index(dataset, index, true, &source, error));
    LOAM_TRY(loam_bytes_reserve(&dataset->rendered.text, 1, error)); // the text must not be NULL
    return loam_example_build_prompt(example, &dataset->rendered, options->tokenizer, options->special,
                                     options->max_length, &dataset->work, error);
}

struct loam_dataset_place loam_dataset_place(const struct loam_dataset *dataset, size_t index)
{
    return (struct loam_dataset_place){.path = dataset->path,
                                       .line = dataset->squad != NULL
                                                   ? loam_squad_at(dataset->squad, index).line
                                                   : loam_lines_number(dataset->lines, index)};
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
    bool squad = dataset->squad != NULL;
    LOAM_TRY(try_record(dataset, 0, error));
    size_t longest = squad ? loam_squad_longest(dataset->squad) : loam_lines_longest(dataset->lines);
    LOAM_TRY(try_record(dataset, longest, error));
    size_t bytes = loam_example_work_bytes(&dataset->work);
    if (!squad) bytes += loam_lines_reading_bytes(dataset->lines);
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

enum loam_status loam_dataset_squad(const struct loam_dataset *dataset, size_t index,
                                    struct loam_squad_record *record, struct loam_error *error)
{
    if (dataset->squad == NULL)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "%s is not a SQuAD file", dataset->path);
    LOAM_TRY(check_index(dataset, index, error));
    struct loam_squad_question question = loam_squad_at(dataset->squad, index);
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
