// Layers as rows, with families made up for the test: norms after branches, factors, parallel branches,
// another order, fused heads by blocks, a RoPE table for each kind of layer. On the reference device every
// gradient equals finite differences. The other device and all levels of checkpointing agree with it.
#include <math.h>
#include <stdlib.h>

#include "helpers/feed.h"
#include "model/decoder.h"
#include "model/trainables.h"
#include "test.h"

enum { HIDDEN = 8, LAYERS = 3, VOCABULARY = 11, TOKENS = 12, SEQUENCES = 2 };

#define COUNT(table) (sizeof(table) / sizeof(table)[0])
#define VECTOR(role, slot, name)                                                                             \
    {                                                                                                        \
        role, slot, name, {LOAM_DIM_H}, 0, NULL, LOAM_GGUF_ROWS_SAME                                         \
    }
#define BIAS(role, slot, name)                                                                               \
    {                                                                                                        \
        role, slot, name, {LOAM_DIM_H}, LOAM_WEIGHT_BIAS, NULL, LOAM_GGUF_ROWS_SAME                          \
    }
#define MATRIX(role, slot, name, rows, columns)                                                              \
    {                                                                                                        \
        role, slot, name, {rows, columns}, 0, NULL, LOAM_GGUF_ROWS_SAME                                      \
    }
#define LINEAR(slot, name, rows, columns) MATRIX(LOAM_ROLE_LINEAR, slot, "l.%d." name, rows, columns)
#define NORM(slot, name) VECTOR(LOAM_ROLE_NORM, slot, "l.%d." name)

static const struct loam_weight_row separate_rows[] = {
    MATRIX(LOAM_ROLE_EMBEDDING, 0, "embedding.weight", LOAM_DIM_V, LOAM_DIM_H),
    NORM(LOAM_NORM_ATTENTION, "attention_norm.weight"),
    NORM(LOAM_NORM_AFTER_ATTENTION, "after_attention_norm.weight"),
    NORM(LOAM_NORM_MLP, "mlp_norm.weight"),
    NORM(LOAM_NORM_AFTER_MLP, "after_mlp_norm.weight"),
    LINEAR(LOAM_Q, "q.weight", LOAM_DIM_QD, LOAM_DIM_H),
    LINEAR(LOAM_K, "k.weight", LOAM_DIM_GD, LOAM_DIM_H),
    LINEAR(LOAM_V, "v.weight", LOAM_DIM_GD, LOAM_DIM_H),
    LINEAR(LOAM_O, "o.weight", LOAM_DIM_H, LOAM_DIM_QD),
    LINEAR(LOAM_GATE, "gate.weight", LOAM_DIM_F, LOAM_DIM_H),
    LINEAR(LOAM_UP, "up.weight", LOAM_DIM_F, LOAM_DIM_H),
    LINEAR(LOAM_DOWN, "down.weight", LOAM_DIM_H, LOAM_DIM_F),
    VECTOR(LOAM_ROLE_FINAL_NORM, 0, "norm.weight"),
    MATRIX(LOAM_ROLE_HEAD, 0, "head.weight", LOAM_DIM_V, LOAM_DIM_H),
};
// Q = G here, so that [3, heads, D] has the 3 H rows of the fused matrix. The norms have no bias.
static const struct loam_weight_row fused_rows[] = {
    MATRIX(LOAM_ROLE_EMBEDDING, 0, "embedding.weight", LOAM_DIM_V, LOAM_DIM_H),
    NORM(LOAM_NORM_ATTENTION, "attention_norm.weight"),
    NORM(LOAM_NORM_MLP, "mlp_norm.weight"),
    LINEAR(LOAM_QKV, "qkv.weight", LOAM_DIM_3H, LOAM_DIM_H),
    LINEAR(LOAM_O, "o.weight", LOAM_DIM_H, LOAM_DIM_QD),
    BIAS(LOAM_ROLE_LINEAR, LOAM_O, "l.%d.o.bias"),
    LINEAR(LOAM_UP, "up.weight", LOAM_DIM_F, LOAM_DIM_H),
    LINEAR(LOAM_DOWN, "down.weight", LOAM_DIM_H, LOAM_DIM_F),
    VECTOR(LOAM_ROLE_FINAL_NORM, 0, "norm.weight"),
    MATRIX(LOAM_ROLE_HEAD, 0, "head.weight", LOAM_DIM_V, LOAM_DIM_H),
};

