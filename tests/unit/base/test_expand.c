// Paths with "~" and variables. The expected values come from Python 3.11,
// os.path.expandvars(os.path.expanduser(path)), with the variables below.
#include "test.h"

#include "base/expand.h"

static const char *const variables[][2] = {
    {"HOME", "/home/me/"}, {"A", "a"}, {"EMPTY", ""}, {"NESTED", "$A"}, {"D", "/d"},
};

static void assert_expands(const char *path, const char *expected)
{
    struct loam_error error;
    char *expanded = loam_path_expand(path, &error);
    assert_non_null(expanded);
    if (strcmp(expanded, expected) != 0) fail_msg("%s: %s, expected %s", path, expanded, expected);
    free(expanded);
}

static void paths_expand_as_in_python(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", ""},
        {"/plain/path", "/plain/path"},
        {"$HOME/tok", "/home/me//tok"},
        {"${HOME}/tok", "/home/me//tok"},
        {"~", "/home/me"},
        {"~/x", "/home/me/x"},
        {"~nouser_x/y", "~nouser_x/y"},
        {"x/~", "x/~"},
        {"$A$A", "aa"},
        {"$AB", "$AB"},
        {"${A}b", "ab"},
        {"${}", "${}"},
        {"$", "$"},
        {"$$A", "$a"},
        {"${A", "${A"},
        {"$NESTED", "$A"}, // a value is not expanded again
        {"$EMPTY/x", "/x"},
        {"$UNKNOWN/x", "$UNKNOWN/x"},
        {"${UNKNOWN}/x", "${UNKNOWN}/x"},
        {"a$", "a$"},
        {"${A}}", "a}"},
        {"$A-b", "a-b"},
        {"~/$A", "/home/me/a"},
        {"${no name}", "${no name}"},
        {"$\xC3\xA9", "$\xC3\xA9"},
        {"$D/$A/${D}", "/d/a//d"},
        {"$1", "$1"},
        {"${$A}", "${$A}"},
        {"~$A", "~a"},
    };
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        setenv(variables[i][0], variables[i][1], 1);
    unsetenv("UNKNOWN");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_expands(cases[i][0], cases[i][1]);
    setenv("HOME", "/", 1);
    assert_expands("~", "/");
    assert_expands("~/x", "/x");
}

// A name that is longer than the buffer is unknown.
static void long_names(void **state)
{
    (void)state;
    char path[1000];
    for (size_t size = 250; size < 260; size++) {
        snprintf(path, sizeof path, "~%0*d/$%0*d/${%0*d}", (int)size, 0, (int)size, 0, (int)size, 0);
        assert_expands(path, path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(paths_expand_as_in_python),
                                       cmocka_unit_test(long_names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
