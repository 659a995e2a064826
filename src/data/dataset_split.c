#include "data/dataset_split.h"

#include "base/event.h"
#include "data/chat_split.h"
#include "data/dataset_read.h"
#include "data/record_shape.h"

// Whether long records of the file are split. A text is, whether a template renders it or not, if all of it is learnt. A
// conversation is, if every answer is learnt. A completion stays with its prompt.
static bool is_splittable(const struct loam_dataset *dataset, const struct loam_data_file *file)
{
    const enum loam_record_shape shape = loam_data_file_shape(file);
    enum loam_loss_on loss_on = dataset->loss_on;
    if (loss_on == LOAM_LOSS_ON_DEFAULT) loss_on = loam_dataset_default_loss(file);
    if (shape == LOAM_RECORD_MESSAGES)
        return loss_on == LOAM_LOSS_ON_ASSISTANT || loss_on == LOAM_LOSS_ON_ALL;
    return shape == LOAM_RECORD_TEXT || (shape == LOAM_RECORD_FIELDS && loss_on == LOAM_LOSS_ON_ALL);
}

// Working memory.
struct counting {
    struct loam_dataset *dataset;
    const struct loam_callbacks *callbacks;
    struct loam_example example;
    struct loam_chat_pieces pieces;
};

static enum loam_status split_chat(struct counting *counting, size_t record,
                                   const struct loam_dataset_reading *reading, struct loam_error *error)
{
    struct loam_dataset *dataset = counting->dataset;
    struct loam_chat_pieces *pieces = &counting->pieces;
    if (loam_chat_split(&reading->conversation, &dataset->chat, &dataset->chat_work, pieces, error) !=
        LOAM_OK)
        return loam_fail_prefix(error, "%s: record %s", dataset->chat.name, counting->example.id);
    if (pieces->count == 1) return LOAM_OK;
    const size_t messages = json_array_size(reading->conversation.messages);
    return loam_splits_add_chat(&dataset->splits, record, counting->example.id, pieces->starts, pieces->count,
                                (int32_t)messages, error);
}

static enum loam_status split_text(struct counting *counting, size_t record,
                                   const struct loam_dataset_reading *reading, struct loam_error *error)
{
    struct loam_dataset *dataset = counting->dataset;
    struct loam_example *example = &counting->example;
    enum loam_example_fate fate;
    LOAM_TRY(loam_dataset_build_text(dataset, reading, INT32_MAX, example, &fate, error));
    if (example->count <= dataset->splits.longest) return LOAM_OK;
    return loam_splits_add_text(&dataset->splits, record, example, error);
}

static enum loam_status split_record(struct counting *counting, size_t record, struct loam_error *error)
{
    struct loam_dataset_reading reading;
    const struct loam_split_place whole = {.record = record};
    enum loam_status status =
        loam_dataset_reading_open(counting->dataset, &whole, &reading, &counting->example, error);
    if (status == LOAM_OK)
        status = (reading.is_chat ? split_chat : split_text)(counting, record, &reading, error);
    loam_dataset_reading_close(&reading);
    return status;
}

static enum loam_status split_file(struct counting *counting, size_t file, struct loam_error *error)
{
    enum { REPORT = 64 }; // records between two reports of progress
    const struct loam_dataset *dataset = counting->dataset;
    const size_t first = dataset->firsts[file], count = loam_data_file_count(dataset->files[file]);
    const int64_t records = (int64_t)dataset->counts.records;
    if (!is_splittable(dataset, dataset->files[file])) return LOAM_OK;
    for (size_t i = 0; i < count; i++) {
        LOAM_TRY(split_record(counting, first + i, error));
        if (i % REPORT == 0 || i + 1 == count)
            LOAM_TRY(loam_event_progress(counting->callbacks, LOAM_ACTIVITY_READ, (int64_t)(first + i) + 1,
                                         records, error));
    }
    return LOAM_OK;
}

enum loam_status loam_dataset_split(struct loam_dataset *dataset, const struct loam_callbacks *callbacks,
                                    struct loam_error *error)
{
    struct counting counting = {.dataset = dataset, .callbacks = callbacks};
    enum loam_status status = LOAM_OK;
    dataset->splits.longest = dataset->example_options.max_length;
    dataset->splits.path = dataset->name;
    if (dataset->example_options.too_long == LOAM_TOO_LONG_SPLIT)
        for (size_t i = 0; i < dataset->file_count && status == LOAM_OK; i++)
            status = split_file(&counting, i, error);
    dataset->counts.split = dataset->splits.count;
    dataset->counts.examples = dataset->counts.records + dataset->splits.extra;
    loam_example_deinit(&counting.example);
    loam_chat_pieces_deinit(&counting.pieces);
    return status;
}

void loam_dataset_tell_split(const struct loam_dataset *dataset, const struct loam_log *log)
{
    const struct loam_dataset_counts *counts = &dataset->counts;
    if (dataset->example_options.too_long != LOAM_TOO_LONG_SPLIT) return;
    if (counts->split > 0)
        loam_log_write(
            log, LOAM_LOG_INFO,
            "%s: of %zu records, %zu are longer than %d tokens and become %zu examples: %zu in all",
            dataset->name, counts->records, counts->split, (int)dataset->splits.longest,
            counts->split + dataset->splits.extra, counts->examples);
    for (size_t i = 0; i < dataset->file_count; i++)
        if (!is_splittable(dataset, dataset->files[i]))
            loam_log_write(log, LOAM_LOG_INFO,
                           "%s: what is learnt stays with its prompt: long records are cut, not split",
                           loam_data_file_path(dataset->files[i]));
}
