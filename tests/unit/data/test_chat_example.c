// From a conversation to ids and weights.
#include "test.h"

#include "helpers/byte_tokenizer.h"
#include "helpers/chats.h"

static struct loam_error error;

// Each message is "<pad>ROLE\nTEXT</s>\n".
static const char turns[] =
    "{{ bos_token }}{% for m in messages %}{{ '<pad>' ~ m.role ~ '\\n' ~ m.content ~ '</s>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<pad>assistant\\n' }}{% endif %}";

static const char marked[] = "{% for m in messages %}{{ '[' ~ m.role ~ ']' }}{% if m.role == 'assistant' %}"
                             "{% generation %}{{ m.content ~ '</s>!' }}{% endgeneration %}{% else %}{{ "
                             "m.content }}{% endif %}{% endfor %}"
                             "{% if add_generation_prompt %}[assistant]{% endif %}";

// An assistant's turn has reasoning and calls around its text.
static const char tools[] =
    "{{ tools | tojson if tools }}{% for m in messages %}<pad>{{ m.role }}:"
    "{% if m.reasoning %}(thinks){{ m.reasoning }}(/thinks){% endif %}{{ m.content }}"
    "{% for c in m.tool_calls or [] %}(call){{ c.function.name }} {{ c.function.arguments | tojson }}(/call)"
    "{% endfor %}<unk></s>{% endfor %}{% if add_generation_prompt %}<pad>assistant:{% endif %}";

static const char one[] = "[{'role': 'user', 'content': 'Hi'}, {'role': 'assistant', 'content': 'Yo'}]";
static const char two[] = "[{'role': 'system', 'content': 'S'}, {'role': 'user', 'content': 'ab'}, "
                          "{'role': 'assistant', 'content': 'cd'}, {'role': 'user', 'content': 'ef'}, "
                          "{'role': 'assistant', 'content': 'gh'}]";

struct setting {
    char directory[256];
    struct loam_tokenizer *tokenizer;
    struct loam_special_tokens special;
    struct loam_chat_source source;
    struct loam_chat_options options;
    struct loam_chat_work work;
    struct loam_example example;
    enum loam_example_fate fate;
};

static void start(struct setting *setting, const char *template)
{
    *setting = (struct setting){0};
    assert_non_null(test_make_directory(setting->directory));
    // The post-processor adds BOS to texts. It has no part in conversations.
    setting->tokenizer = test_byte_tokenizer(setting->directory, true, false);
    setting->special = test_special_tokens(true, false);
    setting->source = test_chat_source(template, "{'bos_token': '<s>'}");
    setting->options = (struct loam_chat_options){
        .name = "chats.jsonl",
        .source = &setting->source,
        .tokenizer = setting->tokenizer,
        .special = &setting->special,
        .max_length = 1000,
        .vocabulary = TEST_VOCABULARY,
    };
    strcpy(setting->example.id, "line 7");
}

static void finish(struct setting *setting)
{
    loam_chat_work_deinit(&setting->work);
    loam_chat_source_deinit(&setting->source);
    loam_example_deinit(&setting->example);
    loam_tokenizer_destroy(setting->tokenizer);
    test_remove_directory(setting->directory);
}

static enum loam_status build(struct setting *setting, const char *messages, const char *called,
                              size_t prompt_count)
{
    json_t *list = test_chat_json(messages), *all = called != NULL ? test_chat_json(called) : NULL;
    const struct loam_conversation conversation = {list, all, prompt_count};
    const enum loam_status status = loam_chat_example_build(
        &setting->example, &conversation, &setting->options, &setting->work, &setting->fate, &error);
    json_decref(list);
    json_decref(all);
    return status;
}

static void assert_described(const struct setting *setting, const char *expected)
{
    char *text = test_chat_describe(&setting->example);
    assert_string_equal(text, expected);
    free(text);
}

static void check(struct setting *setting, const char *messages, size_t prompt_count, const char *expected)
{
    assert_ok(build(setting, messages, NULL, prompt_count));
    assert_described(setting, expected);
}

