// Records as trees: shapes, conversations, renamed fields, and examples without a template.
#include "test.h"

#include "data/dataset.h"
#include "helpers/byte_tokenizer.h"

static struct loam_error error;

static struct {
    char directory[256];
    char path[300];
    struct loam_tokenizer *tokenizer;
    struct loam_special_tokens special;
    struct loam_template *prompt_template;
    struct loam_dataset_options options;
} setting;

static int set_up(void **state)
{
    (void)state;
    memset(&setting, 0, sizeof setting);
    assert_non_null(test_make_directory(setting.directory));
    setting.tokenizer = test_byte_tokenizer(setting.directory, false, false);
    setting.special = test_special_tokens(false, false);
    setting.options = (struct loam_dataset_options){.path = setting.path,
                                                    .max_length = 1000,
                                                    .tokenizer = setting.tokenizer,
                                                    .special = &setting.special,
                                                    .vocabulary = TEST_VOCABULARY};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    loam_template_destroy(setting.prompt_template);
    loam_tokenizer_destroy(setting.tokenizer);
    test_remove_directory(setting.directory);
    return 0;
}

static void write_data(const char *name, const char *contents)
{
    snprintf(setting.path, sizeof setting.path, "%s/%s", setting.directory, name);
    test_write_file(setting.path, contents, strlen(contents));
}

static void use_template(const char *text)
{
    loam_template_destroy(setting.prompt_template);
    setting.prompt_template = NULL;
    if (text != NULL)
        assert_ok(loam_template_parse(&setting.prompt_template, text, strlen(text), "test", &error));
    setting.options.prompt_template = setting.prompt_template;
}

static struct loam_dataset *open_data(void)
{
    struct loam_dataset *dataset = NULL;
    assert_ok(loam_dataset_open(&dataset, &setting.options, &error));
    return dataset;
}

static void assert_refused(enum loam_status status, const char *message)
{
    struct loam_dataset *dataset = NULL;
    assert_fails(loam_dataset_open(&dataset, &setting.options, &error), status, message);
    assert_null(dataset);
}

