// Adapters that ensure_weight_tying keeps one for a tied embedding and its head, by PEFT's rules.
#include "test.h"

#include <math.h>

#include "common_model.h"
#include "io/safetensors.h"
#include "lora/adapter.h"

static const struct loam_lora_settings usual = {.rank = 2, .alpha = 4, .ensure_weight_tying = true};

static struct loam_adapter *create(const struct test_model *fixture, struct loam_lora_settings settings,
                                   struct loam_trainables *set)
{
    struct loam_error error;
    struct loam_adapter *adapter;
    assert_ok(loam_adapter_create(&adapter, fixture->model, &settings, set, &error));
    return adapter;
}

static void assert_list(const struct loam_targets *list, const char *wanted)
{
    struct loam_error error;
    struct loam_bytes text = {0};
    assert_ok(loam_targets_describe(list, &text, &error));
    assert_string_equal(text.data, wanted);
    loam_bytes_deinit(&text);
}

// The heads of both families are tied. PEFT knows embeddings by the name embed_tokens, and heads by lm_head.
static void ties_by_names(void **state)
{
    (void)state;
    static const struct {
        const char *family, *targets;
        bool ties;
        size_t beyond; // adapted modules beyond q_proj or dense of two layers
        const char *list;
    } cases[] = {
        {"llama", "q_proj,lm_head", true, 2, "model.embed_tokens, q_proj"},
        {"llama", "q_proj,embed_tokens", true, 2, "embed_tokens, model.embed_tokens, q_proj"},
        {"llama", "q_proj,model.embed_tokens,lm_head", true, 2, "model.embed_tokens, q_proj"},
        {"llama", "(.*q_proj|lm_head)", true, 2, "model.embed_tokens, q_proj"},
        {"llama", "(.*q_proj|model.embed_tokens)", false, 1,
         "model.embed_tokens, q_proj"}, // not the name alone
        {"llama", "q_proj", false, 0, "q_proj"},
        {"bloom", "dense,lm_head", true, 2, "dense, lm_head, transformer.word_embeddings"},
        {"bloom", "dense,word_embeddings", false, 1, "dense, word_embeddings"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct test_model fixture;
        struct loam_lora_settings settings = usual;
        test_model_names(&fixture, cases[i].family);
        settings.target_modules = cases[i].targets;
        struct loam_adapter *adapter = create(&fixture, settings, NULL);
        assert_int_equal(adapter->ties, cases[i].ties);
        assert_int_equal(adapter->count, 2 + cases[i].beyond);
        assert_int_equal(adapter->config.ensure_weight_tying, strstr(cases[i].targets, "|model") == NULL);
        assert_list(&adapter->config.targets, cases[i].list);
        loam_adapter_destroy(adapter);
        test_model_free(&fixture);
    }
}

// One value, and a gradient and moments for each, as PEFT makes two parameters over one memory.
static void shares_values_alone(void **state)
{
    (void)state;
    struct loam_error error;
    struct test_model fixture;
    struct loam_trainables set = {0};
    struct loam_lora_settings settings = usual;
    test_model_loaded(&fixture, "llama");
    settings.target_modules = "q_proj,lm_head";
    struct loam_adapter *adapter = create(&fixture, settings, &set);
    assert_ok(loam_trainables_allocate(&set, fixture.device, &error));
    assert_ok(loam_adapter_start(adapter, 1, &error));
    const struct loam_lora_slot *embedding = loam_tied_embedding(adapter)->slot,
                                *head = loam_tied_head(adapter)->slot;
    assert_ptr_equal(head->a.data, embedding->a.data);
    assert_ptr_equal(head->b.data, embedding->b.data);
    assert_ptr_not_equal(head->da.data, embedding->da.data);
    assert_ptr_not_equal(head->db.data, embedding->db.data);
    for (size_t i = 0; i < set.count; i++)
        for (size_t j = 0; j < i; j++) {
            const bool pair = set.items[i].owner == j + 1;
            assert_int_equal(set.items[i].value.data == set.items[j].value.data, pair);
            assert_ptr_not_equal(set.items[i].m.data, set.items[j].m.data);
        }
    // Gaussian of a head, whose standard deviation is 1 / r; that of an embedding is 1.
    double sum = 0;
    for (int64_t i = 0; i < 2 * 32; i++)
        sum += pow(((const float *)head->a.data)[i], 2);
    assert_true(sqrt(sum / 64) > 0.35 && sqrt(sum / 64) < 0.65);
    loam_adapter_destroy(adapter);
    loam_trainables_deinit(&set);
    test_model_free(&fixture);
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        struct loam_lora_settings settings;
        enum loam_status status;
        const char *message;
    } cases[] = {
        {{.target_modules = "lm_head", .rank_pattern = "lm_head=3"},
         LOAM_ERROR_UNSUPPORTED,
         "the ranks 2 and 3"},
        {{.target_modules = "lm_head", .init = "orthogonal"},
         LOAM_ERROR_UNSUPPORTED,
         "gaussian, true and false"},
        {{.target_modules = "lm_head,q_proj", .exclude_modules = "embed_tokens"},
         LOAM_ERROR_ARGUMENT,
         "exclude_modules leaves it out"},
        {{.target_modules = "lm_head,q_proj", .modules_to_save = "embed_tokens"},
         LOAM_ERROR_UNSUPPORTED,
         "name them in one of both"},
        {{.target_modules = "q_proj", .trained_tokens = "embed_tokens=3,5;lm_head=5"},
         LOAM_ERROR_ARGUMENT,
         "which PEFT refuses too"},
    };
    struct test_model fixture;
    test_model_names(&fixture, "llama");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loam_error error;
        struct loam_adapter *adapter;
        struct loam_lora_settings settings = cases[i].settings;
        settings.rank = usual.rank;
        settings.alpha = usual.alpha;
        settings.ensure_weight_tying = true;
        assert_fails(loam_adapter_create(&adapter, fixture.model, &settings, NULL, &error), cases[i].status,
                     cases[i].message);
        assert_null(adapter);
    }
    test_model_free(&fixture);
}

