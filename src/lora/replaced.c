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

// PEFT knows embeddings and heads by these names.
static bool has_known_name(const char *module)
{
    const char *name = last_component(module);
    return strcmp(name, "embed_tokens") == 0 || strcmp(name, "lm_head") == 0;
}

static bool any_has_known_name(const struct loam_targets *saved)
{
    for (size_t i = 0; i < saved->count; i++)
        if (has_known_name(saved->entries[i])) return true;
    return false;
}

static char *module_of(const char *parameter, struct loam_error *error)
{
    return loam_strndup(parameter, (size_t)(strrchr(parameter, '.') - parameter), error);
}

// Puts the path of the embedding into the list. As PEFT does, takes the head out of it; where PEFT does not know the
// embedding by its name, the head stays, so that PEFT ties the two again when it reads the list.
static enum loam_status save_embedding(struct loam_targets *saved, const char *embedding, const char *head,
                                       struct loam_error *error)
{
    const char **names = loam_calloc(saved->count + 2, sizeof *names, error);
    if (names == NULL) return LOAM_ERROR_MEMORY;
    size_t count = 0;
    bool has_embedding = false;
    for (size_t i = 0; i < saved->count; i++) {
        if (loam_target_entry_matches(saved->entries[i], head)) continue;
        has_embedding = has_embedding || strcmp(saved->entries[i], embedding) == 0;
        names[count++] = saved->entries[i];
    }
    if (!has_embedding) names[count++] = embedding;
    if (!has_known_name(embedding)) names[count++] = head;
    struct loam_targets changed;
    enum loam_status status = loam_targets_init_list(&changed, names, count, error);
    free(names);
    if (status != LOAM_OK) return status;
    loam_targets_deinit(saved);
    *saved = changed;
    return LOAM_OK;
}

// Decides whether the head shares the embedding of the adapter, as PEFT does for ensure_weight_tying.
static enum loam_status settle_tying(struct loam_adapter *adapter, bool *shares, struct loam_error *error)
{
    struct loam_adapter_config *config = &adapter->config;
    const struct loam_model *model = adapter->model;
    *shares = false;
    if (!config->ensure_weight_tying) return LOAM_OK;
    if (!model->config.tied_head)
        return loam_adapter_config_note(
            config, error, "ensure_weight_tying has no effect: the head of the model is not tied");
    // PEFT writes the embedding into the list of a tied pair. A file with both tensors was tied, whatever the names.
    const bool named = any_has_known_name(&config->saved) || config->has_tied_head;
    if (!named || !(config->fresh || loam_adapter_config_saves(config, model->embedding->name)))
        return loam_adapter_config_note(
            config, error,
            "ensure_weight_tying has no effect: modules_to_save names neither lm_head nor embed_tokens");
    *shares = true;
    char *embedding = module_of(model->embedding->name, error);
    char *head = module_of(loam_family_tied_row(model->config.family)->name, error);
    enum loam_status status = LOAM_ERROR_MEMORY;
    if (embedding != NULL && head != NULL) status = save_embedding(&config->saved, embedding, head, error);
    free(embedding);
    free(head);
    return status;
}

