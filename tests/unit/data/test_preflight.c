// Each check of preflight with data that shows the mistake and with data that does not.
#include "test.h"

#include "data/preflight.h"
#include "data/preflight_checks.h"
#include "helpers/byte_tokenizer.h"

static struct loam_error error;

struct setting {
    char directory[256];
    char path[300];
    char eval_path[300];
    struct loam_tokenizer *tokenizer;
    struct loam_special_tokens special;
    struct loam_template *prompt_template;
    enum loam_loss_on loss_on;
    int32_t max_length;
    struct loam_dataset *dataset;
    struct loam_dataset *eval_dataset;
    struct loam_chat_source chat;
    struct loam_preflight_input input;
    struct loam_preflight preflight;
};
static struct setting setting;

static int set_up(void **state)
{
    (void)state;
    setting = (struct setting){.max_length = 1000, .loss_on = LOAM_LOSS_ON_ALL};
    assert_non_null(test_make_directory(setting.directory));
    snprintf(setting.path, sizeof setting.path, "%s/data.jsonl", setting.directory);
    snprintf(setting.eval_path, sizeof setting.eval_path, "%s/eval.jsonl", setting.directory);
    setting.tokenizer = test_byte_tokenizer(setting.directory, false, false);
    setting.special = test_special_tokens(false, false);
    setting.special.pad = TEST_PAD;
    return 0;
}

static void close_data(void)
{
    loam_preflight_deinit(&setting.preflight);
    loam_dataset_destroy(setting.dataset);
    loam_dataset_destroy(setting.eval_dataset);
    loam_template_destroy(setting.prompt_template);
    setting.dataset = setting.eval_dataset = NULL;
    setting.prompt_template = NULL;
}

static int tear_down(void **state)
{
    (void)state;
    close_data();
    loam_chat_source_deinit(&setting.chat);
    loam_tokenizer_destroy(setting.tokenizer);
    test_remove_directory(setting.directory);
    return 0;
}

static struct loam_dataset *open_file(const char *path, const char *text)
{
    struct loam_dataset *dataset = NULL;
    test_write_file(path, text, strlen(text));
    const struct loam_dataset_options options = {
        .path = path,
        .prompt_template = setting.prompt_template,
        .loss_on = setting.loss_on,
        .max_length = setting.max_length,
        .tokenizer = setting.tokenizer,
        .special = &setting.special,
        .vocabulary = TEST_VOCABULARY,
    };
    assert_ok(loam_dataset_open(&dataset, &options, &error));
    return dataset;
}

// Runs preflight over the lines, with a template (NULL: none) and evaluation data (NULL: none).
static void look_with(const char *lines, const char *prompt, const char *eval_lines)
{
    close_data();
    if (prompt != NULL)
        assert_ok(loam_template_parse(&setting.prompt_template, prompt, strlen(prompt), "test", &error));
    setting.dataset = open_file(setting.path, lines);
    if (eval_lines != NULL) setting.eval_dataset = open_file(setting.eval_path, eval_lines);
    setting.input.tokenizer = setting.tokenizer;
    setting.input.special = &setting.special;
    setting.input.vocabulary = TEST_VOCABULARY;
    setting.input.max_length = setting.max_length;
    setting.input.dataset = setting.dataset;
    setting.input.eval_dataset = setting.eval_dataset;
    assert_ok(loam_preflight_run(&setting.preflight, &setting.input, &error));
}
static void look(const char *lines, const char *prompt)
{
    look_with(lines, prompt, NULL);
}

static const struct loam_finding *find(const char *check)
{
    for (size_t i = 0; i < setting.preflight.count; i++)
        if (strcmp(setting.preflight.findings[i].check, check) == 0) return &setting.preflight.findings[i];
    return NULL;
}

static void assert_found(const char *check, size_t records, const char *text)
{
    const struct loam_finding *finding = find(check);
    if (finding == NULL) fail_msg("no finding %s", check);
    assert_int_equal(finding->records, records);
    if (strstr(finding->message, text) == NULL) fail_msg("\"%s\" is not in: %s", text, finding->message);
}

