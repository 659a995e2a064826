// Loading: in place, converted, uploaded, and every checkpoint that is not what its config says.
#include "common_checkpoint.h"
#include "helpers/write_faults.h"
#include "io/safetensors.h"
#include "test.h"

struct fixture {
    char directory[256];
    struct loam_device *device;
    struct loam_model *model;
    struct test_checkpoint checkpoint;
};

static int make_with(void **state, const char *json)
{
    struct loam_error error = {0};
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    assert_non_null(test_make_directory(fixture->directory));
    assert_ok(loam_device_create(&fixture->device, "ref", 1, &error));
    fixture->model = test_create_model(json);
    test_checkpoint_init(&fixture->checkpoint, fixture->model, LOAM_F32);
    *state = fixture;
    return 0;
}

static int make_bloom(void **state)
{
    return make_with(state, "{" BLOOM_CONFIG "}");
}

static int make_llama(void **state)
{
    return make_with(state, "{" LLAMA_CONFIG "}");
}

static int drop(void **state)
{
    struct fixture *fixture = *state;
    test_checkpoint_deinit(&fixture->checkpoint);
    loam_model_destroy(fixture->model);
    loam_device_destroy(fixture->device);
    test_remove_directory(fixture->directory);
    free(fixture);
    return 0;
}

static enum loam_status write_and_load(struct fixture *fixture, struct loam_load_options options,
                                       struct loam_error *error)
{
    test_checkpoint_write(&fixture->checkpoint, fixture->directory, "model.safetensors");
    return loam_model_load(fixture->model, fixture->directory, fixture->device, &options, error);
}

// A model of the same config, without data.
static void fresh_model(struct fixture *fixture)
{
    struct loam_error error = {0};
    struct loam_config config = fixture->model->config;
    loam_model_destroy(fixture->model);
    fixture->model = NULL;
    assert_ok(loam_model_create(&fixture->model, &config, &error));
}

static bool in_file(const struct loam_model *model, const struct loam_tensor *value)
{
    for (size_t i = 0; i < loam_container_count(model->file); i++)
        if (loam_container_at(model->file, i)->data == value->data) return true;
    return false;
}

// Value i of parameter k is k + i / 1024, rounded as the dtypes on the way round.
static void assert_values(const struct loam_model *model, enum loam_dtype stored)
{
    for (size_t k = 0; k < model->parameter_count; k++) {
        const struct loam_tensor *value = &model->parameters[k].value;
        assert_int_equal(value->dtype, model->dtype);
        for (int64_t i = 0; i < loam_tensor_count(value); i++) {
            float expected = (float)k + (float)i / 1024, found;
            char rounded[sizeof(float)];
            const size_t size = loam_dtype_size(model->dtype);
            loam_convert(rounded, stored, &expected, LOAM_F32, 1);
            loam_convert(&expected, LOAM_F32, rounded, stored, 1);
            loam_convert(rounded, model->dtype, &expected, LOAM_F32, 1);
            loam_convert(&expected, LOAM_F32, rounded, model->dtype, 1);
            loam_convert(&found, LOAM_F32, (const char *)value->data + (size_t)i * size, model->dtype, 1);
            assert_true(found == expected);
        }
    }
}

struct heard {
    int lines;
    char last[300];
    char all[4096];
};

static void hear(void *user, enum loam_log_level level, const char *line)
{
    struct heard *heard = user;
    (void)level;
    heard->lines++;
    snprintf(heard->last, sizeof heard->last, "%s", line);
    size_t used = strlen(heard->all);
    snprintf(heard->all + used, sizeof heard->all - used, "%s\n", line);
}