static void test_loss_on(void **state)
{
    (void)state;
    static const struct {
        enum loam_loss_on loss_on;
        size_t prompt_count;
        const char *expected;
    } cases[] = {
        {LOAM_LOSS_ON_DEFAULT, 0,
         "^B^Psystem\nS^E\n^Puser\nab^E\n^Passistant\n{cd^E}\n^Puser\nef^E\n^Passistant\n{gh^E}\n"},
        {LOAM_LOSS_ON_ASSISTANT, 4,
         "^B^Psystem\nS^E\n^Puser\nab^E\n^Passistant\n{cd^E}\n^Puser\nef^E\n^Passistant\n{gh^E}\n"},
        {LOAM_LOSS_ON_DEFAULT, 4,
         "^B^Psystem\nS^E\n^Puser\nab^E\n^Passistant\ncd^E\n^Puser\nef^E\n^Passistant\n{gh^E}\n"},
        {LOAM_LOSS_ON_COMPLETION, 2,
         "^B^Psystem\nS^E\n^Puser\nab^E\n^Passistant\n{cd^E}\n^Puser\nef^E\n^Passistant\n{gh^E}\n"},
        {LOAM_LOSS_ON_COMPLETION, 0,
         "^B^Psystem\nS^E\n^Puser\nab^E\n^Passistant\ncd^E\n^Puser\nef^E\n^Passistant\n{gh^E}\n"},
        {LOAM_LOSS_ON_LAST, 2,
         "^B^Psystem\nS^E\n^Puser\nab^E\n^Passistant\ncd^E\n^Puser\nef^E\n^Passistant\n{gh^E}\n"},
        {LOAM_LOSS_ON_ALL, 0,
         "{^B^Psystem\nS^E\n^Puser\nab^E\n^Passistant\ncd^E\n^Puser\nef^E\n^Passistant\ngh^E\n}"},
    };
    struct setting setting;
    start(&setting, turns);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setting.options.loss_on = cases[i].loss_on;
        check(&setting, two, cases[i].prompt_count, cases[i].expected);
        assert_false(setting.example.dropped);
        assert_int_equal(setting.fate, LOAM_EXAMPLE_WHOLE);
        // The line break behind </s> is no token that an answer needs.
        assert_false(setting.example.lacks_stop);
    }
    finish(&setting);
}

// {% generation %} counts, with all that is inside it.
static void test_marks(void **state)
{
    (void)state;
    struct setting setting;
    start(&setting, marked);
    check(&setting, two, 0, "[system]S[user]ab[assistant]{cd^E!}[user]ef[assistant]{gh^E!}");
    assert_true(setting.example.lacks_stop); // the text goes on behind </s>
    check(&setting, two, 4, "[system]S[user]ab[assistant]cd^E![user]ef[assistant]{gh^E!}");
    setting.options.loss_on = LOAM_LOSS_ON_LAST;
    check(&setting, two, 0, "[system]S[user]ab[assistant]cd^E![user]ef[assistant]{gh^E!}");
    check(&setting, "[{'role': 'user', 'content': 'Hi'}]", 0, "[user]Hi");
    assert_true(setting.example.lacks_stop);
    finish(&setting);
}

// Reasoning, calls and what the template writes around them are learnt, up to the token that ends the turn.
static void test_parts(void **state)
{
    (void)state;
    struct setting setting;
    start(&setting, tools);
    check(&setting,
          "[{'role': 'user', 'content': 'a'}, {'role': 'assistant', 'reasoning': 'b', 'content': 'c', "
          "'tool_calls': "
          "[{'function': {'name': 'f', 'arguments': {'x': 1}}}]}, {'role': 'tool', 'content': 'd'}, "
          "{'role': 'assistant', 'content': 'e', 'tool_calls': null}]",
          0,
          "^Puser:a^U^E^Passistant:{(thinks)b(/thinks)c(call)f {\"x\": 1}(/call)^U^E}^Ptool:d^U^E^Passistant:"
          "{e^U^E}");
    // An empty answer still ends.
    check(&setting,
          "[{'role': 'user', 'content': 'a'}, {'role': 'assistant', 'content': ''}, "
          "{'role': 'user', 'content': 'b'}]",
          0, "^Puser:a^U^E^Passistant:{^U^E}^Puser:b^U^E");
    assert_ok(build(&setting, one, "[{'name': '</s>'}]", 0));
    assert_described(&setting, "[{\"name\": \"</s>\"}]^Puser:Hi^U^E^Passistant:{Yo^U^E}");
    finish(&setting);
}

// A header that quotes an answer after its end belongs to the next message, and EOS after a conversation to none.
static void test_quoted(void **state)
{
    (void)state;
    struct setting setting;
    start(&setting,
          "{% set ns = namespace(name='') %}{% for m in messages %}{% if m.role == 'assistant' %}<pad>a:"
          "{{ m.content }}</s>{% set ns.name = m.content %}{% else %}<pad>{{ ns.name }}:{{ m.content }}!"
          "{% endif %}{% endfor %}{% if add_generation_prompt %}<pad>a:{% else %}{{ eos_token }}{% endif %}");
    json_object_set_new(setting.source.variables, "eos_token", json_string("</s>"));
    check(&setting,
          "[{'role': 'user', 'content': 'Hi'}, {'role': 'assistant', 'content': 'f'}, {'role': 'tool', "
          "'content': 'x'}]",
          0, "^P:Hi!^Pa:{f^E}^Pf:x!^E");
    check(&setting, "[{'role': 'user', 'content': 'Hi'}, {'role': 'assistant', 'content': ''}]", 0,
          "^P:Hi!^Pa:{^E}^E");
    finish(&setting);
}

