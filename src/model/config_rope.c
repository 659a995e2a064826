// Rotary positions: what config.json asks for, and the frequencies.
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "model/config_parts.h"

// ---- the keys ----

static const struct {
    const char *name;
    enum loam_rope_scaling scaling;
} rope_types[] = {{"default", LOAM_ROPE_DEFAULT}, {"linear", LOAM_ROPE_LINEAR}, {"llama3", LOAM_ROPE_LLAMA3}};

static enum loam_status read_rope_type(struct loam_config *config, const json_t *scaling, const char *name,
                                       struct loam_error *error)
{
    struct loam_rope *rope = &config->ropes[0];
    const char *type = "default";
    LOAM_TRY(loam_json_get_string(scaling, name, "type", &type, error)); // before 2024
    LOAM_TRY(loam_json_get_string(scaling, name, "rope_type", &type, error));
    if (loam_config_is_given(scaling, "rope_type"))
        loam_config_tell_other(config, "rope_type", json_object_get(scaling, "rope_type"), "type",
                               json_object_get(scaling, "type"));
    for (size_t i = 0; i < sizeof rope_types / sizeof rope_types[0]; i++) {
        if (strcmp(rope_types[i].name, type) != 0) continue;
        rope->scaling = rope_types[i].scaling;
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
    struct loam_rope *rope = &config->ropes[0];
    if (rope->scaling == LOAM_ROPE_DEFAULT) return LOAM_OK;
    LOAM_TRY(require_positive(scaling, name, "factor", &rope->factor, error));
    if (rope->scaling == LOAM_ROPE_LINEAR) return LOAM_OK;
    LOAM_TRY(require_positive(scaling, name, "low_freq_factor", &rope->low_freq_factor, error));
    LOAM_TRY(require_positive(scaling, name, "high_freq_factor", &rope->high_freq_factor, error));
    if (rope->low_freq_factor >= rope->high_freq_factor)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: \"low_freq_factor\" must be below \"high_freq_factor\"", name);
    const char *key = "original_max_position_embeddings";
    rope->original_positions = config->max_positions;
    LOAM_TRY(loam_json_get_int(scaling, name, key, &rope->original_positions, error));
    LOAM_TRY(loam_json_get_int(root, name, key, &rope->original_positions, error));
    if (loam_config_is_given(root, key))
        loam_config_tell_other(config, key, json_object_get(root, key),
                               "rope_parameters.original_max_position_embeddings",
                               json_object_get(scaling, key));
    if (rope->original_positions > 0) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"%s\" must be positive", name, key);
}

// The key that describes RoPE: the first that is an object with something in it.
static enum loam_status find_rope(struct loam_config *config, const json_t *root, const char *name,
                                  const char **key, struct loam_error *error)
{
    static const char *const keys[] = {"rope_scaling", "rope_parameters"};
    bool given[2];
    for (size_t i = 0; i < 2; i++) {
        json_t *value = json_object_get(root, keys[i]);
        if (loam_config_is_given(root, keys[i]) && !json_is_object(value))
            return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"%s\" must be an object", name, keys[i]);
        given[i] = json_object_size(value) > 0;
    }
    *key = keys[given[0] ? 0 : 1];
    if (given[0] && given[1])
        loam_config_tell_other(config, keys[0], json_object_get(root, keys[0]), keys[1],
                               json_object_get(root, keys[1]));
    return LOAM_OK;
}

// The first table. transformers v5 writes `rope_parameters`, with theta in it; before, `rope_theta` and an
// optional `rope_scaling`.
enum loam_status loam_config_read_rope(struct loam_config *config, const json_t *root, const char *name,
                                       struct loam_error *error)
{
    struct loam_rope *rope = &config->ropes[0];
    const char *key = NULL;
    LOAM_TRY(find_rope(config, root, name, &key, error));
    json_t *scaling = json_object_get(root, key);
    double rotated = 1.0; // the part of a head that turns
    LOAM_TRY(loam_json_get_double(root, name, "partial_rotary_factor", &rotated, error));
    LOAM_TRY(loam_json_get_double(scaling, name, "partial_rotary_factor", &rotated, error));
    if (rotated != 1.0)
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                         "%s: \"partial_rotary_factor\" is %g; only 1 is supported", name, rotated);
    LOAM_TRY(loam_json_get_double(root, name, "rope_theta", &rope->theta, error));
    LOAM_TRY(loam_json_get_double(scaling, name, "rope_theta", &rope->theta, error));
    if (loam_config_is_given(scaling, "rope_theta"))
        loam_config_tell_other(config, "rope_parameters.rope_theta", json_object_get(scaling, "rope_theta"),
                               "rope_theta", json_object_get(root, "rope_theta"));
    if (!(rope->theta > 0))
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"rope_theta\" must be positive", name);
    const char *inner;
    json_t *value;
    json_object_foreach(scaling, inner, value) if (json_is_object(value)) return loam_fail(
        error, LOAM_ERROR_UNSUPPORTED, "%s: \"%s\" differs by layer (\"%s\"); not supported", name, key,
        inner);
    LOAM_TRY(read_rope_type(config, scaling, name, error));
    return read_rope_scaling(config, root, scaling, name, error);
}

// ---- the frequencies ----

// Llama 3.1: wavelengths beyond the context that the model was first trained for are stretched by the factor,
// short ones stay, those between change smoothly. What transformers computes of its settings alone is in
// double, and each step with the frequency in f32: a rounding elsewhere gives other bits.
static float scale_llama3(const struct loam_rope *rope, float frequency)
{
    const double context = (double)rope->original_positions;
    const double low = rope->low_freq_factor, high = rope->high_freq_factor;
    const float factor = (float)rope->factor;
    const float wavelength = 1.0f / frequency * (float)(2.0 * 3.14159265358979323846);
    if (wavelength < (float)(context / high)) return frequency;
    if (wavelength > (float)(context / low)) return frequency / factor;
    const float smooth = (1.0f / wavelength * (float)context - (float)low) / (float)(high - low);
    return (1.0f - smooth) * frequency / factor + smooth * frequency;
}

// In f32, as PyTorch computes them: a model was trained with these numbers, not with the exact ones.
void loam_config_rope_frequencies(const struct loam_config *config, int table, float *frequencies)
{
    const struct loam_rope *rope = &config->ropes[table];
    for (int64_t i = 0; i < config->head_dim / 2; i++) {
        float exponent = (float)(2 * i) / (float)config->head_dim;
        float frequency = 1.0f / powf((float)rope->theta, exponent);
        if (rope->scaling == LOAM_ROPE_LINEAR) frequency /= (float)rope->factor;
        if (rope->scaling == LOAM_ROPE_LLAMA3) frequency = scale_llama3(rope, frequency);
        frequencies[i] = frequency;
    }
}
