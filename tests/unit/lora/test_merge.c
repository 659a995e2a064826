// Merging: every element against the formula; names, dtypes and shards; no files after a failure.
#include "test.h"

#include <dirent.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "common_model.h"
#include "io/container.h"
#include "io/safetensors.h"
#include "lora/merge.h"

static struct loam_error error;

enum { RANK = 4, MAX_TENSORS = 64 };
static const float alpha = 6;

// ---- base and adapter ----

struct fixture {
    struct test_model base;
    char adapter[256];
    struct loam_adapter_choice choice; // of the adapter
    char out[300];                     // does not exist yet
    char root[256];                    // the parent directory of `out`
};

static float mark(size_t tensor, int64_t element)
{
    return (float)((element * 37 + (int64_t)tensor * 11) % 101 - 50) / 400;
}

static void setup(struct fixture *fixture, const char *family)
{
    test_model_loaded(&fixture->base, family);
    char config[300];
    static const char text[] = "{\"torch_dtype\": \"float32\", \"model_type\": \"%s\"%s}";
    static const char bloom[] = ", \"vocab_size\": 64, \"hidden_size\": 32, \"n_layer\": 2, \"n_head\": 4";
    static const char llama[] = ", \"vocab_size\": 64, \"hidden_size\": 32, \"intermediate_size\": 48, "
                                "\"num_hidden_layers\": 2, \"num_attention_heads\": 4, "
                                "\"num_key_value_heads\": 2, \"tie_word_embeddings\": true";
    char document[512];
    snprintf(config, sizeof config, "%s/config.json", fixture->base.directory);
    snprintf(document, sizeof document, text, family, strcmp(family, "bloom") == 0 ? bloom : llama);
    test_write_file(config, document, strlen(document));

    struct loam_trainables set = {0};
    struct loam_lora_settings settings = {
        .rank = RANK, .alpha = (double)alpha, .target_modules = "all-linear"};
    struct loam_adapter *adapter;
    assert_ok(loam_adapter_create(&adapter, fixture->base.model, &settings, &set, &error));
    assert_ok(loam_trainables_allocate(&set, fixture->base.device, &error));
    assert_ok(loam_adapter_start(adapter, 1, &error));
    for (size_t i = 0; i < set.count; i++) {
        float *value = set.items[i].value.data;
        for (int64_t j = 0; j < loam_tensor_count(&set.items[i].value); j++)
            value[j] = mark(i, j);
    }
    fixture->choice = (struct loam_adapter_choice){fixture->adapter, 1};
    assert_non_null(test_make_directory(fixture->adapter));
    assert_ok(loam_adapter_save(adapter, "the/base", NULL, fixture->adapter, &error));
    loam_adapter_destroy(adapter);
    loam_trainables_deinit(&set);
    assert_non_null(test_make_directory(fixture->root));
    snprintf(fixture->out, sizeof fixture->out, "%s/out", fixture->root);
}

static void teardown(struct fixture *fixture)
{
    test_model_free(&fixture->base);
    test_remove_directory(fixture->adapter);
    test_remove_directory(fixture->root);
}

static struct loam_merge_settings settings_of(const struct fixture *fixture, enum loam_dtype dtype)
{
    return (struct loam_merge_settings){.model = fixture->base.directory,
                                        .adapters = {&fixture->choice, 1},
                                        .out = fixture->out,
                                        .max_shard_bytes = 1 << 30,
                                        .dtype = dtype};
}

// Rewrites the tensors of the base: in `dtype` (NONE: two of three in another dtype), without `prefix`, and
// with one more tensor, `extra`.
static void rewrite(struct fixture *fixture, enum loam_dtype dtype, const char *prefix, const char *extra)
{
    static char names[MAX_TENSORS][128];
    struct loam_write_tensor tensors[MAX_TENSORS];
    void *data[MAX_TENSORS];
    struct loam_container *file;
    char path[300];
    snprintf(path, sizeof path, "%s/model.safetensors", fixture->base.directory);
    assert_ok(loam_container_open_directory(&file, fixture->base.directory, &error));
    size_t count = loam_container_count(file);
    assert_true(count < MAX_TENSORS);
    for (size_t i = 0; i < count; i++) {
        static const enum loam_dtype mixed[] = {LOAM_F32, LOAM_F16, LOAM_BF16};
        const struct loam_stored_tensor *stored = loam_container_at(file, i);
        size_t skip = strncmp(stored->name, prefix, strlen(prefix)) == 0 ? strlen(prefix) : 0;
        snprintf(names[i], sizeof names[i], "%s", stored->name + skip);
        enum loam_dtype to = dtype != LOAM_DTYPE_NONE ? dtype : mixed[i % 3];
        size_t elements = loam_format_elements(stored->format, stored->bytes);
        data[i] = malloc(elements * sizeof(float));
        assert_non_null(data[i]);
        loam_format_convert(data[i], to, stored->data, stored->format, elements);
        tensors[i] =
            (struct loam_write_tensor){.name = names[i], .dtype = to, .rank = stored->rank, .data = data[i]};
        memcpy(tensors[i].shape, stored->shape, sizeof stored->shape);
    }
    if (extra != NULL) {
        tensors[count] = tensors[0];
        tensors[count].name = extra;
    }
    // The mapped file stays valid: the new file replaces its name, not its contents.
    assert_ok(loam_safetensors_write(path, tensors, count + (extra != NULL), &error));
    loam_container_destroy(file);
    for (size_t i = 0; i < count; i++)
        free(data[i]);
}