static void assert_nothing_found(void)
{
    if (setting.preflight.count > 0) fail_msg("found: %s", setting.preflight.findings[0].message);
}

static const char two[] = "{\"question\": \"Who?\", \"answer\": \"Paula\"}\n"
                          "{\"question\": \"What?\", \"answer\": \"oranges\"}\n";

// ---- Ends ----

static void test_no_stop(void **state)
{
    (void)state;
    look(two, "{question} {answer}");
    assert_found("no-stop", 2, "/data.jsonl: examples do not end in </s>");
    assert_found("no-stop", 2, "(2 of 2 records looked at, such as ");
    assert_found("no-stop", 2, "data.jsonl:1)");
    assert_int_equal(setting.preflight.count, 1);
    assert_int_equal(setting.preflight.looked, 2);
    look(two, "{question} {answer}{eos}");
    assert_nothing_found();
    look(two, "{question} {answer}{eos}\n");
    assert_nothing_found();
    // One record of two brings its own end.
    look("{\"text\": \"one</s>\"}\n{\"text\": \"two\"}\n", "{text}");
    assert_found("no-stop", 1, "data.jsonl:2)");
    look("{\"text\": \"without a template\"}\n", NULL);
    assert_nothing_found();
}

static void test_no_stop_without_eos(void **state)
{
    (void)state;
    setting.special.eos = -1;
    setting.special.eos_count = 0;
    snprintf(setting.special.note, sizeof setting.special.note, "the note");
    look("{\"text\": \"a text\"}\n", NULL);
    assert_found("no-stop", 1, "examples have no end, so the model does not learn to stop");
    assert_found("no-stop", 1, "it has no end-of-sequence token: the note (1 of 1");
}

// An example that is cut at its end is no sign of a template without one.
static void test_no_stop_of_cut_examples(void **state)
{
    (void)state;
    setting.max_length = 5;
    look("{\"text\": \"longer than that\"}\n", NULL);
    assert_null(find("no-stop"));
    assert_found("cut", 1, "--max-length 17 has room");
}

static void test_end_as_text(void **state)
{
    (void)state;
    look(two, "{question} {answer}<|im_end|>");
    assert_found("end-as-text", 2, "the end \"<|im_end|>\" is text and not one token");
    assert_found("end-as-text", 2, "write {eos} in its place, which is </s>");
    assert_null(find("no-stop"));
    look(two, "{question} {answer}<|im_end|>\n");
    assert_found("end-as-text", 2, "<|im_end|>");
    look(two, "{question} {answer}<|eot_id|>{eos}");
    assert_found("end-as-text", 2, "<|eot_id|>");
    look(two, "<|im_end|>{question} {answer}{eos}");
    assert_nothing_found();
    look("{\"text\": \"the tag </b>\"}\n{\"text\": \"ends in </s>\"}\n", NULL);
    assert_nothing_found();
    // The prompt is not learnt.
    setting.loss_on = LOAM_LOSS_ON_COMPLETION;
    look("{\"a\": \"x\", \"b\": \"\"}\n", "{a}<|im_end|>{b}{eos}");
    assert_nothing_found();
}

// ---- Begins ----

static void test_bos_twice(void **state)
{
    (void)state;
    look(two, "<s><s>{question} {answer}{eos}");
    assert_found("bos-twice", 2, "examples begin with <s> twice");
    look(two, "<s>{question} {answer}{eos}");
    assert_nothing_found();
    setting.special.add_bos = true;
    look(two, "<s>{question} {answer}{eos}");
    assert_nothing_found();
    look(two, "<s>{question}<s>{answer}{eos}");
    assert_nothing_found();
}

static void write_chat_template(const char *text)
{
    char path[300], config[1024];
    snprintf(path, sizeof path, "%s/tokenizer_config.json", setting.directory);
    snprintf(config, sizeof config,
             "{\"bos_token\": \"<s>\", \"eos_token\": \"</s>\", \"chat_template\": \"%s\"}", text);
    test_write_file(path, config, strlen(config));
    setting.input.model_directory = setting.directory;
}

