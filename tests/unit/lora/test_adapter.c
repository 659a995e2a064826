// Adapters of a model: fresh, saved and opened again, and errors in adapter directories.
#include "test.h"

#include <math.h>

#include "common_model.h"
#include "io/safetensors.h"
#include "lora/adapter_stored.h"

static const struct loam_lora_settings usual = {.rank = 4, .alpha = 8, .dropout = 0.1};

static struct loam_adapter *fresh(struct test_model *fixture, const struct loam_lora_settings *settings,
                                  struct loam_trainables *set, uint64_t seed)
{
    struct loam_error error;
    struct loam_adapter *adapter;
    assert_ok(loam_adapter_create(&adapter, fixture->model, settings, set, &error));
    assert_ok(loam_trainables_allocate(set, fixture->device, &error));
    assert_ok(loam_adapter_start(adapter, seed, &error));
    return adapter;
}

static void collect_warnings(void *user, enum loam_log_level level, const char *line)
{
    char *text = user; // [1024]
    size_t used = strlen(text);
    assert_int_equal(level, LOAM_LOG_WARNING);
    snprintf(text + used, 1024 - used, "%s\n", line);
}

// Returns the warnings about an adapter, one a line.
static const char *warnings_of(const struct loam_adapter *adapter)
{
    static char text[1024];
    const struct loam_log log = {.write = collect_warnings, .user = text};
    text[0] = '\0';
    loam_adapter_warn(adapter, &log);
    return text;
}

// ---- targets and counts ----

static void counts_without_data(void **state)
{
    (void)state;
    struct loam_error error;
    struct test_model fixture;
    struct loam_adapter *adapter;
    static const struct {
        const char *family;
        const char *targets;
        int64_t parameters; // r 4: 4 (in + out) for each linear
        const char *described;
    } cases[] = {
        {"bloom", NULL, 2 * 4 * (32 + 96), "query_key_value"},
        {"bloom", "dense,query_key_value", 2 * 4 * (64 + 128), "dense, query_key_value"},
        {"bloom", "h.1.mlp.dense_h_to_4h", 4 * (32 + 128), "h.1.mlp.dense_h_to_4h"},
        {"bloom", "all-linear", 2 * 4 * (64 + 128 + 160 + 160),
         "dense, dense_4h_to_h, dense_h_to_4h, query_key_value"},
        {"bloom", ".*mlp.*", 2 * 4 * (160 + 160), "dense_4h_to_h, dense_h_to_4h"},
        {"bloom", ".*\\.1\\..*dense", 4 * 64, "transformer.h.1.self_attention.dense"},
        {"llama", NULL, 2 * 4 * (64 + 48), "q_proj, v_proj"},
        {"llama", "all-linear", 2 * 4 * (64 + 48 + 48 + 64 + 80 + 80 + 80),
         "down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        test_model_names(&fixture, cases[i].family);
        struct loam_lora_settings settings = usual;
        settings.target_modules = cases[i].targets;
        assert_ok(loam_adapter_create(&adapter, fixture.model, &settings, NULL, &error));
        assert_int_equal(loam_adapter_parameters(adapter), cases[i].parameters);
        char *targets = loam_adapter_targets(adapter, &error);
        assert_string_equal(targets, cases[i].described);
        free(targets);
        loam_adapter_destroy(adapter);
        test_model_free(&fixture);
    }
}

static void refused_settings(void **state)
{
    (void)state;
    struct loam_error error;
    struct test_model fixture;
    struct loam_adapter *adapter;
    static const struct {
        struct loam_lora_settings settings;
        const char *message;
    } cases[] = {
        {{.rank = 0, .alpha = 8}, "rank is 0"},
        {{.rank = -3, .alpha = 8}, "rank is -3"},
        {{.rank = 65537, .alpha = 8}, "LoRA rank is 65537; it can be 65536 at most"},
        {{.rank = 4, .alpha = 0}, "alpha is 0"},
        {{.rank = 4, .alpha = NAN}, "alpha"},
        {{.rank = 4, .alpha = INFINITY}, "alpha"},
        {{.rank = 4, .alpha = 8, .dropout = 1}, "dropout is 1"},
        {{.rank = 4, .alpha = 8, .dropout = -0.5}, "dropout"},
        {{.rank = 4, .alpha = 8, .dropout = NAN}, "dropout"},
        {{.rank = 4, .alpha = 8, .dropout = 0.99999999}, "dropout is 0.99999999; it must"}, // 1 as a float
        {{.rank = 4, .alpha = 8, .target_modules = "q_proj"},
         "it has: dense, dense_4h_to_h, dense_h_to_4h, query_key_value"},
        {{.rank = 4, .alpha = 8, .target_modules = "dense,q_proj"}, "\"q_proj\" matches no"},
        {{.rank = 4, .alpha = 8, .target_modules = ".*q_proj"}, "\".*q_proj\" matches no"},
        {{.rank = 4, .alpha = 8, .target_modules = "dense", .lora_bias = true}, "true and false alone"},
        {{.rank = 4, .alpha = 8, .target_modules = "mlp"}, "\"mlp\" matches no linear"},
        {{.rank = 4, .alpha = 8, .target_modules = "(dense"}, "not a regular expression"},
    };
    test_model_names(&fixture, "bloom");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_fails(loam_adapter_create(&adapter, fixture.model, &cases[i].settings, NULL, &error),
                     LOAM_ERROR_ARGUMENT, cases[i].message);
        assert_null(adapter);
    }
    // The smallest and the largest rank are accepted, also after the failures above.
    static const int ranks[] = {1, LOAM_LARGEST_RANK};
    for (size_t i = 0; i < sizeof ranks / sizeof *ranks; i++) {
        struct loam_lora_settings settings = usual;
        settings.rank = ranks[i];
        assert_ok(loam_adapter_create(&adapter, fixture.model, &settings, NULL, &error));
        loam_adapter_destroy(adapter);
    }
    test_model_free(&fixture);
}

