// Templates that jinja2 rendered (tests/parity/make_chat_goldens.py): loam renders the same text, or refuses with the same
// words.
#include "chat/template.h"

#include "base/json.h"
#include "base/json_read.h"
#include "test.h"

static struct tm read_time(const json_t *now)
{
    struct tm time = {.tm_isdst = -1};
    int *const fields[] = {&time.tm_year, &time.tm_mon, &time.tm_mday,
                           &time.tm_hour, &time.tm_min, &time.tm_sec};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        *fields[i] = (int)json_integer_value(json_array_get(now, i)) - (i == 0 ? 1900 : i == 1);
    mktime(&time);
    return time;
}

static void check_text(const json_t *golden, const struct loam_chat_rendering *rendering)
{
    const json_t *generated = json_object_get(golden, "generated");
    assert_string_equal(rendering->text.data == NULL ? "" : rendering->text.data,
                        json_string_value(json_object_get(golden, "text")));
    char *marked = calloc(rendering->text.size + 1, 1);
    assert_non_null(marked);
    size_t size = 0, start = 0;
    for (size_t i = 0; i < rendering->span_count; i++) {
        size_t end = rendering->spans[i].end;
        if (rendering->spans[i].is_generated) {
            memcpy(marked + size, rendering->text.data + start, end - start);
            size += end - start;
        }
        start = end;
    }
    assert_int_equal(start, rendering->text.size);
    assert_string_equal(marked, generated == NULL ? "" : json_string_value(generated));
    free(marked);
}

static void check_golden(const json_t *golden)
{
    struct loam_error error = {0};
    struct loam_chat_template *chat_template;
    struct loam_chat_rendering rendering = {0};
    const json_t *text = json_object_get(golden, "template");
    struct loam_chat_input input = {
        .messages = json_object_get(golden, "messages"),
        .tools = json_object_get(golden, "tools"),
        .variables = json_object_get(golden, "variables"),
        .add_generation_prompt = json_is_true(json_object_get(golden, "add_generation_prompt")),
        .now = read_time(json_object_get(golden, "now")),
    };
    assert_ok(loam_chat_template_parse(&chat_template, json_string_value(text), json_string_length(text),
                                       "golden", &error));
    enum loam_status status = loam_chat_template_render(chat_template, &input, &rendering, &error);
    const char *fails = json_string_value(json_object_get(golden, "fails"));
    const char *name = json_string_value(json_object_get(golden, "name"));
    if (fails == NULL) {
        if (status != LOAM_OK) fail_msg("%s: %s", name, error.message);
        print_message("%s\n", name);
        check_text(golden, &rendering);
    } else {
        if (status == LOAM_OK) fail_msg("%s: renders \"%s\", expected: %s", name, rendering.text.data, fails);
        if (strstr(error.message, fails) == NULL)
            fail_msg("%s: \"%s\", expected \"%s\"", name, error.message, fails);
    }
    loam_chat_rendering_deinit(&rendering);
    loam_chat_template_destroy(chat_template);
}

static void test_goldens(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_bytes text = {0};
    FILE *file = fopen(LOAM_TESTS "/parity/goldens/chat.json", "rb");
    assert_non_null(file);
    for (char block[4096]; !feof(file);)
        assert_ok(loam_bytes_append(&text, block, fread(block, 1, sizeof block, file), &error));
    fclose(file);
    json_t *goldens = loam_json_read(text.data, text.size, "chat.json", &error);
    assert_non_null(goldens);
    assert_true(json_array_size(goldens) > 100);
    for (size_t i = 0; i < json_array_size(goldens); i++)
        check_golden(json_array_get(goldens, i));
    json_decref(goldens);
    loam_bytes_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_goldens)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
