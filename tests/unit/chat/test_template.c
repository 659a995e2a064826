// The template interpreter: text, provenance and refusals. The expected texts are jinja2's.
#include "chat/template.h"

#include "base/json.h"
#include "test.h"

struct rendered {
    struct loam_chat_rendering rendering;
    struct loam_error error;
    enum loam_status status;
};

// Renders a template with `document`, an object with "messages" and other inputs.
static void render(struct rendered *rendered, const char *text, const char *document)
{
    struct loam_chat_template *chat_template;
    json_t *root;
    *rendered = (struct rendered){0};
    rendered->status = loam_chat_template_parse(&chat_template, text, strlen(text), "T", &rendered->error);
    if (rendered->status != LOAM_OK) return;
    struct loam_error error;
    assert_ok(loam_json_parse(&root, document, strlen(document), "input", &error));
    struct loam_chat_input input = {
        .messages = json_object_get(root, "messages"),
        .tools = json_object_get(root, "tools"),
        .variables = json_object_get(root, "variables"),
        .add_generation_prompt = json_is_true(json_object_get(root, "prompt")),
        .now = {.tm_year = 126, .tm_mon = 2, .tm_mday = 9, .tm_wday = 1, .tm_hour = 14},
    };
    rendered->status =
        loam_chat_template_render(chat_template, &input, &rendered->rendering, &rendered->error);
    loam_chat_template_destroy(chat_template);
    // Fields and roles point into the input, so spans are compared before it is released.
    json_decref(root);
}

static const char conversation[] = "{\"messages\": [{\"role\": \"user\", \"content\": \" Hi <b>\"}, "
                                   "{\"role\": \"assistant\", \"content\": \"Yes\"}],"
                                   " \"variables\": {\"bos_token\": \"<s>\", \"n\": 3, \"s\": \"Some Text\", "
                                   "\"l\": [3, 1, 2], \"d\": {\"k\": \"v\", \"j\": "
                                   "[1, null, true, 0.5]}}}";

static void check(const char *text, const char *expected)
{
    struct rendered rendered;
    render(&rendered, text, conversation);
    if (rendered.status != LOAM_OK) fail_msg("%s: %s", text, rendered.error.message);
    assert_string_equal(rendered.rendering.text.data == NULL ? "" : rendered.rendering.text.data, expected);
    loam_chat_rendering_deinit(&rendered.rendering);
}

static void check_fails(const char *text, const char *message)
{
    struct rendered rendered;
    render(&rendered, text, conversation);
    if (rendered.status == LOAM_OK) fail_msg("%s renders \"%s\"", text, rendered.rendering.text.data);
    assert_non_null(strstr(rendered.error.message, message));
    loam_chat_rendering_deinit(&rendered.rendering);
}

static void test_white_space(void **state)
{
    (void)state;
    check("a\n{% if true %}\n b\n{% endif %}\nc\n", "a\n b\nc");
    check("a \n  {%- if true -%}\n b {%- endif %} c", "ab c");
    check("  {%+ if true %}x{% endif +%}\ny", "  x\ny");
    check("  {% set x = 1 %}\n{{ x }}\r\n\r\n", "1\n");
    check("a\n  {# note #}\nb {#- x -#} c", "a\nbc");
    check("{% raw %}{{ x }}{% endraw %}\n{%- raw -%} {% y %} {%- endraw %}", "{{ x }}{% y %}");
    check(" {{- 1 -}} ", "1");
}

static void test_expressions(void **state)
{
    (void)state;
    check("{{ 1 + 2 * 3 ** 2 }} {{ 7 // -2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** -1 }}", "19 -4 2 3.5 0.5");
    check("{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 1 == 1.0 == true }} {{ 'a' ~ 1 ~ none }}",
          "True False True a1None");
    check("{{ not false and 0 or 'x' }} {{ 'a' in 'cat' }} {{ 4 not in l }} {{ 'k' in d }}",
          "x True True True");
    check("{{ s[::-1] }} {{ s[-4:] }} {{ s[1:8:3] }} {{ l[:-1] }} {{ s[99] }}", "txeT emoS Text o x [3, 1] ");
    check("{{ 'x' if n > 5 }}|{{ 'x' if n > 2 else 'y' }}", "|x");
    check("{{ 1e16 }} {{ 0.1 + 0.2 }} {{ 1.0 }} {{ 1e-5 }} {{ 123456.789e3 }}",
          "1e+16 0.30000000000000004 1.0 1e-05 123456789.0");
    check("{{ d }} {{ (1,) }} {{ [] }} {{ \"it's\" }} {{ [\"it's\", 'a\"b', '\\n\\t\\x07é\\u200b'] }}",
          "{'k': 'v', 'j': [1, None, True, 0.5]} (1,) [] it's [\"it's\", 'a\"b', '\\n\\t\\x07é\\u200b']");
    check("{{ '%s is %05.1f|%-4d|%x' % ('a', 2.25, 7, 255) }} {{ '{:>5}|{0!r}' }} {{ '{:>4}{x[k]}'.format(1, "
          "x=d) }}",
          "a is 002.2|7   |ff {:>5}|{0!r}    1v");
    check("{{ range(3) }} {{ range(5, 0, -2) | list }} {{ d.items() }} {{ d.keys() | list }}",
          "range(0, 3) [5, 3, 1] dict_items([('k', 'v'), ('j', [1, None, True, 0.5])]) ['k', 'j']");
}

