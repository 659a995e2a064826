#include "lora/adapter_config.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/heap.h"
#include "base/json.h"

static const char file_name[] = "adapter_config.json";

// How loam treats a key of PEFT 0.21.
enum key_use {
    KEY_READ,    // by `read`, or into the bool at `flag`
    KEY_IGNORED, // has no effect
    KEY_NOTED,   // does not change what a trained adapter computes; a value is passed over with a notice
    KEY_OFF,     // any value but null, false or empty asks for mathematics that loam does not support
};

// Reads a key, which may be absent or null.
typedef enum loam_status read_key(struct loam_adapter_config *config, const json_t *root, const char *path,
                                  struct loam_error *error);

struct key {
    const char *name;
    enum key_use use;
    const char *what; // KEY_OFF: the feature, for messages
    read_key *read;
    size_t flag; // offset in struct loam_adapter_config, where `read` is NULL
};

static read_key read_alpha, read_alphas, read_base, read_bias, read_dropout, read_excluded, read_init,
    read_layers, read_rank, read_ranks, read_revision, read_saved, read_targets, read_tokens;

#define READ(key, function)                                                                                  \
    {                                                                                                        \
        .name = key, .use = KEY_READ, .read = function                                                       \
    }
#define FLAG(key, field)                                                                                     \
    {                                                                                                        \
        .name = key, .use = KEY_READ, .flag = offsetof(struct loam_adapter_config, field)                    \
    }
#define IGNORED(key)                                                                                         \
    {                                                                                                        \
        .name = key, .use = KEY_IGNORED                                                                      \
    }
#define NOTED(key)                                                                                           \
    {                                                                                                        \
        .name = key, .use = KEY_NOTED                                                                        \
    }
#define OFF(key, feature)                                                                                    \
    {                                                                                                        \
        .name = key, .use = KEY_OFF, .what = feature                                                         \
    }

// In the order of reading: initial values come after use_dora.
static const struct key keys[] = {
    IGNORED("peft_type"), // read first
    IGNORED("task_type"),
    READ("r", read_rank),
    READ("lora_alpha", read_alpha),
    READ("lora_dropout", read_dropout),
    FLAG("use_rslora", rslora),
    FLAG("use_dora", dora),
    FLAG("lora_bias", lora_bias),
    READ("rank_pattern", read_ranks),
    READ("alpha_pattern", read_alphas),
    READ("init_lora_weights", read_init),
    READ("target_modules", read_targets),
    READ("exclude_modules", read_excluded),
    READ("modules_to_save", read_saved),
    READ("bias", read_bias),
    FLAG("ensure_weight_tying", ensure_weight_tying),
    READ("layers_to_transform", read_layers),
    IGNORED("layers_pattern"), // read with layers_to_transform
    READ("trainable_token_indices", read_tokens),
    READ("base_model_name_or_path", read_base),
    READ("revision", read_revision),
    IGNORED("auto_mapping"),
    IGNORED("fan_in_fan_out"), // follows from the model
    IGNORED("inference_mode"),
    IGNORED("megatron_core"),
    IGNORED("peft_version"),
    IGNORED("qalora_group_size"),
    IGNORED("runtime_config"),
    NOTED("corda_config"),
    NOTED("eva_config"),
    NOTED("loftq_config"),
    NOTED("lora_ga_config"),
    NOTED("megatron_config"),
    OFF("alora_invocation_tokens", "activated LoRA (aLoRA)"),
    OFF("arrow_config", "Arrow routing"),
    OFF("kasa_config", "singular-value adaptation (KaSA)"),
    OFF("layer_replication", "replicated layers"),
    OFF("monteclora_config", "Monte Carlo LoRA"),
    OFF("target_parameters", "adapted parameters outside linear modules"),
    OFF("use_bdlora", "block-diagonal LoRA (BD-LoRA)"),
    OFF("use_qalora", "quantisation-aware LoRA (QA-LoRA)"),
    OFF("velora_config", "VeLoRA"),
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
        const bool plain = key != NULL && (key->use == KEY_READ || key->use == KEY_IGNORED);
        if (status != LOAM_OK || is_empty_value(value) || plain) continue;
        if (key != NULL && key->use == KEY_NOTED) {
            status = loam_adapter_config_note(
                config, error, "%s: \"%s\" is passed over: it does not change what the adapter computes",
                path, name);
            continue;
        }
        if (key == NULL) {
            status = loam_bytes_format(&unknown, error, "%s\"%s\"", unknown.size > 0 ? ", " : "", name);
            continue;
        }
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

static enum loam_status read_rank(struct loam_adapter_config *config, const json_t *root, const char *path,
                                  struct loam_error *error)
{
    int64_t rank = 8; // PEFT's default
    LOAM_TRY(loam_json_get_int(root, path, "r", &rank, error));
    if (rank < 1 || rank > LOAM_LARGEST_RANK) {
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"r\" is %lld; expected 1 to %d", path,
                         (long long)rank, LOAM_LARGEST_RANK);
    }
    config->rank = (int)rank;
    return LOAM_OK;
}

