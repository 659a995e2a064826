// adapter_config.json as PEFT writes it.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "base/file.h"
#include "base/json.h"
#include "base/utf8.h"
#include "io/atomic.h"
#include "lora/adapter_config.h"

static const char file_name[] = "adapter_config.json";

// Appends a string as JSON in ASCII, as Python's json writes it.
static enum loam_status append_string(struct loam_bytes *text, const char *value, struct loam_error *error)
{
    if (loam_utf8_check(value, strlen(value)) != strlen(value))
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "%s: \"%s\" is not UTF-8 and cannot be written",
                         file_name, value);
    json_t *string = json_string(value);
    enum loam_status status = loam_json_append(text, string, JSON_ENCODE_ANY | JSON_ENSURE_ASCII, error);
    json_decref(string);
    return status;
}

// Formats a float as Python does: a whole number ends in ".0".
static void format_dropout(double value, char text[LOAM_DECIMAL_SIZE])
{
    loam_decimal_format(value, text);
    if (strpbrk(text, ".e") == NULL) memcpy(text + strlen(text), ".0", sizeof ".0");
}

static enum loam_status append_targets(struct loam_bytes *text, const struct loam_targets *targets,
                                       struct loam_error *error)
{
    if (targets->kind == LOAM_TARGET_PATTERN) return append_string(text, targets->pattern, error);
    if (targets->kind == LOAM_TARGET_ALL_LINEAR) return append_string(text, "all-linear", error);
    if (targets->count == 0) return loam_bytes_append_text(text, "null", error);
    for (size_t i = 0; i < targets->count; i++) {
        LOAM_TRY(loam_bytes_append_text(text, i == 0 ? "[\n    " : ",\n    ", error));
        LOAM_TRY(append_string(text, targets->entries[i], error));
    }
    return loam_bytes_append_text(text, "\n  ]", error);
}

// An object of numbers by key.
static enum loam_status append_values(struct loam_bytes *text, const struct loam_module_values *values,
                                      double factor, struct loam_error *error)
{
    LOAM_TRY(loam_bytes_append_text(text, "{", error));
    for (size_t i = 0; i < values->count; i++) {
        char number[LOAM_DECIMAL_SIZE];
        loam_decimal_format(factor * values->items[i].value, number);
        LOAM_TRY(loam_bytes_append_text(text, i == 0 ? "\n    " : ",\n    ", error));
        LOAM_TRY(append_string(text, values->items[i].key, error));
        LOAM_TRY(loam_bytes_format(text, error, ": %s", number));
    }
    return loam_bytes_append_text(text, values->count > 0 ? "\n  }" : "}", error);
}

// A value, or an array with one value a line. Consumes `value`.
static enum loam_status append_json(struct loam_bytes *text, json_t *value, struct loam_error *error)
{
    const size_t flags = JSON_ENCODE_ANY | JSON_ENSURE_ASCII, count = json_array_size(value);
    enum loam_status status = LOAM_OK;
    if (count == 0) status = loam_json_append(text, value, flags, error);
    for (size_t i = 0; i < count && status == LOAM_OK; i++) {
        status = loam_bytes_append_text(text, i == 0 ? "[\n    " : ",\n    ", error);
        if (status == LOAM_OK) status = loam_json_append(text, json_array_get(value, i), flags, error);
    }
    json_decref(value);
    if (status != LOAM_OK || count == 0) return status;
    return loam_bytes_append_text(text, "\n  ]", error);
}

// ---- the keys ----

// What is written.
struct written {
    const struct loam_adapter_config *config;
    const char *base_model;
    const char *revision; // NULL: none
    // Of an adapter with taken updates, ranks are doubled; the factor of alpha keeps each scale.
    int rank_factor;
    double alpha_factor;
};

static enum loam_status append_alphas(struct loam_bytes *text, const struct written *written,
                                      struct loam_error *error)
{
    return append_values(text, &written->config->alphas, written->alpha_factor, error);
}

static enum loam_status append_base(struct loam_bytes *text, const struct written *written,
                                    struct loam_error *error)
{
    if (written->base_model == NULL) return loam_bytes_append_text(text, "null", error);
    return append_string(text, written->base_model, error);
}

