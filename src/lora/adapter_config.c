#include "lora/adapter_config.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/decimal.h"
#include "base/file.h"
#include "base/heap.h"
#include "base/json.h"
#include "base/utf8.h"
#include "io/atomic.h"

static const char file_name[] = "adapter_config.json";

// How loam treats the keys of PEFT 0.21. KEY_OFF: any value but null, false, empty or `neutral` asks for
// mathematics that loam does not support.
enum key_use { KEY_READ, KEY_IGNORED, KEY_OFF };

struct key {
    const char *name;
    enum key_use use;
    const char *neutral; // KEY_OFF: a text that means "off"
    const char *what;    // KEY_OFF: the feature, for messages
};

static const struct key keys[] = {
    {"peft_type", KEY_READ, NULL, NULL},
    {"task_type", KEY_READ, NULL, NULL},
    {"base_model_name_or_path", KEY_READ, NULL, NULL},
    {"r", KEY_READ, NULL, NULL},
    {"lora_alpha", KEY_READ, NULL, NULL},
    {"lora_dropout", KEY_READ, NULL, NULL},
    {"target_modules", KEY_READ, NULL, NULL},
    {"init_lora_weights", KEY_READ, NULL, NULL},
    {"auto_mapping", KEY_IGNORED, NULL, NULL},
    {"inference_mode", KEY_IGNORED, NULL, NULL},
    {"megatron_core", KEY_IGNORED, NULL, NULL},
    {"peft_version", KEY_IGNORED, NULL, NULL},
    {"qalora_group_size", KEY_IGNORED, NULL, NULL},
    {"revision", KEY_READ, NULL, NULL},
    {"runtime_config", KEY_IGNORED, NULL, NULL},
    {"eva_config", KEY_IGNORED, NULL, NULL}, // an initialisation of A that leaves the base unchanged
    {"use_rslora", KEY_READ, NULL, NULL},
    {"use_dora", KEY_READ, NULL, NULL},
    {"rank_pattern", KEY_READ, NULL, NULL},
    {"alpha_pattern", KEY_READ, NULL, NULL},
    {"modules_to_save", KEY_OFF, NULL, "modules trained in full"},
    {"bias", KEY_OFF, "none", "trained biases"},
    {"lora_bias", KEY_OFF, NULL, "a bias on B"},
    {"fan_in_fan_out", KEY_OFF, NULL, "weights stored transposed"},
    {"layers_to_transform", KEY_OFF, NULL, "a choice of layers"},
    {"layers_pattern", KEY_OFF, NULL, "a choice of layers"},
    {"exclude_modules", KEY_OFF, NULL, "excluded modules"},
    {"layer_replication", KEY_OFF, NULL, "replicated layers"},
    {"trainable_token_indices", KEY_OFF, NULL, "trained token embeddings"},
    {"target_parameters", KEY_OFF, NULL, "adapted parameters outside linear modules"},
    {"ensure_weight_tying", KEY_OFF, NULL, "tied adapters"},
    {"alora_invocation_tokens", KEY_OFF, NULL, "activated LoRA (aLoRA)"},
    {"use_qalora", KEY_OFF, NULL, "quantisation-aware LoRA (QA-LoRA)"},
    {"use_bdlora", KEY_OFF, NULL, "block-diagonal LoRA (BD-LoRA)"},
    {"velora_config", KEY_OFF, NULL, "VeLoRA"},
    {"monteclora_config", KEY_OFF, NULL, "Monte Carlo LoRA"},
    {"arrow_config", KEY_OFF, NULL, "Arrow routing"},
    {"kasa_config", KEY_OFF, NULL, "singular-value adaptation (KaSA)"},
    {"megatron_config", KEY_OFF, NULL, "Megatron's parallel layers"},
    {"loftq_config", KEY_OFF, NULL, "LoftQ, which changes the base"},
    {"corda_config", KEY_OFF, NULL, "CorDA, which changes the base"},
    {"lora_ga_config", KEY_OFF, NULL, "LoRA-GA, which changes the base"},
};

static const struct key *find_key(const char *name)
{
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (strcmp(keys[i].name, name) == 0) return &keys[i];
    }
    return NULL;
}

// Returns whether the value is null, false, "", [] or {}.
static bool is_empty_value(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_NULL:
    case JSON_FALSE:
        return true;
    case JSON_STRING:
        return json_string_length(value) == 0;
    case JSON_ARRAY:
        return json_array_size(value) == 0;
    case JSON_OBJECT:
        return json_object_size(value) == 0;
    default:
        return false;
    }
}

