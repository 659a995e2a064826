// Random conversations: what is learnt, what is plain text, and what stays of a conversation that is too long.
#include "test.h"

#include "helpers/byte_tokenizer.h"
#include "helpers/chats.h"

static struct loam_error error;

static const char template[] =
    "{% for m in messages %}{{ '<pad>' ~ m.role ~ ':' ~ m.content ~ '</s>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<pad>assistant:' }}{% endif %}";

static uint32_t state = 1;

static uint32_t draw(uint32_t limit)
{
    state = state * 1664525u + 1013904223u;
    return (state >> 16) % limit;
}

// Text of letters and of what spells special tokens, some of it cut in two.
static void append_random_text(struct loam_bytes *text)
{
    static const char *const pieces[] = {"a",  "bc", "</s>", "<pad>", "<s", ">",
                                         "</", "s>", "{",    "\n",    " ",  "\xC3\xA9"};
    for (uint32_t i = draw(6); i > 0; i--)
        assert_ok(loam_bytes_append_text(text, pieces[draw(sizeof pieces / sizeof *pieces)], &error));
    assert_ok(loam_bytes_append_text(text, "x", &error)); // an empty answer is a case of its own
}

// A system message or none, then turns of a user, maybe two messages of the assistant, and maybe a tool between them.
static json_t *random_messages(void)
{
    json_t *messages = json_array();
    struct loam_bytes text = {0};
    for (int turn = draw(2) == 0 ? -1 : 0, turns = 1 + (int)draw(4); turn < turns; turn++) {
        static const char *const roles[] = {"user", "assistant", "tool", "assistant"};
        const uint32_t count = turn < 0 ? 1 : draw(3) == 0 ? 4 : 2;
        for (uint32_t i = 0; i < count; i++) {
            loam_bytes_clear(&text);
            append_random_text(&text);
            json_array_append_new(messages, json_pack("{s:s, s:s}", "role", turn < 0 ? "system" : roles[i],
                                                      "content", text.data));
        }
    }
    loam_bytes_deinit(&text);
    return messages;
}

static bool is_role(const json_t *messages, size_t index, const char *role)
{
    return strcmp(json_string_value(json_object_get(json_array_get(messages, index), "role")), role) == 0;
}

// Rendered by hand, in the form of test_chat_describe: messages from `first` on are learnt if they are the assistant's.
// `*count` is the number of tokens.
static char *describe(const json_t *messages, size_t first, int32_t *count)
{
    struct loam_bytes text = {0};
    *count = 0;
    for (size_t i = 0; i < json_array_size(messages); i++) {
        const bool learnt = i >= first && is_role(messages, i, "assistant");
        const char *role = json_string_value(json_object_get(json_array_get(messages, i), "role"));
        const char *content = json_string_value(json_object_get(json_array_get(messages, i), "content"));
        assert_ok(loam_bytes_format(&text, &error, "^P%s:%s%s^E%s", role, learnt ? "{" : "", content,
                                    learnt ? "}" : ""));
        *count += 3 + (int32_t)(strlen(role) + strlen(content));
    }
    return text.data;
}

// Removes the oldest turn behind the system message. False: one is left.
static bool remove_turn(json_t *messages)
{
    const size_t first = is_role(messages, 0, "system");
    size_t next = first + 1;
    while (next < json_array_size(messages) && !is_role(messages, next, "user"))
        next++;
    if (next == json_array_size(messages)) return false;
    for (size_t i = first; i < next; i++)
        json_array_remove(messages, first);
    return true;
}

struct chats {
    struct loam_chat_options options;
    struct loam_chat_work work;
    struct loam_example example;
    size_t cut;
};

static void check_conversation(struct chats *chats)
{
    json_t *messages = random_messages();
    const size_t last = loam_chat_prompt_count(messages), total = json_array_size(messages);
    static const enum loam_loss_on kinds[] = {LOAM_LOSS_ON_DEFAULT, LOAM_LOSS_ON_LAST,
                                              LOAM_LOSS_ON_COMPLETION};
    chats->options.loss_on = kinds[draw(3)];
    chats->options.max_length = 30 + (int32_t)draw(120);
    struct loam_conversation conversation = {.messages = messages};
    enum loam_example_fate fate;
    assert_ok(loam_chat_example_build(&chats->example, &conversation, &chats->options, &chats->work, &fate,
                                      &error));
    int32_t count;
    size_t first = chats->options.loss_on == LOAM_LOSS_ON_DEFAULT ? 0 : last;
    char *expected = describe(messages, first, &count);
    bool whole = count <= chats->options.max_length, fits = whole;
    while (!fits && remove_turn(messages)) {
        free(expected);
        first = first == 0 ? 0 : last - (total - json_array_size(messages));
        expected = describe(messages, first, &count);
        fits = count <= chats->options.max_length;
    }
    assert_int_equal(fate, whole ? LOAM_EXAMPLE_WHOLE : LOAM_EXAMPLE_CUT);
    assert_true(chats->example.count <= chats->options.max_length);
    assert_int_equal(fits || chats->example.count == chats->options.max_length, true);
    char *found = test_chat_describe(&chats->example);
    if (fits) assert_string_equal(found, expected);
    chats->cut += !whole;
    free(found);
    free(expected);
    json_decref(messages);
}

static void test_random_conversations(void **unused)
{
    (void)unused;
    char directory[256];
    assert_non_null(test_make_directory(directory));
    struct loam_tokenizer *tokenizer = test_byte_tokenizer(directory, false, false);
    const struct loam_special_tokens special = test_special_tokens(false, false);
    struct loam_chat_source source = test_chat_source(template, NULL);
    struct chats chats = {.options = {.name = "random",
                                      .source = &source,
                                      .tokenizer = tokenizer,
                                      .special = &special,
                                      .vocabulary = TEST_VOCABULARY}};
    for (int i = 0; i < 2000; i++)
        check_conversation(&chats);
    assert_true(chats.cut > 200 && chats.cut < 1800);
    loam_chat_work_deinit(&chats.work);
    loam_example_deinit(&chats.example);
    loam_chat_source_deinit(&source);
    loam_tokenizer_destroy(tokenizer);
    test_remove_directory(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_conversations)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
