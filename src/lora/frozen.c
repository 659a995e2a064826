// Weights in the file of an adapter that its settings do not name. PEFT saves them with save_embedding_layers, and puts
// them in the place of the base's when it loads the file. Most are copies: they are passed over. Those that differ from
// the base replace it, and are not trained.
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "lora/adapter.h"
#include "lora/base_copy.h"
#include "model/multimodal.h"
#include "model/sources.h"

// What is matched.
struct match {
    struct loam_adapter *adapter;
    const struct loam_stored_tensor *const
        *weights;       // of the base, as stored; NULL: those of the loaded model
    char *const *names; // loam_replaced_names
};

static size_t place_of_embedding(const struct loam_model *model)
{
    return (size_t)(model->embedding - model->parameters);
}

// The parameter whose value is at `place`: a tied head has that of the embedding.
static const struct loam_parameter *parameter_at(const struct loam_model *model, size_t place)
{
    return place < model->parameter_count ? &model->parameters[place] : model->embedding;
}

// The module that adapters may wrap; NULL: there is none, as of a norm.
static const struct loam_linear *module_at(const struct loam_model *model, size_t place)
{
    const struct loam_parameter *parameter = parameter_at(model, place);
    const struct loam_linear *linear;
    if (place == model->parameter_count) return &model->head;
    if (parameter == model->embedding) return &model->embedder;
    for (size_t i = 0; (linear = loam_model_module_at(model, i)) != NULL; i++)
        if (linear->weight == parameter || linear->bias == parameter) return linear;
    return NULL;
}

static bool has_tokens(const struct loam_adapter *adapter, const struct loam_linear *module)
{
    for (size_t i = 0; i < adapter->token_count; i++) {
        const struct loam_trained_tokens *tokens = &adapter->tokens[i];
        const bool shares = tokens->place_count == LOAM_TOKEN_PLACES && module == &adapter->model->head;
        if (tokens->module == module || shares) return true;
    }
    return false;
}

// The module of PEFT around the parameter, as in the names of its file; empty: none.
static const char *wrapper_at(const struct loam_adapter *adapter, size_t place)
{
    const struct loam_linear *module = module_at(adapter->model, place);
    if (module == NULL) return "";
    if (adapter->slots.slots[module->index].rank > 0) return "base_layer.";
    return has_tokens(adapter, module) ? "token_adapter.base_layer." : "";
}

static const struct loam_stored_tensor *find_base(const struct loam_stored_adapter *stored,
                                                  const struct loam_linear *module)
{
    for (size_t i = 0; i < stored->count; i++)
        if (loam_same_module(stored->modules[i].path, module->path)) return stored->modules[i].base;
    return NULL;
}

// The weight of the base below a trained one, "....lm_head.original_module.weight"; NULL: the file has none.
static const struct loam_stored_tensor *find_original(const struct match *match, size_t place)
{
    static const char prefix[] = "base_model.model.", end[] = "original_module.weight";
    const char *name = match->names[place];
    const size_t size = strlen(name) - strlen("weight");
    for (size_t i = 0; i < loam_container_count(match->adapter->stored.file); i++) {
        const struct loam_stored_tensor *tensor = loam_container_at(match->adapter->stored.file, i);
        if (strncmp(tensor->name, prefix, sizeof prefix - 1) == 0 &&
            strncmp(tensor->name + sizeof prefix - 1, name, size) == 0 &&
            strcmp(tensor->name + sizeof prefix - 1 + size, end) == 0)
            return tensor;
    }
    return NULL;
}

// Finds the value that the file has for a parameter of the base, under the name by which PEFT reads it; NULL: it has none.
static const struct loam_stored_tensor *find_copy(const struct match *match, size_t place)
{
    const struct loam_stored_adapter *stored = &match->adapter->stored;
    const struct loam_model *model = match->adapter->model;
    const bool wrapped = *wrapper_at(match->adapter, place) != '\0';
    if (match->adapter->slots.replaced[place] != NULL) return find_original(match, place);
    const struct loam_linear *module = wrapped ? module_at(model, place) : NULL;
    if (module != NULL && (parameter_at(model, place)->row->flags & LOAM_WEIGHT_BIAS) == 0)
        return find_base(stored, module);
    const struct loam_stored_tensor *copy = loam_stored_parameter_find(stored, match->names[place]);
    const bool reads = copy != NULL && (strstr(copy->name, ".base_layer.") != NULL) == wrapped;
    return reads ? copy : NULL;
}

// The value that PEFT's load leaves in a parameter. The embedding and a tied head are one, and the head comes last.
static const struct loam_stored_tensor *find_value(const struct match *match, size_t place)
{
    const struct loam_model *model = match->adapter->model;
    const struct loam_stored_tensor *copy = NULL;
    if (loam_model_head_is_tied(model) && parameter_at(model, place) == model->embedding) {
        copy = find_copy(match, model->parameter_count);
        place = place_of_embedding(model);
    }
    return copy != NULL ? copy : find_copy(match, place);
}

static enum loam_status compare(const struct match *match, const struct loam_stored_tensor *copy,
                                const struct loam_parameter *parameter, bool *differs,
                                struct loam_error *error)
{
    const struct loam_model *model = match->adapter->model;
    const struct loam_stored_tensor *weight =
        match->weights == NULL ? NULL : match->weights[parameter - model->parameters];
    return loam_base_copy_compare(copy, parameter, weight, model->device, differs, error);
}