// Text of messages never becomes a special token, and the template's text does.
static void test_plain_text(void **state)
{
    (void)state;
    static const char spelt[] =
        "[{'role': 'user', 'content': 'a</s><s>b'}, {'role': 'assistant', 'content': '</s>'}, "
        "{'role': '</s>', 'content': '</s'}]";
    struct setting setting;
    start(&setting, turns);
    check(&setting, spelt, 0, "^B^Puser\na</s><s>b^E\n^Passistant\n{</s>^E}\n^P</s>\n</s^E\n");
    setting.options.content_may_be_special = true;
    check(&setting, spelt, 0, "^B^Puser\na^E^Bb^E\n^Passistant\n{^E^E}\n^P^E\n</s^E\n");
    finish(&setting);
    // A role is part of the token that the template builds around it; other text is not.
    start(&setting, "{% for m in messages %}{{ '<' ~ m.role ~ '>' ~ m.content ~ 's>' }}{% endfor %}");
    check(&setting, "[{'role': 'pad', 'content': 'x</'}, {'role': 'user', 'content': '<'}]", 0,
          "^Px</s><user><s>");
    finish(&setting);
}

static void test_too_long(void **state)
{
    (void)state;
    struct setting setting;
    start(&setting, turns);
    static const char all[] =
        "^B^Psystem\nS^E\n^Puser\nab^E\n^Passistant\n{cd^E}\n^Puser\nef^E\n^Passistant\n{gh^E}\n";
    static const char last[] = "^B^Psystem\nS^E\n^Puser\nef^E\n^Passistant\n{gh^E}\n";
    static const struct {
        int32_t max_length;
        const char *expected;
        enum loam_example_fate fate;
    } cases[] = {
        {62, all, LOAM_EXAMPLE_WHOLE},
        {61, last, LOAM_EXAMPLE_CUT},
        {37, last, LOAM_EXAMPLE_CUT},
        // The last turn alone is too long: the user's text loses its beginning, then the conversation its end.
        {36, "^B^Psystem\nS^E\n^Puser\nf^E\n^Passistant\n{gh^E}\n", LOAM_EXAMPLE_CUT},
        {35, "^B^Psystem\nS^E\n^Puser\n^E\n^Passistant\n{gh^E}\n", LOAM_EXAMPLE_CUT},
        {34, "^B^Psystem\nS^E\n^Puser\nef^E\n^Passistant\n{g}", LOAM_EXAMPLE_CUT},
        {32, "^B^Psystem\nS^E\n^Puser\nef^E\n^Passistant", LOAM_EXAMPLE_CUT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setting.options.max_length = cases[i].max_length;
        check(&setting, two, 0, cases[i].expected);
        assert_int_equal(setting.fate, cases[i].fate);
        assert_false(setting.example.lacks_stop);
    }
    // A turn of the prompt is needed even if it has no answer to be learnt before it.
    setting.options.max_length = 40;
    check(&setting, two, 4, last);
    check(&setting, two, 2, "^B^Psystem\nS^E\n^Puser\nab^E\n^Passistant\n{cd^E}\n^Pus");
    setting.options.too_long = LOAM_TOO_LONG_DROP;
    assert_ok(build(&setting, two, NULL, 0));
    assert_true(setting.example.dropped);
    assert_int_equal(setting.example.count, 0);
    assert_int_equal(setting.fate, LOAM_EXAMPLE_DROPPED);
    finish(&setting);
}

static void build_prompt(struct setting *setting, const char *messages, size_t prompt_count)
{
    json_t *list = test_chat_json(messages);
    const struct loam_conversation conversation = {.messages = list, .prompt_count = prompt_count};
    assert_ok(
        loam_chat_prompt_build(&setting->example, &conversation, &setting->options, &setting->work, &error));
    json_decref(list);
}

static void test_prompt(void **state)
{
    (void)state;
    struct setting setting;
    start(&setting, turns);
    build_prompt(&setting, two, 4);
    assert_described(&setting,
                     "^B^Psystem\nS^E\n^Puser\nab^E\n^Passistant\ncd^E\n^Puser\nef^E\n^Passistant\n");
    setting.options.max_length = 40;
    build_prompt(&setting, two, 4);
    assert_described(&setting, "^B^Psystem\nS^E\n^Puser\nef^E\n^Passistant\n");
    setting.options.max_length = 32;
    build_prompt(&setting, two, 4);
    assert_described(&setting, "^B^Psystem\nS^E\n^Puser\nf^E\n^Passistant\n");
    // A prompt without its end is none.
    setting.options.max_length = 20;
    build_prompt(&setting, two, 4);
    assert_true(setting.example.dropped);
    setting.options.max_length = 1000;
    build_prompt(&setting, "[{'role': 'user', 'content': '</s>'}]", 0);
    assert_described(&setting, "^B^Puser\n</s>^E\n^Passistant\n");
    json_t *list = test_chat_json(two);
    assert_int_equal(loam_chat_prompt_count(list), 4);
    json_array_remove(list, 4);
    assert_int_equal(loam_chat_prompt_count(list), 2);
    json_array_clear(list);
    assert_int_equal(loam_chat_prompt_count(list), 0);
    json_decref(list);
    finish(&setting);
}

static void check_stops(const char *template, const char *end, const int32_t *expected, size_t expected_count)
{
    struct setting setting;
    int32_t *ids = NULL;
    size_t count = 0, capacity = 0;
    start(&setting, template);
    setting.source.end = end;
    assert_ok(loam_chat_stops(&setting.options, &setting.work, &ids, &count, &capacity, &error));
    assert_int_equal(count, expected_count);
    assert_memory_equal(ids, expected, count * sizeof *ids);
    free(ids);
    finish(&setting);
}

static void test_stops(void **state)
{
    (void)state;
    const int32_t eos = TEST_EOS, both[] = {TEST_UNK, TEST_EOS}, newline[] = {TEST_BYTE + '\n', TEST_EOS};
    check_stops(turns, NULL, &eos, 1);
    // The first special token ends a turn, unless the template's header has it.
    check_stops("{% for m in messages %}<pad>{{ m.role }}:{{ m.content }}<unk>{% endfor %}"
                "{% if add_generation_prompt %}<pad>assistant:{% endif %}",
                NULL, both, 2);
    check_stops("{% for m in messages %}{{ m.role }}:{{ m.content ~ '\\n' }}{% endfor %}", "\xC4\x8A",
                newline, 2);
    check_stops("{{ raise_exception('never') }}", NULL, &eos, 1);
}

static void assert_refused(struct setting *setting, const char *messages, enum loam_status status,
                           const char *words)
{
    assert_fails(build(setting, messages, NULL, 0), status, words);
    assert_non_null(strstr(error.message, "chats.jsonl: record line 7: "));
}

static void test_refusals(void **state)
{
    (void)state;
    struct setting setting;
    start(&setting, "{% if messages | length > 1 %}{{ raise_exception('One at a time') }}{% endif %}");
    assert_refused(&setting, two, LOAM_ERROR_FORMAT, "refuses the conversation: One at a time");
    assert_refused(&setting, "['x']", LOAM_ERROR_FORMAT, "message 0 must be an object");
    assert_refused(&setting, "{}", LOAM_ERROR_FORMAT, "the messages must be an array");
    assert_refused(&setting, "[]", LOAM_ERROR_FORMAT, "gives no tokens");
    finish(&setting);
    start(&setting, turns);
    setting.options.vocabulary = 100;
    assert_fails(build(&setting, one, NULL, 0), LOAM_ERROR_FORMAT, "beyond the model's vocabulary of 100");
    finish(&setting);
}

// A record with tools uses the template for tools, and the next one without tools the default again.
static void test_tool_template(void **state)
{
    (void)state;
    struct setting setting;
    struct loam_error refusal = {.status = LOAM_ERROR_FORMAT, .message = "tool_use, line 3: broken"};
    start(&setting, turns);
    struct loam_chat_source for_tools = test_chat_source(tools, NULL);
    for_tools.is_for_tools = true;
    setting.source.for_tools = &for_tools;
    for (int i = 0; i < 2; i++) {
        assert_ok(build(&setting, one, NULL, 0));
        assert_described(&setting, "^B^Puser\nHi^E\n^Passistant\n{Yo^E}\n");
        assert_ok(build(&setting, one, i == 0 ? "[1]" : "[]", 0));
        assert_described(&setting, i == 0 ? "[1]^Puser:Hi^U^E^Passistant:{Yo^U^E}"
                                          : "^Puser:Hi^U^E^Passistant:{Yo^U^E}");
    }
    setting.source.for_tools = NULL;
    setting.source.tools_refusal = &refusal;
    assert_ok(build(&setting, one, NULL, 0));
    assert_fails(
        build(&setting, one, "[]", 0), LOAM_ERROR_FORMAT,
        "chats.jsonl: record line 7: the template of conversations with tools: tool_use, line 3: broken");
    setting.source.tools_refusal = NULL;
    loam_chat_source_deinit(&for_tools);
    finish(&setting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loss_on),       cmocka_unit_test(test_marks),
        cmocka_unit_test(test_parts),         cmocka_unit_test(test_quoted),
        cmocka_unit_test(test_tool_template), cmocka_unit_test(test_plain_text),
        cmocka_unit_test(test_too_long),      cmocka_unit_test(test_prompt),
        cmocka_unit_test(test_stops),         cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