// ---- the merged model ----

static const struct loam_stored_tensor *adapter_matrix(const struct loam_container *file, const char *name,
                                                       const char *prefix, char matrix)
{
    char key[256];
    size_t size = strlen(name);
    if (size < 7 || strcmp(name + size - 7, ".weight") != 0) return NULL;
    bool bare = strncmp(name, prefix, strlen(prefix)) != 0;
    snprintf(key, sizeof key, "base_model.model.%s%.*s.lora_%c.weight", bare ? prefix : "", (int)(size - 7),
             name, matrix);
    return loam_container_find(file, key);
}

static float element(const struct loam_stored_tensor *tensor, size_t index)
{
    float value;
    loam_format_convert(&value, LOAM_F32, loam_format_at(tensor->format, tensor->data, index), tensor->format,
                        1);
    return value;
}

// Computes the sum in f32 and rounds it once to the tensor's dtype.
static float expected(const struct loam_stored_tensor *base, const struct loam_stored_tensor *a,
                      const struct loam_stored_tensor *b, size_t index, enum loam_dtype dtype)
{
    float value = element(base, index);
    if (a != NULL) {
        size_t in = (size_t)base->shape[1];
        float sum = 0;
        for (size_t k = 0; k < RANK; k++)
            sum += element(b, index / in * RANK + k) * element(a, k * in + index % in);
        value += alpha / RANK * sum;
    }
    uint8_t rounded[4];
    loam_convert(rounded, dtype, &value, LOAM_F32, 1);
    loam_convert(&value, LOAM_F32, rounded, dtype, 1);
    return value;
}

static void check_merged(const struct fixture *fixture, const char *prefix, enum loam_dtype dtype,
                         size_t merged)
{
    struct loam_container *base, *out, *adapter;
    char path[300];
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", fixture->adapter);
    assert_ok(loam_container_open_file(&adapter, path, &error));
    assert_ok(loam_container_open_directory(&base, fixture->base.directory, &error));
    assert_ok(loam_container_open_directory(&out, fixture->out, &error));
    size_t adapted = 0, differing = 0;
    for (size_t i = 0; i < loam_container_count(out); i++) {
        const struct loam_stored_tensor *tensor = loam_container_at(out, i);
        const struct loam_stored_tensor *source = loam_container_find(base, tensor->name);
        const struct loam_stored_tensor *a = adapter_matrix(adapter, tensor->name, prefix, 'A');
        const struct loam_stored_tensor *b = adapter_matrix(adapter, tensor->name, prefix, 'B');
        assert_non_null(source);
        assert_int_equal(tensor->format, dtype != LOAM_DTYPE_NONE ? loam_format_of(dtype) : source->format);
        assert_int_equal(tensor->rank, source->rank);
        assert_memory_equal(tensor->shape, source->shape, sizeof(int64_t) * (size_t)source->rank);
        adapted += a != NULL;
        for (size_t j = 0; j < loam_format_elements(tensor->format, tensor->bytes); j++) {
            float wanted = expected(source, a, b, j, loam_format_row(tensor->format)->dtype);
            if (element(tensor, j) != wanted)
                fail_msg("%s[%zu] is %.9g, expected %.9g", tensor->name, j, (double)element(tensor, j),
                         (double)wanted);
            differing += wanted != element(source, j);
        }
    }
    assert_int_equal(adapted, merged);
    assert_true(differing > 1000); // the adapter does something
    loam_container_destroy(out);
    loam_container_destroy(base);
    loam_container_destroy(adapter);
}

