// From a record to an example: special tokens, weights and cutting.
#include "test.h"

#include "data/dataset.h"
#include "helpers/byte_tokenizer.h"
#include "helpers/labels.h"

static struct loam_error error;

struct setting {
    char directory[256];
    char path[300];
    struct loam_tokenizer *tokenizer;
    struct loam_special_tokens special;
    struct loam_template *prompt_template;
    struct loam_dataset_options options;
    struct loam_dataset *dataset;
    struct loam_example example;
};

// Writes a JSONL file of one line, or plain text if `prompt` is NULL, and the options to open it.
static void start(struct setting *setting, const char *line, const char *prompt, bool post_bos, bool post_eos)
{
    *setting = (struct setting){0};
    assert_non_null(test_make_directory(setting->directory));
    snprintf(setting->path, sizeof setting->path, "%s/data.%s", setting->directory,
             prompt != NULL ? "jsonl" : "txt");
    test_write_file(setting->path, line, strlen(line));
    setting->tokenizer = test_byte_tokenizer(setting->directory, post_bos, post_eos);
    setting->special = test_special_tokens(post_bos, post_eos);
    if (prompt != NULL)
        assert_ok(loam_template_parse(&setting->prompt_template, prompt, strlen(prompt), "test", &error));
    setting->options = (struct loam_dataset_options){
        .path = setting->path,
        .prompt_template = setting->prompt_template,
        .max_length = 1000,
        .tokenizer = setting->tokenizer,
        .special = &setting->special,
        .vocabulary = TEST_VOCABULARY,
    };
}

// The sources that add BOS and EOS around a text.
enum adds { NEITHER, POST_PROCESSOR, CONFIGURATION };

static void start_adding(struct setting *setting, const char *line, const char *prompt, enum adds adds)
{
    start(setting, line, prompt, adds == POST_PROCESSOR, adds == POST_PROCESSOR);
    setting->special.add_bos = setting->special.add_eos = adds != NEITHER;
}

static void read_first(struct setting *setting)
{
    assert_ok(loam_dataset_open(&setting->dataset, &setting->options, &error));
    assert_ok(loam_dataset_read(setting->dataset, 0, &setting->example, &error));
}

static void assert_reads(struct setting *setting, const char *expected)
{
    read_first(setting);
    char *text = test_text_of_ids(setting->example.ids, setting->example.count);
    assert_string_equal(text, expected);
    free(text);
}

static void finish(struct setting *setting)
{
    loam_example_deinit(&setting->example);
    loam_dataset_destroy(setting->dataset);
    loam_template_destroy(setting->prompt_template);
    loam_tokenizer_destroy(setting->tokenizer);
    test_remove_directory(setting->directory);
}

static void test_special_tokens_once(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *prompt; // NULL: plain text
        bool post_bos;      // the post-processor adds it
        bool post_eos;
        bool add_bos; // the tokenizer's configuration asks for it
        bool add_eos;
        const char *expected;
    } cases[] = {
        // Plain text always ends in EOS. The tokenizer decides about BOS.
        {"ab", NULL, false, false, false, false, "ab</s>"},
        {"ab", NULL, false, false, true, false, "<s>ab</s>"},
        {"ab", NULL, true, false, true, false, "<s>ab</s>"},
        {"ab", NULL, true, true, true, true, "<s>ab</s>"},
        {"ab", NULL, false, true, false, true, "ab</s>"},
        {"<s>ab</s>", NULL, false, false, false, false, "<s>ab</s>"},
        {"<s>ab</s>", NULL, false, false, true, true, "<s>ab</s>"},
        {"<s>ab</s>", NULL, true, true, true, true, "<s>ab</s>"},
        {"a<s>b</s>c", NULL, true, true, true, true, "<s>a<s>b</s>c</s>"},
        {"<s>", NULL, true, true, true, true, "<s></s>"},
        {"</s>", NULL, true, true, true, true, "<s></s>"},
        // Special tokens that the text itself has twice stay.
        {"<s><s>ab</s></s>", NULL, false, false, true, true, "<s><s>ab</s></s>"},
        // A template has its own {eos}.
        {"{\"q\": \"ab\"}", "{q}", false, false, false, false, "ab"},
        {"{\"q\": \"ab\"}", "{q}{eos}", false, false, false, false, "ab</s>"},
        {"{\"q\": \"ab\"}", "{q}{eos}", false, true, false, true, "ab</s>"},
        {"{\"q\": \"ab\"}", "{q}", false, true, false, true, "ab</s>"},
        {"{\"q\": \"ab\"}", "{q}", false, false, false, true, "ab</s>"},
        {"{\"q\": \"ab\"}", "<s>{q}{eos}", true, true, true, true, "<s>ab</s>"},
        {"{\"q\": \"ab\"}", "{q}{eos}!", true, false, true, false, "<s>ab</s>!"},
        {"{\"q\": \"ab\"}", "{q}{eos}{eos}", false, false, false, true, "ab</s></s>"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct setting setting;
        start(&setting, cases[i].line, cases[i].prompt, cases[i].post_bos, cases[i].post_eos);
        setting.special.add_bos = cases[i].add_bos;
        setting.special.add_eos = cases[i].add_eos;
        assert_reads(&setting, cases[i].expected);
        finish(&setting);
    }
}

