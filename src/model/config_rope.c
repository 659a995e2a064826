// Rotary positions: what config.json asks for, and the frequencies.
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "model/config_parts.h"

// ---- the keys ----

static const struct {
    const char *name;
    enum loam_rope_scaling scaling;
} rope_types[] = {{"default", LOAM_ROPE_DEFAULT}, {"linear", LOAM_ROPE_LINEAR},
                  {"dynamic", LOAM_ROPE_DYNAMIC}, {"llama3", LOAM_ROPE_LLAMA3},
                  {"yarn", LOAM_ROPE_YARN},       {"longrope", LOAM_ROPE_LONGROPE},
                  {"su", LOAM_ROPE_LONGROPE}}; // as the first Phi-3 checkpoints call it

// One description of RoPE in config.json, and where it goes.
struct reading {
    struct loam_config *config;
    struct loam_rope *rope;
    const json_t *root;
    const json_t *scaling; // NULL: only the keys of the root
    const json_t *outer;   // the object that holds `scaling` where it stands by kind of layer, else `scaling`
    const char *name;
};

static enum loam_status read_rope_type(const struct reading *reading, struct loam_error *error)
{
    const char *type = "default", *name = reading->name;
    LOAM_TRY(loam_json_get_string(reading->scaling, name, "type", &type, error)); // before 2024
    LOAM_TRY(loam_json_get_string(reading->scaling, name, "rope_type", &type, error));
    if (loam_config_is_given(reading->scaling, "rope_type"))
        loam_config_tell_other(reading->config, "rope_type", json_object_get(reading->scaling, "rope_type"),
                               "type", json_object_get(reading->scaling, "type"));
    for (size_t i = 0; i < sizeof rope_types / sizeof rope_types[0]; i++) {
        if (strcmp(rope_types[i].name, type) != 0) continue;
        reading->rope->scaling = rope_types[i].scaling;
        return LOAM_OK;
    }
    return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                     "%s: the RoPE type \"%s\" is not supported; supported are default, linear, dynamic, "
                     "llama3, yarn and longrope",
                     name, type);
}

static enum loam_status require_positive(const struct reading *reading, const char *key, double *value,
                                         struct loam_error *error)
{
    LOAM_TRY(loam_json_get_double(reading->scaling, reading->name, key, value, error));
    if (*value > 0) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s: RoPE scaling needs a positive \"%s\"", reading->name,
                     key);
}

// The context that the model was first trained for. A key at the top counts before one in the description.
static enum loam_status read_original_positions(const struct reading *reading, struct loam_error *error)
{
    static const char key[] = "original_max_position_embeddings";
    struct loam_rope *rope = reading->rope;
    rope->original_positions = reading->config->max_positions;
    LOAM_TRY(loam_json_get_int(reading->scaling, reading->name, key, &rope->original_positions, error));
    LOAM_TRY(loam_json_get_int(reading->root, reading->name, key, &rope->original_positions, error));
    if (loam_config_is_given(reading->root, key))
        loam_config_tell_other(reading->config, key, json_object_get(reading->root, key),
                               "rope_parameters.original_max_position_embeddings",
                               json_object_get(reading->scaling, key));
    if (rope->original_positions > 0) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"%s\" must be positive", reading->name, key);
}

static enum loam_status read_llama3(const struct reading *reading, struct loam_error *error)
{
    struct loam_rope *rope = reading->rope;
    LOAM_TRY(require_positive(reading, "low_freq_factor", &rope->low_freq_factor, error));
    LOAM_TRY(require_positive(reading, "high_freq_factor", &rope->high_freq_factor, error));
    if (rope->low_freq_factor < rope->high_freq_factor) return read_original_positions(reading, error);
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"low_freq_factor\" must be below \"high_freq_factor\"",
                     reading->name);
}

// The factor of a type where it may be left out: the ratio of the context to the original one.
static enum loam_status read_ratio(const struct reading *reading, struct loam_error *error)
{
    struct loam_rope *rope = reading->rope;
    LOAM_TRY(read_original_positions(reading, error));
    rope->factor = (double)reading->config->max_positions / (double)rope->original_positions;
    return require_positive(reading, "factor", &rope->factor, error);
}

