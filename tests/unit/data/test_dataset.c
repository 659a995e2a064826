// Reading SQuAD, JSONL and plain text: files that are read, and files that are refused with their messages.
#include "test.h"

#include "base/bytes.h"
#include "data/dataset.h"
#include "helpers/byte_tokenizer.h"

static struct loam_error error;

struct setting {
    char directory[256];
    char path[300];
    struct loam_tokenizer *tokenizer;
    struct loam_special_tokens special;
    struct loam_template *prompt_template;
    struct loam_dataset_options options;
};
static struct setting setting;

static int set_up(void **state)
{
    (void)state;
    setting = (struct setting){0};
    assert_non_null(test_make_directory(setting.directory));
    setting.tokenizer = test_byte_tokenizer(setting.directory, false, false);
    setting.special = test_special_tokens(false, false);
    setting.options = (struct loam_dataset_options){
        .path = setting.path,
        .max_length = 1000,
        .tokenizer = setting.tokenizer,
        .special = &setting.special,
        .vocabulary = TEST_VOCABULARY,
    };
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

static void write_bytes(const char *name, const void *data, size_t size)
{
    snprintf(setting.path, sizeof setting.path, "%s/%s", setting.directory, name);
    test_write_file(setting.path, data, size);
}
static void write_data(const char *name, const char *contents)
{
    write_bytes(name, contents, strlen(contents));
}

static void use_template(const char *text)
{
    loam_template_destroy(setting.prompt_template);
    setting.prompt_template = NULL;
    if (text != NULL)
        assert_ok(loam_template_parse(&setting.prompt_template, text, strlen(text), "test", &error));
    setting.options.prompt_template = setting.prompt_template;
}

static struct loam_dataset *open_data(size_t records, size_t skipped)
{
    struct loam_dataset *dataset = NULL;
    assert_ok(loam_dataset_open(&dataset, &setting.options, &error));
    struct loam_dataset_counts counts = loam_dataset_counts(dataset);
    assert_int_equal(loam_dataset_count(dataset), records);
    assert_int_equal(counts.records, records);
    assert_int_equal(counts.skipped_bad, skipped);
    assert_int_equal(counts.cut + counts.dropped, 0);
    return dataset;
}

static void assert_refused(enum loam_status status, const char *message)
{
    struct loam_dataset *dataset = NULL;
    assert_fails(loam_dataset_open(&dataset, &setting.options, &error), status, message);
    assert_null(dataset);
}

static void assert_record(struct loam_dataset *dataset, size_t index, const char *id, const char *expected)
{
    struct loam_example example = {0};
    assert_ok(loam_dataset_read(dataset, index, &example, &error));
    char *text = test_text_of_ids(example.ids, example.count);
    assert_string_equal(text, expected);
    assert_string_equal(example.id, id);
    free(text);
    loam_example_deinit(&example);
}

#define PROMPT(context, question, answer)                                                                    \
    "### CONTEXT\n" context "\n\n### QUESTION\n" question "\n\n### ANSWER\n" answer "</s>"

// Keys in any order, unknown keys, escapes, and both versions of the format.
static const char squad_file[] =
    "{\"data\": [\n"
    "  {\"paragraphs\": [\n"
    "    {\"qas\": [\n"
    "      {\"answers\": [{\"answer_start\": 7, \"text\": \"first\", \"x\": {\"text\": \"no\"}}, {\"text\": "
    "\"other\"}],\n"
    "       \"question\": \"Which?\", \"id\": \"q1\"},\n"
    "      {\"id\": \"q2\", \"is_impossible\": true, \"question\": \"Why "
    "\\u00e9\\ud83d\\ude00\\\"\\\\\\n?\",\n"
    "       \"answers\": [], \"plausible_answers\": [{\"text\": \"plausible\", \"answer_start\": 0}]},\n"
    "      {\"question\": \"No id\", \"answers\": [{\"text\": \"\"}], \"is_impossible\": false},\n"
    "      {\"question\": \"Both\", \"answers\": [{\"text\": \"said\"}], \"is_impossible\": true, \"id\": "
    "17}\n"
    "    ], \"unknown\": [[{\"context\": \"not this\"}], 1.5e3, null, false], \"context\": \"The "
    "context.\"},\n"
    "    {\"context\": \"Empty\", \"qas\": []},\n"
    "    {\"context\": \"\", \"qas\": [{\"id\": \"q5\", \"question\": \"\", \"answers\": []}]}\n"
    "  ], \"title\": \"A title\"},\n"
    "  {\"title\": null, \"paragraphs\": [{\"context\": \"C\", \"qas\": [{\"id\": \"q6\", \"question\": "
    "\"Q\", "
    "\"answers\": [{\"text\": \"A\"}]}]}]}\n"
    "], \"version\": \"v2.0\"}\n";

static void test_squad(void **state)
{
    (void)state;
    static const char *const marks[] = {"", "\xEF\xBB\xBF", " \n"};
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        struct loam_bytes contents = {0};
        assert_ok(loam_bytes_format(&contents, &error, "%s%s", marks[i], squad_file));
        write_data("train.json", contents.data);
        loam_bytes_deinit(&contents);
        struct loam_dataset *dataset = open_data(6, 0);
        assert_record(dataset, 0, "q1", PROMPT("The context.", "Which?", "first"));
        assert_record(dataset, 1, "q2",
                      PROMPT("The context.", "Why \xC3\xA9\xF0\x9F\x98\x80\"\\\n?", "Can not find answer"));
        assert_record(dataset, 2, i == 2 ? "line 9" : "line 8", PROMPT("The context.", "No id", ""));
        assert_record(dataset, 3, "17", PROMPT("The context.", "Both", "Can not find answer"));
        assert_record(dataset, 4, "q5", PROMPT("", "", "Can not find answer"));
        assert_record(dataset, 5, "q6", PROMPT("C", "Q", "A"));
        loam_dataset_destroy(dataset);
    }
}

