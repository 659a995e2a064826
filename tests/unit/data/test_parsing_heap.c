// Reads data sets and tokenizers with every n-th allocation refused once, including those of yajl, which
// does not check them. Either all is read or the error is LOAM_ERROR_MEMORY; nothing leaks, and no record
// counts as broken.
#include "test.h"

#include "data/dataset.h"
#include "helpers/byte_tokenizer.h"
#include "property/run/heap_watch.h"

// yajl copies strings with escapes, and its buffer grows for long ones.
#define TEN "0123456789"
#define LONG TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define ESCAPED "\\u00e9 \\\"" LONG LONG "\\\" \\ud83d\\ude00" LONG LONG LONG LONG LONG LONG LONG LONG "\\n"
#define QUESTIONS                                                                                            \
    "[{\"context\": \"" ESCAPED "\", \"qas\": [{\"id\": \"a\", \"question\": \"What?\", \"answers\": "       \
    "[{\"text\": \"" TEN "\", \"answer_start\": 4}]}]}]"

static const struct sample {
    const char *name; // of the file; may decide the format
    const char *text;
    const char *fails; // expected message; NULL: the file is read
} samples[] = {
    {"lines.jsonl", "{\"text\": \"" ESCAPED "\", \"n\": [[1.5, -2], {}]}\n\n{\"text\": \"b\"}\n", NULL},
    {"lines.json", "{\"text\": \"" ESCAPED "\"}\n{\"text\": \"b\"}\n", NULL},
    {"broken_line.jsonl", "{\"text\": \"a\"}\n{\"text\": \"" ESCAPED "\"\n{\"text\": \"b\"}\n", NULL},
    {"rows.csv", "id,text\n1,\"" TEN "\"\"" LONG "\"\n\n2,b\n", NULL},
    {"completions.jsonl",
     "{\"prompt\": \"" ESCAPED "\", \"completion\": \"b\"}\n{\"completion\": 2, \"prompt\": \"\"}\n", NULL},
    {"pairs.jsonl",
     "{\"chosen\": [{\"role\": \"user\", \"content\": \"" ESCAPED
     "\"}], \"n\": [1, 2.5, true, {\"a\": null}], "
     "\"rejected\": [{\"role\": \"critic\", \"content\": [{\"type\": \"text\", \"text\": \"a\"}]}]}\n",
     "the records are preference pairs"},
    {"squad.json",
     "{\"version\": \"2\", \"data\": [{\"title\": \"" ESCAPED "\", \"paragraphs\": " QUESTIONS "}]}", NULL},
    {"broken_squad.json", "{\"data\": [{\"title\": \"" ESCAPED "\", \"paragraphs\": " QUESTIONS "]}",
     "not valid JSON"},
};

static char directory[256];
static struct loam_tokenizer *tokenizer;

static int set_up(void **state)
{
    (void)state;
    if (test_make_directory(directory) == NULL) return 1;
    tokenizer = test_byte_tokenizer(directory, false, false);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    loam_tokenizer_destroy(tokenizer);
    test_remove_directory(directory);
    return 0;
}

struct reading {
    char path[300];
    struct loam_dataset_counts counts;
    int32_t ids[4000];
    size_t id_count;
};

static enum loam_status read_examples(struct loam_dataset *dataset, struct reading *reading,
                                      struct loam_error *error)
{
    struct loam_example example = {0};
    enum loam_status status = LOAM_OK;
    for (size_t i = 0; i < loam_dataset_count(dataset) && status == LOAM_OK; i++) {
        status = loam_dataset_read(dataset, i, &example, error);
        if (status != LOAM_OK) break;
        assert_true(reading->id_count + (size_t)example.count <= sizeof reading->ids / sizeof *reading->ids);
        memcpy(reading->ids + reading->id_count, example.ids, (size_t)example.count * sizeof *example.ids);
        reading->id_count += (size_t)example.count;
    }
    loam_example_deinit(&example);
    reading->counts = loam_dataset_counts(dataset);
    return status;
}

