// Checks that the operations of a step, counted by the trace, equal explicit formulas.
#include "bench/bench.h"
#include "test.h"

#include <jansson.h>
#include <math.h>

#include "bench/ceiling.h"
#include "bench/runner.h"

enum { HIDDEN = 32, INNER = 48, LAYERS = 3, HEADS = 4, KV_HEADS = 2, DIM = 8, VOCABULARY = 64, RANK = 4 };

static const char bloom[] =
    "{\"model_type\": \"bloom\", \"architectures\": [\"BloomForCausalLM\"], \"vocab_size\": 64, "
    "\"hidden_size\": 32, \"n_layer\": 3, \"n_head\": 4}";
static const char llama[] =
    "{\"model_type\": \"llama\", \"architectures\": [\"LlamaForCausalLM\"], \"vocab_size\": 64, "
    "\"hidden_size\": 32, \"intermediate_size\": 48, \"num_hidden_layers\": 3, \"num_attention_heads\": 4, "
    "\"num_key_value_heads\": 2, \"max_position_embeddings\": 128, \"rms_norm_eps\": 1e-5, "
    "\"tie_word_embeddings\": false}";

// Makes a directory with config.json and random weights, without a tokenizer.
static void make_model(const char *directory, const char *text)
{
    struct loam_error error;
    struct loam_config config;
    struct loam_model *model;
    char path[300];
    json_t *root = json_loads(text, 0, NULL);
    assert_non_null(root);
    assert_ok(loam_config_parse(&config, root, "config.json", &error));
    json_decref(root);
    snprintf(path, sizeof path, "%s/config.json", directory);
    test_write_file(path, text, strlen(text));
    assert_ok(loam_model_create(&model, &config, &error));
    assert_ok(loam_model_init_checkpoint(model, 1, LOAM_F32, directory, NULL, &error));
    loam_model_destroy(model);
}

static struct loam_bench_settings settings_of(const char *directory, const char *lengths)
{
    return (struct loam_bench_settings){
        .train = {.model = directory,
                  .device = "cpu",
                  .threads = 1,
                  .dtype = LOAM_F32,
                  .lora = {.rank = RANK, .alpha = 8},
                  .learning_rate = 1e-4,
                  .adam_beta1 = 0.9,
                  .adam_beta2 = 0.999,
                  .adam_epsilon = 1e-8,
                  .max_grad_norm = 1,
                  .accumulation = 1,
                  .seed = 1},
        .lengths = lengths,
        .steps = 2,
        .warm_up = 1,
    };
}

static double flops_of(const struct loam_bench_settings *settings)
{
    struct loam_error error;
    struct loam_bench_step result;
    assert_ok(loam_bench_step_run(settings, NULL, &result, &error));
    assert_true(result.steps == settings->steps);
    return result.flops_per_step;
}

static void assert_flops(const struct loam_bench_settings *settings, double expected)
{
    const double found = flops_of(settings);
    if (found != expected) fail_msg("%.0f operations; expected %.0f", found, expected);
}

// Three sequences of 5, 9 and 3 tokens. In the second one, the last 4 tokens are labels.
static const char lengths[] = "5,9:4,3";
enum {
    TOKENS = 5 + 9 + 3,
    PAIRS = 5 * 6 / 2 + 9 * 10 / 2 + 3 * 4 / 2, // of a query and a key at or before it
    LABELS = 4 + 4 + 2,
};

// y = x wᵀ over all tokens.
static double linear(double in, double out)
{
    return 2.0 * TOKENS * in * out;
}
static double adapter_forward(double in, double out)
{
    return linear(in, RANK) + linear(RANK, out);
}
// dt, db and da, and dx if a lower layer is trained.
static double adapter_backward(double in, double out, bool below)
{
    return 2 * linear(RANK, out) + (below ? 2 : 1) * linear(in, RANK);
}
static double attention(double products)
{
    return products * 2.0 * DIM * HEADS * PAIRS;
}
static double head(double products)
{
    return products * 2.0 * LABELS * HIDDEN * VOCABULARY;
}