static const char bos_template[] = "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}\\n"
                                   "{% endfor %}";
static const char chat_template[] = "{% for m in messages %}{{ m.role }}: {{ m.content }}</s>\\n{% endfor %}";
static const char split_template[] =
    "{% for m in messages %}{{ m.role }}: {{ m.content }}<|im_end|>\\n{% endfor %}";

static void test_bos_missing(void **state)
{
    (void)state;
    write_chat_template(bos_template);
    look(two, "{question} {answer}{eos}");
    assert_found("bos-missing", 2, "do not begin with <s>, with which the model's chat template begins");
    assert_int_equal(setting.preflight.count, 1);
    look(two, "<s>{question} {answer}{eos}");
    assert_nothing_found();
    write_chat_template(split_template);
    look(two, "{question} {answer}{eos}");
    assert_nothing_found();
    setting.special.add_bos = true;
    look(two, "{question} {answer}{eos}");
    assert_nothing_found();
}

// ---- Prompts ----

static const struct loam_preflight_check *check_named(const char *name)
{
    for (size_t i = 0; i < LOAM_PREFLIGHT_CHECKS; i++)
        if (strcmp(loam_preflight_checks[i].name, name) == 0) return &loam_preflight_checks[i];
    fail_msg("no check %s", name);
    return NULL;
}

static bool shows_other_prompt(struct loam_example *example, struct loam_example *prompt)
{
    struct loam_preflight_facts facts = {.input = &setting.input};
    struct loam_preflight_tally tally = {0};
    const struct loam_preflight_look record = {.example = example, .prompt = prompt};
    return check_named("other-prompt")->shows(&facts, &record, &tally);
}

static void test_other_prompt(void **state)
{
    (void)state;
    int32_t ids[] = {5, 6, 7, 8}, same[] = {5, 6}, other[] = {5, 7}, longer[] = {5, 6, 7, 8, 9};
    struct loam_example example = {.ids = ids, .count = 4, .length = 4};
    assert_false(shows_other_prompt(&example, &(struct loam_example){.ids = same, .count = 2, .length = 2}));
    assert_true(shows_other_prompt(&example, &(struct loam_example){.ids = other, .count = 2, .length = 2}));
    assert_true(shows_other_prompt(&example, &(struct loam_example){.ids = longer, .count = 5, .length = 5}));
    assert_false(shows_other_prompt(&example, &(struct loam_example){.count = 0}));
    example.length = 9; // it was cut
    assert_false(shows_other_prompt(&example, &(struct loam_example){.ids = other, .count = 2, .length = 2}));
}

// Prompts of templates are the begin of their examples, wherever the prompt ends.
static void test_same_prompt(void **state)
{
    (void)state;
    static const char *const prompts[] = {"{question}: {answer}{eos}", "{question}\n{answer}{eos}",
                                          "{question}wo{answer}{eos}", "{question} {eos}{answer}{eos}",
                                          "{answer}{eos}"};
    for (size_t i = 0; i < sizeof prompts / sizeof *prompts; i++) {
        look("{\"question\": \"q\", \"answer\": \"z\"}\n", prompts[i]);
        assert_nothing_found();
    }
}

// ---- Lengths ----

static void repeat(char *lines, int count, int long_ones)
{
    for (int i = 0; i < count; i++)
        lines += sprintf(lines, "{\"text\": \"%d%s\"}\n", i,
                         i >= count - long_ones ? " this one has more than twenty bytes" : "");
}