static void assert_tree(struct loam_dataset *dataset, size_t index, enum loam_record_shape shape, size_t line,
                        const char *expected)
{
    struct loam_record record;
    assert_ok(loam_dataset_record(dataset, index, &record, &error));
    char *text = json_dumps(record.tree, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(text, expected);
    free(text);
    assert_int_equal(record.shape, shape);
    assert_int_equal(record.line, line);
    assert_string_equal(record.path, setting.path);
}

// A file of one record, read as a tree.
static void assert_read(const char *record, enum loam_record_shape shape, const char *expected)
{
    write_data("data.jsonl", record);
    struct loam_dataset *dataset = open_data();
    for (int again = 0; again < 2; again++)
        assert_tree(dataset, 0, shape, 1, expected);
    loam_dataset_destroy(dataset);
}

// A record and how it is read; NULL: unchanged.
static const struct {
    const char *record;
    enum loam_record_shape shape;
    const char *expected;
} shapes[] = {
    {"{\"text\":\"a\"}", LOAM_RECORD_TEXT, NULL},
    {"{\"messages\":[{\"content\":\"a\",\"role\":\"user\"}],\"text\":\"a\"}", LOAM_RECORD_TEXT, NULL},
    {"{\"completion\":\"b\",\"prompt\":\"a\"}", LOAM_RECORD_COMPLETION, NULL},
    {"{\"completion\":[{\"content\":\"b\",\"role\":\"assistant\"}],\"prompt\":[{\"content\":\"a\",\"role\":"
     "\"user\"}]}",
     LOAM_RECORD_CHAT_COMPLETION, NULL},
    {"{\"instruction\":\"a\",\"output\":\"b\"}", LOAM_RECORD_INSTRUCTION, NULL},
    {"{\"input\":\"c\",\"instruction\":\"a\",\"output\":\"b\"}", LOAM_RECORD_INSTRUCTION, NULL},
    {"{\"messages\":[{\"content\":\"s\",\"role\":\"system\"},{\"content\":\"a\",\"name\":\"Ann\",\"role\":"
     "\"user\"},"
     "{\"content\":null,\"reasoning\":\"r\",\"role\":\"assistant\",\"tool_calls\":[{\"function\":{"
     "\"arguments\":"
     "{\"x\":1},\"name\":\"f\"},\"type\":\"function\"}]},{\"content\":\"7\",\"role\":\"tool\",\"tool_call_"
     "id\":"
     "\"i\"},{\"content\":[{\"text\":\"b\",\"type\":\"text\"}],\"role\":\"assistant\",\"thinking\":null}]}",
     LOAM_RECORD_MESSAGES, NULL},
    {"{\"messages\":[{\"content\":\"a\",\"role\":\"user\"}],\"tools\":\"[{\\\"name\\\":\\\"f\\\"}]\"}",
     LOAM_RECORD_MESSAGES,
     "{\"messages\":[{\"content\":\"a\",\"role\":\"user\"}],\"tools\":[{\"name\":\"f\"}]}"},
    {"{\"messages\":[{\"content\":\"a\",\"role\":\"user\"}],\"tools\":null}", LOAM_RECORD_MESSAGES,
     "{\"messages\":[{\"content\":\"a\",\"role\":\"user\"}]}"},
    {"{\"conversations\":[{\"from\":\"system\",\"value\":\"s\"},{\"from\":\"human\",\"value\":\"a\"},{"
     "\"from\":"
     "\"gpt\",\"value\":\"b\",\"weight\":0}],\"id\":3}",
     LOAM_RECORD_MESSAGES,
     "{\"id\":3,\"messages\":[{\"content\":\"s\",\"role\":\"system\"},{\"content\":\"a\",\"role\":\"user\"},{"
     "\"content\":\"b\",\"role\":\"assistant\",\"weight\":0}]}"},
    {"{\"conversations\":[{\"from\":\"user\",\"value\":\"a\"},{\"from\":\"function_call\",\"value\":\"{"
     "\\\"name\\\": "
     "\\\"f\\\", \\\"arguments\\\": {\\\"x\\\": 1}}\"},{\"from\":\"observation\",\"value\":\"7\"},{\"from\":"
     "\"function_call\",\"value\":\"no json\"},{\"content\":\"b\",\"role\":\"assistant\"}],\"system\":\"s\","
     "\"tools\":\"\"}",
     LOAM_RECORD_MESSAGES,
     "{\"messages\":[{\"content\":\"s\",\"role\":\"system\"},{\"content\":\"a\",\"role\":\"user\"},{"
     "\"content\":\"\","
     "\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"arguments\":{\"x\":1},\"name\":\"f\"},\"type\":"
     "\"function\"}]},{\"content\":\"7\",\"role\":\"tool\"},{\"content\":\"no "
     "json\",\"role\":\"assistant\"},{"
     "\"content\":\"b\",\"role\":\"assistant\"}]}"},
    {"{\"chosen\":\"b\",\"prompt\":\"a\",\"rejected\":\"c\"}", LOAM_RECORD_PREFERENCE, NULL},
    {"{\"chosen\":[{\"content\":\"b\",\"role\":\"assistant\"}],\"rejected\":[{\"content\":\"c\",\"role\":"
     "\"assistant\"}]}",
     LOAM_RECORD_PREFERENCE, NULL},
    {"{\"answer\":1,\"choices\":[\"a\",\"b\"],\"question\":\"q\"}", LOAM_RECORD_CHOICES, NULL},
    {"{\"answer\":\"b\",\"choices\":[\"a\",\"b\"]}", LOAM_RECORD_CHOICES,
     "{\"answer\":1,\"choices\":[\"a\",\"b\"]}"},
    {"{\"answer\":\"A\",\"choices\":[\"x\",\"B\"]}", LOAM_RECORD_CHOICES,
     "{\"answer\":0,\"choices\":[\"x\",\"B\"]}"},
    {"{\"answer\":\"B\",\"choices\":[\"x\",\"y\",\"B\"]}", LOAM_RECORD_CHOICES,
     "{\"answer\":2,\"choices\":[\"x\",\"y\",\"B\"]}"},
    {"{\"answer\":\"1\",\"choices\":[\"x\",\"y\"]}", LOAM_RECORD_CHOICES,
     "{\"answer\":1,\"choices\":[\"x\",\"y\"]}"},
};

static void test_shapes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        assert_read(shapes[i].record, shapes[i].shape,
                    shapes[i].expected != NULL ? shapes[i].expected : shapes[i].record);
    // With a template the shape is found for each record; any value is read.
    use_template("{q}{eos}");
    assert_read("{\"q\": 1, \"n\": [-1.5, 1e400, 12345678901234567890123, true, null, {\"a\\u0000b\": "
                "\"c\\u0000d\"}], "
                "\"q\": \"last\"}",
                LOAM_RECORD_FIELDS,
                "{\"n\":[-1.5,\"1e400\",1.2345678901234568e22,true,null,{\"a\xEF\xBF\xBD"
                "b\":\"c\\u0000d\"}],\"q\":\"last\"}");
}

