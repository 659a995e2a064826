// Which parameters an adapter replaces.
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "lora/adapter.h"
#include "model/multimodal.h"

static const char file_prefix[] = "base_model.model.";

// ---- tied heads ----

static const char *last_component(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot != NULL ? dot + 1 : path;
}

static size_t place_of_embedding(const struct loam_model *model)
{
    return (size_t)(model->embedding - model->parameters);
}

// The name of parameter `place`, or of a tied head, in the multimodal model that the model is a part of, by which PEFT
// matches: "model.language_model.norm.weight".
static char *name_in_whole(const struct loam_model *model, size_t place, struct loam_error *error)
{
    const char *name = place < model->parameter_count ? model->parameters[place].name
                                                      : loam_family_tied_row(model->config.family)->name;
    return loam_multimodal_module_path(model->config.multimodal, name, error);
}

static char *module_of(const char *parameter, struct loam_error *error)
{
    return loam_strndup(parameter, (size_t)(strrchr(parameter, '.') - parameter), error);
}

// Decides whether the head shares the embedding of the adapter, as PEFT does for ensure_weight_tying.
static enum loam_status settle_tying(struct loam_adapter *adapter, char *const *names, bool *shares,
                                     struct loam_error *error)
{
    struct loam_adapter_config *config = &adapter->config;
    const struct loam_model *model = adapter->model;
    *shares = false;
    if (!config->ensure_weight_tying || adapter->ties) return LOAM_OK;
    if (!model->config.tied_head)
        return loam_adapter_config_note(
            config, error, "ensure_weight_tying has no effect: the head of the model is not tied");
    // PEFT writes the embedding into the list of a tied pair. A file with both tensors was tied, whatever the names.
    const bool named = loam_tied_list_is_known(&config->saved) || config->has_tied_head;
    if (!named || !(config->fresh || loam_adapter_config_saves(config, names[place_of_embedding(model)])))
        return loam_adapter_config_note(config, error,
                                        "ensure_weight_tying has no effect: neither modules_to_save nor "
                                        "target_modules names lm_head or embed_tokens");
    *shares = true;
    char *embedding = module_of(names[place_of_embedding(model)], error);
    char *head = module_of(names[model->parameter_count], error);
    enum loam_status status = LOAM_ERROR_MEMORY;
    if (embedding != NULL && head != NULL)
        status = loam_tied_list_write(&config->saved, embedding, head, error);
    free(embedding);
    free(head);
    return status;
}

static enum loam_status note_untied(struct loam_adapter *adapter, struct loam_error *error)
{
    const struct loam_model *model = adapter->model;
    const size_t embedding = place_of_embedding(model), head = model->parameter_count;
    const struct loam_replacement **replaced = adapter->slots.replaced;
    if (!model->config.tied_head || replaced[embedding] == replaced[head]) return LOAM_OK;
    return loam_adapter_config_note(
        &adapter->config, error,
        "the model's head is tied to its embedding, and the adapter trains %s: the two are no longer tied "
        "(ensure_weight_tying keeps them tied)",
        replaced[head] == NULL        ? "the embedding alone"
        : replaced[embedding] == NULL ? "the head alone"
                                      : "both apart");
}

// ---- matching ----

static const struct loam_adapted *adapted_by(const struct loam_adapter *adapter,
                                             const struct loam_parameter *parameter)
{
    for (size_t i = 0; i < adapter->count; i++) {
        const struct loam_linear *linear = adapter->items[i].linear;
        if (linear->weight == parameter || linear->bias == parameter) return &adapter->items[i];
    }
    return NULL;
}

static bool is_bias(const struct loam_parameter *parameter)
{
    return (parameter->row->flags & LOAM_WEIGHT_BIAS) != 0;
}

char *loam_replaced_file_name(const char *parameter, const char *wrapper, struct loam_error *error)
{
    const char *last = last_component(parameter);
    return loam_format(error, "%s%.*s%s%s", file_prefix, (int)(last - parameter), parameter, wrapper, last);
}

enum loam_status loam_replaced_add(struct loam_adapter *adapter, const struct loam_parameter *parameter,
                                   size_t place, const char *name, const char *wrapper,
                                   struct loam_error *error)
{
    struct loam_replaced *item = &adapter->replaced[adapter->replaced_count];
    *item = (struct loam_replaced){.parameter = parameter,
                                   .name = loam_replaced_file_name(name, wrapper, error),
                                   .optional = is_bias(parameter) &&
                                               !loam_adapter_config_saves(&adapter->config, name),
                                   .value = parameter->value};
    if (item->name == NULL) return LOAM_ERROR_MEMORY;
    item->value.dtype = LOAM_F32;
    item->value.data = NULL;
    item->entry.gradient = item->value;
    item->of_head = place == adapter->model->parameter_count;
    adapter->slots.replaced[place] = &item->entry;
    adapter->replaced_count++;
    return LOAM_OK;
}

