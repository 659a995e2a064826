#include "lora/adapter.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "lora/target_names.h"
#include "model/multimodal.h"

static const char *last_component(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot != NULL ? dot + 1 : path;
}

// Lists the last components of the model's linear paths, which may be given as targets.
static enum loam_status list_linear_names(struct loam_targets *names, const struct loam_model *model,
                                          struct loam_error *error)
{
    const char **all = loam_calloc(model->linear_count, sizeof *all, error);
    if (all == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < model->linear_count; i++)
        all[i] = last_component(loam_model_linear_at(model, i)->path);
    enum loam_status status = loam_targets_init_list(names, all, model->linear_count, error);
    free(all);
    return status;
}

static enum loam_status fail_no_match(const struct loam_model *model, const char *target,
                                      struct loam_error *error)
{
    struct loam_targets names = {0};
    struct loam_bytes text = {0};
    enum loam_status status = list_linear_names(&names, model, error);
    if (status == LOAM_OK) status = loam_targets_describe(&names, &text, error);
    if (status == LOAM_OK) {
        status = loam_fail(error, LOAM_ERROR_ARGUMENT,
                           "target modules: \"%s\" matches no linear module of this model; it has: %s; and "
                           "%s, %s",
                           target, text.data, last_component(model->head.path),
                           last_component(model->embedder.path));
    }
    loam_bytes_deinit(&text);
    loam_targets_deinit(&names);
    return status;
}

// ---- parts ----

// The names of PEFT after the path of the module. NULL: PEFT has no such part.
static const char *const part_names[LOAM_PART_COUNT] = {
    [LOAM_PART_A] = "lora_A.weight",
    [LOAM_PART_B] = "lora_B.weight",
    [LOAM_PART_MAGNITUDE] = "lora_magnitude_vector",
    [LOAM_PART_BIAS] = "lora_B.bias",
};
static const char *const embedding_part_names[LOAM_PART_COUNT] = {
    [LOAM_PART_A] = "lora_embedding_B",
    [LOAM_PART_B] = "lora_embedding_A",
    [LOAM_PART_MAGNITUDE] = "lora_magnitude_vector",
};

char *loam_adapter_part_name(const char *path, int part, struct loam_error *error)
{
    return loam_format(error, "base_model.model.%s.%s", path, part_names[part]);
}

struct loam_tensor *loam_adapted_value(const struct loam_adapted *item, int part)
{
    struct loam_lora_slot *slot = item->slot;
    struct loam_tensor *const values[] = {&slot->a, &slot->b, &slot->magnitude, &slot->bias};
    return values[part];
}

struct loam_tensor *loam_adapted_gradient(const struct loam_adapted *item, int part)
{
    struct loam_lora_slot *slot = item->slot;
    struct loam_tensor *const gradients[] = {&slot->da, &slot->db, &slot->dmagnitude, &slot->dbias};
    return gradients[part];
}

// The file has the matrices of an embedding transposed.
static bool is_transposed(const struct loam_adapted *item, int part)
{
    return item->is_embedding && part != LOAM_PART_MAGNITUDE;
}

int64_t loam_adapted_outputs(const struct loam_adapted *item)
{
    return item->is_embedding ? item->linear->in : item->linear->out;
}

struct loam_tensor loam_adapted_file_shape(const struct loam_adapted *item, int part)
{
    const struct loam_tensor value = *loam_adapted_value(item, part);
    return is_transposed(item, part) ? loam_tensor_2d(NULL, LOAM_F32, value.shape[1], value.shape[0]) : value;
}

// target [columns, rows] = the transpose of source [rows, columns]
static void copy_transposed(float *target, const float *source, int64_t rows, int64_t columns)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            target[j * rows + i] = source[i * columns + j];
}

void loam_adapted_copy_to_file(const struct loam_adapted *item, int part, float *file, const float *values)
{
    const struct loam_tensor *value = loam_adapted_value(item, part);
    if (is_transposed(item, part))
        copy_transposed(file, values, value->shape[0], value->shape[1]);
    else
        memcpy(file, values, loam_tensor_bytes(value));
}

