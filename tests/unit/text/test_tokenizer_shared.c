// Real tokenizers and real text from LOAM_TEST_SHARED; skipped without these files.
#include "test.h"

#include <jansson.h>

#include "text/tokenizer.h"

static json_t *load_json(const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", LOAM_TEST_SHARED, name);
    json_error_t problem;
    json_t *root = json_load_file(path, JSON_ALLOW_NUL, &problem);
    if (root == NULL) fail_msg("%s: %s", path, problem.text);
    return root;
}

static struct loam_tokenizer *load_tokenizer(const char *path)
{
    struct loam_error error;
    struct loam_tokenizer *tokenizer;
    assert_ok(loam_tokenizer_load(&tokenizer, path, &error));
    return tokenizer;
}

// ---- Whole tokenizers over the contexts of SQuAD ----

// Results of `tokenizers` 0.23.3 for the contexts of squad/dev.json with special tokens: the number of ids,
// and FNV-1a with one step per id.
static const struct {
    const char *file;
    size_t count;
    uint64_t hash;
} totals[] = {
    {"tokenizers/gpt2-tokenizer.json", 25437, UINT64_C(0x9e9fafa094e5911c)},
    {"tokenizers/mistral01-tokenizer.json", 28369, UINT64_C(0x54c52a7ce9239760)},
    {"stories260K/tokenizer.json", 75888, UINT64_C(0xee6293a0c786a50b)},
};

struct total {
    size_t count;
    uint64_t hash;
};

static void add_context(const struct loam_tokenizer *tokenizer, const json_t *context, struct total *total)
{
    struct loam_error error;
    struct loam_encoding encoding = {0};
    struct loam_bytes decoded = {0};
    const char *text = json_string_value(context);
    assert_ok(loam_tokenizer_encode(tokenizer, text, json_string_length(context), true, &encoding, &error));
    for (size_t i = 0; i < encoding.count; i++)
        total->hash = (total->hash ^ (uint64_t)encoding.ids[i]) * UINT64_C(0x100000001B3);
    total->count += encoding.count;
    // These tokenizers are lossless.
    assert_ok(loam_tokenizer_decode(tokenizer, encoding.ids, encoding.count, true, &decoded, &error));
    assert_string_equal(decoded.data, text);
    loam_bytes_deinit(&decoded);
    loam_encoding_deinit(&encoding);
}

static void contexts_have_the_ids_of_the_package(void **state)
{
    (void)state;
    json_t *squad = load_json("squad/dev.json");
    for (size_t i = 0; i < sizeof totals / sizeof *totals; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", LOAM_TEST_SHARED, totals[i].file);
        struct loam_tokenizer *tokenizer = load_tokenizer(path);
        struct total total = {0, UINT64_C(0xCBF29CE484222325)};
        size_t article;
        size_t paragraph;
        json_t *articles = json_object_get(squad, "data");
        json_t *item;
        json_t *inner;
        json_array_foreach(articles, article, item)
        {
            json_array_foreach(json_object_get(item, "paragraphs"), paragraph, inner)
                add_context(tokenizer, json_object_get(inner, "context"), &total);
        }
        assert_int_equal(total.count, totals[i].count);
        assert_true(total.hash == totals[i].hash);
        loam_tokenizer_destroy(tokenizer);
    }
    json_decref(squad);
}

// ---- BLOOM: real cases, a small part of the vocabulary ----

// The given tokens, and a token for every other byte, in GPT-2's alphabet: printable bytes stand for
// themselves, the others are characters from U+0100 on.
static json_t *make_vocabulary(const json_t *tokens)
{
    json_t *vocab = json_object();
    const char *id;
    json_t *token;
    json_object_foreach((json_t *)(uintptr_t)tokens, id, token)
        json_object_set_new(vocab, json_string_value(token), json_integer(strtol(id, NULL, 10)));
    json_int_t next = 250680;
    unsigned others = 0x100;
    for (unsigned byte = 0; byte < 256; byte++) {
        bool prints = (byte > 0x20 && byte < 0x7F) || (byte > 0xA0 && byte != 0xAD);
        unsigned point = prints ? byte : others++;
        char character[3] = {(char)point};
        if (point >= 0x80) {
            character[0] = (char)(0xC0 | point >> 6);
            character[1] = (char)(0x80 | (point & 0x3F));
        }
        if (json_object_get(vocab, character) == NULL)
            json_object_set_new(vocab, character, json_integer(next++));
    }
    return vocab;
}

