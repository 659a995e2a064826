#include "common_handles.h"

struct loam_model_handle *opened_another_model(const struct opened *opened)
{
    struct loam_error error;
    struct loam_model_handle *model;
    struct loam_model_settings settings = LOAM_MODEL_SETTINGS_INIT;
    settings.directory = opened->fixture.model;
    settings.dtype = "f32";
    assert_ok(loam_model_open(&model, opened->device, &settings, &error));
    return model;
}

void opened_make(struct opened *opened, const char *family)
{
    struct loam_error error;
    fixture_make(&opened->fixture, family);
    assert_ok(loam_device_open(&opened->device, "ref", 1, &error));
    opened->model = opened_another_model(opened);
    assert_ok(loam_tokenizer_open(&opened->tokenizer, opened->fixture.model, &error));
}

void opened_remove(struct opened *opened)
{
    loam_device_close(opened->device);
    loam_model_close(opened->model);
    loam_tokenizer_close(opened->tokenizer);
    fixture_remove(&opened->fixture);
}

struct loam_adapter_handle *opened_adapter(const struct opened *opened, uint64_t seed, double dropout)
{
    struct loam_error error;
    struct loam_adapter_handle *adapter;
    struct loam_lora_config config = LOAM_LORA_CONFIG_INIT;
    config.rank = 4;
    config.alpha = 8;
    config.dropout = dropout;
    config.seed = seed;
    assert_ok(loam_adapter_make(&adapter, opened->model, &config, &error));
    return adapter;
}

void texts_pack(struct texts *texts, const struct opened *opened, const char *const *lines, int32_t count,
                float weight)
{
    struct loam_error error;
    *texts = (struct texts){.batch = LOAM_PACKED_BATCH_INIT};
    for (int32_t i = 0; i < count; i++) {
        const int32_t first = texts->offsets[i];
        size_t tokens;
        assert_ok(loam_text_encode(opened->tokenizer, lines[i], strlen(lines[i]), LOAM_TEXT_EXAMPLE,
                                   texts->ids + first, 256 - (size_t)first, &tokens, &error));
        texts->offsets[i + 1] = first + (int32_t)tokens;
    }
    for (int32_t t = 0; t < texts->offsets[count]; t++)
        texts->weights[t] = weight;
    texts->batch.sequences = count;
    texts->batch.offsets = texts->offsets;
    texts->batch.ids = texts->ids;
    texts->batch.weights = texts->weights;
}