static enum loam_status read_alpha(struct loam_adapter_config *config, const json_t *root, const char *path,
                                   struct loam_error *error)
{
    config->alpha = 8; // PEFT's default
    LOAM_TRY(loam_json_get_double(root, path, "lora_alpha", &config->alpha, error));
    if (config->alpha > 0 && isfinite(config->alpha)) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"lora_alpha\" is %g; expected a number above 0", path,
                     config->alpha);
}

static enum loam_status read_dropout(struct loam_adapter_config *config, const json_t *root, const char *path,
                                     struct loam_error *error)
{
    LOAM_TRY(loam_json_get_double(root, path, "lora_dropout", &config->dropout, error));
    if (loam_lora_dropout_valid(config->dropout)) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_FORMAT,
                     "%s: \"lora_dropout\" is %.9g; expected 0 or more and less than 1, in single "
                     "precision too",
                     path, config->dropout);
}

static enum loam_status read_ranks(struct loam_adapter_config *config, const json_t *root, const char *path,
                                   struct loam_error *error)
{
    return loam_module_values_read(&config->ranks, root, path, "rank_pattern", LOAM_LARGEST_RANK, true,
                                   error);
}

static enum loam_status read_alphas(struct loam_adapter_config *config, const json_t *root, const char *path,
                                    struct loam_error *error)
{
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

enum loam_status loam_adapter_config_check_layers(const struct loam_adapter_config *config,
                                                  struct loam_error *error)
{
    if (config->layers.count == 0 || config->targets.kind != LOAM_TARGET_PATTERN) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_ARGUMENT,
                     "layers_to_transform with a regular expression for target_modules: expected a list of "
                     "names; or put the layers into the expression");
}

bool loam_saved_entry_matches(const char *entry, const char *parameter)
{
    // Paths as PEFT has them. Each dot of the parameter's name ends a module that holds it.
    static const char root[] = "base_model.model.";
    const size_t size = strlen(entry), before = sizeof root - 1;
    for (const char *dot = parameter; (dot = strchr(dot, '.')) != NULL; dot++) {
        const size_t length = (size_t)(dot - parameter), inner = size < length ? size : length;
        if (size > length + before || memcmp(dot - inner, entry + size - inner, inner) != 0) continue;
        if (memcmp(root + before - (size - inner), entry, size - inner) == 0) return true;
    }
    return false;
}

bool loam_adapter_config_saves(const struct loam_adapter_config *config, const char *parameter)
{
    for (size_t i = 0; i < config->saved.count; i++)
        if (loam_saved_entry_matches(config->saved.entries[i], parameter)) return true;
    return false;
}

// Returns whether whole components of the path are an entry of modules_to_save: PEFT does not adapt such modules.
static bool is_within_saved(const struct loam_adapter_config *config, const char *module)
{
    for (size_t i = 0; i < config->saved.count; i++) {
        const char *entry = config->saved.entries[i];
        const size_t size = strlen(entry);
        for (const char *at = module; (at = strstr(at, entry)) != NULL; at++)
            if ((at == module || at[-1] == '.') && (at[size] == '.' || at[size] == '\0')) return true;
    }
    return false;
}

enum loam_status loam_adapter_config_adapts(const struct loam_adapter_config *config, const char *module,
                                            bool *adapts, struct loam_error *error)
{
    bool matches = false;
    LOAM_TRY(loam_targets_match(&config->excluded, module, &matches, error));
    *adapts = false;
    if (matches || is_within_saved(config, module)) return LOAM_OK;
    LOAM_TRY(loam_targets_match(&config->targets, module, adapts, error));
    // PEFT takes a whole path whatever its layer.
    if (!*adapts || loam_targets_have_path(&config->targets, module)) return LOAM_OK;
    return loam_layer_choice_has(&config->layers, module, adapts, error);
}

