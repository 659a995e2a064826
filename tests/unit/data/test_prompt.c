// The ids of a training example begin with those of the prompt for generation.
#include "test.h"

#include "helpers/labels.h"

#include "base/file.h"
#include "data/example.h"
#include "helpers/cases.h"

static struct loam_error error;

// ---- An example and its prompt ----

struct made {
    struct loam_example example;
    struct loam_example prompt;
    struct loam_example_work work; // of the prompt
    struct loam_rendered rendered; // of the prompt
};

static void release(struct made *made)
{
    loam_example_deinit(&made->example);
    loam_example_deinit(&made->prompt);
    loam_example_work_deinit(&made->work);
    loam_rendered_deinit(&made->rendered);
}

// The example of `prompt_text` + `completion` and the prompt of `prompt_text` alone.
static void make(const struct loam_tokenizer *tokenizer, const struct loam_special_tokens *special,
                 const char *prompt_text, const char *completion, struct made *made)
{
    *made = (struct made){0};
    struct loam_example_work work = {0};
    struct loam_bytes whole = {0};
    assert_ok(loam_bytes_format(&whole, &error, "%s%s", prompt_text, completion));
    const struct loam_example_source source = {
        .text = whole.data, .size = whole.size, .completion_start = strlen(prompt_text), .wants_eos = true};
    const struct loam_example_options options = {.name = "test",
                                                 .loss_on = LOAM_LOSS_ON_COMPLETION,
                                                 .max_length = 4096,
                                                 .tokenizer = tokenizer,
                                                 .special = special,
                                                 .vocabulary = INT32_MAX};
    enum loam_example_fate fate;
    assert_ok(loam_example_build(&made->example, &source, &options, &work, &fate, &error));
    assert_ok(loam_bytes_append_text(&made->rendered.text, prompt_text, &error));
    assert_ok(loam_example_build_prompt(&made->prompt, &made->rendered, tokenizer, special, INT32_MAX,
                                        &made->work, &error));
    loam_example_work_deinit(&work);
    loam_bytes_deinit(&whole);
}

// Whether labels begin after the prompt. The first token of an example is never predicted, so its label does
// not matter.
static bool labels_follow(const struct made *made)
{
    int32_t start = test_first_label(made->example.weights, made->example.count);
    return start == made->prompt.count || (start < 2 && made->prompt.count < 2);
}

static void assert_prefix(const char *name, const char *prompt_text, const char *completion,
                          const struct made *made)
{
    size_t size = (size_t)made->prompt.count * sizeof *made->prompt.ids;
    if (made->prompt.count <= made->example.count &&
        (size == 0 || memcmp(made->prompt.ids, made->example.ids, size) == 0) && labels_follow(made))
        return;
    fail_msg("%s: \"%s\" + \"%s\": %d ids of a prompt, %d of an example whose labels start at %d", name,
             prompt_text, completion, made->prompt.count, made->example.count,
             test_first_label(made->example.weights, made->example.count));
}

// Generation allows the example's own tokens.
static void assert_heals(const char *name, const struct loam_tokenizer *tokenizer, const char *prompt_text,
                         const char *completion, const struct made *made)
{
    struct loam_healing healing = {0};
    size_t cut = made->work.prompt.cut;
    assert_ok(loam_healing_begin(&healing, tokenizer, prompt_text + cut, strlen(prompt_text) - cut, &error));
    int32_t vocabulary = loam_tokenizer_vocabulary_size(tokenizer);
    bool *allowed = calloc((size_t)vocabulary, sizeof *allowed);
    assert_non_null(allowed);
    for (int32_t i = made->prompt.count; i < made->example.count && !loam_healing_is_done(&healing); i++) {
        int32_t id = made->example.ids[i];
        if (!loam_healing_allow(&healing, allowed, vocabulary) || !allowed[id])
            fail_msg("%s: \"%s\" + \"%s\": token %d is not allowed", name, prompt_text, completion, id);
        loam_healing_accept(&healing, id);
    }
    free(allowed);
    loam_healing_deinit(&healing);
}