static double yarn_scale(double factor, double scale)
{
    return factor <= 1 ? 1 : 0.1 * scale * log(factor) + 1;
}

static enum loam_status read_yarn(const struct reading *reading, struct loam_error *error)
{
    struct loam_rope *rope = reading->rope;
    const json_t *scaling = reading->scaling;
    double scale = 0, scale_all = 0;
    bool truncate = true;
    LOAM_TRY(read_ratio(reading, error));
    LOAM_TRY(loam_json_get_double(scaling, reading->name, "mscale", &scale, error));
    LOAM_TRY(loam_json_get_double(scaling, reading->name, "mscale_all_dim", &scale_all, error));
    const bool both = scale != 0 && scale_all != 0;
    rope->attention_factor =
        yarn_scale(rope->factor, both ? scale : 1) / (both ? yarn_scale(rope->factor, scale_all) : 1);
    LOAM_TRY(require_positive(reading, "attention_factor", &rope->attention_factor, error));
    rope->beta_fast = 32;
    rope->beta_slow = 1;
    LOAM_TRY(require_positive(reading, "beta_fast", &rope->beta_fast, error));
    LOAM_TRY(require_positive(reading, "beta_slow", &rope->beta_slow, error));
    // transformers reads this one key beside the descriptions of the kinds, not in them.
    LOAM_TRY(loam_json_get_bool(reading->outer, reading->name, "truncate", &truncate, error));
    rope->exact_range = !truncate;
    return LOAM_OK;
}

static enum loam_status read_factors(const struct reading *reading, const char *key, float *factors,
                                     struct loam_error *error)
{
    const json_t *list = json_object_get(reading->scaling, key);
    const size_t count = json_array_size(list), wanted = (size_t)reading->rope->rotated / 2;
    if (wanted > LOAM_ROPE_FACTORS)
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                         "%s: \"%s\" would need %zu numbers; at most %d are supported", reading->name, key,
                         wanted, LOAM_ROPE_FACTORS);
    if (count != wanted)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: \"%s\" must be an array of %zu numbers, one for each frequency", reading->name,
                         key, wanted);
    for (size_t i = 0; i < count; i++) {
        factors[i] = (float)json_number_value(json_array_get(list, i));
        if (!(factors[i] > 0))
            return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"%s\" must hold positive numbers", reading->name,
                             key);
    }
    return LOAM_OK;
}

static enum loam_status read_longrope(const struct reading *reading, struct loam_error *error)
{
    struct loam_rope *rope = reading->rope;
    LOAM_TRY(read_ratio(reading, error));
    LOAM_TRY(read_factors(reading, "short_factor", rope->short_factors, error));
    LOAM_TRY(read_factors(reading, "long_factor", rope->long_factors, error));
    const double positions = (double)rope->original_positions;
    rope->attention_factor = rope->factor <= 1 ? 1 : sqrt(1 + log(rope->factor) / log(positions));
    return require_positive(reading, "attention_factor", &rope->attention_factor, error);
}

static enum loam_status read_dynamic(const struct reading *reading, struct loam_error *error)
{
    LOAM_TRY(require_positive(reading, "factor", &reading->rope->factor, error));
    if (reading->config->max_positions < 1 || reading->rope->rotated < 4)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: dynamic RoPE scaling needs \"max_position_embeddings\" and at least 4 rotated "
                         "elements of a head",
                         reading->name);
    return LOAM_OK;
}

static enum loam_status read_rope_scaling(const struct reading *reading, struct loam_error *error)
{
    struct loam_rope *rope = reading->rope;
    rope->attention_factor = 1;
    switch (rope->scaling) {
    case LOAM_ROPE_DEFAULT:
        return LOAM_OK;
    case LOAM_ROPE_LINEAR:
        return require_positive(reading, "factor", &rope->factor, error);
    case LOAM_ROPE_DYNAMIC:
        return read_dynamic(reading, error);
    case LOAM_ROPE_LLAMA3:
        LOAM_TRY(require_positive(reading, "factor", &rope->factor, error));
        return read_llama3(reading, error);
    case LOAM_ROPE_YARN:
        return read_yarn(reading, error);
    case LOAM_ROPE_LONGROPE:
        return read_longrope(reading, error);
    }
    return loam_fail(error, LOAM_ERROR_INTERNAL, "a RoPE type without a reader");
}

