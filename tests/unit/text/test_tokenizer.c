// The tokenizer on files that the test writes: refused files and their messages, ids, long words, streams.
#include "test.h"

#include "text/tokenizer.h"

static char directory[256];
static char path[300];

static int make_directory(void **state)
{
    (void)state;
    if (test_make_directory(directory) == NULL) return -1;
    snprintf(path, sizeof path, "%s/tokenizer.json", directory);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    test_remove_directory(directory);
    return 0;
}

static void write_json(const char *json)
{
    test_write_file(path, json, strlen(json));
}

static struct loam_tokenizer *load(const char *json)
{
    struct loam_error error;
    struct loam_tokenizer *tokenizer;
    write_json(json);
    assert_ok(loam_tokenizer_load(&tokenizer, path, &error));
    return tokenizer;
}

// A file with a model and other parts.
#define FILE_OF(model, parts) "{\"version\": \"1.0\"" parts ", \"model\": " model "}"
#define MODEL "{\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2}, \"merges\": [\"a b\"]}"
#define VOCAB(vocab) "{\"type\": \"BPE\", \"vocab\": " vocab ", \"merges\": []}"
#define MERGES(merges)                                                                                       \
    "{\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2}, \"merges\": " merges "}"

static const struct {
    const char *json;
    enum loam_status status;
    const char *message;
} refused[] = {
    // Files that are not tokenizers.
    {"", LOAM_ERROR_FORMAT, "is not valid JSON"},
    {"{\"version\": \"1.0\"", LOAM_ERROR_FORMAT, "is not valid JSON"},
    {"{\"model\" 1}", LOAM_ERROR_FORMAT, "is not valid JSON at byte"},
    {"[]", LOAM_ERROR_FORMAT, "must be a JSON object"},
    {"{}", LOAM_ERROR_FORMAT, "tokenizer.json: model must be an object"},
    {"{\"version\": \"2.0\", \"model\": " MODEL "}", LOAM_ERROR_UNSUPPORTED, "version \"2.0\""},
    {"{\"model\": " MODEL ", \"model\": " MODEL "}", LOAM_ERROR_FORMAT, "\"model\" occurs twice"},
    // Models.
    {FILE_OF("{\"type\": \"Unigram\", \"vocab\": [[\"a\", 0.5]]}", ""), LOAM_ERROR_UNSUPPORTED,
     "model \"Unigram\""},
    {FILE_OF("{\"type\": \"WordPiece\", \"vocab\": {\"a\": 0}}", ""), LOAM_ERROR_UNSUPPORTED,
     "model \"WordPiece\""},
    {FILE_OF("{\"type\": \"BPE\", \"merges\": []}", ""), LOAM_ERROR_FORMAT, "model: \"vocab\" is missing"},
    {FILE_OF("{\"vocab\": {}}", ""), LOAM_ERROR_FORMAT, "model: \"merges\" is missing"},
    {FILE_OF("{\"dropout\": 0.1, \"vocab\": {}, \"merges\": []}", ""), LOAM_ERROR_UNSUPPORTED,
     "\"dropout\" is 0.1"},
    {FILE_OF(VOCAB("{\"a\": -1}"), ""), LOAM_ERROR_FORMAT, "model.vocab: token \"a\" has id -1"},
    {FILE_OF(VOCAB("{\"a\": 4194304}"), ""), LOAM_ERROR_FORMAT, "token \"a\" has id 4194304"},
    {FILE_OF(VOCAB("{\"a\": 1.5}"), ""), LOAM_ERROR_FORMAT, "every token must have an integer id"},
    {FILE_OF(VOCAB("{\"a\": 0, \"b\": 0}"), ""), LOAM_ERROR_FORMAT, "tokens \"a\" and \"b\" both have id 0"},
    {FILE_OF(VOCAB("{\"a\": 0, \"a\": 1}"), ""), LOAM_ERROR_FORMAT, "token \"a\" occurs twice"},
    {FILE_OF(MERGES("[\"a x\"]"), ""), LOAM_ERROR_FORMAT,
     "model.merges[0]: token \"x\" is not in model.vocab"},
    {FILE_OF(MERGES("[\"a b\", \"b a\"]"), ""), LOAM_ERROR_FORMAT, "model.merges[1]: token \"ba\" is not"},
    {FILE_OF(MERGES("[\"ab\"]"), ""), LOAM_ERROR_FORMAT, "model.merges[0] must be"},
    {FILE_OF(MERGES("[\"a b c\"]"), ""), LOAM_ERROR_FORMAT, "model.merges[0] must be"},
    {FILE_OF(MERGES("[[\"a\"]]"), ""), LOAM_ERROR_FORMAT, "must be \"left right\""},
    {FILE_OF(MERGES("[[\"a\", \"b\", \"c\"]]"), ""), LOAM_ERROR_FORMAT, "must be \"left right\""},
    {FILE_OF(MERGES("[[\"a\", \"b\"], \"a b\"]"), ""), LOAM_ERROR_FORMAT, "in one form for all"},
    {FILE_OF(MERGES("[\"a b\", [\"a\", \"b\"]]"), ""), LOAM_ERROR_FORMAT, "in one form for all"},
    {FILE_OF(MERGES("{}"), ""), LOAM_ERROR_FORMAT, "\"merges\" is missing or no array"},
    {FILE_OF("{\"unk_token\": 3, \"vocab\": {}, \"merges\": []}", ""), LOAM_ERROR_FORMAT,
     "model: \"unk_token\" must be a string"},
    // Unknown parts, and fields that cannot be read.
    {FILE_OF(MODEL, ", \"normalizer\": {\"type\": \"BertNormalizer\"}"), LOAM_ERROR_UNSUPPORTED,
     "normalizer: normalizer \"BertNormalizer\" is not supported; loam knows Prepend, Replace"},
    {FILE_OF(MODEL, ", \"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"NFC\"}, "
                    "{\"type\": \"StripAccents\"}]}"),
     LOAM_ERROR_UNSUPPORTED, "normalizer.normalizers[1]: normalizer \"StripAccents\""},
    {FILE_OF(MODEL, ", \"normalizer\": {\"type\": \"Sequence\"}"), LOAM_ERROR_FORMAT,
     "\"normalizers\" must be an array"},
    {FILE_OF(MODEL, ", \"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [null]}"), LOAM_ERROR_FORMAT,
     "normalizers[0]: must be an object"},
    {FILE_OF(MODEL, ", \"normalizer\": {}"), LOAM_ERROR_FORMAT, "normalizer: \"type\" is missing"},
    {FILE_OF(MODEL, ", \"normalizer\": 7"), LOAM_ERROR_FORMAT, "normalizer: must be an object or null"},
    {FILE_OF(MODEL, ", \"normalizer\": {\"type\": \"Prepend\"}"), LOAM_ERROR_FORMAT,
     "\"prepend\" must be a string"},
    {FILE_OF(MODEL, ", \"normalizer\": {\"type\": \"Strip\", \"strip_left\": true}"), LOAM_ERROR_FORMAT,
     "\"strip_right\" must be true or false"},
    {FILE_OF(MODEL, ", \"pre_tokenizer\": {\"type\": \"BertPreTokenizer\"}"), LOAM_ERROR_UNSUPPORTED,
     "pre-tokenizer \"BertPreTokenizer\""},
    {FILE_OF(MODEL,
             ", \"pre_tokenizer\": {\"type\": \"Split\", \"behavior\": \"Isolated\", \"invert\": false}"),
     LOAM_ERROR_FORMAT, "\"pattern\" must be"},
    {FILE_OF(MODEL,
             ", \"pre_tokenizer\": {\"type\": \"Split\", \"behavior\": \"Shuffled\", \"invert\": false, "
             "\"pattern\": {\"String\": \"a\"}}"),
     LOAM_ERROR_UNSUPPORTED, "\"behavior\" is \"Shuffled\""},
    {FILE_OF(MODEL,
             ", \"pre_tokenizer\": {\"type\": \"Split\", \"behavior\": \"Isolated\", \"invert\": false, "
             "\"pattern\": {\"Regex\": \"(a\"}}"),
     LOAM_ERROR_FORMAT, "pre_tokenizer: not a readable regular expression"},
    {FILE_OF(MODEL, ", \"pre_tokenizer\": {\"type\": \"Metaspace\", \"replacement\": \"ab\"}"),
     LOAM_ERROR_FORMAT, "\"replacement\" must be one character"},
    {FILE_OF(MODEL,
             ", \"pre_tokenizer\": {\"type\": \"Metaspace\", \"replacement\": \"_\", \"prepend_scheme\": "
             "\"first\", \"add_prefix_space\": false}"),
     LOAM_ERROR_FORMAT, "\"prepend_scheme\" must be \"never\""},
    {FILE_OF(MODEL, ", \"post_processor\": {\"type\": \"BertProcessing\"}"), LOAM_ERROR_UNSUPPORTED,
     "post-processor \"BertProcessing\""},
    {FILE_OF(MODEL,
             ", \"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": "
             "{\"id\": \"<s>\"}}], \"special_tokens\": {}}"),
     LOAM_ERROR_FORMAT, "must give the \"ids\" of \"<s>\""},
    {FILE_OF(MODEL,
             ", \"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": "
             "{\"id\": \"<s>\"}}], \"special_tokens\": {\"<s>\": {\"ids\": [99]}}}"),
     LOAM_ERROR_FORMAT, "post_processor: id 99 is not in the vocabulary"},
    {FILE_OF(MODEL, ", \"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": [{\"Sequence\": "
                    "{\"id\": \"B\"}}], \"special_tokens\": {}}"),
     LOAM_ERROR_FORMAT, "single[0] must be"},
    {FILE_OF(MODEL, ", \"decoder\": {\"type\": \"WordPiece\"}"), LOAM_ERROR_UNSUPPORTED,
     "decoder \"WordPiece\""},
    {FILE_OF(MODEL, ", \"decoder\": {\"type\": \"Strip\", \"content\": \" \", \"start\": -1, \"stop\": 0}"),
     LOAM_ERROR_FORMAT, "\"start\" must be a count"},
    {FILE_OF(MODEL, ", \"decoder\": {\"type\": \"Strip\", \"content\": \" \", \"start\": 0}"),
     LOAM_ERROR_FORMAT, "\"stop\" must be a count"},
    {FILE_OF(MODEL, ", \"added_tokens\": {}"), LOAM_ERROR_FORMAT, "\"added_tokens\" must be an array"},
    {FILE_OF(MODEL, ", \"added_tokens\": [{\"content\": \"x\"}]"), LOAM_ERROR_FORMAT,
     "added_tokens[0]: \"single_word\" must be true or false"},
};

static void bad_files_are_refused_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct loam_error error;
        struct loam_tokenizer *tokenizer;
        write_json(refused[i].json);
        assert_fails(loam_tokenizer_load(&tokenizer, path, &error), refused[i].status, refused[i].message);
        if (strstr(error.message, path) == NULL) fail_msg("the file is not named: %s", error.message);
        assert_null(tokenizer);
    }
    struct loam_error error;
    struct loam_tokenizer *tokenizer;
    assert_fails(loam_tokenizer_load(&tokenizer, "/nowhere/tokenizer.json", &error), LOAM_ERROR_IO,
                 "/nowhere");
}