// Several adapters on one model: each has slots of its own.
static void adapters_stand_side_by_side(void **state)
{
    (void)state;
    struct loam_error error;
    struct test_model fixture;
    struct loam_adapter *first, *second;
    struct loam_lora_settings other = usual;
    other.rank = 2;
    other.target_modules = "dense";
    test_model_names(&fixture, "bloom");
    assert_ok(loam_adapter_create(&first, fixture.model, &usual, NULL, &error));
    assert_ok(loam_adapter_create(&second, fixture.model, &other, NULL, &error));
    for (size_t i = 0; i < fixture.model->linear_count; i++) {
        const char *path = loam_model_linear_at(fixture.model, i)->path;
        assert_int_equal(loam_adapter_slots(first)->slots[i].rank,
                         strstr(path, "query_key_value") != NULL ? usual.rank : 0);
        assert_int_equal(loam_adapter_slots(second)->slots[i].rank,
                         strstr(path, "attention.dense") != NULL ? other.rank : 0);
    }
    const struct loam_segments whole = loam_adapter_segments(second), none = loam_adapter_segments(NULL);
    assert_int_equal(whole.count, 1);
    assert_ptr_equal(whole.items[0].adapter, loam_adapter_slots(second));
    assert_int_equal(whole.items[0].rows, LOAM_ALL_ROWS);
    assert_true(whole.items[0].factor == 1);
    assert_int_equal(none.count, 0);
    test_model_free(&fixture); // adapters may outlive their model
    loam_adapter_destroy(second);
    loam_adapter_destroy(first);
}

// As in PEFT, a rank above a dimension is allowed. One notice tells of it.
static void ranks_above_a_dimension(void **state)
{
    (void)state;
    struct loam_error error;
    struct test_model fixture;
    struct loam_adapter *adapter;
    struct loam_lora_settings settings = usual;
    test_model_names(&fixture, "bloom");
    settings.rank = 32;
    settings.target_modules = "dense";
    assert_ok(loam_adapter_create(&adapter, fixture.model, &settings, NULL, &error));
    assert_string_equal(warnings_of(adapter), "");
    loam_adapter_destroy(adapter);
    settings.rank = 33;
    assert_ok(loam_adapter_create(&adapter, fixture.model, &settings, NULL, &error));
    assert_string_equal(warnings_of(adapter),
                        "LoRA rank 33 is above the smaller dimension of "
                        "transformer.h.0.self_attention.dense, which is [32, 32], and of 1 more: it takes "
                        "memory and expresses no more\n");
    loam_adapter_destroy(adapter);
    test_model_free(&fixture);
}

// ---- initial values of A and B ----

