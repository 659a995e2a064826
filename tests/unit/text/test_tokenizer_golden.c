// Every part of a tokenizer.json gives the results of `tokenizers` (tests/data/make_tokenizers.py).
#include "test.h"

#include "helpers/cases.h"
#include "text/tokenizer.h"

static void check_numbers(const char *name, const char *text, const char *what, const json_t *expected,
                          const void *got, size_t count)
{
    const uint32_t *numbers = got;
    bool same = json_array_size(expected) == count;
    for (size_t i = 0; i < count && same; i++)
        same = json_integer_value(json_array_get(expected, i)) == (json_int_t)numbers[i];
    if (same) return;
    char *wanted = json_dumps(expected, JSON_COMPACT);
    fprintf(stderr, "%s: \"%s\": %s: expected %s, got", name, text, what, wanted);
    for (size_t i = 0; i < count; i++)
        fprintf(stderr, " %u", numbers[i]);
    fprintf(stderr, "\n");
    free(wanted);
    fail();
}

static void check_text(const char *name, const char *what, const json_t *expected, struct loam_bytes *got)
{
    const char *text = got->data == NULL ? "" : got->data;
    if (json_string_length(expected) != got->size ||
        memcmp(json_string_value(expected), text, got->size) != 0)
        fail_msg("%s: %s: expected \"%s\", got \"%s\"", name, what, json_string_value(expected), text);
    loam_bytes_deinit(got);
}

static void stream(const struct loam_tokenizer *tokenizer, const struct loam_encoding *encoding,
                   struct loam_bytes *text)
{
    struct loam_error error;
    struct loam_decode_stream *decoding;
    assert_ok(loam_decode_stream_create(&decoding, tokenizer, false, &error));
    for (size_t i = 0; i < encoding->count; i++)
        assert_ok(loam_decode_stream_push(decoding, encoding->ids[i], text, &error));
    assert_ok(loam_decode_stream_finish(decoding, text, &error));
    loam_decode_stream_destroy(decoding);
}

// A case is [text, with special tokens, ids, starts, ends, decoded, decoded without special tokens].
static void check_case(const struct loam_tokenizer *tokenizer, const char *name, const json_t *item)
{
    struct loam_error error;
    struct loam_encoding encoding = {0};
    struct loam_bytes decoded = {0};
    struct loam_bytes skipped = {0};
    struct loam_bytes streamed = {0};
    const json_t *text = json_array_get(item, 0);
    const char *shown = json_string_value(text);
    bool special = json_is_true(json_array_get(item, 1));
    assert_ok(loam_tokenizer_encode(tokenizer, shown, json_string_length(text), special, &encoding, &error));
    check_numbers(name, shown, "ids", json_array_get(item, 2), encoding.ids, encoding.count);
    check_numbers(name, shown, "starts", json_array_get(item, 3), encoding.starts, encoding.count);
    check_numbers(name, shown, "ends", json_array_get(item, 4), encoding.ends, encoding.count);
    assert_ok(loam_tokenizer_decode(tokenizer, encoding.ids, encoding.count, false, &decoded, &error));
    assert_ok(loam_tokenizer_decode(tokenizer, encoding.ids, encoding.count, true, &skipped, &error));
    stream(tokenizer, &encoding, &streamed);
    check_text(name, "decoded", json_array_get(item, 5), &decoded);
    check_text(name, "without special tokens", json_array_get(item, 6), &skipped);
    check_text(name, "streamed", json_array_get(item, 5), &streamed);
    loam_encoding_deinit(&encoding);
}

static void every_part_agrees(void **state)
{
    (void)state;
    char directory[256];
    char path[300];
    snprintf(path, sizeof path, "%s/tokenizer.json", test_make_directory(directory));
    json_t *models = test_tokenizer_data("models.json");
    json_t *entries = test_tokenizer_data("cases.json");
    assert_in_range(json_array_size(entries), 60, 1000);
    size_t index;
    json_t *entry;
    json_array_foreach(entries, index, entry)
    {
        struct loam_error error;
        struct loam_tokenizer *tokenizer;
        const char *name = json_string_value(json_object_get(entry, "name"));
        test_write_tokenizer(path, entry, models);
        if (loam_tokenizer_load(&tokenizer, path, &error) != LOAM_OK) fail_msg("%s: %s", name, error.message);
        const json_t *cases = json_object_get(entry, "cases");
        assert_in_range(json_array_size(cases), 1, 1000);
        for (size_t i = 0; i < json_array_size(cases); i++)
            check_case(tokenizer, name, json_array_get(cases, i));
        loam_tokenizer_destroy(tokenizer);
    }
    json_decref(entries);
    json_decref(models);
    test_remove_directory(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_part_agrees)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