// Reads "init_lora_weights". Initialisations that loam has are read. Those that leave the base unchanged do
// not matter for a trained adapter. The others (corda, loftq, lora_ga, ...) move a part of the base into A and B
// that only PEFT can compute again.
static enum loam_status read_init_name(struct loam_adapter_config *config, const json_t *root,
                                       const char *path, struct loam_error *error)
{
    static const char *const harmless[] = {"eva", "mica"};
    config->init = (struct loam_lora_init_choice){.kind = LOAM_LORA_KAIMING};
    const json_t *value = json_object_get(root, "init_lora_weights");
    if (json_is_false(value)) config->init.kind = LOAM_LORA_RANDOM;
    if (value == NULL || json_is_null(value) || json_is_boolean(value)) return LOAM_OK;
    const char *name = json_string_value(value);
    if (name == NULL) {
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"init_lora_weights\" must be true, false or a name",
                         path);
    }
    for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++)
        if (strcasecmp(name, harmless[i]) == 0) return LOAM_OK;
    if (loam_lora_init_parse(&config->init, name, error) == LOAM_OK) return LOAM_OK;
    return loam_fail(
        error, LOAM_ERROR_UNSUPPORTED,
        "%s: \"init_lora_weights\" is \"%s\", which may have changed the base; loam does not have it yet",
        path, name);
}

static enum loam_status read_init(struct loam_adapter_config *config, const json_t *root, const char *path,
                                  struct loam_error *error)
{
    LOAM_TRY(read_init_name(config, root, path, error));
    if (loam_adapter_config_check_init(config, error) == LOAM_OK) return LOAM_OK;
    return loam_fail_prefix(error, "%s", path);
}

// PEFT computes the norms of DoRA from the base without the part that was taken, and starts a bias of B with two
// initialisations alone.
enum loam_status loam_adapter_config_check_init(const struct loam_adapter_config *config,
                                                struct loam_error *error)
{
    const enum loam_lora_init kind = config->init.kind;
    if (config->lora_bias && config->dora)
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                         "lora_bias with DoRA (use_dora), which PEFT does not have: choose one of both");
    if (config->lora_bias && kind != LOAM_LORA_KAIMING && kind != LOAM_LORA_RANDOM)
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "lora_bias with initial weights \"%s\": PEFT has it with true and false alone "
                         "(init_lora_weights)",
                         loam_lora_init_written(&config->init));
    if (!config->dora || !loam_lora_init_takes(&config->init)) return LOAM_OK;
    return loam_fail(
        error, LOAM_ERROR_UNSUPPORTED,
        "DoRA (use_dora) with initial weights that change the base (pissa, olora), which loam does "
        "not have: choose one of both");
}

enum loam_status loam_adapter_config_check_separate(const struct loam_adapter_config *config,
                                                    const char *directory, struct loam_error *error)
{
    if (!loam_lora_init_takes(&config->init)) return LOAM_OK;
    return loam_fail(
        error, LOAM_ERROR_UNSUPPORTED,
        "%s: \"init_lora_weights\" of adapter_config.json changes the base when the adapter is "
        "loaded: save it with path_initial_model_for_weight_conversion in PEFT, which makes it an "
        "adapter for the original base",
        directory);
}

static enum loam_status read_module_list(struct loam_targets *targets, const json_t *list, const char *path,
                                         const char *key, struct loam_error *error)
{
    size_t count = json_array_size(list);
    const char **names = loam_calloc(count, sizeof *names, error);
    if (names == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = LOAM_OK;
    for (size_t i = 0; i < count && status == LOAM_OK; i++) {
        names[i] = json_string_value(json_array_get(list, i));
        if (names[i] == NULL || names[i][0] == '\0') {
            status = loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"%s\" must be names; entry %zu is not", path,
                               key, i);
        }
    }
    if (status == LOAM_OK) status = loam_targets_init_list(targets, names, count, error);
    free(names);
    return status;
}

// Reads a list of names or a regular expression.
static enum loam_status read_modules(struct loam_targets *targets, const json_t *value, const char *path,
                                     const char *key, struct loam_error *error)
{
    if (json_is_array(value)) return read_module_list(targets, value, path, key, error);
    const char *text = json_string_value(value);
    if (text == NULL) {
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: \"%s\" must be a list of names or a regular expression", path, key);
    }
    enum loam_status status = loam_targets_init_pattern(targets, text, error);
    if (status != LOAM_OK) (void)loam_fail_prefix(error, "%s", path);
    return status;
}