static enum loam_status append_excluded(struct loam_bytes *text, const struct written *written,
                                        struct loam_error *error)
{
    return append_targets(text, &written->config->excluded, error);
}

static enum loam_status append_init(struct loam_bytes *text, const struct written *written,
                                    struct loam_error *error)
{
    const char *name = loam_lora_init_written(&written->config->init);
    const bool is_bool = strcmp(name, "true") == 0 || strcmp(name, "false") == 0;
    return loam_bytes_format(text, error, is_bool ? "%s" : "\"%s\"", name);
}

static enum loam_status append_bias(struct loam_bytes *text, const struct written *written,
                                    struct loam_error *error)
{
    return append_string(text, loam_lora_bias_name(written->config->bias), error);
}

static enum loam_status append_saved(struct loam_bytes *text, const struct written *written,
                                     struct loam_error *error)
{
    return append_targets(text, &written->config->saved, error);
}

static enum loam_status append_tying(struct loam_bytes *text, const struct written *written,
                                     struct loam_error *error)
{
    return loam_bytes_append_text(text, written->config->ensure_weight_tying ? "true" : "false", error);
}

static enum loam_status append_layer_names(struct loam_bytes *text, const struct written *written,
                                           struct loam_error *error)
{
    return append_json(text, loam_layer_choice_names_json(&written->config->layers), error);
}

static enum loam_status append_layers(struct loam_bytes *text, const struct written *written,
                                      struct loam_error *error)
{
    return append_json(text, loam_layer_choice_layers_json(&written->config->layers), error);
}

// PEFT declares alpha as an integer but computes with fractions too, so a fraction is written as it is.
static enum loam_status append_alpha(struct loam_bytes *text, const struct written *written,
                                     struct loam_error *error)
{
    char number[LOAM_DECIMAL_SIZE];
    loam_decimal_format(written->alpha_factor * written->config->alpha, number);
    return loam_bytes_append_text(text, number, error);
}

static enum loam_status append_dropout(struct loam_bytes *text, const struct written *written,
                                       struct loam_error *error)
{
    char number[LOAM_DECIMAL_SIZE];
    format_dropout(written->config->dropout, number);
    return loam_bytes_append_text(text, number, error);
}

static enum loam_status append_rank(struct loam_bytes *text, const struct written *written,
                                    struct loam_error *error)
{
    return loam_bytes_format(text, error, "%d", written->rank_factor * written->config->rank);
}

static enum loam_status append_ranks(struct loam_bytes *text, const struct written *written,
                                     struct loam_error *error)
{
    return append_values(text, &written->config->ranks, written->rank_factor, error);
}

static enum loam_status append_revision(struct loam_bytes *text, const struct written *written,
                                        struct loam_error *error)
{
    if (written->revision == NULL) return loam_bytes_append_text(text, "null", error);
    return append_string(text, written->revision, error);
}

static enum loam_status append_target_modules(struct loam_bytes *text, const struct written *written,
                                              struct loam_error *error)
{
    return append_targets(text, &written->config->targets, error);
}

static enum loam_status append_rslora(struct loam_bytes *text, const struct written *written,
                                      struct loam_error *error)
{
    return loam_bytes_append_text(text, written->config->rslora ? "true" : "false", error);
}

static enum loam_status append_dora(struct loam_bytes *text, const struct written *written,
                                    struct loam_error *error)
{
    return loam_bytes_append_text(text, written->config->dora ? "true" : "false", error);
}

static enum loam_status append_lora_bias(struct loam_bytes *text, const struct written *written,
                                         struct loam_error *error)
{
    return loam_bytes_append_text(text, written->config->lora_bias ? "true" : "false", error);
}

// Lists and objects as json.dumps(indent=2) writes them within an object.
static enum loam_status append_tokens(struct loam_bytes *text, const struct written *written,
                                      struct loam_error *error)
{
    struct loam_bytes lines = {0};
    json_t *value = loam_token_choice_json(&written->config->trained_tokens);
    enum loam_status status = loam_json_append(
        &lines, value, JSON_ENCODE_ANY | JSON_ENSURE_ASCII | JSON_INDENT(2) | JSON_SORT_KEYS, error);
    json_decref(value);
    for (size_t at = 0; at < lines.size && status == LOAM_OK;) {
        const char *end = memchr(lines.data + at, '\n', lines.size - at);
        const size_t size = end == NULL ? lines.size - at : (size_t)(end - lines.data) - at;
        status = loam_bytes_append(text, lines.data + at, size, error);
        if (end != NULL && status == LOAM_OK) status = loam_bytes_append_text(text, "\n  ", error);
        at += size + 1;
    }
    loam_bytes_deinit(&lines);
    return status;
}

