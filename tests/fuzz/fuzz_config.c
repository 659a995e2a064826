// config.json: the document, the numbers, and the names and shapes of a model made from them.
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "fuzz.h"
#include "model/config_text.h"
#include "model/model.h"

enum {
    LAYER_LIMIT = 64, // layers of the models that are made; more would only take longer
    HEAD_LIMIT = 1 << 14,
};

static void check_tables(const struct loam_config *config)
{
    fuzz_require(config->heads >= 1 && config->heads <= HEAD_LIMIT);
    fuzz_require(config->head_dim >= 1 && config->head_dim <= HEAD_LIMIT);
    float *table = malloc(HEAD_LIMIT * sizeof *table);
    fuzz_require(table != NULL);
    for (int i = 0; i < config->family->rope_count; i++)
        loam_config_rope_frequencies(config, i, 0, table);
    if (config->family->position == LOAM_ALIBI) loam_config_alibi_slopes(config, table);
    free(table);
}

static void check_model(const struct loam_config *config)
{
    struct loam_error error;
    struct loam_model *model;
    enum loam_status status = loam_model_create(&model, config, &error);
    fuzz_require_message(status, &error);
    if (status != LOAM_OK) return;
    fuzz_require(loam_model_parameter_total(model) > 0);
    loam_model_destroy(model);
}

// Checks that the changed text is the same config with an untied head. A config whose keys contain escapes is
// skipped, because the change does not recognise them.
static void check_text(const uint8_t *data, size_t size, const struct loam_config *config)
{
    struct loam_error error;
    struct loam_bytes text = {0}, again = {0};
    json_t *root;
    struct loam_config changed;
    if (memchr(data, '\\', size) != NULL) return;
    fuzz_require(loam_config_set_untied(&text, (const char *)data, size, &error) == LOAM_OK);
    fuzz_require(loam_config_set_dtype(&again, text.data, text.size, LOAM_BF16, &error) == LOAM_OK);
    fuzz_require(loam_json_parse(&root, again.data, again.size, "config.json", &error) == LOAM_OK);
    fuzz_require(loam_config_parse(&changed, root, "config.json", &error) == LOAM_OK);
    fuzz_require(!changed.tied_head && changed.hidden == config->hidden && changed.layers == config->layers);
    const json_t *dtype = json_object_get(root, "dtype"), *older = json_object_get(root, "torch_dtype");
    fuzz_require(dtype != NULL || older != NULL);
    fuzz_require(dtype == NULL || strcmp(json_string_value(dtype), "bfloat16") == 0);
    fuzz_require(older == NULL || strcmp(json_string_value(older), "bfloat16") == 0);
    json_decref(root);
    loam_bytes_deinit(&again);
    loam_bytes_deinit(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct loam_error error;
    json_t *root;
    enum loam_status status = loam_json_parse(&root, (const char *)data, size, "config.json", &error);
    fuzz_require_message(status, &error);
    if (status != LOAM_OK) return 0;
    struct loam_config config;
    status = loam_config_parse(&config, root, "config.json", &error);
    fuzz_require_message(status, &error);
    json_decref(root);
    if (status != LOAM_OK) return 0;
    check_tables(&config);
    check_text(data, size, &config);
    if (config.layers <= LAYER_LIMIT) check_model(&config);
    return 0;
}
