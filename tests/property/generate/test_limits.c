// Limits of the decoder: a prompt longer than one pass is split, and one longer than the context is an error.
#include "test.h"

#include <math.h>

#include "helpers/feed.h"
#include "helpers/generation.h"
#include "model/trainables.h"

static struct loam_error error;

enum { TOKENS = 23, MAX_VOCABULARY = 128 };

static const char *const configs[] = {
    "{\"model_type\": \"bloom\", \"architectures\": [\"BloomForCausalLM\"], \"vocab_size\": 97, "
    "\"hidden_size\": 24,"
    " \"n_layer\": 2, \"n_head\": 3, \"initializer_range\": 0.3}",
    "{\"model_type\": \"llama\", \"architectures\": [\"LlamaForCausalLM\"], \"vocab_size\": 97, "
    "\"hidden_size\": 32,"
    " \"intermediate_size\": 40, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, "
    "\"num_key_value_heads\": 2,"
    " \"max_position_embeddings\": 64, \"rms_norm_eps\": 1e-5, \"initializer_range\": 0.3}",
};

struct fixture {
    char directory[256];
    struct loam_device *device;
    struct loam_model *model;
};

static void setup(struct fixture *fixture, const char *config_text, const char *device, enum loam_dtype dtype)
{
    char path[300];
    struct loam_config config;
    assert_non_null(test_make_directory(fixture->directory));
    snprintf(path, sizeof path, "%s/config.json", fixture->directory);
    test_write_file(path, config_text, strlen(config_text));
    assert_ok(loam_config_load(&config, fixture->directory, &error));
    assert_ok(loam_model_create(&fixture->model, &config, &error));
    assert_ok(loam_model_init_checkpoint(fixture->model, 5, LOAM_F32, fixture->directory, NULL, &error));
    assert_ok(loam_device_create(&fixture->device, device, 2, &error));
    struct loam_load_options load = {.dtype = dtype, .writable = true};
    assert_ok(loam_model_load(fixture->model, fixture->directory, fixture->device, &load, &error));
}

static void teardown(struct fixture *fixture)
{
    loam_model_destroy(fixture->model);
    loam_device_destroy(fixture->device);
    test_remove_directory(fixture->directory);
}

static void compare(const float *expected, const float *got, int64_t count, const char *what)
{
    double difference = 0, norm = 0;
    for (int64_t i = 0; i < count; i++) {
        difference += pow((double)expected[i] - (double)got[i], 2);
        norm += pow((double)expected[i], 2);
    }
    assert_true(norm > 1e-6);
    if (sqrt(difference / norm) > 1e-5) fail_msg("%s: relative difference %g", what, sqrt(difference / norm));
}

// A decoder with a small limit of tokens splits a long prompt into passes.
static void check_long_prompt(const struct fixture *fixture)
{
    struct loam_decoder *decoders[2];
    static float logits[2][MAX_VOCABULARY];
    int32_t ids[TOKENS];
    for (int i = 0; i < TOKENS; i++)
        ids[i] = i;
    for (int i = 0; i < 2; i++) {
        const struct loam_decoder_limits limits = {
            .tokens = i == 0 ? TOKENS : 5, .sequences = 1, .context = TOKENS, .generate = true};
        assert_ok(loam_decoder_create(&decoders[i], fixture->model, fixture->device, &limits, &error));
        assert_ok(test_feed(decoders[i], ids, TOKENS, logits[i], &error));
    }
    compare(logits[0], logits[1], fixture->model->config.vocabulary, "chunks of 5");
    assert_fails(test_feed(decoders[0], ids, 1, logits[0], &error), LOAM_ERROR_ARGUMENT,
                 "context has room for 23");
    for (int i = 0; i < 2; i++)
        loam_decoder_destroy(decoders[i]);
}

static void test_a_long_prompt_is_split(void **state)
{
    (void)state;
    static const char *const devices[] = {"ref", "cpu"};
    for (size_t i = 0; i < 2 * sizeof configs / sizeof configs[0]; i++) {
        struct fixture fixture;
        setup(&fixture, configs[i / 2], devices[i % 2], LOAM_F32);
        check_long_prompt(&fixture);
        teardown(&fixture);
    }
}