static enum loam_status read_data(struct reading *reading, struct loam_error *error)
{
    struct loam_special_tokens special = test_special_tokens(false, false);
    struct loam_dataset_options options = {.path = reading->path,
                                           .max_length = 4000,
                                           .skip_bad = true,
                                           .tokenizer = tokenizer,
                                           .special = &special,
                                           .vocabulary = TEST_VOCABULARY};
    struct loam_dataset *dataset;
    reading->id_count = 0;
    enum loam_status status = loam_dataset_open(&dataset, &options, error);
    if (status != LOAM_OK) return status;
    status = read_examples(dataset, reading, error);
    loam_dataset_destroy(dataset);
    return status;
}

static enum loam_status read_tokenizer(struct reading *reading, struct loam_error *error)
{
    struct loam_tokenizer *read;
    reading->id_count = 0;
    enum loam_status status = loam_tokenizer_load(&read, reading->path, error);
    if (status != LOAM_OK) return status;
    reading->ids[reading->id_count++] = loam_tokenizer_vocabulary_size(read);
    loam_tokenizer_destroy(read);
    return status;
}

typedef enum loam_status reader(struct reading *reading, struct loam_error *error);

// Reads with each allocation refused in turn; `fails` as in a sample.
static void walk(reader *read, struct reading *reading, const char *fails)
{
    struct loam_error error;
    heap.asked = 0;
    enum loam_status expected = read(reading, &error);
    if (fails != NULL) assert_non_null(strstr(error.message, fails));
    assert_int_equal(expected, fails == NULL ? LOAM_OK : LOAM_ERROR_FORMAT);
    struct reading whole = *reading;
    long total = heap.asked, live = heap.live, refused = 0;
    assert_true(total > 10);
    for (long n = 0; n < total; n++) {
        heap.asked = 0;
        heap.fails = n;
        enum loam_status status = read(reading, &error);
        heap.fails = -1;
        if (heap.live != live) fail_msg("%s, %ld: %ld blocks lost", whole.path, n, heap.live - live);
        refused += status != expected;
        if (status == LOAM_ERROR_IO)
            assert_non_null(strstr(error.message, "Cannot allocate memory"));
        else if (status != expected)
            assert_fails(status, LOAM_ERROR_MEMORY, "out of memory");
        if (status != LOAM_OK) continue;
        assert_memory_equal(&reading->counts, &whole.counts, sizeof whole.counts);
        assert_int_equal(reading->id_count, whole.id_count);
        assert_memory_equal(reading->ids, whole.ids, whole.id_count * sizeof *whole.ids);
    }
    assert_true(refused > 10);
}

static void data_sets(void **state)
{
    (void)state;
    static struct reading reading;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        snprintf(reading.path, sizeof reading.path, "%s/%s", directory, samples[i].name);
        test_write_file(reading.path, samples[i].text, strlen(samples[i].text));
        walk(read_data, &reading, samples[i].fails);
    }
}

static void tokenizers(void **state)
{
    (void)state;
    static struct reading reading;
    snprintf(reading.path, sizeof reading.path, "%s/tokenizer.json", directory);
    walk(read_tokenizer, &reading, NULL);
}

static void a_broken_tokenizer(void **state)
{
    (void)state;
    static struct reading reading;
    snprintf(reading.path, sizeof reading.path, "%s/broken.json", directory);
    static const char text[] = "{\"version\": \"" ESCAPED "\", \"added_tokens\": [[[[{}]]]], oops}";
    test_write_file(reading.path, text, sizeof text - 1);
    walk(read_tokenizer, &reading, "not valid JSON");
}

int main(void)
{
    json_set_alloc_funcs(__wrap_malloc, __wrap_free);
    const struct CMUnitTest tests[] = {cmocka_unit_test(data_sets), cmocka_unit_test(tokenizers),
                                       cmocka_unit_test(a_broken_tokenizer)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
