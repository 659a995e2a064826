#include "model/config.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/heap.h"
#include "base/json.h"
#include "model/config_parts.h"
#include "model/multimodal.h"

// ---- the family's keys ----

static enum loam_status read_int(int32_t *item, const json_t *value, const char *key, const char *name,
                                 struct loam_error *error)
{
    const json_int_t number = json_integer_value(value);
    *item = (int32_t)number;
    if (json_is_integer(value) && number >= INT32_MIN && number <= INT32_MAX) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_FORMAT,
                     "%s: \"%s\" must be an integer of 32 bits, or an array of them", name, key);
}

// ---- names of activations ----

// As transformers calls them (activations.py), where it has several names for one function.
static const struct {
    const char *name;
    enum loam_activation activation;
} activations[] = {
    {"silu", LOAM_SILU},
    {"swish", LOAM_SILU},
    {"gelu", LOAM_GELU},
    {"gelu_python", LOAM_GELU},
    {"gelu_new", LOAM_GELU_TANH},
    {"gelu_fast", LOAM_GELU_TANH},
    {"gelu_pytorch_tanh", LOAM_GELU_TANH},
    {"gelu_accurate", LOAM_GELU_TANH},
    {"quick_gelu", LOAM_QUICK_GELU},
    {"relu", LOAM_RELU},
    {"relu2", LOAM_RELU2},
};

static enum loam_status read_activation(enum loam_activation *activation, const json_t *root, const char *key,
                                        const char *name, struct loam_error *error)
{
    const char *text = NULL;
    LOAM_TRY(loam_json_get_string(root, name, key, &text, error));
    for (size_t i = 0; text != NULL && i < sizeof activations / sizeof activations[0]; i++) {
        if (strcmp(text, activations[i].name) != 0) continue;
        *activation = activations[i].activation;
        return LOAM_OK;
    }
    return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                     "%s: \"%s\" is %s; supported are silu, gelu, gelu_new, gelu_pytorch_tanh, quick_gelu, "
                     "relu and relu2",
                     name, key, text);
}

// ---- arrays ----

// The index of the layer kind that the value names.
static enum loam_status read_kind(const struct loam_family *family, int32_t *item, const json_t *value,
                                  const char *key, const char *name, struct loam_error *error)
{
    const char *text = json_string_value(value);
    for (size_t i = 0; text != NULL && i < family->kind_count; i++) {
        if (strcmp(text, family->kinds[i].name) != 0) continue;
        *item = (int32_t)i;
        return LOAM_OK;
    }
    return loam_fail(error, text == NULL ? LOAM_ERROR_FORMAT : LOAM_ERROR_UNSUPPORTED,
                     "%s: \"%s\" has %s, which is no kind of layer of a %s model; expected an array of such "
                     "as \"%s\"",
                     name, key, text == NULL ? "a value" : text, family->model_type, family->kinds[0].name);
}

static enum loam_status read_list(const struct loam_family *family, enum loam_config_type type,
                                  struct loam_config_list *list, const json_t *root, const char *key,
                                  const char *name, struct loam_error *error)
{
    json_t *value = json_object_get(root, key);
    const bool single = !json_is_array(value);
    const size_t count = single ? 1 : json_array_size(value);
    if (single && type == LOAM_CONFIG_KINDS)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"%s\" must be an array of strings", name, key);
    if (count > LOAM_CONFIG_LIST)
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                         "%s: \"%s\" has %zu elements; at most %d are supported", name, key, count,
                         LOAM_CONFIG_LIST);
    for (size_t i = 0; i < count; i++) {
        const json_t *item = single ? value : json_array_get(value, i);
        LOAM_TRY(type == LOAM_CONFIG_KINDS ? read_kind(family, &list->items[i], item, key, name, error)
                                           : read_int(&list->items[i], item, key, name, error));
    }
    list->count = (int)count;
    return LOAM_OK;
}

