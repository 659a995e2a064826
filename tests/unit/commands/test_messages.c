// Messages of a conversation: what is read, which turns a prompt leaves out, and what is saved.
#include "test.h"

#include "base/file.h"
#include "commands/messages.h"

static struct loam_error error;

static struct loam_messages parse(const char *text)
{
    struct loam_messages messages = {0};
    assert_ok(loam_messages_parse(&messages, text, strlen(text), "x.json", NULL, &error));
    return messages;
}

static void refuse(const char *text, const char *message)
{
    struct loam_messages messages = {0};
    assert_fails(loam_messages_parse(&messages, text, strlen(text), "x.json", NULL, &error),
                 LOAM_ERROR_FORMAT, message);
    loam_messages_deinit(&messages);
}

static void test_forms(void **state)
{
    (void)state;
    struct loam_messages messages = parse("[{\"role\": \"user\", \"content\": \"a\"}]");
    assert_int_equal(loam_messages_size(&messages), 1);
    assert_null(messages.tools);
    assert_string_equal(loam_messages_role(&messages, 0), "user");
    assert_string_equal(loam_messages_role(&messages, 1), "");
    loam_messages_deinit(&messages);
    messages = parse("\xEF\xBB\xBF{\"messages\": [{\"role\": \"user\"}], \"tools\": [{}, {}]}");
    assert_int_equal(loam_messages_size(&messages), 1);
    assert_int_equal(json_array_size(messages.tools), 2);
    assert_ok(loam_messages_parse_tools(&messages, "[]", 2, "t.json", &error));
    assert_int_equal(json_array_size(messages.tools), 0);
    assert_fails(loam_messages_parse_tools(&messages, "{}", 2, "t.json", &error), LOAM_ERROR_FORMAT,
                 "t.json");
    loam_messages_deinit(&messages);
    messages = parse("{\"messages\": [{\"role\": \"user\"}], \"tools\": null}");
    assert_null(messages.tools);
    loam_messages_deinit(&messages);
}

static void test_what_is_no_conversation(void **state)
{
    (void)state;
    refuse("", "x.json");
    refuse("[]", "x.json: expected a JSON array of at least one message");
    refuse("{\"messages\": \"a\"}", "x.json: expected a JSON array of at least one message");
    refuse("[\"a\"]", "x.json: message 1 is not an object");
    refuse("[{\"role\": \"user\"}, {\"role\": 5}]", "x.json: message 2 has no \"role\"");
    refuse("{\"messages\": [{\"role\": \"user\"}], \"tools\": {}}", "x.json: \"tools\" must be an array");
}

// The contents of a prompt's messages, one letter each.
static void check_window(const struct loam_messages *messages, const char *expected)
{
    json_t *window;
    char contents[32] = "";
    assert_ok(loam_messages_window(messages, &window, &error));
    for (size_t i = 0; i < json_array_size(window); i++)
        strcat(contents, json_string_value(json_object_get(json_array_get(window, i), "content")));
    json_decref(window);
    assert_string_equal(contents, expected);
}

static void add(struct loam_messages *messages, const char *role, const char *text)
{
    assert_ok(loam_messages_add(messages, role, text, strlen(text), &error));
}

static void test_oldest_turns_are_left_out(void **state)
{
    (void)state;
    struct loam_messages messages = {0};
    assert_false(loam_messages_drop_turn(&messages));
    assert_ok(loam_messages_set_system(&messages, "s", &error));
    add(&messages, "user", "a");
    add(&messages, "assistant", "b");
    add(&messages, "tool", "c");
    add(&messages, "user", "d");
    add(&messages, "assistant", "e");
    add(&messages, "user", "f");
    check_window(&messages, "sabcdef");
    assert_true(loam_messages_drop_turn(&messages));
    check_window(&messages, "sdef");
    assert_ok(loam_messages_set_system(&messages, "t", &error));
    check_window(&messages, "tdef");
    assert_ok(loam_messages_set_system(&messages, "", &error));
    check_window(&messages, "def");
    assert_true(loam_messages_drop_turn(&messages));
    check_window(&messages, "f");
    assert_false(loam_messages_drop_turn(&messages));
    check_window(&messages, "f");
    assert_int_equal(loam_messages_size(&messages), 6);
    loam_messages_shorten(&messages, 2);
    check_window(&messages, "ab");
    loam_messages_deinit(&messages);
}

static void test_text_must_be_utf8(void **state)
{
    (void)state;
    struct loam_messages messages = {0};
    assert_fails(loam_messages_add(&messages, "user", "a\xFF", 2, &error), LOAM_ERROR_FORMAT, "byte 2");
    assert_fails(loam_messages_set_system(&messages, "\xC3", &error), LOAM_ERROR_FORMAT, "byte 1");
    assert_int_equal(loam_messages_size(&messages), 0);
    loam_messages_deinit(&messages);
}

static void test_saved_lines_are_read_back(void **state)
{
    (void)state;
    char directory[256], path[300];
    struct loam_bytes text = {0};
    struct loam_messages messages = {0};
    assert_non_null(test_make_directory(directory));
    snprintf(path, sizeof path, "%s/saved.jsonl", directory);
    add(&messages, "user", "one\n\"two\" \xC3\xA9");
    assert_ok(loam_messages_save(&messages, path, &error));
    add(&messages, "assistant", "");
    assert_ok(loam_messages_save(&messages, path, &error));
    assert_ok(loam_file_read(path, 4096, &text, &error));
    test_remove_directory(directory);
    assert_string_equal(text.data,
                        "{\"messages\":[{\"role\":\"user\",\"content\":\"one\\n\\\"two\\\" \xC3\xA9\"}]}\n"
                        "{\"messages\":[{\"role\":\"user\",\"content\":\"one\\n\\\"two\\\" \xC3\xA9\"},"
                        "{\"role\":\"assistant\",\"content\":\"\"}]}\n");
    loam_bytes_deinit(&text);
    assert_fails(loam_messages_save(&messages, "/no/such/file", &error), LOAM_ERROR_IO, "/no/such/file");
    loam_messages_deinit(&messages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_what_is_no_conversation),
        cmocka_unit_test(test_oldest_turns_are_left_out),
        cmocka_unit_test(test_text_must_be_utf8),
        cmocka_unit_test(test_saved_lines_are_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