static void test_squad_records(void **state)
{
    (void)state;
    write_data("train.json", squad_file);
    struct loam_dataset *dataset = open_data(6, 0);
    struct loam_squad_record record;
    assert_ok(loam_dataset_squad(dataset, 0, &record, &error));
    assert_string_equal(record.id, "q1");
    assert_string_equal(record.context, "The context.");
    assert_string_equal(record.question, "Which?");
    assert_int_equal(record.answer_count, 2);
    assert_string_equal(record.answers[0], "first");
    assert_string_equal(record.answers[1], "other");
    const char *context = record.context;
    assert_ok(loam_dataset_squad(dataset, 3, &record, &error));
    assert_string_equal(record.id, "17");
    assert_int_equal(record.answer_count, 0);
    assert_ptr_equal(record.context, context); // one copy
    assert_ok(loam_dataset_squad(dataset, 5, &record, &error));
    assert_string_equal(record.answers[0], "A");
    assert_fails(loam_dataset_squad(dataset, 6, &record, &error), LOAM_ERROR_ARGUMENT,
                 "record 6 is out of range: the file has 6");
    struct loam_example example = {0};
    assert_fails(loam_dataset_read(dataset, 6, &example, &error), LOAM_ERROR_ARGUMENT,
                 "record 6 is out of range: the file has 6");
    loam_dataset_destroy(dataset);

    write_data("data.txt", "a\n");
    dataset = open_data(1, 0);
    assert_fails(loam_dataset_squad(dataset, 0, &record, &error), LOAM_ERROR_ARGUMENT,
                 "data.txt is not a SQuAD file");
    loam_dataset_destroy(dataset);
}

static void test_squad_with_a_template(void **state)
{
    (void)state;
    write_data("train.json", squad_file);
    use_template("{id}|{title}|{question}|{answer}");
    struct loam_dataset *dataset = open_data(6, 0);
    assert_record(dataset, 0, "q1", "q1|A title|Which?|first");
    assert_record(dataset, 2, "line 8", "|A title|No id|");
    assert_record(dataset, 5, "q6", "q6||Q|A");
    loam_dataset_destroy(dataset);
    use_template("{question}{topic}");
    assert_refused(LOAM_ERROR_FORMAT,
                   "train.json: no field \"topic\", which the template names; a SQuAD file has id, "
                   "title, context, question, answer");
}

#define ONE_QUESTION(text) "{\"data\": [{\"paragraphs\": [{\"context\": \"c\",\n\"qas\": [\n" text "]}]}]}"