#define CHAT(message) "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, " message "]}"

// The second record of a file; the first is good.
static const struct {
    const char *good, *record, *message;
} faults[] = {
    {CHAT("{\"role\": \"assistant\", \"content\": 7}"), NULL,
     ":1: field \"messages[1].content\": expected a string"},
    {NULL, CHAT("{\"role\": \"assistant\"}"), ":2: field \"messages[1].content\": expected a string"},
    {NULL, CHAT("{\"role\": \"user\", \"content\": null}"),
     "field \"messages[1].content\": expected a string"},
    {NULL, CHAT("{\"content\": \"b\"}"),
     ":2: field \"messages[1].role\": expected a string such as user or assistant"},
    {NULL, CHAT("{\"role\": 1, \"content\": \"b\"}"), "field \"messages[1].role\": expected a string"},
    {NULL, CHAT("\"b\""), "field \"messages[1]\": expected an object with \"role\" and \"content\""},
    {NULL, CHAT("{\"role\": \"user\", \"content\": \"b\", \"name\": 3}"),
     "field \"messages[1].name\": expected a string"},
    {NULL, CHAT("{\"role\": \"user\", \"content\": [\"b\"]}"),
     "\"messages[1].content[0]\": expected an object with \"type\""},
    {NULL, CHAT("{\"role\": \"user\", \"content\": [{\"type\": \"image\"}]}"),
     "\"messages[1].content[0].type\": expected \"text\"; loam reads no images"},
    {NULL, CHAT("{\"role\": \"user\", \"content\": [{\"type\": \"text\"}]}"),
     "\"messages[1].content[0].text\": expected a string"},
    {NULL, CHAT("{\"role\": \"assistant\", \"content\": \"\", \"tool_calls\": {}}"),
     "\"messages[1].tool_calls\": expected an array"},
    {NULL, CHAT("{\"role\": \"assistant\", \"content\": \"\", \"tool_calls\": [{\"function\": {}}]}"),
     "\"messages[1].tool_calls[0]\": expected an object with a function and its name"},
    {NULL, "{\"messages\": []}", ":2: field \"messages\": expected a list of at least one message"},
    {NULL, "{\"messages\": \"a\"}", ":2: field \"messages\": expected a list of at least one message"},
    {NULL, "{\"text\": \"a\"}", ":2: field \"messages\": expected a list of at least one message"},
    {NULL, CHAT("{\"role\": \"user\", \"content\": \"\"}], \"tools\": [{}], \"tools\": [3"), NULL},
    {NULL, "{\"messages\": [{\"role\": \"user\", \"content\": \"\"}], \"tools\": \"{}\"}",
     "field \"tools\": expected an array of tools, or its JSON text"},
    {NULL, "{\"messages\": [{\"role\": \"user\", \"content\": \"\"}], \"tools\": 3}",
     "field \"tools\": expected an array of tools"},
    {NULL, "{\"conversations\": {}}", "field \"conversations\": expected a list of turns"},
    {NULL, "{\"conversations\": []}", "field \"messages\": expected a list of at least one message"},
    {NULL, "{\"conversations\": [3]}",
     "field \"conversations[0]\": expected an object with \"from\" and \"value\""},
    {NULL, "{\"conversations\": [{\"value\": \"a\"}]}",
     "field \"conversations[0].from\": expected a string such as human"},
    {NULL, "{\"conversations\": [{\"from\": \"human\", \"value\": null}]}",
     "field \"conversations[0].value\": expected a string"},
    {NULL, "{\"conversations\": [], \"system\": 1}", "field \"system\": expected a string"},
    {"{\"chosen\": \"a\", \"rejected\": 3}", NULL, ":1: field \"rejected\": expected a string"},
    {"{\"chosen\": [{\"role\": \"user\", \"content\": \"\"}], \"rejected\": \"b\"}", NULL,
     "field \"rejected\": expected a list of messages, as the other fields"},
    {"{\"chosen\": \"a\", \"rejected\": \"b\", \"prompt\": []}", NULL, "field \"prompt\": expected a string"},
    {"{\"choices\": [\"a\"], \"answer\": 0}", NULL,
     "field \"choices\": expected an array of at least two strings"},
    {"{\"choices\": [\"a\", 3], \"answer\": 0}", NULL,
     "field \"choices\": expected an array of at least two strings"},
    {"{\"question\": 3, \"choices\": [\"a\", \"b\"], \"answer\": 0}", NULL,
     ":1: field \"question\": expected a string"},
    {"{\"choices\": [\"a\", \"b\"], \"answer\": 2}", NULL,
     "field \"answer\": expected the index of a choice"},
    {"{\"choices\": [\"a\", \"b\"], \"answer\": -1}", NULL,
     "field \"answer\": expected the index of a choice"},
    {"{\"choices\": [\"a\", \"b\"], \"answer\": \"c\"}", NULL,
     "field \"answer\": expected the index of a choice"},
    {"{\"choices\": [\"a\", \"b\"], \"answer\": \"C\"}", NULL,
     "field \"answer\": expected the index of a choice"},
    {"{\"choices\": [\"a\", \"b\"], \"answer\": 0.5}", NULL,
     "field \"answer\": expected the index of a choice"},
    {"{\"prompt\": [{\"role\": \"user\", \"content\": \"\"}], \"completion\": \"b\"}", NULL,
     "field \"completion\": expected a list of messages, as the other fields"},
    {"{\"prompt\": \"a\", \"completion\": [1]}", NULL,
     ":1: field \"completion\" must be a string or a number"},
    {"{\"prompt\": \"a\", \"completion\": \"b\"}", "{\"prompt\": \"a\"}",
     ":2: no field \"completion\"; the record has: prompt"},
    {"{\"instruction\": \"a\", \"output\": \"b\", \"input\": []}", NULL,
     "field \"input\" must be a string or a number"},
};