static double bloom_linears(void) // dense, up and down
{
    return linear(HIDDEN, HIDDEN) + 2 * linear(HIDDEN, 4 * HIDDEN);
}
static double bloom_qkv(void)
{
    return linear(HIDDEN, 3 * HIDDEN);
}
static double llama_linears(void) // o, gate, up and down
{
    return linear(HIDDEN, HIDDEN) + 3 * linear(HIDDEN, INNER);
}
static double llama_qkv(void)
{
    return linear(HIDDEN, HIDDEN) + 2 * linear(HIDDEN, KV_HEADS * DIM);
}

// BLOOM's layers above the last attention are computed only for labels if these are at most half of a
// micro-batch. `dropped` of all tokens are then left out.
static double bloom_above_attention(double dropped)
{
    return (LAYERS - dropped / TOKENS) * bloom_linears();
}

// The backward ends at the lowest adapter and does not pass through the projection that it adapts.
static double bloom_lora_without(double dropped)
{
    const double forward = bloom_above_attention(dropped) +
                           LAYERS * (bloom_qkv() + adapter_forward(HIDDEN, 3 * HIDDEN) + attention(2));
    const double backward = bloom_above_attention(dropped) + LAYERS * attention(4) +
                            (LAYERS - 1) * bloom_qkv() +
                            (LAYERS - 1) * adapter_backward(HIDDEN, 3 * HIDDEN, true) +
                            adapter_backward(HIDDEN, 3 * HIDDEN, false);
    return forward + backward + head(2);
}

static double bloom_lora(void)
{
    return bloom_lora_without(0);
}

static void test_bloom_lora(void **state)
{
    make_model(*state, bloom);
    struct loam_bench_settings settings = settings_of(*state, lengths);
    assert_flops(&settings, bloom_lora());
    settings.train.device = "ref";
    assert_flops(&settings, bloom_lora());
}

// 4 of the 9 tokens of the second sequence are labels, which is less than half when it is a micro-batch.
static void test_bloom_few_labels(void **state)
{
    make_model(*state, bloom);
    struct loam_bench_settings settings = settings_of(*state, lengths);
    settings.train.token_budget = 9; // three micro-batches
    assert_flops(&settings, bloom_lora_without(9 - 4));
}

static void test_bloom_top_layer(void **state)
{
    make_model(*state, bloom);
    struct loam_bench_settings settings = settings_of(*state, lengths);
    settings.train.lora.target_modules = ".*h\\.2\\.self_attention\\.query_key_value";
    const double forward =
        LAYERS * (bloom_linears() + bloom_qkv() + attention(2)) + adapter_forward(HIDDEN, 3 * HIDDEN);
    const double backward = bloom_linears() + attention(4) + adapter_backward(HIDDEN, 3 * HIDDEN, false);
    assert_flops(&settings, forward + backward + head(2));
}

static void test_bloom_full(void **state)
{
    make_model(*state, bloom);
    struct loam_bench_settings settings = settings_of(*state, lengths);
    settings.train.full = true;
    const double linears = LAYERS * (bloom_linears() + bloom_qkv());
    assert_flops(&settings, 3 * linears + LAYERS * attention(2 + 4) + head(3));
}

static void test_llama_lora(void **state)
{
    make_model(*state, llama);
    struct loam_bench_settings settings = settings_of(*state, lengths); // q_proj and v_proj
    const double out[] = {HIDDEN, KV_HEADS * DIM};
    double adapters = 0;
    for (int i = 0; i < 2; i++)
        adapters += LAYERS * adapter_forward(HIDDEN, out[i]) +
                    (LAYERS - 1) * adapter_backward(HIDDEN, out[i], true) +
                    adapter_backward(HIDDEN, out[i], false);
    assert_flops(&settings, (2 * LAYERS) * llama_linears() + (2 * LAYERS - 1) * llama_qkv() + adapters +
                                LAYERS * attention(2 + 4) + head(2));
}

static void test_llama_full(void **state)
{
    make_model(*state, llama);
    struct loam_bench_settings settings = settings_of(*state, lengths);
    settings.train.full = true;
    assert_flops(&settings,
                 3 * LAYERS * (llama_linears() + llama_qkv()) + LAYERS * attention(2 + 4) + head(3));
}

