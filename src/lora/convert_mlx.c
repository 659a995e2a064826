// Adapters of mlx-lm: adapter_config.json with "lora_parameters", and adapters.safetensors with lora_a [in, r], lora_b
// [r, out] and, for DoRA, m [out]. The update is scale lora_bT lora_aT.
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/heap.h"
#include "base/json.h"
#include "io/atomic.h"
#include "lora/conversion.h"

static const char config_name[] = "adapter_config.json";
static const char weights_name[] = "adapters.safetensors";

// ---- names ----

// Families whose modules mlx-lm calls otherwise, and families that it does not have.
static const struct {
    const char *model_type;
    const char *ours;     // start of the path of a layer
    const char *mlx_name; // NULL: mlx-lm has no such model
} renamed[] = {
    {"gpt2", "transformer.h.", "model.h."},
    {"gpt_neox", "gpt_neox.layers.", "model.h."},
    {"bloom", NULL, NULL},
    {"falcon", NULL, NULL},
    {"gptj", NULL, NULL},
    {"mpt", NULL, NULL},
    {"opt", NULL, NULL},
};

static enum loam_status check_family(const struct loam_conversion *conversion, struct loam_error *error)
{
    const struct loam_config *config = &conversion->model->config;
    const char *type = config->family->model_type;
    if (config->multimodal != NULL)
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                         "the model is multimodal: mlx-lm's names of its text part are not known");
    for (size_t i = 0; i < sizeof renamed / sizeof renamed[0]; i++)
        if (renamed[i].mlx_name == NULL && strcmp(renamed[i].model_type, type) == 0)
            return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                             "mlx-lm has no %s model: no adapter of it has mlx-lm's form", type);
    return LOAM_OK;
}

// Returns mlx-lm's path of a module, released with free().
static char *rename_path(const struct loam_conversion *conversion, const char *path, struct loam_error *error)
{
    const char *type = conversion->model->config.family->model_type;
    for (size_t i = 0; i < sizeof renamed / sizeof renamed[0]; i++) {
        if (renamed[i].mlx_name == NULL || strcmp(renamed[i].model_type, type) != 0) continue;
        const size_t size = strlen(renamed[i].ours);
        if (strncmp(path, renamed[i].ours, size) == 0)
            return loam_format(error, "%s%s", renamed[i].mlx_name, path + size);
    }
    return loam_strdup(path, error);
}

// ---- reading ----

struct parameters {
    double scale;
    int64_t rank;
    bool dora;
};

static enum loam_status read_type(const json_t *root, const char *path, bool *dora, struct loam_error *error)
{
    const char *type = "lora";
    LOAM_TRY(loam_json_get_string(root, path, "fine_tune_type", &type, error));
    *dora = strcmp(type, "dora") == 0;
    if (*dora || strcmp(type, "lora") == 0) return LOAM_OK;
    return loam_fail(
        error, LOAM_ERROR_UNSUPPORTED,
        "%s: \"fine_tune_type\" is \"%.40s\"; expected lora or dora: whole weights are no adapter", path,
        type);
}

static enum loam_status read_parameters(struct loam_conversion *conversion, const json_t *root,
                                        const char *path, struct parameters *parameters,
                                        struct loam_error *error)
{
    const struct loam_callbacks *callbacks = conversion->settings->callbacks;
    const struct loam_log *log = callbacks == NULL ? NULL : &callbacks->log;
    const json_t *lora = json_object_get(root, "lora_parameters");
    if (!json_is_object(lora))
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s has no \"lora_parameters\" object, which an adapter of mlx-lm has", path);
    if (json_object_get(lora, "alpha") != NULL)
        loam_log_write(
            log, LOAM_LOG_WARNING,
            "%s: \"alpha\" in \"lora_parameters\" is passed over, as in mlx-lm: since June 2024 \"scale\" "
            "alone counts",
            path);
    LOAM_TRY(read_type(root, path, &parameters->dora, error));
    LOAM_TRY(loam_json_get_double(lora, path, "scale", &parameters->scale, error));
    LOAM_TRY(loam_json_get_int(lora, path, "rank", &parameters->rank, error));
    LOAM_TRY(loam_json_get_double(lora, path, "dropout", &conversion->config.dropout, error));
    if (loam_lora_dropout_valid(conversion->config.dropout)) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s: \"dropout\" is %g; expected 0 or more and less than 1",
                     path, conversion->config.dropout);
}