static const struct loam_layer_kind no_positions[] = {{"plain", 0, LOAM_NO_ROPE}};
static const struct loam_layer_kind by_layer[] = {
    {"near", 0, 0}, {"far", 0, 1}, {"windowed", offsetof(struct loam_config, window), LOAM_NO_ROPE}};

enum { FACTOR = offsetof(struct loam_config, residual_factor) };

static const struct loam_family separate = {.prefix = "base.",
                                            .norm = LOAM_RMSNORM,
                                            .position = LOAM_ROPE,
                                            .branch_count = 2,
                                            .query = {LOAM_Q, .stride = 1},
                                            .key = {LOAM_K, .stride = 1},
                                            .value = {LOAM_V, .stride = 1},
                                            .kinds = by_layer,
                                            .kind_count = COUNT(by_layer),
                                            .rope_count = 2,
                                            .rows = separate_rows,
                                            .row_count = COUNT(separate_rows)};
static const struct loam_family fused = {
    .prefix = "base.",
    .norm = LOAM_LAYERNORM,
    .branch_count = 2,
    .query = {LOAM_QKV, .stride = 1},
    .key = {LOAM_QKV, .first_queries = 1, .stride = 1},
    .value = {LOAM_QKV, .first_queries = 1, .first_keys = 1, .stride = 1},
    .kinds = no_positions,
    .kind_count = COUNT(no_positions),
    .rows = fused_rows,
    .row_count = COUNT(fused_rows)};

static const struct layer_case {
    const char *name;
    const struct loam_family *family;
    struct loam_branch branches[2];
} cases[] = {
    {"norms before and after, factors",
     &separate,
     {{LOAM_BODY_ATTENTION, LOAM_NORM_ATTENTION, LOAM_NORM_AFTER_ATTENTION, false, FACTOR},
      {LOAM_BODY_MLP, LOAM_NORM_MLP, LOAM_NORM_AFTER_MLP, false, FACTOR}}},
    {"norms after alone",
     &separate,
     {{LOAM_BODY_ATTENTION, LOAM_NO_NORM, LOAM_NORM_AFTER_ATTENTION, false, 0},
      {LOAM_BODY_MLP, LOAM_NO_NORM, LOAM_NORM_AFTER_MLP, false, 0}}},
    {"parallel, a norm each",
     &separate,
     {{LOAM_BODY_ATTENTION, LOAM_NORM_ATTENTION, LOAM_NO_NORM, true, 0},
      {LOAM_BODY_MLP, LOAM_NORM_MLP, LOAM_NO_NORM, true, FACTOR}}},
    {"parallel, one norm",
     &fused,
     {{LOAM_BODY_ATTENTION, LOAM_NORM_ATTENTION, LOAM_NO_NORM, true, 0},
      {LOAM_BODY_MLP, LOAM_NORM_ATTENTION, LOAM_NO_NORM, true, 0}}},
    {"parallel without norms",
     &fused,
     {{LOAM_BODY_MLP, LOAM_NO_NORM, LOAM_NO_NORM, true, FACTOR},
      {LOAM_BODY_ATTENTION, LOAM_NO_NORM, LOAM_NO_NORM, true, 0}}},
    {"the MLP first",
     &separate,
     {{LOAM_BODY_MLP, LOAM_NORM_MLP, LOAM_NORM_AFTER_MLP, false, 0},
      {LOAM_BODY_ATTENTION, LOAM_NORM_ATTENTION, LOAM_NO_NORM, false, FACTOR}}},
    {"fused by blocks, factors",
     &fused,
     {{LOAM_BODY_ATTENTION, LOAM_NORM_ATTENTION, LOAM_NO_NORM, false, FACTOR},
      {LOAM_BODY_MLP, LOAM_NORM_MLP, LOAM_NO_NORM, false, FACTOR}}},
};