// PEFT lets tokens of the head alone be.
static void tokens_of_the_head_stay(void **state)
{
    (void)state;
    struct test_model fixture;
    struct loam_lora_settings settings = usual;
    test_model_names(&fixture, "llama");
    settings.target_modules = "q_proj";
    settings.trained_tokens = "lm_head=5,3";
    struct loam_adapter *adapter = create(&fixture, settings, NULL);
    assert_int_equal(adapter->token_count, 1);
    assert_int_equal(adapter->tokens[0].place_count, 1);
    assert_non_null(strstr(adapter->config.notice, "ensure_weight_tying has no effect"));
    loam_adapter_destroy(adapter);
    test_model_free(&fixture);
}

// ---- files ----

enum { HIDDEN = 32, VOCABULARY = 64, RANK = 2 };

static struct loam_write_tensor tensor(const char *name, int64_t rows, int64_t columns, const float *values)
{
    return (struct loam_write_tensor){
        .name = name, .dtype = LOAM_F32, .rank = 2, .shape = {rows, columns}, .data = values};
}

// An adapter of embed_tokens and lm_head, whose `change` moves one value of the head.
static enum loam_status open_pair(const struct test_model *fixture, bool tying, float change,
                                  struct loam_adapter **adapter, struct loam_error *error)
{
    static float a[RANK * HIDDEN], b[VOCABULARY * RANK], head[VOCABULARY * RANK];
    char directory[256], path[300], text[300];
    for (int i = 0; i < RANK * HIDDEN; i++)
        a[i] = 1;
    for (int i = 0; i < VOCABULARY * RANK; i++)
        b[i] = head[i] = 2;
    head[7] += change;
    const struct loam_write_tensor tensors[] = {
        tensor("base_model.model.model.embed_tokens.lora_embedding_A", RANK, VOCABULARY, b),
        tensor("base_model.model.model.embed_tokens.lora_embedding_B", HIDDEN, RANK, a),
        tensor("base_model.model.lm_head.lora_A.weight", RANK, HIDDEN, a),
        tensor("base_model.model.lm_head.lora_B.weight", VOCABULARY, RANK, head),
    };
    assert_non_null(test_make_directory(directory));
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", directory);
    assert_int_equal(loam_safetensors_write(path, tensors, 4, error), LOAM_OK);
    snprintf(text, sizeof text,
             "{\"peft_type\": \"LORA\", \"r\": 2, \"target_modules\": [\"%s\"], \"ensure_weight_tying\": %s}",
             tying ? "model.embed_tokens" : "embed_tokens\", \"lm_head", tying ? "true" : "false");
    snprintf(path, sizeof path, "%s/adapter_config.json", directory);
    test_write_file(path, text, strlen(text));
    enum loam_status status = loam_adapter_open(adapter, fixture->model, directory, NULL, error);
    test_remove_directory(directory);
    return status;
}

static void opens_pairs(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_adapter *adapter;
    struct test_model fixture;
    test_model_loaded(&fixture, "llama");
    assert_ok(open_pair(&fixture, true, 0, &adapter, &error));
    assert_true(adapter->ties);
    assert_ptr_equal(loam_tied_head(adapter)->slot->b.data, loam_tied_embedding(adapter)->slot->b.data);
    assert_list(&adapter->config.targets, "model.embed_tokens");
    loam_adapter_destroy(adapter);
    assert_ok(open_pair(&fixture, false, 1, &adapter, &error));
    assert_false(adapter->ties);
    assert_true(((const float *)loam_tied_head(adapter)->slot->b.data)[7] == 3);
    loam_adapter_destroy(adapter);
    assert_fails(open_pair(&fixture, true, 1, &adapter, &error), LOAM_ERROR_FORMAT,
                 "embed_tokens.lora_embedding_A\" and \"base_model.model.lm_head.lora_B.weight\" differ");
    test_model_free(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ties_by_names), cmocka_unit_test(shares_values_alone),
        cmocka_unit_test(refusals),      cmocka_unit_test(tokens_of_the_head_stay),
        cmocka_unit_test(opens_pairs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