// Fails on keys that ask for unsupported mathematics, and adds a notice about unknown keys.
static enum loam_status check_keys(struct loam_adapter_config *config, const json_t *root, const char *path,
                                   struct loam_error *error)
{
    struct loam_bytes unknown = {0};
    enum loam_status status = LOAM_OK;
    const char *name;
    const json_t *value;
    json_object_foreach((json_t *)root, name, value)
    {
        const struct key *key = find_key(name);
        if (status != LOAM_OK || is_empty_value(value) || (key != NULL && key->use != KEY_OFF)) continue;
        if (key == NULL) {
            status = loam_bytes_format(&unknown, error, "%s\"%s\"", unknown.size > 0 ? ", " : "", name);
            continue;
        }
        const char *text = json_string_value(value);
        if (key->neutral != NULL && text != NULL && strcmp(text, key->neutral) == 0) continue;
        status =
            loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                      "%s: \"%s\" asks for %s, which loam does not have yet: merge this one into its model "
                      "with PEFT",
                      path, name, key->what);
    }
    if (status == LOAM_OK && unknown.size > 0)
        status = loam_adapter_config_note(config, error, "%s: keys that loam does not know are ignored: %s",
                                          path, unknown.data);
    loam_bytes_deinit(&unknown);
    return status;
}

static enum loam_status check_types(const json_t *root, const char *path, struct loam_error *error)
{
    const char *type = NULL;
    LOAM_TRY(loam_json_get_string(root, path, "peft_type", &type, error));
    if (type == NULL) {
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: no \"peft_type\"; expected \"LORA\"", path);
    }
    if (strcmp(type, "LORA") != 0) {
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED, "%s: \"peft_type\" is \"%s\"; loam has \"LORA\" only",
                         path, type);
    }
    const char *task = "CAUSAL_LM";
    LOAM_TRY(loam_json_get_string(root, path, "task_type", &task, error));
    if (strcmp(task, "CAUSAL_LM") != 0) {
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                         "%s: \"task_type\" is \"%s\"; loam has \"CAUSAL_LM\" only", path, task);
    }
    return LOAM_OK;
}

bool loam_lora_dropout_valid(double dropout)
{
    return dropout >= 0 && (float)dropout < 1;
}

static enum loam_status read_numbers(struct loam_adapter_config *config, const json_t *root, const char *path,
                                     struct loam_error *error)
{
    int64_t rank = 8; // the defaults of PEFT's LoraConfig
    config->alpha = 8;
    LOAM_TRY(loam_json_get_int(root, path, "r", &rank, error));
    LOAM_TRY(loam_json_get_double(root, path, "lora_alpha", &config->alpha, error));
    LOAM_TRY(loam_json_get_double(root, path, "lora_dropout", &config->dropout, error));
    if (rank < 1 || rank > LOAM_LARGEST_RANK) {
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"r\" is %lld; expected 1 to %d", path,
                         (long long)rank, LOAM_LARGEST_RANK);
    }
    if (!(config->alpha > 0) || !isfinite(config->alpha)) {
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"lora_alpha\" is %g; expected a number above 0",
                         path, config->alpha);
    }
    if (!loam_lora_dropout_valid(config->dropout)) {
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: \"lora_dropout\" is %.9g; expected 0 or more and less than 1, in single "
                         "precision too",
                         path, config->dropout);
    }
    config->rank = (int)rank;
    LOAM_TRY(loam_json_get_bool(root, path, "use_rslora", &config->rslora, error));
    LOAM_TRY(loam_json_get_bool(root, path, "use_dora", &config->dora, error));
    LOAM_TRY(
        loam_module_values_read(&config->ranks, root, path, "rank_pattern", LOAM_LARGEST_RANK, true, error));
    return loam_module_values_read(&config->alphas, root, path, "alpha_pattern", DBL_MAX, false, error);
}

enum loam_status loam_adapter_config_module(const struct loam_adapter_config *config, const char *module,
                                            int *rank, double *scale, struct loam_error *error)
{
    double own_rank = config->rank;
    double alpha = config->alpha;
    LOAM_TRY(loam_module_values_find(&config->ranks, module, &own_rank, error));
    LOAM_TRY(loam_module_values_find(&config->alphas, module, &alpha, error));
    *rank = (int)own_rank;
    *scale = alpha / (config->rslora ? sqrt(own_rank) : own_rank);
    return LOAM_OK;
}