static enum loam_status match_parameter(struct loam_adapter *adapter, size_t place, const char *name,
                                        struct loam_error *error)
{
    const struct loam_adapter_config *config = &adapter->config;
    const struct loam_parameter *parameter = &adapter->model->parameters[place];
    const struct loam_adapted *adapted = adapted_by(adapter, parameter);
    const bool saved = loam_adapter_config_saves(config, name);
    if (saved && adapted != NULL)
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "modules_to_save names %s, which the adapter adapts: name it in one of "
                         "target_modules and modules_to_save",
                         adapted->linear->path);
    const bool bias = is_bias(parameter) && (config->bias == LOAM_BIAS_ALL ||
                                             (config->bias == LOAM_BIAS_LORA_ONLY && adapted != NULL));
    if (!saved && !bias) return LOAM_OK;
    // PEFT moves the bias of an adapted linear into a module of its own.
    return loam_replaced_add(adapter, parameter, place, name, adapted != NULL ? "base_layer." : "", error);
}

// The head of a tied model has no parameter of its own.
static enum loam_status match_tied_head(struct loam_adapter *adapter, const char *name, bool shares,
                                        struct loam_error *error)
{
    const struct loam_model *model = adapter->model;
    const size_t embedding = place_of_embedding(model), place = model->parameter_count;
    if (!model->config.tied_head) return LOAM_OK;
    if (!shares) {
        if (!loam_adapter_config_saves(&adapter->config, name)) return LOAM_OK;
        return loam_replaced_add(adapter, model->embedding, place, name, "", error);
    }
    for (size_t i = 0; i < adapter->replaced_count; i++)
        if (&adapter->replaced[i].entry == adapter->slots.replaced[embedding]) {
            adapter->replaced[i].tied_name = loam_replaced_file_name(name, "", error);
            if (adapter->replaced[i].tied_name == NULL) return LOAM_ERROR_MEMORY;
        }
    adapter->slots.replaced[place] = adapter->slots.replaced[embedding];
    return LOAM_OK;
}

// ---- names without effect ----

static enum loam_status describe_modules(const struct loam_model *model, char *const *parameters,
                                         struct loam_bytes *text, struct loam_error *error)
{
    const size_t count = model->parameter_count;
    struct loam_targets list = {0};
    char **names = loam_calloc(count, sizeof *names, error);
    enum loam_status status = names != NULL ? LOAM_OK : LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < count && status == LOAM_OK; i++) {
        names[i] = module_of(parameters[i], error);
        if (names[i] == NULL) {
            status = LOAM_ERROR_MEMORY;
        } else {
            const char *last = last_component(names[i]);
            memmove(names[i], last, strlen(last) + 1);
        }
    }
    if (status == LOAM_OK) status = loam_targets_init_list(&list, (const char *const *)names, count, error);
    if (status == LOAM_OK) status = loam_targets_describe(&list, text, error);
    for (size_t i = 0; names != NULL && i < count; i++)
        free(names[i]);
    free((void *)names);
    loam_targets_deinit(&list);
    return status;
}

static enum loam_status fail_no_match(const struct loam_model *model, char *const *names, const char *entry,
                                      struct loam_error *error)
{
    struct loam_bytes text = {0};
    enum loam_status status = describe_modules(model, names, &text, error);
    if (status == LOAM_OK)
        status = loam_fail(error, LOAM_ERROR_ARGUMENT,
                           "modules_to_save: \"%s\" matches no module with parameters of this model; it has: "
                           "%s%s",
                           entry, text.data, model->config.tied_head ? ", lm_head (tied)" : "");
    loam_bytes_deinit(&text);
    return status;
}

static bool is_used(const struct loam_model *model, char *const *names, const char *entry)
{
    const size_t count = model->parameter_count + (model->config.tied_head ? 1 : 0);
    for (size_t i = 0; i < count; i++)
        if (loam_saved_entry_matches(entry, names[i])) return true;
    return false;
}

static enum loam_status check_entries(struct loam_adapter *adapter, char *const *names, bool fresh,
                                      struct loam_error *error)
{
    const struct loam_targets *saved = &adapter->config.saved;
    for (size_t i = 0; i < saved->count; i++) {
        if (is_used(adapter->model, names, saved->entries[i])) continue;
        if (fresh) return fail_no_match(adapter->model, names, saved->entries[i], error);
        LOAM_TRY(loam_adapter_config_note(&adapter->config, error,
                                          "\"modules_to_save\" in adapter_config.json names \"%s\", which "
                                          "matches no module with parameters of this model",
                                          saved->entries[i]));
    }
    return LOAM_OK;
}

// ---- the whole ----