// Each file has one broken record and `good` others.
static const struct {
    const char *contents;
    const char *message;
    size_t good;
    size_t bad;
} squad_faults[] = {
    {ONE_QUESTION("{\"id\": \"q\", \"answers\": []},\n{\"id\": \"r\", \"question\": \"\", \"answers\": []}"),
     "train.json:3: question q: no \"question\"", 1, 1},
    {ONE_QUESTION("{\"answers\": []}"), "train.json:3: no \"question\"", 0, 1},
    {ONE_QUESTION(
         "{\"id\": \"r\", \"question\": \"\", \"answers\": []},\n{\"id\": \"q\", \"question\": \"?\"}"),
     "train.json:4: question q: no \"answers\" and no true \"is_impossible\"", 1, 1},
    {ONE_QUESTION("{\"id\": \"q\", \"is_impossible\": false, \"question\": \"?\"}"),
     "question q: no \"answers\"", 0, 1},
    {ONE_QUESTION("{\"id\": \"q\",\n\"question\": 5, \"answers\": []}"),
     "train.json:4: question q: \"question\" must be a string", 0, 1},
    {ONE_QUESTION("{\"id\": {}, \"question\": \"?\", \"answers\": []}"), "\"id\" must be a string", 0, 1},
    {ONE_QUESTION("{\"id\": \"q\", \"question\": \"?\", \"answers\": {\"text\": [\"a\"]}}"),
     "\"answers\" must be an array of answers", 0, 1},
    {ONE_QUESTION("{\"id\": \"q\", \"question\": \"?\", \"answers\": [\"a\"]}"),
     "an answer must be an object", 0, 1},
    {ONE_QUESTION(
         "{\"id\": \"q\", \"question\": \"?\", \"answers\": [{\"text\": \"a\"}, {\"answer_start\": 1}]}"),
     "question q: an answer has no \"text\"", 0, 1},
    {ONE_QUESTION("{\"id\": \"q\", \"question\": \"?\", \"answers\": [{\"text\": [\"a\"]}]}"),
     "\"text\" of an answer must be a string", 0, 1},
    {ONE_QUESTION("{\"id\": \"q\", \"question\": \"?\", \"is_impossible\": \"yes\", \"answers\": []}"),
     "\"is_impossible\" must be true or false", 0, 1},
    {ONE_QUESTION("[], {\"id\": \"q\", \"question\": \"?\", \"answers\": []}"),
     "a question must be an object", 1, 1},
    {ONE_QUESTION("{\"id\": \"q\", \"question\": \"\xFF\", \"answers\": []}"),
     "train.json:3: question q: invalid UTF-8", 0, 1},
    {ONE_QUESTION("{\"id\": \"q\", \"question\": \"\xED\xA0\x80\", \"answers\": []}"),
     "invalid UTF-8 in a string", 0, 1},
    {ONE_QUESTION("{\"id\": \"q\", \"question\": \"\xC0\xAF\", \"answers\": []}"),
     "invalid UTF-8 in a string", 0, 1},
    {ONE_QUESTION("{\"id\": \"q\", \"question\": \"?\", \"answers\": [], \"note\": \"\xC3(\"}"),
     "invalid UTF-8", 0, 1},
    {ONE_QUESTION("{\"id\": \"q\", \"question\": \"\\ud83dx\", \"answers\": []}"),
     "question q: half of a surrogate pair in a string", 0, 1},
    {ONE_QUESTION("{\"id\": \"q\", \"question\": \"\\ude00\", \"answers\": []}"), "half of a surrogate pair",
     0, 1},
    {ONE_QUESTION("{\"id\": \"q\", \"question\": \"\\ud83d\\u0041\", \"answers\": []}"),
     "half of a surrogate pair", 0, 1},
    // An escaped backslash does not begin an escape.
    {ONE_QUESTION("{\"id\": \"q\", \"question\": \"\\\\ud83d\", \"answers\": []}, 0"),
     "a question must be an object", 1, 1},
    {"{\"data\": [{\"paragraphs\": [{\"qas\": [{\"id\": \"q\", \"question\": \"\", \"answers\": []},\n"
     "{\"id\": \"r\", \"question\": \"\", \"answers\": []}]}, {\"context\": \"c\",\n\"qas\": [{\"question\": "
     "\"\", "
     "\"answers\": []}]}]}]}",
     "train.json:2: no \"context\" in the paragraph that ends here, of question q", 1, 2},
    {"{\"data\": [{\"paragraphs\": [{\"context\": 1, \"qas\": [{\"id\": \"q\", \"question\": \"\", "
     "\"answers\": []}]}]}]}",
     "train.json:1: \"context\" must be a string", 0, 1},
    {"{\"data\": [{\"paragraphs\": [{\"context\": \"c\", \"qas\": 7}]}]}",
     "\"qas\" must be an array of questions", 0, 1},
    {"{\"data\": [{\"paragraphs\": [null, 7]}]}", "a paragraph must be an object", 0, 1},
    {"{\"data\": [{\"paragraphs\": {}}]}", "\"paragraphs\" must be an array", 0, 1},
    {"{\"data\": [\"article\"]}", "an article must be an object", 0, 1},
    {"{\"data\": [{\"title\": 8}]}", "\"title\" must be a string", 0, 1},
    {"{\"data\": [{\"title\": [[\"x\"], 1]}]}", "\"title\" must be a string", 0, 1},
};

