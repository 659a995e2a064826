// Random configurations of every family, drawn from its own rows by a seed. On the reference device gradients equal finite
// differences; the other device agrees with it; packed sequences give what each gives alone; generation with the cache
// gives the logits of the whole. LOAM_RANDOM_SEED chooses another seed, LOAM_RANDOM_COUNT the draws of each family.
#include <math.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/heap.h"
#include "base/json.h"
#include "base/rng.h"
#include "helpers/feed.h"
#include "model/decoder.h"
#include "model/trainables.h"
#include "test.h"

enum { SEQUENCES = 2, LONGEST = 9, TOKENS = SEQUENCES * LONGEST, CHECKED = 5, DRAWS = 2 };

static struct loam_error error;

// ---- drawing ----

struct draw {
    uint64_t seed;
    uint64_t next;
};

static double uniform(struct draw *draw)
{
    return (double)loam_rng_uniform(draw->seed, loam_rng_stream(LOAM_RNG_BENCH, 7), draw->next++);
}

static int between(struct draw *draw, int low, int high)
{
    const int number = low + (int)(uniform(draw) * (high - low + 1));
    return number > high ? high : number;
}

static bool flag(struct draw *draw)
{
    return uniform(draw) < 0.5;
}

static double real_between(struct draw *draw, double low, double high)
{
    return low + uniform(draw) * (high - low);
}

// The sizes that a config is drawn with; heads of 8, so that half and a quarter of them are even.
struct sizes {
    int heads, groups, head_dim, hidden, layers;
};

static bool has_key(const struct loam_family *family, size_t offset)
{
    for (size_t i = 0; i < family->key_count; i++)
        if (family->keys[i].offset == offset) return true;
    return false;
}

#define FIELD(name) offsetof(struct loam_config, name)

static struct sizes draw_sizes(struct draw *draw, const struct loam_family *family)
{
    struct sizes sizes = {.heads = between(draw, 1, 4), .layers = between(draw, 1, 3)};
    sizes.head_dim = family->rope_partial || flag(draw) ? 8 : 6;
    sizes.groups = between(draw, 1, sizes.heads);
    while (sizes.heads % sizes.groups != 0)
        sizes.groups--;
    const bool free_head = has_key(family, FIELD(head_dim)) && flag(draw);
    sizes.hidden = free_head ? between(draw, 5, 12) * 2 : sizes.heads * sizes.head_dim;
    return sizes;
}

static json_t *draw_kinds(struct draw *draw, const struct loam_family *family, int layers)
{
    json_t *list = json_array();
    // Kinds may have one name; then a key of the family tells them apart.
    const int kinds = family->kind_count > 2 ? 2 : (int)family->kind_count;
    for (int i = 0; i < layers; i++)
        json_array_append_new(list, json_string(family->kinds[between(draw, 0, kinds - 1)].name));
    return list;
}

static json_t *draw_key(struct draw *draw, const struct loam_family *family, size_t offset,
                        const struct sizes *sizes)
{
    static const char *const activations[] = {"silu", "gelu", "gelu_new", "quick_gelu"};
    const struct {
        size_t offset;
        int low, high;
    } integers[] = {{FIELD(hidden), sizes->hidden, sizes->hidden},
                    {FIELD(layers), sizes->layers, sizes->layers},
                    {FIELD(heads), sizes->heads, sizes->heads},
                    {FIELD(kv_heads), sizes->groups, sizes->groups},
                    {FIELD(inner), 8, 20},
                    {FIELD(vocabulary), 11, 29},
                    {FIELD(max_positions), 64, 64},
                    {FIELD(window), 2, 6},
                    {FIELD(head_dim), sizes->head_dim, sizes->head_dim}};
    const struct {
        size_t offset;
        double low, high;
    } reals[] = {{FIELD(norm_eps), 0.1, 0.3},         {FIELD(initializer_range), 0.4, 0.5},
                 {FIELD(embedding_factor), 0.5, 1.5}, {FIELD(residual_factor), 0.4, 1.2},
                 {FIELD(attention_factor), 0.3, 2},   {FIELD(attention_softcap), 1, 4},
                 {FIELD(logit_factor), 0.5, 1.5},     {FIELD(logit_softcap), 2, 5},
                 {FIELD(ropes[0].theta), 20, 90},     {FIELD(ropes[1].theta), 20, 90},
                 {FIELD(rotary_fraction), 0.5, 0.5}};
    for (size_t i = 0; i < sizeof integers / sizeof integers[0]; i++)
        if (integers[i].offset == offset)
            return json_integer(between(draw, integers[i].low, integers[i].high));
    for (size_t i = 0; i < sizeof reals / sizeof reals[0]; i++)
        if (reals[i].offset == offset) return json_real(real_between(draw, reals[i].low, reals[i].high));
    if (offset == FIELD(activation)) return json_string(activations[between(draw, 0, 3)]);
    if (offset == FIELD(layer_kinds)) return draw_kinds(draw, family, sizes->layers);
    return json_boolean(flag(draw)); // tied_head, attention_bias, mlp_bias
}