static void elements_follow_formula(void **state)
{
    (void)state;
    static const struct {
        const char *family, *prefix;
        size_t merged; // linears
        size_t tensors;
    } families[] = {{"bloom", "transformer.", 8, 29}, {"llama", "model.", 14, 20}};
    static const enum loam_dtype dtypes[] = {LOAM_DTYPE_NONE, LOAM_F32, LOAM_F16, LOAM_BF16};
    for (size_t f = 0; f < 2; f++)
        for (size_t stored = 0; stored < 4; stored++) // NONE: of all kinds
            for (size_t chosen = 0; chosen < (stored == 0 ? 4 : 1); chosen++) {
                struct fixture fixture;
                struct loam_merge_result result;
                setup(&fixture, families[f].family);
                rewrite(&fixture, dtypes[stored], (stored + chosen) % 2 == 1 ? families[f].prefix : "", NULL);
                struct loam_merge_settings settings = settings_of(&fixture, dtypes[chosen]);
                assert_ok(loam_merge(&settings, &result, &error));
                assert_int_equal(result.merged, families[f].merged);
                assert_int_equal(result.tensors, families[f].tensors);
                assert_int_equal(result.files, 1);
                check_merged(&fixture, families[f].prefix, dtypes[chosen], families[f].merged);
                teardown(&fixture);
            }
}

static size_t count_tensors(const char *directory)
{
    struct loam_container *file;
    assert_ok(loam_container_open_directory(&file, directory, &error));
    size_t count = loam_container_count(file);
    loam_container_destroy(file);
    return count;
}

// Buffers and the copy of a tied head are not parameters and are left out.
static void leaves_out_other_tensors(void **state)
{
    (void)state;
    static const char *const extras[] = {"lm_head.weight", "model.layers.0.self_attn.rotary_emb.inv_freq"};
    for (size_t i = 0; i < 2; i++) {
        struct fixture fixture;
        struct loam_merge_result result;
        setup(&fixture, "llama");
        rewrite(&fixture, LOAM_F32, "", extras[i]);
        assert_int_equal(count_tensors(fixture.base.directory), 21);
        struct loam_merge_settings settings = settings_of(&fixture, LOAM_DTYPE_NONE);
        assert_ok(loam_merge(&settings, &result, &error));
        assert_int_equal(count_tensors(fixture.out), 20);
        check_merged(&fixture, "model.", LOAM_DTYPE_NONE, 14);
        teardown(&fixture);
    }
}

static size_t entries(const char *directory, const char *ending)
{
    DIR *stream = opendir(directory);
    assert_non_null(stream);
    size_t count = 0;
    for (const struct dirent *entry = readdir(stream); entry != NULL; entry = readdir(stream)) {
        size_t size = strlen(entry->d_name);
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        count += size >= strlen(ending) && strcmp(entry->d_name + size - strlen(ending), ending) == 0;
    }
    closedir(stream);
    return count;
}

// Shards hold the same tensors as one file. Files of an older merge are removed.
static void shards(void **state)
{
    (void)state;
    static const size_t limits[] = {1 << 30, 10000, 1, 20000, 1 << 30};
    static const size_t files[] = {1, 11, 20, 4, 1};
    struct fixture fixture;
    struct loam_merge_result result;
    setup(&fixture, "llama");
    struct loam_merge_settings settings = settings_of(&fixture, LOAM_DTYPE_NONE);
    for (size_t i = 0; i < 5; i++) {
        settings.max_shard_bytes = limits[i];
        settings.overwrite = i > 0;
        assert_ok(loam_merge(&settings, &result, &error));
        assert_int_equal(result.files, files[i]);
        assert_int_equal(entries(fixture.out, ".safetensors"), files[i]);
        assert_int_equal(entries(fixture.out, ""), files[i] + (files[i] > 1) + 1); // index, config.json
        check_merged(&fixture, "model.", LOAM_DTYPE_NONE, 14);
    }
    settings.overwrite = false;
    assert_fails(loam_merge(&settings, &result, &error), LOAM_ERROR_EXISTS, "--overwrite");
    teardown(&fixture);
}