struct bench {
    struct loam_family family;
    struct loam_device *device;
    struct loam_model *model;
    struct loam_trainables set;
    struct loam_decoder *decoder;
    struct loam_batch batch;
};

static struct loam_error error;

static struct loam_config config_of(const struct loam_family *family)
{
    struct loam_config config = {
        .family = family,
        .hidden = HIDDEN,
        .layers = LAYERS,
        .heads = 2,
        .kv_heads = family->query.linear == LOAM_QKV ? 2 : 1,
        .head_dim = HIDDEN / 2,
        .inner = 12,
        .vocabulary = VOCABULARY,
        .max_positions = 64,
        .norm_eps = 0.2, // large, so that finite differences are accurate
        .initializer_range = 0.5,
        .activation = family->norm == LOAM_RMSNORM ? LOAM_SILU : LOAM_GELU_TANH,
        .embedding_factor = 1,
        .logit_factor = 1,
        .ropes =
            {{.theta = 100, .rotated = 4, .attention_factor = 1},
             {.theta = 4, .scaling = LOAM_ROPE_LINEAR, .factor = 2, .rotated = 4, .attention_factor = 1}},
        .window = 3, // less than a sequence
        .residual_factor = 0.7};
    if (family->kind_count > 1)
        config.layer_kinds = (struct loam_config_list){.count = LAYERS, .items = {0, 2, 1}};
    return config;
}

static void create_decoder(struct bench *bench, enum loam_checkpointing level)
{
    const struct loam_decoder_limits limits = {.tokens = TOKENS,
                                               .sequences = SEQUENCES,
                                               .context = TOKENS,
                                               .train = true,
                                               .checkpointing = level,
                                               .evaluate = true,
                                               .generate = true,
                                               .logit_rows = TOKENS,
                                               .gradients = bench->set.of_model};
    loam_decoder_destroy(bench->decoder);
    assert_ok(loam_decoder_create(&bench->decoder, bench->model, bench->device, &limits, &error));
}

// The last `labelled` tokens of each sequence have a label. If they are few, the top layer drops rows.
static void fill_batch(struct bench *bench, int32_t labelled)
{
    int32_t ids[TOKENS / SEQUENCES];
    float weights[TOKENS / SEQUENCES];
    loam_batch_clear(&bench->batch);
    for (int s = 0; s < SEQUENCES; s++) {
        for (int t = 0; t < TOKENS / SEQUENCES; t++)
            ids[t] = (5 * t + 3 * s + 1) % VOCABULARY;
        for (int t = 0; t < TOKENS / SEQUENCES; t++)
            weights[t] = t >= TOKENS / SEQUENCES - labelled ? 1 : 0;
        assert_ok(loam_batch_append(&bench->batch, "a", ids, weights, TOKENS / SEQUENCES, &error));
    }
}

// Moves the vectors of norms and biases away from their initial values.
static void perturb_vectors(struct loam_trainables *set)
{
    for (size_t i = 0; i < set->count; i++) {
        struct loam_tensor *value = &set->items[i].value;
        if (value->rank != 1) continue;
        for (int64_t j = 0; j < value->shape[0]; j++)
            ((float *)value->data)[j] += 0.3f * (float)sin((double)(3 * j) + (double)i);
    }
}

