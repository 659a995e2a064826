// The hub's list of files, and the hashes of files.
#include "test.h"

#include "hub/listing.h"
#include "io/digest.h"

#define COMMIT "0123456789abcdef0123456789abcdef01234567"

static enum loam_status parse(struct loam_listing *listing, const char *text, struct loam_error *error)
{
    return loam_listing_parse(listing, text, strlen(text), "org/name", error);
}

static void test_listing(void **state)
{
    (void)state;
    struct loam_listing listing;
    struct loam_error error;
    assert_ok(parse(&listing,
                    "{\"sha\": \"" COMMIT "\", \"siblings\": [{\"rfilename\": \"config.json\", \"size\": 12},"
                    " {\"rfilename\": \"a/b\"}, {\"rfilename\": \"c\", \"size\": -7}], \"other\": {}}",
                    &error));
    assert_string_equal(listing.commit, COMMIT);
    assert_int_equal(listing.count, 3);
    assert_int_equal(loam_listing_find(&listing, "config.json")->size, 12);
    assert_int_equal(loam_listing_find(&listing, "a/b")->size, -1);
    assert_int_equal(loam_listing_find(&listing, "c")->size, -1);
    assert_null(loam_listing_find(&listing, "b"));
    loam_listing_deinit(&listing);
    assert_ok(parse(&listing, "{\"sha\": \"" COMMIT "\", \"siblings\": []}", &error));
    assert_int_equal(listing.count, 0);
    loam_listing_deinit(&listing);
}

static void test_broken_listings(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "not valid JSON"},
        {"[]", "must be a JSON object"},
        {"{\"siblings\": []}", "names no commit"},
        {"{\"sha\": 5, \"siblings\": []}", "\"sha\" must be a string"},
        {"{\"sha\": \"main\", \"siblings\": []}", "names no commit"},
        {"{\"sha\": \"../../../../../../../../../../../../tmp/x\", \"siblings\": []}", "names no commit"},
        {"{\"sha\": \"" COMMIT "\"}", "list of files"},
        {"{\"sha\": \"" COMMIT "\", \"siblings\": {}}", "list of files"},
        {"{\"sha\": \"" COMMIT "\", \"siblings\": [1]}", "is not an object"},
        {"{\"sha\": \"" COMMIT "\", \"siblings\": [{}]}", "not a relative path"},
        {"{\"sha\": \"" COMMIT "\", \"siblings\": [{\"rfilename\": \"a\"}, {\"rfilename\": \"../a\"}]}",
         "not a relative path"},
        {"{\"sha\": \"" COMMIT "\", \"siblings\": [{\"rfilename\": \"/a\"}]}", "not a relative path"},
        {"{\"sha\": \"" COMMIT "\", \"siblings\": [{\"rfilename\": \"a\", \"size\": \"1\"}]}", "\"size\""},
    };
    struct loam_listing listing;
    struct loam_error error;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_fails(parse(&listing, cases[i].text, &error), LOAM_ERROR_FORMAT, cases[i].message);
}

// The expected hashes come from sha256sum and git hash-object.
static void test_digests(void **state)
{
    struct loam_error error;
    char path[300], text[LOAM_DIGEST_SIZE];
    snprintf(path, sizeof path, "%s/file", (char *)*state);
    test_write_file(path, "Hello, World!", 13);
    assert_ok(loam_digest_file(path, LOAM_DIGEST_GIT, 13, text, &error));
    assert_string_equal(text, "b45ef6fec89518d314f546fd6c3025367b721684");
    assert_ok(loam_digest_file(path, LOAM_DIGEST_SHA256, 13, text, &error));
    assert_string_equal(text, "dffd6021bb2bd5b0af676290809ec3a53191dd81c7f70a4b28688a362182986f");
    test_write_file(path, "", 0);
    assert_ok(loam_digest_file(path, LOAM_DIGEST_GIT, 0, text, &error));
    assert_string_equal(text, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
    assert_fails(loam_digest_file(path, LOAM_DIGEST_GIT, 1, text, &error), LOAM_ERROR_IO, "shorter");
    assert_fails(loam_digest_file("/nowhere", LOAM_DIGEST_GIT, 1, text, &error), LOAM_ERROR_IO, "/nowhere");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_listing),
        cmocka_unit_test(test_broken_listings),
        test_in_directory(test_digests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