static void test_cut(void **state)
{
    (void)state;
    char lines[2000];
    setting.max_length = 20;
    repeat(lines, 10, 2);
    look(lines, NULL);
    assert_found("cut", 2, "20 % of the records are longer than 20 tokens");
    assert_found("cut", 2, "data.jsonl:9)");
    assert_int_equal(find("cut")->severity, LOAM_FINDING_DOUBT);
    assert_int_equal(setting.preflight.mistakes, 0);
    assert_ok(loam_preflight_require(&setting.preflight, &error));
    repeat(lines, 10, 1);
    look(lines, NULL);
    assert_nothing_found();
    // Looking counts nothing: the counts are those of training.
    struct loam_dataset_counts counts = loam_dataset_counts(setting.dataset);
    assert_int_equal(counts.cut + counts.dropped + counts.without_label, 0);
}

static void test_nothing_learnt(void **state)
{
    (void)state;
    setting.special.eos = -1; // a text of one byte is one token, which no token predicts
    setting.special.eos_count = 0;
    look("{\"text\": \"a\"}\n{\"text\": \"two\"}\n", NULL);
    assert_found("nothing-learnt", 1, "50 % of the records give nothing to learn");
    assert_found("nothing-learnt", 1, "data.jsonl:1)");
    look("{\"text\": \"one\"}\n{\"text\": \"two\"}\n", NULL);
    assert_null(find("nothing-learnt"));
}

// ---- Padding ----

static void test_padding(void **state)
{
    (void)state;
    look(two, "{question} {answer}<pad>{eos}");
    assert_found("padding-learnt", 2, "the padding token <pad> is learnt: ");
    setting.loss_on = LOAM_LOSS_ON_COMPLETION;
    look(two, "{question}<pad>{answer}{eos}");
    assert_nothing_found();
    // Many models pad with EOS: to learn one is right.
    setting.special.pad = TEST_EOS;
    look(two, "{question} {answer}{eos}");
    assert_nothing_found();
    look(two, "{question} {answer}{eos}{eos}");
    assert_found("padding-learnt", 2, "</s> is learnt several times in a row");
    setting.special.pad = -1;
    look(two, "{question} {answer}{eos}{eos}");
    assert_nothing_found();
}

// ---- The data as a whole ----

static void test_overlap(void **state)
{
    (void)state;
    static const char other[] = "{\"question\": \"When?\", \"answer\": \"now\"}\n"
                                "{\"question\": \"What?\", \"answer\": \"oranges\", \"more\": 1}\n";
    look_with(two, "{question} {answer}{eos}", other);
    assert_found("overlap", 0, "/eval.jsonl are training records, too");
    assert_found("overlap", 0, "data.jsonl:2)");
    look_with(two, "{question} {answer}{eos}", two);
    assert_found("overlap", 0, "2 of 2 records of ");
    look_with(two, "{question} {answer}{eos}", "{\"question\": \"When?\", \"answer\": \"now\"}\n");
    assert_nothing_found();
}

static void test_plain_template(void **state)
{
    (void)state;
    write_chat_template(chat_template);
    look(two, "{question} {answer}{eos}");
    assert_found("plain-template", 0, "the model was made for chats");
    assert_int_equal(find("plain-template")->severity, LOAM_FINDING_DOUBT);
    // Generation does not stop at its end of turn: a base model that has a template.
    write_chat_template(split_template);
    look(two, "{question} {answer}{eos}");
    assert_nothing_found();
    // A template that refuses the conversation, or is none, is no sign of anything.
    write_chat_template("{{ raise_exception('no') }}");
    look(two, "{question} {answer}{eos}");
    assert_nothing_found();
    write_chat_template("{% for %}");
    look(two, "{question} {answer}{eos}");
    assert_nothing_found();
}

static void use_chat(const char *text)
{
    loam_chat_source_deinit(&setting.chat);
    write_chat_template(text);
    assert_ok(loam_chat_source_find(&setting.chat, setting.directory, NULL, false, &error));
    setting.input.chat = &setting.chat;
}

static void test_split_turn_end(void **state)
{
    (void)state;
    use_chat(split_template);
    look(two, "{question} {answer}{eos}");
    assert_found("split-turn-end", 0, "ends a turn in \"<|im_end|>\", which is 10 tokens of this model");
    use_chat(chat_template);
    look(two, "{question} {answer}{eos}");
    assert_nothing_found();
    use_chat("{% for m in messages %}{{ m.content }}</s></s>\\n{% endfor %}");
    look(two, "{question} {answer}{eos}");
    assert_nothing_found();
}