static void start(struct bench *bench, const struct layer_case *c, const char *device, int32_t labelled)
{
    char directory[256], path[320];
    const struct loam_load_options load = {.dtype = LOAM_F32, .writable = true};
    *bench = (struct bench){.family = *c->family};
    memcpy(bench->family.branches, c->branches, sizeof c->branches);
    const struct loam_config config = config_of(&bench->family);
    assert_non_null(test_make_directory(directory));
    snprintf(path, sizeof path, "%s/config.json", directory);
    test_write_file(path, "{}", 2);
    assert_ok(loam_device_create(&bench->device, device, 1, &error));
    assert_ok(loam_model_create(&bench->model, &config, &error));
    assert_ok(loam_model_init_checkpoint(bench->model, 3, LOAM_F32, directory, NULL, &error));
    assert_ok(loam_model_load(bench->model, directory, bench->device, &load, &error));
    assert_ok(loam_trainables_from_model(&bench->set, bench->model, &error));
    perturb_vectors(&bench->set);
    assert_ok(loam_batch_init(&bench->batch, TOKENS, SEQUENCES, &error));
    fill_batch(bench, labelled);
    create_decoder(bench, LOAM_CHECKPOINT_NONE);
    test_remove_directory(directory);
}

static void end(struct bench *bench)
{
    loam_decoder_destroy(bench->decoder);
    loam_batch_deinit(&bench->batch);
    loam_trainables_deinit(&bench->set);
    loam_model_destroy(bench->model);
    loam_device_destroy(bench->device);
}

static double loss_of(struct bench *bench)
{
    assert_ok(loam_decoder_evaluate(bench->decoder, &bench->batch, &error));
    return loam_batch_loss(&bench->batch);
}

static double train(struct bench *bench)
{
    memset(bench->set.gradients.data, 0, loam_tensor_bytes(&bench->set.gradients));
    assert_ok(loam_decoder_train(bench->decoder, &bench->batch, 1.0, 0, 0, &error));
    return loam_batch_loss(&bench->batch);
}

// value += step * direction. Each tensor has its own direction.
static void move(struct loam_tensor *value, size_t tensor, double step)
{
    for (int64_t i = 0; i < loam_tensor_count(value); i++)
        ((float *)value->data)[i] += (float)(step * cos((double)(i * (int64_t)(tensor + 2)) + 0.5));
}

static double along(const struct loam_tensor *grad, size_t tensor)
{
    double sum = 0;
    for (int64_t i = 0; i < loam_tensor_count(grad); i++)
        sum += (double)((const float *)grad->data)[i] * cos((double)(i * (int64_t)(tensor + 2)) + 0.5);
    return sum;
}

// Returns the loss with a tensor moved by `step`, and moves it back.
static double moved(struct bench *bench, struct loam_tensor *value, size_t tensor, double step)
{
    const size_t bytes = loam_tensor_bytes(value);
    float *kept = malloc(bytes);
    assert_non_null(kept);
    memcpy(kept, value->data, bytes);
    move(value, tensor, step);
    const double loss = loss_of(bench);
    memcpy(value->data, kept, bytes);
    free(kept);
    return loss;
}

static void check_differences(struct bench *bench, const char *name)
{
    const double h = 1e-3;
    const double loss = train(bench);
    assert_true(fabs(loss - loss_of(bench)) <= 1e-5 * loss);
    for (size_t i = 0; i < bench->set.count; i++) {
        struct loam_trainable *item = &bench->set.items[i];
        const double near = moved(bench, &item->value, i, h) - moved(bench, &item->value, i, -h);
        const double far = moved(bench, &item->value, i, 2 * h) - moved(bench, &item->value, i, -2 * h);
        const double wanted = (8 * near - far) / (12 * h), found = along(&item->grad, i);
        if (!(fabs(wanted - found) <= 2e-3 * fabs(wanted) + 5e-3))
            fail_msg("%s: %s: %g, by differences %g", name, item->name, found, wanted);
    }
}

static void gradients_are_differences(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        for (int32_t labelled = 2; labelled <= TOKENS / SEQUENCES; labelled += TOKENS / SEQUENCES - 2) {
            struct bench bench;
            start(&bench, &cases[i], "ref", labelled);
            check_differences(&bench, cases[i].name);
            end(&bench);
        }
}

