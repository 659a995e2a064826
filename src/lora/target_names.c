#include "lora/target_names.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap.h"

// Counts the layers in which the linear of a row of the module tree ("model.layers.%d.mlp.up_proj") is
// adapted; 0 for other modules.
static int64_t count_adapted_layers(const char *row, const struct loam_linear *const *adapted, size_t count)
{
    size_t size = strlen(row);
    int64_t layers = 0;
    for (size_t i = 0; i < count; i++) {
        const char *name = adapted[i]->weight->row->name;
        layers += strncmp(name, row, size) == 0 && strcmp(name + size, ".weight") == 0;
    }
    return layers;
}

// Returns whether all modules that `ending` names are adapted. `whole[i]` is whether the module of row i is
// adapted in every layer.
static bool names_adapted_only(const char *ending, const struct loam_family *family, const bool *whole)
{
    for (size_t i = 0; i < family->module_count; i++)
        if (loam_target_entry_matches(ending, family->modules[i].path) && !whole[i]) return false;
    return true;
}

// Returns the shortest end of a linear's path, below its layer, that names only adapted modules; if there is
// none, or no layer, the whole path. In a multimodal model it is the whole path: an end may name modules of other parts.
static const char *name_of(const struct loam_linear *linear, const struct loam_family *family, bool is_part,
                           const bool *whole)
{
    const char *path = linear->path;
    if (is_part || strstr(linear->weight->row->name, "%d.") == NULL) return path;
    size_t row_tail = strlen(strstr(linear->weight->row->name, "%d.") + strlen("%d.")) - strlen(".weight");
    const char *below = path + strlen(path) - row_tail;
    for (const char *at = path + strlen(path) - 1; at >= below; at--)
        if ((at == below || at[-1] == '.') && names_adapted_only(at, family, whole)) return at;
    return path;
}

static enum loam_status make_list(struct loam_targets *names, const struct loam_model *model,
                                  const struct loam_linear *const *adapted, size_t count, bool *whole,
                                  const char **list, struct loam_error *error)
{
    const struct loam_family *family = model->config.family;
    for (size_t i = 0; i < family->module_count; i++)
        whole[i] = count_adapted_layers(family->modules[i].path, adapted, count) == model->config.layers;
    for (size_t i = 0; i < count; i++)
        list[i] = name_of(adapted[i], family, model->config.multimodal != NULL, whole);
    return loam_targets_init_list(names, list, count, error);
}

enum loam_status loam_targets_name(struct loam_targets *names, const struct loam_model *model,
                                   const struct loam_linear *const *adapted, size_t count,
                                   struct loam_error *error)
{
    *names = (struct loam_targets){0};
    bool *whole = loam_calloc(model->config.family->module_count, sizeof *whole, error);
    const char **list = loam_calloc(count, sizeof *list, error);
    enum loam_status status = whole != NULL && list != NULL
                                  ? make_list(names, model, adapted, count, whole, list, error)
                                  : LOAM_ERROR_MEMORY;
    free(list);
    free(whole);
    return status;
}