void loam_adapted_copy_from_file(const struct loam_adapted *item, int part, float *values, const float *file)
{
    const struct loam_tensor *value = loam_adapted_value(item, part);
    if (is_transposed(item, part))
        copy_transposed(values, file, value->shape[1], value->shape[0]);
    else
        memcpy(values, file, loam_tensor_bytes(value));
}

size_t loam_adapter_tensors(const struct loam_adapter *adapter)
{
    size_t count = 0;
    for (size_t i = 0; i < adapter->count; i++)
        for (int part = 0; part < LOAM_PART_COUNT; part++)
            count += adapter->items[i].parts[part].name != NULL;
    for (size_t i = 0; i < adapter->replaced_count; i++)
        count += adapter->replaced[i].tied_name != NULL ? 2 : 1;
    return count + adapter->token_count;
}

static enum loam_status name_parts(struct loam_adapted *item, struct loam_error *error)
{
    const char *const *names = item->is_embedding ? embedding_part_names : part_names;
    for (int part = 0; part < LOAM_PART_COUNT; part++) {
        if (part == LOAM_PART_MAGNITUDE && !item->slot->dora) continue;
        if (part == LOAM_PART_BIAS && item->slot->bias.rank == 0) continue;
        if (names[part] == NULL) continue;
        item->parts[part].name =
            loam_format(error, "base_model.model.%s.%s", item->linear->path, names[part]);
        if (item->parts[part].name == NULL) return LOAM_ERROR_MEMORY;
    }
    return LOAM_OK;
}

static enum loam_status check_embedding(const struct loam_adapter_config *config,
                                        const struct loam_linear *linear, struct loam_error *error)
{
    if (!config->lora_bias) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                     "lora_bias of an embedding (%s), which PEFT does not have: leave %s out", linear->path,
                     linear->path);
}

static enum loam_status add_module(struct loam_adapter *adapter, const struct loam_linear *linear,
                                   struct loam_error *error)
{
    struct loam_adapter_config *config = &adapter->config;
    int rank;
    double scale;
    if ((linear->weight->row->flags & LOAM_WEIGHT_TRANSPOSED) != 0) config->fan_in_fan_out = true;
    LOAM_TRY(loam_adapter_config_module(config, linear->path, &rank, &scale, error));
    struct loam_adapted *item = &adapter->items[adapter->count];
    *item = (struct loam_adapted){.linear = linear,
                                  .slot = &adapter->slots.slots[linear->index],
                                  .is_embedding = linear == &adapter->model->embedder};
    if (item->is_embedding) LOAM_TRY(check_embedding(config, linear, error));
    const struct loam_tensor magnitude = loam_tensor_1d(NULL, LOAM_F32, loam_adapted_outputs(item));
    *item->slot = (struct loam_lora_slot){
        .rank = rank,
        .scale = (float)scale,
        .dropout = (float)config->dropout,
        .index = (uint32_t)adapter->count,
        .a = loam_tensor_2d(NULL, LOAM_F32, rank, linear->in),
        .b = loam_tensor_2d(NULL, LOAM_F32, linear->out, rank),
        .da = loam_tensor_2d(NULL, LOAM_F32, rank, linear->in),
        .db = loam_tensor_2d(NULL, LOAM_F32, linear->out, rank),
        .dora = config->dora,
        .magnitude = magnitude,
        .dmagnitude = magnitude,
    };
    if (config->lora_bias) item->slot->bias = item->slot->dbias = loam_tensor_1d(NULL, LOAM_F32, linear->out);
    adapter->count++;
    return name_parts(item, error);
}

