// Merged equals unmerged: a merged f32 model has the logits of base and adapters.
#include "test.h"

#include <math.h>

#include "lora/lora.h"
#include "lora/merge.h"
#include "model/decoder.h"

static struct loam_error error;

enum { TOKENS = 17, VOCABULARY = 97 };
// Relative to the largest logit: f32 sums of some dozens of terms in another order.
static const float tolerance = 4e-6f;

static const char *const configs[] = {
    "{\"model_type\": \"bloom\", \"architectures\": [\"BloomForCausalLM\"], \"vocab_size\": 97, "
    "\"hidden_size\": 24, \"n_layer\": 2, \"n_head\": 3, \"initializer_range\": 0.2}",
    "{\"model_type\": \"llama\", \"architectures\": [\"LlamaForCausalLM\"], \"vocab_size\": 97, "
    "\"hidden_size\": 32, \"intermediate_size\": 40, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, "
    "\"num_key_value_heads\": 2, \"max_position_embeddings\": 64, \"rms_norm_eps\": 1e-5, "
    "\"initializer_range\": 0.2}",
};

struct fixture {
    char root[256];
    char base[300];
    char adapters[2][300];
    char merged[300];
    struct loam_device *device;
};

static void make_directory(char path[300], const char *root, const char *name)
{
    char command[400];
    snprintf(path, 300, "%s/%s", root, name);
    snprintf(command, sizeof command, "mkdir '%s'", path);
    assert_int_equal(system(command), 0);
}

static struct loam_model *load(const struct fixture *fixture, const char *directory)
{
    struct loam_config config;
    struct loam_model *model;
    struct loam_load_options options = {.dtype = LOAM_F32};
    assert_ok(loam_config_load(&config, directory, &error));
    assert_ok(loam_model_create(&model, &config, &error));
    assert_ok(loam_model_load(model, directory, fixture->device, &options, &error));
    return model;
}

// Makes an adapter with random B too.
static void make_adapter(const struct fixture *fixture, const char *directory, const char *targets, int rank)
{
    struct loam_model *model = load(fixture, fixture->base);
    struct loam_trainables set = {0};
    struct loam_lora_settings settings = {
        .rank = rank, .alpha = 1.4 * rank, .target_modules = targets, .init = "kaiming"};
    struct loam_adapter *adapter;
    assert_ok(loam_adapter_create(&adapter, model, &settings, &set, &error));
    assert_ok(loam_trainables_allocate(&set, fixture->device, &error));
    assert_ok(loam_adapter_start(adapter, (uint64_t)rank, &error));
    for (size_t i = 1; i < set.count; i += 2) {
        float *b = set.items[i].value.data;
        for (int64_t j = 0; j < loam_tensor_count(&set.items[i].value); j++)
            b[j] = (float)((j * 31 + (int64_t)i * 17) % 67 - 33) / 100;
    }
    assert_ok(loam_adapter_save(adapter, "base", NULL, directory, &error));
    loam_adapter_destroy(adapter);
    loam_trainables_deinit(&set);
    loam_model_destroy(model);
}

static void setup(struct fixture *fixture, const char *config_text, int rank, const char *device)
{
    char path[320];
    struct loam_config config;
    struct loam_model *model;
    assert_non_null(test_make_directory(fixture->root));
    make_directory(fixture->base, fixture->root, "base");
    make_directory(fixture->adapters[0], fixture->root, "a");
    make_directory(fixture->adapters[1], fixture->root, "b");
    snprintf(fixture->merged, sizeof fixture->merged, "%s/merged", fixture->root);
    snprintf(path, sizeof path, "%s/config.json", fixture->base);
    test_write_file(path, config_text, strlen(config_text));
    assert_ok(loam_device_create(&fixture->device, device, 1, &error));
    assert_ok(loam_config_load(&config, fixture->base, &error));
    assert_ok(loam_model_create(&model, &config, &error));
    assert_ok(loam_model_init_checkpoint(model, 5, LOAM_F32, fixture->base, NULL, &error));
    loam_model_destroy(model);
    make_adapter(fixture, fixture->adapters[0], "all-linear", rank);
    make_adapter(fixture, fixture->adapters[1], ".*\\.1\\..*(query_key_value|q_proj|4h_to_h|down_proj)", 3);
}

static void teardown(struct fixture *fixture)
{
    loam_device_destroy(fixture->device);
    test_remove_directory(fixture->root);
}