static enum loam_status read_targets(struct loam_adapter_config *config, const json_t *root, const char *path,
                                     struct loam_error *error)
{
    static const char key[] = "target_modules";
    const json_t *value = json_object_get(root, key);
    const char *text = json_string_value(value);
    if (json_is_array(value) && json_array_size(value) == 0)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"%s\" is empty", path, key);
    if (text != NULL && strcasecmp(text, "all-linear") == 0)
        return loam_targets_parse(&config->targets, text, error);
    return read_modules(&config->targets, value, path, key, error);
}

static enum loam_status read_excluded(struct loam_adapter_config *config, const json_t *root,
                                      const char *path, struct loam_error *error)
{
    static const char key[] = "exclude_modules";
    const json_t *value = json_object_get(root, key);
    if (value == NULL || is_empty_value(value)) return LOAM_OK;
    return read_modules(&config->excluded, value, path, key, error);
}

static enum loam_status read_saved(struct loam_adapter_config *config, const json_t *root, const char *path,
                                   struct loam_error *error)
{
    static const char key[] = "modules_to_save";
    const json_t *value = json_object_get(root, key);
    if (value == NULL || is_empty_value(value)) return LOAM_OK;
    if (json_is_array(value)) return read_module_list(&config->saved, value, path, key, error);
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"%s\" must be a list of names", path, key);
}

static const char *const bias_names[] = {
    [LOAM_BIAS_NONE] = "none", [LOAM_BIAS_ALL] = "all", [LOAM_BIAS_LORA_ONLY] = "lora_only"};

const char *loam_lora_bias_name(enum loam_lora_bias bias)
{
    return bias_names[bias];
}

enum loam_status loam_lora_bias_parse(enum loam_lora_bias *bias, const char *name, struct loam_error *error)
{
    for (size_t i = 0; i < sizeof bias_names / sizeof bias_names[0]; i++) {
        if (strcmp(bias_names[i], name) != 0) continue;
        *bias = (enum loam_lora_bias)i;
        return LOAM_OK;
    }
    return loam_fail(error, LOAM_ERROR_ARGUMENT, "bias \"%s\": expected none, all or lora_only", name);
}

static enum loam_status read_bias(struct loam_adapter_config *config, const json_t *root, const char *path,
                                  struct loam_error *error)
{
    const char *name = "none";
    LOAM_TRY(loam_json_get_string(root, path, "bias", &name, error));
    if (loam_lora_bias_parse(&config->bias, name, error) == LOAM_OK) return LOAM_OK;
    return loam_fail_prefix(error, "%s", path);
}

static enum loam_status read_layers(struct loam_adapter_config *config, const json_t *root, const char *path,
                                    struct loam_error *error)
{
    LOAM_TRY(loam_layer_choice_read(&config->layers, root, path, error));
    if (loam_adapter_config_check_layers(config, error) == LOAM_OK) return LOAM_OK;
    return loam_fail_prefix(error, "%s", path);
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

static enum loam_status read_tokens(struct loam_adapter_config *config, const json_t *root, const char *path,
                                    struct loam_error *error)
{
    return loam_token_choice_read(&config->trained_tokens, root, path, error);
}

static enum loam_status read_base(struct loam_adapter_config *config, const json_t *root, const char *path,
                                  struct loam_error *error)
{
    return read_string(root, path, "base_model_name_or_path", &config->base_model, error);
}

static enum loam_status read_revision(struct loam_adapter_config *config, const json_t *root,
                                      const char *path, struct loam_error *error)
{
    return read_string(root, path, "revision", &config->revision, error);
}

static enum loam_status read_config(struct loam_adapter_config *config, const json_t *root, const char *path,
                                    struct loam_error *error)
{
    LOAM_TRY(check_types(root, path, error));
    LOAM_TRY(check_keys(config, root, path, error));
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        bool *flag = (bool *)(void *)((char *)config + keys[i].flag);
        if (keys[i].use != KEY_READ) continue;
        LOAM_TRY(keys[i].read != NULL ? keys[i].read(config, root, path, error)
                                      : loam_json_get_bool(root, path, keys[i].name, flag, error));
    }
    return LOAM_OK;
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
    loam_targets_deinit(&config->excluded);
    loam_targets_deinit(&config->saved);
    loam_layer_choice_deinit(&config->layers);
    loam_token_choice_deinit(&config->trained_tokens);
    loam_module_values_deinit(&config->ranks);
    loam_module_values_deinit(&config->alphas);
    free(config->base_model);
    free(config->revision);
    free(config->notice);
    *config = (struct loam_adapter_config){0};
}