static void test_squad_faults(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof squad_faults / sizeof squad_faults[0]; i++) {
        write_data("train.json", squad_faults[i].contents);
        setting.options.skip_bad = false;
        assert_refused(LOAM_ERROR_FORMAT, squad_faults[i].message);
        setting.options.skip_bad = true;
        if (squad_faults[i].good > 0) {
            loam_dataset_destroy(open_data(squad_faults[i].good, squad_faults[i].bad));
        } else {
            char message[80];
            snprintf(message, sizeof message, "has no records (%zu broken ones were skipped)",
                     squad_faults[i].bad);
            assert_refused(LOAM_ERROR_FORMAT, message);
        }
    }
}

// Skipping a question or a paragraph does not change the others.
static void test_squad_skips(void **state)
{
    (void)state;
    write_data("train.json",
               "{\"data\": [{\"title\": \"T\", \"paragraphs\": ["
               "{\"qas\": [{\"id\": \"1\", \"question\": \"a\", \"answers\": [{\"text\": \"lost\"}]}]},"
               "{\"qas\": [{\"id\": \"2\", \"question\": \"b\", \"answers\": [{\"text\": \"B\"}]},"
               "{\"id\": \"3\", \"answers\": [{\"text\": \"lost\"}, {\"text\": \"too\"}]},"
               "{\"id\": \"4\", \"question\": \"d\", \"answers\": [{\"text\": \"D\"}, {\"text\": \"E\"}]}],"
               "\"context\": \"c\"}]}]}");
    setting.options.skip_bad = true;
    struct loam_dataset *dataset = open_data(2, 2);
    assert_record(dataset, 0, "2", PROMPT("c", "b", "B"));
    assert_record(dataset, 1, "4", PROMPT("c", "d", "D"));
    struct loam_squad_record record;
    assert_ok(loam_dataset_squad(dataset, 1, &record, &error));
    assert_int_equal(record.answer_count, 2);
    assert_string_equal(record.answers[1], "E");
    loam_dataset_destroy(dataset);
}

static void test_jsonl(void **state)
{
    (void)state;
    // CR LF, blank lines, a number, a key that occurs twice, and other fields with any values.
    write_data("data.jsonl",
               "{\"q\": \"one\", \"a\": 1.50, \"meta\": {\"q\": \"inner\", \"l\": [null, true]}}\r\n"
               "\n \t\r\n"
               "{\"data\": [1], \"a\": \"\\u00e9\\ud83d\\ude00\\t\", \"q\": \"old\", \"q\": \"two\"}\n"
               "{\"a\":\"\",\"q\":\"\"}");
    use_template("{q}={a}{eos}");
    struct loam_dataset *dataset = open_data(3, 0);
    assert_record(dataset, 0, "line 1", "one=1.50</s>");
    assert_record(dataset, 2, "line 5", "=</s>");
    assert_record(dataset, 1, "line 4", "two=\xC3\xA9\xF0\x9F\x98\x80\t</s>");
    loam_dataset_destroy(dataset);

    // Without a template the field "text" is read. The content decides the format of a file with another
    // name.
    use_template(NULL);
    write_data("data.json", "\xEF\xBB\xBF{\"text\": \"a{eos}b\", \"data\": \"x\"}\n{\"text\": \"c\"}\n");
    dataset = open_data(2, 0);
    assert_record(dataset, 0, "line 1", "a{eos}b</s>");
    assert_record(dataset, 1, "line 2", "c</s>");
    loam_dataset_destroy(dataset);
    write_data("data", "\n\n{\"text\": \"a\"}");
    dataset = open_data(1, 0);
    assert_record(dataset, 0, "line 3", "a</s>");
    loam_dataset_destroy(dataset);
}