static enum loam_status check_entries(const struct loam_adapter *adapter, struct loam_error *error)
{
    const struct loam_targets *targets = &adapter->config.targets;
    const struct loam_linear *linear;
    for (size_t i = 0; i < targets->count; i++) {
        bool found = false;
        for (size_t j = 0; (linear = loam_model_module_at(adapter->model, j)) != NULL && !found; j++)
            found = loam_target_entry_matches(targets->entries[i], linear->path);
        if (!found) return fail_no_match(adapter->model, targets->entries[i], error);
    }
    return LOAM_OK;
}

// PEFT's warning: adapters of a tied embedding and of its head differ.
static enum loam_status note_tied(struct loam_adapter *adapter, struct loam_error *error)
{
    const struct loam_model *model = adapter->model;
    const struct loam_linear *const tied[] = {&model->embedder, &model->head};
    if (!loam_model_head_is_tied(model) || adapter->ties) return LOAM_OK;
    for (size_t i = 0; i < 2; i++)
        if (adapter->slots.slots[tied[i]->index].rank > 0)
            return loam_adapter_config_note(
                &adapter->config, error,
                "%s is adapted and shares its weight with %s: a merge gives each a weight of its own",
                tied[i]->path, tied[1 - i]->path);
    return LOAM_OK;
}

// A part of the weight cannot be taken from one of two modules that share it.
static enum loam_status check_taken(const struct loam_adapter *adapter, struct loam_error *error)
{
    const struct loam_model *model = adapter->model;
    if (!loam_lora_init_takes(&adapter->config.init) || !loam_model_head_is_tied(model) ||
        adapter->slots.slots[model->head.index].rank == 0)
        return LOAM_OK;
    return loam_fail(
        error, LOAM_ERROR_UNSUPPORTED,
        "initial weights that change the base (pissa, olora) for %s, which shares its weight with "
        "%s: choose others, or leave %s out",
        model->head.path, model->embedder.path, model->head.path);
}

// Adds notices about settings without effect.
static enum loam_status note_unused(struct loam_adapter *adapter, struct loam_error *error)
{
    struct loam_module_size *sizes = loam_calloc(adapter->count, sizeof *sizes, error);
    if (sizes == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < adapter->count; i++) {
        const struct loam_linear *linear = adapter->items[i].linear;
        sizes[i] =
            (struct loam_module_size){linear->path, adapter->items[i].slot->rank, linear->in, linear->out};
    }
    enum loam_status status = loam_adapter_config_note_unused(&adapter->config, sizes, adapter->count, error);
    free(sizes);
    return status;
}

// Replaces an expression or "all-linear" by the list of linears that it matched. PEFT also matches
// expressions against modules that are not linear, and refuses these. In a multimodal model a list is replaced, too: it
// may name modules of other parts.
static enum loam_status name_targets(struct loam_adapter *adapter, struct loam_error *error)
{
    struct loam_targets *targets = &adapter->config.targets;
    if (targets->kind == LOAM_TARGET_LIST && adapter->model->config.multimodal == NULL) return LOAM_OK;
    const struct loam_linear **adapted = loam_calloc(adapter->count, sizeof *adapted, error);
    if (adapted == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < adapter->count; i++)
        adapted[i] = adapter->items[i].linear;
    struct loam_targets names;
    enum loam_status status = loam_targets_name(&names, adapter->model, adapted, adapter->count, error);
    free(adapted);
    if (status != LOAM_OK) return status;
    loam_targets_deinit(targets);
    *targets = names;
    return LOAM_OK;
}

static bool has_exclusions(const struct loam_adapter_config *config)
{
    return config->excluded.kind == LOAM_TARGET_PATTERN || config->excluded.count > 0;
}

static bool narrows_targets(const struct loam_adapter_config *config)
{
    return has_exclusions(config) || config->layers.count > 0 || config->saved.count > 0;
}

static const char *name_target(const struct loam_targets *targets, const char *path)
{
    for (size_t i = 0; i < targets->count; i++)
        if (loam_target_entry_matches(targets->entries[i], path)) return targets->entries[i];
    return targets->pattern;
}

