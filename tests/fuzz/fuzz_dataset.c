// A data set as SQuAD, JSONL, CSV and plain text, chosen by the file's name, with broken records refused or
// skipped. Each record is read as an example and as a tree.
#include "data/dataset.h"
#include "fuzz.h"
#include "small_tokenizer.h"

enum { MAX_LENGTH = 64 };

static int32_t ends[] = {SMALL_EOS};
static const struct loam_special_tokens special = {
    .bos = SMALL_BOS, .eos = SMALL_EOS, .eos_text = "</s>", .eos_ids = ends, .eos_count = 1, .add_bos = true};

static void check_example(const struct loam_example *example)
{
    fuzz_require(example->count >= 0 && example->count <= MAX_LENGTH);
    fuzz_require(!example->dropped || example->count == 0);
    for (int32_t i = 0; i < example->count; i++)
        fuzz_require(example->ids[i] >= 0 && example->ids[i] < SMALL_VOCABULARY);
}

static void check_squad(const struct loam_dataset *dataset, size_t index)
{
    struct loam_error error;
    struct loam_squad_record record;
    enum loam_status status = loam_dataset_squad(dataset, index, &record, &error);
    fuzz_require_message(status, &error);
    if (status != LOAM_OK) return;
    fuzz_require(record.id != NULL && record.context != NULL && record.question != NULL);
    for (size_t i = 0; i < record.answer_count; i++)
        fuzz_require(record.answers[i] != NULL);
}

// The prompt at generation is the begin of the example, unless one of them was shortened.
static void check_prompt(struct loam_dataset *dataset, size_t index, const struct loam_example *example)
{
    struct loam_error error;
    struct loam_example prompt = {0};
    const char *text;
    size_t size;
    fuzz_require(loam_dataset_text(dataset, index, &text, &size, &error) == LOAM_OK && text != NULL);
    fuzz_require(loam_dataset_place(dataset, index).line > 0);
    enum loam_status status = loam_dataset_prompt(dataset, index, &prompt, &error);
    fuzz_require_message(status, &error);
    if (status == LOAM_OK && example->length == example->count && prompt.length == prompt.count) {
        fuzz_require(prompt.count <= example->count);
        for (int32_t i = 0; i < prompt.count; i++)
            fuzz_require(prompt.ids[i] == example->ids[i]);
    }
    loam_example_deinit(&prompt);
}

static void check_tree(struct loam_dataset *dataset, size_t index)
{
    struct loam_error error;
    struct loam_record record;
    enum loam_status status = loam_dataset_record(dataset, index, &record, &error);
    fuzz_require_message(status, &error);
    if (status != LOAM_OK) return;
    fuzz_require(json_is_object(record.tree) && record.line > 0);
    if (record.shape == LOAM_RECORD_MESSAGES)
        fuzz_require(json_array_size(json_object_get(record.tree, "messages")) > 0);
    if (record.shape == LOAM_RECORD_CHOICES)
        fuzz_require((size_t)json_integer_value(json_object_get(record.tree, "answer")) <
                     json_array_size(json_object_get(record.tree, "choices")));
}

static void read_all(struct loam_dataset *dataset)
{
    struct loam_error error;
    struct loam_example example = {0};
    for (size_t i = 0; i < loam_dataset_count(dataset); i++) {
        enum loam_status status = loam_dataset_read(dataset, i, &example, &error);
        fuzz_require_message(status, &error);
        if (status == LOAM_OK) check_example(&example);
        if (status == LOAM_OK) check_prompt(dataset, i, &example);
        check_squad(dataset, i);
        check_tree(dataset, i);
    }
    loam_example_deinit(&example);
}

static void open_and_read(const struct loam_dataset_options *options)
{
    struct loam_error error;
    struct loam_dataset *dataset;
    enum loam_status status = loam_dataset_open(&dataset, options, &error);
    fuzz_require_message(status, &error);
    if (status != LOAM_OK) return;
    status = loam_dataset_try(dataset, &error);
    fuzz_require_message(status, &error);
    read_all(dataset);
    struct loam_dataset_counts counts = loam_dataset_counts(dataset);
    fuzz_require(counts.cut + counts.dropped <= loam_dataset_count(dataset));
    loam_dataset_destroy(dataset);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"data.json", "data.jsonl", "data.csv", "data.txt"};
    struct loam_dataset_options options = {.loss_on = LOAM_LOSS_ON_DEFAULT,
                                           .too_long = LOAM_TOO_LONG_CUT,
                                           .max_length = MAX_LENGTH,
                                           .tokenizer = small_tokenizer(),
                                           .special = &special,
                                           .vocabulary = SMALL_VOCABULARY};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        options.path = fuzz_write(names[i], data, size);
        options.skip_bad = false;
        open_and_read(&options);
        options.skip_bad = true;
        open_and_read(&options);
    }
    return 0;
}