// ---- Weights ----

enum { WIDTH = 3 };

static void run_loaded(const float *values)
{
    struct loam_device *device = NULL;
    struct loam_parameter parameter = {
        .value = loam_tensor_2d((void *)(uintptr_t)values, LOAM_F32, TEST_VOCABULARY, WIDTH)};
    assert_ok(loam_device_create(&device, "ref", 1, &error));
    const struct loam_model model = {.embedding = &parameter, .device = device};
    assert_ok(loam_preflight_run_loaded(&setting.preflight, &setting.input, &model, &error));
    loam_device_destroy(device);
}

static void test_untrained_embedding(void **state)
{
    (void)state;
    float values[TEST_VOCABULARY * WIDTH];
    for (int i = 0; i < TEST_VOCABULARY * WIDTH; i++)
        values[i] = (float)(i % 7) - 2.5F;
    float *used = values + (ptrdiff_t)(TEST_BYTE + 'l') * WIDTH,
          *unused = values + (ptrdiff_t)WIDTH * (TEST_BYTE + '~');
    unused[0] = unused[1] = unused[2] = 0;
    look(two, "{question} {answer}{eos}");
    run_loaded(values);
    assert_nothing_found();
    used[0] = used[1] = used[2] = 0;
    run_loaded(values);
    assert_found("untrained-embedding", 0,
                 "the embedding of l (112) was never trained: all of its values are zero");
    assert_found("untrained-embedding", 0, "data.jsonl:1)");
    look(two, "{question} {answer}{eos}");
    used[0] = used[1] = used[2] = 0.5F;
    values[TEST_EOS * WIDTH] = values[TEST_EOS * WIDTH + 1] = values[TEST_EOS * WIDTH + 2] = 1e-20F;
    run_loaded(values);
    assert_found("untrained-embedding", 0, "the embedding of </s> (2), and of 1 other, was never trained");
}

// ---- The sample and the end ----

static void test_sample(void **state)
{
    (void)state;
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(loam_preflight_sample(10, 16, i), i);
    static const size_t counts[] = {17, 100, 12345, (size_t)1 << 40};
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        size_t last = 0;
        for (size_t i = 0; i < 16; i++) {
            size_t index = loam_preflight_sample(counts[c], 16, i);
            assert_true(index < counts[c]);
            assert_true(i == 0 ? index == 0 : index > last);
            if (i < 4) assert_int_equal(index, i);
            last = index;
        }
        assert_true(last >= counts[c] - counts[c] / 12 - 1); // the last of twelve parts
    }
}

static void test_many_records(void **state)
{
    (void)state;
    char *lines = malloc(1000 * 32);
    assert_non_null(lines);
    repeat(lines, 1000, 0);
    look(lines, NULL);
    free(lines);
    assert_int_equal(setting.preflight.looked, 256);
    assert_nothing_found();
}

static void test_require(void **state)
{
    (void)state;
    look(two, "<s><s>{question} {answer}");
    assert_int_equal(setting.preflight.mistakes, 2);
    assert_fails(loam_preflight_require(&setting.preflight, &error), LOAM_ERROR_ARGUMENT,
                 "nothing is trained, because of no-stop, bos-twice; --preflight warn");
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_no_stop),
        TEST(test_no_stop_without_eos),
        TEST(test_no_stop_of_cut_examples),
        TEST(test_end_as_text),
        TEST(test_bos_twice),
        TEST(test_bos_missing),
        TEST(test_other_prompt),
        TEST(test_same_prompt),
        TEST(test_cut),
        TEST(test_nothing_learnt),
        TEST(test_padding),
        TEST(test_overlap),
        TEST(test_plain_template),
        TEST(test_split_turn_end),
        TEST(test_untrained_embedding),
        TEST(test_sample),
        TEST(test_many_records),
        TEST(test_require),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