static enum loam_status read_field(struct loam_config *config, const struct loam_config_key *key,
                                   const char *spelling, const json_t *root, const char *name,
                                   struct loam_error *error)
{
    void *field = (char *)config + key->offset;
    switch (key->type) {
    case LOAM_CONFIG_INT:
    case LOAM_CONFIG_INT_OR_NONE:
        return loam_json_get_int(root, name, spelling, field, error);
    case LOAM_CONFIG_DOUBLE:
    case LOAM_CONFIG_DOUBLE_OR_NONE:
        return loam_json_get_double(root, name, spelling, field, error);
    case LOAM_CONFIG_BOOL:
        return loam_json_get_bool(root, name, spelling, field, error);
    case LOAM_CONFIG_ACTIVATION:
        return read_activation(field, root, spelling, name, error);
    case LOAM_CONFIG_INTS:
    case LOAM_CONFIG_KINDS:
        return read_list(config->family, key->type, field, root, spelling, name, error);
    }
    return loam_fail(error, LOAM_ERROR_INTERNAL, "the row of \"%s\" has no type", spelling);
}

bool loam_config_is_given(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return value != NULL && !json_is_null(value);
}

void loam_config_tell(struct loam_config *config, const char *format, ...)
{
    const size_t used = strlen(config->notices), room = sizeof config->notices - used;
    va_list arguments;
    va_start(arguments, format);
    const int wanted = vsnprintf(config->notices + used, room, format, arguments);
    va_end(arguments);
    // Lines end with a line feed; one that does not fit is left out.
    if (wanted >= 0 && (size_t)wanted + 1 < room)
        memcpy(config->notices + used + wanted, "\n", 2);
    else
        config->notices[used] = '\0';
}

void loam_config_log(const struct loam_config *config, const struct loam_log *log)
{
    const char *line = config->notices;
    for (const char *end; (end = strchr(line, '\n')) != NULL; line = end + 1)
        loam_log_write(log, LOAM_LOG_WARNING, "config.json: %.*s", (int)(end - line), line);
}

void loam_config_value_text(const json_t *value, char text[LOAM_CONFIG_TEXT])
{
    if (json_is_string(value))
        snprintf(text, LOAM_CONFIG_TEXT, "%s", json_string_value(value));
    else if (json_is_boolean(value))
        snprintf(text, LOAM_CONFIG_TEXT, "%s", json_is_true(value) ? "true" : "false");
    else if (json_is_number(value))
        snprintf(text, LOAM_CONFIG_TEXT, "%.10g", json_number_value(value));
    else if (json_is_array(value))
        snprintf(text, LOAM_CONFIG_TEXT, "%s", json_array_size(value) == 0 ? "[]" : "[...]");
    else
        snprintf(text, LOAM_CONFIG_TEXT, "%s", json_object_size(value) == 0 ? "{}" : "{...}");
    loam_flatten(text); // it may become a line of the notices
}

static bool is_same(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b)) return json_number_value(a) == json_number_value(b);
    return json_equal(a, b) != 0;
}

void loam_config_tell_other(struct loam_config *config, const char *label, const json_t *value,
                            const char *other_label, const json_t *other)
{
    char text[LOAM_CONFIG_TEXT], other_text[LOAM_CONFIG_TEXT];
    if (other == NULL || json_is_null(other) || is_same(value, other)) return;
    loam_config_value_text(value, text);
    loam_config_value_text(other, other_text);
    loam_config_tell(config, "\"%s\" is %s, and \"%s\" is %s: the first one counts, as in transformers",
                     label, text, other_label, other_text);
}

// A key that is null switches something off.
static void set_to_none(struct loam_config *config, const struct loam_config_key *key)
{
    char *field = (char *)config + key->offset;
    if (key->type == LOAM_CONFIG_INT_OR_NONE) memset(field, 0, sizeof(int64_t));
    if (key->type == LOAM_CONFIG_DOUBLE_OR_NONE) memset(field, 0, sizeof(double));
}

// A config.json names its sizes; the text part of a multimodal one may leave them to transformers' defaults.
static bool is_left_to_default(const struct loam_config *config, const struct loam_config_key *key)
{
    int64_t size;
    if (config->multimodal == NULL || key->type != LOAM_CONFIG_INT) return false;
    memcpy(&size, (const char *)config + key->offset, sizeof size);
    return size != 0;
}