static void starts_by_seed(void **state)
{
    (void)state;
    static const char *const inits[] = {"gaussian", "kaiming"};
    struct test_model fixture;
    test_model_loaded(&fixture, "bloom");
    for (size_t i = 0; i < 2; i++) {
        struct loam_lora_settings settings = usual;
        settings.init = inits[i];
        settings.rank = 32;
        settings.target_modules = "all-linear";
        double square_sum = 0, sum = 0, most = 0;
        int64_t count = 0;
        struct loam_trainables set = {0};
        struct loam_adapter *adapter = fresh(&fixture, &settings, &set, 7);
        float first[2][32];
        for (size_t j = 0; loam_model_linear_at(fixture.model, j) != NULL; j++) {
            const struct loam_linear *linear = loam_model_linear_at(fixture.model, j);
            const struct loam_lora_slot *slot = &loam_adapter_slots(adapter)->slots[j];
            const float *a = slot->a.data;
            const float *b = slot->b.data;
            assert_true(slot->scale == 0.25f);
            assert_true(slot->dropout == 0.1f);
            assert_int_equal(slot->index, j);
            assert_non_null(slot->da.data);
            assert_non_null(slot->db.data);
            for (int64_t k = 0; k < 32 * linear->out; k++)
                assert_true(b[k] == 0);
            if (linear->in != 32) continue;
            for (int64_t k = 0; k < 32 * 32; k++) {
                sum += (double)a[k];
                square_sum += (double)a[k] * (double)a[k];
                most = fmax(most, fabs((double)a[k]));
                count++;
            }
            memcpy(first[j % 2], a, sizeof first[0]);
        }
        // Standard deviation: 1/r, or that of U(-1/sqrt(in), 1/sqrt(in)).
        double bound = 1 / sqrt(32.0);
        double expected = i == 0 ? 1.0 / 32 : bound / sqrt(3.0);
        double deviation = sqrt(square_sum / (double)count);
        assert_true(fabs(deviation / expected - 1) < 0.03);
        assert_true(fabs(sum / (double)count) < 4 * expected / sqrt((double)count));
        if (i == 1) assert_true(most <= bound && most > 0.99 * bound);
        if (i == 0) assert_true(most > 2.5 / 32);
        assert_memory_not_equal(first[0], first[1],
                                sizeof first[0]); // each linear has its own stream of random numbers

        float *kept = malloc(sizeof(float) * 32 * 32);
        const struct loam_lora_slot *slot = loam_adapter_slots(adapter)->slots;
        memcpy(kept, slot->a.data, sizeof(float) * 32 * 32);
        loam_adapter_destroy(adapter);
        loam_trainables_deinit(&set);
        adapter = fresh(&fixture, &settings, &set, 7);
        assert_memory_equal(kept, loam_adapter_slots(adapter)->slots[0].a.data, sizeof(float) * 32 * 32);
        loam_adapter_destroy(adapter);
        loam_trainables_deinit(&set);
        adapter = fresh(&fixture, &settings, &set, 8);
        assert_memory_not_equal(kept, loam_adapter_slots(adapter)->slots[0].a.data, sizeof(float) * 32 * 32);
        loam_adapter_destroy(adapter);
        loam_trainables_deinit(&set);
        free(kept);
    }
    test_model_free(&fixture);
}

static void is_decayed_and_named(void **state)
{
    (void)state;
    struct test_model fixture;
    struct loam_trainables set = {0};
    test_model_loaded(&fixture, "bloom");
    struct loam_adapter *adapter = fresh(&fixture, &usual, &set, 7);
    assert_int_equal(set.count, 4);
    assert_string_equal(set.items[0].name,
                        "base_model.model.transformer.h.0.self_attention.query_key_value.lora_A.weight");
    assert_string_equal(set.items[3].name,
                        "base_model.model.transformer.h.1.self_attention.query_key_value.lora_B.weight");
    for (size_t i = 0; i < set.count; i++)
        assert_true(set.items[i].decayed);
    assert_int_equal(loam_trainables_total(&set), loam_adapter_parameters(adapter));
    loam_adapter_destroy(adapter);
    loam_trainables_deinit(&set);
    test_model_free(&fixture);
}

// ---- saved and opened ----

// Fills every matrix with its own numbers.
static void mark(struct loam_trainables *set)
{
    for (size_t i = 0; i < set->count; i++) {
        float *value = set->items[i].value.data;
        for (int64_t j = 0; j < loam_tensor_count(&set->items[i].value); j++)
            value[j] = (float)(i + 1) + (float)j / 1024;
    }
}