// R: the part of a head that turns.
static enum loam_status read_rotated(const struct reading *reading, struct loam_error *error)
{
    static const char key[] = "partial_rotary_factor";
    const struct loam_config *config = reading->config;
    double fraction = config->rotary_fraction;
    LOAM_TRY(loam_json_get_double(reading->root, reading->name, key, &fraction, error));
    LOAM_TRY(loam_json_get_double(reading->scaling, reading->name, key, &fraction, error));
    if (fraction != 1 && !config->family->rope_partial)
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED, "%s: \"%s\" is %g; of a %s model only 1 is supported",
                         reading->name, key, fraction, config->family->model_type);
    if (!(fraction > 0 && fraction <= 1))
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"%s\" is %g; it must be above 0 and at most 1",
                         reading->name, key, fraction);
    reading->rope->rotated = (int64_t)((double)config->head_dim * fraction);
    if (reading->rope->rotated >= 2 && reading->rope->rotated % 2 == 0) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                     "%s: RoPE turns %lld of the %lld elements of a head; it needs an even number of them",
                     reading->name, (long long)reading->rope->rotated, (long long)config->head_dim);
}

// Ministral 3 scales queries by their position, in the words of Llama 4.
static enum loam_status read_query_scaling(const struct reading *reading, struct loam_error *error)
{
    static const char key[] = "llama_4_scaling_beta";
    struct loam_rope *rope = reading->rope;
    if (!loam_config_is_given(reading->scaling, key)) return LOAM_OK;
    LOAM_TRY(loam_json_get_double(reading->scaling, reading->name, key, &rope->query_beta, error));
    if (rope->query_beta == 0) return LOAM_OK;
    if (!reading->config->family->scales_queries)
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED, "%s: \"%s\" is %g; of a %s model only 0 is supported",
                         reading->name, key, rope->query_beta, reading->config->family->model_type);
    return read_original_positions(reading, error);
}

static enum loam_status read_table(const struct reading *reading, struct loam_error *error)
{
    struct loam_rope *rope = reading->rope;
    LOAM_TRY(read_rotated(reading, error));
    LOAM_TRY(loam_json_get_double(reading->scaling, reading->name, "rope_theta", &rope->theta, error));
    if (loam_config_is_given(reading->scaling, "rope_theta"))
        loam_config_tell_other(reading->config, "rope_parameters.rope_theta",
                               json_object_get(reading->scaling, "rope_theta"), "rope_theta",
                               json_object_get(reading->root, "rope_theta"));
    if (rope == reading->config->ropes && !(rope->theta > 0))
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"rope_theta\" must be positive", reading->name);
    LOAM_TRY(read_rope_type(reading, error));
    LOAM_TRY(read_rope_scaling(reading, error));
    return read_query_scaling(reading, error);
}

// ---- one description, or one for each kind of layer ----

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

static bool is_nested(const json_t *scaling, const char **inner)
{
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)scaling, *inner, value) if (json_is_object(value)) return true;
    return false;
}

// A family with several tables: each kind of layer has a description under its name. The flat form of older
// files describes the first table; the others keep their defaults.
static enum loam_status read_by_kind(struct reading reading, bool nested, struct loam_error *error)
{
    struct loam_config *config = reading.config;
    const struct loam_family *family = config->family;
    const json_t *all = reading.scaling;
    for (size_t i = 0; i < family->kind_count; i++) {
        const int table = family->kinds[i].rope;
        if (table == LOAM_NO_ROPE) continue;
        reading.rope = &config->ropes[table];
        reading.scaling = nested ? json_object_get(all, family->kinds[i].name) : table == 0 ? all : NULL;
        LOAM_TRY(read_table(&reading, error));
    }
    return LOAM_OK;
}

