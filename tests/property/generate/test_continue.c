// A sequence that goes on with another prompt gives the tokens of one that begins with it, and keeps the rows of the cache
// for what both prompts begin with.
#include "test.h"

#include "base/rng.h"
#include "helpers/generation.h"

static struct loam_error error;

enum { VOCABULARY = 97, CONTEXT = 48, NEW = 9, PROMPTS = 25 };

#define LLAMA                                                                                                \
    "{\"model_type\": \"llama\", \"architectures\": [\"LlamaForCausalLM\"], \"vocab_size\": 97, "            \
    "\"hidden_size\": 32, \"intermediate_size\": 40, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, " \
    "\"num_key_value_heads\": 2, \"rms_norm_eps\": 1e-5, \"initializer_range\": 0.3"

static const struct {
    const char *config;
    bool keeps; // rows of the cache hold for prompts of any length
} kinds[] = {
    {"{\"model_type\": \"bloom\", \"architectures\": [\"BloomForCausalLM\"], \"vocab_size\": 97, "
     "\"hidden_size\": 24, "
     "\"n_layer\": 2, \"n_head\": 3, \"initializer_range\": 0.3}",
     true},
    {LLAMA ", \"max_position_embeddings\": 64}", true},
    {LLAMA
     ", \"max_position_embeddings\": 16, \"rope_scaling\": {\"rope_type\": \"dynamic\", \"factor\": 4.0}}",
     false},
};

struct fixture {
    char directory[256];
    struct loam_device *device;
    struct loam_model *model;
    struct loam_generator *generators[2]; // one goes on, the other one begins anew
    struct loam_special_tokens special;
    struct loam_generation generation;
};

static void setup(struct fixture *fixture, const char *config_text)
{
    char path[300];
    struct loam_config config;
    const struct loam_generator_limits limits = {.tokens = 7, .sequences = 1, .context = CONTEXT};
    const struct loam_load_options load = {.dtype = LOAM_F32};
    assert_non_null(test_make_directory(fixture->directory));
    snprintf(path, sizeof path, "%s/config.json", fixture->directory);
    test_write_file(path, config_text, strlen(config_text));
    assert_ok(loam_config_load(&config, fixture->directory, &error));
    assert_ok(loam_model_create(&fixture->model, &config, &error));
    assert_ok(loam_model_init_checkpoint(fixture->model, 5, LOAM_F32, fixture->directory, NULL, &error));
    assert_ok(loam_device_create(&fixture->device, "ref", 1, &error));
    assert_ok(loam_model_load(fixture->model, fixture->directory, fixture->device, &load, &error));
    for (int i = 0; i < 2; i++)
        assert_ok(
            loam_generator_create(&fixture->generators[i], fixture->model, fixture->device, &limits, &error));
    fixture->generation = (struct loam_generation){
        .max_new_tokens = NEW,
        .vocabulary = VOCABULARY,
        .sampling = {.temperature = 1.5, .top_p = 1, .repetition_penalty = 1},
        .special = &fixture->special,
    };
}

static void teardown(struct fixture *fixture)
{
    for (int i = 0; i < 2; i++)
        loam_generator_destroy(fixture->generators[i]);
    loam_model_destroy(fixture->model);
    loam_device_destroy(fixture->device);
    test_remove_directory(fixture->directory);
}

static int32_t draw(uint64_t *counter, int32_t below)
{
    return (int32_t)(loam_rng_uniform(3, loam_rng_stream(LOAM_RNG_SAMPLE, 0), (*counter)++) * (float)below) %
           below;
}

// The tokens of a sequence: those that were fed, and one more that was not.
struct history {
    int32_t ids[CONTEXT + NEW];
    int32_t count;
    int32_t fed;
};

// Generates at most `most` tokens of the sequence, as a caller does that may stop before its end.
static void generate(struct loam_generator *generator, const int32_t *prompt, int32_t count, int32_t most,
                     struct history *history)
{
    memcpy(history->ids, prompt, (size_t)count * sizeof *prompt);
    history->count = count;
    history->fed = 0;
    for (int32_t made = 0; made < most;) {
        struct loam_generated next;
        size_t ran;
        assert_ok(loam_generator_advance(generator, &next, &ran, &error));
        assert_int_equal(ran, 1);
        if (next.id < 0) continue;
        history->fed = history->count;
        history->ids[history->count++] = next.id;
        made++;
        if (next.finish != LOAM_FINISH_NONE) break;
    }
}

