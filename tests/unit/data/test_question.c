// What records ask: prompts, right answers, options.
#include "test.h"

#include "data/question.h"
#include "helpers/byte_tokenizer.h"
#include "helpers/chats.h"

static struct loam_error error;

// A header that ends in a space, which the answer's first token may take.
static const char chat_text[] =
    "{% for m in messages %}{{ m.role[0] ~ ': ' ~ m.content|trim ~ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'a: ' }}{% endif %}";

static const struct question_case {
    const char *prompt_template; // NULL: none
    bool is_chat;
    const char *record;
    enum loam_question_kind kind;
    const char *prompt, *golds, *options; // texts, separated by |
    size_t right;
} cases[] = {
    {NULL, false, "{'text': 'a'}", LOAM_QUESTION_NONE, "", "", "", 0},
    {NULL, false, "{'prompt': 'a ', 'completion': 'b c'}", LOAM_QUESTION_ANSWER, "a ", "b c", "", 0},
    {NULL, false, "{'prompt': 'a', 'completion': 'b', 'answers': ['b', 'c']}", LOAM_QUESTION_ANSWER, "a",
     "b|c", "", 0},
    {NULL, false, "{'prompt': 'a', 'completion': 'b', 'answers': {'text': ['d'], 'answer_start': [3]}}",
     LOAM_QUESTION_ANSWER, "a", "d", "", 0},
    {NULL, false, "{'prompt': 'a', 'completion': 'b', 'answers': []}", LOAM_QUESTION_ANSWER, "a", "", "", 0},
    {"Q {q} A {a}{eos}", false, "{'q': 'x', 'a': 5, 'choices': 3}", LOAM_QUESTION_ANSWER, "Q x A ", "5", "",
     0},
    {"{a}", false, "{'a': 'x'}", LOAM_QUESTION_NONE, "", "", "", 0},
    {NULL, false, "{'question': 'x', 'choices': ['c', 'd'], 'answer': 1}", LOAM_QUESTION_CHOICE,
     "Question: x\nAnswer: ", "", "c|d", 1},
    {"{q} = {answer}", false, "{'q': 'x', 'choices': ['c', 'd'], 'answer': 'c'}", LOAM_QUESTION_CHOICE,
     "x = ", "", "c|d", 0},
    {"{q} = {answer}", false, "{'q': 'x', 'choices': ['c', 'd'], 'answer': 'B'}", LOAM_QUESTION_CHOICE,
     "x = ", "", "A|B", 1},
    {"{q} = {answer}", false, "{'q': 'x', 'choices': ['c', 'd', 'e'], 'answer': 2}", LOAM_QUESTION_CHOICE,
     "x = ", "", "0|1|2", 2},
    {"{answer} = {q}", false, "{'q': 'x', 'choices': ['c', 'd'], 'answer': 1}", LOAM_QUESTION_ANSWER,
     "1 = ", "x", "c|d", 1},
    {NULL, true, "{'question': 'x', 'choices': ['c', 'd'], 'answer': 'A'}", LOAM_QUESTION_CHOICE,
     "u: x^Ea: ", "", "c|d", 0},
    {NULL, true, "{'prompt': 'x', 'completion': 'y z'}", LOAM_QUESTION_ANSWER, "u: x^Ea: ", "y z", "", 0},
    // The right answer is the text that the template makes of the last answer.
    {NULL, true,
     "{'messages': [{'role': 'user', 'content': 'x'}, {'role': 'assistant', 'content': ' y  '}, "
     "{'role': 'user', 'content': 'z'}]}",
     LOAM_QUESTION_ANSWER, "u: x^Ea: ", "y", "", 0},
    {NULL, true, "{'messages': [{'role': 'user', 'content': 'x'}]}", LOAM_QUESTION_NONE, "", "", "", 0},
    {NULL, true, "{'messages': [{'role': 'assistant', 'content': 'x'}]}", LOAM_QUESTION_NONE, "", "", "", 0},
    {NULL, true,
     "{'prompt': [{'role': 'user', 'content': 'x'}], 'completion': [{'role': 'assistant', 'content': 'y'}], "
     "'answers': [{'text': 'v'}, {'text': 'w'}]}",
     LOAM_QUESTION_ANSWER, "u: x^Ea: ", "v|w", "", 0},
};

// Everything that a case needs.
struct setting {
    char directory[256], path[300];
    struct loam_special_tokens special;
    struct loam_chat_source source;
    struct loam_chat_options chat;
    struct loam_template *prompt_template;
    struct loam_dataset_options options;
    struct loam_dataset *dataset;
};

