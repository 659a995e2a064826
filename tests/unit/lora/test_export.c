// GGUF LoRA files, read by a parser in this test: names, shapes, alpha, A, and B in llama.cpp's order of
// rows.
#include "test.h"

#include <math.h>

#include "base/file.h"
#include "common_model.h"
#include "lora/export.h"

static struct loam_error error;

enum { RANK = 4, HEADS = 4, HEAD_DIM = 8, MAX_TENSORS = 32 };

struct fixture {
    struct test_model base;
    char adapter[256];
    char root[256];
    char path[300];
};

// Returns a value that f16 holds exactly, another for each tensor and element.
static float mark(size_t tensor, int64_t element)
{
    return (float)tensor + (float)element / 4;
}

static void write_config(const struct fixture *fixture, const char *family)
{
    static const char bloom[] = "{\"model_type\": \"bloom\", \"vocab_size\": 64, \"hidden_size\": 32, "
                                "\"n_layer\": 2, \"n_head\": 4}";
    static const char llama[] =
        "{\"model_type\": \"llama\", \"vocab_size\": 64, \"hidden_size\": 32, \"intermediate_size\": 48, "
        "\"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"num_key_value_heads\": 2, "
        "\"tie_word_embeddings\": true}";
    char path[300];
    const char *text = strcmp(family, "bloom") == 0 ? bloom : llama;
    snprintf(path, sizeof path, "%s/config.json", fixture->base.directory);
    test_write_file(path, text, strlen(text));
}

static void setup(struct fixture *fixture, const char *family, double alpha)
{
    test_model_loaded(&fixture->base, family);
    write_config(fixture, family);
    struct loam_trainables set = {0};
    struct loam_lora_settings settings = {.rank = RANK, .alpha = alpha, .target_modules = "all-linear"};
    struct loam_adapter *adapter;
    assert_ok(loam_adapter_create(&adapter, fixture->base.model, &settings, &set, &error));
    assert_ok(loam_trainables_allocate(&set, fixture->base.device, &error));
    assert_ok(loam_adapter_start(adapter, 1, &error));
    for (size_t i = 0; i < set.count; i++) {
        float *value = set.items[i].value.data;
        for (int64_t j = 0; j < loam_tensor_count(&set.items[i].value); j++)
            value[j] = mark(i, j);
    }
    assert_non_null(test_make_directory(fixture->adapter));
    assert_ok(loam_adapter_save(adapter, "the/base", NULL, fixture->adapter, &error));
    loam_adapter_destroy(adapter);
    loam_trainables_deinit(&set);
    assert_non_null(test_make_directory(fixture->root));
    snprintf(fixture->path, sizeof fixture->path, "%s/lora.gguf", fixture->root);
}

static void teardown(struct fixture *fixture)
{
    test_model_free(&fixture->base);
    test_remove_directory(fixture->adapter);
    test_remove_directory(fixture->root);
}

static struct loam_export_settings settings_of(const struct fixture *fixture, enum loam_dtype dtype)
{
    return (struct loam_export_settings){
        .model = fixture->base.directory, .adapter = fixture->adapter, .path = fixture->path, .dtype = dtype};
}

// ---- reading ----

struct reader {
    struct loam_bytes bytes;
    size_t at;
};

static uint64_t take(struct reader *reader, size_t size)
{
    uint64_t number = 0;
    assert_true(reader->at + size <= reader->bytes.size);
    for (size_t i = 0; i < size; i++)
        number |= (uint64_t)(uint8_t)reader->bytes.data[reader->at++] << (8 * i);
    return number;
}

static void take_string(struct reader *reader, char text[64])
{
    size_t size = (size_t)take(reader, 8);
    assert_true(size < 64 && reader->at + size <= reader->bytes.size);
    memcpy(text, reader->bytes.data + reader->at, size);
    text[size] = '\0';
    reader->at += size;
}

struct tensor {
    char name[64];
    uint64_t ne[2];
    uint64_t type;
    uint64_t offset;
};

struct contents {
    struct reader reader;
    char architecture[64];
    float alpha;
    uint64_t file_type;
    struct tensor tensors[MAX_TENSORS];
    size_t count;
    size_t data; // where it starts
};

static void read_value(struct contents *contents)
{
    char key[64], text[64] = "";
    uint32_t bits = 0;
    take_string(&contents->reader, key);
    uint64_t type = take(&contents->reader, 4);
    if (type == 8)
        take_string(&contents->reader, text);
    else
        bits = (uint32_t)take(&contents->reader, 4);
    if (strcmp(key, "general.architecture") == 0) {
        snprintf(contents->architecture, sizeof contents->architecture, "%s", text);
    } else if (strcmp(key, "general.type") == 0) {
        assert_string_equal(text, "adapter");
    } else if (strcmp(key, "adapter.type") == 0) {
        assert_string_equal(text, "lora");
    } else if (strcmp(key, "adapter.lora.alpha") == 0) {
        assert_int_equal(type, 6);
        memcpy(&contents->alpha, &bits, sizeof bits);
    } else {
        assert_string_equal(key, "general.file_type");
        contents->file_type = bits;
    }
}

