// What a golden expects, compared: logits, loss, every gradient, ten optimiser steps and generated tokens.
#include "lora/adapter.h"
#include "parity/run/common_golden.h"

#include <math.h>

#include "helpers/generation.h"
#include "train/optimiser.h"
#include "train/schedule.h"

// In f32 a run may differ by this: relative in the norm for logits and gradients, absolute for losses. The
// generator checks that f32 itself rounds away less than a fifth of it.
static const double f32_bound = 1e-4;

// In bf16 every activation that an op writes and every weight is rounded to 8 bits. A rounding errs by at
// most u = 2^-8; over mantissas spread log-uniformly its root mean square is u / sqrt(3) * sqrt((3/8) / ln 2)
// = 0.425 u. Roundings on the way of a value err independently and norms keep their amplification near one,
// so that k of them give 0.425 u sqrt(k); a bound is three of these standard deviations.
static const double bf16_deviations = 3 * 0.425 / 256;
// A layer rounds up to 13 times on the way of a value: two norms, the three weights and three outputs on the
// way through attention (projection, rope, sum) and its output weight, gate or up with its weight, the
// activation, the down weight, two residual sums. Outside the layers: embedding and its norm, final norm,
// head weight.
enum { ROUNDINGS_OF_A_LAYER = 13, ROUNDINGS_OUTSIDE = 5 };
// A gradient sees three such ways: the activations that it is taken at, the softmax of the logits that it
// starts from, and the way back, which mirrors the way there.
enum { WAYS_OF_A_GRADIENT = 3 };

// The rounding errors of a dtype beside those of bf16: f16 has 3 bits more.
static double beside_bf16(enum loam_dtype dtype)
{
    return dtype == LOAM_F16 ? 0.125 : 1;
}

// In f16 the loss has a factor, for the gradients of activations that f16 would round to zero.
static double loss_factor(enum loam_dtype dtype)
{
    return dtype == LOAM_F16 ? 1024 : 1;
}

struct bounds {
    double logits;    // relative, norm
    double gradients; // relative, norm, of each tensor
};

// Where values cancel, rounding shows more than this estimate. The goldens of families.py have the errors of
// PyTorch's own bf16; loam may err by this many times as much.
static const double bf16_factor = 3;

struct errors {
    double logits;
    double gradients;
    double loss;
    double steps;    // the largest of ten losses
    char worst[160]; // the tensor with the largest error of a gradient
};

static double norm_of(const float *values, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)values[i] * (double)values[i];
    return sqrt(sum);
}

static void subtract(float *values, const float *others, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        values[i] -= others[i];
}

static double setting(const json_t *settings, const char *key)
{
    const json_t *value = json_object_get(settings, key);
    if (!json_is_number(value)) fail_msg("golden.json: no number %s", key);
    return json_number_value(value);
}

// The settings of the run that the golden was made with.
static const json_t *settings_of(const struct golden *golden, const char *name)
{
    const json_t *all = golden->manifest;
    const json_t *settings = json_object_get(all, name);
    if (settings == NULL) settings = json_object_get(json_object_get(all, "adapters"), name);
    assert_true(json_is_object(settings));
    return settings;
}

// What PyTorch's own bf16 allows, in a run with these settings: 0 where the golden does not have it.
static double bf16_bound(const json_t *settings, const char *key)
{
    return bf16_factor * json_number_value(json_object_get(json_object_get(settings, "bf16"), key));
}

static struct bounds bounds_for(const struct loam_model *model, const json_t *settings)
{
    if (model->dtype == LOAM_F32) return (struct bounds){f32_bound, f32_bound};
    double way = (double)(ROUNDINGS_OF_A_LAYER * model->config.layers + ROUNDINGS_OUTSIDE);
    const double unit = beside_bf16(model->dtype);
    return (struct bounds){
        unit * fmax(bf16_deviations * sqrt(way), bf16_bound(settings, "logits")),
        unit * fmax(bf16_deviations * sqrt(WAYS_OF_A_GRADIENT * way), bf16_bound(settings, "gradients"))};
}