static void every_dtype_to_every_dtype(void **state)
{
    struct fixture *fixture = *state;
    static const enum loam_dtype stored[] = {LOAM_F32, LOAM_F16, LOAM_BF16};
    static const enum loam_dtype computed[] = {LOAM_F32, LOAM_BF16, LOAM_F16};
    for (size_t s = 0; s < 3; s++)
        for (size_t c = 0; c < 3; c++)
            for (int writable = 0; writable < 2; writable++) {
                struct loam_error error = {0};
                struct heard heard = {0};
                struct loam_callbacks callbacks = {.log = {.write = hear, .user = &heard}};
                test_checkpoint_deinit(&fixture->checkpoint);
                test_checkpoint_init(&fixture->checkpoint, fixture->model, stored[s]);
                assert_ok(write_and_load(fixture,
                                         (struct loam_load_options){.dtype = computed[c],
                                                                    .writable = writable == 1,
                                                                    .callbacks = &callbacks},
                                         &error));
                assert_int_equal(fixture->model->dtype, computed[c]);
                assert_values(fixture->model, stored[s]);
                bool same = stored[s] == computed[c];
                for (size_t i = 0; i < fixture->model->parameter_count; i++)
                    assert_int_equal(in_file(fixture->model, &fixture->model->parameters[i].value),
                                     same && writable == 0);
                assert_int_equal(heard.lines, same ? 0 : 1);
                if (s == 1 && c < 2)
                    assert_non_null(strstr(heard.last, c == 0 ? "from f16 to f32" : "from f16 to bf16"));
                fresh_model(fixture);
            }
}

// A device whose memory is not the host's, as far as the loader can tell.
static void through_the_device_memory(void **state)
{
    struct fixture *fixture = *state;
    struct loam_error error = {0};
    struct loam_device apart = *fixture->device;
    apart.host_memory = false;
    test_checkpoint_write(&fixture->checkpoint, fixture->directory, "model.safetensors");
    struct loam_load_options options = {.dtype = LOAM_F32};
    assert_ok(loam_model_load(fixture->model, fixture->directory, &apart, &options, &error));
    assert_values(fixture->model, LOAM_F32);
    for (size_t i = 0; i < fixture->model->parameter_count; i++)
        assert_false(in_file(fixture->model, &fixture->model->parameters[i].value));
    fresh_model(fixture);
    options.dtype = LOAM_BF16;
    assert_ok(loam_model_load(fixture->model, fixture->directory, &apart, &options, &error));
    assert_values(fixture->model, LOAM_F32);
    fresh_model(fixture);
}

static void tables_are_on_the_device(void **state)
{
    struct fixture *fixture = *state;
    struct loam_error error = {0};
    float expected[64];
    const struct loam_model *model = fixture->model;
    assert_ok(write_and_load(fixture, (struct loam_load_options){.dtype = LOAM_F32}, &error));
    if (model->config.family->position == LOAM_ALIBI) {
        loam_config_alibi_slopes(&model->config, expected);
        assert_int_equal(model->alibi_slopes.shape[0], 3);
        assert_memory_equal(model->alibi_slopes.data, expected, 3 * sizeof(float));
        assert_null(model->rope_frequencies[0].data);
    } else {
        loam_config_rope_frequencies(&model->config, 0, 0, expected);
        assert_int_equal(model->rope_frequencies[0].shape[0], 2);
        assert_memory_equal(model->rope_frequencies[0].data, expected, 2 * sizeof(float));
        assert_null(model->alibi_slopes.data);
    }
}

static void frozen_weights_cannot_be_written(void **state)
{
    struct fixture *fixture = *state;
    static const enum loam_dtype computed[] = {LOAM_F32, LOAM_BF16}; // mapped, converted
    for (size_t c = 0; c < 2; c++)
        for (int writable = 0; writable < 2; writable++) {
            struct loam_error error = {0};
            assert_ok(write_and_load(
                fixture, (struct loam_load_options){.dtype = computed[c], .writable = writable == 1},
                &error));
            assert_int_equal(test_write_faults(fixture->model->embedding->value.data), writable == 0);
            fresh_model(fixture);
        }
}

