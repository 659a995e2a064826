// The saved target_modules, matched as PEFT matches them, name the adapted modules and no other. Tested with
// random expressions and lists over the module trees of the families.
#include "test.h"

#include "base/heap.h"
#include "base/json.h"
#include "base/rng.h"
#include "lora/adapter.h"

enum { EXPRESSIONS = 300, LISTS = 40, MOST_NAMES = 1024, TEXT = 256 };

static struct loam_error error;

// 12 layers, because "1." is also the end of "11.".
static const char *const configs[] = {
    "{\"model_type\": \"bloom\", \"vocab_size\": 64, \"hidden_size\": 32, \"n_layer\": 12, \"n_head\": 4}",
    "{\"model_type\": \"llama\", \"vocab_size\": 64, \"hidden_size\": 32, \"intermediate_size\": 48, "
    "\"num_hidden_layers\": 12, \"num_attention_heads\": 4, \"num_key_value_heads\": 2, "
    "\"max_position_embeddings\": 128, \"rms_norm_eps\": 1e-5}",
};

// ---- the module tree ----

struct tree {
    struct loam_model *model;
    char *names[MOST_NAMES]; // the modules of named_modules() without the root
    size_t count;
};

static void add_name(struct tree *tree, const char *path, int64_t layer)
{
    const char *gap = strstr(path, "%d");
    assert_true(tree->count < MOST_NAMES);
    tree->names[tree->count] =
        gap == NULL ? loam_strdup(path, &error)
                    : loam_format(&error, "%.*s%lld%s", (int)(gap - path), path, (long long)layer, gap + 2);
    assert_non_null(tree->names[tree->count++]);
}

static void tree_open(struct tree *tree, const char *text)
{
    struct loam_config config;
    json_t *root;
    *tree = (struct tree){0};
    assert_ok(loam_json_parse(&root, text, strlen(text), "config.json", &error));
    assert_ok(loam_config_parse(&config, root, "config.json", &error));
    json_decref(root);
    assert_ok(loam_model_create(&tree->model, &config, &error));
    for (size_t i = 0; i < config.family->module_count; i++) {
        const char *path = config.family->modules[i].path;
        for (int64_t layer = 0; layer < (strstr(path, "%d") == NULL ? 1 : config.layers); layer++)
            add_name(tree, path, layer);
    }
}

static void tree_close(struct tree *tree)
{
    for (size_t i = 0; i < tree->count; i++)
        free(tree->names[i]);
    loam_model_destroy(tree->model);
}

static const struct loam_linear *linear_of(const struct tree *tree, const char *name)
{
    const struct loam_linear *linear;
    for (size_t i = 0; (linear = loam_model_module_at(tree->model, i)) != NULL; i++)
        if (strcmp(linear->path, name) == 0) return linear;
    return NULL;
}

// ---- random targets ----

struct draws {
    uint64_t seed;
    uint64_t next;
};

static size_t draw(struct draws *draws, size_t below)
{
    return (size_t)(loam_rng_uniform(draws->seed, 7, draws->next++) * (float)below) % below;
}

static void add(char text[TEXT], const char *piece)
{
    size_t used = strlen(text);
    snprintf(text + used, TEXT - used, "%s", piece);
}

// Adds a component of a path, or an expression that matches some.
static void add_component(struct draws *draws, const struct tree *tree, char text[TEXT])
{
    static const char *const wild[] = {".*",      "\\d+", "[0-5]", "(1|11)",     "\\w+",
                                       "[a-z_]+", "1+",   ".+",    "\\d*[02468]"};
    char name[TEXT];
    if (draw(draws, 3) == 0) {
        add(text, wild[draw(draws, sizeof wild / sizeof wild[0])]);
        return;
    }
    snprintf(name, sizeof name, "%s", tree->names[draw(draws, tree->count)]);
    for (char *dot; (dot = strrchr(name, '.')) != NULL && draw(draws, 4) != 0;)
        *dot = '\0'; // a part of the path that is near its start, or ...
    const char *last = strrchr(name, '.');
    add(text, last == NULL || draw(draws, 2) == 0 ? name : last + 1);
}