// Checks the text of the generated tokens without the part that repeats the prompt.
static void assert_reads(const char *name, const struct loam_tokenizer *tokenizer, const char *prompt_text,
                         const char *completion, const struct made *made)
{
    struct loam_healing healing = {0};
    struct loam_bytes text = {0};
    size_t cut = made->work.prompt.cut;
    assert_ok(loam_healing_begin(&healing, tokenizer, prompt_text + cut, strlen(prompt_text) - cut, &error));
    assert_ok(loam_tokenizer_decode(tokenizer, made->example.ids + made->prompt.count,
                                    (size_t)(made->example.count - made->prompt.count), true, &text, &error));
    loam_healing_strip(&healing, &text);
    const char *got = text.data != NULL ? text.data : "";
    // Metaspace decoders remove the space before the first word.
    bool same = strcmp(got, completion) == 0 || (completion[0] == ' ' && strcmp(got, completion + 1) == 0);
    if (!same) fail_msg("%s: \"%s\" + \"%s\" reads \"%s\"", name, prompt_text, completion, got);
    loam_bytes_deinit(&text);
    loam_healing_deinit(&healing);
}

// ---- Every kind of boundary ----

static const char *const prompts[] = {
    "Q: x A: ",
    "Q: x A:",
    "A:\t",
    "A\n",
    "A\n\n",
    "A\r\n",
    "A \n",
    "A\n ",
    "A:  ",
    "A: \t ",
    "un",
    "A re",
    "A (",
    "A \"",
    "A '",
    "{\"a\": \"",
    "No. 1",
    "A 19",
    "A</s>",
    "A</s> ",
    "<s>",
    "A</s>\n",
    "A -> ",
    "A=",
    "\xC3\xA9",
    "e",
    "A\xC2\xA0",
    "A\xE2\x80\x83",
    "\xE6\x97\xA5",
    "A #",
    "A...",
    "$",
    " ",
    "\n",
    "",
    "A<",
    "A</",
    "A don",
    "A'",
    "A\xF0\x9F\x98\x80",
};
static const char *const completions[] = {
    "a",         "Paris",     " Paris",       "happy", "9",   "2010", "",    "\n",  "\n\nx",
    "  two",     " ",         "(x)",          "\"x\"", "'t",  "...",  "/s>", "s>",  "</s>x",
    "e\xCC\x81", "\xCC\x81x", "\xE6\x9C\xAC", "\t",    "\tx", "://",  "z",   "The", "\xF0\x9F\x98\x80",
    "-5",        "#",
};

static void check_pairs(const char *name, const struct loam_tokenizer *tokenizer,
                        const struct loam_special_tokens *special, bool lossless)
{
    for (size_t i = 0; i < sizeof prompts / sizeof *prompts; i++) {
        for (size_t j = 0; j < sizeof completions / sizeof *completions; j++) {
            struct made made;
            make(tokenizer, special, prompts[i], completions[j], &made);
            assert_prefix(name, prompts[i], completions[j], &made);
            if (lossless) assert_heals(name, tokenizer, prompts[i], completions[j], &made);
            if (lossless && strchr(completions[j], '<') == NULL)
                assert_reads(name, tokenizer, prompts[i], completions[j], &made);
            release(&made);
        }
    }
}

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 16;
}

// A text of up to six pieces of the tables above.
static void random_text(uint32_t *state, struct loam_bytes *text)
{
    loam_bytes_clear(text);
    assert_ok(loam_bytes_append_text(text, "", &error));
    for (uint32_t i = next_random(state) % 7; i > 0; i--) {
        uint32_t at = next_random(state);
        const char *bit = next_random(state) % 2 == 0
                              ? prompts[at % (sizeof prompts / sizeof *prompts)]
                              : completions[at % (sizeof completions / sizeof *completions)];
        assert_ok(loam_bytes_append_text(text, bit, &error));
    }
}