// Data at odd addresses, as released checkpoints have it: converted to the same dtype, never used in place.
static void unaligned_data_is_moved(void **state)
{
    struct fixture *fixture = *state;
    struct loam_error error = {0};
    char path[300];
    snprintf(path, sizeof path, "%s/model.safetensors", fixture->directory);
    test_checkpoint_write(&fixture->checkpoint, fixture->directory, "model.safetensors");
    struct loam_bytes bytes = {0};
    assert_ok(loam_file_read(path, 1 << 24, &bytes, &error));
    size_t header = (unsigned char)bytes.data[0] | (size_t)(unsigned char)bytes.data[1] << 8;
    struct loam_bytes shifted = {0};
    assert_ok(loam_bytes_append(&shifted, bytes.data, 8 + header, &error));
    assert_ok(loam_bytes_append_text(&shifted, " ", &error)); // one more space behind the JSON
    assert_ok(loam_bytes_append(&shifted, bytes.data + 8 + header, bytes.size - 8 - header, &error));
    header++;
    shifted.data[0] = (char)(header & 0xff);
    shifted.data[1] = (char)(header >> 8 & 0xff);
    test_write_file(path, shifted.data, shifted.size);
    struct loam_load_options options = {.dtype = LOAM_F32};
    assert_ok(loam_model_load(fixture->model, fixture->directory, fixture->device, &options, &error));
    assert_values(fixture->model, LOAM_F32);
    assert_false(in_file(fixture->model, &fixture->model->embedding->value));
    assert_int_equal((uintptr_t)fixture->model->embedding->value.data % 64, 0);
    loam_bytes_deinit(&bytes);
    loam_bytes_deinit(&shifted);
}

static void prefix_may_be_left_out(void **state)
{
    struct fixture *fixture = *state;
    struct loam_error error = {0};
    const char *prefix = fixture->model->config.family->prefix;
    for (size_t i = 0; i < fixture->checkpoint.count; i++)
        if (strncmp(fixture->checkpoint.tensors[i].name, prefix, strlen(prefix)) == 0)
            fixture->checkpoint.tensors[i].name += strlen(prefix);
    assert_ok(write_and_load(fixture, (struct loam_load_options){.dtype = LOAM_F32}, &error));
    assert_values(fixture->model, LOAM_F32);
    assert_string_equal(fixture->model->parameters[1].name + strlen(prefix),
                        fixture->model->config.family == &loam_family_bloom
                            ? "word_embeddings_layernorm.weight"
                            : "layers.0.input_layernorm.weight");
}

static void old_buffers_are_ignored(void **state)
{
    struct fixture *fixture = *state;
    struct loam_error error = {0};
    struct test_checkpoint *checkpoint = &fixture->checkpoint;
    test_checkpoint_copy(checkpoint, "model.norm.weight", "model.layers.1.self_attn.rotary_emb.inv_freq");
    assert_ok(write_and_load(fixture, (struct loam_load_options){.dtype = LOAM_F32}, &error));
    fresh_model(fixture);
    snprintf(checkpoint->names[63], sizeof checkpoint->names[63], "layers.12.self_attn.rotary_emb.inv_freq");
    assert_ok(write_and_load(fixture, (struct loam_load_options){.dtype = LOAM_F32}, &error));
    fresh_model(fixture);
    snprintf(checkpoint->names[63], sizeof checkpoint->names[63],
             "model.layers.x.self_attn.rotary_emb.inv_freq");
    assert_fails(write_and_load(fixture, (struct loam_load_options){.dtype = LOAM_F32}, &error),
                 LOAM_ERROR_FORMAT,
                 "model.layers.x.self_attn.rotary_emb.inv_freq is not part of a llama model");
}

static void copy_of_a_tied_head_is_ignored(void **state)
{
    struct fixture *fixture = *state;
    struct loam_error error = {0};
    test_checkpoint_copy(&fixture->checkpoint, "transformer.word_embeddings.weight", "lm_head.weight");
    assert_ok(write_and_load(fixture, (struct loam_load_options){.dtype = LOAM_F32}, &error));
    assert_ptr_equal(fixture->model->head.weight, fixture->model->embedding);
}