static enum loam_status note_untied(struct loam_adapter *adapter, struct loam_error *error)
{
    const struct loam_model *model = adapter->model;
    const size_t embedding = (size_t)(model->embedding - model->parameters), head = model->parameter_count;
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

// The name in the file. PEFT moves the bias of an adapted linear into a module "base_layer".
static char *file_name_of(const char *parameter, bool adapted, struct loam_error *error)
{
    if (!adapted) return loam_format(error, "%s%s", file_prefix, parameter);
    const char *last = last_component(parameter);
    return loam_format(error, "%s%.*sbase_layer.%s", file_prefix, (int)(last - parameter), parameter, last);
}

static enum loam_status add(struct loam_adapter *adapter, const struct loam_parameter *parameter,
                            size_t place, const char *name, bool adapted, struct loam_error *error)
{
    struct loam_replaced *item = &adapter->replaced[adapter->replaced_count];
    *item = (struct loam_replaced){.parameter = parameter,
                                   .name = file_name_of(name, adapted, error),
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

// PEFT names what it saves by the multimodal class, and the parameters here have the names of the text model.
static enum loam_status refuse_multimodal(const struct loam_adapter *adapter, const char *name,
                                          struct loam_error *error)
{
    const struct loam_multimodal *multimodal = adapter->model->config.multimodal;
    if (multimodal == NULL) return LOAM_OK;
    return loam_fail(
        error, LOAM_ERROR_UNSUPPORTED,
        "modules_to_save and bias are not supported for the text part of a %s model, and the adapter "
        "has %s: leave them out, or take the text model alone",
        multimodal->model_type, name);
}

static enum loam_status match_parameter(struct loam_adapter *adapter, size_t place, struct loam_error *error)
{
    const struct loam_adapter_config *config = &adapter->config;
    const struct loam_parameter *parameter = &adapter->model->parameters[place];
    const struct loam_adapted *adapted = adapted_by(adapter, parameter);
    const bool saved = loam_adapter_config_saves(config, parameter->name);
    if (saved && adapted != NULL)
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "modules_to_save names %s, which the adapter adapts: name it in one of "
                         "target_modules and modules_to_save",
                         adapted->linear->path);
    const bool bias = is_bias(parameter) && (config->bias == LOAM_BIAS_ALL ||
                                             (config->bias == LOAM_BIAS_LORA_ONLY && adapted != NULL));
    if (!saved && !bias) return LOAM_OK;
    LOAM_TRY(refuse_multimodal(adapter, parameter->name, error));
    return add(adapter, parameter, place, parameter->name, adapted != NULL, error);
}

// The head of a tied model has no parameter of its own.
static enum loam_status match_tied_head(struct loam_adapter *adapter, bool shares, struct loam_error *error)
{
    const struct loam_model *model = adapter->model;
    const char *name = loam_family_tied_row(model->config.family)->name;
    const size_t embedding = (size_t)(model->embedding - model->parameters), place = model->parameter_count;
    if (!model->config.tied_head) return LOAM_OK;
    if (!shares) {
        if (!loam_adapter_config_saves(&adapter->config, name)) return LOAM_OK;
        LOAM_TRY(refuse_multimodal(adapter, name, error));
        return add(adapter, model->embedding, place, name, false, error);
    }
    for (size_t i = 0; i < adapter->replaced_count; i++)
        if (&adapter->replaced[i].entry == adapter->slots.replaced[embedding]) {
            adapter->replaced[i].tied_name = file_name_of(name, false, error);
            if (adapter->replaced[i].tied_name == NULL) return LOAM_ERROR_MEMORY;
        }
    adapter->slots.replaced[place] = adapter->slots.replaced[embedding];
    return LOAM_OK;
}

// ---- names without effect ----

static enum loam_status describe_modules(const struct loam_model *model, struct loam_bytes *text,
                                         struct loam_error *error)
{
    const size_t count = model->parameter_count;
    struct loam_targets list = {0};
    char **names = loam_calloc(count, sizeof *names, error);
    enum loam_status status = names != NULL ? LOAM_OK : LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < count && status == LOAM_OK; i++) {
        names[i] = module_of(model->parameters[i].name, error);
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

static enum loam_status fail_no_match(const struct loam_model *model, const char *entry,
                                      struct loam_error *error)
{
    struct loam_bytes text = {0};
    enum loam_status status = describe_modules(model, &text, error);
    if (status == LOAM_OK)
        status = loam_fail(error, LOAM_ERROR_ARGUMENT,
                           "modules_to_save: \"%s\" matches no module with parameters of this model; it has: "
                           "%s%s",
                           entry, text.data, model->config.tied_head ? ", lm_head (tied)" : "");
    loam_bytes_deinit(&text);
    return status;
}

static bool is_used(const struct loam_model *model, const char *entry)
{
    for (size_t i = 0; i < model->parameter_count; i++)
        if (loam_saved_entry_matches(entry, model->parameters[i].name)) return true;
    return model->config.tied_head &&
           loam_saved_entry_matches(entry, loam_family_tied_row(model->config.family)->name);
}

static enum loam_status check_entries(struct loam_adapter *adapter, bool fresh, struct loam_error *error)
{
    const struct loam_targets *saved = &adapter->config.saved;
    for (size_t i = 0; i < saved->count; i++) {
        if (is_used(adapter->model, saved->entries[i])) continue;
        if (fresh) return fail_no_match(adapter->model, saved->entries[i], error);
        LOAM_TRY(loam_adapter_config_note(&adapter->config, error,
                                          "\"modules_to_save\" in adapter_config.json names \"%s\", which "
                                          "matches no module with parameters of this model",
                                          saved->entries[i]));
    }
    return LOAM_OK;
}

// ---- the whole ----

enum loam_status loam_replaced_match(struct loam_adapter *adapter, bool fresh, struct loam_error *error)
{
    const size_t count = adapter->model->parameter_count + 1;
    bool shares;
    LOAM_TRY(check_entries(adapter, fresh, error));
    LOAM_TRY(settle_tying(adapter, &shares, error));
    if (adapter->config.saved.count == 0 && adapter->config.bias == LOAM_BIAS_NONE) return LOAM_OK;
    adapter->replaced = loam_calloc(count, sizeof *adapter->replaced, error);
    adapter->slots.replaced = loam_calloc(count, sizeof *adapter->slots.replaced, error);
    if (adapter->replaced == NULL || adapter->slots.replaced == NULL) return LOAM_ERROR_MEMORY;
    for (size_t place = 0; place + 1 < count; place++)
        LOAM_TRY(match_parameter(adapter, place, error));
    LOAM_TRY(match_tied_head(adapter, shares, error));
    if (adapter->replaced_count > 0) adapter->slots.replaced_count = count;
    if (fresh && adapter->replaced_count == 0)
        return loam_adapter_config_note(
            &adapter->config, error, "bias \"%s\" has no effect: %s of the model has a bias",
            loam_lora_bias_name(adapter->config.bias),
            adapter->config.bias == LOAM_BIAS_ALL ? "no module" : "no adapted module");
    return note_untied(adapter, error);
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