static json_t *draw_rope(struct draw *draw, const struct loam_family *family)
{
    const int kind = family->scales_queries ? 3 : between(draw, 0, 3);
    const double theta = real_between(draw, 20, 90), factor = real_between(draw, 1.5, 4);
    json_t *rope = json_pack("{s:f, s:f, s:i, s:f, s:f}", "rope_theta", theta, "factor", factor,
                             "original_max_position_embeddings", between(draw, 5, 12), "low_freq_factor", 1.0,
                             "high_freq_factor", real_between(draw, 2, 5));
    static const char *const types[] = {"default", "linear", "llama3", "yarn"};
    json_object_set_new(rope, "rope_type", json_string(types[kind]));
    if (kind == 3) json_object_set_new(rope, "truncate", json_boolean(flag(draw)));
    if (family->scales_queries)
        json_object_set_new(rope, "llama_4_scaling_beta", json_real(real_between(draw, 0.1, 0.6)));
    return rope;
}

// What a family reads beside its rows of keys.
static void draw_others(struct draw *draw, const struct loam_family *family, const struct sizes *sizes,
                        json_t *root)
{
    for (int i = 0; i < LOAM_FAMILY_CASES && family->cases[i].key != NULL; i++)
        json_object_set_new(root, family->cases[i].key,
                            json_boolean(strcmp(family->cases[i].value, "true") == 0));
    if (family->position == LOAM_ROPE) json_object_set_new(root, "rope_parameters", draw_rope(draw, family));
    if (family->rope_partial && !has_key(family, FIELD(rotary_fraction)))
        json_object_set_new(root, "partial_rotary_factor", json_real(flag(draw) ? 0.5 : 0.25));
    json_object_set_new(root, "rotary_dim", json_integer(4));
    json_object_set_new(root, "use_sliding_window", json_boolean(flag(draw)));
    json_object_set_new(root, "num_ln_in_parallel_attn", json_integer(2));
    json_t *positions = json_array();
    for (int i = 0; i < sizes->layers; i++)
        json_array_append_new(positions, json_integer(flag(draw)));
    json_object_set_new(root, "no_rope_layers", positions);
}

static json_t *draw_config(const struct loam_family *family, uint64_t seed)
{
    struct draw draw = {.seed = seed};
    const struct sizes sizes = draw_sizes(&draw, family);
    json_t *root = json_pack("{s:s}", "model_type", family->model_type);
    assert_non_null(root);
    for (size_t i = 0; i < family->key_count; i++) {
        const struct loam_config_key *key = &family->keys[i];
        if (json_object_get(root, key->names[0]) == NULL) // one key may be read into two fields
            json_object_set_new(root, key->names[0], draw_key(&draw, family, key->offset, &sizes));
    }
    draw_others(&draw, family, &sizes, root);
    return root;
}

// ---- a model ----

struct bench {
    struct loam_device *device;
    struct loam_model *model;
    struct loam_trainables set;
    struct loam_decoder *decoder;
    struct loam_batch batch;
};

// The vectors of norms and biases away from their initial values.
static void perturb_vectors(struct loam_trainables *set)
{
    for (size_t i = 0; i < set->count; i++) {
        struct loam_tensor *value = &set->items[i].value;
        for (int64_t j = 0; value->rank == 1 && j < value->shape[0]; j++)
            ((float *)value->data)[j] += 0.3f * (float)sin((double)(3 * j) + (double)i);
    }
}