static void test_faults(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        const char *good =
            faults[i].good != NULL ? faults[i].good : CHAT("{\"role\": \"assistant\", \"content\": \"b\"}");
        char contents[1024];
        snprintf(contents, sizeof contents, "%s\n%s\n", good,
                 faults[i].record != NULL ? faults[i].record : "");
        write_data("data.jsonl", contents);
        setting.options.skip_bad = false;
        if (faults[i].message == NULL) {
            loam_dataset_destroy(open_data());
            continue;
        }
        assert_refused(LOAM_ERROR_FORMAT, faults[i].message);
        setting.options.skip_bad = true;
        if (faults[i].record == NULL) {
            assert_refused(LOAM_ERROR_FORMAT, "has no records (1 broken ones were skipped)");
            continue;
        }
        struct loam_dataset *dataset = open_data();
        assert_int_equal(loam_dataset_count(dataset), 1);
        assert_int_equal(loam_dataset_counts(dataset).skipped_bad, 1);
        loam_dataset_destroy(dataset);
    }
}

// The example of record `index`, as text, and the part of it that is learnt.
static void assert_example(struct loam_dataset *dataset, size_t index, const char *whole, const char *learnt)
{
    struct loam_example example = {0};
    assert_ok(loam_dataset_read(dataset, index, &example, &error));
    char *text = test_text_of_ids(example.ids, example.count);
    assert_string_equal(text, whole);
    free(text);
    int32_t first = 0;
    while (first < example.count && example.weights[first] == 0)
        first++;
    for (int32_t i = first; i < example.count; i++)
        assert_true(example.weights[i] == 1);
    text = test_text_of_ids(example.ids + first, example.count - first);
    assert_string_equal(text, learnt);
    free(text);
    loam_example_deinit(&example);
}