// Reads "init_lora_weights". true, false and the names in `harmless` leave the base unchanged; other names
// (pissa, olora, corda, loftq, lora_ga, ...) move part of it into A and B.
static enum loam_status read_init(struct loam_adapter_config *config, const json_t *root, const char *path,
                                  struct loam_error *error)
{
    static const char *const harmless[] = {"gaussian", "eva", "orthogonal"};
    config->init = LOAM_LORA_KAIMING;
    const json_t *value = json_object_get(root, "init_lora_weights");
    if (value == NULL || json_is_null(value) || json_is_boolean(value)) return LOAM_OK;
    const char *name = json_string_value(value);
    if (name == NULL) {
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"init_lora_weights\" must be true, false or a name",
                         path);
    }
    if (strcasecmp(name, harmless[0]) == 0) config->init = LOAM_LORA_GAUSSIAN;
    for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++) {
        if (strcasecmp(name, harmless[i]) == 0) return LOAM_OK;
    }
    return loam_fail(
        error, LOAM_ERROR_UNSUPPORTED,
        "%s: \"init_lora_weights\" is \"%s\", which may have changed the base; loam does not have it yet",
        path, name);
}

static enum loam_status read_target_list(struct loam_adapter_config *config, const json_t *list,
                                         const char *path, struct loam_error *error)
{
    size_t count = json_array_size(list);
    if (count == 0) return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"target_modules\" is empty", path);
    const char **names = loam_calloc(count, sizeof *names, error);
    if (names == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = LOAM_OK;
    for (size_t i = 0; i < count && status == LOAM_OK; i++) {
        names[i] = json_string_value(json_array_get(list, i));
        if (names[i] == NULL || names[i][0] == '\0') {
            status = loam_fail(error, LOAM_ERROR_FORMAT,
                               "%s: \"target_modules\" must be names; entry %zu is not", path, i);
        }
    }
    if (status == LOAM_OK) status = loam_targets_init_list(&config->targets, names, count, error);
    free(names);
    return status;
}

static enum loam_status read_targets(struct loam_adapter_config *config, const json_t *root, const char *path,
                                     struct loam_error *error)
{
    const json_t *value = json_object_get(root, "target_modules");
    if (json_is_array(value)) return read_target_list(config, value, path, error);
    const char *text = json_string_value(value);
    if (text == NULL) {
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: \"target_modules\" must be a list of names or a regular expression", path);
    }
    if (strcasecmp(text, "all-linear") == 0) return loam_targets_parse(&config->targets, text, error);
    enum loam_status status = loam_targets_init_pattern(&config->targets, text, error);
    if (status != LOAM_OK) (void)loam_fail_prefix(error, "%s", path);
    return status;
}

// Copies a string. If the file has none, `*copy` keeps its value.
static enum loam_status read_string(const json_t *root, const char *path, const char *key, char **copy,
                                    struct loam_error *error)
{
    const char *text = NULL;
    LOAM_TRY(loam_json_get_string(root, path, key, &text, error));
    if (text == NULL) return LOAM_OK;
    *copy = loam_strdup(text, error);
    return *copy != NULL ? LOAM_OK : LOAM_ERROR_MEMORY;
}

static enum loam_status read_config(struct loam_adapter_config *config, const json_t *root, const char *path,
                                    struct loam_error *error)
{
    LOAM_TRY(check_types(root, path, error));
    LOAM_TRY(check_keys(config, root, path, error));
    LOAM_TRY(read_numbers(config, root, path, error));
    LOAM_TRY(read_init(config, root, path, error));
    LOAM_TRY(read_targets(config, root, path, error));
    LOAM_TRY(read_string(root, path, "base_model_name_or_path", &config->base_model, error));
    return read_string(root, path, "revision", &config->revision, error);
}

enum loam_status loam_adapter_config_load(struct loam_adapter_config *config, const char *directory,
                                          struct loam_error *error)
{
    *config = (struct loam_adapter_config){0};
    char *path = loam_path_join(directory, file_name, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    json_t *root = NULL;
    enum loam_status status = loam_json_load(&root, path, error);
    if (status == LOAM_OK) status = read_config(config, root, path, error);
    if (status != LOAM_OK) loam_adapter_config_deinit(config);
    json_decref(root);
    free(path);
    return status;
}

void loam_adapter_config_deinit(struct loam_adapter_config *config)
{
    loam_targets_deinit(&config->targets);
    loam_module_values_deinit(&config->ranks);
    loam_module_values_deinit(&config->alphas);
    free(config->base_model);
    free(config->revision);
    free(config->notice);
    *config = (struct loam_adapter_config){0};
}

// ---- writing ----

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
    for (size_t i = 0; i < targets->count; i++) {
        LOAM_TRY(loam_bytes_append_text(text, i == 0 ? "[\n    " : ",\n    ", error));
        LOAM_TRY(append_string(text, targets->entries[i], error));
    }
    return loam_bytes_append_text(text, "\n  ]", error);
}

