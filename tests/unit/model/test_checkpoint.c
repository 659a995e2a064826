// Writing checkpoints: the fresh one and the trained one.
#include <math.h>

#include "base/rng.h"
#include "common_checkpoint.h"
#include "io/atomic.h"
#include "test.h"

static void fresh_values_follow_the_family(void **state)
{
    struct loam_error error = {0};
    struct loam_container *file;
    struct loam_model *model = test_create_model("{" BLOOM_CONFIG ",\"initializer_range\":0.5}");
    assert_ok(loam_model_init_checkpoint(model, 7, LOAM_F32, *state, NULL, &error));
    assert_ok(loam_container_open_directory(&file, *state, &error));
    assert_int_equal(loam_container_count(file), model->parameter_count);
    for (size_t k = 0; k < model->parameter_count; k++) {
        const struct loam_parameter *parameter = &model->parameters[k];
        const struct loam_stored_tensor *stored = loam_container_find(file, parameter->name);
        assert_non_null(stored);
        bool bias = strstr(parameter->name, ".bias") != NULL;
        bool norm = strstr(parameter->name, "layernorm") != NULL || strstr(parameter->name, "ln_f") != NULL;
        for (int64_t i = 0; i < loam_tensor_count(&parameter->value); i++) {
            float value;
            memcpy(&value, stored->data + 4 * i, sizeof value);
            float drawn = loam_rng_normal(7, loam_rng_stream(LOAM_RNG_INIT, (uint32_t)k), (uint64_t)i);
            assert_true(value == (bias ? 0.0f : norm ? 1.0f : 0.5f * drawn));
        }
    }
    loam_container_destroy(file);
    loam_model_destroy(model);
}

// Longer than one block of the writer, so that the blocks' seams are seen: mean, deviation, and no
// repetition.
static void large_tensors_are_one_stream(void **state)
{
    struct loam_error error = {0};
    struct loam_container *file;
    struct loam_model *model = test_create_model(
        "{\"model_type\":\"bloom\",\"hidden_size\":64,\"n_layer\":1,\"n_head\":4,\"vocab_size\":12000}");
    assert_ok(loam_model_init_checkpoint(model, 1, LOAM_BF16, *state, NULL, &error));
    assert_ok(loam_container_open_directory(&file, *state, &error));
    const struct loam_stored_tensor *stored = loam_container_find(file, "transformer.word_embeddings.weight");
    assert_int_equal(stored->format, LOAM_FORMAT_BF16);
    double sum = 0, squares = 0;
    for (size_t i = 0; i < 768000; i++) {
        uint16_t half;
        memcpy(&half, stored->data + 2 * i, sizeof half);
        double value = (double)loam_bf16_to_f32(half);
        sum += value;
        squares += value * value;
        if (i % 5000 == 17) {
            float drawn = 0.02f * loam_rng_normal(1, loam_rng_stream(LOAM_RNG_INIT, 0), i);
            assert_int_equal(half, loam_f32_to_bf16(drawn));
        }
    }
    assert_true(fabs(sum / 768000) < 4 * 0.02 / sqrt(768000));
    assert_true(fabs(sqrt(squares / 768000) / 0.02 - 1) < 4 / sqrt(2 * 768000.0));
    loam_container_destroy(file);
    loam_model_destroy(model);
}

static void seeds_repeat(void **state)
{
    struct loam_error error = {0};
    struct loam_model *model = test_create_model("{" LLAMA_CONFIG "}");
    struct loam_bytes files[3] = {0};
    static const uint64_t seeds[] = {5, 5, 6};
    char path[300];
    snprintf(path, sizeof path, "%s/model.safetensors", (const char *)*state);
    for (size_t i = 0; i < 3; i++) {
        assert_ok(loam_model_init_checkpoint(model, seeds[i], LOAM_F16, *state, NULL, &error));
        assert_ok(loam_file_read(path, 1 << 24, &files[i], &error));
    }
    assert_int_equal(files[0].size, files[1].size);
    assert_memory_equal(files[0].data, files[1].data, files[0].size);
    assert_int_equal(files[0].size, files[2].size);
    assert_memory_not_equal(files[0].data, files[2].data, files[0].size);
    for (size_t i = 0; i < 3; i++)
        loam_bytes_deinit(&files[i]);
    loam_model_destroy(model);
}

static void saved_is_loaded(void **state)
{
    struct loam_error error = {0};
    struct loam_device *device;
    assert_ok(loam_device_create(&device, "ref", 1, &error));
    char from[300], to[300];
    snprintf(from, sizeof from, "%s/from", (const char *)*state);
    snprintf(to, sizeof to, "%s/to", (const char *)*state);
    assert_ok(loam_output_directory_prepare(from, false, NULL, &error));
    assert_ok(loam_output_directory_prepare(to, false, NULL, &error));
    struct loam_model *model = test_create_model("{" LLAMA_CONFIG "}");
    struct loam_model *again = test_create_model("{" LLAMA_CONFIG "}");
    assert_fails(loam_model_save(model, LOAM_F32, to, &error), LOAM_ERROR_ARGUMENT, "no data");
    assert_ok(loam_model_init_checkpoint(model, 3, LOAM_F32, from, NULL, &error));
    struct loam_load_options options = {.dtype = LOAM_F32, .writable = true};
    assert_ok(loam_model_load(model, from, device, &options, &error));
    for (size_t k = 0; k < model->parameter_count; k++) // "training"
        ((float *)model->parameters[k].value.data)[0] += 1.0f;
    assert_ok(loam_model_save(model, LOAM_F32, to, &error));
    assert_ok(loam_model_load(again, to, device, &options, &error));
    for (size_t k = 0; k < model->parameter_count; k++)
        assert_memory_equal(model->parameters[k].value.data, again->parameters[k].value.data,
                            loam_tensor_bytes(&model->parameters[k].value));
    loam_model_destroy(again);
    // In another dtype every value is the rounded one.
    assert_ok(loam_model_save(model, LOAM_BF16, to, &error));
    again = test_create_model("{" LLAMA_CONFIG "}");
    assert_ok(loam_model_load(again, to, device, &options, &error));
    for (size_t k = 0; k < model->parameter_count; k++)
        for (int64_t i = 0; i < loam_tensor_count(&model->parameters[k].value); i++) {
            float exact = ((const float *)model->parameters[k].value.data)[i];
            assert_true(((const float *)again->parameters[k].value.data)[i] ==
                        loam_bf16_to_f32(loam_f32_to_bf16(exact)));
        }
    loam_model_destroy(again);
    loam_model_destroy(model);
    loam_device_destroy(device);
}

static void a_place_that_is_not_there(void **state)
{
    struct loam_error error = {0};
    char path[300];
    snprintf(path, sizeof path, "%s/absent", (const char *)*state);
    struct loam_model *model = test_create_model("{" LLAMA_CONFIG "}");
    assert_fails(loam_model_init_checkpoint(model, 3, LOAM_F32, path, NULL, &error), LOAM_ERROR_IO, path);
    loam_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_in_directory(fresh_values_follow_the_family),
        test_in_directory(large_tensors_are_one_stream),
        test_in_directory(seeds_repeat),
        test_in_directory(saved_is_loaded),
        test_in_directory(a_place_that_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