// PiSSA and OLoRA compute a part of the base's weight again, and would of another weight compute another one.
static enum loam_status fail_taken(const struct loam_stored_tensor *copy, struct loam_error *error)
{
    return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                     "%s: tensor \"%s\" differs from the base's, of which \"init_lora_weights\" in "
                     "adapter_config.json takes a part: save the adapter with PEFT's conversion to LoRA",
                     copy->file, copy->name);
}

static enum loam_status add(const struct match *match, size_t place, const struct loam_stored_tensor *copy,
                            struct loam_error *error)
{
    struct loam_adapter *adapter = match->adapter;
    const struct loam_parameter *parameter = parameter_at(adapter->model, place);
    const struct loam_linear *module = module_at(adapter->model, place);
    if (module != NULL && adapter->slots.slots[module->index].rank > 0 &&
        loam_lora_init_takes(&adapter->config.init))
        return fail_taken(copy, error);
    LOAM_TRY(
        loam_replaced_add(adapter, parameter, place, match->names[place], wrapper_at(adapter, place), error));
    adapter->replaced[adapter->replaced_count - 1].frozen = true;
    adapter->replaced[adapter->replaced_count - 1].stored = copy;
    return loam_adapter_config_note(
        &adapter->config, error,
        "tensor \"%s\" differs from the base's, and adapter_config.json does not name it: used in its place, "
        "as PEFT does, and not trained",
        copy->name);
}

// A frozen value of the embedding is that of its tied head, too, where neither is trained.
static enum loam_status share(const struct match *match, struct loam_error *error)
{
    struct loam_adapter *adapter = match->adapter;
    const struct loam_model *model = adapter->model;
    const size_t head = model->parameter_count;
    struct loam_replaced *item = &adapter->replaced[adapter->replaced_count - 1];
    item->tied_name = loam_replaced_file_name(match->names[head], wrapper_at(adapter, head), error);
    if (item->tied_name == NULL) return LOAM_ERROR_MEMORY;
    adapter->slots.replaced[head] = adapter->slots.replaced[place_of_embedding(model)];
    return LOAM_OK;
}

static enum loam_status match_all(const struct match *match, struct loam_error *error)
{
    struct loam_adapter *adapter = match->adapter;
    const struct loam_model *model = adapter->model;
    const struct loam_replacement **replaced = adapter->slots.replaced;
    const bool tied = loam_model_head_is_tied(model);
    for (size_t place = 0; place < model->parameter_count + tied; place++) {
        bool differs = false;
        if (replaced[place] != NULL) continue;
        const struct loam_stored_tensor *copy = find_value(match, place);
        if (copy != NULL) LOAM_TRY(compare(match, copy, parameter_at(model, place), &differs, error));
        if (!differs) continue;
        LOAM_TRY(add(match, place, copy, error));
        if (tied && parameter_at(model, place) == model->embedding &&
            replaced[model->parameter_count] == NULL)
            LOAM_TRY(share(match, error));
    }
    if (adapter->replaced_count > 0) adapter->slots.replaced_count = model->parameter_count + 1;
    return LOAM_OK;
}

enum loam_status loam_frozen_match(struct loam_adapter *adapter,
                                   const struct loam_stored_tensor *const *weights, struct loam_error *error)
{
    char **names = loam_replaced_names(adapter->model, error);
    const struct match match = {adapter, weights, names};
    enum loam_status status = names != NULL ? match_all(&match, error) : LOAM_ERROR_MEMORY;
    loam_replaced_names_free(adapter->model, names);
    return status;
}

static bool may_match(const struct loam_adapter *adapter)
{
    bool found = false;
    for (size_t i = 0; i < adapter->stored.count && !found; i++)
        found = adapter->stored.modules[i].base != NULL;
    for (size_t i = 0; i < adapter->stored.parameter_count && !found; i++)
        found = !loam_stored_parameter_is_named(&adapter->stored.parameters[i], &adapter->config);
    return found;
}

static enum loam_status match_stored(struct loam_adapter *adapter, const struct loam_container *file,
                                     const char *directory, struct loam_error *error)
{
    const size_t count = adapter->model->parameter_count;
    const struct loam_stored_tensor **weights = loam_calloc(count, sizeof *weights, error);
    if (weights == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = loam_model_find_sources(adapter->model, file, directory, weights, error);
    if (status == LOAM_OK) status = loam_frozen_match(adapter, weights, error);
    free((void *)weights);
    return status;
}

enum loam_status loam_frozen_match_directory(struct loam_adapter *adapter, const char *directory,
                                             bool *compared, struct loam_error *error)
{
    struct loam_container *file;
    *compared = false;
    if (!may_match(adapter)) return LOAM_OK;
    LOAM_TRY(loam_container_in_directory(directory, compared, error));
    if (!*compared) return LOAM_OK;
    LOAM_TRY(loam_container_open_directory(&file, directory, error));
    enum loam_status status = match_stored(adapter, file, directory, error);
    loam_container_destroy(file);
    return status;
}

const struct loam_weight_handle *loam_adapted_weight(const struct loam_adapter *adapter,
                                                     const struct loam_adapted *item)
{
    const struct loam_model *model = adapter->model;
    const struct loam_linear *linear = item->linear;
    const bool tied = linear == &model->head && loam_model_head_is_tied(model);
    const size_t place = tied ? model->parameter_count : (size_t)(linear->weight - model->parameters);
    const struct loam_replacement *replacement =
        place < adapter->slots.replaced_count ? adapter->slots.replaced[place] : NULL;
    return replacement != NULL ? &replacement->handle : &linear->weight->handle;
}
