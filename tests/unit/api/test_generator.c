// Generators of loam.h.
#include "common_handles.h"

#include <jansson.h>

static struct loam_error error;

enum { CONTEXT = 48, NEW = 12 };

static struct loam_generator_handle *open_generator(const struct opened *opened, int32_t sequences,
                                                    struct loam_adapter_handle *const *adapters, size_t count)
{
    struct loam_generator_handle *generator;
    struct loam_generator_settings settings = LOAM_GENERATOR_SETTINGS_INIT;
    settings.sequences = sequences;
    settings.context = CONTEXT;
    settings.adapters = adapters;
    settings.adapter_count = count;
    settings.tokenizer = opened->tokenizer;
    assert_ok(loam_generator_open(&generator, opened->model, &settings, &error));
    return generator;
}

static struct loam_prompt_settings prompt_of(const char *text, uint64_t seed)
{
    struct loam_prompt_settings prompt = LOAM_PROMPT_SETTINGS_INIT;
    prompt.text = text;
    prompt.text_size = strlen(text);
    prompt.max_new_tokens = NEW;
    prompt.temperature = 1.5;
    prompt.seed = seed;
    return prompt;
}

struct output {
    int32_t ids[NEW + 1];
    int32_t count;
    enum loam_finish finish;
};

// Steps until no sequence runs; output [sequences].
static void run(struct loam_generator_handle *generator, struct output *output)
{
    struct loam_generated tokens[4];
    size_t count;
    do {
        assert_ok(loam_generator_step(generator, tokens, &count, &error));
        for (size_t i = 0; i < count; i++) {
            struct output *out = &output[tokens[i].sequence];
            out->finish = tokens[i].finish;
            if (tokens[i].id >= 0 && out->finish != LOAM_FINISH_STOP) out->ids[out->count++] = tokens[i].id;
        }
    } while (count > 0);
}

static struct output generate_alone(struct loam_generator_handle *generator,
                                    const struct loam_prompt_settings *prompt)
{
    struct output output[4] = {0};
    int32_t sequence;
    assert_ok(loam_generator_add(generator, prompt, &sequence, &error));
    run(generator, output);
    loam_generator_remove(generator, sequence);
    return output[sequence];
}

static void assert_same_output(const struct output *a, const struct output *b)
{
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->finish, b->finish);
    assert_memory_equal(a->ids, b->ids, (size_t)a->count * sizeof(int32_t));
}

static bool collect(void *user, const char *text, size_t size)
{
    char *all = user;
    strncat(all, text, size);
    return true;
}

// The ids of `loam generate`.
static void generate_by_command(const struct opened *opened, const char *prompt, struct output *output)
{
    char text[4096] = "";
    const struct loam_callbacks callbacks = {.user = text, .text = collect};
    const char *const pairs[][2] = {{"model", opened->fixture.model},
                                    {"prompt", prompt},
                                    {"max-new-tokens", "12"},
                                    {"temperature", "1.5"},
                                    {"seed", "5"},
                                    {"device", "ref"},
                                    {"dtype", "f32"},
                                    {"json", "true"}};
    struct loam_options *options;
    assert_ok(loam_options_create(&options, LOAM_COMMAND_GENERATE, &error));
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        assert_ok(loam_options_set(options, pairs[i][0], pairs[i][1], &error));
    assert_ok(loam_run(options, &callbacks, &error));
    loam_options_destroy(options);
    json_t *root = json_loads(text, 0, NULL), *ids = json_object_get(root, "ids");
    assert_non_null(ids);
    for (size_t i = 0; i < json_array_size(ids); i++)
        output->ids[output->count++] = (int32_t)json_integer_value(json_array_get(ids, i));
    output->finish = strcmp(json_string_value(json_object_get(root, "finish_reason")), "stop") == 0
                         ? LOAM_FINISH_STOP
                         : LOAM_FINISH_LENGTH;
    json_decref(root);
}

static void text_is_that_of_the_command(void **state)
{
    (void)state;
    struct opened opened;
    opened_make(&opened, "bloom");
    struct loam_generator_handle *generator = open_generator(&opened, 1, NULL, 0);
    const struct loam_prompt_settings prompt = prompt_of("the cat ", 5);
    const struct output ours = generate_alone(generator, &prompt);
    struct output by_command = {0};
    generate_by_command(&opened, "the cat ", &by_command);
    assert_true(ours.count > 0);
    assert_same_output(&ours, &by_command);
    loam_generator_close(generator);
    opened_remove(&opened);
}

