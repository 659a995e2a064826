// Where a template is found, and the built-in templates.
#include "chat/source.h"

#include "base/json.h"
#include "io/gguf.h"
#include "test.h"

#include <stdlib.h>
#include <sys/stat.h>

static void write_text(const char *directory, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    test_write_file(path, text, strlen(text));
}

// Renders one user message with the template that is found.
static void check(const char *directory, const char *name, bool tools, const char *origin,
                  const char *expected)
{
    struct loam_chat_source source;
    struct loam_chat_rendering rendering = {0};
    struct loam_error error;
    assert_ok(loam_chat_source_find(&source, directory, name, tools, &error));
    assert_non_null(strstr(source.origin, origin));
    json_t *messages = json_pack("[{s:s, s:s}]", "role", "user", "content", "Hi");
    struct loam_chat_input input = {
        .messages = messages, .variables = source.variables, .add_generation_prompt = true};
    assert_ok(loam_chat_template_render(source.chat_template, &input, &rendering, &error));
    assert_string_equal(rendering.text.data, expected);
    json_decref(messages);
    loam_chat_rendering_deinit(&rendering);
    loam_chat_source_deinit(&source);
}

// The template for tools comes with the default one.
static void check_tools(const char *directory)
{
    struct loam_chat_source source;
    const struct loam_chat_source *chosen;
    struct loam_error error;
    json_t *tools = json_array();
    assert_ok(loam_chat_source_find(&source, directory, NULL, false, &error));
    assert_ok(loam_chat_source_choose(&source, NULL, &chosen, &error));
    assert_ptr_equal(chosen, &source);
    assert_ok(loam_chat_source_choose(&source, json_null(), &chosen, &error));
    assert_ptr_equal(chosen, &source);
    assert_ok(loam_chat_source_choose(&source, tools, &chosen, &error));
    assert_non_null(strstr(chosen->origin, "template \"tool_use\""));
    loam_chat_source_deinit(&source);
    assert_ok(loam_chat_source_find(&source, directory, "rag", false, &error));
    assert_ok(loam_chat_source_choose(&source, tools, &chosen, &error));
    assert_ptr_equal(chosen, &source);
    loam_chat_source_deinit(&source);
    json_decref(tools);
}

static void test_places(void **state)
{
    const char *directory = *state;
    struct loam_chat_source source;
    struct loam_error error;
    char path[512];
    assert_fails(loam_chat_source_find(&source, directory, NULL, false, &error), LOAM_ERROR_UNSUPPORTED,
                 "has no chat template");
    write_text(directory, "tokenizer_config.json", "{\"chat_template\": 3}");
    assert_fails(loam_chat_source_find(&source, directory, NULL, false, &error), LOAM_ERROR_FORMAT,
                 "tokenizer_config.json: the template must be a string");
    write_text(
        directory, "tokenizer_config.json",
        "{\"chat_template\": \"{{ bos_token }}one{{ image_token }}\", \"bos_token\": {\"content\": \"<s>\"}, "
        "\"eos_token\": null, \"extra_special_tokens\": {\"image_token\": \"<i>\"}}");
    check(directory, NULL, true, "tokenizer_config.json", "<s>one<i>");
    write_text(directory, "tokenizer_config.json",
               "{\"chat_template\": [{\"name\": \"default\", \"template\": \"d\"}, {\"name\": \"tool_use\", "
               "\"template\": \"t\"}, {\"name\": \"rag\", \"template\": \"r\"}]}");
    check(directory, NULL, false, "template \"default\"", "d");
    check(directory, NULL, true, "template \"tool_use\"", "t");
    check(directory, "rag", false, "template \"rag\"", "r");
    check_tools(directory);
    write_text(directory, "chat_template.jinja", "file");
    check(directory, NULL, false, "chat_template.jinja", "file");
    snprintf(path, sizeof path, "%s/additional_chat_templates", directory);
    assert_int_equal(mkdir(path, 0700), 0);
    write_text(directory, "additional_chat_templates/tool_use.jinja", "more");
    check(directory, NULL, true, "additional_chat_templates/tool_use.jinja", "more");
    write_text(directory, "additional_chat_templates/tool_use.jinja", "{% include 'x' %}");
    json_t *tools = json_array();
    const struct loam_chat_source *chosen;
    check(directory, NULL, false, "chat_template.jinja", "file");
    assert_ok(loam_chat_source_find(&source, directory, NULL, false, &error));
    assert_fails(loam_chat_source_choose(&source, tools, &chosen, &error), LOAM_ERROR_UNSUPPORTED,
                 "the template of conversations with tools: ");
    json_decref(tools);
    loam_chat_source_deinit(&source);
    snprintf(path, sizeof path, "%s/own.txt", directory);
    write_text(directory, "own.txt", "own {{ messages[0].content }}");
    check(directory, path, false, "own.txt", "own Hi");
    assert_fails(loam_chat_source_find(&source, directory, "nosuch", false, &error), LOAM_ERROR_USAGE,
                 "no chat template \"nosuch\"");
    write_text(directory, "chat_template.jinja", "a\n{% if %}");
    assert_fails(loam_chat_source_find(&source, directory, NULL, false, &error), LOAM_ERROR_FORMAT,
                 "chat_template.jinja, line 2: Expected an expression");
    write_text(directory, "chat_template.jinja", "a\xFF");
    assert_fails(loam_chat_source_find(&source, directory, NULL, false, &error), LOAM_ERROR_FORMAT,
                 "is not UTF-8");
}

