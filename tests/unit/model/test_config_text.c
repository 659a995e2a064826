#include "model/config_text.h"

#include "test.h"

static void changes_the_dtype_alone(void **state)
{
    (void)state;
    struct loam_error error;
    static const struct {
        const char *text;
        enum loam_dtype dtype;
        const char *changed;
    } cases[] = {
        {"{\"torch_dtype\": \"float16\", \"eps\": 1e-05}", LOAM_F32,
         "{\"torch_dtype\": \"float32\", \"eps\": 1e-05}"},
        {"{\n  \"eps\" : 1E-5,\n  \"dtype\" : \"float32\"\n}\n", LOAM_BF16,
         "{\n  \"eps\" : 1E-5,\n  \"dtype\" : \"bfloat16\"\n}\n"},
        {"{\"dtype\":null,\"a\":[1,2]}", LOAM_F16, "{\"dtype\":\"float16\",\"a\":[1,2]}"},
        {"{\"a\": 1}", LOAM_F16, "{\n  \"torch_dtype\": \"float16\",\"a\": 1}"},
        // Not the outermost object's, a value, and a name with a quote in it.
        {"{\"text\": {\"dtype\": \"x\"}, \"b\": \"dtype\", \"\\\"dtype\": 1}", LOAM_F32,
         "{\n  \"torch_dtype\": \"float32\",\"text\": {\"dtype\": \"x\"}, \"b\": \"dtype\", \"\\\"dtype\": "
         "1}"},
        {"{\"a\": [\"dtype\", {\"dtype\": 1}], \"dtype\": \"a\\\"b\"}", LOAM_F32,
         "{\"a\": [\"dtype\", {\"dtype\": 1}], \"dtype\": \"float32\"}"},
        {"{\"dtype\": {\"\": \"float16\", \"a\": [\"}\"]}, \"b\": 1}", LOAM_F32,
         "{\"dtype\": \"float32\", \"b\": 1}"},
        {"{\"dtype\": \"float16\", \"torch_dtype\": \"float16\"}", LOAM_BF16,
         "{\"dtype\": \"bfloat16\", \"torch_dtype\": \"bfloat16\"}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loam_bytes out = {0};
        assert_ok(loam_config_set_dtype(&out, cases[i].text, strlen(cases[i].text), cases[i].dtype, &error));
        assert_string_equal(out.data, cases[i].changed);
        loam_bytes_deinit(&out);
    }
}

static void unties_the_head(void **state)
{
    (void)state;
    struct loam_error error;
    static const char *const cases[][2] = {
        {"{\"tie_word_embeddings\": true, \"a\": 1}", "{\"tie_word_embeddings\": false, \"a\": 1}"},
        {"{\"a\": {\"tie_word_embeddings\": true}}",
         "{\n  \"tie_word_embeddings\": false,\"a\": {\"tie_word_embeddings\": true}}"},
        {"{\"tie_word_embeddings\":null}", "{\"tie_word_embeddings\":false}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loam_bytes out = {0};
        assert_ok(loam_config_set_untied(&out, cases[i][0], strlen(cases[i][0]), &error));
        assert_string_equal(out.data, cases[i][1]);
        loam_bytes_deinit(&out);
    }
}

// Cut anywhere, it is read to its end and no further.
static void survives_what_is_cut(void **state)
{
    (void)state;
    struct loam_error error;
    static const char text[] = "{\"a\\\"\": [1, {\"b\": \"c\\\\\"}], \"dtype\" : \"float16\", \"e\": null}";
    for (size_t size = 0; size < sizeof text; size++) {
        char *part = malloc(size + 1);
        assert_non_null(part);
        char *exact = part + 1; // ends where the memory ends
        memcpy(exact, text, size);
        struct loam_bytes out = {0};
        enum loam_status status = loam_config_set_dtype(&out, exact, size, LOAM_BF16, &error);
        assert_true(status == (size == 0 ? LOAM_ERROR_FORMAT : LOAM_OK));
        loam_bytes_deinit(&out);
        free(part);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_the_dtype_alone),
        cmocka_unit_test(unties_the_head),
        cmocka_unit_test(survives_what_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
