// Which records --too-long split divides, and what becomes of the others.
#include "test.h"

#include "data/dataset.h"
#include "helpers/byte_tokenizer.h"
#include "helpers/chats.h"

static struct loam_error error;

static const char turns[] =
    "{% for m in messages %}{{ '<pad>' ~ m.role[0] ~ m.content ~ '</s>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<pad>a' }}{% endif %}";

#define MESSAGE(role, content) "{'role': '" role "', 'content': '" content "'}"
#define TWO_TURNS                                                                                            \
    MESSAGE("user", "ab")                                                                                    \
    ", " MESSAGE("assistant", "cd") ", " MESSAGE("user", "ef") ", " MESSAGE("assistant", "gh")

enum { MOST = 4 };

// A record of one line, with ' for ", and its examples in the form of test_chat_describe.
static const struct sample {
    const char *record;
    const char *prompt_template; // NULL: none
    enum loam_loss_on loss_on;
    int32_t max_length;
    const char *examples[MOST];
    size_t cut;
} samples[] = {
    {"{'text': 'abcdefgh'}", NULL, LOAM_LOSS_ON_DEFAULT, 4, {"{abcd}", "{efg}", "{h^E}"}, 0},
    {"{'text': 'abcdefgh'}", NULL, LOAM_LOSS_ON_COMPLETION, 5, {"{abcde}", "{fgh^E}"}, 0},
    {"{'text': 'abcdefg'}", NULL, LOAM_LOSS_ON_DEFAULT, 8, {"{abcdefg^E}"}, 0},
    // A template of which all is learnt is a text.
    {"{'text': 'abcdef', 'n': '1'}", "{n}:{text}", LOAM_LOSS_ON_DEFAULT, 4, {"{1:ab}", "{cdef}"}, 0},
    {"{'text': 'abcdef'}", "{text}{eos}", LOAM_LOSS_ON_ALL, 4, {"{abcd}", "{ef^E}"}, 0},
    // A completion stays with its prompt, which loses its beginning.
    {"{'prompt': 'abcdef', 'completion': 'gh'}", NULL, LOAM_LOSS_ON_DEFAULT, 6, {"def{gh^E}"}, 1},
    {"{'prompt': 'abcdef', 'completion': 'gh'}", NULL, LOAM_LOSS_ON_ALL, 6, {"{defgh^E}"}, 1},
    {"{'text': 'abcdef', 'n': '1'}", "{text}={n}", LOAM_LOSS_ON_COMPLETION, 4, {"ef={1}"}, 1},
    // A conversation is divided between turns.
    {"{'messages': [" TWO_TURNS "]}",
     NULL,
     LOAM_LOSS_ON_DEFAULT,
     12,
     {"^Puab^E^Pa{cd^E}", "^Puef^E^Pa{gh^E}"},
     0},
    {"{'messages': [" TWO_TURNS "]}",
     NULL,
     LOAM_LOSS_ON_ALL,
     12,
     {"{^Puab^E^Pacd^E}", "{^Puef^E^Pagh^E}"},
     0},
    {"{'messages': [" MESSAGE("system", "s") ", " TWO_TURNS "]}",
     NULL,
     LOAM_LOSS_ON_ASSISTANT,
     14,
     {"^Pss^E^Puab^E^Pa{cd^E}", "^Pss^E^Puef^E^Pa{gh^E}"},
     0},
    // A greeting is before the first turn. Two messages of the user are one turn, and so are those after the last answer.
    {"{'messages': [" MESSAGE("assistant", "x") ", " MESSAGE("user", "1") ", " TWO_TURNS
                                                                          ", " MESSAGE("user", "y") "]}",
     NULL,
     LOAM_LOSS_ON_DEFAULT,
     14,
     {"^Pa{x^E}", "^Pu1^E^Puab^E^Pa{cd^E}", "^Puef^E^Pa{gh^E}^Puy^E"},
     0},
    // A turn that is too long is cut.
    {"{'messages': [" MESSAGE("user", "abcdefgh") ", " MESSAGE("assistant", "i") ", " TWO_TURNS "]}",
     NULL,
     LOAM_LOSS_ON_DEFAULT,
     10,
     {"^Pufgh^E^Pa{i^E}", "^Puab^E^Pa{cd^E}", "^Puef^E^Pa{gh^E}"},
     1},
    // Only the last answer is learnt: the oldest turns are cut.
    {"{'messages': [" TWO_TURNS "]}", NULL, LOAM_LOSS_ON_LAST, 12, {"^Puef^E^Pa{gh^E}"}, 1},
    {"{'prompt': [" MESSAGE("user", "abcdef") "], 'completion': [" MESSAGE("assistant", "g") "]}",
     NULL,
     LOAM_LOSS_ON_ASSISTANT,
     10,
     {"^Pudef^E^Pa{g^E}"},
     1},
};

