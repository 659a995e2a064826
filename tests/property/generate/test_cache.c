// The KV cache: a sequence fed in any chunks gives the logits of the same sequence in one batch.
#include "test.h"

#include <math.h>

#include "model/decoder.h"

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

static void setup(struct fixture *fixture, const char *config_text, const char *device)
{
    char path[300];
    struct loam_config config;
    assert_non_null(test_make_directory(fixture->directory));
    snprintf(path, sizeof path, "%s/config.json", fixture->directory);
    test_write_file(path, config_text, strlen(config_text));
    assert_ok(loam_config_load(&config, fixture->directory, &error));
    assert_ok(loam_model_create(&fixture->model, &config, &error));
    assert_ok(loam_model_init_checkpoint(fixture->model, 5, LOAM_F32, fixture->directory, &error));
    assert_ok(loam_device_create(&fixture->device, device, 2, &error));
    struct loam_load_options load = {.dtype = LOAM_F32};
    assert_ok(loam_model_load(fixture->model, fixture->directory, fixture->device, &load, &error));
}

static void teardown(struct fixture *fixture)
{
    loam_model_destroy(fixture->model);
    loam_device_destroy(fixture->device);
    test_remove_directory(fixture->directory);
}

// Logits [TOKENS, V] of the whole sequence at once.
static void whole_logits(struct loam_decoder *decoder, const int32_t *ids, float *logits)
{
    struct loam_batch batch;
    struct loam_example example = {.ids = (int32_t *)(uintptr_t)ids, .count = TOKENS};
    assert_ok(loam_batch_init(&batch, TOKENS, 1, &error));
    assert_ok(loam_batch_append(&batch, &example, &error));
    assert_ok(loam_decoder_logits(decoder, &batch, logits, &error));
    loam_batch_deinit(&batch);
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

static void check_chunks(const char *config_text, const char *device)
{
    struct fixture fixture;
    setup(&fixture, config_text, device);
    const struct loam_decoder_limits limits = {
        .tokens = TOKENS, .sequences = 1, .context = TOKENS, .generate = true, .logit_rows = TOKENS};
    struct loam_decoder *decoder;
    assert_ok(loam_decoder_create(&decoder, fixture.model, fixture.device, &limits, &error));
    int64_t vocabulary = fixture.model->config.vocabulary;
    static float all[TOKENS * MAX_VOCABULARY], last[MAX_VOCABULARY];
    int32_t ids[TOKENS];
    for (int i = 0; i < TOKENS; i++)
        ids[i] = (i * 37 + 11) % (int32_t)vocabulary;
    whole_logits(decoder, ids, all);

    static const int32_t chunkings[][TOKENS + 1] = {{TOKENS}, {1, TOKENS - 1}, {10, 1, 1, 8, 3}, {22, 1}};
    for (size_t c = 0; c < sizeof chunkings / sizeof chunkings[0]; c++) {
        loam_decoder_cache_reset(decoder);
        int32_t fed = 0;
        for (const int32_t *chunk = chunkings[c]; *chunk > 0; chunk++) {
            assert_ok(loam_decoder_feed(decoder, ids + fed, *chunk, last, &error));
            fed += *chunk;
            compare(&all[(fed - 1) * vocabulary], last, vocabulary, device);
        }
        assert_int_equal(fed, TOKENS);
    }
    assert_fails(loam_decoder_feed(decoder, ids, 1, last, &error), LOAM_ERROR_ARGUMENT,
                 "context has room for 23");
    loam_decoder_destroy(decoder);
    teardown(&fixture);
}

static void test_chunks_equal_the_whole(void **state)
{
    (void)state;
    static const char *const devices[] = {"ref", "cpu"};
    for (size_t d = 0; d < 2; d++)
        for (size_t c = 0; c < sizeof configs / sizeof configs[0]; c++)
            check_chunks(configs[c], devices[d]);
}

// A decoder for few tokens at a time splits a long prompt by itself.
static void test_a_prompt_longer_than_the_chunk(void **state)
{
    (void)state;
    struct fixture fixture;
    setup(&fixture, configs[0], "ref");
    struct loam_decoder *decoders[2];
    static float logits[2][MAX_VOCABULARY];
    int32_t ids[TOKENS];
    for (int i = 0; i < TOKENS; i++)
        ids[i] = i;
    for (int i = 0; i < 2; i++) {
        const struct loam_decoder_limits limits = {
            .tokens = i == 0 ? TOKENS : 5, .sequences = 1, .context = TOKENS, .generate = true};
        assert_ok(loam_decoder_create(&decoders[i], fixture.model, fixture.device, &limits, &error));
        assert_ok(loam_decoder_feed(decoders[i], ids, TOKENS, logits[i], &error));
    }
    compare(logits[0], logits[1], fixture.model->config.vocabulary, "chunks of 5");
    for (int i = 0; i < 2; i++)
        loam_decoder_destroy(decoders[i]);
    teardown(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunks_equal_the_whole),
        cmocka_unit_test(test_a_prompt_longer_than_the_chunk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
