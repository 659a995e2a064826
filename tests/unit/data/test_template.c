#include "test.h"

#include "data/template.h"

static struct loam_error error;

static struct loam_template *parsed(const char *text)
{
    struct loam_template *made = NULL;
    assert_ok(loam_template_parse(&made, text, strlen(text), "test", &error));
    return made;
}

// Special tokens with this text of EOS; NULL: no EOS.
static const struct loam_special_tokens *ending(const char *eos_text)
{
    static struct loam_special_tokens special;
    special = (struct loam_special_tokens){.bos = -1, .eos = 2, .eos_text = eos_text};
    return eos_text != NULL ? &special : NULL;
}

static struct loam_field field(const char *name, const char *value)
{
    return (struct loam_field){name, value, strlen(value)};
}

static const struct loam_field *squad_fields(void)
{
    static struct loam_field fields[3];
    fields[0] = field("answer", "cheese");
    fields[1] = field("context", "Cheese is the best food.");
    fields[2] = field("question", "What is the best food?");
    return fields;
}

static void test_squad_prompt_is_exact(void **state)
{
    (void)state;
    struct loam_template *squad = NULL;
    struct loam_rendered out = {0};
    assert_ok(loam_template_open(&squad, "squad", &error));
    assert_ok(loam_template_render(squad, squad_fields(), 3, ending("</s>"), false, &out, &error));
    assert_string_equal(out.text.data,
                        "### CONTEXT\nCheese is the best food.\n\n### QUESTION\nWhat is the best "
                        "food?\n\n### ANSWER\ncheese</s>");
    assert_int_equal(out.text.size, strlen(out.text.data));
    assert_int_equal(out.context_start, strlen("### CONTEXT\n"));
    assert_int_equal(out.context_end, strlen("### CONTEXT\nCheese is the best food."));
    assert_string_equal(out.text.data + out.completion_start, "cheese</s>");

    // The prompt for generation is everything before the answer, which need not exist.
    assert_ok(loam_template_render(squad, squad_fields() + 1, 2, ending("</s>"), true, &out, &error));
    assert_string_equal(
        out.text.data,
        "### CONTEXT\nCheese is the best food.\n\n### QUESTION\nWhat is the best food?\n\n### ANSWER\n");
    assert_int_equal(out.completion_start, out.text.size);

    assert_int_equal(loam_template_field_count(squad), 3);
    assert_int_equal(loam_template_prompt_field_count(squad), 2);
    assert_string_equal(loam_template_field_name(squad, 0), "context");
    assert_string_equal(loam_template_field_name(squad, 1), "question");
    assert_string_equal(loam_template_field_name(squad, 2), "answer");
    loam_rendered_deinit(&out);
    loam_template_destroy(squad);
}

static void test_renders(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *eos;
        const char *expected;
        size_t completion_start;
        size_t context_start;
        size_t context_end;
    } cases[] = {
        {"{a}", NULL, "AAA", 0, 0, 3},
        {"{a}{b}", NULL, "AAABB", 3, 0, 3},
        {"{b}{a}{b}{eos}", "<e>", "BBAAABB<e>", 5, 2, 5},
        {"{eos}x{a}", "<e>", "<e>xAAA", 4, 4, 7},
        {"{eos}{a}{eos}", NULL, "AAA", 0, 0, 3},
        {"{{{a}}}", NULL, "{AAA}", 1, 1, 4},
        {"{{a}} {a}", NULL, "{a} AAA", 4, 4, 7},
        {"{{}}{a}", NULL, "{}AAA", 2, 2, 5},
        {"{{\"k\": \"{a}\"}}\n", NULL, "{\"k\": \"AAA\"}\n", 7, 7, 10},
        {"{empty}-{b}", NULL, "-BB", 1, 0, 0},
        {"{b}{empty}", NULL, "BB", 2, 0, 2},
        {"{x-1.y_Z}|{f\xC3\xBC}", NULL, "punct|umlaut", 6, 0, 5},
    };
    // Braces and placeholders in a value are text.
    const struct loam_field fields[] = {field("a", "AAA"),
                                        field("b", "BB"),
                                        field("empty", ""),
                                        field("x-1.y_Z", "punct"),
                                        field("f\xC3\xBC", "umlaut"),
                                        field("odd", "{a}{eos}}}")};
    struct loam_rendered out = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loam_template *made = parsed(cases[i].text);
        assert_ok(loam_template_render(made, fields, 6, ending(cases[i].eos), false, &out, &error));
        assert_string_equal(out.text.data, cases[i].expected);
        assert_int_equal(out.completion_start, cases[i].completion_start);
        assert_int_equal(out.context_start, cases[i].context_start);
        assert_int_equal(out.context_end, cases[i].context_end);
        loam_template_destroy(made);
    }
    struct loam_template *made = parsed("<{odd}>");
    assert_ok(loam_template_render(made, fields, 6, ending("<e>"), false, &out, &error));
    assert_string_equal(out.text.data, "<{a}{eos}}}>");
    // A single field is the completion; the prompt is the text before it.
    assert_ok(loam_template_render(made, NULL, 0, ending("<e>"), true, &out, &error));
    assert_string_equal(out.text.data, "<");
    loam_template_destroy(made);
    made = parsed("{odd}");
    assert_int_equal(loam_template_prompt_field_count(made), 0);
    assert_ok(loam_template_render(made, NULL, 0, NULL, true, &out, &error));
    assert_int_equal(out.text.size, 0);
    assert_string_equal(out.text.data, "");
    loam_template_destroy(made);
    made = parsed("{b}{a}{b}"); // the field of the completion also occurs in the prompt
    assert_int_equal(loam_template_prompt_field_count(made), 2);
    loam_template_destroy(made);
    loam_rendered_deinit(&out);
}