// Returns the logits [TOKENS, VOCABULARY] of a model with adapters.
static float *logits_of(const struct fixture *fixture, const char *directory,
                        const struct loam_adapter_choices *choices)
{
    struct loam_model *model = load(fixture, directory);
    struct loam_adapter_list adapters;
    assert_ok(loam_adapter_list_open(&adapters, model, choices, NULL, &error));
    int32_t ids[TOKENS];
    for (int32_t i = 0; i < TOKENS; i++)
        ids[i] = (i * 29 + 3) % VOCABULARY;
    struct loam_batch batch;
    assert_ok(loam_batch_init(&batch, TOKENS, 1, &error));
    assert_ok(loam_batch_append(&batch, "a", ids, NULL, TOKENS, &error));
    struct loam_decoder_limits limits = {.tokens = TOKENS,
                                         .sequences = 1,
                                         .logit_rows = TOKENS,
                                         .adapters = loam_adapter_list_segments(&adapters)};
    struct loam_decoder *decoder;
    assert_ok(loam_decoder_create(&decoder, model, fixture->device, &limits, &error));
    float *logits = calloc(TOKENS * VOCABULARY, sizeof *logits);
    assert_non_null(logits);
    assert_ok(loam_decoder_logits(decoder, &batch, logits, &error));
    loam_decoder_destroy(decoder);
    loam_batch_deinit(&batch);
    loam_adapter_list_deinit(&adapters);
    loam_model_destroy(model);
    return logits;
}

static float largest_difference(const float *a, const float *b)
{
    float largest = 0;
    for (size_t i = 0; i < TOKENS * VOCABULARY; i++) {
        float difference = fabsf(a[i] - b[i]);
        if (!(difference <= largest)) largest = difference;
    }
    return largest;
}

// The first adapter alone, or both with the given factors.
static void check_logits(const char *config_text, int rank, const char *device, double first, double second)
{
    struct fixture fixture;
    struct loam_merge_result result;
    setup(&fixture, config_text, rank, device);
    const struct loam_adapter_choice chosen[] = {{fixture.adapters[0], first}, {fixture.adapters[1], second}};
    const struct loam_adapter_choices choices = {chosen, second == 0 ? 1 : 2}, none = {0};
    const struct loam_merge_settings settings = {
        .model = fixture.base, .adapters = choices, .out = fixture.merged, .max_shard_bytes = 1 << 30};
    assert_ok(loam_merge(&settings, &result, &error));
    float *base = logits_of(&fixture, fixture.base, &none);
    float *adapted = logits_of(&fixture, fixture.base, &choices);
    float *merged = logits_of(&fixture, fixture.merged, &none);
    float *zero = calloc(TOKENS * VOCABULARY, sizeof *zero);
    assert_non_null(zero);
    float scale = largest_difference(adapted, zero);
    assert_true(largest_difference(base, adapted) > 0.1f * scale); // the adapter has an effect
    float difference = largest_difference(merged, adapted);
    if (!(difference <= tolerance * scale))
        fail_msg("rank %d on %s: logits differ by %g, of %g", rank, device, (double)difference,
                 (double)scale);
    free(zero);
    free(merged);
    free(adapted);
    free(base);
    teardown(&fixture);
}

// Rank 50 is above every dimension.
static void same_logits(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof configs / sizeof configs[0]; i++) {
        check_logits(configs[i], 5, "ref", 1, 0);
        check_logits(configs[i], 50, "ref", 1, 0);
        check_logits(configs[i], 50, "cpu", 1, 0);
    }
}

static void same_logits_of_sums(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof configs / sizeof configs[0]; i++) {
        check_logits(configs[i], 5, "ref", 0.5, 0);
        check_logits(configs[i], 5, "ref", 1, 1);
        check_logits(configs[i], 5, "cpu", 0.75, -2);
    }
}

// The updates of both adapters do not cancel: leaving one out changes the logits.
static void both_count(void **state)
{
    (void)state;
    struct fixture fixture;
    setup(&fixture, configs[1], 4, "ref");
    const struct loam_adapter_choice chosen[] = {{fixture.adapters[0], 0.75}, {fixture.adapters[1], -2}};
    const struct loam_adapter_choices both = {chosen, 2};
    float *sum = logits_of(&fixture, fixture.base, &both);
    for (size_t i = 0; i < 2; i++) {
        const struct loam_adapter_choices one = {&chosen[i], 1};
        float *alone = logits_of(&fixture, fixture.base, &one);
        assert_true(largest_difference(sum, alone) > 0.01f);
        free(alone);
    }
    free(sum);
    teardown(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_logits),
        cmocka_unit_test(same_logits_of_sums),
        cmocka_unit_test(both_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
