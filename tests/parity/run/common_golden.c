#include "parity/run/common_golden.h"

#include <math.h>

#include "base/heap.h"

const char *const golden_names[GOLDEN_COUNT] = {
    "arcee-3-heads",
    "arcee-tied",
    "bloom-4-heads",
    "bloom-6-heads",
    "bloom-3-heads",
    "llama-grouped",
    "llama-tied",
    "llama-rope-llama3",
    "llama-rope-linear",
    "cohere-3-heads",
    "cohere-linear",
    "cohere2-pattern",
    "cohere2-windows",
    "falcon-alibi-4-heads",
    "falcon-alibi-8-heads",
    "falcon-groups",
    "falcon-groups-biases",
    "falcon-one-key",
    "falcon-one-key-biases",
    "gemma-linear",
    "gemma-shared-keys",
    "gemma2-layer-types",
    "gemma2-soft-caps",
    "gemma3-old-keys",
    "gemma3-two-ropes",
    "glm4-3-heads",
    "glm4-tied",
    "gpt-neox-dynamic",
    "gpt-neox-parallel",
    "gpt-neox-serial",
    "gpt2-3-heads",
    "gpt2-untied",
    "gptj-3-heads",
    "gptj-whole-heads",
    "granite-factors",
    "granite-longrope",
    "ministral-tied-yarn",
    "ministral-windows",
    "ministral3-scaled-queries",
    "ministral3-tied",
    "mistral-tied",
    "mistral-window",
    "mpt-3-heads",
    "mpt-4-heads",
    "olmo2-3-heads",
    "olmo2-tied",
    "olmo3-old-keys",
    "olmo3-windows",
    "opt-3-heads",
    "opt-without-biases",
    "phi-3-heads",
    "phi-grouped-linear",
    "phi3-grouped",
    "phi3-longrope",
    "qwen2-tied-yarn",
    "qwen2-windows",
    "qwen3-tied",
    "qwen3-windows-dynamic",
    "smollm3-some-ropes",
    "smollm3-windows",
    "stablelm-parallel",
    "stablelm-serial",
    "starcoder2-untied",
    "starcoder2-window",
};

const char *const golden_module_names[GOLDEN_MODULE_COUNT] = {
    "modules-dora",        "modules-embedding",    "modules-head",          "modules-tied",
    "modules-tied-head",   "modules-dora-head",    "modules-gemma2-bias",   "modules-bloom-embedding",
    "modules-tokens-tied", "modules-tokens-apart", "modules-tied-adapter",  "modules-dora-embedding",
    "modules-copies-tied", "modules-copies-dora",  "modules-copies-tokens",
};

static struct loam_container *open_file(const struct golden *golden, const char *name)
{
    struct loam_error error;
    struct loam_container *file = NULL;
    char path[768];
    snprintf(path, sizeof path, "%s/%s", golden->directory, name);
    assert_ok(loam_container_open_file(&file, path, &error));
    return file;
}

void golden_open(struct golden *golden, const char *name)
{
    struct loam_error error;
    char path[768];
    *golden = (struct golden){.name = name};
    const char *root = getenv("LOAM_GOLDENS"); // of scripts/parity_modules.py
    if (root != NULL)
        snprintf(golden->directory, sizeof golden->directory, "%s/%s", root, name);
    else
        snprintf(golden->directory, sizeof golden->directory, "%s/parity/goldens/%s", LOAM_TESTS, name);
    snprintf(path, sizeof path, "%s/golden.json", golden->directory);
    assert_ok(loam_json_load(&golden->manifest, path, &error));
    golden->batches = open_file(golden, "batches.safetensors");
    golden->expected = open_file(golden, "expected.safetensors");
}

void golden_close(struct golden *golden)
{
    loam_container_destroy(golden->batches);
    loam_container_destroy(golden->expected);
    json_decref(golden->manifest);
}

bool golden_run_depends_on_length(const struct golden_run *run)
{
    const struct loam_config *config = &run->model->config;
    bool depends = false;
    for (int i = 0; i < config->family->rope_count; i++)
        depends = depends || loam_config_rope_depends_on_length(config, i);
    return depends;
}

bool golden_is_plain(const struct loam_model *model)
{
    return model->config.family == &loam_family_bloom || model->config.family == &loam_family_llama;
}

