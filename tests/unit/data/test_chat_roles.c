// Who wrote each token of a conversation.
#include "test.h"

#include "data/chat_roles.h"
#include "helpers/byte_tokenizer.h"
#include "helpers/chats.h"

static struct loam_error error;

static void test_roles(void **state)
{
    (void)state;
    char directory[256], found[200];
    assert_non_null(test_make_directory(directory));
    const struct loam_special_tokens special = test_special_tokens(false, false);
    struct loam_tokenizer *tokenizer = test_byte_tokenizer(directory, false, false);
    // The line break and the z that follows it are one token: it belongs to the message that it reaches into.
    struct loam_chat_source source = test_chat_source(
        "{{ tools[0].name }}{% for m in messages %}{{ m.role }}:\n{{ m.content }}{{ eos_token }}{% endfor %}",
        "{'eos_token': '</s>'}");
    struct loam_chat_options options = {.source = &source,
                                        .tokenizer = tokenizer,
                                        .special = &special,
                                        .max_length = 1000,
                                        .vocabulary = TEST_VOCABULARY};
    json_t *messages = test_chat_json("[{'role':'system','content':'s'},{'role':'user','content':'zu'},"
                                      "{'role':'tool','content':'t'},{'role':'critic','content':'c'},"
                                      "{'role':'assistant','content':'aa'}]");
    json_t *tools = test_chat_json("[{'name':'f'}]");
    const struct loam_conversation conversation = {.messages = messages, .tools = tools};
    struct loam_chat_work work = {.wants_roles = true};
    struct loam_example example = {0};
    enum loam_example_fate fate;
    assert_ok(loam_chat_example_build(&example, &conversation, &options, &work, &fate, &error));
    for (int32_t i = 0; i < example.count; i++)
        found[i] = ".suato"[work.roles[i]];
    found[example.count] = '\0';
    // f, "system:\n" s </s>, "user:" "\nz" u </s>, "tool:\n" t </s>, "critic:\n" c </s>, "assistant:\n" aa </s>
    assert_string_equal(found, "o........s......uu.......t.........o............aa.");
    for (int i = 0; i < LOAM_CHAT_ROLES; i++)
        assert_non_null(loam_chat_role_name((enum loam_chat_role)i));
    // The user's message loses its first token.
    options.max_length = example.count - 1;
    assert_ok(loam_chat_example_build(&example, &conversation, &options, &work, &fate, &error));
    for (int32_t i = 0; i < example.count; i++)
        found[i] = ".suato"[work.roles[i]];
    found[example.count] = '\0';
    assert_string_equal(found, "o........s......u.......t.........o............aa.");
    loam_example_deinit(&example);
    loam_chat_work_deinit(&work);
    json_decref(messages);
    json_decref(tools);
    loam_chat_source_deinit(&source);
    loam_tokenizer_destroy(tokenizer);
    test_remove_directory(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_roles)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
