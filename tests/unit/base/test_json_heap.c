// Reading and writing JSON with failing allocations: the result is complete, or an error. jansson's own
// parser and writer leave out parts.
#include "base/json.h"
#include "property/run/heap_watch.h"
#include "test.h"

static bool lasting; // the allocations after the failing one fail too

static void *take(size_t size)
{
    if (lasting && heap.fails >= 0 && heap.asked > heap.fails) return NULL;
    return __wrap_malloc(size);
}

// Long keys, strings and numbers, so that every buffer has to grow; `text` is how jansson writes it.
static const char document[] =
    "{\"a key of more than sixteen bytes, and of more than thirty-two\": \"a string of more than sixteen "
    "bytes \\ud83d\\ude00 \\\"quoted\\\" \\u00e9\", \"numbers\": [1234567890123456789, "
    "0.12345678901234567890123, -7e-5, "
    "100000000000000000000000], \"deeper\": {\"objects\": {\"in objects\": [[], {}, null, true, false, "
    "\"\"]}}}";

static json_t *whole;

static int setup(void **state)
{
    (void)state;
    struct loam_error error;
    json_set_alloc_funcs(take, __wrap_free);
    return loam_json_parse(&whole, document, strlen(document), "doc.json", &error) != LOAM_OK;
}

static int teardown(void **state)
{
    (void)state;
    json_decref(whole);
    return 0;
}

static enum loam_status read_it(struct loam_error *error)
{
    json_t *root;
    enum loam_status status = loam_json_parse(&root, document, strlen(document), "doc.json", error);
    if (status == LOAM_OK) assert_true(json_equal(root, whole));
    json_decref(root);
    return status;
}

static char written[1024];

static enum loam_status write_it(size_t flags, struct loam_error *error)
{
    struct loam_bytes text = {0};
    enum loam_status status = loam_json_append(&text, whole, flags, error);
    if (status == LOAM_OK && written[0] == '\0') snprintf(written, sizeof written, "%s", text.data);
    if (status == LOAM_OK) assert_string_equal(text.data, written);
    loam_bytes_deinit(&text);
    return status;
}

static enum loam_status write_compact(struct loam_error *error)
{
    return write_it(JSON_COMPACT, error);
}

static enum loam_status write_sorted(struct loam_error *error)
{
    return write_it(JSON_INDENT(2) | JSON_SORT_KEYS, error);
}

// Builds a document with loam_json_put and loam_json_push, as reports do.
static enum loam_status make_it(struct loam_error *error)
{
    struct loam_bytes text = {0};
    json_t *root = json_object(), *array = json_array();
    for (int i = 0; i < 20; i++)
        loam_json_push(&array, json_integer(i));
    loam_json_put(&root, "array", array);
    loam_json_put(&root, "a key of more than sixteen bytes", json_string("a string"));
    enum loam_status status = loam_json_append(&text, root, JSON_COMPACT, error);
    if (status == LOAM_OK)
        assert_string_equal(text.data, "{\"array\":[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19],"
                                       "\"a key of more than sixteen bytes\":\"a string\"}");
    json_decref(root);
    loam_bytes_deinit(&text);
    return status;
}

static void every_allocation_may_fail(void **state)
{
    enum loam_status (*run)(struct loam_error * error);
    memcpy(&run, *state, sizeof run);
    struct loam_error error;
    written[0] = '\0';
    heap.asked = 0;
    assert_ok(run(&error));
    long total = heap.asked, live = heap.live;
    assert_true(total > 5);
    for (int times = 0; times < 2; times++) {
        lasting = times == 1;
        for (long n = 0; n < total; n++) {
            heap.asked = 0;
            heap.fails = n;
            enum loam_status status = run(&error);
            heap.fails = -1;
            if (status != LOAM_ERROR_MEMORY) fail_msg("%ld: status %d: %s", n, (int)status, error.message);
            assert_non_null(strstr(error.message, "out of memory"));
            assert_int_equal(heap.live, live);
        }
    }
    lasting = false;
}

int main(void)
{
    static enum loam_status (*const runs[])(struct loam_error * error) = {read_it, write_compact,
                                                                          write_sorted, make_it};
    const struct CMUnitTest tests[] = {
        {"reading", every_allocation_may_fail, NULL, NULL, (void *)(uintptr_t)&runs[0]},
        {"writing", every_allocation_may_fail, NULL, NULL, (void *)(uintptr_t)&runs[1]},
        {"writing, sorted", every_allocation_may_fail, NULL, NULL, (void *)(uintptr_t)&runs[2]},
        {"making", every_allocation_may_fail, NULL, NULL, (void *)(uintptr_t)&runs[3]},
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