// An adapter whose B is not zero.
static struct loam_adapter_handle *trained_adapter(const struct opened *opened)
{
    const char *const lines[] = {"the cat sat", "a dog"};
    struct loam_adapter_handle *adapter = opened_adapter(opened, 1, 0);
    struct loam_trainer_handle *trainer;
    struct loam_trainer_config config = LOAM_TRAINER_CONFIG_INIT;
    struct texts texts;
    config.tokens = 64;
    config.sequences = 2;
    config.adapters = &adapter;
    config.adapter_count = 1;
    assert_ok(loam_trainer_open(&trainer, opened->model, &config, &error));
    texts_pack(&texts, opened, lines, 2, 1);
    for (int i = 0; i < 3; i++) {
        assert_ok(loam_trainer_accumulate(trainer, &texts.batch, NULL, &error));
        assert_ok(loam_trainer_update(trainer, 0.1, NULL, &error));
    }
    loam_trainer_close(trainer);
    return adapter;
}

// Sequences that run together, begin at other times and take other adapters give what each gives alone.
static void several_at_once(void **state)
{
    (void)state;
    struct opened opened;
    opened_make(&opened, "llama");
    struct loam_adapter_handle *adapter = trained_adapter(&opened);
    struct loam_generator_handle *generator = open_generator(&opened, 3, &adapter, 1);
    struct loam_prompt_settings prompts[] = {prompt_of("the cat", 1), prompt_of("the cat", 1),
                                             prompt_of("birds", 2)};
    prompts[1].adapter = adapter;
    struct output alone[3], together[4] = {0};
    int32_t sequences[3], fourth;
    struct loam_generated tokens[4];
    size_t count;
    for (size_t i = 0; i < 3; i++)
        alone[i] = generate_alone(generator, &prompts[i]);
    assert_memory_not_equal(alone[0].ids, alone[1].ids, sizeof alone[0].ids);
    assert_ok(loam_generator_add(generator, &prompts[0], &sequences[0], &error));
    assert_ok(loam_generator_add(generator, &prompts[1], &sequences[1], &error));
    assert_ok(loam_generator_step(generator, tokens, &count, &error));
    assert_int_equal(count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(tokens[i].sequence, sequences[i]);
        together[sequences[i]].ids[together[sequences[i]].count++] = tokens[i].id;
        together[sequences[i]].finish = tokens[i].finish;
    }
    assert_ok(loam_generator_add(generator, &prompts[2], &sequences[2], &error));
    assert_fails(loam_generator_add(generator, &prompts[2], &fourth, &error), LOAM_ERROR_ARGUMENT,
                 "all 3 sequences");
    assert_int_equal(fourth, -1);
    run(generator, together);
    for (size_t i = 0; i < 3; i++)
        assert_same_output(&together[sequences[i]], &alone[i]);
    loam_generator_remove(generator, sequences[1]);
    loam_generator_remove(generator, sequences[1]); // nothing there
    loam_generator_remove(generator, 99);
    loam_generator_remove(generator, -1);
    assert_ok(loam_generator_add(generator, &prompts[2], &fourth, &error));
    assert_int_equal(fourth, sequences[1]);
    loam_generator_close(generator);
    loam_adapter_close(adapter);
    opened_remove(&opened);
}