static void check_random(const char *name, const struct loam_tokenizer *tokenizer,
                         const struct loam_special_tokens *special, int times)
{
    struct loam_bytes prompt = {0};
    struct loam_bytes completion = {0};
    uint32_t state = 7;
    for (int i = 0; i < times; i++) {
        struct made made;
        random_text(&state, &prompt);
        random_text(&state, &completion);
        make(tokenizer, special, prompt.data, completion.data, &made);
        assert_prefix(name, prompt.data, completion.data, &made);
        release(&made);
    }
    loam_bytes_deinit(&prompt);
    loam_bytes_deinit(&completion);
}

static struct loam_special_tokens find_special(const struct loam_tokenizer *tokenizer, bool bos)
{
    static int32_t ends[1];
    int32_t eos = loam_tokenizer_token_to_id(tokenizer, "</s>");
    if (eos < 0) eos = loam_tokenizer_vocabulary_size(tokenizer) - 1;
    ends[0] = eos;
    return (struct loam_special_tokens){
        .bos = bos ? 1 : -1, .eos = eos, .eos_text = "</s>", .eos_ids = ends, .eos_count = 1, .add_bos = bos};
}

static void every_kind_of_tokenizer(void **state)
{
    (void)state;
    char directory[256];
    char path[300];
    snprintf(path, sizeof path, "%s/tokenizer.json", test_make_directory(directory));
    json_t *models = test_tokenizer_data("models.json");
    json_t *entries = test_tokenizer_data("cases.json");
    size_t index;
    json_t *entry;
    json_array_foreach(entries, index, entry)
    {
        struct loam_tokenizer *tokenizer;
        const char *name = json_string_value(json_object_get(entry, "name"));
        test_write_tokenizer(path, entry, models);
        assert_ok(loam_tokenizer_load(&tokenizer, path, &error));
        struct loam_special_tokens special = find_special(tokenizer, index % 2 == 1);
        check_pairs(name, tokenizer, &special, false);
        check_random(name, tokenizer, &special, 50);
        loam_tokenizer_destroy(tokenizer);
    }
    json_decref(entries);
    json_decref(models);
    test_remove_directory(directory);
}

static const char *const real[] = {
    LOAM_TESTS "/../examples/stories/model/tokenizer.json",
    LOAM_TEST_SHARED "/tokenizers/gpt2-tokenizer.json",
    LOAM_TEST_SHARED "/tokenizers/mistral01-tokenizer.json",
    LOAM_TEST_SHARED "/stories260K/tokenizer.json",
};

static void real_tokenizers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof real / sizeof *real; i++) {
        if (!loam_file_exists(real[i])) {
            printf("left out: %s is not there\n", real[i]);
            continue;
        }
        struct loam_tokenizer *tokenizer;
        assert_ok(loam_tokenizer_load(&tokenizer, real[i], &error));
        struct loam_special_tokens special = find_special(tokenizer, false);
        check_pairs(real[i], tokenizer, &special, true);
        check_random(real[i], tokenizer, &special, 500);
        loam_tokenizer_destroy(tokenizer);
    }
}

// Where the completion is an ordinary word, the example has the tokenizer's own ids of the whole text.
static void ordinary_examples_are_the_tokenizers_own(void **state)
{
    (void)state;
    static const struct {
        const char *prompt;
        const char *completion;
    } pairs[] = {
        {"Q: x A: ", "Paris"}, {"Q: x A:", " Paris"}, {"### ANSWER\n", "the mill"}, {"A\n\n", "The mill"},
        {"A:\t", "mill"},      {"A: ", "a mill"},     {"is", " the mill"},          {"A -> ", "mill"},
    };
    for (size_t i = 0; i < sizeof real / sizeof *real; i++) {
        if (!loam_file_exists(real[i])) continue;
        struct loam_tokenizer *tokenizer;
        assert_ok(loam_tokenizer_load(&tokenizer, real[i], &error));
        struct loam_special_tokens special = find_special(tokenizer, false);
        for (size_t j = 0; j < sizeof pairs / sizeof *pairs; j++) {
            struct made made;
            struct loam_encoding whole = {0};
            char text[64];
            snprintf(text, sizeof text, "%s%s", pairs[j].prompt, pairs[j].completion);
            make(tokenizer, &special, pairs[j].prompt, pairs[j].completion, &made);
            assert_ok(loam_tokenizer_encode(tokenizer, text, strlen(text), true, &whole, &error));
            assert_int_equal(made.example.count, whole.count + 1);
            assert_memory_equal(made.example.ids, whole.ids, whole.count * sizeof *whole.ids);
            assert_true(test_first_label(made.example.weights, made.example.count) < made.example.count - 1);
            loam_encoding_deinit(&whole);
            release(&made);
        }
        loam_tokenizer_destroy(tokenizer);
    }
}