static double distance(const struct loam_tensor *a, const struct loam_tensor *b)
{
    double sum = 0, norm = 0;
    const float *x = a->data, *y = b->data;
    for (int64_t i = 0; i < loam_tensor_count(a); i++) {
        sum += pow((double)x[i] - (double)y[i], 2);
        norm += pow((double)y[i], 2);
    }
    return sqrt(sum / norm);
}

static void devices_agree(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        for (int32_t labelled = 2; labelled <= TOKENS / SEQUENCES; labelled += TOKENS / SEQUENCES - 2) {
            struct bench ref, cpu;
            start(&ref, &cases[i], "ref", labelled);
            start(&cpu, &cases[i], "cpu", labelled);
            const double wanted = train(&ref), found = train(&cpu);
            assert_true(fabs(wanted - found) <= 1e-5 * wanted);
            assert_true(distance(&cpu.set.gradients, &ref.set.gradients) < 1e-4);
            end(&cpu);
            end(&ref);
        }
}

static void checkpointing_keeps_every_bit(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bench bench;
        start(&bench, &cases[i], "cpu", 2);
        const size_t bytes = loam_tensor_bytes(&bench.set.gradients);
        float *expected = malloc(bytes);
        assert_non_null(expected);
        const double loss = train(&bench);
        memcpy(expected, bench.set.gradients.data, bytes);
        for (enum loam_checkpointing level = LOAM_CHECKPOINT_MLP; level <= LOAM_CHECKPOINT_BLOCK; level++) {
            create_decoder(&bench, level);
            assert_true(train(&bench) == loss);
            if (memcmp(bench.set.gradients.data, expected, bytes) != 0)
                fail_msg("%s: level %d gives other gradients", cases[i].name, (int)level);
        }
        free(expected);
        end(&bench);
    }
}

// Feeding token by token through the cache gives the logits of the whole sequence.
static void cached_is_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bench bench;
        float whole[TOKENS * VOCABULARY], logits[VOCABULARY];
        start(&bench, &cases[i], "cpu", 2);
        assert_ok(loam_decoder_logits(bench.decoder, &bench.batch, whole, &error));
        for (int32_t t = 0; t < TOKENS / SEQUENCES; t++) {
            assert_ok(test_feed(bench.decoder, bench.batch.ids + t, 1, logits, &error));
            for (int v = 0; v < VOCABULARY; v++)
                assert_true(fabsf(logits[v] - whole[t * VOCABULARY + v]) < 1e-4f);
        }
        end(&bench);
    }
}

// Every row has an effect: without a norm or a factor, or with another RoPE table, the loss differs.
static void rows_take_part(void **state)
{
    (void)state;
    double losses[COUNT(cases)];
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bench bench;
        start(&bench, &cases[i], "ref", 2);
        losses[i] = loss_of(&bench);
        end(&bench);
        for (size_t j = 0; j < i; j++)
            assert_true(fabs(losses[i] - losses[j]) > 1e-4);
    }
    struct bench bench;
    start(&bench, &cases[0], "ref", 2);
    bench.model->config.layer_kinds.items[2] = 0; // a table of the other base
    create_decoder(&bench, LOAM_CHECKPOINT_NONE);
    assert_true(fabs(loss_of(&bench) - losses[0]) > 1e-4);
    bench.model->config.layer_kinds.items[2] = 2; // no positions
    create_decoder(&bench, LOAM_CHECKPOINT_NONE);
    assert_true(fabs(loss_of(&bench) - losses[0]) > 1e-4);
    end(&bench);
}

// A window that would change the result is an error. It is never ignored.

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_differences),
        cmocka_unit_test(devices_agree),
        cmocka_unit_test(checkpointing_keeps_every_bit),
        cmocka_unit_test(cached_is_whole),
        cmocka_unit_test(rows_take_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