// Whether a target beyond the layers is adapted. "all-linear" leaves out the head, as in PEFT, and an embedding is
// not linear. Of an opened adapter, the file decides.
static enum loam_status adapts_beyond(struct loam_adapter *adapter, const struct loam_linear *module,
                                      const struct loam_stored_adapter *stored, bool *adapts,
                                      struct loam_error *error)
{
    struct loam_adapter_config *config = &adapter->config;
    *adapts = false;
    if (config->targets.kind == LOAM_TARGET_ALL_LINEAR) return LOAM_OK;
    *adapts = stored == NULL;
    for (size_t i = 0; stored != NULL && i < stored->count && !*adapts; i++)
        *adapts = loam_same_module(stored->modules[i].path, module->path);
    if (*adapts) return LOAM_OK;
    return loam_adapter_config_note(config, error,
                                    "target modules: \"%s\" names %s too, which stays as it is",
                                    name_target(&config->targets, module->path), module->path);
}

static enum loam_status add_modules(struct loam_adapter *adapter, const struct loam_stored_adapter *stored,
                                    struct loam_error *error)
{
    struct loam_adapter_config *config = &adapter->config;
    const struct loam_linear *linear;
    config->excludes_none = has_exclusions(config);
    for (size_t i = 0; (linear = loam_model_module_at(adapter->model, i)) != NULL; i++) {
        bool excluded = false, adapts = false;
        LOAM_TRY(loam_targets_match(&config->excluded, linear->path, &excluded, error));
        LOAM_TRY(loam_adapter_config_adapts(config, linear->path, &adapts, error));
        if (excluded) config->excludes_none = false;
        if (linear->index >= adapter->model->linear_count && adapter->ties)
            adapts = true;
        else if (adapts && linear->index >= adapter->model->linear_count)
            LOAM_TRY(adapts_beyond(adapter, linear, stored, &adapts, error));
        if (adapts) LOAM_TRY(add_module(adapter, linear, error));
    }
    return LOAM_OK;
}

static enum loam_status match_targets(struct loam_adapter *adapter, const struct loam_stored_adapter *stored,
                                      struct loam_error *error)
{
    struct loam_targets *targets = &adapter->config.targets;
    LOAM_TRY(loam_tied_settle(adapter, stored, error));
    LOAM_TRY(add_modules(adapter, stored, error));
    if (stored == NULL) LOAM_TRY(check_entries(adapter, error));
    if (adapter->count == 0 && narrows_targets(&adapter->config))
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "no linear module is left: exclude_modules, modules_to_save and layers_to_transform "
                         "leave out all that target_modules names");
    if (adapter->count == 0) {
        struct loam_bytes text = {0};
        enum loam_status status = loam_targets_describe(targets, &text, error);
        if (status == LOAM_OK) status = fail_no_match(adapter->model, text.data, error);
        loam_bytes_deinit(&text);
        return status;
    }
    LOAM_TRY(loam_adapter_attach_tokens(adapter, error));
    LOAM_TRY(check_taken(adapter, error));
    LOAM_TRY(loam_tied_check(adapter, error));
    LOAM_TRY(note_tied(adapter, error));
    LOAM_TRY(note_unused(adapter, error));
    const bool expression = targets->kind == LOAM_TARGET_PATTERN;
    LOAM_TRY(name_targets(adapter, error));
    return loam_tied_write(adapter, expression, error);
}

static enum loam_status allocate_items(struct loam_adapter *adapter, struct loam_error *error)
{
    const size_t modules = adapter->model->module_count;
    adapter->items = loam_calloc(modules, sizeof *adapter->items, error);
    adapter->slots.slots = loam_calloc(modules, sizeof *adapter->slots.slots, error);
    if (adapter->items == NULL || adapter->slots.slots == NULL) return LOAM_ERROR_MEMORY;
    adapter->slots.count = modules;
    adapter->whole = (struct loam_segment){.adapter = &adapter->slots, .rows = LOAM_ALL_ROWS, .factor = 1.0f};
    return LOAM_OK;
}

