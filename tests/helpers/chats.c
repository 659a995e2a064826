#include "helpers/chats.h"

#include "test.h"

#include "helpers/byte_tokenizer.h"

static struct loam_error error;

json_t *test_chat_json(const char *text)
{
    char *copy = strdup(text);
    assert_non_null(copy);
    for (char *at = copy; *at != '\0'; at++)
        if (*at == '\'') *at = '"';
    json_error_t problem;
    json_t *root = json_loads(copy, 0, &problem);
    if (root == NULL) fail_msg("%s: %s", text, problem.text);
    free(copy);
    return root;
}

struct loam_chat_source test_chat_source(const char *text, const char *variables)
{
    struct loam_chat_source source = {0};
    assert_ok(loam_chat_template_parse(&source.chat_template, text, strlen(text), "test.jinja", &error));
    if (variables != NULL) source.variables = test_chat_json(variables);
    return source;
}

static void append_token(struct loam_bytes *text, int32_t id)
{
    const char byte = (char)(id - TEST_BYTE);
    if (id < TEST_BYTE)
        assert_ok(loam_bytes_format(text, &error, "^%c", "UBEP"[id]));
    else if (id == TEST_LINE_BREAK_Z)
        assert_ok(loam_bytes_append_text(text, "\nz", &error));
    else
        assert_ok(loam_bytes_append(text, &byte, 1, &error));
}

char *test_chat_describe(const struct loam_example *example)
{
    struct loam_bytes text = {0};
    bool learnt = false;
    assert_ok(loam_bytes_reserve(&text, 0, &error));
    for (int32_t i = 0; i <= example->count; i++) {
        const bool next = i < example->count && example->weights[i] > 0;
        if (next != learnt) assert_ok(loam_bytes_append_text(&text, next ? "{" : "}", &error));
        learnt = next;
        if (i < example->count) append_token(&text, example->ids[i]);
    }
    return text.data;
}