static void test_text(void **state)
{
    (void)state;
    write_data("data.TXT", "\xEF\xBB\xBF"
                           "first\n\n  \r\n  {second} </s>\r\nth\xC3\xAFrd");
    struct loam_dataset *dataset = open_data(3, 0);
    assert_record(dataset, 0, "line 1", "first</s>");
    assert_record(dataset, 1, "line 4", "  {second} </s>");
    assert_record(dataset, 2, "line 5", "th\xC3\xAFrd</s>");
    loam_dataset_destroy(dataset);
    use_template("<{text}>");
    dataset = open_data(3, 0);
    assert_record(dataset, 0, "line 1", "<first>");
    loam_dataset_destroy(dataset);
    use_template("{text}{label}");
    assert_refused(LOAM_ERROR_FORMAT,
                   "data.TXT: no field \"label\", which the template names; plain text has text");
}

// All three ends of lines; a lone CR does not end a record of JSONL whose lines end with LF.
static void test_ends_of_lines(void **state)
{
    (void)state;
    write_data("data.txt", "one\rtwo\r\nthree\n\n\rfour");
    struct loam_dataset *dataset = open_data(4, 0);
    assert_record(dataset, 0, "line 1", "one</s>");
    assert_record(dataset, 1, "line 2", "two</s>");
    assert_record(dataset, 2, "line 3", "three</s>");
    assert_record(dataset, 3, "line 6", "four</s>");
    loam_dataset_destroy(dataset);
    write_data("data.jsonl", "{\"text\": \"a\"}\r{\"text\": \"b\"}\r");
    dataset = open_data(2, 0);
    assert_record(dataset, 1, "line 2", "b</s>");
    loam_dataset_destroy(dataset);
    write_data("data.jsonl", "{\"text\":\r\"a\"}\r\n{\"text\": \"b\"}\n");
    dataset = open_data(2, 0);
    assert_record(dataset, 0, "line 1", "a</s>");
    loam_dataset_destroy(dataset);
}

// An array of records, with any name, or under "data".
static void test_array(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *before;
        const char *after;
    } cases[] = {
        {"data.json", "", ""},
        {"data.jsonl", "\xEF\xBB\xBF \n", "\n"},
        {"data", "\n\n", ""},
        {"data.json", "{\"version\": [1, {\"data\": 2}], \"data\":", ", \"data2\": [1, {}]}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loam_bytes contents = {0};
        assert_ok(loam_bytes_format(&contents, &error,
                                    "%s[{\"q\": \"a\", \"meta\": [{\"q\": 1}, []], \"a\":\n1.5},\n{\"a\": "
                                    "\"]}\\u00e9\",\n\"q\": \"\"}]%s",
                                    cases[i].before, cases[i].after));
        write_data(cases[i].name, contents.data);
        loam_bytes_deinit(&contents);
        use_template("{q}={a}{eos}");
        struct loam_dataset *dataset = open_data(2, 0);
        assert_record(dataset, 0, i == 0 || i == 3 ? "line 1" : i == 1 ? "line 2" : "line 3", "a=1.5</s>");
        assert_record(dataset, 1,
                      i == 0 || i == 3 ? "line 3"
                      : i == 1         ? "line 4"
                                       : "line 5",
                      "=]}\xC3\xA9</s>");
        loam_dataset_destroy(dataset);
    }
    use_template(NULL);
    write_data("data.json", "[{\"text\": \"a\"},\n7, \"x\",\n[{\"text\": \"b\"}], {}, {\"text\": \"c\"}]");
    assert_refused(LOAM_ERROR_FORMAT, "data.json:2: expected a JSON object");
    setting.options.skip_bad = true;
    struct loam_dataset *dataset = open_data(2, 4);
    assert_record(dataset, 1, "line 3", "c</s>");
    loam_dataset_destroy(dataset);
}