static enum loam_status read_key(struct loam_config *config, const struct loam_config_key *key,
                                 const json_t *root, const char *name, struct loam_error *error)
{
    size_t i = 0, spellings = sizeof key->names / sizeof key->names[0];
    while (i < spellings && key->names[i] != NULL && !loam_config_is_given(root, key->names[i]))
        i++;
    const bool found = i < spellings && key->names[i] != NULL;
    const bool required = key->required && !is_left_to_default(config, key);
    if (!found && json_is_null(json_object_get(root, key->names[0]))) set_to_none(config, key);
    if (!found && !required) return LOAM_OK;
    if (!found)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"%s\" is missing, a %s model needs it", name,
                         key->names[0], config->family->model_type);
    for (size_t j = i + 1; j < spellings && key->names[j] != NULL; j++)
        loam_config_tell_other(config, key->names[i], json_object_get(root, key->names[i]), key->names[j],
                               json_object_get(root, key->names[j]));
    return read_field(config, key, key->names[i], root, name, error);
}

// ---- keys that are not built ----

// Of every family: what transformers does with a model for any value but these.
static const struct loam_config_rule common_rules[] = {
    {"is_encoder_decoder", {"false"}, NULL},
    {"per_layer_config", {"{}"}, NULL},
    {"pruned_heads", {"{}"}, NULL},
};

static enum loam_status check_rule(const struct loam_config_rule *rule, const json_t *root, const char *name,
                                   struct loam_error *error)
{
    double count = 1;
    if (!loam_config_is_given(root, rule->name)) return LOAM_OK;
    if (rule->above_one != NULL) LOAM_TRY(loam_json_get_double(root, name, rule->above_one, &count, error));
    if (rule->above_one != NULL && count <= 1) return LOAM_OK;
    char text[LOAM_CONFIG_TEXT];
    loam_config_value_text(json_object_get(root, rule->name), text);
    size_t values = sizeof rule->allowed / sizeof rule->allowed[0];
    for (size_t i = 0; i < values && rule->allowed[i] != NULL; i++)
        if (strcmp(text, rule->allowed[i]) == 0) return LOAM_OK;
    if (rule->above_one != NULL)
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                         "%s: \"%s\" is %s where \"%s\" is %g; only %s is supported", name, rule->name, text,
                         rule->above_one, count, rule->allowed[0]);
    return loam_fail(error, LOAM_ERROR_UNSUPPORTED, "%s: \"%s\" is %s; only %s is supported", name,
                     rule->name, text, rule->allowed[0]);
}

static enum loam_status check_rules(const struct loam_family *family, const json_t *root, const char *name,
                                    struct loam_error *error)
{
    for (size_t i = 0; i < sizeof common_rules / sizeof common_rules[0]; i++)
        LOAM_TRY(check_rule(&common_rules[i], root, name, error));
    for (size_t i = 0; i < family->rule_count; i++)
        LOAM_TRY(check_rule(&family->rules[i], root, name, error));
    if (!loam_config_is_given(root, "quantization_config")) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                     "%s: \"quantization_config\" is set; quantised checkpoints are not supported", name);
}

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text), length = strlen(end);
    return size >= length && strcasecmp(text + size - length, end) == 0;
}

// A language model, or the decoder without its head ("BloomModel").
static bool is_language_model(const char *architecture)
{
    if (ends_with(architecture, "ForCausalLM") || ends_with(architecture, "LMHeadModel")) return true;
    return ends_with(architecture, "Model") && strstr(architecture, "For") == NULL;
}

static enum loam_status check_architectures(const struct loam_family *family, const json_t *root,
                                            const char *name, struct loam_error *error)
{
    const json_t *list = json_object_get(root, "architectures");
    const char *first = NULL;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (text == NULL || is_language_model(text)) return LOAM_OK;
        if (first == NULL) first = text;
    }
    if (first == NULL) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                     "%s: \"architectures\" is %s; of this family %s is supported, a language model", name,
                     first, family->architecture);
}

// ---- keys that are told ----

