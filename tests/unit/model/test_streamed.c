// Weights that stay in their file and are read for each product: the logits of weights in memory, in little
// of it.
#include <math.h>

#include "common_checkpoint.h"
#include "model/decoder.h"
#include "test.h"

enum { TOKENS = 3, WIDE = 300000 };

// The head of the last has more elements than are read at a time.
static const char *const configs[] = {
    "{" BLOOM_CONFIG ",\"initializer_range\":0.2}",
    "{\"model_type\":\"llama\",\"hidden_size\":32,\"intermediate_size\":40,\"num_hidden_layers\":2,"
    "\"num_attention_heads\":4,\"num_key_value_heads\":2,\"vocab_size\":64,\"max_position_embeddings\":64,"
    "\"rms_norm_eps\":1e-5,\"initializer_range\":0.2,\"tie_word_embeddings\":false}",
    "{\"model_type\":\"bloom\",\"hidden_size\":32,\"n_layer\":1,\"n_head\":4,\"vocab_size\":300000}",
};

struct watch {
    int events;
    int last_event; // it asks to stop there; 0: never
};

static bool count_event(void *user, const struct loam_event *event)
{
    struct watch *watch = user;
    assert_int_equal(event->activity, LOAM_ACTIVITY_LOAD);
    return ++watch->events != watch->last_event;
}

static struct loam_model *load(const char *directory, const struct loam_device *device, bool streamed,
                               const struct loam_callbacks *callbacks)
{
    struct loam_error error = {0};
    struct loam_config config;
    struct loam_model *model;
    const struct loam_load_options options = {
        .dtype = LOAM_F32, .streamed = streamed, .callbacks = callbacks};
    assert_ok(loam_config_load(&config, directory, &error));
    assert_ok(loam_model_create(&model, &config, &error));
    assert_ok(loam_model_load(model, directory, device, &options, &error));
    return model;
}

static struct loam_decoder *create_decoder(const struct loam_model *model)
{
    struct loam_error error = {0};
    const struct loam_decoder_limits limits = {.tokens = TOKENS, .sequences = 1, .logit_rows = TOKENS};
    struct loam_decoder *decoder;
    assert_ok(loam_decoder_create(&decoder, model, model->device, &limits, &error));
    return decoder;
}

static enum loam_status run(struct loam_decoder *decoder, float *logits, struct loam_error *out)
{
    struct loam_error error = {0};
    static const int32_t ids[TOKENS] = {3, 1, 2};
    struct loam_batch batch;
    assert_ok(loam_batch_init(&batch, TOKENS, 1, &error));
    assert_ok(loam_batch_append(&batch, "a", ids, NULL, TOKENS, &error));
    enum loam_status status = loam_decoder_logits(decoder, &batch, logits, out);
    loam_batch_deinit(&batch);
    return status;
}

static float *new_logits(const struct loam_model *model)
{
    float *logits = calloc((size_t)(TOKENS * model->config.vocabulary), sizeof *logits);
    assert_non_null(logits);
    return logits;
}

static void make_checkpoint(const char *directory, const char *config, enum loam_dtype dtype)
{
    char path[320];
    struct loam_error error = {0};
    struct loam_model *model = test_create_model(config);
    snprintf(path, sizeof path, "%s/config.json", directory);
    test_write_file(path, config, strlen(config));
    assert_ok(loam_model_init_checkpoint(model, 5, dtype, directory, NULL, &error));
    loam_model_destroy(model);
}

// To the bit; but where the head was cut, a library may sum what is of another shape in another order.
static void assert_same(const float *logits, const float *expected, int64_t vocabulary, bool cut)
{
    const size_t count = (size_t)(TOKENS * vocabulary);
    float largest = 0;
    if (!cut) assert_memory_equal(logits, expected, count * sizeof *logits);
    for (size_t i = 0; i < count; i++)
        largest = fmaxf(largest, fabsf(expected[i]));
    for (size_t i = 0; i < count; i++)
        assert_true(fabsf(logits[i] - expected[i]) <= 1e-6f * largest);
}

static void compare(const char *directory, const struct loam_device *device)
{
    struct loam_error error = {0};
    struct loam_model *whole = load(directory, device, false, NULL);
    struct loam_model *streamed = load(directory, device, true, NULL);
    struct loam_decoder *expected_decoder = create_decoder(whole), *decoder = create_decoder(streamed);
    float *expected = new_logits(whole), *logits = new_logits(whole);
    assert_ok(run(expected_decoder, expected, &error));
    // Twice: pages that were released are read again.
    for (int pass = 0; pass < 2; pass++) {
        assert_ok(run(decoder, logits, &error));
        assert_same(logits, expected, whole->config.vocabulary, whole->config.vocabulary == WIDE);
    }
    if (whole->config.vocabulary == WIDE) {
        size_t head = loam_tensor_bytes(&whole->head.weight->value);
        size_t rows = (size_t)(TOKENS * WIDE) * sizeof *logits;
        assert_true(streamed->arena.capacity < head / 100);
        assert_true(loam_decoder_bytes(decoder).step < rows + head);
    }
    free(logits);
    free(expected);
    loam_decoder_destroy(decoder);
    loam_decoder_destroy(expected_decoder);
    loam_model_destroy(streamed);
    loam_model_destroy(whole);
}

static void logits_are_those_of_weights_in_memory(void **state)
{
    static const enum loam_dtype dtypes[] = {LOAM_F32, LOAM_BF16, LOAM_F16};
    static const char *const devices[] = {"ref", "cpu"};
    struct loam_error error = {0};
    for (size_t d = 0; d < 2; d++) {
        struct loam_device *device;
        assert_ok(loam_device_create(&device, devices[d], 1, &error));
        for (size_t c = 0; c < sizeof configs / sizeof configs[0]; c++) {
            for (size_t t = 0; t < sizeof dtypes / sizeof dtypes[0]; t++) {
                make_checkpoint(*state, configs[c], dtypes[t]);
                compare(*state, device);
            }
        }
        loam_device_destroy(device);
    }
}

// Each product is a moment to stop at; afterwards the decoder is as it was.
static void reading_can_be_stopped(void **state)
{
    struct loam_error error = {0};
    struct loam_device *device;
    struct watch watch = {0};
    const struct loam_callbacks callbacks = {.user = &watch, .event = count_event};
    make_checkpoint(*state, configs[0], LOAM_BF16);
    assert_ok(loam_device_create(&device, "ref", 1, &error));
    struct loam_model *model = load(*state, device, true, &callbacks);
    struct loam_decoder *decoder = create_decoder(model);
    float *expected = new_logits(model), *logits = new_logits(model);
    int loading = watch.events;
    assert_ok(run(decoder, expected, &error));
    int products = watch.events - loading;
    assert_int_equal(products, 4 * model->config.layers + 1);
    for (int i = 1; i <= products; i++) {
        watch = (struct watch){.last_event = i};
        assert_fails(run(decoder, logits, &error), LOAM_ERROR_STOPPED, "stopped");
        assert_int_equal(watch.events, i);
    }
    watch.last_event = 0;
    assert_ok(run(decoder, logits, &error));
    assert_memory_equal(logits, expected, (size_t)(TOKENS * model->config.vocabulary) * sizeof *logits);
    free(logits);
    free(expected);
    loam_decoder_destroy(decoder);
    loam_model_destroy(model);
    loam_device_destroy(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_in_directory(logits_are_those_of_weights_in_memory),
        test_in_directory(reading_can_be_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