static void append(struct bench *bench, int sequence)
{
    int32_t ids[LONGEST];
    float weights[LONGEST];
    const int32_t count = LONGEST - 3 * sequence;
    const int32_t vocabulary = (int32_t)bench->model->config.vocabulary;
    for (int32_t t = 0; t < count; t++)
        ids[t] = (5 * t * t + 3 * sequence + t + 1) % vocabulary;
    for (int32_t t = 0; t < count; t++)
        weights[t] = 1;
    assert_ok(loam_batch_append(&bench->batch, "random", ids, weights, count, &error));
}

static void fill_batch(struct bench *bench)
{
    loam_batch_clear(&bench->batch);
    for (int s = 0; s < SEQUENCES; s++)
        append(bench, s);
}

static void start(struct bench *bench, const struct loam_config *config, const char *device, uint64_t seed)
{
    char directory[256], path[320];
    const struct loam_load_options load = {.dtype = LOAM_F32, .writable = true};
    *bench = (struct bench){0};
    assert_non_null(test_make_directory(directory));
    snprintf(path, sizeof path, "%s/config.json", directory);
    test_write_file(path, "{}", 2);
    assert_ok(loam_device_create(&bench->device, device, 1, &error));
    assert_ok(loam_model_create(&bench->model, config, &error));
    assert_ok(loam_model_init_checkpoint(bench->model, seed, LOAM_F32, directory, NULL, &error));
    assert_ok(loam_model_load(bench->model, directory, bench->device, &load, &error));
    test_remove_directory(directory);
    assert_ok(loam_trainables_from_model(&bench->set, bench->model, &error));
    perturb_vectors(&bench->set);
    const struct loam_decoder_limits limits = {.tokens = TOKENS,
                                               .sequences = SEQUENCES,
                                               .context = TOKENS,
                                               .train = true,
                                               .checkpointing = (enum loam_checkpointing)(seed % 3),
                                               .evaluate = true,
                                               .generate = true,
                                               .logit_rows = TOKENS,
                                               .gradients = bench->set.of_model};
    assert_ok(loam_decoder_create(&bench->decoder, bench->model, bench->device, &limits, &error));
    assert_ok(loam_batch_init(&bench->batch, TOKENS, SEQUENCES, &error));
    fill_batch(bench);
}

static void end(struct bench *bench)
{
    loam_decoder_destroy(bench->decoder);
    loam_batch_deinit(&bench->batch);
    loam_trainables_deinit(&bench->set);
    loam_model_destroy(bench->model);
    loam_device_destroy(bench->device);
}

static double train(struct bench *bench)
{
    memset(bench->set.gradients.data, 0, loam_tensor_bytes(&bench->set.gradients));
    assert_ok(loam_decoder_train(bench->decoder, &bench->batch, 1.0, 0, 0, &error));
    return loam_batch_loss(&bench->batch);
}

static double distance(const float *x, const float *y, int64_t count)
{
    double sum = 0, norm = 0;
    for (int64_t i = 0; i < count; i++) {
        sum += pow((double)x[i] - (double)y[i], 2);
        norm += pow((double)y[i], 2);
    }
    return sqrt(sum / norm);
}

// ---- the properties ----

static double loss_with(struct bench *bench, float *entry, float value)
{
    const float kept = *entry;
    *entry = value;
    assert_ok(loam_decoder_evaluate(bench->decoder, &bench->batch, &error));
    *entry = kept;
    return loam_batch_loss(&bench->batch);
}

// Entries of random tensors, by central differences of two widths.
static void check_differences(struct bench *bench, struct draw *draw, const char *text)
{
    const float h = 4e-3f;
    (void)train(bench);
    for (int n = 0; n < CHECKED; n++) {
        struct loam_trainable *item = &bench->set.items[between(draw, 0, (int)bench->set.count - 1)];
        const int64_t at = between(draw, 0, (int)loam_tensor_count(&item->value) - 1);
        float *entry = (float *)item->value.data + at;
        const float x = *entry;
        const double near = loss_with(bench, entry, x + h) - loss_with(bench, entry, x - h);
        const double far = loss_with(bench, entry, x + 2 * h) - loss_with(bench, entry, x - 2 * h);
        const double wanted = (8 * near - far) / (12 * (double)h);
        const double found = (double)((const float *)item->grad.data)[at];
        if (!(fabs(wanted - found) <= 5e-3 * fabs(wanted) + 5e-3))
            fail_msg("%s: %s[%lld]: %g, by differences %g", text, item->name, (long long)at, found, wanted);
    }
}