static void check_marks(const struct loam_adapter *adapter, float tolerance)
{
    float tensor = 1;
    for (size_t i = 0; i < loam_adapter_slots(adapter)->count; i++) {
        const struct loam_lora_slot *slot = &loam_adapter_slots(adapter)->slots[i];
        if (slot->rank == 0) continue;
        const struct loam_tensor *matrices[] = {&slot->a, &slot->b};
        for (size_t m = 0; m < 2; m++, tensor++) {
            const float *value = matrices[m]->data;
            for (int64_t j = 0; j < loam_tensor_count(matrices[m]); j++)
                assert_true(fabsf(value[j] - (tensor + (float)j / 1024)) <= tolerance * tensor);
        }
    }
    assert_true(tensor > 1);
}

// Saves an adapter on query_key_value and dense whose values are those of mark().
static void save_marked(struct test_model *fixture, const char *directory)
{
    struct loam_error error;
    struct loam_trainables set = {0};
    struct loam_lora_settings settings = usual;
    settings.target_modules = "query_key_value,dense";
    struct loam_adapter *adapter = fresh(fixture, &settings, &set, 7);
    mark(&set);
    assert_ok(loam_adapter_save(adapter, "the/base", NULL, directory, &error));
    loam_adapter_destroy(adapter);
    loam_trainables_deinit(&set);
}

static void saved_is_loaded(void **state)
{
    (void)state;
    struct loam_error error;
    struct test_model fixture;
    char directory[256];
    test_model_loaded(&fixture, "bloom");
    assert_non_null(test_make_directory(directory));
    save_marked(&fixture, directory);

    struct loam_adapter *adapter; // to use
    assert_ok(loam_adapter_open(&adapter, fixture.model, directory, NULL, &error));
    check_marks(adapter, 0);
    struct loam_lora_settings settings = loam_adapter_settings(adapter);
    assert_int_equal(settings.rank, 4);
    assert_true(settings.alpha == 8 && settings.dropout == 0.1);
    assert_string_equal(warnings_of(adapter), "");
    assert_null(loam_adapter_slots(adapter)->slots[0].da.data);
    assert_true(loam_adapter_slots(adapter)->slots[0].scale == 2);
    loam_adapter_destroy(adapter);

    struct loam_trainables set = {0}; // to train further
    assert_ok(loam_adapter_open(&adapter, fixture.model, directory, &set, &error));
    assert_ok(loam_trainables_allocate(&set, fixture.device, &error));
    assert_ok(loam_adapter_fill(adapter, &error));
    check_marks(adapter, 0);
    assert_non_null(loam_adapter_slots(adapter)->slots[0].da.data);
    assert_ok(loam_adapter_save(adapter, "the/base", NULL, directory,
                                &error)); // overwrites the files that it was read from
    loam_adapter_destroy(adapter);
    loam_trainables_deinit(&set);

    assert_ok(loam_adapter_open(&adapter, fixture.model, directory, NULL, &error));
    check_marks(adapter, 0);
    loam_adapter_destroy(adapter);
    test_remove_directory(directory);
    test_model_free(&fixture);
}

// Replaces `from` by `to` in the config of a saved adapter.
static void change_config(const char *directory, const char *from, const char *to)
{
    char path[300], text[8192], changed[8192];
    snprintf(path, sizeof path, "%s/adapter_config.json", directory);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    const char *at = strstr(text, from);
    assert_non_null(at);
    snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    test_write_file(path, changed, strlen(changed));
}