struct setting {
    char directory[256];
    char path[300];
    struct loam_tokenizer *tokenizer;
    struct loam_special_tokens special;
    struct loam_chat_source source;
    struct loam_chat_options chat;
    struct loam_template *prompt_template;
    struct loam_dataset_options options;
};

static void start(struct setting *setting)
{
    *setting = (struct setting){0};
    assert_non_null(test_make_directory(setting->directory));
    snprintf(setting->path, sizeof setting->path, "%s/data.jsonl", setting->directory);
    setting->tokenizer = test_byte_tokenizer(setting->directory, false, false);
    setting->special = test_special_tokens(false, false);
    setting->source = test_chat_source(turns, NULL);
    setting->options = (struct loam_dataset_options){.path = setting->path,
                                                     .too_long = LOAM_TOO_LONG_SPLIT,
                                                     .tokenizer = setting->tokenizer,
                                                     .special = &setting->special,
                                                     .vocabulary = TEST_VOCABULARY};
    setting->chat = (struct loam_chat_options){.source = &setting->source,
                                               .tokenizer = setting->tokenizer,
                                               .special = &setting->special,
                                               .vocabulary = TEST_VOCABULARY};
}

static void finish(struct setting *setting)
{
    loam_template_destroy(setting->prompt_template);
    loam_chat_source_deinit(&setting->source);
    loam_tokenizer_destroy(setting->tokenizer);
    test_remove_directory(setting->directory);
}

static void write_record(const struct setting *setting, const char *record)
{
    char line[600];
    snprintf(line, sizeof line, "%s\n", record);
    for (char *at = line; *at != '\0'; at++)
        if (*at == '\'') *at = '"';
    test_write_file(setting->path, line, strlen(line));
}

static void check_sample(struct setting *setting, const struct sample *sample)
{
    struct loam_dataset *dataset;
    struct loam_example example = {0};
    const bool is_chat = strstr(sample->record, "'role'") != NULL;
    size_t count = 0;
    if (sample->prompt_template != NULL)
        assert_ok(loam_template_parse(&setting->prompt_template, sample->prompt_template,
                                      strlen(sample->prompt_template), "test", &error));
    write_record(setting, sample->record);
    setting->chat.max_length = setting->options.max_length = sample->max_length;
    setting->options.prompt_template = setting->prompt_template;
    setting->options.chat = is_chat ? &setting->chat : NULL;
    setting->options.loss_on = sample->loss_on;
    assert_ok(loam_dataset_open(&dataset, &setting->options, &error));
    for (; count < MOST && sample->examples[count] != NULL; count++) {
        assert_ok(loam_dataset_read(dataset, count, &example, &error));
        char *text = test_chat_describe(&example), id[64];
        assert_string_equal(text, sample->examples[count]);
        assert_string_equal(loam_dataset_place(dataset, count).path, setting->path);
        snprintf(id, sizeof id, "line 1, piece %zu", count + 1);
        assert_string_equal(example.id, sample->examples[1] == NULL ? "line 1" : id);
        free(text);
    }
    const struct loam_dataset_counts counts = loam_dataset_counts(dataset);
    assert_int_equal(loam_dataset_count(dataset), count);
    assert_int_equal(counts.examples, count);
    assert_int_equal(counts.records, 1);
    assert_int_equal(counts.split, count > 1);
    assert_int_equal(counts.cut, sample->cut);
    assert_fails(loam_dataset_read(dataset, count, &example, &error), LOAM_ERROR_ARGUMENT, "out of range");
    loam_example_deinit(&example);
    loam_dataset_destroy(dataset);
}