// A label's loss is logsumexp(logits) - logit: two values that err by the logits' relative error times their
// size. The mean over independent labels divides by the square root of their number.
static double loss_bound(const struct golden_run *run, const json_t *settings, double logit_size)
{
    if (run->model->dtype == LOAM_F32) return f32_bound;
    double label = bounds_for(run->model, settings).logits * logit_size * sqrt(2);
    return fmax(label / sqrt((double)run->batch.labels.count),
                beside_bf16(run->model->dtype) * bf16_bound(settings, "losses"));
}

static void compare_forward(struct golden_run *run, const struct golden *golden, const char *name,
                            struct errors *errors)
{
    struct loam_error error;
    int64_t count = run->batch.tokens * run->model->config.vocabulary;
    float *logits = golden_run_logits(run);
    errors->logits = golden_error(logits, golden_expected(golden, name, "logits", count), count);
    free(logits);
    assert_ok(loam_decoder_evaluate(run->decoder, &run->batch, &error));
    double expected = (double)*golden_expected(golden, name, "loss", 1);
    errors->loss = fabs(loam_batch_loss(&run->batch) / (double)run->batch.labels.count - expected);
}

// The norm that an error of a gradient is relative to: that of the gradient, but for the bias of a key. That
// gradient is what is left of terms that cancel, because the same added to all keys of a query changes no
// softmax, but for the rotation. In bf16 it errs as these terms do, which are as large as those of the query's
// bias. Without a rotation nothing is left of it, and the golden has zeros.
static double gradient_size(const struct golden_run *run, const struct golden *golden, const char *name,
                            const struct loam_trainable *item)
{
    static const char end[] = "k_proj.bias";
    const size_t length = strlen(item->name), tail = sizeof end - 1;
    const int64_t count = loam_tensor_count(&item->grad);
    char key[200];
    snprintf(key, sizeof key, "grad.%s", item->name);
    const double own = norm_of(golden_expected(golden, name, key, count), count);
    const bool is_key_bias = length >= tail && strcmp(item->name + length - tail, end) == 0;
    if (!is_key_bias || (run->model->dtype == LOAM_F32 && own > 0)) return own;
    const struct loam_config *config = &run->model->config;
    const int64_t queries = count * config->heads / config->kv_heads;
    snprintf(key, sizeof key, "grad.%.*sq_proj.bias", (int)(length - tail), item->name);
    return norm_of(golden_expected(golden, name, key, queries), queries);
}

// The place in the list of each row of trained tokens, in the order of memory; NULL: the item has no such rows.
static const int64_t *rows_of_tokens(const struct golden_run *run, const struct loam_trainable *item)
{
    for (size_t i = 0; run->adapter != NULL && i < run->adapter->token_count; i++)
        if (strcmp(run->adapter->tokens[i].name, item->name) == 0) return run->adapter->tokens[i].order;
    return NULL;
}

// PEFT has the matrices of an embedding transposed, and trained tokens in the order of their list: so must be the
// gradient that is compared with its.
static void order_as_in_file(const struct golden_run *run, const struct loam_trainable *item, float *grad)
{
    const int64_t rows = item->grad.shape[0], columns = item->grad.shape[1];
    const int64_t *places = rows_of_tokens(run, item);
    if (places == NULL && strstr(item->name, ".lora_embedding_") == NULL) return;
    float *copy = calloc((size_t)(rows * columns), sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, grad, (size_t)(rows * columns) * sizeof *copy);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            grad[places != NULL ? places[i] * columns + j : j * rows + i] = copy[i * columns + j];
    free(copy);
}

static void compare_gradients(struct golden_run *run, const struct golden *golden, const char *name,
                              struct errors *errors)
{
    const double factor = loss_factor(run->model->dtype);
    golden_run_train(run, factor / run->batch.labels.weight);
    assert_int_equal(run->set.count, golden_expected_gradients(golden, name));
    for (size_t i = 0; i < run->set.count; i++) {
        const struct loam_trainable *item = &run->set.items[i];
        char key[200];
        int64_t count = loam_tensor_count(&item->grad);
        snprintf(key, sizeof key, "grad.%s", item->name);
        float *grad = golden_run_download(run, &item->grad);
        order_as_in_file(run, item, grad);
        for (int64_t j = 0; j < count; j++)
            grad[j] /= (float)factor;
        subtract(grad, golden_expected(golden, name, key, count), count);
        double relative = norm_of(grad, count) / gradient_size(run, golden, name, item);
        free(grad);
        if (relative <= errors->gradients) continue;
        errors->gradients = relative; // also when it is not a number
        snprintf(errors->worst, sizeof errors->worst, "%s", item->name);
    }
}