// A stored head that config.json ties, and what becomes of it.
struct head_case {
    const char *json, *embedding;
    bool other;             // its last value differs
    enum loam_dtype stored; // of the head; the embedding is in f32
};

static void make_head(struct test_checkpoint *checkpoint, const struct head_case *head, void *data)
{
    test_checkpoint_copy(checkpoint, head->embedding, "lm_head.weight");
    struct loam_write_tensor *tensor = &checkpoint->tensors[checkpoint->count - 1];
    size_t count = (size_t)(tensor->shape[0] * tensor->shape[1]);
    float *values = calloc(count, sizeof *values);
    assert_non_null(values);
    memcpy(values, tensor->data, count * sizeof *values);
    if (head->other) values[count - 1] += 1;
    loam_convert(data, head->stored, values, LOAM_F32, count);
    free(values);
    tensor->data = data;
    tensor->dtype = head->stored;
}

static void a_tied_head_of_its_own(void **state)
{
    (void)state;
    static const char bloom[] = "{" BLOOM_CONFIG "}",
                      llama[] = "{" LLAMA_CONFIG ",\"tie_word_embeddings\":true}";
    // [410, 12]: more than is compared at a time.
    static const char large[] = "{\"model_type\":\"bloom\",\"hidden_size\":12,\"n_layer\":1,\"n_head\":3,"
                                "\"vocab_size\":410}";
    static const char of_bloom[] = "transformer.word_embeddings.weight",
                      of_llama[] = "model.embed_tokens.weight";
    static const struct head_case cases[] = {
        {bloom, of_bloom, true, LOAM_F32},  {bloom, of_bloom, false, LOAM_F32},
        {llama, of_llama, true, LOAM_F32},  {llama, of_llama, false, LOAM_F32},
        {bloom, of_bloom, true, LOAM_F16},  {bloom, of_bloom, false, LOAM_F16},
        {llama, of_llama, true, LOAM_BF16}, {llama, of_llama, false, LOAM_BF16}, // i / 1024 is in bf16
        {large, of_bloom, true, LOAM_F32},  {large, of_bloom, false, LOAM_F32},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const bool own = cases[i].other;
        struct loam_error error = {0};
        struct heard heard = {0};
        struct loam_callbacks callbacks = {.log = {.write = hear, .user = &heard}};
        struct fixture *fixture;
        static float data[8192];
        make_with((void **)&fixture, cases[i].json);
        const size_t parameters = fixture->model->parameter_count;
        make_head(&fixture->checkpoint, &cases[i], data);
        assert_ok(write_and_load(
            fixture, (struct loam_load_options){.dtype = LOAM_F32, .callbacks = &callbacks}, &error));
        const struct loam_model *model = fixture->model;
        assert_int_equal(model->config.tied_head, !own);
        assert_int_equal(model->parameter_count, parameters + own);
        assert_true((model->head.weight == model->embedding) == !own);
        if (own) {
            const struct loam_tensor *value = &model->head.weight->value;
            assert_string_equal(model->head.weight->name, "lm_head.weight");
            for (size_t j = 0; j < (size_t)loam_tensor_count(value); j++) {
                float wanted, found;
                loam_convert(&wanted, LOAM_F32, (char *)data + j * loam_dtype_size(cases[i].stored),
                             cases[i].stored, 1);
                memcpy(&found, (const char *)value->data + 4 * j, sizeof found);
                assert_true(found == wanted);
            }
        }
        const bool told = strstr(heard.all, "lm_head.weight is not ") != NULL &&
                          strstr(heard.all, "although config.json ties them") != NULL;
        assert_int_equal(told, own);
        drop((void **)&fixture);
    }
}