static enum loam_status read_dropouts(struct loam_config *config, const json_t *root, const char *name,
                                      struct loam_error *error)
{
    const char *const *keys = config->family->dropouts;
    for (size_t i = 0; i < LOAM_CONFIG_DROPOUTS && keys[i] != NULL; i++)
        LOAM_TRY(loam_json_get_double(root, name, keys[i], &config->dropouts[i], error));
    return LOAM_OK;
}

static bool is_full_attention(const json_t *layer_types)
{
    size_t index;
    json_t *item;
    json_array_foreach(layer_types, index, item)
    {
        const char *text = json_string_value(item);
        if (text == NULL || strcmp(text, "full_attention") != 0) return false;
    }
    return true;
}

// transformers' code for these families ignores both in training; only its cache uses them.
static enum loam_status tell_attention(struct loam_config *config, const json_t *root, const char *name,
                                       struct loam_error *error)
{
    static const char all[] = "attention is over all tokens here, as in transformers' training";
    int64_t window = INT64_MAX;
    if (config->family->kind_count > 1 || config->family->kinds[0].window != 0)
        return LOAM_OK; // its layers have their windows
    LOAM_TRY(loam_json_get_int(root, name, "sliding_window", &window, error));
    if (window < config->max_positions)
        loam_config_tell(config, "\"sliding_window\" is %lld: %s", (long long)window, all);
    if (!is_full_attention(json_object_get(root, "layer_types")))
        loam_config_tell(config, "\"layer_types\" has others than full_attention: %s", all);
    if (loam_config_is_given(root, "auto_map"))
        loam_config_tell(
            config,
            "\"auto_map\" names Python code of the model's own, which is not run: it is computed "
            "as a plain %s model",
            config->family->model_type);
    return LOAM_OK;
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
    if (config->kv_heads == LOAM_CONFIG_DERIVED) config->kv_heads = config->heads;
    if (config->inner == LOAM_CONFIG_DERIVED && config->hidden <= 1 << 20) config->inner = 4 * config->hidden;
    if (config->head_dim != LOAM_CONFIG_DERIVED || config->heads <= 0) return LOAM_OK;
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
    if (config->window < 0 || config->window > 1 << 30)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: the attention window is %lld tokens; it must be at most %d", name,
                         (long long)config->window, 1 << 30);
    if (config->heads % config->kv_heads != 0)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: %lld key and value heads do not divide the %lld attention heads", name,
                         (long long)config->kv_heads, (long long)config->heads);
    if (config->layer_kinds.count != 0 && config->layer_kinds.count != config->layers)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: the kinds of %d layers are given; expected one for each of %lld", name,
                         config->layer_kinds.count, (long long)config->layers);
    return LOAM_OK;
}

static const struct {
    const char *what;
    size_t offset;
    bool may_be_off; // 0
} factors[] = {
    {"factor of the embedding", offsetof(struct loam_config, embedding_factor), false},
    {"factor of the logits", offsetof(struct loam_config, logit_factor), false},
    {"factor of the attention scores", offsetof(struct loam_config, attention_factor), true},
    {"soft-cap of the attention scores", offsetof(struct loam_config, attention_softcap), true},
    {"soft-cap of the logits", offsetof(struct loam_config, logit_softcap), true},
};

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
    for (size_t i = 0; i < sizeof factors / sizeof factors[0]; i++) {
        double value;
        memcpy(&value, (const char *)config + factors[i].offset, sizeof value);
        const bool off = value == 0 && factors[i].may_be_off;
        if (!off && !(value >= 1e-6 && value <= 1e6))
            return loam_fail(error, LOAM_ERROR_FORMAT, "%s: the %s is %g; it must be between 1e-6 and 1e6",
                             name, factors[i].what, value);
    }
    for (int i = 0; i < config->family->rope_count; i++)
        if (!(config->ropes[i].theta > 0))
            return loam_fail(error, LOAM_ERROR_FORMAT, "%s: the base of RoPE is %g; it must be above 0", name,
                             config->ropes[i].theta);
    return LOAM_OK;
}

// ---- the document ----