static enum loam_status load_parameters(struct loam_conversion *conversion, struct parameters *parameters,
                                        struct loam_error *error)
{
    *parameters = (struct parameters){.scale = NAN};
    char *path = loam_path_join(conversion->settings->path, config_name, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    json_t *root = NULL;
    enum loam_status status = loam_json_load(&root, path, error);
    if (status == LOAM_OK) status = read_parameters(conversion, root, path, parameters, error);
    json_decref(root);
    free(path);
    conversion->config.dora = parameters->dora;
    return status;
}

// Finds the magnitude of a module with DoRA.
static enum loam_status find_magnitude(const struct loam_conversion *conversion, const char *name, bool *used,
                                       struct loam_converted_part *part, struct loam_error *error)
{
    char *full = loam_format(error, "%s.m", name);
    if (full == NULL) return LOAM_ERROR_MEMORY;
    part->magnitude = loam_container_find(conversion->file, full);
    enum loam_status status = LOAM_OK;
    if (part->magnitude == NULL)
        status =
            loam_fail(error, LOAM_ERROR_FORMAT, "%s: %s is missing, which \"fine_tune_type\" dora asks for",
                      conversion->settings->path, full);
    else
        used[part->magnitude - loam_container_at(conversion->file, 0)] = true;
    free(full);
    return status;
}

static enum loam_status read_module(struct loam_conversion *conversion, const struct loam_linear *linear,
                                    const struct parameters *parameters, bool *used, struct loam_error *error)
{
    static const char *const ends[] = {".lora_a", ".lora_b"};
    struct loam_converted_part part = {.linear = linear};
    char *name = rename_path(conversion, linear->path, error);
    if (name == NULL) return error->status;
    enum loam_status status = loam_conversion_find_pair(conversion, name, ends, used, &part, error);
    if (status == LOAM_OK && part.a != NULL && parameters->dora)
        status = find_magnitude(conversion, name, used, &part, error);
    free(name);
    if (status != LOAM_OK || part.a == NULL) return status;
    part.rank = part.a->rank == 2 ? part.a->shape[1] : 0;
    return loam_conversion_add(conversion, &part, parameters->scale, error);
}

static enum loam_status read_modules(struct loam_conversion *conversion, const struct parameters *parameters,
                                     struct loam_error *error)
{
    const struct loam_linear *linear;
    bool *used = loam_calloc(loam_container_count(conversion->file), sizeof *used, error);
    if (used == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = LOAM_OK;
    for (size_t i = 0; status == LOAM_OK && (linear = loam_model_linear_at(conversion->model, i)) != NULL;
         i++)
        status = read_module(conversion, linear, parameters, used, error);
    if (status == LOAM_OK) status = loam_conversion_check_used(conversion, used, error);
    free(used);
    return status;
}

enum loam_status loam_conversion_read_mlx(struct loam_conversion *conversion, struct loam_error *error)
{
    struct parameters parameters;
    LOAM_TRY(check_family(conversion, error));
    LOAM_TRY(load_parameters(conversion, &parameters, error));
    char *path = loam_path_join(conversion->settings->path, weights_name, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = loam_container_open_file(&conversion->file, path, error);
    free(path);
    return status == LOAM_OK ? read_modules(conversion, &parameters, error) : status;
}

// ---- writing ----

// The path of a module below its layer: "self_attn.q_proj".
static const char *key_of(const char *path)
{
    for (const char *dot = strchr(path, '.'); dot != NULL; dot = strchr(dot + 1, '.')) {
        const size_t digits = strspn(dot + 1, "0123456789");
        if (digits > 0 && dot[1 + digits] == '.') return dot + digits + 2;
    }
    return path;
}

// The keys of the modules, each once.
static json_t *list_keys(const struct loam_made_adapter *made)
{
    json_t *keys = json_array();
    for (size_t i = 0; i < made->count; i++) {
        const char *key = key_of(made->modules[i].path);
        bool there = false;
        for (size_t j = 0; j < i && !there; j++)
            there = strcmp(key_of(made->modules[j].path), key) == 0;
        if (!there) loam_json_push(&keys, json_string(key));
    }
    return keys;
}

// mlx-lm makes LoRA layers for every key in the last num_layers layers; those without tensors here add nothing.
static enum loam_status write_config(const struct loam_conversion *conversion,
                                     const struct loam_made_adapter *made, const char *directory,
                                     struct loam_error *error)
{
    char *path = loam_path_join(directory, config_name, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    struct loam_bytes text = {0};
    json_t *root = json_pack("{s:s, s:s, s:i, s:{s:f, s:o, s:i, s:f}}", "fine_tune_type",
                             made->dora ? "dora" : "lora", "model", conversion->settings->base_model,
                             "num_layers", (int)conversion->model->config.layers, "lora_parameters",
                             "dropout", conversion->config.dropout, "keys", list_keys(made), "rank",
                             (int)made->modules[0].rank, "scale", made->modules[0].scale);
    enum loam_status status =
        loam_json_append(&text, root, JSON_INDENT(4) | JSON_SORT_KEYS | JSON_REAL_PRECISION(9), error);
    json_decref(root);
    if (status == LOAM_OK) status = loam_atomic_write_file(path, text.data, text.size, error);
    loam_bytes_deinit(&text);
    free(path);
    return status;
}

static char *name_tensor(void *user, const char *path, int part, struct loam_error *error)
{
    static const char *const ends[LOAM_PART_COUNT] = {
        [LOAM_PART_A] = "lora_a", [LOAM_PART_B] = "lora_b", [LOAM_PART_MAGNITUDE] = "m"};
    char *renamed_path = rename_path(user, path, error);
    if (renamed_path == NULL) return NULL;
    char *name = loam_format(error, "%s.%s", renamed_path, ends[part]);
    free(renamed_path);
    return name;
}

static enum loam_status finish_directory(void *user, const struct loam_made_adapter *made,
                                         const char *directory, struct loam_error *error)
{
    return write_config(user, made, directory, error);
}

// Gives every module the largest rank and the scale of the first, because mlx-lm has one of each: the added columns are
// zero, and B takes the quotient of the scales.
static void make_equal(struct loam_conversion *conversion)
{
    const double scale = conversion->modules[0].scale;
    int64_t most = 0;
    for (size_t i = 0; i < conversion->count; i++)
        if (conversion->parts[i].rank > most) most = conversion->parts[i].rank;
    for (size_t i = 0; i < conversion->count; i++) {
        struct loam_made_module *module = &conversion->modules[i];
        conversion->parts[i].factor = module->scale / scale;
        module->rank = most;
        module->scale = scale;
    }
}

enum loam_status loam_conversion_write_mlx(struct loam_conversion *conversion,
                                           const struct loam_made_adapter *made, struct loam_error *error)
{
    const struct loam_convert_settings *settings = conversion->settings;
    LOAM_TRY(check_family(conversion, error));
    make_equal(conversion);
    const struct loam_made_form form = {.weights = weights_name,
                                        .last = config_name,
                                        .transposed = true,
                                        .name = name_tensor,
                                        .finish = finish_directory,
                                        .user = conversion};
    return loam_made_adapter_write_as(made, &form, settings->out, settings->overwrite, settings->callbacks,
                                      error);
}
