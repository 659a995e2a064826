// Shows a model directory: the module tree, the stored tensors, and the number of parameters that LoRA
// trains.
#include <stdlib.h>
#include <string.h>

#include "commands/inspect.h"
#include "commands/output.h"
#include "io/container.h"
#include "lora/lora.h"
#include "model/multimodal.h"
#include "model/tree.h"

struct inspection {
    const struct loam_settings *settings;
    struct loam_model *model;
    struct loam_container *file;  // NULL: the directory has no weights
    struct loam_adapter *adapter; // NULL: no LoRA options were given
    int64_t parameters;
    int64_t trainable;
};

static enum loam_status open_weights(struct inspection *inspection, struct loam_error *error)
{
    bool there = false;
    LOAM_TRY(loam_container_in_directory(inspection->settings->path, &there, error));
    if (!there) return LOAM_OK;
    return loam_container_open_directory(&inspection->file, inspection->settings->path, error);
}

static enum loam_status open_all(struct inspection *inspection, const struct loam_log *log,
                                 struct loam_error *error)
{
    struct loam_config config;
    LOAM_TRY(loam_config_load(&config, inspection->settings->path, error));
    loam_config_log(&config, log);
    LOAM_TRY(loam_model_create(&inspection->model, &config, error));
    LOAM_TRY(open_weights(inspection, error));
    if (inspection->file != NULL)
        LOAM_TRY(loam_model_settle_head(inspection->model, inspection->file, log, error));
    inspection->parameters = loam_model_parameter_total(inspection->model);
    if (!inspection->settings->with_lora) return LOAM_OK;
    LOAM_TRY(loam_adapter_create(&inspection->adapter, inspection->model, &inspection->settings->train.lora,
                                 NULL, error));
    loam_adapter_warn(inspection->adapter, log);
    inspection->trainable = loam_adapter_parameters(inspection->adapter);
    return LOAM_OK;
}

static double percent(const struct inspection *inspection)
{
    return 100.0 * (double)inspection->trainable / (double)(inspection->parameters + inspection->trainable);
}

// ---- Text ----

// Formats "stored:     293 tensors, 3,444,817,920 bytes of f16", with bytes for each format.
static enum loam_status format_weights(struct loam_bytes *text, const struct loam_container *file,
                                       struct loam_error *error)
{
    size_t bytes[LOAM_FORMAT_COUNT] = {0}, count = loam_container_count(file);
    for (size_t i = 0; i < count; i++) {
        const struct loam_stored_tensor *tensor = loam_container_at(file, i);
        bytes[tensor->format] += tensor->bytes;
    }
    char number[LOAM_GROUPED_SIZE];
    LOAM_TRY(loam_bytes_format(text, error, "stored:     %zu tensors", count));
    for (int format = 0; format < LOAM_FORMAT_COUNT; format++)
        if (bytes[format] > 0)
            LOAM_TRY(loam_bytes_format(text, error, ", %s bytes of %s",
                                       loam_grouped((int64_t)bytes[format], number),
                                       loam_format_name((enum loam_format)format)));
    return loam_bytes_append_text(text, "\n", error);
}

static enum loam_status format_lora(struct loam_bytes *text, const struct inspection *inspection,
                                    struct loam_error *error)
{
    char trainable[LOAM_GROUPED_SIZE], all[LOAM_GROUPED_SIZE];
    char *targets = loam_adapter_targets(inspection->adapter, error);
    if (targets == NULL) return error->status;
    enum loam_status status = loam_bytes_format(
        text, error, "LoRA:       rank %d on %s\ntrainable:  %s of %s = %.2f %%\n",
        inspection->settings->train.lora.rank, targets, loam_grouped(inspection->trainable, trainable),
        loam_grouped(inspection->parameters + inspection->trainable, all), percent(inspection));
    free(targets);
    return status;
}

static enum loam_status format_text(struct loam_bytes *text, const struct inspection *inspection,
                                    struct loam_error *error)
{
    char number[LOAM_GROUPED_SIZE];
    const struct loam_config *config = &inspection->model->config;
    LOAM_TRY(loam_model_tree(config, text, error));
    LOAM_TRY(loam_bytes_append_text(text, "\n", error));
    LOAM_TRY(loam_bytes_format(text, error, "family:     %s%s%s%s\n", config->family->model_type,
                               config->multimodal == NULL ? "" : ", the text part of a ",
                               config->multimodal == NULL ? "" : config->multimodal->model_type,
                               config->multimodal == NULL ? "" : " model"));
    LOAM_TRY(loam_inspect_traits(text, config->family, config, "", error));
    if (inspection->file != NULL)
        LOAM_TRY(format_weights(text, inspection->file, error));
    else
        LOAM_TRY(loam_bytes_append_text(text, "stored:     no weights, only a config\n", error));
    LOAM_TRY(
        loam_bytes_format(text, error, "parameters: %s\n", loam_grouped(inspection->parameters, number)));
    return inspection->adapter == NULL ? LOAM_OK : format_lora(text, inspection, error);
}