static void random_expression(struct draws *draws, const struct tree *tree, char text[TEXT])
{
    size_t alternatives = 1 + draw(draws, 3);
    text[0] = '\0';
    for (size_t i = 0; i < alternatives; i++) {
        if (i > 0) add(text, "|");
        if (draw(draws, 4) != 0) add(text, ".*");
        for (size_t parts = 1 + draw(draws, 3); parts > 0; parts--) {
            add_component(draws, tree, text);
            if (parts > 1) add(text, draw(draws, 2) == 0 ? "\\." : ".*");
        }
        if (draw(draws, 3) == 0) add(text, ".*");
    }
    if (strpbrk(text, "*+?|()[]{}^$\\") == NULL) add(text, "()"); // makes it an expression instead of a list
}

static void random_list(struct draws *draws, const struct tree *tree, char text[TEXT])
{
    text[0] = '\0';
    for (size_t i = 1 + draw(draws, 3); i > 0; i--) {
        const char *name = tree->names[draw(draws, tree->count)];
        for (const char *dot; (dot = strchr(name, '.')) != NULL && draw(draws, 3) != 0;)
            name = dot + 1;
        add(text, name);
        if (i > 1) add(text, ",");
    }
}

// ---- as PEFT matches ----

// check_target_module_exists of PEFT 0.21 for a list: `key in list or key.endswith(f".{entry}")`.
static bool peft_matches(const json_t *list, const char *key)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *entry = json_string_value(json_array_get(list, i));
        assert_non_null(entry);
        if (strcmp(entry, key) == 0) return true;
        size_t entry_size = strlen(entry), key_size = strlen(key);
        if (key_size > entry_size && key[key_size - entry_size - 1] == '.' &&
            strcmp(key + key_size - entry_size, entry) == 0)
            return true;
    }
    return false;
}

static json_t *saved_targets(const struct loam_adapter *adapter, const char *directory, json_t **root)
{
    char path[300];
    assert_ok(loam_adapter_config_save(&adapter->config, "base", NULL, directory, &error));
    snprintf(path, sizeof path, "%s/adapter_config.json", directory);
    assert_ok(loam_json_load(root, path, &error));
    return json_object_get(*root, "target_modules");
}

static void check_saved(const struct tree *tree, const struct loam_adapter *adapter, const char *text,
                        const char *directory)
{
    json_t *root;
    const json_t *list = saved_targets(adapter, directory, &root);
    assert_true(json_is_array(list));
    for (size_t i = 0; i < tree->count; i++) {
        const struct loam_linear *linear = linear_of(tree, tree->names[i]);
        bool adapted = linear != NULL && loam_adapter_slots(adapter)->slots[linear->index].rank > 0;
        if (peft_matches(list, tree->names[i]) != adapted)
            fail_msg("\"%s\": %s is %sadapted, and target_modules tells PEFT otherwise", text, tree->names[i],
                     adapted ? "" : "not ");
    }
    // Saving the opened adapter gives the same targets.
    struct loam_adapter_config again;
    assert_ok(loam_adapter_config_load(&again, directory, &error));
    assert_int_equal(again.targets.count, json_array_size(list));
    loam_adapter_config_deinit(&again);
    json_decref(root);
}

// Checks that loam adapts the linears that the targets name, or fails where it must.
static void check_adapted(const struct tree *tree, const struct loam_adapter *adapter, const char *text)
{
    struct loam_targets targets;
    bool linears = false, bounded = true;
    assert_ok(loam_targets_parse(&targets, text, &error));
    for (size_t i = 0; i < tree->count; i++) {
        const struct loam_linear *linear = linear_of(tree, tree->names[i]);
        bool matches = false;
        // An expression that backtracks too often fails at any of the names.
        if (loam_targets_match(&targets, tree->names[i], &matches, &error) != LOAM_OK) bounded = false;
        linears = linears || (matches && linear != NULL);
        if (adapter != NULL && linear != NULL &&
            matches != (loam_adapter_slots(adapter)->slots[linear->index].rank > 0))
            fail_msg("\"%s\": %s is %sadapted", text, tree->names[i], matches ? "not " : "");
    }
    bool is_list = targets.kind == LOAM_TARGET_LIST; // each entry of a list must match
    loam_targets_deinit(&targets);
    if (adapter != NULL && !linears) fail_msg("\"%s\" is taken", text);
    if (adapter == NULL && linears && bounded && !is_list) fail_msg("\"%s\" is refused", text);
}