static void read_file(struct contents *contents, const char *path)
{
    *contents = (struct contents){0};
    assert_ok(loam_file_read(path, 1 << 24, &contents->reader.bytes, &error));
    assert_memory_equal(contents->reader.bytes.data, "GGUF\3\0\0\0", 8);
    contents->reader.at = 8;
    contents->count = (size_t)take(&contents->reader, 8);
    assert_true(contents->count <= MAX_TENSORS);
    for (uint64_t values = take(&contents->reader, 8); values > 0; values--)
        read_value(contents);
    for (size_t i = 0; i < contents->count; i++) {
        struct tensor *tensor = &contents->tensors[i];
        take_string(&contents->reader, tensor->name);
        assert_int_equal(take(&contents->reader, 4), 2);
        tensor->ne[0] = take(&contents->reader, 8);
        tensor->ne[1] = take(&contents->reader, 8);
        tensor->type = take(&contents->reader, 4);
        tensor->offset = take(&contents->reader, 8);
        assert_int_equal(tensor->offset % 32, 0);
    }
    contents->data = (contents->reader.at + 31) / 32 * 32;
}

static float element(const struct contents *contents, const struct tensor *tensor, uint64_t row,
                     uint64_t column)
{
    float value;
    size_t size = tensor->type == 0 ? 4 : 2;
    size_t place = contents->data + tensor->offset + (row * tensor->ne[0] + column) * size;
    assert_true(place + size <= contents->reader.bytes.size);
    loam_convert(&value, LOAM_F32, contents->reader.bytes.data + place,
                 tensor->type == 0 ? LOAM_F32 : LOAM_F16, 1);
    return value;
}

// ---- expected contents ----

// The modules of a layer in model order: GGUF's name, [out, in], and how B's rows are ordered.
static const struct module {
    const char *name;
    uint64_t out, in;
    char order; // 'q': fused, 'r': rope, 's': the same
} bloom_modules[] = {{"attn_qkv", 96, 32, 'q'},
                     {"attn_output", 32, 32, 's'},
                     {"ffn_up", 128, 32, 's'},
                     {"ffn_down", 32, 128, 's'}},
  llama_modules[] = {{"attn_q", 32, 32, 'r'},      {"attn_k", 16, 32, 'r'},   {"attn_v", 16, 32, 's'},
                     {"attn_output", 32, 32, 's'}, {"ffn_gate", 48, 32, 's'}, {"ffn_up", 48, 32, 's'},
                     {"ffn_down", 32, 48, 's'}};

// Returns the place in GGUF of row `row` of the checkpoint, by llama.cpp's description.
static uint64_t place_of(char order, uint64_t row)
{
    uint64_t d = HEAD_DIM;
    if (order == 'q') { // [head, 3, d] to [3, head, d]
        uint64_t head = row / (3 * d), part = row / d % 3;
        return (part * HEADS + head) * d + row % d;
    }
    if (order == 'r') { // a head's two halves become pairs
        uint64_t half = row % d / (d / 2);
        return row / d * d + row % (d / 2) * 2 + half;
    }
    return row;
}

static void check_module(const struct contents *contents, size_t index, const struct module *module,
                         int layer, float factor)
{
    const struct tensor *a = &contents->tensors[2 * index];
    const struct tensor *b = &contents->tensors[2 * index + 1];
    char name[64];
    snprintf(name, sizeof name, "blk.%d.%s.weight.lora_a", layer, module->name);
    assert_string_equal(a->name, name);
    snprintf(name, sizeof name, "blk.%d.%s.weight.lora_b", layer, module->name);
    assert_string_equal(b->name, name);
    assert_int_equal(a->ne[0], module->in);
    assert_int_equal(a->ne[1], RANK);
    assert_int_equal(b->ne[0], RANK);
    assert_int_equal(b->ne[1], module->out);
    for (uint64_t k = 0; k < RANK; k++) {
        for (uint64_t i = 0; i < module->in; i++)
            assert_true(element(contents, a, k, i) == mark(2 * index, (int64_t)(k * module->in + i)));
        for (uint64_t o = 0; o < module->out; o++)
            assert_true(element(contents, b, place_of(module->order, o), k) ==
                        factor * mark(2 * index + 1, (int64_t)(o * RANK + k)));
    }
}