// Trains and evaluates batches of small, odd and largest size, as one sequence or several, with a decoder
// that was sized for the largest. An op that needs more scratch in a smaller case fails here.
static void check_sizes(struct fixture *fixture)
{
    struct loam_trainables set = {0};
    struct loam_decoder *decoder;
    struct loam_batch batch;
    struct loam_decoder_limits limits = {.tokens = TOKENS,
                                         .sequences = 3,
                                         .context = TOKENS,
                                         .train = true,
                                         .evaluate = true,
                                         .generate = true};
    assert_ok(loam_trainables_from_model(&set, fixture->model, &error));
    limits.gradients = set.of_model;
    assert_ok(loam_decoder_create(&decoder, fixture->model, fixture->device, &limits, &error));
    assert_ok(loam_batch_init(&batch, TOKENS, 3, &error));
    int32_t ids[TOKENS];
    float weights[TOKENS];
    for (int i = 0; i < TOKENS; i++) {
        ids[i] = 3 * i;
        weights[i] = 1;
    }
    for (int32_t tokens = 1; tokens <= TOKENS; tokens += tokens < 5 ? 1 : 6) { // 1 to 5, 11, 17, 23
        for (int32_t sequences = 1; sequences <= 3 && sequences <= tokens; sequences++) {
            loam_batch_clear(&batch);
            for (int32_t s = 0; s < sequences; s++) {
                int32_t first = s * tokens / sequences, end = (s + 1) * tokens / sequences;
                assert_ok(loam_batch_append(&batch, "a", ids + first, weights, end - first, &error));
            }
            assert_ok(loam_decoder_train(decoder, &batch, 1, 1, 1, &error));
            const double trained = loam_batch_loss(&batch);
            assert_ok(loam_decoder_evaluate(decoder, &batch, &error));
            const double evaluated = loam_batch_loss(&batch);
            assert_true(fabs(trained - evaluated) <= 1e-4 * fabs(evaluated));
            assert_true(batch.labels.count == 0 || evaluated > 0);
        }
    }
    loam_batch_deinit(&batch);
    loam_decoder_destroy(decoder);
    loam_trainables_deinit(&set);
}

static void test_any_size_within_the_limits(void **state)
{
    (void)state;
    static const enum loam_dtype dtypes[] = {LOAM_F32, LOAM_BF16};
    for (size_t i = 0; i < 2 * sizeof configs / sizeof configs[0]; i++) {
        struct fixture fixture;
        setup(&fixture, configs[i / 2], "cpu", dtypes[i % 2]);
        check_sizes(&fixture);
        teardown(&fixture);
    }
}

// If a head has more rows than the tokenizer has tokens, the extra rows are never chosen.
static void test_ids_beyond_the_vocabulary_are_never_chosen(void **state)
{
    (void)state;
    enum { KNOWN = 7, NEW = 40 };
    struct fixture fixture;
    setup(&fixture, configs[0], "ref", LOAM_F32);
    struct loam_generator *generator;
    const struct loam_generator_limits limits = {.tokens = 4, .sequences = 1, .context = NEW + 1};
    assert_ok(loam_generator_create(&generator, fixture.model, fixture.device, &limits, &error));
    const struct loam_segments base = {0};
    const struct loam_special_tokens special = {.eos_count = 0};
    const int32_t prompt[] = {3};
    int32_t output[NEW], count = 0, beyond = 0;
    struct loam_generation generation = {
        .max_new_tokens = NEW,
        .vocabulary = KNOWN,
        .sampling = {.temperature = 5, .top_p = 1, .repetition_penalty = 1, .seed = 1},
        .special = &special,
    };
    test_generate(generator, prompt, 1, &generation, &base, output, &count);
    assert_int_equal(count, NEW);
    for (int32_t i = 0; i < count; i++)
        assert_in_range(output[i], 0, KNOWN - 1);
    generation.vocabulary = INT32_MAX; // then the rows of the head are the limit
    test_generate(generator, prompt, 1, &generation, &base, output, &count);
    for (int32_t i = 0; i < count; i++)
        beyond += output[i] >= KNOWN;
    assert_in_range(beyond, NEW / 2, NEW);
    loam_generator_destroy(generator);
    teardown(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_long_prompt_is_split),
        cmocka_unit_test(test_any_size_within_the_limits),
        cmocka_unit_test(test_ids_beyond_the_vocabulary_are_never_chosen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
