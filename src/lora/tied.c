// PEFT's ensure_weight_tying: a tied embedding and its head keep one adapter, or one replaced weight.
#include "lora/adapter.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "model/multimodal.h"

// ---- names ----

static const char *const known_names[] = {"embed_tokens", "lm_head"};

static const char *last_component(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot != NULL ? dot + 1 : path;
}

static bool is_known(const char *module)
{
    const char *name = last_component(module);
    return strcmp(name, known_names[0]) == 0 || strcmp(name, known_names[1]) == 0;
}

bool loam_tied_list_is_known(const struct loam_targets *list)
{
    for (size_t i = 0; i < list->count; i++)
        if (is_known(list->entries[i])) return true;
    return false;
}

enum loam_status loam_tied_list_write(struct loam_targets *list, const char *embedding, const char *head,
                                      struct loam_error *error)
{
    const char **names = loam_calloc(list->count + 2, sizeof *names, error);
    if (names == NULL) return LOAM_ERROR_MEMORY;
    size_t count = 0;
    bool has_embedding = false;
    for (size_t i = 0; i < list->count; i++) {
        if (loam_target_entry_matches(list->entries[i], head)) continue;
        has_embedding = has_embedding || strcmp(list->entries[i], embedding) == 0;
        names[count++] = list->entries[i];
    }
    if (!has_embedding) names[count++] = embedding;
    if (!is_known(embedding)) names[count++] = head;
    struct loam_targets changed;
    enum loam_status status = loam_targets_init_list(&changed, names, count, error);
    free(names);
    if (status != LOAM_OK) return status;
    loam_targets_deinit(list);
    *list = changed;
    return LOAM_OK;
}

// PEFT matches an expression against the two names alone.
static enum loam_status name_either(const struct loam_targets *targets, bool *named, struct loam_error *error)
{
    *named = targets->kind == LOAM_TARGET_LIST && loam_tied_list_is_known(targets);
    for (size_t i = 0; i < 2 && targets->kind == LOAM_TARGET_PATTERN && !*named; i++)
        LOAM_TRY(loam_targets_match(targets, known_names[i], named, error));
    return LOAM_OK;
}

// ---- deciding ----

static bool has_matrices(const struct loam_stored_adapter *stored, const struct loam_linear *module)
{
    for (size_t i = 0; i < stored->count; i++)
        if (stored->modules[i].a != NULL && loam_same_module(stored->modules[i].path, module->path))
            return true;
    return false;
}

static enum loam_status check_reach(const struct loam_adapter *adapter, struct loam_error *error)
{
    const struct loam_model *model = adapter->model;
    bool excluded = false;
    if (model->config.multimodal != NULL)
        return loam_fail(
            error, LOAM_ERROR_UNSUPPORTED,
            "ensure_weight_tying is not supported for adapters of the embedding and the head of a "
            "%s model: leave it or them out, or take the text model alone",
            model->config.multimodal->model_type);
    LOAM_TRY(loam_targets_match(&adapter->config.excluded, model->embedder.path, &excluded, error));
    if (!excluded) return LOAM_OK;
    return loam_fail(
        error, LOAM_ERROR_ARGUMENT,
        "ensure_weight_tying adapts %s with its head, and exclude_modules leaves it out: take it out "
        "of one of them",
        model->embedder.path);
}

// PEFT writes the embedding into the list of a tied pair. A file with matrices of both was tied, whatever the names.
enum loam_status loam_tied_settle(struct loam_adapter *adapter, const struct loam_stored_adapter *stored,
                                  struct loam_error *error)
{
    const struct loam_adapter_config *config = &adapter->config;
    const struct loam_model *model = adapter->model;
    if (!config->ensure_weight_tying || !loam_model_head_is_tied(model)) return LOAM_OK;
    if (loam_tied_list_is_known(&config->saved)) return LOAM_OK; // PEFT then ties those weights alone
    if (stored != NULL)
        adapter->ties = has_matrices(stored, &model->head) && has_matrices(stored, &model->embedder);
    else
        LOAM_TRY(name_either(&config->targets, &adapter->ties, error));
    return adapter->ties ? check_reach(adapter, error) : LOAM_OK;
}

enum loam_status loam_tied_write(struct loam_adapter *adapter, bool expression, struct loam_error *error)
{
    struct loam_adapter_config *config = &adapter->config;
    const struct loam_model *model = adapter->model;
    if (adapter->ties)
        return loam_tied_list_write(&config->targets, model->embedder.path, model->head.path, error);
    if (!expression || !config->ensure_weight_tying || !loam_tied_list_is_known(&config->targets))
        return LOAM_OK;
    // PEFT does not tie the modules of this expression, but would tie those of the list when it reads it.
    config->ensure_weight_tying = false;
    return loam_adapter_config_note(
        config, error,
        "ensure_weight_tying has no effect: the expression in target_modules matches "
        "neither embed_tokens nor lm_head alone");
}