#define ALPACA_WITH                                                                                          \
    "Below is an instruction that describes a task, paired with an input that provides further context. "    \
    "Write "                                                                                                 \
    "a response that appropriately completes the request.\n\n### Instruction:\nI\n\n### Input:\nX\n\n### "   \
    "Response:\n"
#define ALPACA_WITHOUT                                                                                       \
    "Below is an instruction that describes a task. Write a response that appropriately completes the "      \
    "request.\n\n### Instruction:\nI\n\n### Response:\n"

static void test_examples(void **state)
{
    (void)state;
    // As TRL does: the completion is learnt, with EOS at its end.
    write_data("data.jsonl",
               "{\"prompt\": \"1+1=\", \"completion\": \"2\"}\n{\"completion\": 4, \"prompt\": \"\"}\n");
    struct loam_dataset *dataset = open_data();
    assert_true(loam_dataset_has_template(dataset));
    assert_int_equal(loam_dataset_loss_on(dataset), LOAM_LOSS_ON_COMPLETION);
    assert_example(dataset, 0, "1+1=2</s>", "2</s>");
    assert_example(dataset, 1, "4</s>", "4</s>");
    loam_dataset_destroy(dataset);
    setting.options.loss_on = LOAM_LOSS_ON_ALL;
    dataset = open_data();
    assert_example(dataset, 0, "1+1=2</s>", "1+1=2</s>");
    loam_dataset_destroy(dataset);
    setting.options.loss_on = LOAM_LOSS_ON_DEFAULT;
    write_data("data.csv", "output,input,instruction\r\nO,X,I\r\n\"O\n2\",,I\r\n");
    dataset = open_data();
    assert_example(dataset, 0, ALPACA_WITH "O</s>", "O</s>");
    assert_example(dataset, 1, ALPACA_WITHOUT "O\n2</s>", "O\n2</s>");
    assert_tree(dataset, 1, LOAM_RECORD_INSTRUCTION, 3,
                "{\"input\":\"\",\"instruction\":\"I\",\"output\":\"O\\n2\"}");
    loam_dataset_destroy(dataset);
    write_data("data.json",
               "[{\"instruction\": \"I\", \"output\": \"O\"}, {\"instruction\": \"I\", \"input\": null, "
               "\"output\": \"O\"}]");
    dataset = open_data();
    assert_example(dataset, 0, ALPACA_WITHOUT "O</s>", "O</s>");
    assert_example(dataset, 1, ALPACA_WITHOUT "O</s>", "O</s>");
    loam_dataset_destroy(dataset);
    write_data("data.jsonl", "{\"text\": \"a\"}\n");
    dataset = open_data();
    assert_false(loam_dataset_has_template(dataset));
    assert_int_equal(loam_dataset_loss_on(dataset), LOAM_LOSS_ON_ALL);
    assert_example(dataset, 0, "a</s>", "a</s>");
    loam_dataset_destroy(dataset);
}

