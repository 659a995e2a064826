// An adapter directory, opened on a tiny model. The input is adapter_config.json, a 0xFF byte and
// adapter_model.safetensors. Without the second part, the weights of a valid adapter of rank 2 are used.
#include <stdlib.h>
#include <unistd.h>

#include "base/json.h"
#include "fuzz.h"
#include "io/safetensors.h"
#include "lora/adapter_stored.h"

static const char config_text[] = "{\"model_type\": \"bloom\", \"vocab_size\": 8, \"hidden_size\": 4, "
                                  "\"n_layer\": 1, \"n_head\": 2}";
static const char weights_name[] = "adapter_model.safetensors";

static struct loam_device *device;
static struct loam_model *model;

static void destroy_model(void)
{
    loam_model_destroy(model);
    loam_device_destroy(device);
}

static void make_model(void)
{
    struct loam_error error;
    struct loam_config config;
    json_t *root;
    const struct loam_load_options options = {.dtype = LOAM_F32};
    size_t size = sizeof config_text - 1;
    fuzz_require(loam_json_parse(&root, config_text, size, "config.json", &error) == LOAM_OK);
    fuzz_require(loam_config_parse(&config, root, "config.json", &error) == LOAM_OK);
    json_decref(root);
    (void)fuzz_write("model.safetensors", "", 0);
    fuzz_require(loam_model_create(&model, &config, &error) == LOAM_OK);
    fuzz_require(loam_model_init_checkpoint(model, 1, LOAM_F32, fuzz_directory(), NULL, &error) == LOAM_OK);
    fuzz_require(loam_device_create(&device, "ref", 1, &error) == LOAM_OK);
    fuzz_require(loam_model_load(model, fuzz_directory(), device, &options, &error) == LOAM_OK);
    fuzz_require(atexit(destroy_model) == 0);
}

// Rank 2 on query_key_value: A [2, 4], B [12, 2], all zero.
static void write_good_weights(void)
{
    static const float zeros[24];
    static const struct loam_write_tensor tensors[] = {
        {"base_model.model.transformer.h.0.self_attention.query_key_value.lora_A.weight",
         LOAM_F32,
         2,
         {2, 4},
         zeros},
        {"base_model.model.transformer.h.0.self_attention.query_key_value.lora_B.weight",
         LOAM_F32,
         2,
         {12, 2},
         zeros},
    };
    struct loam_error error;
    const char *path = fuzz_write(weights_name, "", 0);
    fuzz_require(unlink(path) == 0);
    fuzz_require(loam_safetensors_write(path, tensors, 2, &error) == LOAM_OK);
}

static bool check_alone(void)
{
    struct loam_error error;
    struct loam_adapter_config config;
    struct loam_stored_adapter stored;
    if (loam_adapter_config_load(&config, fuzz_directory(), &error) != LOAM_OK) return false;
    enum loam_status status = loam_stored_adapter_open(&stored, fuzz_directory(), &error);
    if (status == LOAM_OK) {
        status = loam_stored_adapter_check(&stored, &config, &error);
        loam_stored_adapter_close(&stored);
    }
    loam_adapter_config_deinit(&config);
    return status == LOAM_OK;
}

static void open_adapter(void)
{
    struct loam_error error;
    struct loam_adapter *adapter;
    enum loam_status status = loam_adapter_open(&adapter, model, fuzz_directory(), NULL, &error);
    fuzz_require_message(status, &error);
    if (status == LOAM_OK) {
        fuzz_require(loam_adapter_parameters(adapter) > 0);
        char *targets = loam_adapter_targets(adapter, &error);
        fuzz_require(targets != NULL);
        free(targets);
        loam_adapter_destroy(adapter);
    }
    // An adapter that the model accepts must pass the check without a model.
    bool alone = check_alone();
    fuzz_require(status != LOAM_OK || alone);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (model == NULL) make_model();
    struct fuzz_part rest = {data, size};
    struct fuzz_part config = fuzz_next_part(&rest, 0);
    (void)fuzz_write("adapter_config.json", config.data, config.size);
    if (rest.size > 0)
        (void)fuzz_write(weights_name, rest.data, rest.size);
    else
        write_good_weights();
    open_adapter();
    return 0;
}
