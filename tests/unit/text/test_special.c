// The tokens that begin and end a text, from the files of a model directory.
#include "test.h"

#include "helpers/byte_tokenizer.h"

struct file {
    const char *name;
    const char *json;
};

// A directory with the byte tokenizer (<unk> <s> </s> <pad> are 0 to 3) and up to four files.
struct special_case {
    const char *what;
    bool template_bos;
    bool template_eos;
    struct file files[4];
    int32_t bos;
    int32_t eos;
    int32_t stops[5]; // ends with -1
    bool add_bos;
    bool add_eos;
};

#define TOKENIZER "tokenizer_config.json"
#define MAP "special_tokens_map.json"
#define GENERATION "generation_config.json"
#define CONFIG "config.json"

static const struct special_case cases[] = {
    {.what = "no files", .bos = -1, .eos = -1, .stops = {-1}},
    {.what = "bloom",
     .files = {{TOKENIZER, "{\"bos_token\": \"<s>\", \"eos_token\": \"</s>\"}"},
               {MAP, "{\"bos_token\": \"<s>\", \"eos_token\": \"</s>\"}"},
               {CONFIG, "{\"bos_token_id\": 1, \"eos_token_id\": 2}"}},
     .bos = 1,
     .eos = 2,
     .stops = {2, -1}},
    {.what = "llama: tokens as objects, BOS asked for",
     .template_bos = true,
     .files = {{TOKENIZER,
                "{\"bos_token\": {\"content\": \"<s>\", \"lstrip\": false}, \"eos_token\": {\"content\": "
                "\"</s>\"}, \"add_bos_token\": true, \"add_eos_token\": false}"}},
     .bos = 1,
     .eos = 2,
     .stops = {2, -1},
     .add_bos = true},
    {.what = "only the post-processor adds",
     .template_bos = true,
     .template_eos = true,
     .files = {{MAP, "{\"bos_token\": \"<s>\", \"eos_token\": \"</s>\"}"}},
     .bos = 1,
     .eos = 2,
     .stops = {2, -1},
     .add_bos = true,
     .add_eos = true},
    {.what = "only the configuration asks",
     .files = {{TOKENIZER, "{\"bos_token\": \"<s>\", \"eos_token\": \"</s>\", \"add_bos_token\": true, "
                           "\"add_eos_token\": true}"}},
     .bos = 1,
     .eos = 2,
     .stops = {2, -1},
     .add_bos = true,
     .add_eos = true},
    {.what = "asked for what there is not",
     .files = {{TOKENIZER, "{\"add_bos_token\": true, \"add_eos_token\": true, \"bos_token\": null}"}},
     .bos = -1,
     .eos = -1,
     .stops = {-1}},
    {.what = "generation_config.json lists stops, config.json is not asked",
     .files = {{TOKENIZER, "{\"eos_token\": \"<pad>\"}"},
               {GENERATION, "{\"eos_token_id\": [2, 3, 70], \"bos_token_id\": 1}"},
               {CONFIG, "{\"eos_token_id\": 0, \"bos_token_id\": 0}"}},
     .bos = 1,
     .eos = 3,
     .stops = {3, 2, 70, -1}},
    {.what = "ids alone, from config.json",
     .files = {{GENERATION, "{\"eos_token_id\": null}"},
               {CONFIG, "{\"bos_token_id\": 1, \"eos_token_id\": [2, 3]}"}},
     .bos = 1,
     .eos = 2,
     .stops = {2, 3, -1}},
    {.what = "ids that tokenizer_config.json alone has",
     .files = {{TOKENIZER,
                "{\"bos_token\": \"[BOS]\", \"eos_token\": \"[EOS]\", \"added_tokens_decoder\": "
                "{\"300\": {\"content\": \"[BOS]\"}, \"x\": {}, \"301\": {\"content\": \"[EOS]\"}}}"},
               {CONFIG, "{\"bos_token_id\": 1, \"eos_token_id\": 2}"}},
     .bos = 300,
     .eos = 301,
     .stops = {301, 2, -1}},
    {.what = "tokens that the tokenizer lacks, and no id",
     .files = {{TOKENIZER, "{\"bos_token\": \"[BOS]\", \"eos_token\": \"[EOS]\"}"},
               {CONFIG, "{\"bos_token_id\": -1, \"eos_token_id\": 999}"}},
     .bos = -1,
     .eos = -1,
     .stops = {999, -1}},
};

static void write_in(const char *directory, const struct file *file)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", directory, file->name);
    test_write_file(path, file->json, strlen(file->json));
}