static void check_devices(struct bench *ref, const struct loam_config *config, uint64_t seed,
                          const char *text)
{
    struct bench cpu;
    start(&cpu, config, "cpu", seed);
    const double wanted = train(ref), found = train(&cpu);
    const double off =
        distance(cpu.set.gradients.data, ref->set.gradients.data, loam_tensor_count(&ref->set.gradients));
    assert_true(wanted > 0);
    if (!(fabs(wanted - found) <= 2e-5 * wanted))
        fail_msg("%s: loss %g on cpu, %g on ref", text, found, wanted);
    if (!(off < 2e-4)) fail_msg("%s: gradients of cpu are %g off those of ref", text, off);
    end(&cpu);
}

// Each sequence alone, and token by token through the cache, against the packed batch.
static void check_sequences(struct bench *bench, const char *text)
{
    const int64_t vocabulary = bench->model->config.vocabulary;
    float *packed = calloc((size_t)(TOKENS * vocabulary), sizeof *packed);
    float *alone = calloc((size_t)(TOKENS * vocabulary), sizeof *alone);
    assert_non_null(packed);
    assert_non_null(alone);
    fill_batch(bench);
    assert_ok(loam_decoder_logits(bench->decoder, &bench->batch, packed, &error));
    int64_t first = 0;
    for (int s = 0; s < SEQUENCES; s++) {
        const float *wanted = packed + first * vocabulary;
        loam_batch_clear(&bench->batch);
        append(bench, s);
        const int32_t count = bench->batch.tokens;
        assert_ok(loam_decoder_logits(bench->decoder, &bench->batch, alone, &error));
        const double off = distance(alone, wanted, count * vocabulary);
        if (!(off < 1e-5)) fail_msg("%s: sequence %d alone is %g off the packed one", text, s, off);
        loam_decoder_cache_truncate(bench->decoder, 0, 0);
        for (int32_t t = 0; t < count; t++) {
            assert_ok(test_feed(bench->decoder, bench->batch.ids + t, 1, alone, &error));
            const double cached = distance(alone, wanted + t * vocabulary, vocabulary);
            if (!(cached < 1e-4)) fail_msg("%s: token %d through the cache is %g off", text, (int)t, cached);
        }
        first += count;
    }
    free(alone);
    free(packed);
    fill_batch(bench);
}

static uint64_t number_of(const char *name, uint64_t fallback)
{
    const char *text = getenv(name);
    return text == NULL ? fallback : strtoull(text, NULL, 10);
}

static void family_at_random(void **state)
{
    const struct loam_family *family = *state;
    const uint64_t draws = number_of("LOAM_RANDOM_COUNT", DRAWS), first = number_of("LOAM_RANDOM_SEED", 1);
    for (uint64_t i = 0; i < draws; i++) {
        const uint64_t seed = (first + i) * 1000 + loam_family_index(family);
        json_t *root = draw_config(family, seed);
        char *text = json_dumps(root, JSON_COMPACT);
        struct loam_config config;
        struct bench bench;
        struct draw draw = {.seed = seed, .next = 1000};
        assert_ok(loam_config_parse(&config, root, text, &error));
        assert_ptr_equal(config.family, family);
        start(&bench, &config, "ref", seed);
        check_differences(&bench, &draw, text);
        check_devices(&bench, &config, seed, text);
        check_sequences(&bench, text);
        end(&bench);
        free(text);
        json_decref(root);
    }
}

int main(void)
{
    static struct CMUnitTest tests[64];
    size_t count = 0;
    for (; loam_family_at(count) != NULL && count < 64; count++)
        tests[count] = (struct CMUnitTest){.name = loam_family_at(count)->model_type,
                                           .test_func = family_at_random,
                                           .initial_state = (void *)(uintptr_t)loam_family_at(count)};
    return _cmocka_run_group_tests("random configurations", tests, count, NULL, NULL);
}
