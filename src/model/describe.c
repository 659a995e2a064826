#include "model/describe.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// A description that is being written: parts that are separated by commas.
struct text {
    const struct loam_family *family;
    const struct loam_config *config; // NULL: the family in general
    struct loam_bytes *out;
    size_t begin;
    struct loam_error *error;
};

#define ADD(...) LOAM_TRY(add(text, __VA_ARGS__))

static enum loam_status add(const struct text *text, const char *format, ...) LOAM_PRINTF(2, 3);
static enum loam_status add(const struct text *text, const char *format, ...)
{
    char part[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(part, sizeof part, format, arguments);
    va_end(arguments);
    return loam_bytes_format(text->out, text->error, "%s%s", text->out->size > text->begin ? ", " : "", part);
}

// ---- the rows ----

// The first row of a role and, where `slot` is not negative, of a slot, with these flags; NULL: there is none.
static const struct loam_weight_row *find_row(const struct loam_family *family, enum loam_role role, int slot,
                                              unsigned flags)
{
    for (size_t i = 0; i < family->row_count; i++) {
        const struct loam_weight_row *row = &family->rows[i];
        if (row->role == role && (slot < 0 || row->slot == slot) && (row->flags & flags) == flags) return row;
    }
    return NULL;
}

static const struct loam_weight_row *find_linear(const struct loam_family *family, enum loam_linear_slot slot)
{
    return find_row(family, LOAM_ROLE_LINEAR, (int)slot, 0);
}

// "biases", "biases where the config asks for them", or NULL.
static const char *describe_biases(const struct text *text, enum loam_linear_slot slot)
{
    const struct loam_weight_row *row = find_row(text->family, LOAM_ROLE_LINEAR, (int)slot, LOAM_WEIGHT_BIAS);
    if (row == NULL) return NULL;
    if (text->config != NULL) return loam_config_has_row(text->config, row) ? "with a bias" : NULL;
    const unsigned asked = LOAM_WEIGHT_IF_ATTENTION_BIAS | LOAM_WEIGHT_IF_MLP_BIAS;
    return (row->flags & asked) != 0 ? "a bias where the config asks for it" : "with a bias";
}

static bool has_key(const struct loam_family *family, size_t offset)
{
    for (size_t i = 0; i < family->key_count; i++)
        if (family->keys[i].offset == offset) return true;
    return false;
}

// ---- norms ----

static const char *describe_places(const struct loam_family *family)
{
    const struct loam_branch *first = &family->branches[0], *last = &family->branches[1];
    if (first->norm_before == LOAM_NO_NORM) return "after each branch";
    if (first->norm_after != LOAM_NO_NORM) return "before and after each branch";
    return first->norm_before == last->norm_before ? "one before both branches" : "before each branch";
}

static enum loam_status describe_norms(const struct text *text)
{
    const struct loam_family *family = text->family;
    const struct loam_weight_row *heads = find_row(family, LOAM_ROLE_NORM, LOAM_NORM_Q, 0);
    const bool bias = find_row(family, LOAM_ROLE_FINAL_NORM, -1, LOAM_WEIGHT_BIAS) != NULL;
    ADD("%s %s", family->norm == LOAM_RMSNORM ? "RMSNorm" : "LayerNorm", describe_places(family));
    if (family->norm == LOAM_LAYERNORM && !bias) ADD("without bias");
    if (family->norm_offset != 0) ADD("scale %g + w", (double)family->norm_offset);
    if (heads != NULL)
        ADD("over %s of query and key", heads->shape[0] == LOAM_DIM_D ? "each head" : "the whole row");
    if (find_row(family, LOAM_ROLE_EMBEDDING_NORM, -1, 0) != NULL) ADD("over the embedding");
    if (text->config != NULL) ADD("epsilon %g", text->config->norm_eps);
    return LOAM_OK;
}

// ---- positions ----

static const char *const rope_names[] = {
    [LOAM_ROPE_DEFAULT] = "default", [LOAM_ROPE_LINEAR] = "linear", [LOAM_ROPE_DYNAMIC] = "dynamic",
    [LOAM_ROPE_LLAMA3] = "llama3",   [LOAM_ROPE_YARN] = "yarn",     [LOAM_ROPE_LONGROPE] = "longrope"};

static enum loam_status describe_rope(const struct text *text)
{
    const struct loam_family *family = text->family;
    if (text->config == NULL) {
        ADD("RoPE%s", family->rope_count > 1 ? ", a table for each kind of layer" : "");
        if (family->rope_partial) ADD("on a part of each head");
    }
    for (int i = 0; i < family->rope_count && text->config != NULL; i++) {
        const struct loam_rope *rope = &text->config->ropes[i];
        ADD("RoPE of theta %g on %lld of %lld", rope->theta, (long long)rope->rotated,
            (long long)text->config->head_dim);
        if (rope->scaling != LOAM_ROPE_DEFAULT) ADD("scaling %s", rope_names[rope->scaling]);
        if (rope->factor != 0 && rope->scaling != LOAM_ROPE_DEFAULT) ADD("factor %g", rope->factor);
    }
    if (family->rope_interleaved) ADD("pairs interleaved");
    if (family->scales_queries) ADD("queries scaled by position");
    for (size_t i = 0; i < family->kind_count && text->config == NULL; i++)
        if (family->kinds[i].rope == LOAM_NO_ROPE) {
            ADD("none on some layers");
            break;
        }
    return LOAM_OK;
}

static enum loam_status describe_positions(const struct text *text)
{
    const struct loam_family *family = text->family;
    switch (family->position) {
    case LOAM_NO_POSITION:
        break;
    case LOAM_ALIBI:
        return add(text, "ALiBi");
    case LOAM_LEARNED:
        ADD("learned");
        if (family->position_offset > 0) ADD("from row %d on", family->position_offset);
        break;
    case LOAM_ROPE:
        LOAM_TRY(describe_rope(text));
        break;
    }
    if (text->config != NULL && text->config->max_positions > 0)
        ADD("at most %lld", (long long)text->config->max_positions);
    return LOAM_OK;
}

// ---- attention and MLP ----

static enum loam_status describe_attention(const struct text *text)
{
    const struct loam_family *family = text->family;
    const struct loam_config *config = text->config;
    const bool fused = find_linear(family, LOAM_QKV) != NULL;
    const char *layout = family->heads_by_groups    ? "by groups"
                         : family->query.stride > 1 ? "by head"
                                                    : "by blocks";
    if (config != NULL)
        ADD("%lld heads of %lld, %lld for keys and values", (long long)config->heads,
            (long long)config->head_dim, (long long)config->kv_heads);
    ADD("query, key and value %s%s", fused ? "in one matrix, " : "apart", fused ? layout : "");
    const char *biases = describe_biases(text, fused ? LOAM_QKV : LOAM_Q);
    if (biases != NULL) ADD("%s", biases);
    ADD("%s the MLP", loam_family_is_parallel(family) ? "in parallel with" : "before");
    if (find_row(family, LOAM_ROLE_LINEAR, -1, LOAM_WEIGHT_TRANSPOSED) != NULL) ADD("matrices transposed");
    return LOAM_OK;
}

// "5 tokens on layers 0-2": layers that follow each other and are of one kind.
static enum loam_status describe_layers(const struct text *text, int64_t first, int64_t end)
{
    const int64_t window = loam_config_layer_window(text->config, first);
    const bool rope = loam_config_layer_kind(text->config, first)->rope != LOAM_NO_ROPE;
    char what[64] = "none";
    if (window > 0) snprintf(what, sizeof what, "%lld tokens", (long long)window);
    char layers[64];
    if (end - first == 1)
        snprintf(layers, sizeof layers, "layer %lld", (long long)first);
    else
        snprintf(layers, sizeof layers, "layers %lld-%lld", (long long)first, (long long)end - 1);
    return add(text, "%s on %s%s", what, layers,
               rope || text->family->position != LOAM_ROPE ? "" : " without positions");
}

static bool is_same_kind(const struct text *text, int64_t a, int64_t b)
{
    return loam_config_layer_kind(text->config, a) == loam_config_layer_kind(text->config, b);
}

static enum loam_status describe_windows(const struct text *text)
{
    const struct loam_family *family = text->family;
    bool windowed = false;
    for (size_t i = 0; i < family->kind_count; i++)
        windowed = windowed || family->kinds[i].window != 0;
    if (!windowed) return LOAM_OK;
    if (text->config == NULL) return add(text, family->kind_count > 1 ? "by layer" : "on all layers");
    for (int64_t first = 0, end; first < text->config->layers; first = end) {
        end = first + 1;
        while (end < text->config->layers && is_same_kind(text, first, end))
            end++;
        LOAM_TRY(describe_layers(text, first, end));
    }
    return LOAM_OK;
}

static const char *const activation_names[LOAM_ACTIVATION_COUNT] = {[LOAM_GELU_TANH] = "gelu (tanh)",
                                                                    [LOAM_SILU] = "silu",
                                                                    [LOAM_GELU] = "gelu",
                                                                    [LOAM_RELU] = "relu",
                                                                    [LOAM_RELU2] = "relu2",
                                                                    [LOAM_QUICK_GELU] = "quick_gelu"};

static enum loam_status describe_mlp(const struct text *text)
{
    const struct loam_family *family = text->family;
    const bool fused = find_linear(family, LOAM_GATE_UP) != NULL;
    const bool gated = fused || find_linear(family, LOAM_GATE) != NULL;
    const struct loam_config *config = text->config != NULL ? text->config : family->defaults;
    ADD("%s", fused ? "gated, gate and up in one matrix" : gated ? "gated" : "plain");
    ADD("%s", activation_names[config->activation]);
    const char *biases = describe_biases(text, LOAM_DOWN);
    if (biases != NULL) ADD("%s", biases);
    if (text->config != NULL) ADD("inner size %lld", (long long)text->config->inner);
    return LOAM_OK;
}

// ---- factors, head, targets ----

static const struct {
    const char *what;
    size_t offset;
    double neutral;
} factors[] = {
    {"embedding", offsetof(struct loam_config, embedding_factor), 1},
    {"residual branches", offsetof(struct loam_config, residual_factor), 1},
    {"scores", offsetof(struct loam_config, attention_factor), 0},
    {"soft-cap of the scores", offsetof(struct loam_config, attention_softcap), 0},
    {"logits", offsetof(struct loam_config, logit_factor), 1},
    {"soft-cap of the logits", offsetof(struct loam_config, logit_softcap), 0},
};

static bool has_factor(const struct loam_family *family, size_t offset)
{
    const bool embedding = offset == offsetof(struct loam_config, embedding_factor);
    return has_key(family, offset) || (embedding && family->rounds_embedding_factor);
}

static enum loam_status describe_factors(const struct text *text)
{
    for (size_t i = 0; i < sizeof factors / sizeof factors[0]; i++) {
        double value;
        if (text->config == NULL && has_factor(text->family, factors[i].offset)) ADD("%s", factors[i].what);
        if (text->config == NULL) continue;
        memcpy(&value, (const char *)text->config + factors[i].offset, sizeof value);
        if (value != factors[i].neutral && value != 0) ADD("%s %g", factors[i].what, value);
    }
    return LOAM_OK;
}

static enum loam_status describe_head(const struct text *text)
{
    const bool bias = find_row(text->family, LOAM_ROLE_HEAD, -1, LOAM_WEIGHT_BIAS) != NULL;
    ADD("%s", text->config == NULL      ? "the embedding or its own"
              : text->config->tied_head ? "the embedding"
                                        : "its own");
    if (bias) ADD("with a bias");
    return LOAM_OK;
}

static enum loam_status describe_targets(const struct text *text)
{
    const char *const *names = text->family->default_targets;
    if (names == NULL) return add(text, "all-linear (PEFT has no default)");
    for (; *names != NULL; names++)
        ADD("%s", *names);
    return LOAM_OK;
}

// ---- the whole ----

static const struct {
    const char *name;
    enum loam_status (*describe)(const struct text *text);
} traits[LOAM_TRAIT_COUNT] = {
    [LOAM_TRAIT_NORMS] = {"norms", describe_norms},
    [LOAM_TRAIT_POSITIONS] = {"positions", describe_positions},
    [LOAM_TRAIT_ATTENTION] = {"attention", describe_attention},
    [LOAM_TRAIT_WINDOWS] = {"windows", describe_windows},
    [LOAM_TRAIT_MLP] = {"mlp", describe_mlp},
    [LOAM_TRAIT_FACTORS] = {"factors", describe_factors},
    [LOAM_TRAIT_HEAD] = {"head", describe_head},
    [LOAM_TRAIT_TARGETS] = {"targets", describe_targets},
};

const char *loam_trait_name(enum loam_trait trait)
{
    return traits[trait].name;
}

enum loam_status loam_describe_trait(const struct loam_family *family, const struct loam_config *config,
                                     enum loam_trait trait, struct loam_bytes *out, struct loam_error *error)
{
    const struct text text = {
        .family = family, .config = config, .out = out, .begin = out->size, .error = error};
    LOAM_TRY(traits[trait].describe(&text));
    return out->size > text.begin ? LOAM_OK : loam_bytes_append_text(out, "none", error);
}