static enum loam_status append_values(struct loam_bytes *text, const char *name,
                                      const struct loam_module_values *values, struct loam_error *error)
{
    LOAM_TRY(loam_bytes_format(text, error, "  \"%s\": {", name));
    for (size_t i = 0; i < values->count; i++) {
        char number[LOAM_DECIMAL_SIZE];
        loam_decimal_format(values->items[i].value, number);
        LOAM_TRY(loam_bytes_append_text(text, i == 0 ? "\n    " : ",\n    ", error));
        LOAM_TRY(append_string(text, values->items[i].key, error));
        LOAM_TRY(loam_bytes_format(text, error, ": %s", number));
    }
    return loam_bytes_append_text(text, values->count > 0 ? "\n  },\n" : "},\n", error);
}

// Appends json.dumps(indent=2, sort_keys=True) of LoraConfig of PEFT 0.21.2. Keys that loam does not set have
// PEFT's defaults.
static enum loam_status append_config(struct loam_bytes *text, const struct loam_adapter_config *config,
                                      const char *base_model, const char *revision, struct loam_error *error)
{
    char alpha[LOAM_DECIMAL_SIZE];
    char dropout[LOAM_DECIMAL_SIZE];
    // PEFT declares alpha as an integer but computes with fractions too, so a fraction is written as it is.
    loam_decimal_format(config->alpha, alpha);
    format_dropout(config->dropout, dropout);
    LOAM_TRY(loam_bytes_append_text(text,
                                    "{\n"
                                    "  \"alora_invocation_tokens\": null,\n",
                                    error));
    LOAM_TRY(append_values(text, "alpha_pattern", &config->alphas, error));
    LOAM_TRY(loam_bytes_append_text(text,
                                    "  \"arrow_config\": null,\n"
                                    "  \"auto_mapping\": null,\n"
                                    "  \"base_model_name_or_path\": ",
                                    error));
    LOAM_TRY(append_string(text, base_model, error));
    LOAM_TRY(loam_bytes_format(text, error,
                               ",\n"
                               "  \"bias\": \"none\",\n"
                               "  \"corda_config\": null,\n"
                               "  \"ensure_weight_tying\": false,\n"
                               "  \"eva_config\": null,\n"
                               "  \"exclude_modules\": null,\n"
                               "  \"fan_in_fan_out\": false,\n"
                               "  \"inference_mode\": true,\n"
                               "  \"init_lora_weights\": %s,\n"
                               "  \"kasa_config\": null,\n"
                               "  \"layer_replication\": null,\n"
                               "  \"layers_pattern\": null,\n"
                               "  \"layers_to_transform\": null,\n"
                               "  \"loftq_config\": {},\n"
                               "  \"lora_alpha\": %s,\n"
                               "  \"lora_bias\": false,\n"
                               "  \"lora_dropout\": %s,\n"
                               "  \"lora_ga_config\": null,\n"
                               "  \"megatron_config\": null,\n"
                               "  \"megatron_core\": \"megatron.core\",\n"
                               "  \"modules_to_save\": null,\n"
                               "  \"monteclora_config\": null,\n"
                               "  \"peft_type\": \"LORA\",\n"
                               "  \"peft_version\": \"0.21.2\",\n"
                               "  \"qalora_group_size\": 16,\n"
                               "  \"r\": %d,\n",
                               config->init == LOAM_LORA_GAUSSIAN ? "\"gaussian\"" : "true", alpha, dropout,
                               config->rank));
    LOAM_TRY(append_values(text, "rank_pattern", &config->ranks, error));
    LOAM_TRY(loam_bytes_append_text(text, "  \"revision\": ", error));
    LOAM_TRY(revision == NULL ? loam_bytes_append_text(text, "null", error)
                              : append_string(text, revision, error));
    LOAM_TRY(loam_bytes_append_text(text, ",\n  \"target_modules\": ", error));
    LOAM_TRY(append_targets(text, &config->targets, error));
    return loam_bytes_format(text, error,
                             ",\n"
                             "  \"target_parameters\": null,\n"
                             "  \"task_type\": \"CAUSAL_LM\",\n"
                             "  \"trainable_token_indices\": null,\n"
                             "  \"use_bdlora\": null,\n"
                             "  \"use_dora\": %s,\n"
                             "  \"use_qalora\": false,\n"
                             "  \"use_rslora\": %s,\n"
                             "  \"velora_config\": null\n"
                             "}",
                             config->dora ? "true" : "false", config->rslora ? "true" : "false");
}

enum loam_status loam_adapter_config_save(const struct loam_adapter_config *config, const char *base_model,
                                          const char *revision, const char *directory,
                                          struct loam_error *error)
{
    char *path = loam_path_join(directory, file_name, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    struct loam_bytes text = {0};
    enum loam_status status = append_config(&text, config, base_model, revision, error);
    if (status == LOAM_OK) status = loam_atomic_write_file(path, text.data, text.size, error);
    loam_bytes_deinit(&text);
    free(path);
    return status;
}