static void test_model_without_eos(void **state)
{
    (void)state;
    struct setting setting;
    start(&setting, "ab", NULL, false, false);
    setting.special.eos = setting.special.bos = -1;
    setting.special.add_bos = setting.special.add_eos = true;
    assert_reads(&setting, "ab");
    finish(&setting);
    start(&setting, "{\"q\": \"ab\"}", "<{q}>{eos}", false, false);
    setting.special.eos = -1;
    strcpy(setting.special.note, "config.json gives 99");
    assert_ok(loam_dataset_open(&setting.dataset, &setting.options, &error));
    assert_fails(loam_dataset_read(setting.dataset, 0, &setting.example, &error), LOAM_ERROR_FORMAT,
                 "the template has {eos}, but the model has no end-of-sequence token: config.json gives 99");
    finish(&setting);
}

// Labels begin at the completion, as the batch shows.
static void test_completion_mask(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *prompt;
        enum adds adds;
        // '.' a token that is not learnt, else the token that is predicted; '#' EOS, '@' "\nz"
        const char *labels;
    } cases[] = {
        {"{\"q\": \"ab\", \"a\": \"cd\"}", "{q}?{a}", NEITHER, "..cd."},
        {"{\"q\": \"ab\", \"a\": \"cd\"}", "{q}?{a}{eos}", NEITHER, "..cd#."},
        {"{\"q\": \"ab\", \"a\": \"cd\"}", "{q}?{a}", POST_PROCESSOR, "...cd#."},
        {"{\"q\": \"ab\", \"a\": \"cd\"}", "{q}?{a}", CONFIGURATION, "...cd#."},
        // The completion is the last field in the template, for any order in the record.
        {"{\"a\": \"cd\", \"q\": \"ab\"}", "{q}{a}{q}!", NEITHER, "...ab!."},
        // With an empty answer only the end of the text is learnt.
        {"{\"q\": \"ab\", \"a\": \"\"}", "{q}?{a}{eos}", NEITHER, "..#."},
        {"{\"q\": \"ab\", \"a\": \"\"}", "{q}?{a}", POST_PROCESSOR, "...#."},
        {"{\"q\": \"ab\", \"a\": \"\"}", "{q}?{a}", NEITHER, "..."},
        // "\nz" is a token, but the prompt ends in "\n", since it is the same for every completion.
        {"{\"q\": \"ab\", \"a\": \"zz\"}", "{q}\n{a}", NEITHER, "..zz."},
        {"{\"q\": \"ab\", \"a\": \"xz\"}", "{q}\n{a}", NEITHER, "..xz."},
        // With a template of one field and without a template all text is completion.
        {"{\"q\": \"ab\"}", "{q}{eos}", NEITHER, "b#."},
        {"{\"q\": \"ab\"}", "{q}{eos}", POST_PROCESSOR, "ab#."},
        {"{\"q\": \"ab\"}", "x{q}", NEITHER, "ab."},
        {"ab", NULL, NEITHER, "b#."},
        {"ab", NULL, POST_PROCESSOR, "ab#."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct setting setting;
        start_adding(&setting, cases[i].line, cases[i].prompt, cases[i].adds);
        setting.options.loss_on = LOAM_LOSS_ON_COMPLETION;
        read_first(&setting);
        const struct loam_example *example = &setting.example;
        char labels[65] = "";
        for (int32_t t = 0; t < example->count; t++) {
            const int32_t next = t + 1;
            const int32_t id = next < example->count ? example->ids[next] : 0;
            labels[t] = next >= example->count || example->weights[next] == 0 ? '.'
                        : id == TEST_EOS                                      ? '#'
                        : id == TEST_LINE_BREAK_Z                             ? '@'
                                                                              : (char)(id - TEST_BYTE);
        }
        assert_string_equal(labels, cases[i].labels);
        finish(&setting);

        start_adding(&setting, cases[i].line, cases[i].prompt, cases[i].adds);
        read_first(&setting);
        for (int32_t t = 0; t < setting.example.count; t++)
            assert_true(setting.example.weights[t] == 1);
        finish(&setting);
    }
}

