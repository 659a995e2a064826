// The parts of a push that need no hub: the list of files, the queries, and the reading of answers.
#include "test.h"

#include <jansson.h>
#include <sys/stat.h>

#include "hub/base64.h"
#include "hub/commit.h"
#include "hub/lfs_batch.h"
#include "hub/preupload.h"

static char root[256];

static void put(const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", root, name);
    test_write_file(path, text, strlen(text));
}

static void make(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", root, name);
    assert_int_equal(mkdir(path, 0777), 0);
}

static int setup(void **state)
{
    (void)state;
    if (test_make_directory(root) == NULL) return 1;
    make(".git");
    make(".cache");
    make("checkpoint-10");
    make("a");
    make("a/checkpoint-1");
    put(".git/HEAD", "x");
    put(".cache/x", "x");
    put("checkpoint-10/x", "x");
    put("run.yaml", "left here");
    put("a/checkpoint-1/x", "kept: not at the top");
    put("a.txt", "text");
    put("a/b", "below");
    put("a-b", "other");
    put("weights.bin", "0123456789");
    put("empty", "");
    put(".env", "secret");
    put(".gitignore-x", "x");
    put("a/.hidden", "x");
    put("a/Token.txt", "x");
    put("token", "x");
    put("weights.bin.tmp-12-0", "half");
    make(".loam-1-0");
    put(".loam-1-0/x", "x");
    char link[300];
    snprintf(link, sizeof link, "%s/circle", root);
    return symlink(".", link);
}

static int teardown(void **state)
{
    (void)state;
    test_remove_directory(root);
    return 0;
}

static void test_folder(void **state)
{
    (void)state;
    struct loam_folder folder;
    struct loam_error error;
    assert_ok(loam_folder_read(&folder, root, &error));
    static const char *const names[] = {"a/b", "a/checkpoint-1/x", "a-b", "a.txt", "empty", "weights.bin"};
    assert_int_equal(folder.count, sizeof names / sizeof *names);
    for (size_t i = 0; i < folder.count; i++)
        assert_string_equal(folder.files[i].name, names[i]);
    assert_int_equal(loam_folder_find(&folder, "weights.bin")->size, 10);
    assert_null(loam_folder_find(&folder, "x"));
    struct loam_bytes text = {0};
    assert_ok(loam_folder_format_left_out(&folder, &text, &error));
    assert_string_equal(text.data, ".cache, .env, .git, .gitignore-x, .loam-1-0, a/.hidden, a/Token.txt, "
                                   "checkpoint-10 and 4 more");
    loam_bytes_deinit(&text);
    loam_folder_deinit(&folder);
    assert_fails(loam_folder_read(&folder, "/nowhere", &error), LOAM_ERROR_IO, "/nowhere");
}

static void test_unsafe_names(void **state)
{
    (void)state;
    struct loam_folder folder;
    struct loam_error error;
    char path[300];
    snprintf(path, sizeof path, "%s/back\\slash", root);
    test_write_file(path, "x", 1);
    assert_fails(loam_folder_read(&folder, root, &error), LOAM_ERROR_ARGUMENT, "cannot be in a repository");
    assert_int_equal(unlink(path), 0);
}

// Names that are similar to those that are left out.
static void test_similar_names(void **state)
{
    (void)state;
    static const char *const names[] = {"token.json", "tokenizer.json", "notes.tmp-x", "my-token"};
    struct loam_folder folder;
    struct loam_error error;
    char path[300];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        put(names[i], "goes");
    snprintf(path, sizeof path, "%s/within", root);
    assert_int_equal(symlink("a/../empty", path), 0);
    assert_ok(loam_folder_read(&folder, root, &error));
    assert_non_null(loam_folder_find(&folder, "within"));
    assert_int_equal(unlink(path), 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_non_null(loam_folder_find(&folder, names[i]));
        snprintf(path, sizeof path, "%s/%s", root, names[i]);
        assert_int_equal(unlink(path), 0);
    }
    loam_folder_deinit(&folder);
}

static void test_links_that_leave(void **state)
{
    (void)state;
    struct loam_folder folder;
    struct loam_error error;
    char path[300];
    snprintf(path, sizeof path, "%s/a/away", root);
    assert_int_equal(symlink("/proc/self/exe", path), 0);
    assert_fails(loam_folder_read(&folder, root, &error), LOAM_ERROR_ARGUMENT, "a/away is a link to /");
    assert_int_equal(unlink(path), 0);
}

static void test_base64(void **state)
{
    (void)state;
    struct loam_bytes text = {0};
    struct loam_error error;
    assert_ok(loam_base64_append(&text, "any carnal pleas", 16, &error));
    assert_string_equal(text.data, "YW55IGNhcm5hbCBwbGVhcw==");
    assert_ok(loam_base64_append(&text, "", 0, &error));
    assert_int_equal(text.size, 24);
    loam_bytes_deinit(&text);
}