// The value of a case's key as text: what the file has, or the fallback.
static void case_text(const struct loam_family_case *choice, const json_t *root, char text[LOAM_CONFIG_TEXT])
{
    if (loam_config_is_given(root, choice->key))
        loam_config_value_text(json_object_get(root, choice->key), text);
    else
        snprintf(text, LOAM_CONFIG_TEXT, "%s", choice->fallback);
}

static bool fits_cases(const struct loam_family *family, const json_t *root)
{
    char text[LOAM_CONFIG_TEXT];
    for (size_t i = 0; i < LOAM_FAMILY_CASES && family->cases[i].key != NULL; i++) {
        case_text(&family->cases[i], root, text);
        if (strcmp(text, family->cases[i].value) != 0) return false;
    }
    return true;
}

// The keys of all families of the type differ from what is built.
static enum loam_status refuse_cases(const struct loam_family *family, const json_t *root, const char *name,
                                     struct loam_error *error)
{
    struct loam_bytes found = {0};
    char text[LOAM_CONFIG_TEXT];
    enum loam_status status = LOAM_OK;
    for (size_t i = 0; i < LOAM_FAMILY_CASES && family->cases[i].key != NULL && status == LOAM_OK; i++) {
        case_text(&family->cases[i], root, text);
        status = loam_bytes_format(&found, error, "%s\"%s\" is %s", i == 0 ? "" : ", ", family->cases[i].key,
                                   text);
    }
    if (status == LOAM_OK)
        status = loam_fail(error, LOAM_ERROR_UNSUPPORTED, "%s: %s: a %s model of this form is not supported",
                           name, found.data, family->model_type);
    loam_bytes_deinit(&found);
    return status;
}

static enum loam_status find_family(const struct loam_family **family, const json_t *root, const char *name,
                                    struct loam_error *error)
{
    const char *type = NULL;
    LOAM_TRY(loam_json_get_string(root, name, "model_type", &type, error));
    if (type == NULL)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: \"model_type\" is missing; is it a model's config.json?", name);
    for (size_t i = 0; (*family = loam_family_at(i)) != NULL; i++)
        if (strcmp((*family)->model_type, type) == 0 && fits_cases(*family, root)) return LOAM_OK;
    if (loam_family_find(type) != NULL) return refuse_cases(loam_family_find(type), root, name, error);
    struct loam_bytes known = {0};
    enum loam_status status = LOAM_OK;
    for (size_t i = 0; loam_family_at(i) != NULL && status == LOAM_OK; i++)
        if (loam_family_find(loam_family_at(i)->model_type) == loam_family_at(i))
            status =
                loam_bytes_format(&known, error, "%s%s", i == 0 ? "" : ", ", loam_family_at(i)->model_type);
    if (status == LOAM_OK)
        status = loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                           "%s: the architecture \"%s\" is not supported; supported are %s", name, type,
                           known.data);
    loam_bytes_deinit(&known);
    return status;
}

static enum loam_status parse_as(struct loam_config *config, const struct loam_family *family,
                                 const struct loam_multimodal *multimodal, const json_t *root,
                                 const char *name, struct loam_error *error)
{
    *config = *family->defaults;
    config->family = family;
    config->multimodal = multimodal;
    if (config->embedding_factor == 0) config->embedding_factor = 1;
    if (config->logit_factor == 0) config->logit_factor = 1;
    if (config->rotary_fraction == 0) config->rotary_fraction = 1;
    for (size_t i = 0; i < family->key_count; i++)
        LOAM_TRY(read_key(config, &family->keys[i], root, name, error));
    LOAM_TRY(check_rules(family, root, name, error));
    LOAM_TRY(check_architectures(family, root, name, error));
    LOAM_TRY(read_dropouts(config, root, name, error));
    LOAM_TRY(tell_attention(config, root, name, error));
    LOAM_TRY(derive_sizes(config, name, error));
    if (family->complete != NULL) LOAM_TRY(family->complete(config, root, name, error));
    LOAM_TRY(check_sizes(config, name, error));
    if (family->position == LOAM_ROPE) LOAM_TRY(loam_config_read_rope(config, root, name, error));
    return check_numbers(config, name, error);
}