// `factor` is the expected factor of B.
static void check_file(const struct fixture *fixture, const char *family, float alpha, uint64_t type,
                       float factor)
{
    bool bloom = strcmp(family, "bloom") == 0;
    const struct module *modules = bloom ? bloom_modules : llama_modules;
    size_t per_layer = bloom ? 4 : 7;
    struct contents contents;
    read_file(&contents, fixture->path);
    assert_string_equal(contents.architecture, family);
    assert_true(contents.alpha == alpha);
    assert_int_equal(contents.file_type, type);
    assert_int_equal(contents.count, 2 * 2 * per_layer);
    for (size_t i = 0; i < 2 * per_layer; i++) {
        assert_int_equal(contents.tensors[2 * i].type, type);
        check_module(&contents, i, &modules[i % per_layer], (int)(i / per_layer), factor);
    }
    loam_bytes_deinit(&contents.reader.bytes);
}

static void is_what_the_reader_expects(void **state)
{
    (void)state;
    static const char *const families[] = {"bloom", "llama"};
    static const enum loam_dtype dtypes[] = {LOAM_F32, LOAM_F16};
    static const double alphas[] = {8, 3, 0.7};
    for (size_t f = 0; f < 2; f++)
        for (size_t d = 0; d < 2; d++)
            for (size_t a = 0; a < 3; a++) {
                struct fixture fixture;
                struct loam_export_result result;
                setup(&fixture, families[f], alphas[a]);
                struct loam_export_settings settings = settings_of(&fixture, dtypes[d]);
                assert_ok(loam_export_gguf(&settings, &result, &error));
                assert_int_equal(result.modules, f == 0 ? 8 : 14);
                check_file(&fixture, families[f], (float)alphas[a], d, 1);
                teardown(&fixture);
            }
}

// The format has one scale, alpha / r. Another scale is multiplied into B.
static void other_scales(void **state)
{
    (void)state;
    static const struct {
        const char *before, *after;
        float factor;
    } cases[] = {
        {"\"use_rslora\": false", "\"use_rslora\": true ", 2}, // scale 8 / sqrt(4) instead of 8 / 4
        {"\"alpha_pattern\": {}", "\"alpha_pattern\": {\".*\": 4}", 0.5f},
    };
    for (size_t i = 0; i < 2; i++) {
        struct fixture fixture;
        struct loam_export_result result;
        struct loam_bytes text = {0}, changed = {0};
        char path[300];
        setup(&fixture, "llama", 8);
        snprintf(path, sizeof path, "%s/adapter_config.json", fixture.adapter);
        assert_ok(loam_file_read(path, 1 << 16, &text, &error));
        const char *place = strstr(text.data, cases[i].before);
        assert_non_null(place);
        assert_ok(loam_bytes_format(&changed, &error, "%.*s%s%s", (int)(place - text.data), text.data,
                                    cases[i].after, place + strlen(cases[i].before)));
        test_write_file(path, changed.data, changed.size);
        struct loam_export_settings settings = settings_of(&fixture, LOAM_F32);
        assert_ok(loam_export_gguf(&settings, &result, &error));
        check_file(&fixture, "llama", 8, 0, cases[i].factor);
        loam_bytes_deinit(&changed);
        loam_bytes_deinit(&text);
        teardown(&fixture);
    }
}

// ---- failures ----

static void values_and_places_that_do_not_fit(void **state)
{
    (void)state;
    struct fixture fixture;
    struct loam_export_result result;
    setup(&fixture, "llama", 8);
    test_spoil_adapter(fixture.adapter, 70000);
    struct loam_export_settings settings = settings_of(&fixture, LOAM_F16);
    assert_fails(loam_export_gguf(&settings, &result, &error), LOAM_ERROR_NUMERIC, "65504");
    assert_false(loam_file_exists(fixture.path));
    settings.dtype = LOAM_F32;
    assert_ok(loam_export_gguf(&settings, &result, &error));
    assert_fails(loam_export_gguf(&settings, &result, &error), LOAM_ERROR_EXISTS, "--overwrite");
    settings.overwrite = true;
    test_spoil_adapter(fixture.adapter, NAN);
    assert_fails(loam_export_gguf(&settings, &result, &error), LOAM_ERROR_NUMERIC, "broken");
    assert_true(loam_file_exists(fixture.path)); // the file of the earlier conversion
    test_spoil_adapter(fixture.adapter, 1);
    assert_ok(loam_export_gguf(&settings, &result, &error));
    settings.path = fixture.root;
    assert_fails(loam_export_gguf(&settings, &result, &error), LOAM_ERROR_EXISTS, "is a directory");
    settings.path = "";
    assert_fails(loam_export_gguf(&settings, &result, &error), LOAM_ERROR_ARGUMENT, "empty name");
    teardown(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_what_the_reader_expects),
        cmocka_unit_test(other_scales),
        cmocka_unit_test(values_and_places_that_do_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
