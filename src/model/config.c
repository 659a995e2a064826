#include "model/config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/heap.h"
#include "base/json.h"

// ---- the family's keys ----

static enum loam_status read_field(struct loam_config *config, const struct loam_config_key *key,
                                   const char *spelling, const json_t *root, const char *name,
                                   struct loam_error *error)
{
    void *field = (char *)config + key->offset;
    switch (key->type) {
    case LOAM_CONFIG_INT:
        return loam_json_get_int(root, name, spelling, field, error);
    case LOAM_CONFIG_DOUBLE:
        return loam_json_get_double(root, name, spelling, field, error);
    case LOAM_CONFIG_BOOL:
        return loam_json_get_bool(root, name, spelling, field, error);
    }
    return loam_fail(error, LOAM_ERROR_INTERNAL, "the row of \"%s\" has no type", spelling);
}

static bool is_given(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return value != NULL && !json_is_null(value);
}

static enum loam_status read_key(struct loam_config *config, const struct loam_config_key *key,
                                 const json_t *root, const char *name, struct loam_error *error)
{
    size_t spellings = sizeof key->names / sizeof key->names[0];
    for (size_t i = 0; i < spellings && key->names[i] != NULL; i++)
        if (is_given(root, key->names[i])) return read_field(config, key, key->names[i], root, name, error);
    if (!key->required) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"%s\" is missing, a %s model needs it", name,
                     key->names[0], config->family->model_type);
}

// A scalar as text, to compare and to show.
static void scalar_text(const json_t *value, char *text, size_t size)
{
    if (json_is_string(value))
        snprintf(text, size, "%s", json_string_value(value));
    else if (json_is_boolean(value))
        snprintf(text, size, "%s", json_is_true(value) ? "true" : "false");
    else if (json_is_number(value))
        snprintf(text, size, "%g", json_number_value(value));
    else
        snprintf(text, size, "%s", json_is_array(value) ? "[...]" : "{...}");
}

static enum loam_status check_rule(const struct loam_config_rule *rule, const json_t *root, const char *name,
                                   struct loam_error *error)
{
    if (!is_given(root, rule->name)) return LOAM_OK;
    char text[128];
    scalar_text(json_object_get(root, rule->name), text, sizeof text);
    size_t count = sizeof rule->allowed / sizeof rule->allowed[0];
    for (size_t i = 0; i < count && rule->allowed[i] != NULL; i++)
        if (strcmp(text, rule->allowed[i]) == 0) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_UNSUPPORTED, "%s: \"%s\" is %s; only %s is supported", name,
                     rule->name, text, rule->allowed[0]);
}

// ---- RoPE ----

static const struct {
    const char *name;
    enum loam_rope_scaling scaling;
} rope_types[] = {{"default", LOAM_ROPE_DEFAULT}, {"linear", LOAM_ROPE_LINEAR}, {"llama3", LOAM_ROPE_LLAMA3}};

static enum loam_status read_rope_type(struct loam_config *config, const json_t *scaling, const char *name,
                                       struct loam_error *error)
{
    const char *type = "default";
    LOAM_TRY(loam_json_get_string(scaling, name, "type", &type, error)); // before 2024
    LOAM_TRY(loam_json_get_string(scaling, name, "rope_type", &type, error));
    for (size_t i = 0; i < sizeof rope_types / sizeof rope_types[0]; i++) {
        if (strcmp(rope_types[i].name, type) != 0) continue;
        config->rope_scaling = rope_types[i].scaling;
        return LOAM_OK;
    }
    return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                     "%s: the RoPE type \"%s\" is not supported; supported are default, linear and llama3",
                     name, type);
}

static enum loam_status require_positive(const json_t *scaling, const char *name, const char *key,
                                         double *value, struct loam_error *error)
{
    LOAM_TRY(loam_json_get_double(scaling, name, key, value, error));
    if (*value > 0) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s: RoPE scaling needs a positive \"%s\"", name, key);
}

static enum loam_status read_rope_scaling(struct loam_config *config, const json_t *root,
                                          const json_t *scaling, const char *name, struct loam_error *error)
{
    if (config->rope_scaling == LOAM_ROPE_DEFAULT) return LOAM_OK;
    LOAM_TRY(require_positive(scaling, name, "factor", &config->rope_factor, error));
    if (config->rope_scaling == LOAM_ROPE_LINEAR) return LOAM_OK;
    LOAM_TRY(require_positive(scaling, name, "low_freq_factor", &config->rope_low_freq_factor, error));
    LOAM_TRY(require_positive(scaling, name, "high_freq_factor", &config->rope_high_freq_factor, error));
    if (config->rope_low_freq_factor >= config->rope_high_freq_factor)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: \"low_freq_factor\" must be below \"high_freq_factor\"", name);
    const char *key = "original_max_position_embeddings";
    config->rope_original_positions = config->max_positions;
    LOAM_TRY(loam_json_get_int(scaling, name, key, &config->rope_original_positions, error));
    LOAM_TRY(loam_json_get_int(root, name, key, &config->rope_original_positions, error));
    if (config->rope_original_positions > 0) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"%s\" must be positive", name, key);
}