static void test_statements(void **state)
{
    (void)state;
    check("{% for x in l if x > 1 %}{{ loop.index }}{{ loop.last }}{{ x }},{% else %}none{% endfor %}",
          "1False3,2True2,");
    check("{% for x in [] %}{% else %}none{% endfor %}", "none");
    check("{% for a, b in d.items() %}{{ a }}{{ loop.previtem }}{% endfor %}", "kj('k', 'v')");
    check("{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% if x == 2 %}{% break %}{% endif "
          "%}{% endfor %}",
          "32");
    check("{% set x = 1 %}{% for i in l %}{% set x = x + i %}{% endfor %}{{ x }}", "1");
    check("{% set ns = namespace(x=1) %}{% for i in l %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}",
          "7");
    check("{% set a, b = (1, 2) %}{{ a }}{{ b }}{% set t | upper %}x{{ a }}{% endset %}{{ t }}", "12X1");
    check("{% macro m(a, b='z', c=a) %}[{{ a }}{{ b }}{{ c }}{{ varargs }}]{% endmacro %}{{ m(1) }}{{ m(1, "
          "c=2, b=3) }}",
          "[1z1()][132()]");
    check("{% macro m() %}<{{ caller(5) }}>{% endmacro %}{% call(x) m() %}{{ x }}{{ s }}{% endcall %}",
          "<5Some Text>");
    check(
        "{% filter upper %}a{{ s }}{% endfilter %}{% with x = 2, y = n %}{{ x }}{{ y }}{% endwith %}{{ x }}",
        "ASOME TEXT23");
    check("{% if false %}{% elif n == 3 %}three{% else %}other{% endif %}", "three");
    check("{{ tools is none }}{% if tools %}{% endif %}{% for m in messages %}{{ m.role[0] }}{% endfor %}",
          "Trueua");
}

static void test_scopes(void **state)
{
    (void)state;
    check("{% if false %}{% set s = 1 %}{% endif %}{{ s }}", "Some Text"); // the variable of the caller
    check("{% for i in l %}{{ s }}{% endfor %}{% set s = 1 %}", "");       // set later: not yet in the loop
    check("{% for i in l %}{% if i == 1 %}{% set s = i %}{% endif %}{{ s }} {% endfor %}",
          "Some Text 1 Some Text ");
    check("{% macro m() %}{{ x }}{% endmacro %}{% set x = 5 %}{{ m() }}", "5"); // late binding
    check("{% set x = 1 %}{% macro m() %}{% set x = 2 %}{{ x }}{% endmacro %}{{ m() }}{{ x }}", "21");
}

static void test_filters(void **state)
{
    (void)state;
    check("{{ d | tojson }} {{ d | tojson(indent=2) }}",
          "{\"k\": \"v\", \"j\": [1, null, true, 0.5]} {\n  \"k\": \"v\",\n  \"j\": [\n    1,\n    null,\n   "
          " true,\n    0.5\n  ]\n}");
    check("{{ {'b': 'é<\"\\u0001', 1: none} | tojson }} {{ {'b': 'é'} | tojson(ensure_ascii=true, "
          "separators=(',', ':')) }}",
          "{\"b\": \"é<\\\"\\u0001\", \"1\": null} {\"b\":\"\\u00e9\"}");
    check("{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | list }}",
          "[' Hi <b>']");
    check("{{ l | sort }} {{ l | max }} {{ l | sum }} {{ l | reverse | list }} {{ l | join('-') }} {{ l | "
          "first }}{{ l | last }}",
          "[1, 2, 3] 3 6 [2, 1, 3] 3-1-2 32");
    check("{{ missing | default('x') }} {{ '' | default('y', true) }} {{ s | length }} {{ '42.7' | int }} {{ "
          "'z' | int(5) }}",
          "x y 9 42 5");
    check("{{ 'a\nb' | indent(2, true) }} {{ s | replace('e', '3') }} {{ ' x ' | trim }} {{ 'straße' | upper "
          "}} {{ 'ΑΣ' | lower }}",
          "  a\n  b Som3 T3xt x STRASSE ας");
    check("{{ '<a>' | escape + '<b>' }} {{ ('<a>' | safe) ~ '<b>' }}", "&lt;a&gt;&lt;b&gt; <a><b>");
    check("{{ [{'a': 'x', 'b': 1}, {'a': 'X', 'b': 2}] | groupby('a') | map(attribute='list') | "
          "map('length') | list }}",
          "[2]");
    check("{{ strftime_now('%d %B %Y, %H') }}", "09 March 2026, 14");
}