enum loam_status loam_adapter_attach(struct loam_adapter **out, const struct loam_model *model,
                                     struct loam_adapter_config *config,
                                     const struct loam_stored_adapter *stored, struct loam_error *error)
{
    *out = NULL;
    struct loam_adapter *adapter = loam_calloc(1, sizeof *adapter, error);
    if (adapter == NULL) {
        loam_adapter_config_deinit(config);
        return LOAM_ERROR_MEMORY;
    }
    adapter->model = model;
    adapter->config = *config;
    adapter->config.fresh = stored == NULL;
    *config = (struct loam_adapter_config){0};
    enum loam_status status = allocate_items(adapter, error);
    if (status == LOAM_OK) status = match_targets(adapter, stored, error);
    if (status == LOAM_OK) status = loam_replaced_match(adapter, stored == NULL, error);
    if (status != LOAM_OK) {
        loam_adapter_destroy(adapter);
        return status;
    }
    *out = adapter;
    return LOAM_OK;
}

enum loam_status loam_adapter_register(struct loam_adapter *adapter, struct loam_trainables *set,
                                       struct loam_error *error)
{
    adapter->set = set;
    for (size_t i = 0; i < adapter->count; i++) {
        struct loam_adapted *item = &adapter->items[i];
        item->slot->norms.data = NULL; // training changes them
        for (int p = 0; p < LOAM_PART_COUNT; p++) {
            struct loam_adapted_part *part = &item->parts[p];
            if (part->name == NULL) continue;
            LOAM_TRY(loam_trainables_add(set, part->name, *loam_adapted_value(item, p), p != LOAM_PART_BIAS,
                                         &part->index, error));
            if (loam_tied_part(adapter, item, p))
                loam_trainables_share(set, part->index, loam_tied_embedding(adapter)->parts[p].index);
        }
    }
    LOAM_TRY(loam_adapter_register_tokens(adapter, set, error));
    return loam_replaced_register(adapter, error);
}

void loam_adapter_point(struct loam_adapter *adapter)
{
    loam_adapter_point_tokens(adapter);
    for (size_t i = 0; i < adapter->count; i++) {
        const struct loam_adapted *item = &adapter->items[i];
        for (int p = 0; p < LOAM_PART_COUNT; p++) {
            if (item->parts[p].name == NULL) continue;
            const struct loam_trainable *trainable = &adapter->set->items[item->parts[p].index];
            *loam_adapted_value(item, p) = trainable->value;
            *loam_adapted_gradient(item, p) = trainable->grad;
        }
    }
    loam_replaced_point(adapter);
}

void loam_adapter_unregister(struct loam_adapter *adapter)
{
    adapter->set = NULL;
    loam_adapter_unregister_tokens(adapter);
    for (size_t i = 0; i < adapter->count; i++)
        for (int p = 0; p < LOAM_PART_COUNT; p++)
            loam_adapted_gradient(&adapter->items[i], p)->data = NULL;
    loam_replaced_unregister(adapter);
}

static enum loam_status check_settings(const struct loam_lora_settings *settings, struct loam_error *error)
{
    if (settings->rank < 1) {
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "LoRA rank is %d; it must be at least 1 (--lora-r)",
                         settings->rank);
    }
    if (settings->rank > LOAM_LARGEST_RANK) {
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "LoRA rank is %d; it can be %d at most (--lora-r)",
                         settings->rank, LOAM_LARGEST_RANK);
    }
    if (!(settings->alpha > 0) || !isfinite(settings->alpha)) {
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "LoRA alpha is %g; it must be above 0 (--lora-alpha)",
                         settings->alpha);
    }
    if (!loam_lora_dropout_valid(settings->dropout)) {
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "LoRA dropout is %.9g; it must be 0 or more and less than 1, in single precision "
                         "too (--lora-dropout)",
                         settings->dropout);
    }
    return LOAM_OK;
}