// A merge that cannot move its files to their places leaves the older model unchanged.
static void an_older_model_outlives_a_failure(void **state)
{
    (void)state;
    static const struct {
        size_t before, after; // bytes of a file at most
        const char *obstacle; // a directory of this name is in the way
    } cases[] = {
        {10000, 1 << 30, "model.safetensors"},
        {1 << 30, 10000, "model-00003-of-00011.safetensors"},
        {20000, 10000, "model-00011-of-00011.safetensors"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture fixture;
        struct loam_merge_result result;
        setup(&fixture, "llama");
        struct loam_merge_settings settings = settings_of(&fixture, LOAM_DTYPE_NONE);
        settings.max_shard_bytes = cases[i].before;
        assert_ok(loam_merge(&settings, &result, &error));
        size_t before = entries(fixture.out, "");
        char obstacle[400];
        snprintf(obstacle, sizeof obstacle, "%s/%s", fixture.out, cases[i].obstacle);
        assert_int_equal(mkdir(obstacle, 0777), 0);
        settings.max_shard_bytes = cases[i].after;
        settings.overwrite = true;
        assert_fails(loam_merge(&settings, &result, &error), LOAM_ERROR_IO, cases[i].obstacle);
        assert_int_equal(rmdir(obstacle), 0);
        assert_int_equal(entries(fixture.out, ""), before);
        check_merged(&fixture, "model.", LOAM_DTYPE_NONE, 14);
        assert_ok(loam_merge(&settings, &result, &error)); // the next merge succeeds
        check_merged(&fixture, "model.", LOAM_DTYPE_NONE, 14);
        teardown(&fixture);
    }
}

// ---- failures ----

static void values_that_do_not_fit(void **state)
{
    (void)state;
    static const struct {
        float value;
        enum loam_dtype dtype;
        const char *message; // NULL: the values fit
    } cases[] = {
        {1e7f, LOAM_F16, "65504"}, {1e7f, LOAM_BF16, NULL},        {3e38f, LOAM_F16, "65504"},
        {NAN, LOAM_F32, "broken"}, {INFINITY, LOAM_F32, "broken"}, {3e38f, LOAM_F32, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture fixture;
        struct loam_merge_result result;
        setup(&fixture, "llama");
        test_spoil_adapter(fixture.adapter, cases[i].value);
        struct loam_merge_settings settings = settings_of(&fixture, cases[i].dtype);
        if (cases[i].message == NULL)
            assert_ok(loam_merge(&settings, &result, &error));
        else {
            assert_fails(loam_merge(&settings, &result, &error), LOAM_ERROR_NUMERIC, cases[i].message);
            assert_false(loam_directory_exists(fixture.out));
            // A directory that existed keeps its contents.
            char mine[400];
            snprintf(mine, sizeof mine, "%s/mine", fixture.root);
            test_write_file(mine, "x", 1);
            settings.out = fixture.root;
            settings.overwrite = true;
            assert_fails(loam_merge(&settings, &result, &error), LOAM_ERROR_NUMERIC, cases[i].message);
            assert_int_equal(entries(fixture.root, ""), 1);
        }
        teardown(&fixture);
    }
}

// Checks that the progress grows to the total, or stops at half of it.
struct listener {
    int64_t done;
    int64_t total;
    bool stop;
};

static bool listen(void *user, const struct loam_event *event)
{
    struct listener *listener = user;
    assert_int_equal(event->kind, LOAM_EVENT_PROGRESS);
    assert_int_equal(event->activity, LOAM_ACTIVITY_MERGE);
    assert_true(event->done > listener->done && event->done <= event->total);
    listener->done = event->done;
    listener->total = event->total;
    return !listener->stop || event->done < event->total / 2;
}

static void reports_progress_and_stops(void **state)
{
    (void)state;
    struct fixture fixture;
    struct loam_merge_result result;
    setup(&fixture, "bloom");
    struct listener listener = {.stop = true};
    const struct loam_callbacks callbacks = {.user = &listener, .event = listen};
    struct loam_merge_settings settings = settings_of(&fixture, LOAM_DTYPE_NONE);
    settings.callbacks = &callbacks;
    assert_int_equal(loam_merge(&settings, &result, &error), LOAM_ERROR_STOPPED);
    assert_false(loam_directory_exists(fixture.out));
    listener = (struct listener){0};
    assert_ok(loam_merge(&settings, &result, &error));
    assert_int_equal(listener.done, listener.total);
    assert_int_equal(listener.total, result.bytes);
    teardown(&fixture);
}

static void directories_that_must_stay(void **state)
{
    (void)state;
    struct fixture fixture;
    struct loam_merge_result result;
    setup(&fixture, "bloom");
    struct loam_merge_settings settings = settings_of(&fixture, LOAM_DTYPE_NONE);
    settings.overwrite = true;
    settings.out = fixture.base.directory;
    assert_fails(loam_merge(&settings, &result, &error), LOAM_ERROR_ARGUMENT, "the model's own directory");
    settings.out = fixture.adapter;
    assert_fails(loam_merge(&settings, &result, &error), LOAM_ERROR_ARGUMENT, "the adapter's own directory");
    char sign[400];
    snprintf(sign, sizeof sign, "%s/adapter_config.json", fixture.root);
    test_write_file(sign, "{}", 2);
    settings.out = fixture.root;
    assert_fails(loam_merge(&settings, &result, &error), LOAM_ERROR_EXISTS, "holds an adapter");
    teardown(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_follow_formula),
        cmocka_unit_test(leaves_out_other_tensors),
        cmocka_unit_test(shards),
        cmocka_unit_test(an_older_model_outlives_a_failure),
        cmocka_unit_test(values_that_do_not_fit),
        cmocka_unit_test(reports_progress_and_stops),
        cmocka_unit_test(directories_that_must_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
