// Which modules a config adapts, and with which ranks: layers, exclusions and patterns.
#include "test.h"

#include <float.h>

#include "lora/adapter_config.h"

static void test_layers(void **state)
{
    (void)state;
    static const struct {
        const char *layers, *names, *module;
        bool has;
    } cases[] = {
        {"0,2", NULL, "model.layers.2.mlp.up_proj", true},
        {"0,2", NULL, "model.layers.1.mlp.up_proj", false},
        {"0,2", NULL, "model.layers.12.mlp.up_proj", false},
        {"0", NULL, "lm_head", false},
        {"0", NULL, "layers.0.mlp", false}, // PEFT wants two components before the number
        {"1", NULL, "model.layers.1.experts.0.up", true},
        {"0", NULL, "model.layers.1.experts.0.up", false},
        {"0", "experts", "model.layers.1.experts.0.up", true},
        {"1", "h", "model.layers.1.up", false},
        {"1", "h,layers", "model.layers.1.up", true},
        {"1", "layers", "layers.1.up", true},
        {"1", "lay.*", "model.layers.1.up", true},
        {"1", "layers", "model.layers.1", false}, // no module of a layer
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct loam_error error;
        struct loam_layer_choice choice;
        bool has = !cases[i].has;
        assert_ok(loam_layer_choice_parse(&choice, cases[i].layers, cases[i].names, &error));
        assert_ok(loam_layer_choice_has(&choice, cases[i].module, &has, &error));
        if (has != cases[i].has) fail_msg("%s in layers %s", cases[i].module, cases[i].layers);
        loam_layer_choice_deinit(&choice);
    }
}

static void test_bad_layers(void **state)
{
    (void)state;
    static const struct {
        const char *layers, *names, *message;
    } cases[] = {
        {"", NULL, "numbers of layers"},   {"1,", NULL, "numbers of layers"},
        {"-1", NULL, "numbers of layers"}, {"1;2", NULL, "numbers of layers"},
        {NULL, "h", "without layers"},     {"1", "h,,x", "an empty name"},
        {"1", "a)|(b", "not a regular"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct loam_error error;
        struct loam_layer_choice choice;
        assert_fails(loam_layer_choice_parse(&choice, cases[i].layers, cases[i].names, &error),
                     LOAM_ERROR_ARGUMENT, cases[i].message);
    }
}

static void test_values(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_module_values values;
    assert_ok(
        loam_module_values_parse(&values, "h.[0-9]{1,2}.mlp.*=3,dense=2", "rank_pattern", 8, true, &error));
    assert_int_equal(values.count, 2);
    assert_string_equal(values.items[0].key, "h.[0-9]{1,2}.mlp.*");
    double value = 1;
    assert_ok(loam_module_values_find(&values, "transformer.h.11.mlp.dense", &value, &error));
    assert_true(value == 3);
    assert_ok(loam_module_values_find(&values, "transformer.h.11.attention.dense", &value, &error));
    assert_true(value == 2);
    loam_module_values_deinit(&values);
    static const char *const bad[] = {"",        "dense",   "dense=",    "=3",
                                      "dense=0", "dense=9", "dense=1.5", "dense=2,"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_fails(loam_module_values_parse(&values, bad[i], "rank_pattern", 8, true, &error),
                     LOAM_ERROR_ARGUMENT, "expected MODULE=N");
    assert_ok(loam_module_values_parse(&values, "dense=1.5", "alpha_pattern", DBL_MAX, false, &error));
    loam_module_values_deinit(&values);
}

static void test_adapts(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_adapter_config config = {0};
    bool adapts = false;
    assert_ok(loam_targets_parse(&config.targets, "dense,transformer.h.1.up", &error));
    assert_ok(loam_targets_parse(&config.excluded, "h.2.dense", &error));
    assert_ok(loam_layer_choice_parse(&config.layers, "0,2", NULL, &error));
    static const struct {
        const char *module;
        bool adapts;
    } cases[] = {{"transformer.h.0.dense", true},
                 {"transformer.h.1.dense", false},
                 {"transformer.h.2.dense", false},
                 {"transformer.h.1.up", true}, // a whole path counts in any layer
                 {"transformer.h.0.up", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_ok(loam_adapter_config_adapts(&config, cases[i].module, &adapts, &error));
        assert_int_equal(adapts, cases[i].adapts);
    }
    loam_adapter_config_deinit(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_layers), cmocka_unit_test(test_bad_layers),
                                       cmocka_unit_test(test_values), cmocka_unit_test(test_adapts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