static void test_bad_templates(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"", "template test has no field"},
        {"no field{eos}", "has no field"},
        {"{{question}}", "has no field"},
        {"one\ntwo {question", "template test, line 2: '{'"},
        {"{", "line 1: '{'"},
        {"{}{a}", "line 1: '{'"},
        {"{a b}", "line 1: '{'"},
        {"{a\n}", "line 1: '{'"},
        {"{\"json\": \"{a}\"}", "write {{ for a brace"},
        {"{a}}", "line 1: '}' without a placeholder; write }} for a brace"},
        {"{a}\n\n}", "line 3: '}'"},
        {"}}}{a}", "line 1: '}'"},
        {"{a}\xFF", "template test is not UTF-8 text"},
        {"{a}\xC3", "is not UTF-8 text"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loam_template *made = NULL;
        assert_fails(loam_template_parse(&made, cases[i].text, strlen(cases[i].text), "test", &error),
                     LOAM_ERROR_FORMAT, cases[i].message);
        assert_null(made);
    }
    struct loam_template *made = NULL;
    assert_fails(loam_template_parse(&made, "{a}\0", 4, "test", &error), LOAM_ERROR_FORMAT,
                 "is not UTF-8 text");
}

// 1024 fields are read, one more is refused. A repeated name does not count.
static void test_many_fields(void **state)
{
    (void)state;
    struct loam_bytes text = {0};
    for (int i = 0; i < 1024; i++)
        assert_ok(loam_bytes_format(&text, &error, "{f%d}", i));
    assert_ok(loam_bytes_append_text(&text, "{f0}", &error));
    struct loam_template *made = parsed(text.data);
    assert_int_equal(loam_template_field_count(made), 1024);
    loam_template_destroy(made);
    assert_ok(loam_bytes_append_text(&text, "{g}", &error));
    assert_fails(loam_template_parse(&made, text.data, text.size, "test", &error), LOAM_ERROR_FORMAT,
                 "template test names more than 1024 fields");
    loam_bytes_deinit(&text);
}

static void test_unknown_field(void **state)
{
    (void)state;
    struct loam_template *made = parsed("{context} {topic}");
    struct loam_rendered out = {0};
    assert_fails(loam_template_render(made, squad_fields(), 3, NULL, false, &out, &error), LOAM_ERROR_FORMAT,
                 "no field \"topic\", which the template names; the fields are: answer, context, question");
    assert_fails(loam_template_render(made, NULL, 0, NULL, false, &out, &error), LOAM_ERROR_FORMAT,
                 "no field \"context\", which the template names; the fields are: none");
    loam_rendered_deinit(&out);
    loam_template_destroy(made);
}

static void test_files(void **state)
{
    (void)state;
    static const struct {
        const char *contents;
        const char *expected;
    } cases[] = {
        {"Q: {q}\nA: {a}{eos}\n", "Q: 1\nA: 2#"}, {"Q: {q}\nA: {a}{eos}\r\n", "Q: 1\nA: 2#"},
        {"Q: {q}\nA: {a}\n\n", "Q: 1\nA: 2\n"},   {"{q}{a}", "12"},
        {"\xEF\xBB\xBF{q}{a}\r\n", "12"},         {"Q: {q}\r\n\r\nA: {a}\r{eos}\r\n", "Q: 1\n\nA: 2\r#"},
    };
    char directory[256];
    char path[300];
    assert_non_null(test_make_directory(directory));
    snprintf(path, sizeof path, "%s/prompt.txt", directory);
    const struct loam_field fields[] = {field("q", "1"), field("a", "2")};
    struct loam_template *made = NULL;
    struct loam_rendered out = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        test_write_file(path, cases[i].contents, strlen(cases[i].contents));
        assert_ok(loam_template_open(&made, path, &error));
        assert_ok(loam_template_render(made, fields, 2, ending("#"), false, &out, &error));
        assert_string_equal(out.text.data, cases[i].expected);
        loam_template_destroy(made);
    }
    test_write_file(path, "", 0);
    assert_fails(loam_template_open(&made, path, &error), LOAM_ERROR_FORMAT, "prompt.txt has no field");
    assert_fails(loam_template_open(&made, directory, &error), LOAM_ERROR_IO,
                 "is neither a file nor built in");
    assert_fails(loam_template_open(&made, "squid", &error), LOAM_ERROR_IO,
                 "template squid is neither a file nor built in: expected \"squad\"");
    assert_null(made);
    loam_rendered_deinit(&out);
    test_remove_directory(directory);
}