// Names a tensor PREFIX + REST.
static void rename_tensor(struct test_checkpoint *checkpoint, size_t index, const char *prefix,
                          const char *rest)
{
    char name[96];
    assert_true((size_t)snprintf(name, sizeof name, "%s%s", prefix, rest) < sizeof name);
    memcpy(checkpoint->names[index], name, sizeof name);
    checkpoint->tensors[index].name = checkpoint->names[index];
}

// Adds a copy of the first tensor.
static void add_tensor(struct test_checkpoint *checkpoint, const char *name)
{
    test_checkpoint_copy(checkpoint, checkpoint->tensors[0].name, name);
    rename_tensor(checkpoint, checkpoint->count - 1, "", name);
}

// The text model of a multimodal checkpoint, as transformers 4 and 5 name it.
static void multimodal_names(void **state)
{
    static const struct {
        const char *prefix, *head;
        bool bare; // without the family's prefix
    } cases[] = {
        {"language_model.", "language_model.lm_head.weight", false},
        {"model.language_model.", "lm_head.weight", true},
        {"model.text_model.", "lm_head.weight", true},
        {"text_model.", "lm_head.weight", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture *fixture = NULL;
        struct loam_error error = {0};
        struct heard heard = {0};
        const struct loam_callbacks callbacks = {.log = {hear, &heard}};
        assert_int_equal(make_llama((void **)&fixture), 0);
        struct test_checkpoint *checkpoint = &fixture->checkpoint;
        for (size_t k = 0; k < checkpoint->count; k++) {
            char name[96];
            memcpy(name, checkpoint->tensors[k].name, strlen(checkpoint->tensors[k].name) + 1);
            if (strcmp(name, "lm_head.weight") == 0)
                rename_tensor(checkpoint, k, "", cases[i].head);
            else
                rename_tensor(checkpoint, k, cases[i].prefix, name + (cases[i].bare ? strlen("model.") : 0));
        }
        add_tensor(checkpoint, "vision_tower.encoder.weight");
        add_tensor(checkpoint, "model.multi_modal_projector.linear.weight");
        const struct loam_load_options options = {.dtype = LOAM_F32, .callbacks = &callbacks};
        assert_ok(write_and_load(fixture, options, &error));
        assert_values(fixture->model, LOAM_F32);
        if (strstr(heard.all, "2 tensors, such as ") == NULL) fail_msg("%s", heard.all);
        // The same tensor under two names, and one that no row claims.
        fresh_model(fixture);
        add_tensor(checkpoint, "model.embed_tokens.weight");
        assert_fails(write_and_load(fixture, options, &error), LOAM_ERROR_FORMAT, "the same tensor twice");
        fresh_model(fixture);
        checkpoint->count--;
        add_tensor(checkpoint, "language_model.other.weight");
        assert_fails(write_and_load(fixture, options, &error), LOAM_ERROR_FORMAT,
                     "tensor language_model.other.weight is not part");
        drop((void **)&fixture);
    }
}

// Of a tied pair the head alone may be stored.
static void a_head_without_embedding(void **state)
{
    struct fixture *fixture = *state;
    struct loam_error error = {0};
    struct test_checkpoint *checkpoint = &fixture->checkpoint;
    test_checkpoint_copy(checkpoint, "transformer.word_embeddings.weight", "lm_head.weight");
    test_checkpoint_remove(checkpoint, "transformer.word_embeddings.weight");
    assert_ok(write_and_load(fixture, (struct loam_load_options){.dtype = LOAM_F32}, &error));
    assert_ptr_equal(fixture->model->head.weight, fixture->model->embedding);
    assert_values(fixture->model, LOAM_F32);
    // Not where they are two.
    loam_model_destroy(fixture->model);
    fixture->model = test_create_model("{" BLOOM_CONFIG ",\"tie_word_embeddings\":false}");
    assert_fails(write_and_load(fixture, (struct loam_load_options){.dtype = LOAM_F32}, &error),
                 LOAM_ERROR_FORMAT, "tensor transformer.word_embeddings.weight is missing");
}

static void a_tied_head_of_another_shape(void **state)
{
    struct fixture *fixture = *state;
    struct loam_error error = {0};
    test_checkpoint_copy(&fixture->checkpoint, "transformer.word_embeddings.weight", "lm_head.weight");
    fixture->checkpoint.tensors[fixture->checkpoint.count - 1].shape[0] = 9;
    assert_fails(write_and_load(fixture, (struct loam_load_options){.dtype = LOAM_F32}, &error),
                 LOAM_ERROR_FORMAT, "tensor lm_head.weight has the shape [9, 12]");
}

static void spoil_missing(struct test_checkpoint *checkpoint)
{
    test_checkpoint_remove(checkpoint, "transformer.h.1.mlp.dense_4h_to_h.bias");
}

static void spoil_shape(struct test_checkpoint *checkpoint)
{
    checkpoint
        ->tensors[test_checkpoint_index(checkpoint, "transformer.h.0.self_attention.query_key_value.weight")]
        .shape[0] = 35;
}

static void spoil_rank(struct test_checkpoint *checkpoint)
{
    struct loam_write_tensor *tensor =
        &checkpoint->tensors[test_checkpoint_index(checkpoint, "transformer.ln_f.weight")];
    tensor->rank = 2;
    tensor->shape[1] = 1;
}

static void spoil_layer(struct test_checkpoint *checkpoint)
{
    test_checkpoint_copy(checkpoint, "transformer.ln_f.weight", "transformer.h.2.input_layernorm.weight");
}

static void spoil_name(struct test_checkpoint *checkpoint)
{
    test_checkpoint_copy(checkpoint, "transformer.ln_f.weight", "score.weight");
}

static void spoil_twice(struct test_checkpoint *checkpoint)
{
    test_checkpoint_copy(checkpoint, "transformer.ln_f.weight", "ln_f.weight");
}

static void spoil_dtype(struct test_checkpoint *checkpoint)
{
    checkpoint->tensors[test_checkpoint_index(checkpoint, "transformer.ln_f.bias")].dtype = LOAM_I32;
}

static void what_does_not_fit_is_named(void **state)
{
    (void)state;
    static const struct {
        void (*spoil)(struct test_checkpoint *checkpoint);
        enum loam_status status;
        const char *message;
    } cases[] = {
        {spoil_missing, LOAM_ERROR_FORMAT, "tensor transformer.h.1.mlp.dense_4h_to_h.bias is missing"},
        {spoil_shape, LOAM_ERROR_FORMAT,
         "model.safetensors: tensor transformer.h.0.self_attention.query_key_value.weight has the shape [35, "
         "12]; "
         "config.json makes it [36, 12]"},
        {spoil_rank, LOAM_ERROR_FORMAT,
         "transformer.ln_f.weight has the shape [12, 1]; config.json makes it [12]"},
        {spoil_layer, LOAM_ERROR_FORMAT,
         "tensor transformer.h.2.input_layernorm.weight is not part of a bloom model"},
        {spoil_name, LOAM_ERROR_FORMAT, "tensor score.weight is not part"},
        {spoil_twice, LOAM_ERROR_FORMAT,
         "the same tensor twice, as transformer.ln_f.weight and as ln_f.weight"},
        {spoil_dtype, LOAM_ERROR_UNSUPPORTED, "tensor transformer.ln_f.bias must be F32, F16 or BF16"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loam_error error = {0};
        void *fresh = NULL;
        make_bloom(&fresh);
        struct fixture *fixture = fresh;
        cases[i].spoil(&fixture->checkpoint);
        assert_fails(write_and_load(fixture, (struct loam_load_options){.dtype = LOAM_F32}, &error),
                     cases[i].status, cases[i].message);
        assert_non_null(strstr(error.message, fixture->directory));
        drop(&fresh);
    }
}

// 65519 rounds to f16's largest number, and 65520 to infinity.
static void weights_beyond_f16(void **state)
{
    struct fixture *fixture = *state;
    struct loam_error error = {0};
    const struct loam_load_options f16 = {.dtype = LOAM_F16};
    fixture->checkpoint.data[0] = 65519;
    assert_ok(write_and_load(fixture, f16, &error));
    fresh_model(fixture);
    fixture->checkpoint.data[0] = -65520;
    assert_fails(write_and_load(fixture, f16, &error), LOAM_ERROR_UNSUPPORTED,
                 "holds -65520, and f16 ends at 65504");
    fresh_model(fixture);
    assert_ok(write_and_load(fixture, (struct loam_load_options){.dtype = LOAM_BF16}, &error));
}

static void spoiled_files(void **state)
{
    struct fixture *fixture = *state;
    struct loam_error error = {0};
    struct loam_load_options options = {.dtype = LOAM_F32};
    assert_fails(loam_model_load(fixture->model, fixture->directory, fixture->device, &options, &error),
                 LOAM_ERROR_IO, "neither model.safetensors");
    char path[300];
    snprintf(path, sizeof path, "%s/model.safetensors", fixture->directory);
    test_write_file(path, "\xff\xff\xff\xff\xff\xff\xff\x7f{}", 10);
    assert_fails(loam_model_load(fixture->model, fixture->directory, fixture->device, &options, &error),
                 LOAM_ERROR_FORMAT, "header claims");
    options.dtype = LOAM_I32;
    assert_fails(loam_model_load(fixture->model, fixture->directory, fixture->device, &options, &error),
                 LOAM_ERROR_UNSUPPORTED, "device ref does not compute in i32");
    // After the failures the same model can still be loaded, but only once.
    assert_ok(write_and_load(fixture, (struct loam_load_options){.dtype = LOAM_F32}, &error));
    assert_fails(write_and_load(fixture, (struct loam_load_options){.dtype = LOAM_F32}, &error),
                 LOAM_ERROR_ARGUMENT, "has its data already");
}

static void own_head_is_needed(void **state)
{
    struct fixture *fixture = *state;
    struct loam_error error = {0};
    test_checkpoint_remove(&fixture->checkpoint, "lm_head.weight");
    assert_fails(write_and_load(fixture, (struct loam_load_options){.dtype = LOAM_F32}, &error),
                 LOAM_ERROR_FORMAT, "tensor lm_head.weight is missing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_dtype_to_every_dtype, make_bloom, drop),
        cmocka_unit_test_setup_teardown(every_dtype_to_every_dtype, make_llama, drop),
        cmocka_unit_test_setup_teardown(through_the_device_memory, make_bloom, drop),
        cmocka_unit_test_setup_teardown(tables_are_on_the_device, make_bloom, drop),
        cmocka_unit_test_setup_teardown(tables_are_on_the_device, make_llama, drop),
        cmocka_unit_test_setup_teardown(frozen_weights_cannot_be_written, make_bloom, drop),
        cmocka_unit_test_setup_teardown(unaligned_data_is_moved, make_bloom, drop),
        cmocka_unit_test_setup_teardown(prefix_may_be_left_out, make_bloom, drop),
        cmocka_unit_test_setup_teardown(prefix_may_be_left_out, make_llama, drop),
        cmocka_unit_test_setup_teardown(old_buffers_are_ignored, make_llama, drop),
        cmocka_unit_test_setup_teardown(copy_of_a_tied_head_is_ignored, make_bloom, drop),
        cmocka_unit_test(a_tied_head_of_its_own),
        cmocka_unit_test(multimodal_names),
        cmocka_unit_test_setup_teardown(a_head_without_embedding, make_bloom, drop),
        cmocka_unit_test_setup_teardown(a_tied_head_of_another_shape, make_bloom, drop),
        cmocka_unit_test(what_does_not_fit_is_named),
        cmocka_unit_test_setup_teardown(weights_beyond_f16, make_bloom, drop),
        cmocka_unit_test_setup_teardown(spoiled_files, make_bloom, drop),
        cmocka_unit_test_setup_teardown(own_head_is_needed, make_llama, drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
