// The cache of merged stretches gives the tokens that merging gives, also where entries replace each other.
#include "test.h"

#include "text/bpe_cache.h"
#include "text/tokenizer.h"
#include "text/tokenizer_parts.h"

static struct loam_error error;

// Merges of several levels, a character without merges (d), and unknown characters that are one token together.
static const char file[] =
    "{\"version\": \"1.0\", \"added_tokens\": [], \"normalizer\": null, \"pre_tokenizer\": null, "
    "\"post_processor\": null, \"decoder\": null, \"model\": {\"type\": \"BPE\", \"unk_token\": \"<unk>\", "
    "\"fuse_unk\": true, \"vocab\": {\"<unk>\": 0, \"a\": 1, \"b\": 2, \"c\": 3, \"d\": 4, \"ab\": 5, "
    "\"bc\": 6, "
    "\"abc\": 7, \"aa\": 8, \"abab\": 9, \"\xC3\xA9\": 10, \"a\xC3\xA9\": 11}, "
    "\"merges\": [\"a b\", \"b c\", \"ab c\", \"a a\", \"ab ab\", \"a \xC3\xA9\"]}}";

static struct loam_tokenizer *load(void)
{
    char directory[256], path[300];
    struct loam_tokenizer *tokenizer;
    assert_non_null(test_make_directory(directory));
    snprintf(path, sizeof path, "%s/tokenizer.json", directory);
    test_write_file(path, file, strlen(file));
    assert_ok(loam_tokenizer_load(&tokenizer, path, &error));
    test_remove_directory(directory);
    return tokenizer;
}

static uint32_t state = 1;

static uint32_t draw(uint32_t limit)
{
    state = state * 1664525u + 1013904223u;
    return (state >> 16) % limit;
}

static void make_word(struct loam_bytes *word)
{
    static const char *const pieces[] = {"a", "a", "b", "b", "c", "d", "\xC3\xA9", "x", "\xE2\x82\xAC"};
    loam_bytes_clear(word);
    for (uint32_t i = 1 + draw(draw(4) == 0 ? 40 : 6); i > 0; i--)
        assert_ok(loam_bytes_append_text(word, pieces[draw(sizeof pieces / sizeof *pieces)], &error));
}

static void assert_same_tokens(const struct loam_bpe *bpe, const struct loam_bytes *word,
                               struct loam_bpe_work *plain, struct loam_bpe_work *cached)
{
    loam_bpe_begin(word->data, word->size, plain);
    loam_bpe_begin(word->data, word->size, cached);
    do {
        assert_ok(loam_bpe_next(bpe, plain, &error));
        assert_ok(loam_bpe_next(bpe, cached, &error));
        assert_int_equal(plain->count, cached->count);
        for (size_t i = 0; i < plain->count; i++) {
            assert_int_equal(plain->tokens[i].id, cached->tokens[i].id);
            assert_int_equal(plain->tokens[i].size, cached->tokens[i].size);
        }
    } while (plain->count > 0);
}

static void test_cached_words(void **unused)
{
    (void)unused;
    struct loam_tokenizer *tokenizer = load();
    struct loam_bpe_work plain = {0}, cached = {.cache = loam_bpe_cache_create(&error)};
    struct loam_bytes word = {0};
    assert_non_null(cached.cache);
    for (int i = 0; i < 30000; i++) {
        make_word(&word);
        assert_same_tokens(&tokenizer->bpe, &word, &plain, &cached);
    }
    loam_bytes_deinit(&word);
    free(cached.cache);
    loam_bpe_work_deinit(&cached);
    loam_bpe_work_deinit(&plain);
    loam_tokenizer_destroy(tokenizer);
}

// A stretch that was merged before is taken from the cache.
static void test_hit(void **unused)
{
    (void)unused;
    struct loam_bpe_cache *cache = loam_bpe_cache_create(&error);
    struct loam_bpe_token tokens[] = {{1, 1}, {2, 1}, {10, 2}}, merged[] = {{5, 2}, {2, 0}, {10, 2}};
    assert_non_null(cache);
    assert_false(loam_bpe_cache_merge(cache, tokens, 3));
    struct loam_bpe_cached *entry = loam_bpe_cache_begin(cache, tokens, 3);
    assert_non_null(entry);
    assert_false(loam_bpe_cache_merge(cache, tokens, 3)); // incomplete
    loam_bpe_cache_complete(entry, merged, 3);
    assert_false(loam_bpe_cache_merge(cache, tokens, 2));
    assert_true(loam_bpe_cache_merge(cache, tokens, 3));
    assert_int_equal(tokens[0].id, 5);
    assert_int_equal(tokens[0].size, 2);
    assert_int_equal(tokens[1].size, 0);
    assert_int_equal(tokens[2].id, 10);
    assert_int_equal(tokens[2].size, 2);
    free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hit),
        cmocka_unit_test(test_cached_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