// A field that occurs often makes the text too long.
static void test_size_is_bounded(void **state)
{
    (void)state;
    struct loam_template *made = parsed("{q}{q}{q}");
    struct loam_rendered out = {0};
    enum { THIRD = LOAM_TEXT_LIMIT / 3 };
    char *value = malloc(THIRD + 1);
    assert_non_null(value);
    memset(value, 'x', THIRD + 1);
    struct loam_field whole = {"q", value, THIRD};
    assert_ok(loam_template_render(made, &whole, 1, NULL, false, &out, &error));
    struct loam_field larger = {"q", value, THIRD + 1};
    assert_fails(loam_template_render(made, &larger, 1, NULL, false, &out, &error), LOAM_ERROR_FORMAT,
                 "with field \"q\" the text has more than 16777216 bytes");
    free(value);
    loam_rendered_deinit(&out);
    loam_template_destroy(made);
}

// Many {eos}, or a long text of the template, make the text too long.
static void test_texts_of_the_template_are_bounded(void **state)
{
    (void)state;
    enum { TIMES = 4096, LONG = LOAM_TEXT_LIMIT / TIMES };
    static char text[5 * TIMES + sizeof "{q}x"];
    static char eos[LONG + 2]; // zeroed, so that it is NUL-terminated
    for (int i = 0; i < TIMES; i++)
        memcpy(text + 5 * i, "{eos}", 5);
    memcpy(text + 5 * TIMES, "{q}x", sizeof "{q}x");
    struct loam_template *made = parsed(text);
    struct loam_field empty = {"q", "", 0};
    struct loam_rendered out = {0};
    memset(eos, 'x', LONG - 1);
    assert_ok(loam_template_render(made, &empty, 1, ending(eos), false, &out, &error));
    assert_int_equal(out.text.size, LOAM_TEXT_LIMIT - TIMES + 1);
    for (int size = LONG; size <= LONG + 1; size++) {
        eos[size - 1] = 'x';
        assert_fails(loam_template_render(made, &empty, 1, ending(eos), false, &out, &error),
                     LOAM_ERROR_FORMAT, "the text of the template has more than 16777216 bytes");
    }
    loam_rendered_deinit(&out);
    loam_template_destroy(made);
}

// A chosen field is cut instead of the longest one, at its longest place, and never the completion.
static void test_cut_field(void **state)
{
    (void)state;
    const struct loam_field fields[] = {field("a", "AAA"), field("b", "BB"), field("c", "CCCC")};
    struct loam_template *made = parsed("{b} {a} {b}={c}");
    struct loam_rendered out = {0};
    assert_ok(loam_template_choose_cut(made, "b", &error));
    assert_ok(loam_template_render(made, fields, 3, NULL, false, &out, &error));
    assert_string_equal(out.text.data, "BB AAA BB=CCCC");
    assert_int_equal(out.context_start, 0);
    assert_int_equal(out.context_end, 2);
    assert_ok(loam_template_choose_cut(made, "a", &error));
    assert_ok(loam_template_render(made, fields, 3, NULL, true, &out, &error));
    assert_int_equal(out.context_start, 3);
    assert_int_equal(out.context_end, 6);
    assert_fails(
        loam_template_choose_cut(made, "c", &error), LOAM_ERROR_USAGE,
        "--cut c: the template has no such field before its last one, which is never cut; these are: b, a");
    loam_template_destroy(made);
    made = parsed("{c}");
    assert_fails(loam_template_choose_cut(made, "c", &error), LOAM_ERROR_USAGE, "these are: none");
    loam_template_destroy(made);
    loam_rendered_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_squad_prompt_is_exact),
        cmocka_unit_test(test_renders),
        cmocka_unit_test(test_bad_templates),
        cmocka_unit_test(test_many_fields),
        cmocka_unit_test(test_unknown_field),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_cut_field),
        cmocka_unit_test(test_size_is_bounded),
        cmocka_unit_test(test_texts_of_the_template_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
