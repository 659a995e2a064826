// Real SQuAD files, record by record against a DOM of the same file.
#include "test.h"

#include "helpers/labels.h"

#include "base/file.h"
#include "base/json.h"
#include "data/dataset.h"
#include "helpers/byte_tokenizer.h"

static struct loam_error error;

struct file {
    const char *name;
    size_t questions;
    size_t unanswerable;
};

// Every `READ_EVERY`th record is tokenised too; all of them would take too long.
enum { READ_EVERY = 97 };

static void assert_prompt(struct loam_dataset *dataset, size_t index, const char *context,
                          const char *question, const char *answer)
{
    struct loam_example example = {0};
    struct loam_bytes expected = {0};
    assert_ok(loam_bytes_format(&expected, &error,
                                "### CONTEXT\n%s\n\n### QUESTION\n%s\n\n### ANSWER\n%s</s>", context,
                                question, answer));
    assert_ok(loam_dataset_read(dataset, index, &example, &error));
    char *text = test_text_of_ids(example.ids, example.count);
    assert_string_equal(text, expected.data);
    // The learnt tokens are the answer and EOS.
    const int32_t start = test_first_label(example.weights, example.count);
    char *completion = test_text_of_ids(example.ids + start, example.count - start);
    assert_int_equal(strlen(completion), strlen(answer) + strlen("</s>"));
    free(completion);
    free(text);
    loam_bytes_deinit(&expected);
    loam_example_deinit(&example);
}

// One question of the DOM; returns whether it has no answer.
static bool assert_question(struct loam_dataset *dataset, size_t index, const char *context, const json_t *qa)
{
    struct loam_squad_record record;
    assert_ok(loam_dataset_squad(dataset, index, &record, &error));
    const char *question = json_string_value(json_object_get(qa, "question"));
    const json_t *answers = json_object_get(qa, "answers");
    assert_string_equal(record.id, json_string_value(json_object_get(qa, "id")));
    assert_string_equal(record.context, context);
    assert_string_equal(record.question, question);
    assert_int_equal(record.answer_count, json_array_size(answers));
    for (size_t i = 0; i < record.answer_count; i++)
        assert_string_equal(record.answers[i],
                            json_string_value(json_object_get(json_array_get(answers, i), "text")));
    if (index % READ_EVERY == 0)
        assert_prompt(dataset, index, context, question,
                      record.answer_count > 0 ? record.answers[0] : "Can not find answer");
    return record.answer_count == 0;
}

// The questions of one paragraph from record `*index` on; returns how many have no answer.
static size_t assert_paragraph(struct loam_dataset *dataset, size_t *index, const json_t *paragraph)
{
    const char *context = json_string_value(json_object_get(paragraph, "context"));
    const json_t *qas = json_object_get(paragraph, "qas");
    size_t unanswerable = 0;
    for (size_t i = 0; i < json_array_size(qas); i++)
        unanswerable += assert_question(dataset, (*index)++, context, json_array_get(qas, i));
    return unanswerable;
}

static void assert_same_as_dom(struct loam_dataset *dataset, const struct file *file, const json_t *root)
{
    const json_t *data = json_object_get(root, "data");
    size_t index = 0;
    size_t unanswerable = 0;
    for (size_t i = 0; i < json_array_size(data); i++) {
        const json_t *paragraphs = json_object_get(json_array_get(data, i), "paragraphs");
        for (size_t j = 0; j < json_array_size(paragraphs); j++)
            unanswerable += assert_paragraph(dataset, &index, json_array_get(paragraphs, j));
    }
    assert_int_equal(index, file->questions);
    assert_int_equal(unanswerable, file->unanswerable);
}

static void test_file(void **state)
{
    const struct file *file = *state;
    char path[600];
    char directory[256];
    snprintf(path, sizeof path, "%s/squad/%s", LOAM_TEST_SHARED, file->name);
    assert_non_null(test_make_directory(directory));
    struct loam_tokenizer *tokenizer = test_byte_tokenizer(directory, false, false);
    struct loam_special_tokens special = test_special_tokens(false, false);
    const struct loam_dataset_options options = {
        .path = path,
        .loss_on = LOAM_LOSS_ON_COMPLETION,
        .max_length = 10000,
        .tokenizer = tokenizer,
        .special = &special,
        .vocabulary = TEST_VOCABULARY,
    };
    struct loam_dataset *dataset = NULL;
    assert_ok(loam_dataset_open(&dataset, &options, &error));
    assert_int_equal(loam_dataset_count(dataset), file->questions);

    json_t *root = NULL;
    assert_ok(loam_json_load(&root, path, &error));
    assert_same_as_dom(dataset, file, root);
    struct loam_dataset_counts counts = loam_dataset_counts(dataset);
    assert_int_equal(counts.skipped_bad + counts.cut + counts.dropped, 0);
    json_decref(root);
    loam_dataset_destroy(dataset);
    loam_tokenizer_destroy(tokenizer);
    test_remove_directory(directory);
}

int main(void)
{
    static struct file train = {"train.json", 10768, 3165};
    static struct file dev = {"dev.json", 1592, 793};
    if (!loam_directory_exists(LOAM_TEST_SHARED "/squad")) {
        printf("skipped: the SQuAD files are not there (%s/squad)\n", LOAM_TEST_SHARED);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_file, &train),
        cmocka_unit_test_prestate(test_file, &dev),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