static struct loam_optimiser_settings adamw_settings(const json_t *settings)
{
    return (struct loam_optimiser_settings){.beta1 = setting(settings, "adam_beta1"),
                                            .beta2 = setting(settings, "adam_beta2"),
                                            .epsilon = setting(settings, "adam_epsilon"),
                                            .weight_decay = setting(settings, "weight_decay"),
                                            .max_grad_norm = setting(settings, "max_grad_norm")};
}

static struct loam_schedule linear_schedule(const json_t *settings)
{
    return (struct loam_schedule){.kind = LOAM_SCHEDULE_LINEAR,
                                  .learning_rate = setting(settings, "learning_rate"),
                                  .warmup_steps = (int64_t)setting(settings, "warmup_steps"),
                                  .total_steps = GOLDEN_STEPS};
}

// Ten steps of loam's own optimiser and schedule: losses and gradient norms. In bf16 the later losses also
// carry what the updates drift apart: as much again is allowed.
static void compare_steps(struct golden_run *run, const struct golden *golden, const char *name,
                          double logit_size, struct errors *errors)
{
    struct loam_error error;
    struct loam_optimiser optimiser;
    const json_t *settings = settings_of(golden, name);
    struct loam_optimiser_settings adamw = adamw_settings(settings);
    struct loam_schedule schedule = linear_schedule(settings);
    const float *losses = golden_expected(golden, name, "losses", GOLDEN_STEPS);
    const float *norms = golden_expected(golden, name, "grad_norms", GOLDEN_STEPS);
    bool f32 = run->model->dtype == LOAM_F32;
    assert_ok(loam_optimiser_init(&optimiser, &run->set, &adamw, &error));
    optimiser.loss_scale.factor = loss_factor(run->model->dtype);
    for (int step = 0; step < GOLDEN_STEPS; step++) {
        double norm = 0;
        golden_sequences(golden, step * GOLDEN_SEQUENCES, GOLDEN_SEQUENCES, &run->batch);
        assert_ok(loam_optimiser_zero_gradients(&optimiser, &error));
        double loss = golden_run_train(run, optimiser.loss_scale.factor / run->batch.labels.weight);
        double difference = fabs(loss / (double)run->batch.labels.count - (double)losses[step]);
        double bound = loss_bound(run, settings, logit_size) * (f32 ? 1 : 2);
        if (!(difference < bound)) fail_msg("loss of step %d: %g off, bound %g", step + 1, difference, bound);
        if (difference > errors->steps) errors->steps = difference;
        assert_ok(loam_optimiser_gradient_norm(&optimiser, &norm, &error));
        double relative = fabs(norm / (double)norms[step] - 1);
        bound = bounds_for(run->model, settings).gradients * (f32 ? 1 : 2);
        if (!(relative < bound)) fail_msg("norm of step %d: %g off, bound %g", step + 1, relative, bound);
        assert_ok(loam_optimiser_update(&optimiser, loam_schedule_rate(&schedule, step), &error));
    }
    loam_optimiser_deinit(&optimiser);
}

static void compare_run(const struct golden *golden, const struct golden_case *c, const char *name)
{
    bool full = strcmp(name, "full") == 0;
    struct golden_run_options options = {.device = c->device,
                                         .create = c->create,
                                         .dtype = c->dtype,
                                         .adapter = full ? NULL : name,
                                         .full = full};
    struct golden_run run;
    struct errors errors = {0};
    golden_run_start(&run, golden, &options);
    const json_t *settings = settings_of(golden, name);
    struct bounds bounds = bounds_for(run.model, settings);
    int64_t count = run.batch.tokens * run.model->config.vocabulary;
    double logit_size = norm_of(golden_expected(golden, name, "logits", count), count) / sqrt((double)count);
    double bound = loss_bound(&run, settings, logit_size);
    compare_forward(&run, golden, name, &errors);
    compare_gradients(&run, golden, name, &errors);
    compare_steps(&run, golden, name, logit_size, &errors);
    golden_run_end(&run);
    printf("%-31s %-16s %9.1e %9.1e %9.1e %9.1e  %s\n", strchr(c->name, ' ') + 1, name, errors.logits,
           errors.loss, errors.gradients, errors.steps, errors.worst);
    if (!(errors.logits < bounds.logits)) fail_msg("logits: %g, bound %g", errors.logits, bounds.logits);
    if (!(errors.loss < bound)) fail_msg("loss: %g, bound %g", errors.loss, bound);
    if (!(errors.gradients < bounds.gradients))
        fail_msg("gradient of %s: %g, bound %g", errors.worst, errors.gradients, bounds.gradients);
}

