// The ids of a conversation begin with those of the prompt for its last answer, for every kind of end of a header.
#include "test.h"

#include "helpers/cases.h"
#include "helpers/chats.h"
#include "helpers/labels.h"

static struct loam_error error;

static const char template[] =
    "{% for m in messages %}{% if m.role == 'assistant' %}{{ 'A' ~ ending ~ m.content ~ '\\n' }}{% else %}"
    "{{ 'Q ' ~ m.content ~ '.\\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ 'A' ~ ending "
    "}}{% endif %}";

// A space, a tab, a line break, a colon, inside a word, a special token, and others.
static const char *const endings[] = {
    ": ",  " ",    ":\t",   "\n",     "\n\n", "\r\n", ":",  "re",   " (",       " \"",          " '",
    " 19", "</s>", "</s> ", "</s>\n", "  ",   "<",    "</", " don", "\xC2\xA0", "\xE6\x97\xA5", "",
};
static const char *const answers[] = {
    "a",  "Paris", " Paris", "9",     "2010", "\n",  "\n\nx",     "  two",        " ",   "(x)", "...",
    "'t", "/s>",   "s>",     "</s>x", "\t",   "\tx", "\xCC\x81x", "\xE6\x9C\xAC", "://", "z",
};

struct pair {
    struct loam_chat_options options;
    struct loam_chat_work work;
    struct loam_example example, prompt;
};

static bool is_prefix(const struct loam_example *prompt, const struct loam_example *example)
{
    return prompt->count <= example->count &&
           memcmp(prompt->ids, example->ids, (size_t)prompt->count * sizeof *prompt->ids) == 0;
}

static bool has_tokens(const struct loam_tokenizer *tokenizer, const char *text)
{
    struct loam_encoding encoding = {0};
    const struct loam_plain_range all = {.end = strlen(text)};
    const struct loam_text_input input = {
        .text = text, .size = strlen(text), .plain = &all, .plain_count = 1};
    assert_ok(loam_tokenizer_encode_input(tokenizer, &input, NULL, &encoding, &error));
    const bool has_some = encoding.count > 0;
    loam_encoding_deinit(&encoding);
    return has_some;
}

static void check_pair(struct pair *pair, const char *name, const char *ending, const char *answer)
{
    json_t *messages = json_pack("[{s:s,s:s},{s:s,s:s},{s:s,s:s},{s:s,s:s}]", "role", "user", "content", "Hi",
                                 "role", "assistant", "content", answer, "role", "user", "content", "So",
                                 "role", "assistant", "content", answer);
    assert_non_null(messages);
    const struct loam_conversation conversation = {.messages = messages, .prompt_count = 3};
    enum loam_example_fate fate;
    enum loam_status status =
        loam_chat_example_build(&pair->example, &conversation, &pair->options, &pair->work, &fate, &error);
    const bool has_none = status != LOAM_OK && strstr(error.message, "gives no tokens") != NULL;
    if (status == LOAM_OK)
        status = loam_chat_prompt_build(&pair->prompt, &conversation, &pair->options, &pair->work, &error);
    json_decref(messages);
    if (has_none) return; // some of the tokenizers remove most text
    assert_ok(status);
    const int32_t learnt = test_first_label(pair->example.weights, pair->example.count);
    // Nothing is learnt of an answer without tokens behind which the template writes no end.
    const bool is_nothing = !has_tokens(pair->options.tokenizer, answer) && learnt == pair->example.count;
    const bool follows = learnt == pair->prompt.count || is_nothing;
    if (is_prefix(&pair->prompt, &pair->example) && follows) return;
    fail_msg("%s: header \"A%s\", answer \"%s\": %d ids of the prompt, %d of the example, learnt from %d on",
             name, ending, answer, pair->prompt.count, pair->example.count, learnt);
}

static void check_tokenizer(const char *name, const struct loam_tokenizer *tokenizer)
{
    const int32_t eos = loam_tokenizer_token_to_id(tokenizer, "</s>");
    int32_t ends[] = {eos};
    const struct loam_special_tokens special = {
        .bos = -1, .pad = -1, .eos = eos, .eos_text = "</s>", .eos_ids = ends, .eos_count = eos >= 0};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        struct pair pair = {0};
        struct loam_chat_source source = test_chat_source(template, "{}");
        json_object_set_new(source.variables, "ending", json_string(endings[i]));
        pair.options = (struct loam_chat_options){.name = name,
                                                  .source = &source,
                                                  .tokenizer = tokenizer,
                                                  .special = &special,
                                                  .max_length = 1000,
                                                  .vocabulary = INT32_MAX};
        for (size_t j = 0; j < sizeof answers / sizeof *answers; j++)
            check_pair(&pair, name, endings[i], answers[j]);
        loam_chat_work_deinit(&pair.work);
        loam_chat_source_deinit(&source);
        loam_example_deinit(&pair.example);
        loam_example_deinit(&pair.prompt);
    }
}

static void test_every_tokenizer(void **state)
{
    (void)state;
    char directory[256], path[300];
    snprintf(path, sizeof path, "%s/tokenizer.json", test_make_directory(directory));
    json_t *models = test_tokenizer_data("models.json"), *entries = test_tokenizer_data("cases.json"), *entry;
    size_t index;
    json_array_foreach(entries, index, entry)
    {
        struct loam_tokenizer *tokenizer;
        test_write_tokenizer(path, entry, models);
        assert_ok(loam_tokenizer_load(&tokenizer, path, &error));
        check_tokenizer(json_string_value(json_object_get(entry, "name")), tokenizer);
        loam_tokenizer_destroy(tokenizer);
    }
    json_decref(entries);
    json_decref(models);
    test_remove_directory(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_tokenizer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