static void test_too_long(void **state)
{
    (void)state;
    static const char record[] = "{\"c\": \"abcdef\", \"q\": \"gh\", \"a\": \"ij\"}";
    static const char prompt[] = "[{c}]{q}={a}{eos}"; // 6 tokens of context and 8 others
    static const struct {
        const char *line;
        const char *prompt;
        enum adds adds;
        enum loam_too_long too_long;
        int32_t max_length;
        const char *expected; // NULL: dropped
        int32_t label_start;  // of the completion
        bool cut;
    } cases[] = {
        {record, prompt, NEITHER, LOAM_TOO_LONG_CUT, 14, "[abcdef]gh=ij</s>", 11, false},
        {record, prompt, NEITHER, LOAM_TOO_LONG_CUT, 13, "[bcdef]gh=ij</s>", 10, true},
        {record, prompt, NEITHER, LOAM_TOO_LONG_CUT, 9, "[f]gh=ij</s>", 6, true},
        {record, prompt, NEITHER, LOAM_TOO_LONG_CUT, 8, "[]gh=ij</s>", 5, true},
        {record, prompt, NEITHER, LOAM_TOO_LONG_CUT, 7, NULL, 0, false},
        {record, prompt, NEITHER, LOAM_TOO_LONG_CUT, 1, NULL, 0, false},
        {record, prompt, NEITHER, LOAM_TOO_LONG_DROP, 14, "[abcdef]gh=ij</s>", 11, false},
        {record, prompt, NEITHER, LOAM_TOO_LONG_DROP, 13, NULL, 0, false},
        // BOS and EOS are not part of the context.
        {record, prompt, POST_PROCESSOR, LOAM_TOO_LONG_CUT, 12, "<s>[def]gh=ij</s>", 9, true},
        {record, "{c}={a}", POST_PROCESSOR, LOAM_TOO_LONG_CUT, 7, "<s>ef=ij</s>", 4, true},
        {record, "{c}={a}", POST_PROCESSOR, LOAM_TOO_LONG_CUT, 4, NULL, 0, false},
        {record, "{c}={a}", CONFIGURATION, LOAM_TOO_LONG_CUT, 7, "<s>ef=ij</s>", 4, true},
        {record, "{c}={a}", CONFIGURATION, LOAM_TOO_LONG_CUT, 4, NULL, 0, false},
        {"{\"c\": \"ab\", \"a\": \"\"}", "{c}{a}", POST_PROCESSOR, LOAM_TOO_LONG_CUT, 2, "<s></s>", 1, true},
        {"{\"c\": \"ab\", \"a\": \"\"}", "{c}{a}", POST_PROCESSOR, LOAM_TOO_LONG_CUT, 1, NULL, 0, false},
        // A context field that occurs twice is cut at its first place only.
        {record, "{c}{c}{a}", NEITHER, LOAM_TOO_LONG_CUT, 10, "efabcdefij", 8, true},
        // A token across the end of the context stays.
        {"{\"c\": \"ab\\n\", \"a\": \"y\"}", "{c}zy{a}", NEITHER, LOAM_TOO_LONG_CUT, 3, "\nzyy", 2, true},
        {"{\"c\": \"ab\\n\", \"a\": \"y\"}", "{c}zy{a}", NEITHER, LOAM_TOO_LONG_CUT, 2, NULL, 0, false},
        // The longest field is cut at any place, but never the completion.
        {"{\"c\": \"ab\", \"q\": \"cdef\", \"a\": \"ghijkl\"}", "{c}-{q}={a}", NEITHER, LOAM_TOO_LONG_CUT, 11,
         "ab-f=ghijkl", 5, true},
        // Without a context the start of the text is kept.
        {record, "{c}{eos}", NEITHER, LOAM_TOO_LONG_CUT, 6, "abcdef", 0, true},
        {record, "{c}{eos}", POST_PROCESSOR, LOAM_TOO_LONG_CUT, 3, "<s>ab", 0, true},
        {record, "xyz{c}", NEITHER, LOAM_TOO_LONG_CUT, 2, "xy", 2, true},
        {"abcdef", NULL, POST_PROCESSOR, LOAM_TOO_LONG_CUT, 3, "<s>ab", 0, true},
        {"abcdef", NULL, CONFIGURATION, LOAM_TOO_LONG_CUT, 3, "<s>ab", 1, true},
        {"abcdef", NULL, CONFIGURATION, LOAM_TOO_LONG_CUT, 1, "<s>", 1, true},
        {"abcdef", NULL, NEITHER, LOAM_TOO_LONG_CUT, 7, "abcdef</s>", 0, false},
        {"abcdef", NULL, NEITHER, LOAM_TOO_LONG_CUT, 6, "abcdef", 0, true},
        {"abcdef", NULL, NEITHER, LOAM_TOO_LONG_DROP, 6, NULL, 0, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct setting setting;
        start_adding(&setting, cases[i].line, cases[i].prompt, cases[i].adds);
        setting.options.too_long = cases[i].too_long;
        setting.options.max_length = cases[i].max_length;
        setting.options.loss_on = LOAM_LOSS_ON_COMPLETION;
        assert_reads(&setting, cases[i].expected != NULL ? cases[i].expected : "");
        assert_int_equal(setting.example.dropped, cases[i].expected == NULL);
        assert_int_equal(test_first_label(setting.example.weights, setting.example.count),
                         cases[i].label_start);
        // A second epoch does not count records again.
        assert_ok(loam_dataset_read(setting.dataset, 0, &setting.example, &error));
        struct loam_dataset_counts counts = loam_dataset_counts(setting.dataset);
        assert_int_equal(counts.cut, cases[i].cut);
        assert_int_equal(counts.dropped, cases[i].expected == NULL);
        finish(&setting);
    }
}

static void test_ids_beyond_the_vocabulary(void **state)
{
    (void)state;
    struct setting setting;
    start(&setting, "\nok\nz\n", NULL, false, false);
    setting.options.vocabulary = TEST_BYTE + 'z';
    assert_reads(&setting, "ok</s>");
    assert_fails(loam_dataset_read(setting.dataset, 1, &setting.example, &error), LOAM_ERROR_FORMAT,
                 "data.txt: record line 3: token id 126 is beyond the model's vocabulary of 126");
    finish(&setting);
}

static void test_record_without_tokens(void **state)
{
    (void)state;
    struct setting setting;
    start(&setting, "{\"q\": \"\"}", "{q}", false, false);
    assert_ok(loam_dataset_open(&setting.dataset, &setting.options, &error));
    assert_fails(loam_dataset_read(setting.dataset, 0, &setting.example, &error), LOAM_ERROR_FORMAT,
                 "record line 1 gives no tokens");
    finish(&setting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_special_tokens_once),       cmocka_unit_test(test_model_without_eos),
        cmocka_unit_test(test_completion_mask),           cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_ids_beyond_the_vocabulary), cmocka_unit_test(test_record_without_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
