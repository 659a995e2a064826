// Names of repositories, revisions and files.
#include "test.h"

#include "hub/repo.h"

static void test_ids(void **state)
{
    (void)state;
    static const char *const good[] = {
        "gpt2", "bigscience/bloom-560m", "A-b_c.d/1.2-3_4", "_x/y_", "a/b@main", "a/b@v1.0", "a/b@refs/pr/3"};
    static const char *const bad[] = {
        "",         "/",      "a/",      "/a",  "a/b/c", "-a/b",        "a/-b",   "a/b.",  ".a",
        "a--b",     "a/b..c", "a/b.git", "a b", "a\\b",  "caf\xc3\xa9", "a@",     "a@..",  "a@/b",
        "a@b/../c", "a@b//c", "a@b c",   "a:b", "~/a",   "a@b@c",       "a/b@\n", "a@b\\c"};
    struct loam_repo repo;
    struct loam_error error;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_ok(loam_repo_parse(&repo, good[i], &error));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (loam_repo_parse(&repo, bad[i], &error) != LOAM_ERROR_ARGUMENT)
            fail_msg("\"%s\" is accepted", bad[i]);

    assert_ok(loam_repo_parse(&repo, "org/name", &error));
    assert_string_equal(repo.id, "org/name");
    assert_string_equal(repo.revision, "main");
    assert_ok(loam_repo_parse(&repo, "org/name@refs/pr/1", &error));
    assert_string_equal(repo.id, "org/name");
    assert_string_equal(repo.revision, "refs/pr/1");
}

static void test_long_ids(void **state)
{
    (void)state;
    char text[400];
    struct loam_repo repo;
    struct loam_error error;
    memset(text, 'a', sizeof text);
    text[96] = '/';
    text[193] = '\0';
    assert_ok(loam_repo_parse(&repo, text, &error));
    text[193] = 'a';
    text[194] = '\0';
    assert_fails(loam_repo_parse(&repo, text, &error), LOAM_ERROR_ARGUMENT, "expected ORG/NAME");
    memset(text, 'a', sizeof text);
    text[1] = '@';
    text[2 + 255] = '\0';
    assert_ok(loam_repo_parse(&repo, text, &error));
    text[2 + 255] = 'a';
    text[2 + 256] = '\0';
    assert_fails(loam_repo_parse(&repo, text, &error), LOAM_ERROR_ARGUMENT, "not a revision");
}

static void test_files(void **state)
{
    (void)state;
    static const char *const good[] = {"config.json", "a/b/c", ".gitattributes",
                                       "...",         "a b",   "\xc3\xa4/\xe6\x96\x87"};
    static const char *const bad[] = {"",    "/etc/passwd", "..",     "../a", "a/../b", "a/..",
                                      ".",   "./a",         "a//b",   "a/",   "a\\b",   "C:\\a",
                                      "C:a", "a\nb",        "a\177b", "\x01"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!loam_repo_file_is_safe(good[i])) fail_msg("\"%s\" is refused", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (loam_repo_file_is_safe(bad[i])) fail_msg("\"%s\" is accepted", bad[i]);
    char text[2000];
    memset(text, 'a', sizeof text);
    text[255] = '\0';
    assert_true(loam_repo_file_is_safe(text));
    text[255] = 'a';
    text[256] = '\0';
    assert_false(loam_repo_file_is_safe(text));
    for (size_t i = 0; i < sizeof text; i += 2)
        text[i] = 'a', text[i + 1] = '/';
    text[1023] = '\0';
    assert_true(loam_repo_file_is_safe(text));
    text[1023] = '/';
    text[1025] = '\0';
    assert_false(loam_repo_file_is_safe(text));
}

static void test_hashes(void **state)
{
    (void)state;
    assert_true(loam_is_commit("0123456789abcdef0123456789abcdef01234567"));
    assert_false(loam_is_commit("0123456789ABCDEF0123456789abcdef01234567"));
    assert_false(loam_is_commit("0123456789abcdef0123456789abcdef0123456"));
    assert_false(loam_is_commit("0123456789abcdef0123456789abcdef012345678"));
    assert_false(loam_is_hex("", 1));
}

static void test_url(void **state)
{
    (void)state;
    struct loam_bytes url = {0};
    struct loam_error error;
    assert_ok(loam_url_append(&url, "a b/\xc3\xa4?x#%~", "/", &error));
    assert_string_equal(url.data, "a%20b/%C3%A4%3Fx%23%25~");
    loam_bytes_clear(&url);
    assert_ok(loam_url_append(&url, "refs/pr/1", "", &error));
    assert_string_equal(url.data, "refs%2Fpr%2F1");
    loam_bytes_deinit(&url);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids),    cmocka_unit_test(test_long_ids), cmocka_unit_test(test_files),
        cmocka_unit_test(test_hashes), cmocka_unit_test(test_url),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