// Records as other programs write them: the message has the template that reads them.
static void test_shapes(void **state)
{
    (void)state;
    static const struct {
        const char *record;
        const char *message;
    } cases[] = {
        {"{\"prompt\": \"a\", \"response\": \"b\"}",
         "data.jsonl:1: no field \"text\"; the record has: prompt, response; give --template FILE, made by "
         "printf '{prompt}\\n{response}{eos}' >FILE"},
        {"{\"note\": \"a\", \"record\": \"b\"}",
         "no field \"text\"; the record has: note, record; give --template FILE, a text with {NAME}"},
        {"{\"instruction\": \"a\", \"context\": \"\", \"response\": \"b\"}",
         "### Input:\\n{context}\\n\\n### Resp"},
        {"{\"instruction\": \"a\", \"response\": \"b\"}",
         "{instruction}\\n\\n### Response:\\n{response}{eos}' >"},
        {"{\"context\": \"a\", \"question\": \"b\", \"answer\": \"c\"}", "answer; give --template squad"},
        {"{\"context\": \"a\", \"question\": \"b\", \"answers\": {\"text\": [\"c\"]}}",
         "this is SQuAD without its articles and paragraphs"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_data("data.jsonl", cases[i].record);
        assert_refused(LOAM_ERROR_FORMAT, cases[i].message);
    }
    write_data("data.json",
               "{\"data\": [{\"id\": \"1\", \"title\": \"t\", \"context\": \"a\", \"question\": \"b\",\n"
               "\"answers\": {\"text\": [\"c\"], \"answer_start\": [0]}}]}");
    assert_refused(LOAM_ERROR_FORMAT, "this is SQuAD without its articles and paragraphs");
    write_data("data.jsonl", "{\"text\": \"caf\xE9\"}");
    assert_refused(
        LOAM_ERROR_FORMAT,
        "data.jsonl:1: invalid UTF-8 in a string, at byte 14 of the record (0xE9); loam reads UTF-8");
}

// Each file has a good first line and a broken second one.
static void test_broken_lines(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *line;
        const char *message;
    } cases[] = {
        {"data.jsonl", "{\"text\": \"a\"", "data.jsonl:2: not valid JSON: parse error: premature EOF"},
        {"data.jsonl", "{\"text\": \"a}", "data.jsonl:2: not valid JSON: "},
        {"data.jsonl", "{\"text\": \"a\"} x", "data.jsonl:2: not valid JSON: "},
        {"data.jsonl", "{\"text\": \"a\"}{\"text\": \"b\"}", "data.jsonl:2: not valid JSON: "},
        {"data.jsonl", "{\"text\": tru}", "data.jsonl:2: not valid JSON: lexical error"},
        {"data.jsonl", "{'text': 'a'}", "data.jsonl:2: not valid JSON: "},
        {"data.jsonl", "{\"text\": \"a\tb\"}", "data.jsonl:2: not valid JSON: "},
        {"data.jsonl", "{\"text\": \"\\x\"}", "data.jsonl:2: not valid JSON: "},
        {"data.jsonl", "text", "data.jsonl:2: not valid JSON: "},
        {"data.jsonl", "\"text\"", "data.jsonl:2: expected a JSON object"},
        {"data.jsonl", "[{\"text\": \"a\"}]", "data.jsonl:2: expected a JSON object"},
        {"data.jsonl", "7", "data.jsonl:2: expected a JSON object"},
        {"data.jsonl", "{}", "data.jsonl:2: no field \"text\"; the record has: none"},
        {"data.jsonl", "{\"title\": \"a\", \"Text\": 1, \"x\": {\"text\": \"\"}}",
         "data.jsonl:2: no field \"text\"; the record has: title, Text, x"},
        {"data.jsonl", "{\"text\": null}", "data.jsonl:2: field \"text\" must be a string or a number"},
        {"data.jsonl", "{\"text\": true}", "data.jsonl:2: field \"text\" must be a string or a number"},
        {"data.jsonl", "{\"text\": [\"a\"]}", "data.jsonl:2: field \"text\" must be a string or a number"},
        {"data.jsonl", "{\"text\": {\"text\": \"a\"}}", "field \"text\" must be a string or a number"},
        {"data.jsonl", "{\"text\": \"a\xFF\"}", "data.jsonl:2: invalid UTF-8 in a string"},
        {"data.jsonl", "{\"text\": \"a\", \"b\": \"\xE2\x82\"}", "data.jsonl:2: invalid UTF-8 in a string"},
        {"data.jsonl", "{\"text\": \"\\ud800\"}", "data.jsonl:2: half of a surrogate pair in a string"},
        {"data.txt", "ab\xC3", "data.txt:2: invalid UTF-8 at byte 3 of the line"},
        {"data.txt", "\xF4\x90\x80\x80", "data.txt:2: invalid UTF-8 at byte 1 of the line"},
        {"data.txt",
         "12345678\xE2\x82\xAC"
         "123456789\xED\xB0\x80",
         "data.txt:2: invalid UTF-8 at byte 21 of the line"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loam_bytes contents = {0};
        bool json = strstr(cases[i].name, "jsonl") != NULL;
        const char *good = json ? "{\"text\": \"good\"}" : "good";
        assert_ok(loam_bytes_format(&contents, &error, "%s\n%s\n%s\n", good, cases[i].line, good));
        write_data(cases[i].name, contents.data);
        loam_bytes_deinit(&contents);
        setting.options.skip_bad = false;
        assert_refused(LOAM_ERROR_FORMAT, cases[i].message);
        setting.options.skip_bad = true;
        struct loam_dataset *dataset = open_data(2, 1);
        assert_record(dataset, 1, "line 3", "good</s>");
        loam_dataset_destroy(dataset);
    }
}

static void test_depth_is_bounded(void **state)
{
    (void)state;
    for (int depth = 100; depth <= 100000; depth += 99900) {
        struct loam_bytes contents = {0};
        assert_ok(loam_bytes_append_text(&contents, "{\"text\": \"a\", \"deep\": ", &error));
        for (int i = 0; i < depth; i++)
            assert_ok(loam_bytes_append_text(&contents, "[", &error));
        for (int i = 0; i < depth; i++)
            assert_ok(loam_bytes_append_text(&contents, "]", &error));
        assert_ok(loam_bytes_append_text(&contents, "}\n", &error));
        write_data("data.jsonl", contents.data);
        if (depth == 100)
            loam_dataset_destroy(open_data(1, 0));
        else
            assert_refused(LOAM_ERROR_FORMAT, "data.jsonl:1: JSON nested deeper than 128 levels");
        loam_bytes_deinit(&contents);
    }
}

static void test_files_that_are_no_data(void **state)
{
    (void)state;
    static const char choice[] =
        "the format is not recognised: expected SQuAD JSON (an object with a \"data\" array), JSONL "
        "(one object per line), an array of objects, CSV or TSV with a header (a name that ends in .csv or "
        ".tsv), or plain text (a name that ends in .txt)";
    static const struct {
        const char *name;
        const char *contents;
        const char *message;
    } cases[] = {
        {"data.json", "", "data.json is empty: it has no records"},
        {"data.txt", "", "data.txt is empty"},
        {"data.txt", "\n \n", "data.txt has no records (0 broken ones were skipped): the file is blank"},
        {"data.jsonl", "\n\n", "data.jsonl has no records (0 broken ones were skipped): the file is blank"},
        {"data.json", "{\"data\": []}", "data.json has no records (0 broken ones were skipped)"},
        {"data.json", "{\"data\": [{\"paragraphs\": [{\"context\": \"\", \"qas\": []}]}]}", "has no records"},
        {"data.json", "   \n", choice},
        {"data.json", "[]", "data.json has no records"},
        {"data.json", "[{\"text\": \"a\"}", "data.json:1: not valid JSON: parse error"},
        {"data.json", "[{\"text\": \"a\"}] x", "data.json:1: not valid JSON: parse error: trailing garbage"},
        {"data.csv", "", "data.csv is empty"},
        {"data.csv", "text,label\n", "data.csv has no records"},
        {"data.csv", "title,label\na,1\n",
         "data.csv: no column \"text\"; the header has: title, label; give"},
        {"data.tsv", "text,label\na,1\n", "data.tsv: no column \"text\"; the header has: text,label"},
        {"data", "text,label\na,1\n", choice},
        {"data.jsonl", "\x1F\x8B\x08", "data.jsonl: the compressed file is cut off at its end, byte 3"},
        {"data.txt", "\x28\xB5\x2F\xFD", "data.txt: the compressed file is cut off at its end, byte 4"},
        {"data.jsonl", "PK\x03\x04\x14", "is a zip archive or a workbook (.xlsx)"},
        {"data.parquet", "PAR1\x15\x04", "is a Parquet table: turn it into JSONL"},
        {"data.json", "\xFE\xFF", "data.json is UTF-16 text; loam reads UTF-8: iconv -f UTF-16 "},
        {"data.json", "{\n \"version\": 1\n}\n", choice},
        {"data.json", "{\n \"data\": {\"x\": []}\n}\n", choice},
        {"data.json", "{\n \"version\": 1,\n oops\n}\n", "data.json:3: not valid JSON: lexical error"},
        {"data.json", "{\n \"data\": [\n", "data.json:3: not valid JSON: parse error: premature EOF"},
        {"data.json", "{\"data\": [{\"paragraphs\": [\n}", "data.json:2: not valid JSON: parse error"},
        {"data.json", "{\"data\": []}\n{\"data\": []}\n",
         "data.json:2: not valid JSON: parse error: trailing garbage"},
    };
    for (int skip = 0; skip < 2; skip++) { // a file without data cannot be skipped
        setting.options.skip_bad = skip == 1;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            write_data(cases[i].name, cases[i].contents);
            assert_refused(LOAM_ERROR_FORMAT, cases[i].message);
        }
    }
    // A file that is not blank but has no records.
    static const char *const empty[] = {"{\"data\": []}", "[]", "[ 1 ]"};
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        write_data("data.json", empty[i]);
        assert_refused(LOAM_ERROR_FORMAT, "data.json has no records");
        assert_null(strstr(error.message, "blank"));
    }
    setting.options.skip_bad = false;
    write_data("data.json", "\n[0"); // the number ends with the file
    assert_refused(LOAM_ERROR_FORMAT, "data.json:2: expected a JSON object");
    write_data("data.json", "{\"text\": \"a");
    assert_refused(LOAM_ERROR_FORMAT, "data.json:1: not valid JSON: ");
    setting.options.skip_bad = true;
    assert_refused(LOAM_ERROR_FORMAT, "data.json has no records (1 broken ones were skipped)");

    write_bytes("data.json", "\0\0{}", 4);
    assert_refused(LOAM_ERROR_FORMAT, choice);
    write_bytes("data.txt", "a\0b\0\n\0", 6);
    assert_refused(LOAM_ERROR_FORMAT, "data.txt is UTF-16 text; loam reads UTF-8: iconv -f UTF-16LE ");
    write_bytes("data.jsonl", "\0{\0}", 4);
    assert_refused(LOAM_ERROR_FORMAT, "iconv -f UTF-16BE ");
    setting.options.skip_bad = false;
    write_bytes("data.txt", "one\ntw\0o\n", 9);
    assert_refused(LOAM_ERROR_FORMAT, "data.txt:2: a NUL byte at byte 3 of the line");
    snprintf(setting.path, sizeof setting.path, "%s/missing.json", setting.directory);
    assert_refused(LOAM_ERROR_IO, "missing.json");
    snprintf(setting.path, sizeof setting.path, "%s", setting.directory);
    assert_refused(LOAM_ERROR_IO, "it is not a regular file");
}