// The error of PyTorch's own bf16 in a run of the golden: of "logits" relative in the norm, of "losses"
// absolute.
static double bf16_error(const struct golden *golden, const char *run, const char *key)
{
    const json_t *all = golden->manifest;
    const json_t *settings = json_object_get(all, run);
    if (settings == NULL) settings = json_object_get(json_object_get(all, "adapters"), run);
    const json_t *error = json_object_get(json_object_get(settings, "bf16"), key);
    if (!json_is_real(error))
        fail_msg("%s: golden.json has no bf16 error of %s's %s", golden->name, run, key);
    return json_real_value(error);
}

// Two ways of one computation in bf16, such as a batch and its sequences one by one, may round every value
// apart. Each errs as PyTorch's bf16 does, by an e that the golden has; independent errors differ by
// sqrt(2) e. The golden's e is one draw, for which another sqrt(2) is allowed.
#define APART 2.0
// Rows differ in their norms and in what amplifies a rounding. One row may differ by three standard deviations of
// sqrt(2) e.
#define ROW_APART (3 * 1.4142)
// A layer rounds 13 times on the way of a value (test_golden.c). Seven of these are outputs of linears, which
// round once more where the updates of two segments are added one after the other: sqrt(20 / 13) of the error.
#define SUMS_APART (APART * 1.2403)
// A gradient sees three ways: the activations, the softmax of the logits, and the way back. That is sqrt(3) of
// sqrt(2) e. It sums a few labelled rows, each with an amplification of its own: another sqrt(3).
#define GRADIENTS_APART (3 * 1.4142)

double golden_pair_bound(const struct golden *golden, const char *run, const struct loam_model *model,
                         enum golden_value value)
{
    // Found on BLOOM and Llama.
    static const double plain[] = {[GOLDEN_LOGITS] = 1e-2,
                                   [GOLDEN_ROW] = 2e-2,
                                   [GOLDEN_SUMS] = 3e-2,
                                   [GOLDEN_GRADIENTS] = 2e-2,
                                   [GOLDEN_LOSS] = 1e-2};
    static const double factors[] = {[GOLDEN_LOGITS] = APART,
                                     [GOLDEN_ROW] = ROW_APART,
                                     [GOLDEN_SUMS] = SUMS_APART,
                                     [GOLDEN_GRADIENTS] = GRADIENTS_APART};
    // f32: the order of a sum may depend on the number of rows.
    if (model->dtype == LOAM_F32) return value == GOLDEN_GRADIENTS ? 2e-5 : 1e-5;
    if (golden_is_plain(model)) return plain[value];
    if (value == GOLDEN_LOSS)
        return APART * bf16_error(golden, run, "losses") / (double)*golden_expected(golden, run, "loss", 1);
    return factors[value] * bf16_error(golden, run, "logits");
}

bool golden_has(const struct golden *golden, const char *adapter)
{
    return json_object_get(json_object_get(golden->manifest, "adapters"), adapter) != NULL;
}

const float *golden_expected(const struct golden *golden, const char *run, const char *name, int64_t count)
{
    char key[256];
    snprintf(key, sizeof key, "%s.%s", run, name);
    const struct loam_stored_tensor *tensor = loam_container_find(golden->expected, key);
    if (tensor == NULL) fail_msg("%s: the golden has no %s", golden->name, key);
    assert_int_equal(tensor->format, LOAM_FORMAT_F32);
    assert_int_equal(tensor->bytes, (size_t)count * sizeof(float));
    assert_int_equal((uintptr_t)tensor->data % sizeof(float), 0);
    return (const float *)(const void *)tensor->data;
}

size_t golden_expected_gradients(const struct golden *golden, const char *run)
{
    char prefix[64];
    size_t length = (size_t)snprintf(prefix, sizeof prefix, "%s.grad.", run);
    size_t found = 0;
    for (size_t i = 0; i < loam_container_count(golden->expected); i++)
        if (strncmp(loam_container_at(golden->expected, i)->name, prefix, length) == 0) found++;
    return found;
}

static const int32_t *batch_tensor(const struct golden *golden, const char *name, int64_t *count)
{
    const struct loam_stored_tensor *tensor = loam_container_find(golden->batches, name);
    assert_non_null(tensor);
    assert_int_equal(tensor->format, LOAM_FORMAT_I32);
    assert_int_equal((uintptr_t)tensor->data % sizeof(int32_t), 0);
    if (count != NULL) *count = tensor->shape[0];
    return (const int32_t *)(const void *)tensor->data;
}