// Names and keys of a config without effect give a notice, one line for each kind.
static void notes_settings_without_effect(void **state)
{
    (void)state;
    static const struct {
        const char *from;
        const char *to;
        const char *warnings;
    } cases[] = {
        {"\"rank_pattern\": {}", "\"rank_pattern\": {\"no_such\": 2, \"dense\": 4}",
         "adapter_config.json: keys of \"rank_pattern\" give no adapted module its rank: \"no_such\"\n"},
        {"\"alpha_pattern\": {}",
         "\"alpha_pattern\": {\"dense|query_key_value\": 8, \"0.*dense\": 8, \"mlp.*\": 8}",
         "adapter_config.json: keys of \"alpha_pattern\" give no adapted module its alpha: \"0.*dense\", "
         "\"mlp.*\"\n"},
        {"\"alpha_pattern\": {}", "\"alpha_pattern\": {\"h.0.*\": 8}", ""},
        {"[\n    \"dense\"", "[\"q_proj\", \"h.2.self_attention.dense\",\n \"dense\"",
         "adapter_config.json: names in \"target_modules\" match no adapted module: "
         "\"h.2.self_attention.dense\", \"q_proj\"\n"},
        {"[\n    \"dense\"", "[\"lm_head\",\n \"dense\"",
         "target modules: \"lm_head\" names lm_head too, which stays as it is\n"
         "adapter_config.json: names in \"target_modules\" match no adapted module: \"lm_head\"\n"},
        {"\"revision\": null", "\"revision\": null, \"a\\nb\": 1", "a?b"},
    };
    struct loam_error error;
    struct test_model fixture;
    char directory[256];
    test_model_loaded(&fixture, "bloom");
    assert_non_null(test_make_directory(directory));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loam_adapter *adapter;
        save_marked(&fixture, directory);
        change_config(directory, cases[i].from, cases[i].to);
        assert_ok(loam_adapter_open(&adapter, fixture.model, directory, NULL, &error));
        if (i + 1 < sizeof cases / sizeof cases[0])
            assert_string_equal(warnings_of(adapter), cases[i].warnings);
        else
            assert_non_null(strstr(warnings_of(adapter), cases[i].warnings));
        loam_adapter_destroy(adapter);
    }
    test_remove_directory(directory);
    test_model_free(&fixture);
}

// ---- adapters from other programs ----

enum { MAX_TENSORS = 16 };

// The tensors of a saved adapter, which a test changes and writes again.
struct copy {
    struct loam_container *file;
    struct loam_write_tensor tensors[MAX_TENSORS];
    char names[MAX_TENSORS][128];
    size_t count;
};

static void copy_open(struct copy *copy, const char *directory)
{
    struct loam_error error;
    char path[300];
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", directory);
    assert_ok(loam_container_open_file(&copy->file, path, &error));
    copy->count = loam_container_count(copy->file);
    assert_true(copy->count > 0 && copy->count < MAX_TENSORS);
    for (size_t i = 0; i < copy->count; i++) {
        const struct loam_stored_tensor *stored = loam_container_at(copy->file, i);
        snprintf(copy->names[i], sizeof copy->names[i], "%s", stored->name);
        copy->tensors[i] = (struct loam_write_tensor){.name = copy->names[i],
                                                      .dtype = loam_format_row(stored->format)->dtype,
                                                      .rank = stored->rank,
                                                      .data = stored->data};
        memcpy(copy->tensors[i].shape, stored->shape, sizeof stored->shape);
    }
}

static void copy_close(struct copy *copy, const char *directory)
{
    struct loam_error error;
    char path[300];
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", directory);
    assert_ok(loam_safetensors_write(path, copy->tensors, copy->count, &error));
    loam_container_destroy(copy->file);
}

static void rename_all(struct copy *copy, const char *from, const char *to)
{
    for (size_t i = 0; i < copy->count; i++) {
        char *at = strstr(copy->names[i], from);
        if (at == NULL) continue;
        char rest[128];
        snprintf(rest, sizeof rest, "%s", at + strlen(from));
        snprintf(at, sizeof copy->names[i] - (size_t)(at - copy->names[i]), "%s%s", to, rest);
    }
}

static size_t index_of(const struct copy *copy, const char *part)
{
    for (size_t i = 0; i < copy->count; i++)
        if (strstr(copy->names[i], part) != NULL) return i;
    fail_msg("no tensor %s", part);
    return 0;
}

// Checks an adapter without its model, as `loam inspect` does.
static enum loam_status check_alone(const char *directory)
{
    struct loam_error error;
    struct loam_adapter_config config;
    struct loam_stored_adapter stored;
    assert_ok(loam_adapter_config_load(&config, directory, &error));
    enum loam_status status = loam_stored_adapter_open(&stored, directory, &error);
    if (status == LOAM_OK) {
        status = loam_stored_adapter_check(&stored, &config, &error);
        loam_stored_adapter_close(&stored);
    }
    loam_adapter_config_deinit(&config);
    return status;
}