// BLOOM's tokenizer without its merges, which the test does not have. With ignore_merges a word that is a
// token becomes that token, as it does by BLOOM's merges.
static void write_bloom(const char *path, const json_t *tokens)
{
    static const char *const specials[] = {"<unk>", "<s>", "</s>", "<pad>"};
    json_t *vocab = make_vocabulary(tokens);
    json_t *added = json_array();
    for (int i = 0; i < 4; i++) {
        json_object_set_new(vocab, specials[i], json_integer(i));
        json_array_append_new(added, json_pack("{s:i,s:s,s:b,s:b,s:b,s:b,s:b}", "id", i, "content",
                                               specials[i], "single_word", 0, "lstrip", 0, "rstrip", 0,
                                               "normalized", 0, "special", 1));
    }
    json_t *bytes = json_pack("{s:s,s:b,s:b,s:b}", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets",
                              1, "use_regex", 0);
    json_t *cut = json_pack("{s:s,s:{s:s},s:s,s:b}", "type", "Split", "pattern", "Regex",
                            " ?[^(\\s|[.,!?…。，、।۔،])]+", "behavior", "Isolated", "invert", 0);
    json_t *whole =
        json_pack("{s:s,s:o,s:{s:s,s:[o,O]},s:o,s:{s:s,s:b,s:o,s:[]}}", "version", "1.0", "added_tokens",
                  added, "pre_tokenizer", "type", "Sequence", "pretokenizers", cut, bytes, "decoder", bytes,
                  "model", "type", "BPE", "ignore_merges", 1, "vocab", vocab, "merges");
    assert_non_null(whole);
    assert_int_equal(json_dump_file(whole, path, JSON_COMPACT), 0);
    json_decref(whole);
}

static size_t count_characters(const char *text)
{
    size_t count = 0;
    for (; *text != '\0'; text++)
        count += ((unsigned char)*text & 0xC0) != 0x80;
    return count;
}

// Compares two lists of tokens. A token of loam equals BLOOM's token or is one byte of a word that BLOOM
// splits into several tokens, which must end where the bytes end. Returns the number of equal tokens.
static size_t count_equal_tokens(const struct loam_tokenizer *tokenizer, const struct loam_encoding *encoding,
                                 const json_t *item)
{
    const json_t *ids = json_object_get(item, "ids");
    const json_t *tokens = json_object_get(item, "tokens");
    size_t same = 0;
    size_t ours = 0;
    for (size_t i = 0; i < json_array_size(ids); i++) {
        if (ours < encoding->count && encoding->ids[ours] == json_integer_value(json_array_get(ids, i))) {
            same++;
            ours++;
            continue;
        }
        size_t left = count_characters(json_string_value(json_array_get(tokens, i)));
        for (; left > 0; left--, ours++) {
            assert_in_range(ours, 0, encoding->count - 1);
            assert_int_equal(count_characters(loam_tokenizer_id_to_token(tokenizer, encoding->ids[ours])), 1);
        }
    }
    assert_int_equal(ours, encoding->count);
    return same;
}

static void check_decoded(const struct loam_tokenizer *tokenizer, const json_t *item)
{
    struct loam_error error;
    struct loam_bytes decoded = {0};
    int32_t list[256];
    const json_t *ids = json_object_get(item, "ids");
    const json_t *text = json_object_get(item, "decoded");
    assert_in_range(json_array_size(ids), 1, 256);
    for (size_t i = 0; i < json_array_size(ids); i++)
        list[i] = (int32_t)json_integer_value(json_array_get(ids, i));
    assert_ok(loam_tokenizer_decode(tokenizer, list, json_array_size(ids), false, &decoded, &error));
    assert_int_equal(decoded.size, json_string_length(text));
    assert_memory_equal(decoded.data, json_string_value(text), decoded.size);
    loam_bytes_deinit(&decoded);
}

static void bloom_encodes_and_decodes_as_the_package(void **state)
{
    (void)state;
    char directory[256];
    char path[300];
    snprintf(path, sizeof path, "%s/tokenizer.json", test_make_directory(directory));
    json_t *vocab = load_json("bloom/bloom_partial_vocab_id2tok.json");
    json_t *vectors = load_json("bloom/bloom_vectors.json");
    write_bloom(path, vocab);
    struct loam_tokenizer *tokenizer = load_tokenizer(path);
    size_t same = 0;
    size_t all = 0;
    size_t index;
    json_t *item;
    json_array_foreach(vectors, index, item)
    {
        struct loam_error error;
        struct loam_encoding encoding = {0};
        const json_t *text = json_object_get(item, "text");
        assert_ok(loam_tokenizer_encode(tokenizer, json_string_value(text), json_string_length(text), true,
                                        &encoding, &error));
        same += count_equal_tokens(tokenizer, &encoding, item);
        all += json_array_size(json_object_get(item, "ids"));
        check_decoded(tokenizer, item);
        loam_encoding_deinit(&encoding);
    }
    assert_int_equal(index, 31);
    assert_int_equal(all, 450);
    // The other tokens are parts of words that BLOOM splits.
    assert_int_equal(same, 312);
    loam_tokenizer_destroy(tokenizer);
    json_decref(vectors);
    json_decref(vocab);
    test_remove_directory(directory);
}

int main(void)
{
    if (access(LOAM_TEST_SHARED, R_OK) != 0) {
        printf("skipped: the shared data is not there (%s)\n", LOAM_TEST_SHARED);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contexts_have_the_ids_of_the_package),
        cmocka_unit_test(bloom_encodes_and_decodes_as_the_package),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
