#include "helpers/cases.h"

#include "test.h"

json_t *test_tokenizer_data(const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/data/tokenizers/%s", LOAM_TESTS, name);
    json_error_t problem;
    json_t *root = json_load_file(path, 0, &problem);
    if (root == NULL) fail_msg("%s: %s", path, problem.text);
    return root;
}

void test_write_tokenizer(const char *path, const json_t *entry, const json_t *models)
{
    static const char *const parts[] = {"added_tokens", "normalizer", "pre_tokenizer", "post_processor",
                                        "decoder"};
    json_t *model =
        json_deep_copy(json_object_get(models, json_string_value(json_object_get(entry, "model"))));
    json_object_update(model, json_object_get(entry, "model_options"));
    json_t *whole = json_object();
    json_object_set_new(whole, "version", json_string("1.0"));
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        json_object_set(whole, parts[i], json_object_get(entry, parts[i]));
    json_object_set_new(whole, "model", model);
    assert_int_equal(json_dump_file(whole, path, JSON_COMPACT), 0);
    json_decref(whole);
}