static enum loam_status init_default_targets(struct loam_adapter_config *config,
                                             const struct loam_family *family, struct loam_error *error)
{
    struct loam_targets *targets = &config->targets;
    size_t count = 0;
    if (family->default_targets == NULL) {
        LOAM_TRY(
            loam_adapter_config_note(config, error,
                                     "no --target-modules, and PEFT has no default for %s models: all linear "
                                     "modules of the layers are adapted",
                                     family->model_type));
        return loam_targets_parse(targets, "all-linear", error);
    }
    while (family->default_targets[count] != NULL)
        count++;
    return loam_targets_init_list(targets, family->default_targets, count, error);
}

static enum loam_status parse_targets(struct loam_adapter_config *config,
                                      const struct loam_lora_settings *settings,
                                      const struct loam_family *family, struct loam_error *error)
{
    if (settings->target_modules == NULL)
        LOAM_TRY(init_default_targets(config, family, error));
    else
        LOAM_TRY(loam_targets_parse(&config->targets, settings->target_modules, error));
    if (settings->exclude_modules != NULL)
        LOAM_TRY(loam_targets_parse(&config->excluded, settings->exclude_modules, error));
    if (settings->modules_to_save != NULL)
        LOAM_TRY(loam_targets_parse_list(&config->saved, settings->modules_to_save, error));
    LOAM_TRY(loam_layer_choice_parse(&config->layers, settings->layers_to_transform, settings->layers_pattern,
                                     error));
    return loam_adapter_config_check_layers(config, error);
}

static enum loam_status parse_settings(struct loam_adapter_config *config,
                                       const struct loam_lora_settings *settings,
                                       const struct loam_family *family, struct loam_error *error)
{
    LOAM_TRY(check_settings(settings, error));
    config->rank = settings->rank;
    config->alpha = settings->alpha;
    config->dropout = settings->dropout;
    LOAM_TRY(loam_lora_init_parse(&config->init, settings->init, error));
    config->rslora = settings->rslora;
    config->dora = settings->dora;
    config->lora_bias = settings->lora_bias;
    LOAM_TRY(loam_token_choice_parse(&config->trained_tokens, settings->trained_tokens, error));
    config->bias = settings->bias;
    config->ensure_weight_tying = settings->ensure_weight_tying;
    if (settings->rank_pattern != NULL)
        LOAM_TRY(loam_module_values_parse(&config->ranks, settings->rank_pattern, "rank_pattern",
                                          LOAM_LARGEST_RANK, true, error));
    if (settings->alpha_pattern != NULL)
        LOAM_TRY(loam_module_values_parse(&config->alphas, settings->alpha_pattern, "alpha_pattern", DBL_MAX,
                                          false, error));
    LOAM_TRY(parse_targets(config, settings, family, error));
    return loam_adapter_config_check_init(config, error);
}

enum loam_status loam_adapter_create(struct loam_adapter **out, const struct loam_model *model,
                                     const struct loam_lora_settings *settings, struct loam_trainables *set,
                                     struct loam_error *error)
{
    *out = NULL;
    struct loam_adapter_config config = {0};
    enum loam_status status = parse_settings(&config, settings, model->config.family, error);
    if (status != LOAM_OK) {
        loam_adapter_config_deinit(&config);
        return status;
    }
    struct loam_adapter *adapter;
    LOAM_TRY(loam_adapter_attach(&adapter, model, &config, NULL, error));
    status = set != NULL ? loam_adapter_register(adapter, set, error) : LOAM_OK;
    if (status != LOAM_OK) {
        loam_adapter_destroy(adapter);
        return status;
    }
    *out = adapter;
    return LOAM_OK;
}