// transformers v5 writes `rope_parameters`, with theta in it; before, `rope_theta` and an optional
// `rope_scaling`.
static enum loam_status read_rope(struct loam_config *config, const json_t *root, const char *name,
                                  struct loam_error *error)
{
    const char *key = is_given(root, "rope_scaling") ? "rope_scaling" : "rope_parameters";
    json_t *scaling = json_object_get(root, key);
    if (is_given(root, key) && !json_is_object(scaling))
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"%s\" must be an object", name, key);
    double rotated = 1.0; // the part of a head that turns
    LOAM_TRY(loam_json_get_double(root, name, "partial_rotary_factor", &rotated, error));
    LOAM_TRY(loam_json_get_double(scaling, name, "partial_rotary_factor", &rotated, error));
    if (rotated != 1.0)
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                         "%s: \"partial_rotary_factor\" is %g; only 1 is supported", name, rotated);
    LOAM_TRY(loam_json_get_double(root, name, "rope_theta", &config->rope_theta, error));
    LOAM_TRY(loam_json_get_double(scaling, name, "rope_theta", &config->rope_theta, error));
    if (!(config->rope_theta > 0))
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"rope_theta\" must be positive", name);
    const char *inner;
    json_t *value;
    json_object_foreach(scaling, inner, value) if (json_is_object(value)) return loam_fail(
        error, LOAM_ERROR_UNSUPPORTED, "%s: \"%s\" differs by layer (\"%s\"); not supported", name, key,
        inner);
    LOAM_TRY(read_rope_type(config, scaling, name, error));
    return read_rope_scaling(config, root, scaling, name, error);
}

// ---- checks ----

// Bounds that no model comes near, and that keep every product of sizes within 63 bits.
static const struct {
    const char *what;
    size_t offset;
    int64_t limit;
} bounds[] = {
    {"hidden size", offsetof(struct loam_config, hidden), 1 << 20},
    {"number of layers", offsetof(struct loam_config, layers), 1 << 12},
    {"number of attention heads", offsetof(struct loam_config, heads), 1 << 14},
    {"number of key and value heads", offsetof(struct loam_config, kv_heads), 1 << 14},
    {"head size", offsetof(struct loam_config, head_dim), 1 << 14},
    {"inner size of the MLP", offsetof(struct loam_config, inner), 1 << 22},
    {"vocabulary size", offsetof(struct loam_config, vocabulary), 1 << 24},
    {"number of positions", offsetof(struct loam_config, max_positions), 1 << 30},
};

static enum loam_status derive_sizes(struct loam_config *config, const char *name, struct loam_error *error)
{
    if (config->kv_heads == 0) config->kv_heads = config->heads;
    if (config->inner == 0 && config->hidden <= 1 << 20) config->inner = 4 * config->hidden;
    if (config->head_dim != 0 || config->heads <= 0) return LOAM_OK;
    if (config->hidden % config->heads != 0)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: %lld attention heads do not divide the hidden size %lld", name,
                         (long long)config->heads, (long long)config->hidden);
    config->head_dim = config->hidden / config->heads;
    return LOAM_OK;
}

static enum loam_status check_sizes(const struct loam_config *config, const char *name,
                                    struct loam_error *error)
{
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        int64_t value;
        memcpy(&value, (const char *)config + bounds[i].offset, sizeof value);
        if (value < 1 || value > bounds[i].limit)
            return loam_fail(error, LOAM_ERROR_FORMAT, "%s: the %s is %lld; it must be between 1 and %lld",
                             name, bounds[i].what, (long long)value, (long long)bounds[i].limit);
    }
    if (config->heads % config->kv_heads != 0)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: %lld key and value heads do not divide the %lld attention heads", name,
                         (long long)config->kv_heads, (long long)config->heads);
    if (config->family->position == LOAM_ROPE && config->head_dim % 2 != 0)
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED, "%s: the head size is %lld; RoPE needs an even one",
                         name, (long long)config->head_dim);
    return LOAM_OK;
}

static enum loam_status check_numbers(const struct loam_config *config, const char *name,
                                      struct loam_error *error)
{
    if (!(config->norm_eps > 0 && config->norm_eps < 1))
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: the epsilon of the norms is %g; it must be between 0 and 1", name,
                         config->norm_eps);
    if (!(config->initializer_range >= 0 && config->initializer_range <= 1))
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: \"initializer_range\" is %g; it must be between 0 and 1", name,
                         config->initializer_range);
    return LOAM_OK;
}

// ---- the document ----

static enum loam_status find_family(const struct loam_family **family, const json_t *root, const char *name,
                                    struct loam_error *error)
{
    const char *type = NULL;
    LOAM_TRY(loam_json_get_string(root, name, "model_type", &type, error));
    if (type == NULL)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: \"model_type\" is missing; is it a model's config.json?", name);
    *family = loam_family_find(type);
    if (*family != NULL) return LOAM_OK;
    struct loam_bytes known = {0};
    enum loam_status status = LOAM_OK;
    for (size_t i = 0; loam_family_at(i) != NULL && status == LOAM_OK; i++)
        status = loam_bytes_format(&known, error, "%s%s", i == 0 ? "" : ", ", loam_family_at(i)->model_type);
    if (status == LOAM_OK)
        status = loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                           "%s: the architecture \"%s\" is not supported; supported are %s", name, type,
                           known.data);
    loam_bytes_deinit(&known);
    return status;
}

