// Ids and masks of conversations that transformers made (tests/parity/make_chat_goldens.py).
#include "test.h"

#include "helpers/chats.h"

static struct loam_error error;

// What is learnt of each token, as 0 and 1.
static void describe(const struct loam_example *example, char *text)
{
    for (int32_t i = 0; i < example->count; i++)
        text[i] = example->weights[i] > 0 ? '1' : '0';
    text[example->count] = '\0';
}

static void check_case(const json_t *golden, const struct loam_tokenizer *tokenizer,
                       const struct loam_special_tokens *special)
{
    const char *name = json_string_value(json_object_get(golden, "name"));
    const json_t *ids = json_object_get(golden, "ids"), *tools = json_object_get(golden, "tools");
    struct loam_chat_source source = test_chat_source(json_string_value(json_object_get(golden, "template")),
                                                      "{'bos_token': '<s>', 'eos_token': '</s>'}");
    const struct loam_chat_options options = {.name = name,
                                              .source = &source,
                                              .tokenizer = tokenizer,
                                              .special = special,
                                              .max_length = INT32_MAX,
                                              .vocabulary = INT32_MAX,
                                              .content_may_be_special = true};
    const struct loam_conversation conversation = {.messages = json_object_get(golden, "messages"),
                                                   .tools = json_is_array(tools) ? tools : NULL};
    struct loam_chat_work work = {0};
    struct loam_example example = {0};
    enum loam_example_fate fate;
    print_message("%s\n", name);
    assert_ok(loam_chat_example_build(&example, &conversation, &options, &work, &fate, &error));
    assert_int_equal(example.count, json_array_size(ids));
    for (int32_t i = 0; i < example.count; i++)
        assert_int_equal(example.ids[i], json_integer_value(json_array_get(ids, (size_t)i)));
    char *learnt = malloc((size_t)example.count + 1);
    assert_non_null(learnt);
    describe(&example, learnt);
    assert_string_equal(learnt, json_string_value(json_object_get(golden, "learnt")));
    free(learnt);
    loam_example_deinit(&example);
    loam_chat_work_deinit(&work);
    loam_chat_source_deinit(&source);
}

static void test_ids_and_masks(void **state)
{
    (void)state;
    char directory[256], path[300];
    json_error_t problem;
    struct loam_tokenizer *tokenizer;
    json_t *root = json_load_file(LOAM_TESTS "/parity/goldens/chat_ids.json", 0, &problem), *golden;
    if (root == NULL) fail_msg("chat_ids.json: %s", problem.text);
    snprintf(path, sizeof path, "%s/tokenizer.json", test_make_directory(directory));
    assert_int_equal(json_dump_file(json_object_get(root, "tokenizer"), path, JSON_COMPACT), 0);
    assert_ok(loam_tokenizer_load(&tokenizer, path, &error));
    int32_t ends[] = {loam_tokenizer_token_to_id(tokenizer, "</s>")};
    const struct loam_special_tokens special = {
        .bos = -1, .pad = -1, .eos = ends[0], .eos_text = "</s>", .eos_ids = ends, .eos_count = 1};
    size_t index;
    assert_true(json_array_size(json_object_get(root, "cases")) >= 30);
    json_array_foreach(json_object_get(root, "cases"), index, golden)
    {
        check_case(golden, tokenizer, &special);
    }
    loam_tokenizer_destroy(tokenizer);
    json_decref(root);
    test_remove_directory(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ids_and_masks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