// The text part is read as a document of its own.
static enum loam_status parse_text_part(struct loam_config *config, const struct loam_multimodal *multimodal,
                                        const json_t *root, const char *name, struct loam_error *error)
{
    const struct loam_family *family = NULL;
    json_t *text = NULL;
    char *label = loam_format(error, "%s: text_config", name);
    enum loam_status status = label == NULL ? LOAM_ERROR_MEMORY : LOAM_OK;
    if (status == LOAM_OK) status = loam_config_text_part(multimodal, root, name, &text, error);
    if (status == LOAM_OK) status = find_family(&family, text, label, error);
    if (status == LOAM_OK) status = parse_as(config, family, multimodal, text, label, error);
    if (status == LOAM_OK) status = loam_config_complete_text_part(config, root, name, error);
    json_decref(text);
    free(label);
    return status;
}

enum loam_status loam_config_parse(struct loam_config *config, const json_t *root, const char *name,
                                   struct loam_error *error)
{
    const struct loam_family *family = NULL;
    const char *type = json_string_value(json_object_get(root, "model_type"));
    const struct loam_multimodal *multimodal = type == NULL ? NULL : loam_multimodal_find(type);
    if (multimodal != NULL) return parse_text_part(config, multimodal, root, name, error);
    LOAM_TRY(find_family(&family, root, name, error));
    return loam_config_parse_as(config, family, root, name, error);
}

enum loam_status loam_config_parse_as(struct loam_config *config, const struct loam_family *family,
                                      const json_t *root, const char *name, struct loam_error *error)
{
    return parse_as(config, family, NULL, root, name, error);
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

int64_t loam_config_position_limit(const struct loam_config *config)
{
    bool has_limit = config->family->position != LOAM_ALIBI && config->max_positions > 0;
    return has_limit ? config->max_positions : INT32_MAX;
}

bool loam_config_has_row(const struct loam_config *config, const struct loam_weight_row *row)
{
    if (row->role == LOAM_ROLE_IGNORED) return false;
    if ((row->flags & LOAM_WEIGHT_TIED) != 0 && config->tied_head) return false;
    if ((row->flags & LOAM_WEIGHT_IF_SERIAL) != 0 && loam_family_is_parallel(config->family)) return false;
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
    case LOAM_DIM_D:
        return config->head_dim;
    case LOAM_DIM_QD:
        return config->heads * config->head_dim;
    case LOAM_DIM_GD:
        return config->kv_heads * config->head_dim;
    case LOAM_DIM_QKV:
        return (config->heads + 2 * config->kv_heads) * config->head_dim;
    case LOAM_DIM_F:
        return config->inner;
    case LOAM_DIM_2F:
        return 2 * config->inner;
    case LOAM_DIM_P:
        return loam_config_position_rows(config);
    case LOAM_DIM_V:
        return config->vocabulary;
    }
    return 1;
}

const struct loam_layer_kind *loam_config_layer_kind(const struct loam_config *config, int64_t layer)
{
    const int32_t kind = config->layer_kinds.count > 0 ? config->layer_kinds.items[layer] : 0;
    return &config->family->kinds[kind];
}

int64_t loam_config_kind_window(const struct loam_config *config, const struct loam_layer_kind *kind)
{
    int64_t window = 0;
    if (kind->window != 0) memcpy(&window, (const char *)config + kind->window, sizeof window);
    return window;
}

int64_t loam_config_layer_window(const struct loam_config *config, int64_t layer)
{
    return loam_config_kind_window(config, loam_config_layer_kind(config, layer));
}

float loam_config_branch_factor(const struct loam_config *config, const struct loam_branch *branch)
{
    double factor = 1;
    if (branch->factor != 0) memcpy(&factor, (const char *)config + branch->factor, sizeof factor);
    return (float)factor;
}

float loam_config_attention_scale(const struct loam_config *config)
{
    if (config->attention_factor != 0) return (float)config->attention_factor;
    return (float)(1.0 / sqrt((double)config->head_dim));
}

int64_t loam_config_position_rows(const struct loam_config *config)
{
    return config->max_positions + config->family->position_offset;
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