// Returns whether the targets were taken.
static bool check(const struct tree *tree, const char *text, const char *directory)
{
    struct loam_lora_settings settings = {.rank = 2, .alpha = 2, .target_modules = text};
    struct loam_adapter *adapter;
    enum loam_status status = loam_adapter_create(&adapter, tree->model, &settings, NULL, &error);
    assert_true(status == LOAM_OK || status == LOAM_ERROR_ARGUMENT);
    check_adapted(tree, adapter, text);
    if (adapter == NULL) return false;
    check_saved(tree, adapter, text, directory);
    loam_adapter_destroy(adapter);
    return true;
}

static void saved_is_what_peft_matches(void **state)
{
    const char *directory = *state;
    for (size_t i = 0; i < sizeof configs / sizeof configs[0]; i++) {
        struct tree tree;
        struct draws draws = {.seed = 11 + i};
        char text[TEXT];
        size_t taken = 0;
        tree_open(&tree, configs[i]);
        for (size_t j = 0; j < EXPRESSIONS; j++) {
            random_expression(&draws, &tree, text);
            taken += check(&tree, text, directory);
        }
        assert_in_range(taken, EXPRESSIONS / 8, EXPRESSIONS * 7 / 8); // both outcomes occur
        for (size_t j = 0, lists = 0; j < LISTS; lists++) {
            random_list(&draws, &tree, text);
            j += check(&tree, text, directory);
            assert_true(lists < 100 * LISTS);
        }
        tree_close(&tree);
    }
}

// The saved targets are short and readable.
static void saved_is_readable(void **state)
{
    static const struct {
        size_t config;
        const char *targets;
        const char *described;
    } cases[] = {
        {1, ".*mlp.*", "down_proj, gate_proj, up_proj"},
        {1, ".*self_attn.*", "k_proj, o_proj, q_proj, v_proj"},
        {1, ".*(q|v)_proj", "q_proj, v_proj"},
        {1, "model\\.layers\\.1\\.mlp.*",
         "model.layers.1.mlp.down_proj, model.layers.1.mlp.gate_proj, model.layers.1.mlp.up_proj"},
        {1, ".*up_proj|.*\\.0\\..*q_proj", "model.layers.0.self_attn.q_proj, up_proj"},
        {0, ".*\\.dense.*", "dense, dense_4h_to_h, dense_h_to_4h"},
        {0, "all-linear", "dense, dense_4h_to_h, dense_h_to_4h, query_key_value"},
        {0, "h.1.mlp.dense_h_to_4h", "h.1.mlp.dense_h_to_4h"}, // a list is saved unchanged
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tree tree;
        struct loam_lora_settings settings = {.rank = 2, .alpha = 2, .target_modules = cases[i].targets};
        struct loam_adapter *adapter;
        tree_open(&tree, configs[cases[i].config]);
        assert_ok(loam_adapter_create(&adapter, tree.model, &settings, NULL, &error));
        check_saved(&tree, adapter, cases[i].targets, *state);
        char *text = loam_adapter_targets(adapter, &error);
        assert_string_equal(text, cases[i].described);
        free(text);
        loam_adapter_destroy(adapter);
        tree_close(&tree);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(saved_is_what_peft_matches, test_directory_setup,
                                        test_directory_teardown),
        cmocka_unit_test_setup_teardown(saved_is_readable, test_directory_setup, test_directory_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