// ---- checking ----

// PEFT gives the head another matrix with these, so that the two are not tied.
static bool unties(enum loam_lora_init init)
{
    return init != LOAM_LORA_GAUSSIAN && init != LOAM_LORA_KAIMING && init != LOAM_LORA_RANDOM;
}

static enum loam_status check_pair(const struct loam_adapter *adapter, struct loam_error *error)
{
    const struct loam_adapted *embedding = loam_tied_embedding(adapter), *head = loam_tied_head(adapter);
    if (embedding->slot->rank != head->slot->rank)
        return loam_fail(
            error, LOAM_ERROR_UNSUPPORTED,
            "ensure_weight_tying gives %s and %s one adapter, and rank_pattern gives them the ranks %d "
            "and %d: choose one rank for both",
            embedding->linear->path, head->linear->path, embedding->slot->rank, head->slot->rank);
    if (!adapter->config.fresh || !unties(adapter->config.init.kind)) return LOAM_OK;
    return loam_fail(
        error, LOAM_ERROR_UNSUPPORTED,
        "ensure_weight_tying of adapters of %s and %s goes with the initial weights gaussian, true and "
        "false alone: PEFT starts the two apart with others",
        embedding->linear->path, head->linear->path);
}

enum loam_status loam_tied_check(const struct loam_adapter *adapter, struct loam_error *error)
{
    const struct loam_model *model = adapter->model;
    const struct loam_lora_slot *slots = adapter->slots.slots;
    if (!adapter->config.ensure_weight_tying || !loam_model_head_is_tied(model)) return LOAM_OK;
    if (adapter->ties) return check_pair(adapter, error);
    if (adapter->token_count == LOAM_TOKEN_PLACES)
        return loam_fail(
            error, LOAM_ERROR_ARGUMENT,
            "ensure_weight_tying of different trained tokens of %s and %s, which PEFT refuses too: give "
            "both the same tokens, or leave it out",
            model->embedder.path, model->head.path);
    const bool adapted = slots[model->head.index].rank > 0 || slots[model->embedder.index].rank > 0;
    if (!adapted || !loam_tied_list_is_known(&adapter->config.saved)) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                     "ensure_weight_tying of %s and %s, one of which modules_to_save names and the other "
                     "target_modules: name them in one of both",
                     model->embedder.path, model->head.path);
}

// Reads a stored part into `values`, in the order of the slot. `values` has room for it twice.
static void read_part(const struct loam_adapted *item, int part, float *values)
{
    const struct loam_stored_tensor *stored = item->parts[part].stored;
    const size_t count = (size_t)loam_tensor_count(loam_adapted_value(item, part));
    loam_format_convert(values + count, LOAM_F32, stored->data, stored->format, count);
    loam_adapted_copy_from_file(item, part, values, values + count);
}

static enum loam_status compare_part(const struct loam_adapter *adapter, int part, struct loam_error *error)
{
    const struct loam_adapted *embedding = loam_tied_embedding(adapter), *head = loam_tied_head(adapter);
    const size_t count = (size_t)loam_tensor_count(loam_adapted_value(head, part));
    float *values = loam_calloc(3 * count, sizeof *values, error);
    if (values == NULL) return LOAM_ERROR_MEMORY;
    read_part(embedding, part, values);
    read_part(head, part, values + count);
    const bool same = memcmp(values, values + count, count * sizeof *values) == 0;
    free(values);
    if (same) return LOAM_OK;
    return loam_fail(
        error, LOAM_ERROR_FORMAT,
        "%s: tensors \"%s\" and \"%s\" differ, and \"ensure_weight_tying\" in adapter_config.json makes "
        "them one: set it to false to use them apart",
        head->parts[part].stored->file, embedding->parts[part].stored->name, head->parts[part].stored->name);
}

enum loam_status loam_tied_check_stored(const struct loam_adapter *adapter, struct loam_error *error)
{
    if (!adapter->ties) return LOAM_OK;
    LOAM_TRY(compare_part(adapter, LOAM_PART_A, error));
    return compare_part(adapter, LOAM_PART_B, error);
}

// ---- the pair ----

const struct loam_adapted *loam_tied_embedding(const struct loam_adapter *adapter)
{
    return &adapter->items[adapter->count - 2];
}

const struct loam_adapted *loam_tied_head(const struct loam_adapter *adapter)
{
    return &adapter->items[adapter->count - 1];
}

bool loam_tied_part(const struct loam_adapter *adapter, const struct loam_adapted *item, int part)
{
    return adapter->ties && item == loam_tied_head(adapter) && (part == LOAM_PART_A || part == LOAM_PART_B);
}