static void test_samples(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct setting setting;
        start(&setting);
        check_sample(&setting, &samples[i]);
        finish(&setting);
    }
}

static const char three_texts[] = "{\"text\": \"abcdefgh\"}\n{\"text\": \"i\"}\n{\"text\": \"jklmn\"}\n";

// A piece has the text of its record, and no prompt.
static void test_records(void **state)
{
    (void)state;
    struct setting setting;
    struct loam_dataset *dataset;
    struct loam_example example = {0};
    struct loam_record record;
    const char *text;
    size_t size, parts;
    start(&setting);
    test_write_file(setting.path, three_texts, strlen(three_texts));
    setting.options.max_length = 4;
    assert_ok(loam_dataset_open(&dataset, &setting.options, &error));
    assert_int_equal(loam_dataset_count(dataset), 6);
    for (size_t i = 0; i < 3; i++) {
        assert_ok(loam_dataset_text(dataset, i, &text, &size, &error));
        assert_int_equal(size, 8);
        assert_ok(loam_dataset_prompt(dataset, i, &example, &error));
        assert_int_equal(example.count, 0);
    }
    assert_ok(loam_dataset_record(dataset, 5, &record, &error));
    assert_int_equal(record.line, 3);
    assert_int_equal(loam_dataset_limit(dataset, 2), 4);
    assert_int_equal(loam_dataset_parts(dataset, &parts)->count, 6);
    assert_int_equal(parts, 1);
    assert_ok(loam_dataset_try(dataset, &error));
    loam_example_deinit(&example);
    loam_dataset_destroy(dataset);
    finish(&setting);
}

// A record that cannot become an example is refused before the first step.
static void test_refusals(void **state)
{
    (void)state;
    struct setting setting;
    struct loam_dataset *dataset;
    start(&setting);
    setting.options.max_length = setting.chat.max_length = 10;
    setting.options.chat = &setting.chat;
    loam_chat_source_deinit(&setting.source);
    setting.source = test_chat_source("{{ raise_exception('no such turn') if messages | length < 3 }}"
                                      "{{ messages[0].content }}",
                                      NULL);
    write_record(&setting, "{'messages': [" TWO_TURNS ", " MESSAGE("user", "abcdefghijk") "]}");
    setting.chat.name = "x";
    assert_ok(loam_dataset_open(&dataset, &setting.options, &error));
    loam_dataset_destroy(dataset);
    write_record(&setting,
                 "{'messages': [" MESSAGE("user", "abcdefghijk") ", " MESSAGE("assistant", "b") "]}");
    assert_fails(loam_dataset_open(&dataset, &setting.options, &error), LOAM_ERROR_FORMAT, "record line 1: ");
    assert_non_null(strstr(error.message, "no such turn"));
    setting.options.chat = NULL;
    assert_fails(loam_dataset_open(&dataset, &setting.options, &error), LOAM_ERROR_FORMAT,
                 "they need a chat template");
    write_record(&setting, "{'text': 'abcdefghijklmn'}");
    setting.options.vocabulary = TEST_BYTE + 'm';
    assert_fails(loam_dataset_open(&dataset, &setting.options, &error), LOAM_ERROR_FORMAT,
                 "beyond the model's vocabulary");
    setting.options.vocabulary = TEST_VOCABULARY;
    assert_int_equal(setenv("TMPDIR", "/nowhere", 1), 0);
    assert_fails(loam_dataset_open(&dataset, &setting.options, &error), LOAM_ERROR_IO,
                 "cannot make a temporary file in /nowhere for the ids of its long texts");
    unsetenv("TMPDIR");
    finish(&setting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