// Makes a prompt of a beginning of the history, and other tokens.
static int32_t draw_prompt(uint64_t *counter, const struct history *history, int32_t *prompt)
{
    int32_t count = history->count == 0 ? 0 : draw(counter, history->count + 1);
    if (count > 30) count = 30;
    memcpy(prompt, history->ids, (size_t)count * sizeof *prompt);
    for (int32_t more = draw(counter, 8) + (count == 0); more > 0; more--)
        prompt[count++] = draw(counter, VOCABULARY);
    return count;
}

static int32_t count_common(const struct history *history, const int32_t *prompt, int32_t count)
{
    int32_t common = 0;
    while (common < history->fed && common < count - 1 && history->ids[common] == prompt[common])
        common++;
    return common;
}

static int32_t continue_many(struct fixture *fixture, bool keeps)
{
    const struct loam_segments base = {0};
    struct history history = {0}, fresh;
    uint64_t counter = 0;
    int32_t sequence = -1, all_kept = 0, kept;
    for (int i = 0; i < PROMPTS; i++) {
        int32_t prompt[CONTEXT], other;
        const int32_t count = draw_prompt(&counter, &history, prompt), most = 1 + draw(&counter, NEW);
        fixture->generation.sampling.seed = (uint64_t)i;
        if (i == 0) {
            assert_ok(loam_generator_begin(fixture->generators[0], prompt, count, &fixture->generation, &base,
                                           &sequence, &error));
        } else {
            assert_ok(loam_generator_continue(fixture->generators[0], sequence, prompt, count,
                                              &fixture->generation, &kept, &error));
            assert_int_equal(kept, keeps ? count_common(&history, prompt, count) : 0);
            all_kept += kept;
        }
        assert_ok(loam_generator_begin(fixture->generators[1], prompt, count, &fixture->generation, &base,
                                       &other, &error));
        generate(fixture->generators[0], prompt, count, most, &history);
        generate(fixture->generators[1], prompt, count, most, &fresh);
        loam_generator_end(fixture->generators[1], other);
        assert_int_equal(history.count, fresh.count);
        assert_memory_equal(history.ids, fresh.ids, (size_t)fresh.count * sizeof *fresh.ids);
    }
    loam_generator_end(fixture->generators[0], sequence);
    assert_fails(loam_generator_continue(fixture->generators[0], sequence, history.ids, 1,
                                         &fixture->generation, &kept, &error),
                 LOAM_ERROR_ARGUMENT, "no sequence");
    return all_kept;
}

static void test_continued_is_fresh(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct fixture fixture = {0};
        setup(&fixture, kinds[i].config);
        const int32_t kept = continue_many(&fixture, kinds[i].keeps);
        if (kinds[i].keeps) assert_true(kept > 2 * PROMPTS);
        teardown(&fixture);
    }
}

static void test_a_refused_prompt_ends_the_sequence(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    const struct loam_segments base = {0};
    const int32_t good[] = {3, 4}, bad[] = {3, VOCABULARY};
    int32_t sequence, kept;
    setup(&fixture, kinds[1].config);
    struct loam_generator *generator = fixture.generators[0];
    assert_ok(loam_generator_begin(generator, good, 2, &fixture.generation, &base, &sequence, &error));
    assert_fails(loam_generator_continue(generator, sequence, bad, 2, &fixture.generation, &kept, &error),
                 LOAM_ERROR_ARGUMENT, "id 97");
    assert_false(loam_generator_has(generator, sequence));
    assert_ok(loam_generator_begin(generator, good, 2, &fixture.generation, &base, &sequence, &error));
    teardown(&fixture);
}

static void test_stop_ids(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    const struct loam_segments base = {0};
    const int32_t prompt[] = {3, 4, 5};
    int32_t all[NEW], some[NEW], all_count, some_count;
    setup(&fixture, kinds[0].config);
    assert_int_equal(
        test_generate(fixture.generators[0], prompt, 3, &fixture.generation, &base, all, &all_count),
        LOAM_FINISH_LENGTH);
    const int32_t stops[] = {all[NEW - 2], all[4]};
    int32_t first = 0;
    while (all[first] != stops[0] && all[first] != stops[1])
        first++;
    fixture.generation.stop_ids = stops;
    fixture.generation.stop_count = 2;
    assert_int_equal(
        test_generate(fixture.generators[0], prompt, 3, &fixture.generation, &base, some, &some_count),
        LOAM_FINISH_STOP);
    assert_int_equal(some_count, first);
    assert_memory_equal(some, all, (size_t)first * sizeof *all);
    teardown(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_continued_is_fresh),
        cmocka_unit_test(test_a_refused_prompt_ends_the_sequence),
        cmocka_unit_test(test_stop_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