static void write_gguf(const char *path, const char *const (*templates)[2], size_t count)
{
    struct loam_gguf_value values[4] = {
        {.key = "general.architecture", .type = LOAM_GGUF_STRING, .text = "llama"}};
    const struct loam_write_tensor tensor = {
        .name = "output.weight", .dtype = LOAM_F32, .rank = 1, .shape = {0}};
    const struct loam_write_source source = {0};
    struct loam_error error;
    for (size_t i = 0; i < count; i++)
        values[1 + i] = (struct loam_gguf_value){
            .key = templates[i][0], .type = LOAM_GGUF_STRING, .text = templates[i][1]};
    assert_ok(loam_gguf_write(path, values, 1 + count, &tensor, 1, &source, &error));
}

static void test_gguf(void **state)
{
    const char *directory = *state;
    struct loam_chat_source source;
    struct loam_error error;
    char path[512], named[600];
    static const char *const both[][2] = {
        {"tokenizer.chat_template", "{{ bos_token }}own {{ messages[0].content }}"},
        {"tokenizer.chat_template.tool_use", "tools"},
        {"tokenizer.chat_template.rag", "rag"}};
    write_text(directory, "tokenizer_config.json", "{\"bos_token\": \"<s>\", \"chat_template\": \"model\"}");
    snprintf(path, sizeof path, "%s/a:b.bin", directory); // found by its contents
    write_gguf(path, both, 3);
    check(directory, path, false, "a:b.bin", "<s>own Hi");
    check(directory, path, true, "template \"tool_use\"", "tools");
    snprintf(named, sizeof named, "%s:rag", path);
    check(directory, named, true, "template \"rag\"", "rag");
    snprintf(named, sizeof named, "%s:none", path);
    assert_fails(loam_chat_source_find(&source, directory, named, false, &error), LOAM_ERROR_USAGE,
                 "has no chat template \"none\"; its named ones: tool_use, rag");
    write_gguf(path, both, 1);
    assert_fails(loam_chat_source_find(&source, directory, named, false, &error), LOAM_ERROR_USAGE,
                 "its named ones: none");
    write_gguf(path, both + 1, 2);
    assert_fails(loam_chat_source_find(&source, directory, path, false, &error), LOAM_ERROR_USAGE,
                 "has a name: tool_use, rag; choose one with");
    static const char *const other[][2] = {{"tokenizer.chat_templates", "x"},
                                           {"tokenizer.chat_template.", "x"}};
    write_gguf(path, other, 2);
    assert_fails(loam_chat_source_find(&source, directory, path, false, &error), LOAM_ERROR_UNSUPPORTED,
                 "a:b.bin has no chat template: its metadata has no \"tokenizer.chat_template\"");
    static const char *const broken[][2] = {{"tokenizer.chat_template", "a\n{% if %}"}};
    write_gguf(path, broken, 1);
    assert_fails(loam_chat_source_find(&source, directory, path, false, &error), LOAM_ERROR_FORMAT,
                 "a:b.bin, line 2: Expected an expression");
    const struct loam_gguf_value number = {
        .key = "tokenizer.chat_template", .type = LOAM_GGUF_U32, .number = 5};
    const struct loam_write_source nothing = {0};
    assert_ok(loam_gguf_write(path, &number, 1, NULL, 0, &nothing, &error));
    assert_fails(loam_chat_source_find(&source, directory, path, false, &error), LOAM_ERROR_FORMAT,
                 "a:b.bin: \"tokenizer.chat_template\" is a number; expected a text");
    test_write_file(path, "GGUF\3\0\0\0", 8);
    assert_fails(loam_chat_source_find(&source, directory, path, false, &error), LOAM_ERROR_FORMAT,
                 "the GGUF header goes beyond the 8 bytes of the file");
}