void loam_adapter_destroy(struct loam_adapter *adapter)
{
    if (adapter == NULL) return;
    for (size_t i = 0; i < adapter->count; i++) {
        for (int p = 0; p < LOAM_PART_COUNT; p++)
            // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): without items the count is 0.
            free(adapter->items[i].parts[p].name);
    }
    loam_adapter_free_tokens(adapter);
    loam_replaced_deinit(adapter);
    free(adapter->items);
    free(adapter->slots.slots);
    free(adapter->taken);
    if (adapter->taken_device != NULL) loam_device_arena_deinit(adapter->taken_device, &adapter->taken_arena);
    if (adapter->device != NULL) loam_device_arena_deinit(adapter->device, &adapter->arena);
    if (adapter->norms_device != NULL) loam_device_arena_deinit(adapter->norms_device, &adapter->norms);
    loam_stored_adapter_close(&adapter->stored);
    loam_adapter_config_deinit(&adapter->config);
    free(adapter);
}

const struct loam_adapter_slots *loam_adapter_slots(const struct loam_adapter *adapter)
{
    return &adapter->slots;
}

struct loam_segments loam_adapter_segments(const struct loam_adapter *adapter)
{
    if (adapter == NULL) return (struct loam_segments){0};
    return (struct loam_segments){&adapter->whole, 1};
}

void loam_adapter_set_rates(const struct loam_adapter *adapter, double ratio, double embedding)
{
    struct loam_trainables *set = adapter->set;
    for (size_t i = 0; set != NULL && i < set->count; i++) {
        const bool of_b = strstr(set->items[i].name, ".lora_B.") != NULL;
        if (of_b || set->items[i].value.rank == 1) set->items[i].rate = ratio;
        if (strstr(set->items[i].name, ".lora_embedding_") != NULL) set->items[i].rate = embedding;
    }
}

size_t loam_adapter_held_bytes(const struct loam_adapter *adapter)
{
    return adapter == NULL ? 0 : adapter->taken_arena.capacity + adapter->mirrors.capacity;
}

int64_t loam_adapter_parameters(const struct loam_adapter *adapter)
{
    int64_t total = 0;
    for (size_t i = 0; i < adapter->token_count; i++)
        total += loam_trained_tokens_count(&adapter->tokens[i]) * adapter->tokens[i].module->in;
    for (size_t i = 0; i < adapter->count; i++) {
        for (int p = 0; p < LOAM_PART_COUNT; p++)
            if (adapter->items[i].parts[p].name != NULL)
                total += loam_tensor_count(loam_adapted_value(&adapter->items[i], p));
    }
    for (size_t i = 0; i < adapter->replaced_count; i++)
        if (!adapter->replaced[i].frozen) total += loam_tensor_count(&adapter->replaced[i].value);
    return total;
}

const char *loam_adapter_name_beyond(const struct loam_adapter *adapter, bool magnitudes)
{
    const struct loam_model *model = adapter->model;
    const struct loam_lora_slot *slots = adapter->slots.slots;
    if (adapter->config.dora && !magnitudes) return "the magnitudes of DoRA (\"use_dora\")";
    if (adapter->config.lora_bias) return "biases of B (\"lora_bias\")";
    if (adapter->token_count > 0) return "rows of trained tokens (\"trainable_token_indices\")";
    if (adapter->replaced_count > 0) return "parameters of the model (\"modules_to_save\", \"bias\")";
    if (slots[model->embedder.index].rank > 0) return "an adapter of the embedding";
    return slots[model->head.index].rank > 0 ? "an adapter of the head" : NULL;
}

void loam_adapter_warn(const struct loam_adapter *adapter, const struct loam_log *log)
{
    loam_adapter_config_warn(&adapter->config, log);
}

struct loam_lora_settings loam_adapter_settings(const struct loam_adapter *adapter)
{
    return (struct loam_lora_settings){
        .rank = adapter->config.rank,
        .alpha = adapter->config.alpha,
        .dropout = adapter->config.dropout,
        .dora = adapter->config.dora,
        .lora_bias = adapter->config.lora_bias,
    };
}

char *loam_adapter_targets(const struct loam_adapter *adapter, struct loam_error *error)
{
    struct loam_bytes text = {0};
    if (loam_targets_describe(&adapter->config.targets, &text, error) == LOAM_OK) return text.data;
    loam_bytes_deinit(&text);
    return NULL;
}