// The required operations do not depend on how a step is computed.
static void test_ways(void **state)
{
    make_model(*state, bloom);
    struct loam_bench_settings settings = settings_of(*state, lengths);
    settings.train.checkpointing = LOAM_CHECKPOINT_BLOCK;
    assert_flops(&settings, bloom_lora());
    settings.train.checkpointing = LOAM_CHECKPOINT_MLP;
    assert_flops(&settings, bloom_lora());
    settings = settings_of(*state, lengths);
    settings.train.batch_size = 1;
    settings.train.accumulation = 3;
    assert_flops(&settings, bloom_lora());
    settings = settings_of(*state, lengths);
    settings.train.lora.dropout = 0.5;
    assert_flops(&settings, bloom_lora());
}

// The recorded products are the linears and the head, and the matrix library can run all of them.
static void check_sequence(const char *directory, bool full, enum loam_dtype dtype)
{
    struct loam_error error;
    struct loam_bench_settings settings = settings_of(directory, lengths);
    struct loam_bench_runner runner;
    struct loam_bench_ceiling_state ceiling;
    double seconds = -1, flops, sum = 0;
    settings.train.full = full;
    settings.train.dtype = dtype;
    assert_ok(loam_bench_runner_open(&runner, &settings, NULL, &error));
    assert_ok(loam_bench_runner_step(&runner, &seconds, &error));
    assert_true(seconds >= 0);
    for (size_t i = 0; i < runner.sequence.count; i++)
        sum += loam_bench_product_flops(&runner.sequence.items[i].product);
    const struct loam_op_total *ops = runner.trace.ops;
    assert_true(sum == ops[LOAM_OP_ID_linear_forward].flops + ops[LOAM_OP_ID_linear_backward_input].flops +
                           ops[LOAM_OP_ID_linear_backward_weight].flops +
                           ops[LOAM_OP_ID_linear_cross_entropy].flops);
    assert_true(sum > 0);
    assert_ok(loam_bench_ceiling_init(&ceiling, runner.job.session.device, dtype, &error));
    assert_ok(loam_bench_ceiling_prepare(&ceiling, &runner.sequence, &error));
    assert_ok(loam_bench_ceiling_run(&ceiling, &runner.sequence, &flops, &error));
    assert_true(flops == sum);
    assert_true(ceiling.weight_bytes > 0);
    loam_bench_ceiling_deinit(&ceiling);
    loam_bench_runner_close(&runner);
}

static void test_sequence(void **state)
{
    make_model(*state, llama);
    check_sequence(*state, false, LOAM_F32);
    check_sequence(*state, true, LOAM_F32);
    check_sequence(*state, false, LOAM_BF16);
}

// The times of the ops and the time between them add up to the time of the steps.
static void test_result(void **state)
{
    struct loam_error error;
    struct loam_bench_step result;
    make_model(*state, bloom);
    struct loam_bench_settings settings = settings_of(*state, lengths);
    settings.ceiling = true;
    assert_ok(loam_bench_step_run(&settings, NULL, &result, &error));
    double seconds = result.other_seconds, flops = 0;
    for (int op = 0; op < LOAM_OP_COUNT; op++) {
        seconds += result.ops[op].seconds;
        flops += result.ops[op].flops;
        assert_true((result.ops[op].calls == 0) == (result.ops[op].bytes == 0));
    }
    assert_true(fabs(seconds - result.seconds_total) < 1e-9 + 1e-6 * result.seconds_total);
    assert_true(flops == result.flops_per_step * 2);
    assert_int_equal(result.ops[LOAM_OP_ID_linear_forward].calls, 2 * 4 * LAYERS);
    assert_int_equal(result.ops[LOAM_OP_ID_linear_cross_entropy].calls, 2);
    assert_true(result.other_seconds >= 0);
    assert_true(result.tokens_per_step == TOKENS);
    assert_true(result.labels_per_step == LABELS);
    assert_true(result.ceiling.measured && result.ceiling.own_weights);
    assert_true(isfinite(result.of_ceiling) && result.of_ceiling > 0);
    assert_true(result.machine.weight_bytes > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_in_directory(test_bloom_lora),
        test_in_directory(test_bloom_few_labels),
        test_in_directory(test_bloom_top_layer),
        test_in_directory(test_bloom_full),
        test_in_directory(test_llama_lora),
        test_in_directory(test_llama_full),
        test_in_directory(test_ways),
        test_in_directory(test_sequence),
        test_in_directory(test_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