// The query about all files of the folder, and its answer.
static void test_preupload(void **state)
{
    (void)state;
    struct loam_folder folder;
    struct loam_error error;
    struct loam_bytes text = {0};
    assert_ok(loam_folder_read(&folder, root, &error));
    assert_ok(loam_preupload_format(&text, &folder, 0, folder.count, &error));
    json_t *query = json_loads(text.data, 0, NULL);
    json_t *files = json_object_get(query, "files");
    assert_int_equal(json_array_size(files), folder.count);
    assert_string_equal(json_string_value(json_object_get(json_array_get(files, 0), "sample")), "YmVsb3c=");
    assert_int_equal(json_integer_value(json_object_get(json_array_get(files, 5), "size")), 10);
    assert_null(json_object_get(query, "gitIgnore"));
    json_decref(query);
    loam_bytes_deinit(&text);

#define FILE_ANSWER(name, mode, rest) "{\"path\": \"" name "\", \"uploadMode\": \"" mode "\"" rest "}"
    static const char good[] =
        // clang-format off
        "{\"files\": ["
        FILE_ANSWER("weights.bin", "lfs", ", \"oid\": \"abc\", \"shouldIgnore\": false") ","
        FILE_ANSWER("a/b", "regular", ", \"shouldIgnore\": true") ","
        FILE_ANSWER("a/checkpoint-1/x", "regular", "") ","
        FILE_ANSWER("a-b", "regular", "") ","
        FILE_ANSWER("empty", "lfs", "") ","
        FILE_ANSWER("a.txt", "regular", "")
        "]}";
    // clang-format on
    assert_ok(loam_preupload_parse(&folder, 0, folder.count, good, strlen(good), &error));
    assert_int_equal(loam_folder_find(&folder, "weights.bin")->mode, LOAM_UPLOAD_LFS);
    assert_string_equal(loam_folder_find(&folder, "weights.bin")->remote, "abc");
    assert_int_equal(loam_folder_find(&folder, "empty")->mode, LOAM_UPLOAD_REGULAR);
    assert_true(loam_folder_find(&folder, "a/b")->ignored);
    assert_false(loam_folder_find(&folder, "a-b")->ignored);

    static const struct {
        const char *text, *message;
        enum loam_status status;
    } bad[] = {
        {"{}", "does not mention a/b", LOAM_ERROR_FORMAT},
        {"{\"files\": {}}", "does not mention a/b", LOAM_ERROR_FORMAT},
        {"{\"files\": [1, null, {}]}", "does not mention a/b", LOAM_ERROR_FORMAT},
        {"{\"files\": [" FILE_ANSWER("a/b", "xet", "") "]}", "does not know", LOAM_ERROR_UNSUPPORTED},
        {"{\"files\": [{\"path\": \"a/b\"}]}", "does not know", LOAM_ERROR_UNSUPPORTED},
        {"{\"files\": [{\"path\": \"a/b\", \"uploadMode\": 7}]}", "uploadMode", LOAM_ERROR_FORMAT},
        {"", "not valid JSON", LOAM_ERROR_FORMAT},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_fails(loam_preupload_parse(&folder, 0, folder.count, bad[i].text, strlen(bad[i].text), &error),
                     bad[i].status, bad[i].message);
    loam_folder_deinit(&folder);
}

static enum loam_status parse_batch(struct loam_lfs_plan *plan, const struct loam_folder_file *file,
                                    const char *text, struct loam_error *error)
{
    return loam_lfs_batch_parse(plan, &file, 1, text, strlen(text), error);
}

static void test_lfs_batch(void **state)
{
    (void)state;
    struct loam_folder_file file = {.name = (char[]){"w"}, .size = 10, .local = "aa"};
    const struct loam_folder_file *files = &file;
    struct loam_lfs_plan plan;
    struct loam_error error;
    struct loam_bytes text = {0};
    assert_ok(loam_lfs_batch_format(&text, &files, 1, &error));
    assert_string_equal(
        text.data,
        "{\"operation\":\"upload\",\"transfers\":[\"basic\",\"multipart\"],\"objects\":[{\"oid\":\"aa\","
        "\"size\":10}],\"hash_algo\":\"sha256\",\"ref\":{\"name\":\"main\"}}");
    loam_bytes_deinit(&text);

    assert_ok(parse_batch(
        &plan, &file,
        "{\"objects\": [{\"oid\": \"bb\", \"actions\": {\"upload\": {\"href\": \"https://b/\"}}}, "
        "{\"oid\": \"aa\", \"size\": 10}]}",
        &error));
    assert_null(plan.uploads[0].href);
    loam_lfs_plan_deinit(&plan);
#define OBJECT(upload) "{\"objects\": [{\"oid\": \"aa\", \"actions\": {\"upload\": " upload "}}]}"
    assert_ok(
        parse_batch(&plan, &file, OBJECT("{\"href\": \"https://x/\", \"header\": {\"a\": \"b\"}}"), &error));
    assert_string_equal(plan.uploads[0].href, "https://x/");
    assert_int_equal(plan.uploads[0].chunk, 0);
    loam_lfs_plan_deinit(&plan);
#define PARTS(chunk, parts) OBJECT("{\"href\": \"h\", \"header\": {\"chunk_size\": " chunk ", " parts "}}")
    assert_ok(parse_batch(&plan, &file,
                          PARTS("\"4\"", "\"00002\": \"p2\", \"1\": \"p1\", \"3\": \"p3\", \"x\": \"\""),
                          &error));
    assert_int_equal(plan.uploads[0].part_count, 3);
    assert_string_equal(plan.uploads[0].parts[1], "p2");
    loam_lfs_plan_deinit(&plan);

    static const struct {
        const char *text, *message;
    } bad[] = {
        {"{}", "does not mention w"},
        {"{\"objects\": [{\"oid\": \"aa\", \"error\": {\"message\": \"too large\"}}]}", "too large"},
        {"{\"objects\": [{\"oid\": \"aa\", \"error\": 5}]}", "gives no reason"},
        {"{\"objects\": [{\"oid\": \"aa\", \"actions\": {}}]}", "no \"href\""},
        {OBJECT("{\"href\": 5}"), "\"href\" must be a string"},
        {PARTS("0", "\"1\": \"p\""), "parts of 0 bytes"},
        {PARTS("-4", "\"1\": \"p\""), "parts of -4 bytes"},
        {PARTS("\"x\"", "\"1\": \"p\""), "parts of 0 bytes"},
        {PARTS("5", "\"1\": \"p\""), "1 addresses for the 2 parts"},
        {PARTS("5", "\"1\": \"p\", \"3\": \"p\""), "\"3\" is not the number of a part"},
        {PARTS("5", "\"1\": \"p\", \"01\": \"p\""), "\"01\" is not the number of a part"},
        {PARTS("5", "\"0\": \"p\", \"1\": \"p\""), "\"0\" is not the number of a part"},
        {PARTS("5", "\"1\": \"p\", \"2\": 7"), "\"2\" is not the number of a part"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        enum loam_status status = parse_batch(&plan, &file, bad[i].text, &error);
        if (status == LOAM_OK || strstr(error.message, bad[i].message) == NULL)
            fail_msg("%s: %s", bad[i].text, error.message);
    }
    file.size = INT64_MAX;
    assert_fails(parse_batch(&plan, &file, PARTS("1", "\"1\": \"p\""), &error), LOAM_ERROR_FORMAT,
                 "parts of 1 bytes");
}

static void test_commit(void **state)
{
    (void)state;
    struct loam_folder folder;
    struct loam_error error;
    struct loam_bytes body = {0};
    size_t files;
    assert_ok(loam_folder_read(&folder, root, &error));
    for (size_t i = 0; i < folder.count; i++)
        snprintf(folder.files[i].local, sizeof folder.files[i].local, "%zu", i);
    loam_folder_find(&folder, "weights.bin")->mode = LOAM_UPLOAD_LFS;
    loam_folder_find(&folder, "a/b")->ignored = true;
    snprintf(loam_folder_find(&folder, "a-b")->remote, LOAM_DIGEST_SIZE, "2"); // unchanged
    loam_folder_find(&folder, "a/checkpoint-1/x")->ignored = true;
    assert_ok(loam_commit_format(&body, &folder, "A \"message\"", &files, &error));
    assert_int_equal(files, 3);
    assert_string_equal(
        body.data,
        "{\"key\":\"header\",\"value\":{\"summary\":\"A \\\"message\\\"\",\"description\":\"\"}}\n"
        "{\"key\":\"file\",\"value\":{\"content\":\"dGV4dA==\",\"path\":\"a.txt\",\"encoding\":\"base64\"}}\n"
        "{\"key\":\"file\",\"value\":{\"content\":\"\",\"path\":\"empty\",\"encoding\":\"base64\"}}\n"
        "{\"key\":\"lfsFile\",\"value\":{\"path\":\"weights.bin\",\"algo\":\"sha256\",\"oid\":\"5\",\"size\":"
        "10}}\n");
    loam_bytes_deinit(&body);
    assert_fails(loam_commit_format(&body, &folder, "\xff", &files, &error), LOAM_ERROR_ARGUMENT, "UTF-8");
    loam_bytes_deinit(&body);
    loam_folder_deinit(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folder),        cmocka_unit_test(test_unsafe_names),
        cmocka_unit_test(test_similar_names), cmocka_unit_test(test_links_that_leave),
        cmocka_unit_test(test_base64),        cmocka_unit_test(test_preupload),
        cmocka_unit_test(test_lfs_batch),     cmocka_unit_test(test_commit),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