static void check(const struct special_case *item)
{
    char directory[256];
    test_make_directory(directory);
    struct loam_tokenizer *tokenizer = test_byte_tokenizer(directory, item->template_bos, item->template_eos);
    for (int i = 0; i < 4 && item->files[i].name != NULL; i++)
        write_in(directory, &item->files[i]);
    struct loam_error error;
    struct loam_special_tokens special;
    assert_ok(loam_special_tokens_load(&special, directory, tokenizer, &error));
    size_t stops = 0;
    while (item->stops[stops] >= 0)
        stops++;
    bool same = special.bos == item->bos && special.eos == item->eos && special.eos_count == stops &&
                special.add_bos == item->add_bos && special.add_eos == item->add_eos;
    for (size_t i = 0; i < stops && same; i++)
        same = special.eos_ids[i] == item->stops[i];
    if (!same)
        fail_msg("%s: bos %d, eos %d, %zu stops, add_bos %d, add_eos %d", item->what, special.bos,
                 special.eos, special.eos_count, special.add_bos, special.add_eos);
    loam_special_tokens_deinit(&special);
    loam_tokenizer_destroy(tokenizer);
    test_remove_directory(directory);
}

static void special_tokens_come_from_every_file(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check(&cases[i]);
}

static void added_tokens_are_those_of_encoding(void **state)
{
    (void)state;
    char directory[256];
    test_make_directory(directory);
    static const struct file file = {TOKENIZER, "{\"bos_token\": \"<s>\", \"eos_token\": \"</s>\"}"};
    for (int i = 0; i < 4; i++) {
        struct loam_error error;
        struct loam_special_tokens special;
        struct loam_encoding encoding = {0};
        struct loam_tokenizer *tokenizer = test_byte_tokenizer(directory, i & 1, i & 2);
        write_in(directory, &file);
        assert_ok(loam_special_tokens_load(&special, directory, tokenizer, &error));
        assert_ok(loam_tokenizer_encode(tokenizer, "x", 1, true, &encoding, &error));
        assert_int_equal(special.add_bos, encoding.ids[0] == TEST_BOS);
        assert_int_equal(special.add_eos, encoding.ids[encoding.count - 1] == TEST_EOS);
        loam_encoding_deinit(&encoding);
        loam_special_tokens_deinit(&special);
        loam_tokenizer_destroy(tokenizer);
    }
    test_remove_directory(directory);
}

static const struct {
    struct file file;
    enum loam_status status;
    const char *message;
} refused[] = {
    {{TOKENIZER, "{\"bos_token\": 1}"},
     LOAM_ERROR_FORMAT,
     "tokenizer_config.json: \"bos_token\" must be a string"},
    {{TOKENIZER, "{"}, LOAM_ERROR_FORMAT, "tokenizer_config.json"},
    {{TOKENIZER, "{\"add_bos_token\": 1}"}, LOAM_ERROR_FORMAT, "\"add_bos_token\" must be true or false"},
    {{MAP, "{\"eos_token\": []}"}, LOAM_ERROR_FORMAT, "special_tokens_map.json: \"eos_token\""},
    {{GENERATION, "{\"eos_token_id\": \"</s>\"}"},
     LOAM_ERROR_FORMAT,
     "generation_config.json: \"eos_token_id\""},
    {{GENERATION, "{\"eos_token_id\": [1, 2.5]}"}, LOAM_ERROR_FORMAT, "must be a token id or a list"},
    {{CONFIG, "{\"bos_token_id\": 99999999999}"}, LOAM_ERROR_FORMAT, "config.json: \"bos_token_id\""},
};

static void wrong_types_are_refused_by_file_and_key(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        char directory[256];
        test_make_directory(directory);
        struct loam_tokenizer *tokenizer = test_byte_tokenizer(directory, false, false);
        write_in(directory, &refused[i].file);
        struct loam_error error;
        struct loam_special_tokens special;
        assert_fails(loam_special_tokens_load(&special, directory, tokenizer, &error), refused[i].status,
                     refused[i].message);
        if (strstr(error.message, directory) == NULL)
            fail_msg("the directory is not named: %s", error.message);
        loam_tokenizer_destroy(tokenizer);
        test_remove_directory(directory);
    }
}