// ---- {eos} is the id ----

enum spoilt { NOT_ADDED, NORMALIZED };

// The tokenizer of examples/stories with a </s> that is in the vocabulary but not an added token, or that is
// searched for in the normalised text, which does not contain it.
static struct loam_tokenizer *load_changed_tokenizer(const char *directory, enum spoilt spoilt)
{
    json_error_t problem;
    json_t *root = json_load_file(LOAM_TESTS "/../examples/stories/model/tokenizer.json", 0, &problem);
    assert_non_null(root);
    json_t *added = json_object_get(root, "added_tokens");
    size_t index;
    json_t *token = NULL;
    json_array_foreach(added, index, token)
    {
        if (strcmp(json_string_value(json_object_get(token, "content")), "</s>") == 0) break;
    }
    assert_non_null(token);
    if (spoilt == NOT_ADDED) {
        json_array_remove(added, index);
    } else {
        json_object_set_new(token, "normalized", json_true());
        json_object_set_new(root, "normalizer", json_pack("{s:s, s:s}", "type", "Prepend", "prepend", "_"));
    }
    char path[300];
    snprintf(path, sizeof path, "%s/tokenizer.json", directory);
    assert_int_equal(json_dump_file(root, path, JSON_COMPACT), 0);
    json_decref(root);
    struct loam_tokenizer *tokenizer;
    assert_ok(loam_tokenizer_load(&tokenizer, path, &error));
    return tokenizer;
}

static void eos_is_one_token_for_any_encoding_of_its_text(void **state)
{
    (void)state;
    enum { EOS = 2 };
    char directory[256];
    test_make_directory(directory);
    for (enum spoilt spoilt = NOT_ADDED; spoilt <= NORMALIZED; spoilt++) {
        struct loam_tokenizer *tokenizer = load_changed_tokenizer(directory, spoilt);
        struct loam_encoding text = {0};
        assert_ok(loam_tokenizer_encode(tokenizer, "a</s>", 5, false, &text, &error));
        assert_int_not_equal(text.ids[text.count - 1], EOS); // encoded as text it is several characters
        struct loam_special_tokens special = find_special(tokenizer, false);
        assert_int_equal(special.eos, EOS);
        struct loam_template *prompt_template;
        static const char shots[] = "1 is odd{eos}{q} is{eos} {a}{eos}";
        assert_ok(loam_template_parse(&prompt_template, shots, sizeof shots - 1, "test", &error));
        const struct loam_field fields[] = {{"q", "2", 1}, {"a", "even", 4}};
        struct loam_rendered rendered = {0};
        assert_ok(loam_template_render(prompt_template, fields, 2, &special, true, &rendered, &error));
        struct loam_example prompt = {0};
        struct loam_example_work work = {0};
        assert_ok(
            loam_example_build_prompt(&prompt, &rendered, tokenizer, &special, INT32_MAX, &work, &error));
        int ends = 0;
        for (int32_t i = 0; i < prompt.count; i++)
            ends += prompt.ids[i] == EOS;
        assert_int_equal(ends, 2);
        assert_int_equal(prompt.ids[prompt.count - 1], EOS);
        loam_example_work_deinit(&work);
        loam_example_deinit(&prompt);
        loam_rendered_deinit(&rendered);
        loam_template_destroy(prompt_template);
        loam_encoding_deinit(&text);
        loam_tokenizer_destroy(tokenizer);
    }
    test_remove_directory(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_tokenizer),
        cmocka_unit_test(real_tokenizers),
        cmocka_unit_test(ordinary_examples_are_the_tokenizers_own),
        cmocka_unit_test(eos_is_one_token_for_any_encoding_of_its_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
