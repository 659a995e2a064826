#include "common_checkpoint.h"

#include "io/safetensors.h"
#include "test.h"

enum { LIMIT = 1 << 14 }; // elements of a tensor

enum loam_status test_parse_config(struct loam_config *config, const char *json, struct loam_error *error)
{
    json_t *root = json_loads(json, 0, NULL);
    assert_non_null(root);
    enum loam_status status = loam_config_parse(config, root, "config.json", error);
    json_decref(root);
    return status;
}

struct loam_model *test_create_model(const char *json)
{
    struct loam_error error = {0};
    struct loam_config config;
    struct loam_model *model = NULL;
    assert_ok(test_parse_config(&config, json, &error));
    assert_ok(loam_model_create(&model, &config, &error));
    return model;
}

void test_checkpoint_init(struct test_checkpoint *checkpoint, const struct loam_model *model,
                          enum loam_dtype dtype)
{
    *checkpoint = (struct test_checkpoint){.count = model->parameter_count};
    assert_true(model->parameter_count < 60);
    checkpoint->data = calloc(64, LIMIT * sizeof(float));
    assert_non_null(checkpoint->data);
    for (size_t k = 0; k < model->parameter_count; k++) {
        const struct loam_tensor *value = &model->parameters[k].value;
        size_t count = (size_t)loam_tensor_count(value);
        float *plain = calloc(count, sizeof *plain);
        assert_true(count <= LIMIT);
        assert_non_null(plain);
        for (size_t i = 0; i < count; i++)
            plain[i] = (float)k + (float)i / 1024;
        loam_convert(checkpoint->data + k * LIMIT, dtype, plain, LOAM_F32, count);
        free(plain);
        snprintf(checkpoint->names[k], sizeof checkpoint->names[k], "%s", model->parameters[k].name);
        struct loam_write_tensor *tensor = &checkpoint->tensors[k];
        *tensor = (struct loam_write_tensor){.name = checkpoint->names[k],
                                             .dtype = dtype,
                                             .rank = value->rank,
                                             .data = checkpoint->data + k * LIMIT};
        for (int d = 0; d < value->rank; d++)
            tensor->shape[d] = value->shape[d];
    }
}

void test_checkpoint_deinit(struct test_checkpoint *checkpoint)
{
    free(checkpoint->data);
}

size_t test_checkpoint_index(const struct test_checkpoint *checkpoint, const char *name)
{
    for (size_t i = 0; i < checkpoint->count; i++)
        if (strcmp(checkpoint->tensors[i].name, name) == 0) return i;
    fail_msg("the checkpoint has no %s", name);
    return 0;
}

void test_checkpoint_remove(struct test_checkpoint *checkpoint, const char *name)
{
    size_t index = test_checkpoint_index(checkpoint, name);
    checkpoint->count--;
    checkpoint->tensors[index] = checkpoint->tensors[checkpoint->count];
}

void test_checkpoint_copy(struct test_checkpoint *checkpoint, const char *from, const char *to)
{
    size_t i = checkpoint->count;
    assert_true(i < 64);
    snprintf(checkpoint->names[63], sizeof checkpoint->names[63], "%s", to);
    checkpoint->tensors[i] = checkpoint->tensors[test_checkpoint_index(checkpoint, from)];
    checkpoint->tensors[i].name = checkpoint->names[63];
    checkpoint->count++;
}

void test_checkpoint_write(const struct test_checkpoint *checkpoint, const char *directory, const char *file)
{
    struct loam_error error = {0};
    char path[400];
    snprintf(path, sizeof path, "%s/%s", directory, file);
    assert_ok(loam_safetensors_write(path, checkpoint->tensors, checkpoint->count, &error));
}