// The weight of token `t` of the golden in its batches.
static float golden_weight(const struct golden *golden, int32_t t)
{
    enum { IGNORED = -100 };
    const int32_t label = batch_tensor(golden, "labels", NULL)[t];
    if (label == IGNORED) return 0;
    assert_int_equal(label, batch_tensor(golden, "ids", NULL)[t]);
    return 1;
}

void golden_weighted(const struct golden *golden, int first, int count, float (*weight)(int32_t token),
                     struct loam_batch *batch)
{
    struct loam_error error;
    int64_t total;
    const int32_t *ids = batch_tensor(golden, "ids", &total);
    const int32_t *offsets = batch_tensor(golden, "offsets", NULL);
    float *weights = calloc((size_t)total, sizeof *weights);
    assert_non_null(weights);
    for (int32_t t = 0; t < (int32_t)total; t++)
        weights[t] = weight != NULL ? weight(t) : golden_weight(golden, t);
    loam_batch_clear(batch);
    for (int s = first; s < first + count; s++)
        assert_ok(loam_batch_append(batch, golden->name, ids + offsets[s], weights + offsets[s],
                                    offsets[s + 1] - offsets[s], &error));
    free(weights);
}

void golden_sequences(const struct golden *golden, int first, int count, struct loam_batch *batch)
{
    golden_weighted(golden, first, count, NULL, batch);
}

// Tokens of the largest batch.
static int32_t batch_tokens(const struct golden *golden)
{
    int64_t count;
    const int32_t *offsets = batch_tensor(golden, "offsets", &count);
    assert_int_equal(count, GOLDEN_STEPS * GOLDEN_SEQUENCES + 1);
    int32_t largest = 0;
    for (int s = 0; s + GOLDEN_SEQUENCES < count; s += GOLDEN_SEQUENCES) {
        int32_t tokens = offsets[s + GOLDEN_SEQUENCES] - offsets[s];
        if (tokens > largest) largest = tokens;
    }
    return largest;
}

static void start_adapter(struct golden_run *run, const struct golden *golden,
                          const struct golden_run_options *options)
{
    struct loam_error error;
    char path[768];
    if (options->lora != NULL) {
        assert_ok(loam_adapter_create(&run->adapter, run->model, options->lora, &run->set, &error));
        assert_ok(loam_trainables_allocate(&run->set, run->device, &error));
        assert_ok(loam_adapter_start(run->adapter, 42, &error));
        return;
    }
    bool absolute = options->adapter[0] == '/';
    snprintf(path, sizeof path, "%s%s%s", absolute ? "" : golden->directory, absolute ? "" : "/",
             options->adapter);
    struct loam_trainables *set = options->frozen ? NULL : &run->set;
    assert_ok(loam_adapter_open(&run->adapter, run->model, path, set, &error));
    if (options->frozen) return;
    assert_ok(loam_trainables_allocate(&run->set, run->device, &error));
    assert_ok(loam_adapter_fill(run->adapter, &error));
}

void golden_run_start(struct golden_run *run, const struct golden *golden,
                      const struct golden_run_options *options)
{
    struct loam_error error;
    struct loam_config config;
    int32_t tokens = batch_tokens(golden);
    bool adapted = options->adapter != NULL || options->lora != NULL;
    struct loam_load_options load = {
        .dtype = options->dtype, .writable = options->full, .offloaded = options->offloaded};
    struct loam_decoder_limits limits = {.tokens = tokens,
                                         .sequences = GOLDEN_SEQUENCES,
                                         .context = tokens,
                                         .train = options->full || (adapted && !options->frozen),
                                         .checkpointing = options->checkpointing,
                                         .evaluate = true,
                                         .generate = true,
                                         .logit_rows = tokens};
    *run = (struct golden_run){0};
    // One thread: on work this small a second one spends its time waiting.
    if (options->create != NULL)
        run->device = options->create();
    else
        assert_ok(loam_device_create(&run->device, options->device, 1, &error));
    assert_ok(loam_config_load(&config, golden->directory, &error));
    assert_ok(loam_model_create(&run->model, &config, &error));
    assert_ok(loam_model_load(run->model, golden->directory, run->device, &load, &error));
    if (options->full) assert_ok(loam_trainables_from_model(&run->set, run->model, &error));
    if (adapted) start_adapter(run, golden, options);
    limits.adapters = loam_adapter_segments(run->adapter);
    limits.gradients = run->set.of_model;
    assert_ok(loam_decoder_create(&run->decoder, run->model, run->device, &limits, &error));
    assert_ok(loam_batch_init(&run->batch, tokens, GOLDEN_SEQUENCES, &error));
    golden_sequences(golden, 0, GOLDEN_SEQUENCES, &run->batch);
}

