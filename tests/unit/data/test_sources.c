// The files of --data: directories, patterns, names with colons, and data sets of several files.
#include "test.h"

#include <sys/stat.h>

#include "data/dataset.h"
#include "helpers/byte_tokenizer.h"

static struct loam_error error;
static char directory[256];
static struct loam_tokenizer *tokenizer;
static struct loam_special_tokens special;

static int set_up(void **state)
{
    (void)state;
    assert_non_null(test_make_directory(directory));
    assert_int_equal(chdir(directory), 0);
    tokenizer = test_byte_tokenizer(directory, false, false);
    special = test_special_tokens(false, false);
    assert_int_equal(mkdir("set", 0700), 0);
    test_write_file("set/b.jsonl", "{\"text\": \"b1\"}\n{\"text\": \"b2\"}\n", 30);
    test_write_file("set/a.txt", "a1\na2\na3\n", 9);
    test_write_file("set/c.csv", "text\nc1\n", 8);
    test_write_file("set/.hidden.txt", "no\n", 3);
    test_write_file("set/README.md", "no\n", 3);
    test_write_file("set/data.parquet", "PAR1", 4);
    assert_int_equal(mkdir("set/more.txt", 0700), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(chdir("/"), 0);
    loam_tokenizer_destroy(tokenizer);
    test_remove_directory(directory);
    return 0;
}

static char logged[1024];
static void collect(void *user, enum loam_log_level level, const char *line)
{
    (void)user;
    (void)level;
    snprintf(logged, sizeof logged, "%s", line);
}

// The files of these values, each followed by a blank.
static void assert_files(const char *const *given, size_t count, const char *expected)
{
    struct loam_text_list list = {.items = (const char **)(uintptr_t)given, .count = count};
    struct loam_data_sources sources = {0};
    char found[512] = "";
    assert_ok(loam_data_sources_find(&sources, &list, &error));
    assert_int_equal(sources.count, count);
    for (size_t i = 0; i < sources.files.count; i++)
        strcat(strcat(found, sources.files.items[i]), " ");
    assert_string_equal(found, expected);
    const struct loam_log log = {collect, NULL};
    logged[0] = '\0';
    loam_data_sources_tell(&sources, &log);
    loam_data_sources_deinit(&sources);
}
#define FILES(expected, ...)                                                                                 \
    assert_files((const char *const[]){__VA_ARGS__},                                                         \
                 sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *), expected)

static void test_files(void **state)
{
    (void)state;
    FILES("missing.jsonl ", "missing.jsonl"); // opening it reports it
    assert_string_equal(logged, "");
    FILES("set/a.txt set/b.jsonl set/c.csv ", "set");
    assert_non_null(strstr(logged, " is not read: its name is not that of a data file (3 such names)"));
    FILES("set/a.txt set/b.jsonl set/c.csv set/a.txt ", "set/", "set/a.txt:0.5");
    FILES("set/b.jsonl set/c.csv ", "set/[bc]*");
    assert_string_equal(logged, "");
    FILES("set/README.md ", "set/R*:3"); // named by a pattern: the contents decide
    test_write_file("x:0.7", "a\n", 2);
    FILES("x:0.7 x:0.7 ", "x:0.7", "x:0.7:0.5");
    test_write_file("y[1].txt", "a\n", 2);
    FILES("y[1].txt ", "y[1].txt");
}

static void assert_refused(const char *given, enum loam_status status, const char *message)
{
    struct loam_text_list list = {.items = &given, .count = 1};
    struct loam_data_sources sources = {0};
    assert_fails(loam_data_sources_find(&sources, &list, &error), status, message);
    loam_data_sources_deinit(&sources);
}

static void test_refusals(void **state)
{
    (void)state;
    assert_refused("none*.jsonl", LOAM_ERROR_IO, "none*.jsonl: no file has such a name");
    assert_refused("set/more.txt", LOAM_ERROR_IO, "set/more.txt: the directory has no data file");
    assert_refused("set:0", LOAM_ERROR_ARGUMENT, "\"set:0\": after the last colon, expected a weight");
    assert_refused(":5", LOAM_ERROR_ARGUMENT, "\":5\": expected a path before the colon");
}

static struct loam_dataset *open_data(const char *const *given, size_t count, bool takes_all)
{
    const struct loam_text_list list = {.items = (const char **)(uintptr_t)given, .count = count};
    const struct loam_dataset_options options = {.sources = &list,
                                                 .takes_all = takes_all,
                                                 .max_length = 100,
                                                 .tokenizer = tokenizer,
                                                 .special = &special,
                                                 .vocabulary = TEST_VOCABULARY};
    struct loam_dataset *dataset = NULL;
    if (loam_dataset_open(&dataset, &options, &error) != LOAM_OK) return NULL;
    return dataset;
}

static void test_several_files(void **state)
{
    (void)state;
    static const char *const given[] = {"set:0.5", "set/b.jsonl:7", "set/c.csv"};
    static const char *const texts[] = {"a1", "a2", "a3", "b1", "b2", "c1", "b1", "b2", "c1"};
    struct loam_dataset *dataset = open_data(given, 3, false);
    if (dataset == NULL) fail_msg("%s", error.message);
    assert_string_equal(loam_dataset_name(dataset), "set/a.txt and 4 other files");
    assert_int_equal(loam_dataset_count(dataset), 9);
    assert_int_equal(loam_dataset_file_count(dataset), 5);
    assert_string_equal(loam_dataset_file_path(dataset, 3), "set/b.jsonl");
    size_t count;
    const struct loam_mixture_part *parts = loam_dataset_parts(dataset, &count);
    static const struct loam_mixture_part expected[] = {{0, 6, 3}, {6, 2, 7}, {8, 1, 1}};
    assert_int_equal(count, 3);
    assert_memory_equal(parts, expected, sizeof expected);
    struct loam_example example = {0};
    for (size_t i = 0; i < 9; i++) {
        char end[16];
        assert_ok(loam_dataset_read(dataset, i, &example, &error));
        char *text = test_text_of_ids(example.ids, example.count);
        snprintf(end, sizeof end, "%s</s>", texts[i]);
        assert_string_equal(text, end);
        free(text);
    }
    assert_string_equal(example.id, "line 2");
    assert_fails(loam_dataset_read(dataset, 9, &example, &error), LOAM_ERROR_ARGUMENT,
                 "record 9 is out of range");
    loam_example_deinit(&example);
    struct loam_dataset_place place = loam_dataset_place(dataset, 8);
    assert_string_equal(place.path, loam_dataset_file_path(dataset, loam_dataset_file_count(dataset) - 1));
    assert_int_equal(place.line, 2);
    assert_ok(loam_dataset_try(dataset, &error));
    loam_dataset_destroy(dataset);
    assert_null(open_data(given, 3, true));
    assert_non_null(strstr(error.message, "set:0.5: an evaluation takes every record: leave out the weight"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refusals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_several_files, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