static enum loam_status append_transposed(struct loam_bytes *text, const struct written *written,
                                          struct loam_error *error)
{
    return loam_bytes_append_text(text, written->config->fan_in_fan_out ? "true" : "false", error);
}

// The keys of LoraConfig of PEFT 0.21.2, sorted.
static const struct {
    const char *name;
    const char *fixed; // PEFT's default of a key that loam does not set
    enum loam_status (*append)(struct loam_bytes *text, const struct written *written,
                               struct loam_error *error);
} keys[] = {
    {"alora_invocation_tokens", "null", NULL},
    {"alpha_pattern", NULL, append_alphas},
    {"arrow_config", "null", NULL},
    {"auto_mapping", "null", NULL},
    {"base_model_name_or_path", NULL, append_base},
    {"bias", NULL, append_bias},
    {"corda_config", "null", NULL},
    {"ensure_weight_tying", NULL, append_tying},
    {"eva_config", "null", NULL},
    {"exclude_modules", NULL, append_excluded},
    {"fan_in_fan_out", NULL, append_transposed},
    {"inference_mode", "true", NULL},
    {"init_lora_weights", NULL, append_init},
    {"kasa_config", "null", NULL},
    {"layer_replication", "null", NULL},
    {"layers_pattern", NULL, append_layer_names},
    {"layers_to_transform", NULL, append_layers},
    {"loftq_config", "{}", NULL},
    {"lora_alpha", NULL, append_alpha},
    {"lora_bias", NULL, append_lora_bias},
    {"lora_dropout", NULL, append_dropout},
    {"lora_ga_config", "null", NULL},
    {"megatron_config", "null", NULL},
    {"megatron_core", "\"megatron.core\"", NULL},
    {"modules_to_save", NULL, append_saved},
    {"monteclora_config", "null", NULL},
    {"peft_type", "\"LORA\"", NULL},
    {"peft_version", "\"0.21.2\"", NULL},
    {"qalora_group_size", "16", NULL},
    {"r", NULL, append_rank},
    {"rank_pattern", NULL, append_ranks},
    {"revision", NULL, append_revision},
    {"target_modules", NULL, append_target_modules},
    {"target_parameters", "null", NULL},
    {"task_type", "\"CAUSAL_LM\"", NULL},
    {"trainable_token_indices", NULL, append_tokens},
    {"use_bdlora", "null", NULL},
    {"use_dora", NULL, append_dora},
    {"use_qalora", "false", NULL},
    {"use_rslora", NULL, append_rslora},
    {"velora_config", "null", NULL},
};

// Appends json.dumps(indent=2, sort_keys=True) of the config.
static enum loam_status append_config(struct loam_bytes *text, const struct written *written,
                                      struct loam_error *error)
{
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        LOAM_TRY(loam_bytes_format(text, error, "%s  \"%s\": ", i == 0 ? "{\n" : ",\n", keys[i].name));
        LOAM_TRY(keys[i].append != NULL ? keys[i].append(text, written, error)
                                        : loam_bytes_append_text(text, keys[i].fixed, error));
    }
    return loam_bytes_append_text(text, "\n}", error);
}

enum loam_status loam_adapter_config_save(const struct loam_adapter_config *config, const char *base_model,
                                          const char *revision, const char *directory,
                                          struct loam_error *error)
{
    char *path = loam_path_join(directory, file_name, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    const bool takes = loam_lora_init_takes(&config->init);
    const struct written written = {config, base_model, revision, takes ? 2 : 1,
                                    !takes           ? 1
                                    : config->rslora ? sqrt(2)
                                                     : 2};
    struct loam_bytes text = {0};
    enum loam_status status = append_config(&text, &written, error);
    if (status == LOAM_OK) status = loam_atomic_write_file(path, text.data, text.size, error);
    loam_bytes_deinit(&text);
    free(path);
    return status;
}