// transformers v5 writes `rope_parameters`, with theta in it; before, `rope_theta` and an optional
// `rope_scaling`.
enum loam_status loam_config_read_rope(struct loam_config *config, const json_t *root, const char *name,
                                       struct loam_error *error)
{
    const char *key = NULL, *inner = NULL;
    LOAM_TRY(find_rope(config, root, name, &key, error));
    const json_t *scaling = json_object_get(root, key);
    LOAM_TRY(loam_json_get_double(root, name, "rope_theta", &config->ropes[0].theta, error));
    const struct reading reading = {config, &config->ropes[0], root, scaling, scaling, name};
    const bool nested = is_nested(scaling, &inner);
    if (config->family->rope_count > 1) return read_by_kind(reading, nested, error);
    if (nested)
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED, "%s: \"%s\" differs by layer (\"%s\"); not supported",
                         name, key, inner);
    return read_table(&reading, error);
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

// The dimension whose frequency turns `rotations` times over the original context.
static double yarn_dimension(const struct loam_rope *rope, double rotations)
{
    const double turns = (double)rope->original_positions / (rotations * 2 * 3.14159265358979323846);
    return (double)rope->rotated * log(turns) / (2 * log(rope->theta));
}

// YaRN (Peng et al. 2023): frequency / factor for slow dimensions, frequency for fast ones, a ramp between.
static float scale_yarn(const struct loam_rope *rope, float power, int64_t i)
{
    double low = yarn_dimension(rope, rope->beta_fast), high = yarn_dimension(rope, rope->beta_slow);
    if (!rope->exact_range) {
        low = floor(low);
        high = ceil(high);
    }
    low = low > 0 ? low : 0;
    high = high < (double)(rope->rotated - 1) ? high : (double)(rope->rotated - 1);
    if (low == high) high += 0.001; // as transformers avoids a division by zero
    const float place = ((float)i - (float)low) / (float)(high - low);
    const float kept = 1.0f - (place < 0 ? 0 : place > 1 ? 1 : place);
    return 1.0f / ((float)rope->factor * power) * (1.0f - kept) + 1.0f / power * kept;
}

// NTK-aware scaling by the length: theta grows so that the slowest frequency covers the whole sequence.
static double dynamic_theta(const struct loam_config *config, const struct loam_rope *rope, int64_t length)
{
    const double context = (double)config->max_positions, rotated = (double)rope->rotated;
    const double tokens = length > config->max_positions ? (double)length : context;
    return rope->theta * pow(rope->factor * tokens / context - (rope->factor - 1), rotated / (rotated - 2));
}

bool loam_config_rope_depends_on_length(const struct loam_config *config, int table)
{
    const enum loam_rope_scaling scaling = config->ropes[table].scaling;
    return scaling == LOAM_ROPE_DYNAMIC || scaling == LOAM_ROPE_LONGROPE;
}

// In f32, as PyTorch computes them: a model was trained with these numbers, not with the exact ones.
void loam_config_rope_frequencies(const struct loam_config *config, int table, int64_t length,
                                  float *frequencies)
{
    const struct loam_rope *rope = &config->ropes[table];
    const bool dynamic = rope->scaling == LOAM_ROPE_DYNAMIC;
    const float theta = (float)(dynamic ? dynamic_theta(config, rope, length) : rope->theta);
    const float *factors = length > rope->original_positions ? rope->long_factors : rope->short_factors;
    for (int64_t i = 0; i < rope->rotated / 2; i++) {
        const float power = powf(theta, (float)(2 * i) / (float)rope->rotated);
        float frequency = 1.0f / power;
        if (rope->scaling == LOAM_ROPE_LINEAR) frequency /= (float)rope->factor;
        if (rope->scaling == LOAM_ROPE_LLAMA3) frequency = scale_llama3(rope, frequency);
        if (rope->scaling == LOAM_ROPE_YARN) frequency = scale_yarn(rope, power, i);
        if (rope->scaling == LOAM_ROPE_LONGROPE) frequency = 1.0f / (factors[i] * power);
        frequencies[i] = frequency;
    }
}