// Checks the ids of a text by a tokenizer with a tokenizer_config.json beside it.
static void assert_ids(const char *config, const char *text, const int32_t *ids, size_t count)
{
    char directory[256];
    test_make_directory(directory);
    const struct file file = {TOKENIZER, config};
    write_in(directory, &file);
    struct loam_error error;
    struct loam_encoding encoding = {0};
    struct loam_tokenizer *tokenizer = test_byte_tokenizer(directory, false, false);
    assert_ok(loam_tokenizer_encode(tokenizer, text, strlen(text), false, &encoding, &error));
    assert_int_equal(encoding.count, count);
    assert_memory_equal(encoding.ids, ids, count * sizeof *ids);
    loam_encoding_deinit(&encoding);
    loam_tokenizer_destroy(tokenizer);
    test_remove_directory(directory);
}

// As in transformers, tokens of the vocabulary and tokens whose ids follow it are added.
static void tokens_of_the_configuration_are_tokens(void **state)
{
    (void)state;
    enum { A = TEST_BYTE + 'a', B = TEST_BYTE + 'b', LESS = TEST_BYTE + '<', MORE = TEST_BYTE + '>' };
    assert_ids("{\"added_tokens_decoder\": {\"262\": {\"content\": \"<b>\", \"special\": true}, \"261\": "
               "{\"content\": "
               "\"<a>\", \"special\": true, \"rstrip\": true}, \"2\": {\"content\": \"</s>\"}}}",
               "<a> <b></s>", (const int32_t[]){261, 262, 2}, 3);
    assert_ids("{\"added_tokens_decoder\": {\"300\": {\"content\": \"<a>\"}}, \"eos_token\": \"<b>\"}",
               "<a><b>", (const int32_t[]){LESS, A, MORE, LESS, B, MORE},
               6); // an id of another tokenizer, and no id
    assert_ids(
        "{\"pad_token\": \"a\", \"additional_special_tokens\": [{\"content\": \"b\", \"lstrip\": true}]}",
        "a  b", (const int32_t[]){A, B}, 2);
}

static void any_number_of_stops(void **state)
{
    (void)state;
    enum { STOPS = 40 };
    char directory[256];
    test_make_directory(directory);
    char json[512] = "{\"eos_token_id\": [0";
    for (int i = 1; i < STOPS; i++)
        sprintf(json + strlen(json), ",%d", i);
    const struct file file = {GENERATION, strcat(json, "]}")};
    write_in(directory, &file);
    struct loam_tokenizer *tokenizer = test_byte_tokenizer(directory, false, false);
    struct loam_error error;
    struct loam_special_tokens special;
    assert_ok(loam_special_tokens_load(&special, directory, tokenizer, &error));
    assert_int_equal(special.eos_count, STOPS);
    assert_true(loam_special_tokens_is_stop(&special, STOPS - 1));
    assert_false(loam_special_tokens_is_stop(&special, STOPS));
    loam_special_tokens_deinit(&special);
    loam_tokenizer_destroy(tokenizer);
    test_remove_directory(directory);
}

// A missing EOS is an error with the file that names it.
static void a_missing_eos_is_named(void **state)
{
    (void)state;
    static const struct {
        struct file files[2];
        const char *message;
    } missing[] = {
        {{{0}}, "test, but the model has no end-of-sequence token; name it as \"eos_token\""},
        {{{CONFIG, "{\"eos_token_id\": 999}"}},
         "config.json gives eos_token_id 999, which is not a token of tokenizer.json"},
        {{{TOKENIZER, "{\"eos_token\": \"[EOS]\"}"}},
         "tokenizer_config.json names \"[EOS]\", which is not a token of tokenizer.json"},
    };
    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++) {
        char directory[256];
        test_make_directory(directory);
        struct loam_tokenizer *tokenizer = test_byte_tokenizer(directory, false, false);
        for (int j = 0; j < 2 && missing[i].files[j].name != NULL; j++)
            write_in(directory, &missing[i].files[j]);
        struct loam_error error;
        struct loam_special_tokens special;
        assert_ok(loam_special_tokens_load(&special, directory, tokenizer, &error));
        assert_fails(loam_special_tokens_fail_eos(&special, "test", &error), LOAM_ERROR_FORMAT,
                     missing[i].message);
        loam_special_tokens_deinit(&special);
        loam_tokenizer_destroy(tokenizer);
        test_remove_directory(directory);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(special_tokens_come_from_every_file),
        cmocka_unit_test(added_tokens_are_those_of_encoding),
        cmocka_unit_test(wrong_types_are_refused_by_file_and_key),
        cmocka_unit_test(tokens_of_the_configuration_are_tokens),
        cmocka_unit_test(any_number_of_stops),
        cmocka_unit_test(a_missing_eos_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
