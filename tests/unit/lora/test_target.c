// Target matching. The expectations of the table are the results of PEFT's check_target_module_exists.
#include "test.h"

#include "lora/target.h"

static const char qkv[] = "transformer.h.0.self_attention.query_key_value";
static const char dense[] = "transformer.h.11.self_attention.dense";
static const char up[] = "transformer.h.1.mlp.dense_h_to_4h";

static void names_and_patterns(void **state)
{
    (void)state;
    static const struct {
        const char *targets;
        const char *path;
        bool matches;
    } cases[] = {
        {"query_key_value", qkv, true},
        {"query_key_value", "query_key_value", true},
        {"query_key_value", dense, false},
        {"key_value", qkv, false}, // part of a name does not match
        {"self_attention.dense", dense, true},
        {"attention.dense", dense, false},
        {"dense", dense, true},
        {"dense", up, false},
        {"dense,query_key_value", qkv, true},
        {" dense , query_key_value ", dense, true},
        {"transformer.h.0.self_attention.query_key_value", qkv, true},
        {"h.0.self_attention.query_key_value", qkv, true},
        {"h.1.self_attention.dense", dense, false}, // "h.11" does not end in ".h.1..."
        {"all-linear", qkv, true},
        {"All-Linear", up, true},
        {".*query_key_value", qkv, true},
        {"query_key_value$", qkv, false}, // an expression must match the whole path
        {".*\\.(query_key_value|dense)", qkv, true},
        {".*\\.(query_key_value|dense)", dense, true},
        {".*\\.(query_key_value|dense)", up, false},
        {".*dense|.*dense_h_to_4h", up, true}, // the first alternative matches a part, the second all
        {".*h\\.[0-9]\\..*", qkv, true},
        {".*h\\.[0-9]\\..*", dense, false},
        {".*\\.h\\.\\d+\\.mlp\\.\\w+", up, true},
        {"(?i).*QUERY_KEY_VALUE", qkv, true},
        {"(?P<name>.*)dense", dense, true},
        {"^.*dense$", dense, true},
        {".*(?<!attention)\\.dense", dense, false},
        {".+", "", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loam_error error;
        struct loam_targets targets;
        bool matches = !cases[i].matches;
        assert_ok(loam_targets_parse(&targets, cases[i].targets, &error));
        assert_ok(loam_targets_match(&targets, cases[i].path, &matches, &error));
        if (matches != cases[i].matches)
            fail_msg("\"%s\" on \"%s\": %d", cases[i].targets, cases[i].path, matches);
        loam_targets_deinit(&targets);
    }
}

static void lists_are_sorted_sets(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_targets targets;
    struct loam_bytes text = {0};
    assert_ok(loam_targets_parse(&targets, "v_proj,q_proj,v_proj,k_proj", &error));
    assert_int_equal(targets.kind, LOAM_TARGET_LIST);
    assert_ok(loam_targets_describe(&targets, &text, &error));
    assert_string_equal(text.data, "k_proj, q_proj, v_proj");
    loam_bytes_deinit(&text);
    loam_targets_deinit(&targets);
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        const char *targets;
        const char *message;
    } cases[] = {
        {"", "empty name"},         {"a,,b", "empty name"}, {"a,", "empty name"},
        {" ", "empty name"},        {"(dense", "(dense"},   {"dense)", "dense)"},
        {"a)|(b", "not a regular"}, {"*dense", "*dense"},   {"[a", "not a regular"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loam_error error;
        struct loam_targets targets;
        assert_fails(loam_targets_parse(&targets, cases[i].targets, &error), LOAM_ERROR_ARGUMENT,
                     cases[i].message);
    }
}

// A pattern that backtracks exponentially fails at the limit of steps.
static void explosion(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_targets targets;
    bool matches;
    assert_ok(loam_targets_parse(&targets, "(a|aa|aaa)*b", &error));
    assert_fails(loam_targets_match(&targets,
                                    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac",
                                    &matches, &error),
                 LOAM_ERROR_ARGUMENT, "matching");
    loam_targets_deinit(&targets);
}

// A pattern whose backtracking stack keeps growing fails at the limit of the stack.
static void growth(void **state)
{
    (void)state;
    enum { TIMES = 4096 };
    struct loam_error error;
    struct loam_targets targets;
    bool matches;
    char *pattern = calloc(1, 6 * TIMES + sizeof "(?:a)*");
    assert_non_null(pattern);
    strcpy(pattern, "(?:a");
    for (int i = 0; i < TIMES; i++)
        memcpy(pattern + 4 + 6 * i, "(?:|b)", 6);
    memcpy(pattern + 4 + 6 * TIMES, ")*", 2);
    assert_ok(loam_targets_parse(&targets, pattern, &error));
    assert_ok(loam_targets_match(&targets, "aaaaaaaa", &matches, &error));
    assert_true(matches);
    assert_fails(loam_targets_match(&targets, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", &matches, &error),
                 LOAM_ERROR_ARGUMENT, "match-stack limit over");
    free(pattern);
    loam_targets_deinit(&targets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_patterns),
        cmocka_unit_test(lists_are_sorted_sets),
        cmocka_unit_test(refusals),
        cmocka_unit_test(explosion),
        cmocka_unit_test(growth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