enum loam_status loam_config_parse(struct loam_config *config, const json_t *root, const char *name,
                                   struct loam_error *error)
{
    const struct loam_family *family = NULL;
    LOAM_TRY(find_family(&family, root, name, error));
    *config = *family->defaults;
    config->family = family;
    for (size_t i = 0; i < family->key_count; i++)
        LOAM_TRY(read_key(config, &family->keys[i], root, name, error));
    for (size_t i = 0; i < family->rule_count; i++)
        LOAM_TRY(check_rule(&family->rules[i], root, name, error));
    if (is_given(root, "quantization_config"))
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                         "%s: \"quantization_config\" is set; quantised checkpoints are not supported", name);
    LOAM_TRY(derive_sizes(config, name, error));
    LOAM_TRY(check_sizes(config, name, error));
    LOAM_TRY(check_numbers(config, name, error));
    return family->position == LOAM_ROPE ? read_rope(config, root, name, error) : LOAM_OK;
}

enum loam_status loam_config_load(struct loam_config *config, const char *directory_or_file,
                                  struct loam_error *error)
{
    char *path = loam_directory_exists(directory_or_file)
                     ? loam_path_join(directory_or_file, "config.json", error)
                     : loam_strdup(directory_or_file, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    json_t *root = NULL;
    enum loam_status status = loam_json_load(&root, path, error);
    if (status == LOAM_OK) status = loam_config_parse(config, root, path, error);
    json_decref(root);
    free(path);
    return status;
}

// ---- what follows from the numbers ----

bool loam_config_has_row(const struct loam_config *config, const struct loam_weight_row *row)
{
    if (row->role == LOAM_ROLE_IGNORED) return false;
    if ((row->flags & LOAM_WEIGHT_TIED) != 0 && config->tied_head) return false;
    if ((row->flags & LOAM_WEIGHT_IF_ATTENTION_BIAS) != 0 && !config->attention_bias) return false;
    return (row->flags & LOAM_WEIGHT_IF_MLP_BIAS) == 0 || config->mlp_bias;
}

int64_t loam_config_dimension(const struct loam_config *config, enum loam_dimension dimension)
{
    switch (dimension) {
    case LOAM_DIM_NONE:
        break;
    case LOAM_DIM_H:
        return config->hidden;
    case LOAM_DIM_3H:
        return 3 * config->hidden;
    case LOAM_DIM_QD:
        return config->heads * config->head_dim;
    case LOAM_DIM_GD:
        return config->kv_heads * config->head_dim;
    case LOAM_DIM_F:
        return config->inner;
    case LOAM_DIM_V:
        return config->vocabulary;
    }
    return 1;
}

// Llama 3.1: wavelengths beyond the context that the model was first trained for are stretched by the factor,
// short ones stay, those between change smoothly.
static float scale_llama3(const struct loam_config *config, float frequency)
{
    float context = (float)config->rope_original_positions;
    float low = (float)config->rope_low_freq_factor;
    float high = (float)config->rope_high_freq_factor;
    float factor = (float)config->rope_factor;
    float wavelength = (float)(2.0 * 3.14159265358979323846) / frequency;
    if (wavelength < context / high) return frequency;
    if (wavelength > context / low) return frequency / factor;
    float smooth = (context / wavelength - low) / (high - low);
    return (1.0f - smooth) * frequency / factor + smooth * frequency;
}

// In f32, as PyTorch computes them: a model was trained with these numbers, not with the exact ones.
void loam_config_rope_frequencies(const struct loam_config *config, float *frequencies)
{
    for (int64_t i = 0; i < config->head_dim / 2; i++) {
        float exponent = (float)(2 * i) / (float)config->head_dim;
        float frequency = 1.0f / powf((float)config->rope_theta, exponent);
        if (config->rope_scaling == LOAM_ROPE_LINEAR) frequency /= (float)config->rope_factor;
        if (config->rope_scaling == LOAM_ROPE_LLAMA3) frequency = scale_llama3(config, frequency);
        frequencies[i] = frequency;
    }
}

void loam_config_alibi_slopes(const struct loam_config *config, float *slopes)
{
    int64_t power = 1; // the largest power of two that is not above the head count
    int exponent = 0;
    for (; 2 * power <= config->heads; power *= 2)
        exponent++;
    float base = (float)exp2(-exp2(3 - exponent));
    float extra_base = (float)exp2(-exp2(2 - exponent));
    for (int64_t h = 0; h < config->heads; h++)
        slopes[h] = h < power ? powf(base, (float)(h + 1)) : powf(extra_base, (float)(2 * (h - power) + 1));
}