static void deep_nesting_is_refused(void **state)
{
    (void)state;
    enum { DEPTH = 100000 };
    char *json = calloc(1, DEPTH + 32);
    assert_non_null(json);
    int start = sprintf(json, "{\"normalizer\": ");
    memset(json + start, '[', DEPTH);
    struct loam_error error;
    struct loam_tokenizer *tokenizer;
    write_json(json);
    free(json);
    assert_fails(loam_tokenizer_load(&tokenizer, path, &error), LOAM_ERROR_FORMAT, "nested too deeply");
}

static void check_ids(const struct loam_tokenizer *tokenizer, const char *text, const int32_t *ids,
                      size_t count)
{
    struct loam_error error;
    struct loam_encoding encoding = {0};
    assert_ok(loam_tokenizer_encode(tokenizer, text, strlen(text), false, &encoding, &error));
    assert_int_equal(encoding.count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(encoding.ids[i], ids[i]);
    loam_encoding_deinit(&encoding);
}

static void ids_and_tokens_lead_to_each_other(void **state)
{
    (void)state;
    struct loam_tokenizer *tokenizer = load(FILE_OF(
        MODEL,
        ", \"added_tokens\": [{\"id\": 3, \"content\": \"<s>\", \"single_word\": false, \"lstrip\": false,"
        " \"rstrip\": false, \"normalized\": false, \"special\": true}]"));
    assert_int_equal(loam_tokenizer_vocabulary_size(tokenizer), 4);
    assert_int_equal(loam_tokenizer_token_to_id(tokenizer, "ab"), 2);
    assert_int_equal(loam_tokenizer_token_to_id(tokenizer, "<s>"), 3);
    assert_int_equal(loam_tokenizer_token_to_id(tokenizer, "c"), -1);
    assert_string_equal(loam_tokenizer_id_to_token(tokenizer, 2), "ab");
    assert_string_equal(loam_tokenizer_id_to_token(tokenizer, 3), "<s>");
    assert_null(loam_tokenizer_id_to_token(tokenizer, 4));
    assert_null(loam_tokenizer_id_to_token(tokenizer, -1));
    check_ids(tokenizer, "ab<s>ba", (int32_t[]){2, 3, 1, 0}, 4);
    loam_tokenizer_destroy(tokenizer);
}

static void broken_utf8_is_refused_where_it_breaks(void **state)
{
    (void)state;
    struct loam_tokenizer *tokenizer = load(FILE_OF(MODEL, ""));
    struct loam_error error;
    struct loam_encoding encoding = {0};
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {{"ab\x80", "at byte 2 (0x80)"},
                 {"\xC0\xAF", "at byte 0"},
                 {"a\xED\xA0\x80", "at byte 1"},
                 {"a\xE2\x82", "at byte 1"},
                 {"\xF4\x90\x80\x80", "at byte 0"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_fails(
            loam_tokenizer_encode(tokenizer, cases[i].text, strlen(cases[i].text), false, &encoding, &error),
            LOAM_ERROR_FORMAT, cases[i].message);
    loam_encoding_deinit(&encoding);
    loam_tokenizer_destroy(tokenizer);
}

static void a_missing_unknown_token_fails_once_it_is_needed(void **state)
{
    (void)state;
    struct loam_tokenizer *tokenizer =
        load(FILE_OF("{\"unk_token\": \"<unk>\", \"vocab\": {\"a\": 0}, \"merges\": []}", ""));
    struct loam_error error;
    struct loam_encoding encoding = {0};
    check_ids(tokenizer, "aa", (int32_t[]){0, 0}, 2);
    assert_fails(loam_tokenizer_encode(tokenizer, "ab", 2, false, &encoding, &error), LOAM_ERROR_FORMAT,
                 "model.unk_token \"<unk>\" is not in model.vocab");
    loam_encoding_deinit(&encoding);
    loam_tokenizer_destroy(tokenizer);
}

static void ids_beyond_the_vocabulary_do_not_decode(void **state)
{
    (void)state;
    struct loam_tokenizer *tokenizer = load(FILE_OF(VOCAB("{\"a\": 0, \"b\": 5}"), ""));
    struct loam_error error;
    struct loam_bytes text = {0};
    assert_fails(loam_tokenizer_decode(tokenizer, (int32_t[]){0, 6}, 2, false, &text, &error),
                 LOAM_ERROR_ARGUMENT, "token id 6 is beyond");
    assert_fails(loam_tokenizer_decode(tokenizer, (int32_t[]){-1}, 1, false, &text, &error),
                 LOAM_ERROR_ARGUMENT, "token id -1");
    loam_bytes_clear(&text);
    // An id without a token is skipped; without a decoder tokens are joined by spaces.
    assert_ok(loam_tokenizer_decode(tokenizer, (int32_t[]){0, 3, 5}, 3, false, &text, &error));
    assert_string_equal(text.data, "a b");
    loam_bytes_deinit(&text);
    loam_tokenizer_destroy(tokenizer);
}

#define SPLIT(expression)                                                                                    \
    FILE_OF(MODEL, ", \"pre_tokenizer\": {\"type\": \"Split\", \"behavior\": \"Isolated\", \"invert\": "     \
                   "false, \"pattern\": {\"Regex\": \"" expression "\"}}")

// Encodes `count` repetitions of `word` and returns the result.
static enum loam_status encode_repeated(const struct loam_tokenizer *tokenizer, const char *word,
                                        size_t count, struct loam_error *error)
{
    size_t size = strlen(word);
    char *text = malloc(count * size);
    struct loam_encoding encoding = {0};
    assert_non_null(text);
    for (size_t i = 0; i < count; i++)
        memcpy(text + i * size, word, size);
    enum loam_status status = loam_tokenizer_encode(tokenizer, text, count * size, false, &encoding, error);
    loam_encoding_deinit(&encoding);
    free(text);
    return status;
}

static void an_exponential_expression_is_refused(void **state)
{
    (void)state;
    struct loam_tokenizer *tokenizer = load(SPLIT("(a+)+(a+)+(a+)+[^ab]c"));
    char text[200];
    memset(text, 'a', sizeof text);
    text[sizeof text - 2] = 'b';
    text[sizeof text - 1] = '\0';
    struct loam_error error;
    assert_fails(encode_repeated(tokenizer, text, 1, &error), LOAM_ERROR_FORMAT,
                 "the tokenizer's regular expression cannot search the text: retry-limit");
    loam_tokenizer_destroy(tokenizer);
}

// Each search ends after some hundred thousand steps, but a long text has many searches.
static void searches_with_too_many_steps_together_are_refused(void **state)
{
    (void)state;
    struct loam_tokenizer *tokenizer = load(SPLIT("(a+)+[^ab]|a+b"));
    struct loam_error error;
    assert_ok(encode_repeated(tokenizer, "aaaaaaaaaaaaaaaaaab", 2, &error));
    assert_fails(encode_repeated(tokenizer, "aaaaaaaaaaaaaaaaaab", 5000, &error), LOAM_ERROR_FORMAT,
                 "the tokenizer's regular expression cannot search the text: retry-limit-in-search over");
    loam_tokenizer_destroy(tokenizer);
}

// Peak memory of the process in KiB.
static long peak_memory(void)
{
    char line[256];
    long peak = 0;
    FILE *file = fopen("/proc/self/status", "re");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "VmHWM:", 6) == 0) peak = strtol(line + 6, NULL, 10);
    fclose(file);
    return peak;
}

#define EITHER "(?:|b)"
#define EITHER_4 EITHER EITHER EITHER EITHER
#define EITHER_16 EITHER_4 EITHER_4 EITHER_4 EITHER_4
#define EITHER_64 EITHER_16 EITHER_16 EITHER_16 EITHER_16

// The expression stores 256 places for backtracking per letter and never uses them.
static void an_expression_with_too_many_places_is_refused(void **state)
{
    (void)state;
    struct loam_tokenizer *tokenizer = load(SPLIT("(?:a" EITHER_64 EITHER_64 EITHER_64 EITHER_64 ")*"));
    struct loam_error error;
    assert_ok(encode_repeated(tokenizer, "aaaaaaaa", 16, &error));
    long before = peak_memory();
    assert_fails(encode_repeated(tokenizer, "aaaaaaaa", 8192, &error), LOAM_ERROR_FORMAT,
                 "the tokenizer's regular expression cannot search the text: match-stack limit over");
    assert_in_range(peak_memory() - before, 0, 64 << 10);
    loam_tokenizer_destroy(tokenizer);
}

#define GROWS                                                                                                \
    "{\"type\": \"Replace\", \"pattern\": {\"String\": \"a\"}, \"content\": \"aaaaaaaaaaaaaaaaaaaaaaaa\"}"
#define GROWS_FOUR_TIMES GROWS "," GROWS "," GROWS "," GROWS

static void a_text_that_grows_too_much_is_refused(void **state)
{
    (void)state;
    struct loam_tokenizer *tokenizer = load(FILE_OF(
        MODEL, ", \"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [" GROWS_FOUR_TIMES "]}"));
    struct loam_error error;
    struct loam_encoding encoding = {0};
    assert_fails(loam_tokenizer_encode(tokenizer, "aaaaaaaaaa", 10, false, &encoding, &error),
                 LOAM_ERROR_FORMAT, "normalizer makes more than");
    loam_encoding_deinit(&encoding);
    loam_tokenizer_destroy(tokenizer);
}

static void tokens_that_grow_too_much_are_refused(void **state)
{
    (void)state;
    struct loam_tokenizer *tokenizer =
        load(FILE_OF(MODEL, ", \"decoder\": {\"type\": \"Sequence\", \"decoders\": [" GROWS_FOUR_TIMES "]}"));
    const int32_t id = loam_tokenizer_token_to_id(tokenizer, "a");
    const int32_t ids[] = {id, id, id, id};
    struct loam_error error;
    struct loam_bytes text = {0};
    assert_true(id >= 0);
    assert_fails(loam_tokenizer_decode(tokenizer, ids, 4, false, &text, &error), LOAM_ERROR_FORMAT,
                 "decoder makes more than");
    loam_bytes_deinit(&text);
    loam_tokenizer_destroy(tokenizer);
}

// ---- Long words against the definition of BPE ----

enum { LETTERS = 12, MERGED = 60, LONG = 600 };

// Random merges over the first letters, which build on each other. With many letters most pairs are not in
// any token, so words have seams; with few letters they have none.
struct random_model {
    int letters;
    int count; // tokens: the letters, then what merges make
    char tokens[LETTERS + MERGED][64];
    int left[MERGED]; // by rank
    int right[MERGED];
    int made[MERGED];
};

static uint32_t draw(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 16;
}

static int find_token(const struct random_model *model, const char *text)
{
    for (int i = 0; i < model->count; i++) {
        if (strcmp(model->tokens[i], text) == 0) return i;
    }
    return -1;
}

static void swap_ints(int *a, int *b)
{
    int held = *a;
    *a = *b;
    *b = held;
}

// With `shuffled` a merge may be listed before those that it builds on, and two merges may make the same
// token.
static void make_model(struct random_model *model, bool shuffled, uint32_t *state)
{
    model->letters = 2 + (int)(draw(state) % (LETTERS - 1));
    model->count = model->letters;
    for (int i = 0; i < model->letters; i++)
        snprintf(model->tokens[i], sizeof model->tokens[i], "%c", 'a' + i);
    for (int rank = 0; rank < MERGED;) {
        int left = (int)(draw(state) % (uint32_t)model->count);
        int right = (int)(draw(state) % (uint32_t)model->count);
        char joined[128];
        snprintf(joined, sizeof joined, "%s%s", model->tokens[left], model->tokens[right]);
        int token = find_token(model, joined);
        if (strlen(joined) >= sizeof model->tokens[0] || (token >= 0 && !shuffled)) continue;
        if (token < 0) {
            token = model->count++;
            memcpy(model->tokens[token], joined, strlen(joined) + 1);
        }
        model->left[rank] = left;
        model->right[rank] = right;
        model->made[rank++] = token;
    }
    for (int i = MERGED - 1; shuffled && i > 0; i--) {
        int other = (int)(draw(state) % (uint32_t)(i + 1));
        swap_ints(&model->left[i], &model->left[other]);
        swap_ints(&model->right[i], &model->right[other]);
        swap_ints(&model->made[i], &model->made[other]);
    }
}

static struct loam_tokenizer *load_model(const struct random_model *model)
{
    char *json = calloc(1, 65536);
    assert_non_null(json);
    int at = sprintf(json, "{\"model\": {\"vocab\": {");
    for (int i = 0; i < model->count; i++)
        at += sprintf(json + at, "%s\"%s\": %d", i == 0 ? "" : ", ", model->tokens[i], i);
    at += sprintf(json + at, "}, \"merges\": [");
    for (int i = 0; i < MERGED; i++)
        at += sprintf(json + at, "%s[\"%s\", \"%s\"]", i == 0 ? "" : ", ", model->tokens[model->left[i]],
                      model->tokens[model->right[i]]);
    sprintf(json + at, "]}}");
    struct loam_tokenizer *tokenizer = load(json);
    free(json);
    return tokenizer;
}

// The rank of a pair, the last one if the pair is listed twice; -1: none.
static int find_rank(const struct random_model *model, int left, int right)
{
    for (int rank = MERGED - 1; rank >= 0; rank--) {
        if (model->left[rank] == left && model->right[rank] == right) return rank;
    }
    return -1;
}

// The definition of BPE: merges the leftmost pair with the best rank until none is left.
static size_t merge_by_definition(const struct random_model *model, const char *text, int32_t *ids)
{
    size_t count = strlen(text);
    for (size_t i = 0; i < count; i++)
        ids[i] = text[i] - 'a';
    for (;;) {
        int best = MERGED;
        size_t place = 0;
        for (size_t i = 0; i + 1 < count; i++) {
            int rank = find_rank(model, ids[i], ids[i + 1]);
            if (rank < 0 || rank >= best) continue;
            best = rank;
            place = i;
        }
        if (best == MERGED) return count;
        ids[place] = model->made[best];
        count--;
        memmove(&ids[place + 1], &ids[place + 2], (count - place - 1) * sizeof *ids);
    }
}

static void words_of_any_length_merge_by_rank(void **state)
{
    (void)state;
    uint32_t random = 7;
    for (int round = 0; round < 40; round++) {
        struct random_model model;
        make_model(&model, round % 2 == 1, &random);
        struct loam_tokenizer *tokenizer = load_model(&model);
        // Lengths below and above the one from which the heap is used.
        for (size_t length = 1; length < LONG; length += length < 70 ? 1 : 97) {
            char text[LONG + 1] = {0};
            int32_t ids[LONG + 1];
            uint32_t letters = 1 + draw(&random) % (uint32_t)model.letters;
            for (size_t i = 0; i < length; i++)
                text[i] = (char)('a' + draw(&random) % letters);
            check_ids(tokenizer, text, ids, merge_by_definition(&model, text, ids));
        }
        loam_tokenizer_destroy(tokenizer);
    }
}

static void a_token_that_is_a_byte_and_a_merge_merges_in_both_cases(void **state)
{
    (void)state;
    struct loam_tokenizer *tokenizer =
        load(FILE_OF("{\"byte_fallback\": true, \"vocab\": {\"<\": 0, \"0\": 1, \"x\": 2, \"4\": 3, \"1\": "
                     "4, \">\": 5, \"b\": 6, "
                     "\"<0\": 7, \"<0x\": 8, \"<0x4\": 9, \"1>\": 10, \"<0x41>\": 11, \"<0x41>b\": 12}, "
                     "\"merges\": [\"< 0\", "
                     "\"<0 x\", \"<0x 4\", \"1 >\", \"<0x4 1>\", \"<0x41> b\"]}",
                     ""));
    check_ids(tokenizer, "<0x41>b", (int32_t[]){12}, 1);
    check_ids(tokenizer, "Abb", (int32_t[]){12, 6}, 2);
    loam_tokenizer_destroy(tokenizer);
}

// ---- Streams ----

static void push(struct loam_decode_stream *stream, int32_t id, const char *expected)
{
    struct loam_error error;
    struct loam_bytes text = {0};
    assert_ok(loam_decode_stream_push(stream, id, &text, &error));
    assert_string_equal(text.data == NULL ? "" : text.data, expected);
    loam_bytes_deinit(&text);
}

static void finish(struct loam_decode_stream *stream, const char *expected)
{
    struct loam_error error;
    struct loam_bytes text = {0};
    assert_ok(loam_decode_stream_finish(stream, &text, &error));
    assert_string_equal(text.data == NULL ? "" : text.data, expected);
    loam_bytes_deinit(&text);
    loam_decode_stream_destroy(stream);
}

static struct loam_decode_stream *start_stream(const struct loam_tokenizer *tokenizer)
{
    struct loam_error error;
    struct loam_decode_stream *stream;
    assert_ok(loam_decode_stream_create(&stream, tokenizer, true, &error));
    return stream;
}

static void byte_level_streams_whole_characters(void **state)
{
    (void)state;
    // The bytes E2 82 AC of the euro sign are spelt U+00E2 U+0124 U+00AC.
    struct loam_tokenizer *tokenizer = load(FILE_OF(
        VOCAB("{\"a\": 0, \"\\u00e2\": 1, \"\\u0124\": 2, \"\\u00ac\": 3, \"\\u00e2\\u0124\\u00aca\": 4}"),
        ", \"decoder\": {\"type\": \"ByteLevel\"}"));
    struct loam_decode_stream *stream = start_stream(tokenizer);
    push(stream, 0, "a");
    push(stream, 1, "");
    push(stream, 2, "");
    push(stream, 3, "\xE2\x82\xAC");
    push(stream, 1, "");
    push(stream, 0,
         "\xEF\xBF\xBD"
         "a"); // incomplete: one replacement character
    push(stream, 4,
         "\xE2\x82\xAC"
         "a");
    push(stream, 2, "\xEF\xBF\xBD");
    push(stream, 1, "");
    finish(stream, "\xEF\xBF\xBD");
    loam_tokenizer_destroy(tokenizer);
}

static void byte_fallback_streams_text_that_cannot_change(void **state)
{
    (void)state;
    struct loam_tokenizer *tokenizer =
        load(FILE_OF(VOCAB("{\"\\u2581a\": 0, \"<0xC3>\": 1, \"<0xA9>\": 2, \"b\": 3}"),
                     ", \"decoder\": {\"type\": \"Sequence\", \"decoders\": [{\"type\": \"Replace\", "
                     "\"pattern\": {\"String\": "
                     "\"\\u2581\"}, \"content\": \" \"}, {\"type\": \"ByteFallback\"}, {\"type\": \"Fuse\"}, "
                     "{\"type\": \"Strip\", "
                     "\"content\": \" \", \"start\": 1, \"stop\": 0}]}"));
    struct loam_decode_stream *stream = start_stream(tokenizer);
    push(stream, 0, "a"); // the first space is stripped, the next is not
    push(stream, 0, " a");
    push(stream, 1, "");
    push(stream, 2, ""); // a following byte could still make the run invalid
    push(stream, 3,
         "\xC3\xA9"
         "b");
    push(stream, 1, "");
    push(stream, 3,
         "\xEF\xBF\xBD"
         "b");
    push(stream, 1, "");
    push(stream, 2, "");
    push(stream, 2, "");
    finish(stream, "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
    loam_tokenizer_destroy(tokenizer);
}

static void text_that_may_be_stripped_is_held_back(void **state)
{
    (void)state;
    struct loam_tokenizer *tokenizer =
        load(FILE_OF(VOCAB("{\"a\": 0, \"_\": 1}"),
                     ", \"decoder\": {\"type\": \"Sequence\", \"decoders\": [{\"type\": \"Fuse\"}, "
                     "{\"type\": \"Strip\", \"content\": \"_\", \"start\": 1, \"stop\": 2}]}"));
    struct loam_decode_stream *stream = start_stream(tokenizer);
    push(stream, 1, "");
    push(stream, 0, "a");
    push(stream, 1, "");
    push(stream, 0, "_a");
    push(stream, 1, "");
    push(stream, 1, "");
    push(stream, 1, "_");
    finish(stream, "");
    loam_tokenizer_destroy(tokenizer);
}

// How much of a text a token spells: all of the token, all of the text, or nothing.
static void tokens_match_the_start_of_a_text(void **state)
{
    (void)state;
    static const struct {
        int32_t id;
        const char *text;
        size_t size;
    } cases[] = {{0, "a", 1},  {0, "ab", 1},  {0, "b", 0},  {0, "ba", 0}, {1, "b", 1},  {2, "a", 1},
                 {2, "ab", 2}, {2, "aba", 2}, {2, "aa", 0}, {2, "", 0},   {-1, "a", 0}, {3, "a", 0}};
    struct loam_tokenizer *tokenizer = load(FILE_OF(MODEL, ""));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(loam_tokenizer_match(tokenizer, cases[i].id, cases[i].text, strlen(cases[i].text)),
                         cases[i].size);
    loam_tokenizer_destroy(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_files_are_refused_by_name),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(ids_and_tokens_lead_to_each_other),
        cmocka_unit_test(broken_utf8_is_refused_where_it_breaks),
        cmocka_unit_test(a_missing_unknown_token_fails_once_it_is_needed),
        cmocka_unit_test(ids_beyond_the_vocabulary_do_not_decode),
        cmocka_unit_test(an_exponential_expression_is_refused),
        cmocka_unit_test(searches_with_too_many_steps_together_are_refused),
        cmocka_unit_test(an_expression_with_too_many_places_is_refused),
        cmocka_unit_test(a_text_that_grows_too_much_is_refused),
        cmocka_unit_test(tokens_that_grow_too_much_are_refused),
        cmocka_unit_test(words_of_any_length_merge_by_rank),
        cmocka_unit_test(a_token_that_is_a_byte_and_a_merge_merges_in_both_cases),
        cmocka_unit_test(byte_level_streams_whole_characters),
        cmocka_unit_test(byte_fallback_streams_text_that_cannot_change),
        cmocka_unit_test(text_that_may_be_stripped_is_held_back),
        cmocka_unit_test(tokens_match_the_start_of_a_text),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