// In a multimodal model an entry may name modules of other parts, which PEFT would train, too: the list becomes one of
// the modules that are replaced.
static enum loam_status name_saved(struct loam_adapter *adapter, char *const *names, struct loam_error *error)
{
    const struct loam_model *model = adapter->model;
    struct loam_targets *saved = &adapter->config.saved, list = {0};
    if (model->config.multimodal == NULL || saved->count == 0) return LOAM_OK;
    char **modules = loam_calloc(model->parameter_count + 1, sizeof *modules, error);
    enum loam_status status = modules != NULL ? LOAM_OK : LOAM_ERROR_MEMORY;
    size_t count = 0;
    for (size_t i = 0; i <= model->parameter_count && status == LOAM_OK; i++) {
        if (adapter->slots.replaced[i] == NULL || !loam_adapter_config_saves(&adapter->config, names[i]))
            continue;
        modules[count] = module_of(names[i], error);
        if (modules[count++] == NULL) status = LOAM_ERROR_MEMORY;
    }
    if (status == LOAM_OK && count > 0)
        status = loam_targets_init_list(&list, (const char *const *)modules, count, error);
    for (size_t i = 0; modules != NULL && i < count; i++)
        free(modules[i]);
    free((void *)modules);
    if (status != LOAM_OK || count == 0) return status;
    loam_targets_deinit(saved);
    *saved = list;
    return LOAM_OK;
}

static enum loam_status match_all(struct loam_adapter *adapter, char *const *names, bool fresh,
                                  struct loam_error *error)
{
    const size_t count = adapter->model->parameter_count + 1;
    bool shares;
    LOAM_TRY(check_entries(adapter, names, fresh, error));
    LOAM_TRY(settle_tying(adapter, names, &shares, error));
    if (fresh && adapter->config.saved.count == 0 && adapter->config.bias == LOAM_BIAS_NONE) return LOAM_OK;
    adapter->replaced = loam_calloc(count, sizeof *adapter->replaced, error);
    adapter->slots.replaced = loam_calloc(count, sizeof *adapter->slots.replaced, error);
    if (adapter->replaced == NULL || adapter->slots.replaced == NULL) return LOAM_ERROR_MEMORY;
    for (size_t place = 0; place + 1 < count; place++)
        LOAM_TRY(match_parameter(adapter, place, names[place], error));
    LOAM_TRY(match_tied_head(adapter, names[count - 1], shares, error));
    LOAM_TRY(name_saved(adapter, names, error));
    if (fresh && adapter->replaced_count == 0)
        return loam_adapter_config_note(
            &adapter->config, error, "bias \"%s\" has no effect: %s of the model has a bias",
            loam_lora_bias_name(adapter->config.bias),
            adapter->config.bias == LOAM_BIAS_ALL ? "no module" : "no adapted module");
    if (adapter->replaced_count > 0) adapter->slots.replaced_count = count;
    return note_untied(adapter, error);
}

char **loam_replaced_names(const struct loam_model *model, struct loam_error *error)
{
    char **names = loam_calloc(model->parameter_count + 1, sizeof *names, error);
    for (size_t i = 0; names != NULL && i <= model->parameter_count; i++) {
        names[i] = name_in_whole(model, i, error);
        if (names[i] != NULL) continue;
        loam_replaced_names_free(model, names);
        return NULL;
    }
    return names;
}

void loam_replaced_names_free(const struct loam_model *model, char **names)
{
    for (size_t i = 0; names != NULL && i <= model->parameter_count; i++)
        free(names[i]);
    free((void *)names);
}

enum loam_status loam_replaced_match(struct loam_adapter *adapter, bool fresh, struct loam_error *error)
{
    char **names = loam_replaced_names(adapter->model, error);
    enum loam_status status = names != NULL ? match_all(adapter, names, fresh, error) : LOAM_ERROR_MEMORY;
    loam_replaced_names_free(adapter->model, names);
    return status;
}

char *loam_adapter_whole(const struct loam_adapter *adapter, struct loam_error *error)
{
    const struct loam_adapter_config *config = &adapter->config;
    const bool saves = config->saved.count > 0, biased = config->bias != LOAM_BIAS_NONE;
    struct loam_bytes text = {0};
    enum loam_status status = loam_bytes_append_text(&text, saves ? "modules to save " : "", error);
    if (status == LOAM_OK && saves) status = loam_targets_describe(&config->saved, &text, error);
    if (status == LOAM_OK && biased)
        status = loam_bytes_format(&text, error, "%sbiases %s", saves ? ", " : "",
                                   loam_lora_bias_name(config->bias));
    if (status == LOAM_OK) return text.data;
    loam_bytes_deinit(&text);
    return NULL;
}

void loam_replaced_deinit(struct loam_adapter *adapter)
{
    for (size_t i = 0; i < adapter->replaced_count; i++) {
        free(adapter->replaced[i].name);
        free(adapter->replaced[i].tied_name);
    }
    free(adapter->replaced);
    free((void *)adapter->slots.replaced);
    if (adapter->mirrors_device != NULL) loam_device_arena_deinit(adapter->mirrors_device, &adapter->mirrors);
}
