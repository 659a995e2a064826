// Settings from the environment, and the origins that may receive the token.
#include "test.h"

#include "hub/settings.h"

static const char *const names[] = {"HOME",
                                    "XDG_CACHE_HOME",
                                    "HF_HOME",
                                    "HF_HUB_CACHE",
                                    "HUGGINGFACE_HUB_CACHE",
                                    "HF_TOKEN",
                                    "HUGGING_FACE_HUB_TOKEN",
                                    "HF_TOKEN_PATH",
                                    "HF_HUB_DISABLE_IMPLICIT_TOKEN",
                                    "HF_ENDPOINT",
                                    "HF_HUB_OFFLINE",
                                    "TRANSFORMERS_OFFLINE"};

static void clear(void)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
}

// Loads the settings with exactly the given variables set: pairs of name and value.
static enum loam_status load(struct loam_hub_settings *settings, const char *const *pairs,
                             struct loam_error *error)
{
    clear();
    for (; *pairs != NULL; pairs += 2)
        setenv(pairs[0], pairs[1], 1);
    return loam_hub_settings_load(settings, error);
}
#define LOAD(...) load(&settings, (const char *const[]){__VA_ARGS__, NULL}, &error)

static void test_cache(void **state)
{
    (void)state;
    struct loam_hub_settings settings;
    struct loam_error error;
    static const struct {
        const char *pairs[9];
        const char *cache;
    } cases[] = {
        {{"HOME", "/h"}, "/h/.cache/huggingface/hub"},
        {{"HOME", "/h", "XDG_CACHE_HOME", "/x"}, "/x/huggingface/hub"},
        {{"HOME", "/h", "HF_HOME", "~/hf"}, "/h/hf/hub"},
        {{"HOME", "/h", "HF_HOME", "$HOME/hf"}, "/h/hf/hub"},
        {{"HOME", "/h", "HF_HUB_CACHE", "${HOME}/c"}, "/h/c"},
        {{"HOME", "/h", "HUGGINGFACE_HUB_CACHE", "$HOME/c"}, "/h/c"},
        {{"HOME", "/h", "XDG_CACHE_HOME", "$HOME/x"}, "/h/x/huggingface/hub"},
        {{"HOME", "/h", "HF_HOME", "/$UNKNOWN_TO_LOAM"}, "/$UNKNOWN_TO_LOAM/hub"},
        {{"HF_HOME", "/hf"}, "/hf/hub"},
        {{"HF_HOME", "/hf", "HUGGINGFACE_HUB_CACHE", "/old"}, "/old"},
        {{"HF_HOME", "/hf", "HUGGINGFACE_HUB_CACHE", "/old", "HF_HUB_CACHE", "/new"}, "/new"},
        {{"HF_HOME", "/hf", "HF_HUB_CACHE", ""}, "/hf/hub"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_ok(load(&settings, cases[i].pairs, &error));
        assert_string_equal(settings.cache, cases[i].cache);
        assert_string_equal(settings.endpoint, "https://huggingface.co");
        assert_null(settings.token);
        assert_false(settings.offline);
        loam_hub_settings_deinit(&settings);
    }
    assert_fails(LOAD("HF_TOKEN", "x"), LOAM_ERROR_ARGUMENT, "set HF_HOME or HOME");
}

static void test_token(void **state)
{
    struct loam_hub_settings settings;
    struct loam_error error;
    char path[300];
    snprintf(path, sizeof path, "%s/token", (char *)*state);
    test_write_file(path, " hf_file \n", 10);
    assert_ok(LOAD("HF_HOME", (char *)*state));
    assert_string_equal(settings.token, "hf_file");
    loam_hub_settings_deinit(&settings);
    assert_ok(LOAD("HF_HOME", "/none", "HF_TOKEN_PATH", path));
    assert_string_equal(settings.token, "hf_file");
    loam_hub_settings_deinit(&settings);
    assert_ok(LOAD("HF_HOME", (char *)*state));
    assert_string_equal(settings.token_source, path);
    loam_hub_settings_deinit(&settings);
    assert_ok(LOAD("HF_HOME", "/none", "HOME", (char *)*state, "HF_TOKEN_PATH", "$HOME/token"));
    assert_string_equal(settings.token, "hf_file");
    assert_null(settings.missing_token);
    loam_hub_settings_deinit(&settings);
    assert_ok(LOAD("HF_HOME", "/none", "HF_TOKEN_PATH", "$NOWHERE_AT_ALL/token"));
    assert_null(settings.token);
    assert_string_equal(settings.missing_token, "$NOWHERE_AT_ALL/token");
    loam_hub_settings_deinit(&settings);
    assert_fails(LOAD("HF_HOME", "/none", "HF_TOKEN_PATH", (char *)*state), LOAM_ERROR_IO,
                 "the file of the token: ");
    assert_fails(LOAD("HF_HOME", "/none", "HF_TOKEN", path), LOAM_ERROR_ARGUMENT,
                 "HF_TOKEN holds a path instead of a token: HF_TOKEN_PATH names");
    assert_ok(LOAD("HF_HOME", (char *)*state, "HF_TOKEN", "\thf_variable\r\n"));
    assert_string_equal(settings.token, "hf_variable");
    loam_hub_settings_deinit(&settings);
    assert_ok(LOAD("HF_HOME", (char *)*state, "HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"));
    assert_null(settings.token);
    loam_hub_settings_deinit(&settings);
    // The first and the last character that a token may have, and those beside them.
    assert_ok(LOAD("HF_HOME", "/none", "HF_TOKEN", "!hf~"));
    assert_string_equal(settings.token, "!hf~");
    loam_hub_settings_deinit(&settings);
    static const char *const unprintable[] = {"hf a",
                                              "hf\x1f"
                                              "a",
                                              "hf\x7f"
                                              "a",
                                              "hf\x80"
                                              "a"};
    for (size_t i = 0; i < sizeof unprintable / sizeof *unprintable; i++)
        assert_fails(LOAD("HF_HOME", "/none", "HF_TOKEN", unprintable[i]), LOAM_ERROR_ARGUMENT,
                     "HF_TOKEN holds no token: expected one word of printable characters");
    test_write_file(path, "\n", 1);
    assert_ok(LOAD("HF_HOME", (char *)*state));
    assert_null(settings.token);
    loam_hub_settings_deinit(&settings);
    test_write_file(path, "hf_a\nhf_b\n", 10);
    assert_fails(LOAD("HF_HOME", (char *)*state), LOAM_ERROR_ARGUMENT,
                 "/token holds no token: it has several lines");
    // A line break inside the token would start another header line.
    assert_fails(LOAD("HF_HOME", "/none", "HF_TOKEN", "hf_a\r\nEvil: b"), LOAM_ERROR_ARGUMENT,
                 "HF_TOKEN holds no token");
    assert_null(strstr(error.message, "Evil"));
}

static void test_endpoint(void **state)
{
    (void)state;
    struct loam_hub_settings settings;
    struct loam_error error;
    static const char *const good[] = {"https://hub.example/", "http://127.0.0.1:8000",
                                       "http://localhost:1//", "http://[::1]:80",
                                       "https://hub.example:8443/mirror"};
    static const char *const bad[] = {
        "http://hub.example", "http://10.0.0.1",         "ftp://hub.example",       "hub",
        "file:///etc",        "https://u:p@hub.example", "http://localhost.example"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_ok(LOAD("HF_HOME", "/hf", "HF_ENDPOINT", good[i]));
        assert_int_not_equal(settings.endpoint[strlen(settings.endpoint) - 1], '/');
        loam_hub_settings_deinit(&settings);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_fails(LOAD("HF_HOME", "/hf", "HF_ENDPOINT", bad[i]), LOAM_ERROR_ARGUMENT, "HF_ENDPOINT");
    assert_ok(LOAD("HF_HOME", "/hf", "HF_HUB_OFFLINE", "yes"));
    assert_true(settings.offline);
    loam_hub_settings_deinit(&settings);
    assert_ok(LOAD("HF_HOME", "/hf", "HF_HUB_OFFLINE", "0", "TRANSFORMERS_OFFLINE", "1"));
    assert_false(settings.offline);
    loam_hub_settings_deinit(&settings);
}

static void test_origin(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_origin hub, other, local, loopback;
    assert_ok(loam_origin_parse(&hub, "https://Hub.example/x?y", &error));
    assert_ok(loam_origin_parse(&other, "https://hub.example:443/", &error));
    assert_true(loam_origin_equal(&hub, &other));
    assert_ok(loam_origin_parse(&other, "https://hub.example:8443/", &error));
    assert_false(loam_origin_equal(&hub, &other));
    assert_ok(loam_origin_parse(&other, "http://hub.example:443/", &error));
    assert_false(loam_origin_equal(&hub, &other));
    assert_false(loam_origin_is_private(&other, &hub));
    assert_ok(loam_origin_parse(&local, "http://127.0.0.1:1/", &error));
    assert_ok(loam_origin_parse(&loopback, "http://127.1.2.3:2/", &error));
    assert_true(loam_origin_is_private(&local, &loopback));
    assert_false(loam_origin_is_private(&local, &hub)); // a remote hub must not redirect to this machine
    assert_true(loam_origin_is_private(&hub, &local));
    assert_fails(loam_origin_parse(&other, "https://secret:word@hub.example/", &error), LOAM_ERROR_ARGUMENT,
                 "https://");
    assert_null(strstr(error.message, "secret"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cache),
        test_in_directory(test_token),
        cmocka_unit_test(test_endpoint),
        cmocka_unit_test(test_origin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
