#include "data/dataset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "data/chat_record.h"
#include "data/dataset_parts.h"
#include "data/dataset_read.h"
#include "data/dataset_split.h"
#include "data/record_shape.h"

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
    loam_splits_deinit(&dataset->splits);
    free(dataset);
}

size_t loam_dataset_count(const struct loam_dataset *dataset)
{
    return dataset->counts.examples;
}

size_t loam_dataset_limit(const struct loam_dataset *dataset, size_t records)
{
    const bool is_limit = records > 0 && records < dataset->counts.records;
    return is_limit ? loam_splits_first(&dataset->splits, records) : dataset->counts.examples;
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
    loam_dataset_tell_split(dataset, log);
}

bool loam_dataset_has_template(const struct loam_dataset *dataset)
{
    if (dataset->has_template) return true;
    for (size_t i = 0; i < dataset->file_count; i++)
        if (loam_data_file_shape(dataset->files[i]) != LOAM_RECORD_TEXT) return true;
    return false;
}

bool loam_dataset_has_chats(const struct loam_dataset *dataset)
{
    for (size_t i = 0; i < dataset->file_count; i++)
        if (loam_dataset_is_chat(dataset, dataset->files[i])) return true;
    return false;
}

enum loam_loss_on loam_dataset_loss_on(const struct loam_dataset *dataset)
{
    for (size_t i = 0; i < dataset->file_count; i++)
        if (loam_dataset_default_loss(dataset->files[i]) != LOAM_LOSS_ON_ALL)
            return loam_dataset_default_loss(dataset->files[i]);
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
                error, LOAM_ERROR_USAGE,
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
        size_t records = dataset->firsts[source->first];
        part->first = loam_splits_first(&dataset->splits, records);
        for (size_t j = 0; j < source->count; j++)
            records += loam_data_file_count(dataset->files[source->first + j]);
        part->count = loam_splits_first(&dataset->splits, records) - part->first;
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
    LOAM_TRY(loam_dataset_split(dataset, options->callbacks, error));
    LOAM_TRY(make_parts(dataset, error));
    dataset->is_counted = loam_calloc(dataset->counts.examples, 1, error);
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