static void other_spellings(void **state)
{
    (void)state;
    static const struct {
        const char *from;
        const char *to;
    } cases[] = {
        {".weight", ".default.weight"},        // a raw state dictionary
        {"base_model.model.", ""},             // without PEFT's wrapper
        {"transformer.h", "h"},                // paths of the base model without its head
        {"base_model.model.transformer.", ""}, // both
    };
    struct loam_error error;
    struct test_model fixture;
    char directory[256];
    test_model_loaded(&fixture, "bloom");
    assert_non_null(test_make_directory(directory));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct copy copy;
        struct loam_adapter *adapter;
        save_marked(&fixture, directory);
        copy_open(&copy, directory);
        rename_all(&copy, cases[i].from, cases[i].to);
        copy_close(&copy, directory);
        assert_ok(loam_adapter_open(&adapter, fixture.model, directory, NULL, &error));
        check_marks(adapter, 0);
        loam_adapter_destroy(adapter);
        assert_int_equal(check_alone(directory), LOAM_OK);
    }
    test_remove_directory(directory);
    test_model_free(&fixture);
}

static void half_precision(void **state)
{
    (void)state;
    static const struct {
        enum loam_dtype dtype;
        float tolerance; // half a unit in the last place
    } cases[] = {{LOAM_F16, 1.0f / 2048}, {LOAM_BF16, 1.0f / 256}};
    struct loam_error error;
    struct test_model fixture;
    char directory[256];
    test_model_loaded(&fixture, "bloom");
    assert_non_null(test_make_directory(directory));
    for (size_t i = 0; i < 2; i++) {
        struct copy copy;
        struct loam_adapter *adapter;
        void *buffers[MAX_TENSORS];
        save_marked(&fixture, directory);
        copy_open(&copy, directory);
        for (size_t j = 0; j < copy.count; j++) {
            size_t count = (size_t)(copy.tensors[j].shape[0] * copy.tensors[j].shape[1]);
            buffers[j] = malloc(2 * count);
            loam_convert(buffers[j], cases[i].dtype, copy.tensors[j].data, LOAM_F32, count);
            copy.tensors[j].data = buffers[j];
            copy.tensors[j].dtype = cases[i].dtype;
        }
        copy_close(&copy, directory);
        for (size_t j = 0; j < copy.count; j++)
            free(buffers[j]);
        assert_ok(loam_adapter_open(&adapter, fixture.model, directory, NULL, &error));
        check_marks(adapter, cases[i].tolerance);
        loam_adapter_destroy(adapter);
    }
    test_remove_directory(directory);
    test_model_free(&fixture);
}

static void drop_last(struct copy *copy)
{
    copy->count--;
}

static void wrong_rank(struct copy *copy)
{
    struct loam_write_tensor *tensor = &copy->tensors[index_of(copy, "h.0.self_attention.dense.lora_A")];
    tensor->shape[0] = 2;
}

static void one_dimension(struct copy *copy)
{
    struct loam_write_tensor *tensor = &copy->tensors[index_of(copy, "h.0.self_attention.dense.lora_A")];
    tensor->rank = 1;
    tensor->shape[0] *= tensor->shape[1];
}

static void integers(struct copy *copy)
{
    copy->tensors[index_of(copy, "h.1.self_attention.dense.lora_B")].dtype = LOAM_I32;
}

static void extra(struct copy *copy, const char *name)
{
    snprintf(copy->names[copy->count], sizeof copy->names[0], "%s", name);
    copy->tensors[copy->count] = copy->tensors[0];
    copy->tensors[copy->count].name = copy->names[copy->count];
    copy->count++;
}

static void extra_magnitude(struct copy *copy)
{
    extra(copy, "base_model.model.transformer.h.0.self_attention.dense.lora_magnitude_vector");
}

static void extra_head(struct copy *copy)
{
    extra(copy, "base_model.model.lm_head.weight");
}

static void extra_untargeted(struct copy *copy)
{
    extra(copy, "base_model.model.transformer.h.0.mlp.dense_h_to_4h.lora_A.weight");
}

static void extra_layer(struct copy *copy)
{
    extra(copy, "base_model.model.transformer.h.2.self_attention.dense.lora_A.weight");
}

static void extra_other_magnitude(struct copy *copy)
{
    extra_magnitude(copy);
    copy->tensors[copy->count - 1].rank = 1;
    extra(copy, "base_model.model.transformer.h.0.self_attention.dense.lora_magnitude_vector.weight");
}

static void add_duplicate(struct copy *copy)
{
    extra(copy, "h.0.self_attention.dense.lora_A.weight");
}