// ---- generation ----

// Up to GREEDY_TOKENS integers of an array; returns how many there are.
enum { GREEDY_TOKENS = 64 };
static int32_t read_tokens(const json_t *entry, const char *key, int32_t tokens[GREEDY_TOKENS])
{
    const json_t *array = json_object_get(entry, key);
    const size_t count = json_array_size(array);
    assert_in_range(count, 1, GREEDY_TOKENS);
    for (size_t i = 0; i < count; i++)
        tokens[i] = (int32_t)json_integer_value(json_array_get(array, i));
    return (int32_t)count;
}

static void compare_continuation(const struct golden_run *run, const json_t *entry)
{
    struct loam_error error;
    struct loam_generator *generator = NULL;
    const struct loam_special_tokens special = {0};
    int32_t prompt[GREEDY_TOKENS], expected[GREEDY_TOKENS], tokens[GREEDY_TOKENS], count = 0;
    const int32_t read = read_tokens(entry, "prompt", prompt);
    const int32_t new = read_tokens(entry, "tokens", expected);
    const struct loam_generator_limits limits = {.sequences = 1, .context = read + new, .tokens = read};
    const struct loam_generation generation = {
        .max_new_tokens = new,
        .vocabulary = (int32_t)run->model->config.vocabulary,
        .sampling = {.top_p = 1, .repetition_penalty = 1},
        .special = &special,
    };
    assert_ok(loam_generator_create(&generator, run->model, run->device, &limits, &error));
    test_generate(generator, prompt, read, &generation, &(struct loam_segments){0}, tokens, &count);
    loam_generator_destroy(generator);
    assert_int_equal(count, new);
    for (int32_t i = 0; i < new; i++)
        if (tokens[i] != expected[i])
            fail_msg("after %d tokens, generated token %d is %d instead of %d", read, i, tokens[i],
                     expected[i]);
}

// Greedy generation by the base, where the golden has it. In f32 only: the golden's tokens lead the next best
// by more than f32 rounds away.
static void compare_greedy(const struct golden *golden, const struct golden_case *c)
{
    const json_t *greedy = json_object_get(golden->manifest, "greedy");
    if (greedy == NULL || c->dtype != LOAM_F32) return;
    struct golden_run run;
    golden_run_start(
        &run, golden,
        &(struct golden_run_options){.device = c->device, .create = c->create, .dtype = c->dtype});
    assert_true(json_array_size(greedy) > 0);
    for (size_t i = 0; i < json_array_size(greedy); i++)
        compare_continuation(&run, json_array_get(greedy, i));
    golden_run_end(&run);
}

void golden_compare(void **state)
{
    const struct golden_case *c = *state;
    const char *only = getenv("LOAM_GOLDEN_DTYPE"); // of scripts/parity_modules.py
    struct golden golden;
    if (only != NULL && strcmp(only, loam_dtype_name(c->dtype)) != 0) return;
    golden_open(&golden, c->golden);
    if (json_object_get(golden.manifest, "full") != NULL) compare_run(&golden, c, "full");
    compare_run(&golden, c, "adapter");
    if (golden_has(&golden, "adapter-default")) compare_run(&golden, c, "adapter-default");
    compare_greedy(&golden, c);
    golden_close(&golden);
}

void golden_compare_heading(void)
{
    printf("%-31s %-16s %9s %9s %9s %9s  %s\n", "golden", "run", "logits", "loss", "gradient", "10 steps",
           "worst gradient");
}
