// Layers in the host's memory give the bits of layers on the device: losses, gradients, logits, generation.
#include "hidden_device.h"
#include "model/feed.h"
#include "parity/run/common_golden.h"

static struct loam_device *create_hidden(void)
{
    return hidden_device_create();
}

// Losses and gradients of two batches and logits, one after another.
struct results {
    float values[1 << 17];
    size_t count;
};

static void add(struct results *results, const float *values, int64_t count)
{
    assert_true(results->count + (size_t)count <= sizeof results->values / sizeof results->values[0]);
    memcpy(results->values + results->count, values, (size_t)count * sizeof *values);
    results->count += (size_t)count;
}

static void add_tensor(struct results *results, struct golden_run *run, const struct loam_tensor *tensor)
{
    float *values = golden_run_download(run, tensor);
    add(results, values, loam_tensor_count(tensor));
    free(values);
}

static void add_training(struct results *results, struct golden_run *run, const struct golden *golden)
{
    for (int i = 0; i < 2; i++) {
        golden_sequences(golden, i * GOLDEN_SEQUENCES, GOLDEN_SEQUENCES, &run->batch);
        golden_run_zero_gradients(run);
        const float loss = (float)golden_run_train(run, 0.25);
        add(results, &loss, 1);
        for (size_t t = 0; t < run->set.count; t++)
            add_tensor(results, run, &run->set.items[t].grad);
    }
}

static void add_logits(struct results *results, struct golden_run *run)
{
    float *logits = golden_run_logits(run);
    add(results, logits, (int64_t)run->batch.tokens * run->model->config.vocabulary);
    free(logits);
}

static const struct loam_lora_settings everywhere = {
    .rank = 2, .alpha = 4, .target_modules = "all-linear", .dropout = 0.25};

// The layers on the host, the bytes of the model on the device, and what comes out.
static size_t compute(const struct golden *golden, const struct golden_run_options *options,
                      struct results *results)
{
    struct golden_run run;
    results->count = 0;
    golden_run_start(&run, golden, options);
    add_training(results, &run, golden);
    add_logits(results, &run);
    add_training(results, &run, golden);
    const size_t bytes = run.model->arena.capacity;
    golden_run_end(&run);
    return bytes;
}

static struct results whole, parts;

static void compare(const char *name, const struct loam_lora_settings *lora,
                    enum loam_checkpointing checkpointing, enum loam_dtype dtype)
{
    struct golden golden;
    struct golden_run_options options = {
        .create = create_hidden, .dtype = dtype, .lora = lora, .checkpointing = checkpointing};
    golden_open(&golden, name);
    compute(&golden, &options, &whole);
    for (options.offloaded = 1; options.offloaded <= 2; options.offloaded++) {
        compute(&golden, &options, &parts);
        assert_int_equal(parts.count, whole.count);
        assert_memory_equal(parts.values, whole.values, whole.count * sizeof whole.values[0]);
    }
    golden_close(&golden);
}

static void test_families(void **state)
{
    (void)state;
    for (int i = 0; i < GOLDEN_COUNT; i++)
        compare(golden_names[i], &everywhere, (enum loam_checkpointing)(i % 3), LOAM_F32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_families)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