static void ends(void **state)
{
    (void)state;
    struct opened opened;
    opened_make(&opened, "bloom");
    struct loam_generator_handle *generator = open_generator(&opened, 1, NULL, 0);
    int32_t ids[CONTEXT + 1];
    for (int32_t i = 0; i <= CONTEXT; i++)
        ids[i] = 4 + 'a';
    struct loam_prompt_settings prompt = prompt_of("", 1);
    prompt.ids = ids;
    prompt.count = CONTEXT - 2;
    prompt.temperature = 0;
    struct output output = generate_alone(generator, &prompt);
    assert_int_equal(output.finish, LOAM_FINISH_CONTEXT);
    assert_int_equal(output.count, 3); // the last needs no place
    prompt.count = 4;
    output = generate_alone(generator, &prompt);
    assert_int_equal(output.finish, LOAM_FINISH_LENGTH);
    assert_int_equal(output.count, NEW);
    const int32_t stops[] = {INT32_MAX, output.ids[0]};
    prompt.stop_ids = stops;
    prompt.stop_count = 2;
    output = generate_alone(generator, &prompt);
    assert_int_equal(output.finish, LOAM_FINISH_STOP);
    assert_int_equal(output.count, 0);
    prompt.stop_ids = NULL;
    prompt.stop_count = 0;
    int32_t sequence;
#define REFUSED(change, text)                                                                                \
    do {                                                                                                     \
        struct loam_prompt_settings bad = prompt;                                                            \
        change;                                                                                              \
        assert_fails(loam_generator_add(generator, &bad, &sequence, &error), LOAM_ERROR_ARGUMENT, text);     \
    } while (0)
    REFUSED(bad.count = 0, "empty prompt");
    REFUSED(bad.count = CONTEXT + 1, "room for 48");
    REFUSED(bad.count = SIZE_MAX, "at most");
    REFUSED(bad.max_new_tokens = 0, "max_new_tokens");
    REFUSED(bad.temperature = -1, "temperature");
    REFUSED(bad.top_k = -1, "top_k");
    REFUSED(bad.top_p = 0, "top_p");
    REFUSED(bad.repetition_penalty = 0, "repetition_penalty");
    REFUSED(bad.min_p = -0.1, "min_p");
    REFUSED(bad.min_p = 1.1, "min_p");
    REFUSED(bad.stop_count = 1, "stop_ids");
    REFUSED((bad.ids = NULL, bad.text = NULL), "NULL");
    REFUSED((bad.ids = NULL, bad.text_size = 0), "empty prompt");
    ids[1] = 260;
    REFUSED((void)bad, "260");
    ids[1] = 4;
    struct loam_adapter_handle *adapter = opened_adapter(&opened, 1, 0);
    REFUSED(bad.adapter = adapter, "none of those");
    loam_adapter_close(adapter);
#undef REFUSED
    loam_generator_close(generator);
    opened_remove(&opened);
}

static void wrong_settings(void **state)
{
    (void)state;
    struct opened opened;
    opened_make(&opened, "llama"); // 96 positions
    struct loam_generator_handle *generator;
    struct loam_generator_settings settings = LOAM_GENERATOR_SETTINGS_INIT;
    struct loam_prompt_settings prompt = prompt_of("text", 1);
    int32_t sequence;
    settings.context = 97;
    settings.sequences = 1;
    assert_fails(loam_generator_open(&generator, opened.model, &settings, &error), LOAM_ERROR_ARGUMENT, "96");
    settings.context = 96;
    settings.sequences = 0;
    assert_fails(loam_generator_open(&generator, opened.model, &settings, &error), LOAM_ERROR_ARGUMENT,
                 "sequences");
    assert_fails(loam_generator_open(&generator, NULL, &settings, &error), LOAM_ERROR_ARGUMENT, "NULL");
    assert_null(generator);
    settings.sequences = 1;
    assert_ok(loam_generator_open(&generator, opened.model, &settings, &error));
    assert_fails(loam_generator_add(generator, &prompt, &sequence, &error), LOAM_ERROR_ARGUMENT,
                 "without a tokenizer");
    assert_fails(loam_generator_add(generator, NULL, &sequence, &error), LOAM_ERROR_ARGUMENT, "NULL");
    loam_generator_close(generator);
    loam_generator_close(NULL);
    opened_remove(&opened);
}

static void closed_last(void **state)
{
    (void)state;
    struct opened opened;
    opened_make(&opened, "bloom");
    struct loam_adapter_handle *adapter = trained_adapter(&opened);
    struct loam_generator_handle *generator = open_generator(&opened, 2, &adapter, 1);
    struct loam_prompt_settings prompt = prompt_of("the cat", 1);
    struct output output[4] = {0};
    int32_t sequence;
    prompt.adapter = adapter;
    assert_ok(loam_generator_add(generator, &prompt, &sequence, &error));
    loam_adapter_close(adapter);
    opened_remove(&opened);
    run(generator, output);
    assert_true(output[sequence].finish != LOAM_FINISH_NONE);
    loam_generator_close(generator);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_that_of_the_command),
        cmocka_unit_test(several_at_once),
        cmocka_unit_test(ends),
        cmocka_unit_test(wrong_settings),
        cmocka_unit_test(closed_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