static void test_bad_options(void **state)
{
    (void)state;
    write_data("data.txt", "a\n");
    setting.options.max_length = 0;
    assert_refused(LOAM_ERROR_ARGUMENT, "the maximum length must be at least 1 token, not 0");
    setting.options.max_length = 1;
    setting.options.vocabulary = 0;
    assert_refused(LOAM_ERROR_ARGUMENT, "the vocabulary must have at least 1 row, not 0");
}

// Lines are read again from the file, so a file that changes after opening must be an error, not broken text.
static void test_file_that_shrinks(void **state)
{
    (void)state;
    write_data("data.jsonl", "{\"text\": \"a\"}\n{\"text\": \"b\"}\n");
    struct loam_dataset *dataset = open_data(2, 0);
    struct loam_example example = {0};
    assert_int_equal(truncate(setting.path, 20), 0);
    assert_ok(loam_dataset_read(dataset, 0, &example, &error));
    assert_fails(loam_dataset_read(dataset, 1, &example, &error), LOAM_ERROR_IO,
                 "data.jsonl:2: the file has become shorter since it was opened");
    write_data("data.jsonl", "{\"text\": \"a\"}\n{\"task\": \"b\"}\n");
    assert_fails(loam_dataset_read(dataset, 1, &example, &error), LOAM_ERROR_FORMAT,
                 "data.jsonl:2: no field \"text\"");
    loam_example_deinit(&example);
    loam_dataset_destroy(dataset);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_squad, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_squad_records, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_squad_with_a_template, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_squad_faults, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_squad_skips, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_jsonl, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_text, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ends_of_lines, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_array, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_shapes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_broken_lines, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_depth_is_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_files_that_are_no_data, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_options, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_file_that_shrinks, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