void golden_run_end(struct golden_run *run)
{
    loam_batch_deinit(&run->batch);
    loam_decoder_destroy(run->decoder);
    loam_adapter_destroy(run->adapter);
    loam_trainables_deinit(&run->set);
    loam_model_destroy(run->model);
    loam_device_destroy(run->device);
}

float *golden_run_logits(struct golden_run *run)
{
    struct loam_error error;
    float *logits = calloc((size_t)(run->batch.tokens * run->model->config.vocabulary), sizeof *logits);
    assert_non_null(logits);
    assert_ok(loam_decoder_logits(run->decoder, &run->batch, logits, &error));
    return logits;
}

double golden_run_train(struct golden_run *run, double scale)
{
    struct loam_error error;
    assert_ok(loam_decoder_train(run->decoder, &run->batch, scale, 0, 0, &error));
    return loam_batch_loss(&run->batch);
}

void golden_run_zero_gradients(struct golden_run *run)
{
    struct loam_error error;
    struct loam_stream stream;
    assert_ok(loam_stream_init(&stream, run->device, 0, &error));
    loam_zero(&stream, run->set.gradients.data, loam_tensor_bytes(&run->set.gradients));
    assert_ok(loam_stream_finish(&stream, &error));
    loam_stream_deinit(&stream);
}

float *golden_run_download(struct golden_run *run, const struct loam_tensor *tensor)
{
    struct loam_error error;
    struct loam_stream stream;
    float *values = calloc((size_t)loam_tensor_count(tensor), sizeof *values);
    assert_non_null(values);
    assert_int_equal(tensor->dtype, LOAM_F32);
    assert_ok(loam_stream_init(&stream, run->device, 0, &error));
    loam_download(&stream, values, tensor->data, loam_tensor_bytes(tensor));
    assert_ok(loam_stream_finish(&stream, &error));
    loam_stream_deinit(&stream);
    return values;
}

static void fill_case(const char *name, size_t combination, struct golden_case *c, struct CMUnitTest *test,
                      const char *label, CMUnitTestFunction function)
{
    const char *other = getenv("LOAM_TEST_DEVICE"); // a GPU
    const char *const devices[] = {"ref", other != NULL ? other : "cpu"};
    static const enum loam_dtype dtypes[] = {LOAM_F32, LOAM_BF16};
    *c = (struct golden_case){
        .golden = name, .device = devices[combination / 2], .dtype = dtypes[combination % 2]};
    snprintf(c->name, sizeof c->name, "%s: %s %s %s", label, c->golden, c->device, loam_dtype_name(c->dtype));
    *test = (struct CMUnitTest){.name = c->name, .test_func = function, .initial_state = c};
}

void golden_fill_cases(const char *const *names, size_t count, struct golden_case *cases,
                       struct CMUnitTest *tests, const char *label, CMUnitTestFunction test)
{
    for (size_t i = 0; i < 4 * count; i++)
        fill_case(names[i / 4], i % 4, &cases[i], &tests[i], label, test);
}

void golden_cases(struct golden_case cases[GOLDEN_CASES], struct CMUnitTest tests[GOLDEN_CASES],
                  const char *label, CMUnitTestFunction test)
{
    static const size_t combinations[2][2] = {{0, 3}, {1, 2}}; // of golden_fill_cases
    for (size_t i = 0; i < GOLDEN_CASES; i++) {
        const size_t golden = i / GOLDEN_COMBINATIONS, place = i % GOLDEN_COMBINATIONS;
        const size_t combination = GOLDEN_COMBINATIONS == 4 ? place : combinations[golden % 2][place];
        fill_case(golden_names[golden], combination, &cases[i], &tests[i], label, test);
    }
}

double golden_error(const float *a, const float *b, int64_t count)
{
    double difference = 0, norm = 0;
    for (int64_t i = 0; i < count; i++) {
        difference += pow((double)a[i] - (double)b[i], 2);
        norm += pow((double)b[i], 2);
    }
    return sqrt(difference / norm);
}