// ---- JSON ----

static json_t *shape_json(const int64_t *shape, int rank)
{
    json_t *array = json_array();
    for (int i = 0; i < rank; i++)
        loam_json_push(&array, json_integer(shape[i]));
    return array;
}

// The stored tensors; without weights, the tensors that the config describes.
static json_t *tensors_json(const struct inspection *inspection)
{
    json_t *array = json_array();
    size_t count = inspection->file == NULL ? 0 : loam_container_count(inspection->file);
    for (size_t i = 0; i < count; i++) {
        const struct loam_stored_tensor *tensor = loam_container_at(inspection->file, i);
        loam_json_push(&array,
                       json_pack("{s:s, s:o, s:s, s:I}", "name", tensor->name, "shape",
                                 shape_json(tensor->shape, tensor->rank), "dtype",
                                 loam_format_name(tensor->format), "bytes", (json_int_t)tensor->bytes));
    }
    const struct loam_model *model = inspection->model;
    for (size_t i = 0; inspection->file == NULL && i < model->parameter_count; i++) {
        const struct loam_parameter *parameter = &model->parameters[i];
        loam_json_push(&array, json_pack("{s:s, s:o}", "name", parameter->name, "shape",
                                         shape_json(parameter->value.shape, parameter->value.rank)));
    }
    return array;
}

static enum loam_status report_json(const struct inspection *inspection,
                                    const struct loam_callbacks *callbacks, struct loam_error *error)
{
    const struct loam_config *config = &inspection->model->config;
    json_t *root =
        json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:b, s:I, s:o}", "kind", "model", "model_type",
                  config->family->model_type, "hidden_size", (json_int_t)config->hidden, "layers",
                  (json_int_t)config->layers, "heads", (json_int_t)config->heads, "key_value_heads",
                  (json_int_t)config->kv_heads, "vocab_size", (json_int_t)config->vocabulary,
                  "tie_word_embeddings", config->tied_head, "parameters", (json_int_t)inspection->parameters,
                  "tensors", tensors_json(inspection));
    json_t *made_of = json_object();
    const enum loam_status status = loam_inspect_traits_json(&made_of, config->family, config, error);
    loam_json_put(&root, "made_of", made_of);
    loam_json_put(&root, "family", json_integer((json_int_t)loam_family_index(config->family)));
    if (status != LOAM_OK) {
        json_decref(root);
        return status;
    }
    if (root != NULL && inspection->adapter != NULL) {
        char *targets = loam_adapter_targets(inspection->adapter, error);
        if (targets == NULL) {
            json_decref(root);
            return error->status;
        }
        loam_json_put(&root, "lora",
                      json_pack("{s:i, s:s, s:I, s:I, s:f}", "r", inspection->settings->train.lora.rank,
                                "target_modules", targets, "trainable_parameters",
                                (json_int_t)inspection->trainable, "all_parameters",
                                (json_int_t)(inspection->parameters + inspection->trainable),
                                "trainable_percent", percent(inspection)));
        free(targets);
    }
    return loam_output_json(callbacks, root, JSON_INDENT(2), error);
}

// ---- The report ----

static enum loam_status report(const struct inspection *inspection, const struct loam_callbacks *callbacks,
                               struct loam_error *error)
{
    if (inspection->settings->json) return report_json(inspection, callbacks, error);
    struct loam_bytes text = {0};
    enum loam_status status = format_text(&text, inspection, error);
    if (status == LOAM_OK) status = loam_output_bytes(callbacks, text.data, text.size, error);
    loam_bytes_deinit(&text);
    return status;
}

enum loam_status loam_inspect_model(const struct loam_settings *settings,
                                    const struct loam_callbacks *callbacks, struct loam_error *error)
{
    struct inspection inspection = {.settings = settings};
    enum loam_status status = open_all(&inspection, &callbacks->log, error);
    if (status == LOAM_OK) status = report(&inspection, callbacks, error);
    loam_adapter_destroy(inspection.adapter);
    loam_container_destroy(inspection.file);
    loam_model_destroy(inspection.model);
    return status;
}