static void test_adapters(void **state)
{
    struct loam_chat_source source;
    struct loam_error error;
    char model[300], adapter[300], *path;
    snprintf(model, sizeof model, "%s/model", (const char *)*state);
    snprintf(adapter, sizeof adapter, "%s/adapter", (const char *)*state);
    assert_int_equal(mkdir(model, 0700), 0);
    assert_int_equal(mkdir(adapter, 0700), 0);
    assert_ok(loam_chat_source_of_adapter(model, adapter, &path, &error));
    assert_null(path);
    write_text(model, loam_chat_source_file, "one");
    assert_ok(loam_chat_source_of_adapter(model, adapter, &path, &error));
    assert_null(path);
    write_text(adapter, loam_chat_source_file, "one");
    assert_ok(loam_chat_source_of_adapter(model, adapter, &path, &error));
    assert_null(path);
    // The file of an adapter that was trained with a built-in template keeps the end of a turn.
    write_text(adapter, loam_chat_source_file, loam_chat_builtin_find("chatml")->text);
    assert_ok(loam_chat_source_of_adapter(model, adapter, &path, &error));
    assert_non_null(strstr(path, "adapter/chat_template.jinja"));
    assert_ok(loam_chat_source_find(&source, model, path, false, &error));
    assert_string_equal(source.end, "<|im_end|>");
    assert_string_equal(source.text.data, loam_chat_builtin_find("chatml")->text);
    loam_chat_source_deinit(&source);
    free(path);
}

static void test_builtins(void **state)
{
    static const struct {
        const char *name, *text;
    } cases[] = {
        {"chatml", "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"},
        {"llama3", "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|"
                   "end_header_id|>\n\n"},
        {"gemma", "<start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n"},
        {"mistral", " [INST] Hi [/INST]"},
        {"phi", "<|user|>\nHi<|end|>\n<|assistant|>\n"},
        {"zephyr", "<|user|>\nHi</s>\n<|assistant|>\n"},
        {"alpaca",
         "Below is an instruction that describes a task. Write a response that appropriately completes the "
         "request.\n\n### Instruction:\nHi\n\n### Response:\n"},
        {"vicuna", "A chat between a curious user and an artificial intelligence assistant. The assistant "
                   "gives helpful, "
                   "detailed, and polite answers to the user's questions. USER: Hi ASSISTANT:"},
    };
    write_text(*state, "tokenizer_config.json", "{\"eos_token\": \"</s>\"}");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check(*state, cases[i].name, false, cases[i].name, cases[i].text);
        assert_string_equal(loam_chat_builtin_at(i)->name, cases[i].name);
    }
    assert_null(loam_chat_builtin_at(sizeof cases / sizeof cases[0]));
    assert_string_equal(loam_chat_builtin_find("phi")->end, "<|end|>");
    assert_null(loam_chat_builtin_find("zephyr")->end);
}

static json_t *make_conversation(bool with_answer)
{
    json_t *messages = json_pack("[{s:s, s:s}, {s:s, s:s}]", "role", "system", "content", "Be kind.", "role",
                                 "user", "content", "Hi");
    if (with_answer)
        json_array_append_new(messages, json_pack("{s:s, s:s}", "role", "assistant", "content", "Yes."));
    return messages;
}

// The prompt is the beginning of the training text, and the rest is what is generated: the answer and its end.
static void test_builtin_answers(void **state)
{
    const struct loam_chat_builtin *builtin;
    (void)state;
    for (size_t i = 0; (builtin = loam_chat_builtin_at(i)) != NULL; i++) {
        struct loam_chat_template *chat_template;
        struct loam_chat_rendering prompt = {0}, whole = {0};
        struct loam_error error;
        assert_ok(loam_chat_template_parse(&chat_template, builtin->text, strlen(builtin->text),
                                           builtin->name, &error));
        json_t *question = make_conversation(false), *answered = make_conversation(true);
        json_t *variables = json_pack("{s:s, s:s}", "bos_token", "<s>", "eos_token", "</s>");
        struct loam_chat_input input = {
            .messages = question, .variables = variables, .add_generation_prompt = true};
        assert_ok(loam_chat_template_render(chat_template, &input, &prompt, &error));
        input = (struct loam_chat_input){.messages = answered, .variables = variables};
        assert_ok(loam_chat_template_render(chat_template, &input, &whole, &error));
        assert_memory_equal(whole.text.data, prompt.text.data, prompt.text.size);
        const char *end = builtin->end == NULL ? "</s>" : builtin->end;
        size_t learnt_end = 0;
        for (size_t k = 0; k < whole.span_count; k++) {
            size_t start = k == 0 ? 0 : whole.spans[k - 1].end;
            assert_int_equal(whole.spans[k].is_generated,
                             start >= prompt.text.size && whole.text.data[start] != '\n');
            if (whole.spans[k].is_generated) learnt_end = whole.spans[k].end;
        }
        assert_true(learnt_end > strlen(end));
        assert_memory_equal(whole.text.data + learnt_end - strlen(end), end, strlen(end));
        json_array_append_new(
            answered, json_pack("{s:s, s:s, s:[{}]}", "role", "assistant", "content", "", "tool_calls"));
        assert_true(loam_chat_template_render(chat_template, &input, &whole, &error) != LOAM_OK);
        json_decref(variables);
        json_decref(question);
        json_decref(answered);
        loam_chat_rendering_deinit(&prompt);
        loam_chat_rendering_deinit(&whole);
        loam_chat_template_destroy(chat_template);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_in_directory(test_places),         test_in_directory(test_gguf),
        test_in_directory(test_adapters),       test_in_directory(test_builtins),
        cmocka_unit_test(test_builtin_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