static void open_setting(struct setting *setting, const struct question_case *item)
{
    *setting = (struct setting){0};
    assert_non_null(test_make_directory(setting->directory));
    snprintf(setting->path, sizeof setting->path, "%s/data.jsonl", setting->directory);
    char *text = strdup(item->record);
    assert_non_null(text);
    for (char *at = text; *at != '\0'; at++)
        if (*at == '\'') *at = '"';
    test_write_file(setting->path, text, strlen(text));
    free(text);
    setting->special = test_special_tokens(false, false);
    setting->options = (struct loam_dataset_options){
        .path = setting->path,
        .max_length = 1000,
        .tokenizer = test_byte_tokenizer(setting->directory, false, false),
        .special = &setting->special,
        .vocabulary = TEST_VOCABULARY,
    };
    if (item->prompt_template != NULL)
        assert_ok(loam_template_parse(&setting->prompt_template, item->prompt_template,
                                      strlen(item->prompt_template), "test", &error));
    setting->options.prompt_template = setting->prompt_template;
    setting->source = test_chat_source(chat_text, "{'eos_token': '</s>'}");
    setting->chat = (struct loam_chat_options){.source = &setting->source,
                                               .tokenizer = setting->options.tokenizer,
                                               .special = &setting->special,
                                               .max_length = 1000,
                                               .vocabulary = TEST_VOCABULARY};
    if (item->is_chat) setting->options.chat = &setting->chat;
    assert_ok(loam_dataset_open(&setting->dataset, &setting->options, &error));
}

static void close_setting(struct setting *setting)
{
    loam_dataset_destroy(setting->dataset);
    loam_template_destroy(setting->prompt_template);
    loam_chat_source_deinit(&setting->source);
    loam_tokenizer_destroy((struct loam_tokenizer *)(uintptr_t)setting->options.tokenizer);
    test_remove_directory(setting->directory);
}

static void join(const struct loam_text_list *list, char *text, size_t size)
{
    text[0] = '\0';
    for (size_t i = 0; i < list->count; i++)
        snprintf(text + strlen(text), size - strlen(text), "%s%s", i > 0 ? "|" : "", list->items[i]);
}

// The ids of an option begin with those of the prompt; what follows is the option and has weights.
static void check_option(const struct setting *setting, const struct loam_question *question, size_t option)
{
    struct loam_example example = {0};
    struct loam_bytes text = {0};
    const int32_t begin = question->prompt.count;
    assert_ok(loam_dataset_option(setting->dataset, 0, question, option, 1000, &example, &error));
    assert_true(example.count > begin);
    assert_memory_equal(example.ids, question->prompt.ids, (size_t)begin * sizeof *example.ids);
    for (int32_t t = 0; t < example.count; t++)
        assert_true((example.weights[t] != 0) == (t >= begin));
    assert_ok(loam_bytes_append(&text, "", 0, &error));
    assert_ok(loam_tokenizer_decode(setting->options.tokenizer, example.ids + begin,
                                    (size_t)(example.count - begin), false, &text, &error));
    assert_int_equal(text.size, question->rest.size + strlen(question->options.items[option]));
    assert_memory_equal(text.data + question->rest.size, question->options.items[option],
                        text.size - question->rest.size);
    // One token less than it has is too few.
    const int32_t count = example.count;
    assert_ok(loam_dataset_option(setting->dataset, 0, question, option, count - 1, &example, &error));
    assert_true(example.dropped && example.count == 0);
    loam_bytes_deinit(&text);
    loam_example_deinit(&example);
}

static void check_case(const struct question_case *item)
{
    struct setting setting;
    struct loam_question question = {0};
    char text[200];
    open_setting(&setting, item);
    // Read twice, since the memory is reused.
    for (int i = 0; i < 2; i++)
        assert_ok(loam_dataset_question(setting.dataset, 0, 1000, &question, &error));
    if (question.kind != item->kind) fail_msg("%s: kind %d", item->record, (int)question.kind);
    if (question.kind != LOAM_QUESTION_NONE) {
        char *prompt = test_chat_describe(&question.prompt);
        snprintf(text, sizeof text, "%s%.*s", prompt, (int)question.rest.size,
                 question.rest.size > 0 ? question.rest.data : "");
        assert_string_equal(text, item->prompt);
        free(prompt);
    }
    join(&question.golds, text, sizeof text);
    assert_string_equal(text, item->golds);
    join(&question.options, text, sizeof text);
    assert_string_equal(text, item->options);
    if (question.kind == LOAM_QUESTION_CHOICE) {
        bool has_choices;
        assert_int_equal(question.right, item->right);
        assert_ok(loam_dataset_has_choices(setting.dataset, &has_choices, &error));
        assert_true(has_choices);
        for (size_t i = 0; i < question.options.count; i++)
            check_option(&setting, &question, i);
    }
    loam_question_deinit(&question);
    close_setting(&setting);
}

static void test_questions(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_case(&cases[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_questions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