// Records that are no texts can be opened and read as trees; an example of them is refused.
static void test_without_texts(void **state)
{
    (void)state;
    static const struct {
        const char *record, *message;
    } cases[] = {
        {CHAT("{\"role\": \"assistant\", \"content\": \"b\"}"),
         "data.jsonl: the records are conversations: they need a chat"},
        {"{\"chosen\": \"a\", \"rejected\": \"b\"}",
         "are preference pairs: loam trains on single texts: --map text=chosen"},
        {"{\"choices\": [\"a\", \"b\"], \"answer\": 0}", "are questions with choices: give --template FILE"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_data("data.jsonl", cases[i].record);
        struct loam_dataset *dataset = open_data();
        struct loam_example example = {0};
        struct loam_record record;
        assert_ok(loam_dataset_record(dataset, 0, &record, &error));
        assert_fails(loam_dataset_read(dataset, 0, &example, &error), LOAM_ERROR_FORMAT, cases[i].message);
        assert_fails(loam_dataset_record(dataset, 1, &record, &error), LOAM_ERROR_ARGUMENT, "out of range");
        loam_example_deinit(&example);
        loam_dataset_destroy(dataset);
    }
}

static void test_squad_tree(void **state)
{
    (void)state;
    write_data("train.json",
               "{\"data\": [{\"title\": \"T\", \"paragraphs\": [{\"context\": \"c\", \"qas\": [\n"
               "{\"id\": \"1\", \"question\": \"q\", \"answers\": [{\"text\": \"a\"}, {\"text\": \"b\"}]},\n"
               "{\"id\": \"2\", \"question\": \"r\", \"answers\": [], \"is_impossible\": true}]}]}]}");
    struct loam_dataset *dataset = open_data();
    assert_tree(
        dataset, 0, LOAM_RECORD_SQUAD, 2,
        "{\"answers\":[\"a\",\"b\"],\"context\":\"c\",\"id\":\"1\",\"question\":\"q\",\"title\":\"T\"}");
    assert_tree(dataset, 1, LOAM_RECORD_SQUAD, 3,
                "{\"answers\":[],\"context\":\"c\",\"id\":\"2\",\"question\":\"r\",\"title\":\"T\"}");
    loam_dataset_destroy(dataset);
}

static void use_map(struct loam_field_list *list, struct loam_field *items, size_t count)
{
    *list = (struct loam_field_list){.items = items, .count = count};
    setting.options.map = list;
}

static void test_map(void **state)
{
    (void)state;
    struct loam_field_list list;
    struct loam_field question[] = {{"prompt", "question", 8}, {"completion", "answer", 6}};
    use_map(&list, question, 2);
    write_data("data.jsonl", "{\"question\": \"1\", \"answer\": \"2\", \"prompt\": \"hidden\", \"id\": 3}\n");
    struct loam_dataset *dataset = open_data();
    assert_example(dataset, 0, "12</s>", "2</s>");
    assert_tree(dataset, 0, LOAM_RECORD_COMPLETION, 1, "{\"completion\":\"2\",\"id\":3,\"prompt\":\"1\"}");
    loam_dataset_destroy(dataset);
    write_data("data.tsv", "question\tid\tanswer\n1\t3\t2\n");
    dataset = open_data();
    assert_example(dataset, 0, "12</s>", "2</s>");
    loam_dataset_destroy(dataset);
    write_data("data.jsonl", "{\"question\": \"1\", \"answers\": \"2\"}\n");
    assert_refused(LOAM_ERROR_FORMAT,
                   "data.jsonl:1: no field \"text\"; the record has: question, answers; give");
    use_template("{prompt}{eos}");
    assert_refused(LOAM_ERROR_FORMAT, "--map completion=answer: no record of ");
    assert_non_null(strstr(error.message, "data.jsonl has the field \"answer\""));
    struct loam_field swap[] = {{"a", "b", 1}, {"b", "a", 1}};
    use_map(&list, swap, 2);
    use_template("{a}-{b}");
    write_data("data.jsonl", "{\"a\": \"A\", \"b\": \"B\"}\n");
    dataset = open_data();
    assert_example(dataset, 0, "B-A", "B-A");
    assert_tree(dataset, 0, LOAM_RECORD_FIELDS, 1, "{\"a\":\"B\",\"b\":\"A\"}");
    loam_dataset_destroy(dataset);
    struct loam_field away[] = {{"c", "a", 1}};
    use_map(&list, away, 1);
    assert_refused(LOAM_ERROR_FORMAT, "data.jsonl:1: no field \"a\"; the record has: a, b");
    struct loam_field twice[] = {{"c", "a", 1}, {"d", "a", 1}};
    use_map(&list, twice, 2);
    assert_refused(LOAM_ERROR_ARGUMENT, "--map: \"a\" is given two names, c and d");
}

static void test_map_of_other_formats(void **state)
{
    (void)state;
    struct loam_field_list list;
    struct loam_field text[] = {{"line", "text", 4}};
    use_map(&list, text, 1);
    use_template("<{line}>");
    write_data("data.txt", "a\n");
    struct loam_dataset *dataset = open_data();
    assert_example(dataset, 0, "<a>", "<a>");
    loam_dataset_destroy(dataset);
    struct loam_field squad[] = {{"question", "title", 5}, {"topic", "context", 7}};
    use_map(&list, squad, 2);
    use_template("{topic}|{question}|{answer}");
    write_data(
        "train.json",
        "{\"data\": [{\"title\": \"T\", \"paragraphs\": [{\"context\": \"c\", \"qas\": [{\"id\": \"1\", "
        "\"question\": \"q\", \"answers\": [{\"text\": \"a\"}]}]}]}]}");
    dataset = open_data();
    assert_example(dataset, 0, "c|T|a", "c|T|a");
    assert_tree(dataset, 0, LOAM_RECORD_SQUAD, 1,
                "{\"answers\":[\"a\"],\"id\":\"1\",\"question\":\"T\",\"topic\":\"c\"}");
    loam_dataset_destroy(dataset);
    use_template(NULL);
    assert_refused(LOAM_ERROR_FORMAT, "no field \"context\", which the template names; a SQuAD file has");
}

static char logged[512];
static void collect(void *user, enum loam_log_level level, const char *line)
{
    (void)user;
    (void)level;
    strncat(logged, line, sizeof logged - strlen(logged) - 1);
}

static void test_unknown_roles(void **state)
{
    (void)state;
    write_data("data.jsonl",
               CHAT("{\"role\": \"assistant\", \"content\": \"b\"}") "\n" CHAT(
                   "{\"role\": \"critic\", \"content\": \"b\"}, {\"role\": \"x\", \"content\": \"c\"}"));
    struct loam_dataset *dataset = open_data();
    const struct loam_log log = {collect, NULL};
    struct loam_record record;
    logged[0] = '\0';
    assert_ok(loam_dataset_record(dataset, 1, &record, &error)); // counts nothing again
    loam_dataset_tell(dataset, &log);
    assert_non_null(
        strstr(logged, "data.jsonl:2: a message has the role \"critic\", which chat templates rarely know (2 "
                       "messages have such roles)"));
    loam_dataset_destroy(dataset);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_shapes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_faults, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_examples, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_without_texts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_squad_tree, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_map, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_map_of_other_formats, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unknown_roles, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
