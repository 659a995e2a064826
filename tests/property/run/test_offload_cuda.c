// Layers in the host's memory give the bits of layers on the device: losses, gradients, logits, generation. On a device that
// copies as late as it may and poisons what is to be replaced, and on the driver of the tests.
#include <unistd.h>

#include "helpers/feed.h"
#include "hidden_device.h"
#include "parity/run/common_golden.h"
#include "tools/fake_cuda/fake_cuda.h"
#include "tools/fake_cuda/open_fake.h"

static struct fake_cuda *cuda, initial_cuda;

static struct loam_device *create_hidden(void)
{
    return hidden_device_create();
}

static struct loam_device *create_cuda(void)
{
    struct loam_error error = {0};
    struct loam_device *device = NULL;
    assert_ok(loam_device_create(&device, "cuda:0", 1, &error));
    return device;
}

// ---- what a run computes ----

// Values of one kind after the other.
struct results {
    float values[1 << 18];
    size_t count;
    size_t bytes;   // of the model on the device
    size_t on_host; // of its offloaded layers
    int fetched;    // copies of a layer
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

static void add_training(struct results *results, struct golden_run *run, const struct golden *golden,
                         int batches)
{
    for (int i = 0; i < batches; i++) {
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

static void add_generation(struct results *results, struct golden_run *run)
{
    struct loam_error error = {0};
    const int64_t vocabulary = run->model->config.vocabulary;
    float *logits = calloc((size_t)vocabulary, sizeof *logits);
    assert_non_null(logits);
    for (int i = 0; i < 3; i++) {
        const int32_t ids[] = {5 + i, 7, 9};
        assert_ok(test_feed(run->decoder, ids, i == 0 ? 3 : 1, logits, &error));
        add(results, logits, vocabulary);
    }
    free(logits);
}

static void compute(const struct golden *golden, const struct golden_run_options *options, int batches,
                    struct results *results)
{
    struct golden_run run;
    *results = (struct results){.count = 0};
    golden_run_start(&run, golden, options);
    for (size_t t = 0; t < run.set.count; t++)
        add_tensor(results, &run, &run.set.items[t].value); // what some start from is made of the weights
    add_training(results, &run, golden, batches);
    add_logits(results, &run);
    add_generation(results, &run);
    add_training(results, &run, golden, 1);
    results->bytes = run.model->arena.capacity;
    const struct loam_offload *offload = run.model->offload;
    if (offload != NULL) results->on_host = (size_t)offload->count * offload->layer_bytes;
    if (options->create == create_hidden)
        results->fetched = ((struct hidden_device *)(void *)run.device)->fetched;
    golden_run_end(&run);
}

static struct results whole, parts;

static void compare(const struct golden *golden, struct golden_run_options options, int64_t layers,
                    int batches)
{
    const int64_t offloaded = options.offloaded;
    options.offloaded = 0;
    compute(golden, &options, batches, &whole);
    options.offloaded = offloaded;
    compute(golden, &options, batches, &parts);
    assert_int_equal(whole.on_host, 0);
    assert_int_equal(parts.count, whole.count);
    assert_memory_equal(parts.values, whole.values, whole.count * sizeof whole.values[0]);
    // The ring holds three layers; each layer beyond these leaves the device.
    const int64_t gone = offloaded < LOAM_FETCHES ? 0 : offloaded - LOAM_FETCHES;
    assert_true(parts.on_host > 0 && parts.on_host % (size_t)offloaded == 0);
    const size_t layer = parts.on_host / (size_t)offloaded;
    if (gone > 0)
        assert_in_range(whole.bytes - parts.bytes, (size_t)(gone - 1) * layer, (size_t)(gone + 1) * layer);
    assert_true(layer * (size_t)layers <= whole.bytes + (size_t)layers * 4096);
}

static const struct loam_lora_settings everywhere = {
    .rank = 2, .alpha = 4, .target_modules = "all-linear", .dropout = 0.25};

// Whether the golden is of another family than the one before it.
static bool is_first(int i)
{
    const size_t family = strcspn(golden_names[i], "-");
    return i == 0 || strncmp(golden_names[i], golden_names[i - 1], family + 1) != 0;
}

static void test_families(void **state)
{
    (void)state;
    for (int i = 0; i < GOLDEN_COUNT; i++) {
        struct golden golden;
        if (!is_first(i)) continue;
        golden_open(&golden, golden_names[i]);
        compare(&golden,
                (struct golden_run_options){.create = create_hidden,
                                            .dtype = LOAM_F32,
                                            .lora = &everywhere,
                                            .checkpointing = (enum loam_checkpointing)(i % 3),
                                            .offloaded = 1 + i % 2},
                2, 1);
        golden_close(&golden);
    }
}

// ---- more layers than the ring has places ----

static char deep_directory[256];

// The golden with another number of layers and random weights, in a directory of its own.
static void open_deep(struct golden *golden, const char *name, const char *key, int layers)
{
    struct loam_error error = {0};
    struct loam_config config;
    struct loam_model *model;
    json_t *json;
    char path[640];
    golden_open(golden, name);
    snprintf(path, sizeof path, "%s/config.json", golden->directory);
    assert_ok(loam_json_load(&json, path, &error));
    assert_int_equal(json_object_set_new(json, key, json_integer(layers)), 0);
    assert_int_equal(json_object_set_new(json, "initializer_range", json_real(0.2)), 0);
    assert_non_null(test_make_directory(deep_directory));
    snprintf(golden->directory, sizeof golden->directory, "%s", deep_directory);
    snprintf(path, sizeof path, "%s/config.json", deep_directory);
    assert_int_equal(json_dump_file(json, path, 0), 0);
    json_decref(json);
    assert_ok(loam_config_load(&config, deep_directory, &error));
    assert_ok(loam_model_create(&model, &config, &error));
    assert_ok(loam_model_init_checkpoint(model, 3, LOAM_F32, deep_directory, NULL, &error));
    loam_model_destroy(model);
}

static void close_deep(struct golden *golden)
{
    test_remove_directory(deep_directory);
    golden_close(golden);
}

// The backward stops at the lowest adapted layer.
static const struct loam_lora_settings upper = {
    .rank = 2, .alpha = 4, .target_modules = "all-linear", .layers_to_transform = "4,7"};
// Initial values that are made of the weights, and parameters of layers that are trained themselves.
static const struct loam_lora_settings dora = {
    .rank = 2, .alpha = 4, .target_modules = "all-linear", .dora = true, .bias = LOAM_BIAS_ALL};
static const struct loam_lora_settings pissa = {
    .rank = 2, .alpha = 4, .target_modules = "q_proj,down_proj", .init = "pissa", .modules_to_save = "norm"};

static void test_deep(void **state)
{
    (void)state;
    enum { LAYERS = 9 };
    static const struct {
        int64_t offloaded;
        const struct loam_lora_settings *lora;
        enum loam_checkpointing checkpointing;
        enum loam_dtype dtype;
    } cases[] = {
        {1, &everywhere, LOAM_CHECKPOINT_NONE, LOAM_F32},   {3, &everywhere, LOAM_CHECKPOINT_MLP, LOAM_F32},
        {4, &everywhere, LOAM_CHECKPOINT_BLOCK, LOAM_BF16}, {5, &upper, LOAM_CHECKPOINT_NONE, LOAM_F32},
        {8, &pissa, LOAM_CHECKPOINT_BLOCK, LOAM_F32},       {9, &everywhere, LOAM_CHECKPOINT_BLOCK, LOAM_F32},
        {9, &dora, LOAM_CHECKPOINT_NONE, LOAM_F32},         {9, &upper, LOAM_CHECKPOINT_MLP, LOAM_BF16}};
    struct golden golden;
    open_deep(&golden, "llama-tied", "num_hidden_layers", LAYERS);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        compare(&golden,
                (struct golden_run_options){.create = create_hidden,
                                            .dtype = cases[i].dtype,
                                            .lora = cases[i].lora,
                                            .checkpointing = cases[i].checkpointing,
                                            .offloaded = cases[i].offloaded},
                LAYERS, 2);
    close_deep(&golden);
}

// A forward copies each layer once, and a backward those that the forward left behind.
static void test_copies(void **state)
{
    (void)state;
    enum { LAYERS = 6, TRAININGS = 3, FORWARDS = 1 + 3 };
    struct golden golden;
    open_deep(&golden, "bloom-4-heads", "n_layer", LAYERS);
    compare(&golden,
            (struct golden_run_options){
                .create = create_hidden, .dtype = LOAM_F32, .lora = &everywhere, .offloaded = LAYERS},
            LAYERS, TRAININGS - 1);
    const int steps = TRAININGS * 2 * (LAYERS - LOAM_FETCHES), passes = FORWARDS * LAYERS;
    assert_int_equal(parts.fetched, LOAM_FETCHES + steps + passes);
    close_deep(&golden);
}

// ---- the driver of the tests ----

static int open_driver(void **state)
{
    (void)state;
    cuda = open_fake("libcuda.so.1", "fake_cuda");
    if (cuda == NULL) return 1;
    initial_cuda = *cuda;
    return setenv("XDG_CACHE_HOME", "/dev/null", 1);
}

static void test_driver(void **state)
{
    (void)state;
    enum { LAYERS = 6 };
    struct golden golden;
    open_deep(&golden, "llama-tied", "num_hidden_layers", LAYERS);
    compare(&golden,
            (struct golden_run_options){
                .create = create_cuda, .dtype = LOAM_BF16, .lora = &upper, .offloaded = LAYERS},
            LAYERS, 0);
    assert_int_equal(cuda->live, 0);
    assert_int_equal(cuda->used, 0);
    close_deep(&golden);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_families),
        cmocka_unit_test(test_deep),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_driver),
    };
    return cmocka_run_group_tests(tests, open_driver, NULL);
}