static void test_refusals(void **state)
{
    (void)state;
    check_fails("{{ 1 }}\n{{ raise_exception('No ' ~ s) }}",
                "T, line 2, refuses the conversation: No Some Text");
    check_fails("\n{{ missing.x }}", "T, line 2, in \"missing.x\": 'missing' is undefined");
    check_fails("{{ d.x + 1 }}", "'dict object' has no attribute 'x'");
    check_fails("{{ l.append(1) }}", "access to attribute 'append' of 'list' object is unsafe.");
    check_fails("{{ s.__class__.__name__ }}", "access to attribute '__class__' of 'str' object is unsafe.");
    check_fails("{{ 1 + 'a' }}", "unsupported operand type(s) for +: 'int' and 'str'");
    check_fails("{{ x | nosuch }}", "T, line 1: No filter named 'nosuch'.");
    check_fails("{% for x in l recursive %}{% endfor %}", "loam has no recursive loops");
    check_fails("{% include 'x' %}", "loam has no {% include %}");
    check_fails("a\n{% if x %}", "T, line 2: Unexpected end of template.");
    check_fails("{{ (1 }}", "unexpected '}', expected ')'");
    check_fails("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "nests more than");
    check_fails("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
                "takes too many steps");
    check_fails(
        "{% set ns = namespace(x='ab') %}{% for i in range(40) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "");
    check_fails("{{ 'x' * 2000000000 }}", "");
}

static void test_provenance(void **state)
{
    (void)state;
    static const char text[] = "{{ bos_token }}{% for m in messages %}<{{ m['role'] }}>{% generation %}{{ "
                               "(m.content + '!') | trim | "
                               "replace('H', 'J') }}{% endgeneration %}{% endfor %}";
    struct loam_chat_template *chat_template;
    struct loam_chat_rendering rendering = {0};
    struct loam_error error;
    json_t *root;
    assert_ok(loam_json_parse(&root, conversation, strlen(conversation), "input", &error));
    assert_ok(loam_chat_template_parse(&chat_template, text, strlen(text), "T", &error));
    assert_true(loam_chat_template_has_generation(chat_template));
    struct loam_chat_input input = {.messages = json_object_get(root, "messages"),
                                    .variables = json_object_get(root, "variables")};
    assert_ok(loam_chat_template_render(chat_template, &input, &rendering, &error));
    assert_string_equal(rendering.text.data, "<s><user>Ji <b>!<assistant>Yes!");
    static const struct {
        size_t end;
        int message;
        const char *field, *role;
        bool generated;
    } expected[] = {
        {4, -1, NULL, NULL, false},       {8, 0, "role", "user", false},
        {9, -1, NULL, NULL, false},       {10, -1, NULL, NULL, true},
        {15, 0, "content", "user", true}, {16, -1, NULL, NULL, true},
        {17, -1, NULL, NULL, false},      {26, 1, "role", "assistant", false},
        {27, -1, NULL, NULL, false},      {30, 1, "content", "assistant", true},
        {31, -1, NULL, NULL, true},
    };
    assert_int_equal(rendering.span_count, sizeof expected / sizeof expected[0]);
    for (size_t i = 0; i < rendering.span_count; i++) {
        const struct loam_chat_span *span = &rendering.spans[i];
        assert_int_equal(span->end, expected[i].end);
        assert_int_equal(span->message, expected[i].message);
        assert_int_equal(span->is_input, expected[i].message >= 0);
        assert_int_equal(span->is_generated, expected[i].generated);
        if (expected[i].field == NULL) {
            assert_null(span->field);
        } else {
            assert_string_equal(span->field, expected[i].field);
            assert_string_equal(span->role, expected[i].role);
        }
    }
    loam_chat_rendering_deinit(&rendering);
    loam_chat_template_destroy(chat_template);
    json_decref(root);
}

static void test_reasoning(void **state)
{
    (void)state;
    struct rendered rendered;
    render(&rendered,
           "{% for m in messages %}{{ m.thinking }}|{{ m.reasoning_content }}|{{ m | list }}{% endfor %}",
           "{\"messages\": [{\"role\": \"assistant\", \"reasoning\": \"why\"}]}");
    assert_string_equal(rendered.rendering.text.data,
                        "why|why|['thinking', 'role', 'reasoning', 'reasoning_content']");
    loam_chat_rendering_deinit(&rendered.rendering);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_white_space), cmocka_unit_test(test_expressions),
        cmocka_unit_test(test_statements),  cmocka_unit_test(test_scopes),
        cmocka_unit_test(test_filters),     cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_provenance),  cmocka_unit_test(test_reasoning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
