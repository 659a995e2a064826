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
#include "data/example.h"
#include "model/batch.h"

static const char *const squad_names[] = {"id", "title", "context", "question", "answer"};
static const char *const text_names[] = {"text"};
enum { SQUAD_FIELDS = sizeof squad_names / sizeof squad_names[0] };

struct loam_dataset {
    struct loam_dataset_options options; // its path is a copy
    char *path;
    enum loam_data_format format;
    struct loam_template *built_in;              // the squad template, when none was given
    const struct loam_template *prompt_template; // NULL: the text field as it is
    const char **names; // fields to read; the strings belong to the template, or are text_names
    size_t name_count;

    struct loam_squad *squad; // one of the two
    struct loam_lines *lines;

    struct loam_dataset_counts counts;
    unsigned char *met; // [records] whether its length has been counted

    // Working memory of reading.
    struct loam_example_work work;
    struct loam_rendered rendered;
    size_t reading_bytes; // memory that reading a record takes for the time
};

void loam_dataset_destroy(struct loam_dataset *dataset)
{
    if (dataset == NULL) return;
    free(dataset->path);
    free(dataset->names);
    free(dataset->met);
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

// A template can only name what the format offers; what each line of JSONL has is checked line by line.
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

static enum loam_status choose_template(struct loam_dataset *dataset, struct loam_error *error)
{
    dataset->prompt_template = dataset->options.prompt_template;
    if (dataset->prompt_template == NULL && dataset->format == LOAM_DATA_SQUAD) {
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
    bool skip_bad = dataset->options.skip_bad;
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
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s holds no records (%zu broken ones were skipped)%s",
                         dataset->path, *bad,
                         has_lines && *bad == 0 ? ": there is nothing but blank space in it" : "");
    dataset->met = loam_calloc(dataset->counts.records, 1, error);
    return dataset->met != NULL ? LOAM_OK : LOAM_ERROR_MEMORY;
}

static enum loam_status open_data(struct loam_dataset *dataset, const struct loam_map *map,
                                  struct loam_error *error)
{
    const char *data = map->data != NULL ? (const char *)map->data : "";
    if (map->size == 0)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s is empty: it holds no records", dataset->path);
    LOAM_TRY(loam_data_refuse_binary(dataset->path, map, error));
    LOAM_TRY(loam_data_format_find(&dataset->format, dataset->path, data, map->size, error));
    LOAM_TRY(choose_template(dataset, error));
    return read_records(dataset, map, error);
}

static enum loam_status open_into(struct loam_dataset *dataset, const struct loam_dataset_options *options,
                                  struct loam_error *error)
{
    dataset->options = *options;
    LOAM_TRY(check_options(options, error));
    dataset->options.path = dataset->path = loam_strdup(options->path, error);
    if (dataset->path == NULL) return LOAM_ERROR_MEMORY;
    struct loam_map map;
    LOAM_TRY(loam_map_open(&map, dataset->path, false, error));
    enum loam_status status = open_data(dataset, &map, error);
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

static struct loam_field field_of(const char *name, struct loam_squad_text text)
{
    return (struct loam_field){name, text.text, text.size};
}

// In the order of squad_names.
static void squad_fields(const struct loam_squad_question *question, struct loam_field fields[SQUAD_FIELDS])
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
        fields[i] = field_of(squad_names[i], texts[i]);
}

static void name_record(struct loam_example *example, const char *id, size_t size, size_t line)
{
    if (size == 0)
        snprintf(example->id, sizeof example->id, "line %zu", line);
    else
        snprintf(example->id, sizeof example->id, "%.*s",
                 (int)loam_utf8_fit(id, size, sizeof example->id - 1), id);
}

// The record's text through the template, or as it is.
static enum loam_status render(struct loam_dataset *dataset, const struct loam_field *fields, size_t count,
                               struct loam_example_source *source, struct loam_error *error)
{
    const struct loam_template *chosen = dataset->prompt_template;
    if (chosen == NULL) {
        *source =
            (struct loam_example_source){.text = fields[0].value, .size = fields[0].size, .wants_eos = true};
        return LOAM_OK;
    }
    struct loam_rendered *rendered = &dataset->rendered;
    LOAM_TRY(loam_template_render(chosen, fields, count, dataset->options.special, false, rendered, error));
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

static void count_fate(struct loam_dataset *dataset, size_t index, enum loam_example_fate fate, bool labelled)
{
    if (dataset->met[index]) return;
    dataset->met[index] = 1;
    dataset->counts.cut += fate == LOAM_EXAMPLE_CUT;
    dataset->counts.dropped += fate == LOAM_EXAMPLE_DROPPED;
    dataset->counts.without_label += fate != LOAM_EXAMPLE_DROPPED && !labelled;
}

static enum loam_status check_index(const struct loam_dataset *dataset, size_t index,
                                    struct loam_error *error)
{
    if (index < dataset->counts.records) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_ARGUMENT, "%s: record %zu of %zu was asked for", dataset->path, index,
                     dataset->counts.records);
}

enum loam_status loam_dataset_read(struct loam_dataset *dataset, size_t index, struct loam_example *example,
                                   struct loam_error *error)
{
    LOAM_TRY(check_index(dataset, index, error));
    struct loam_field squad[SQUAD_FIELDS];
    const struct loam_field *fields = squad;
    size_t count = SQUAD_FIELDS;
    if (dataset->squad != NULL) {
        struct loam_squad_question question = loam_squad_at(dataset->squad, index);
        squad_fields(&question, squad);
        name_record(example, question.id.text, question.id.size, question.line);
    } else {
        name_record(example, NULL, 0, loam_lines_number(dataset->lines, index));
        LOAM_TRY(loam_lines_read(dataset->lines, index, &fields, error));
        count = dataset->name_count;
    }
    struct loam_example_source source;
    enum loam_example_fate fate;
    LOAM_TRY(render(dataset, fields, count, &source, error));
    LOAM_TRY(loam_example_build(example, &source, &dataset->options, &dataset->work, &fate, error));
    count_fate(dataset, index, fate, loam_labels_count(example->weights, example->count).count > 0);
    return LOAM_OK;
}

// Reads a record and forgets that it was met.
static enum loam_status try_record(struct loam_dataset *dataset, size_t index, bool *unended,
                                   struct loam_error *error)
{
    struct loam_dataset_counts counts = dataset->counts;
    struct loam_example example = {0};
    enum loam_status status = loam_dataset_read(dataset, index, &example, error);
    *unended = example.unended;
    loam_example_deinit(&example);
    dataset->counts = counts;
    dataset->met[index] = 0;
    return status;
}

enum loam_status loam_dataset_try(struct loam_dataset *dataset, bool *unended, struct loam_error *error)
{
    bool squad = dataset->squad != NULL, longest_unended;
    LOAM_TRY(try_record(dataset, 0, unended, error));
    size_t longest = squad ? loam_squad_longest(dataset->squad) : loam_lines_longest(dataset->lines);
    LOAM_TRY(try_record(dataset, longest, &longest_unended, error));
    size_t bytes = loam_example_work_bytes(&dataset->work);
    if (!squad) bytes += loam_lines_reading_bytes(dataset->lines);
    // The counted bytes are an upper bound. So is what the process has released since its peak; the smaller
    // one is taken.
    struct loam_machine_memory memory = loam_machine_measure_memory("");
    size_t given_back = memory.peak > memory.resident ? memory.peak - memory.resident : 0;
    dataset->reading_bytes = memory.peak > 0 && bytes > given_back ? given_back : bytes;
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