static void extra_adapted_head(struct copy *copy)
{
    extra(copy, "base_model.model.lm_head.lora_A.weight");
}

static void wrong_weights(void **state)
{
    (void)state;
    static const struct {
        void (*change)(struct copy *copy);
        enum loam_status status;
        const char *message;
    } cases[] = {
        {drop_last, LOAM_ERROR_FORMAT, "no tensor \"base_model.model.transformer.h.1"},
        {wrong_rank, LOAM_ERROR_FORMAT,
         "is [2, 32]; this model and rank 4 ask for [4, 32]; the adapter's base is \"the/base\""},
        {one_dimension, LOAM_ERROR_FORMAT, "of rank other than 2"},
        {integers, LOAM_ERROR_UNSUPPORTED, "is i32"},
        {extra_magnitude, LOAM_ERROR_FORMAT, "lora_magnitude_vector"},
        {extra_head, LOAM_ERROR_UNSUPPORTED, "lm_head.weight\" is a copy of the base's"},
        {extra_adapted_head, LOAM_ERROR_FORMAT, "leaves out"},
        {extra_untargeted, LOAM_ERROR_FORMAT, "leaves out"},
        {extra_layer, LOAM_ERROR_FORMAT, "this model does not have; the adapter's base is \"the/base\""},
        {extra_other_magnitude, LOAM_ERROR_FORMAT, "are the same matrix"},
        {add_duplicate, LOAM_ERROR_FORMAT, "are the same matrix"},
    };
    struct loam_error error;
    struct test_model fixture;
    char directory[256];
    test_model_loaded(&fixture, "bloom");
    assert_non_null(test_make_directory(directory));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct copy copy;
        struct loam_adapter *adapter;
        save_marked(&fixture, directory);
        copy_open(&copy, directory);
        cases[i].change(&copy);
        copy_close(&copy, directory);
        assert_fails(loam_adapter_open(&adapter, fixture.model, directory, NULL, &error), cases[i].status,
                     cases[i].message);
        assert_null(adapter);
        // Without the model, the shape of a copy is not known to be wrong.
        assert_int_equal(check_alone(directory), cases[i].change == extra_head ? LOAM_OK : cases[i].status);
    }
    test_remove_directory(directory);
    test_model_free(&fixture);
}

static void wrong_directories(void **state)
{
    (void)state;
    struct loam_error error;
    struct test_model fixture, other;
    struct loam_adapter *adapter;
    char directory[256], path[300];
    test_model_loaded(&fixture, "bloom");
    test_model_loaded(&other, "llama");
    assert_non_null(test_make_directory(directory));
    save_marked(&fixture, directory);

    assert_fails(loam_adapter_open(&adapter, other.model, directory, NULL, &error), LOAM_ERROR_ARGUMENT,
                 "an adapter for \"the/base\": target modules: \"dense, query_key_value\" matches no linear");
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", directory);
    test_write_file(path, "\1\0\0", 3);
    assert_fails(loam_adapter_open(&adapter, fixture.model, directory, NULL, &error), LOAM_ERROR_FORMAT,
                 path);
    assert_int_equal(unlink(path), 0);
    assert_fails(loam_adapter_open(&adapter, fixture.model, directory, NULL, &error), LOAM_ERROR_IO, path);
    snprintf(path, sizeof path, "%s/adapter_model.bin", directory);
    test_write_file(path, "x", 1);
    assert_fails(loam_adapter_open(&adapter, fixture.model, directory, NULL, &error), LOAM_ERROR_FORMAT,
                 "adapter_model.bin: no zip archive");
    assert_fails(loam_adapter_open(&adapter, fixture.model, fixture.directory, NULL, &error), LOAM_ERROR_IO,
                 "adapter_config.json");
    test_remove_directory(directory);
    test_model_free(&other);
    test_model_free(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_without_data),
        cmocka_unit_test(refused_settings),
        cmocka_unit_test(adapters_stand_side_by_side),
        cmocka_unit_test(starts_by_seed),
        cmocka_unit_test(is_decayed_and_named),
        cmocka_unit_test(saved_is_loaded),
        cmocka_unit_test(other_spellings),
        cmocka_unit_test(half_precision),
        cmocka_unit_test(wrong_weights),
        cmocka_unit_test(wrong_directories),
        cmocka_unit_test(ranks_above_a_dimension),
        cmocka_unit_test(notes_settings_without_effect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
