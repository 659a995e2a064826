#include "data/dataset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "base/machine.h"
#include "base/utf8.h"
#include "data/data_file.h"
#include "data/record_shape.h"
#include "model/batch.h"

struct loam_dataset {
    struct loam_example_options example_options;
    enum loam_loss_on loss_on; // of the options
    bool has_template;         // of the options
    char *name;                // in messages
    struct loam_data_sources sources;
    struct loam_field_map map;
    struct loam_data_file **files; // [file_count]
    size_t *firsts;                // [file_count] index of the first record of each file
    size_t file_count;
    struct loam_mixture_part *parts; // [sources.count]

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

// Whether the completions of a file's records are learnt by default.
static bool learns_completion(const struct loam_data_file *file)
{
    const enum loam_record_shape shape = loam_data_file_shape(file);
    return shape == LOAM_RECORD_COMPLETION || shape == LOAM_RECORD_INSTRUCTION;
}

bool loam_dataset_learns_completions(const struct loam_dataset *dataset)
{
    for (size_t i = 0; i < dataset->file_count; i++)
        if (learns_completion(dataset->files[i])) return true;
    return false;
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

// Fails for records that are not texts.
static enum loam_status refuse_shape(const struct loam_data_file *file, struct loam_error *error)
{
    const enum loam_record_shape shape = loam_data_file_shape(file);
    const char *advice = shape == LOAM_RECORD_PREFERENCE
                             ? "loam trains on single texts: --map text=chosen learns the chosen ones"
                         : shape == LOAM_RECORD_CHOICES
                             ? "give --template FILE with the fields to learn, such as {question}"
                             : "they need a chat template";
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s: the records are %s: %s", loam_data_file_path(file),
                     loam_record_shape_title(shape), advice);
}

// Renders the record through its template; without a template, takes the only field.
static enum loam_status render_record(struct loam_dataset *dataset, const struct loam_record_fields *fields,
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

static enum loam_loss_on choose_loss(const struct loam_dataset *dataset, const struct loam_data_file *file)
{
    if (dataset->loss_on != LOAM_LOSS_ON_DEFAULT) return dataset->loss_on;
    return learns_completion(file) ? LOAM_LOSS_ON_COMPLETION : LOAM_LOSS_ON_ALL;
}

// A record and its file.
struct reading {
    struct loam_data_file *file;
    struct loam_record_fields fields;
};

// Reads the texts of a record. Sets the id of `example`, where it is not NULL.
static enum loam_status read_fields(struct loam_dataset *dataset, size_t index, struct loam_example *example,
                                    struct reading *reading, struct loam_error *error)
{
    size_t local;
    LOAM_TRY(check_index(dataset, index, error));
    reading->file = find_file(dataset, index, &local);
    enum loam_status status = loam_data_file_fields(reading->file, local, &reading->fields, error);
    if (example != NULL) set_record_id(example, &reading->fields);
    if (status != LOAM_OK) return status;
    return reading->fields.count == 0 ? refuse_shape(reading->file, error) : LOAM_OK;
}

static enum loam_status read_record(struct loam_dataset *dataset, size_t index, struct loam_example *example,
                                    enum loam_example_fate *fate, struct loam_error *error)
{
    struct reading reading;
    struct loam_example_source source;
    struct loam_example_options *options = &dataset->example_options;
    LOAM_TRY(read_fields(dataset, index, example, &reading, error));
    options->name = loam_data_file_path(reading.file);
    options->loss_on = choose_loss(dataset, reading.file);
    LOAM_TRY(render_record(dataset, &reading.fields, false, &source, error));
    return loam_example_build(example, &source, options, &dataset->work, fate, error);
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
    struct reading reading;
    struct loam_example_source source;
    LOAM_TRY(read_fields(dataset, index, NULL, &reading, error));
    LOAM_TRY(render_record(dataset, &reading.fields, false, &source, error));
    *text = source.text != NULL ? source.text : "";
    *size = source.size;
    return LOAM_OK;
}

enum loam_status loam_dataset_prompt(struct loam_dataset *dataset, size_t index, struct loam_example *example,
                                     struct loam_error *error)
{
    struct reading reading;
    struct loam_example_source source;
    const struct loam_example_options *options = &dataset->example_options;
    example->count = example->length = 0;
    LOAM_TRY(read_fields(dataset, index, example, &reading, error));
    if (reading.fields.prompt_template == NULL) return LOAM_OK;
    LOAM_TRY(render_record(dataset, &reading.fields, true, &source, error));
    LOAM_TRY(loam_bytes_reserve(&dataset->rendered.text, 1, error)); // the text must not be NULL
    return loam_example_build_prompt(example, &dataset->rendered, options->tokenizer, options->special,
                                     options->max_length, &dataset->work, error);
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
    bytes += loam_example_work_bytes(&dataset->work);
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
