#include "model/tree.h"

#include <string.h>

enum { INDENT = 2 };

// Levels below the model itself: "transformer.h" is at 2.
static int depth_of(const char *path)
{
    int depth = 1;
    for (; *path != '\0'; path++)
        depth += *path == '.';
    return depth;
}

static bool is_inside(const char *path, const char *parent)
{
    size_t length = strlen(parent);
    return strncmp(path, parent, length) == 0 && path[length] == '.';
}

// The weight row "PATH.NAME" of this model; NULL: it has none.
static const struct loam_weight_row *find_row(const struct loam_config *config, const char *path,
                                              const char *name)
{
    size_t length = strlen(path);
    for (size_t i = 0; i < config->family->row_count; i++) {
        const struct loam_weight_row *row = &config->family->rows[i];
        // A tied head is printed like one with weights of its own.
        if (!loam_config_has_row(config, row) && (row->flags & LOAM_WEIGHT_TIED) == 0) continue;
        if (is_inside(row->name, path) && strcmp(row->name + length + 1, name) == 0) return row;
    }
    return NULL;
}

// Whether this model leaves out a module whose weights are in the rows of its family.
static bool is_left_out(const struct loam_config *config, const char *path)
{
    if (find_row(config, path, "weight") != NULL) return false;
    for (size_t i = 0; i < config->family->row_count; i++) {
        const struct loam_weight_row *row = &config->family->rows[i];
        if (row->role != LOAM_ROLE_IGNORED && is_inside(row->name, path) &&
            strcmp(row->name + strlen(path) + 1, "weight") == 0)
            return true;
    }
    return false;
}

// What stands between the brackets of a module with weights.
static enum loam_status append_arguments(const struct loam_config *config,
                                         const struct loam_module_row *module,
                                         const struct loam_weight_row *weight, struct loam_bytes *out,
                                         struct loam_error *error)
{
    long long rows = (long long)loam_config_dimension(config, weight->shape[0]);
    long long columns = (long long)loam_config_dimension(config, weight->shape[1]);
    switch (weight->role) {
    case LOAM_ROLE_EMBEDDING:
    case LOAM_ROLE_POSITIONS:
        return loam_bytes_format(out, error, "%lld, %lld", rows, columns);
    case LOAM_ROLE_LINEAR:
    case LOAM_ROLE_HEAD:
        if ((weight->flags & LOAM_WEIGHT_TRANSPOSED) != 0)
            return loam_bytes_format(out, error, "nf=%lld, nx=%lld", columns, rows);
        return loam_bytes_format(out, error, "in_features=%lld, out_features=%lld, bias=%s", columns, rows,
                                 find_row(config, module->path, "bias") != NULL ? "True" : "False");
    case LOAM_ROLE_EMBEDDING_NORM:
    case LOAM_ROLE_NORM:
    case LOAM_ROLE_FINAL_NORM:
        return loam_bytes_format(out, error, "(%lld,), eps=%g%s%s", rows, config->norm_eps,
                                 config->family->norm == LOAM_LAYERNORM ? ", elementwise_affine=True, bias="
                                                                        : "",
                                 config->family->norm != LOAM_LAYERNORM           ? ""
                                 : find_row(config, module->path, "bias") != NULL ? "True"
                                                                                  : "False");
    case LOAM_ROLE_IGNORED:
        break;
    }
    return LOAM_OK;
}

// "(name): Type(", for a list of layers "(0-23): 24 x Type(".
static enum loam_status append_opening(const struct loam_config *config, const struct loam_module_row *module,
                                       struct loam_bytes *out, struct loam_error *error)
{
    const char *dot = strrchr(module->path, '.');
    const char *name = dot == NULL ? module->path : dot + 1;
    long long layers = (long long)config->layers;
    LOAM_TRY(loam_bytes_format(out, error, "%*s", INDENT * depth_of(module->path), ""));
    if (strcmp(name, "%d") != 0) return loam_bytes_format(out, error, "(%s): %s(", name, module->type);
    if (layers == 1) return loam_bytes_format(out, error, "(0): %s(", module->type);
    return loam_bytes_format(out, error, "(0-%lld): %lld x %s(", layers - 1, layers, module->type);
}

static enum loam_status append_module(const struct loam_config *config, const struct loam_module_row *module,
                                      bool parent, struct loam_bytes *out, struct loam_error *error)
{
    LOAM_TRY(append_opening(config, module, out, error));
    if (parent) return loam_bytes_append_text(out, "\n", error);
    const struct loam_weight_row *weight = find_row(config, module->path, "weight");
    if (module->arguments != NULL)
        LOAM_TRY(loam_bytes_append_text(out, module->arguments, error));
    else if (weight != NULL)
        LOAM_TRY(append_arguments(config, module, weight, out, error));
    return loam_bytes_append_text(out, ")\n", error);
}

// The brackets of the modules that end before one at depth `to` begins, `from` being the depth of the last
// module.
static enum loam_status append_closings(int from, int to, struct loam_bytes *out, struct loam_error *error)
{
    for (int depth = from - 1; depth >= to; depth--)
        LOAM_TRY(loam_bytes_format(out, error, "%*s)\n", INDENT * depth, ""));
    return LOAM_OK;
}

enum loam_status loam_model_tree(const struct loam_config *config, struct loam_bytes *out,
                                 struct loam_error *error)
{
    const struct loam_family *family = config->family;
    LOAM_TRY(loam_bytes_format(out, error, "%s(\n", family->architecture));
    for (size_t i = 0, follower; i < family->module_count; i = follower) {
        for (follower = i + 1; follower < family->module_count; follower++)
            if (!is_left_out(config, family->modules[follower].path)) break;
        const char *path = family->modules[i].path;
        const char *next = follower < family->module_count ? family->modules[follower].path : NULL;
        LOAM_TRY(
            append_module(config, &family->modules[i], next != NULL && is_inside(next, path), out, error));
        LOAM_TRY(append_closings(depth_of(path), next == NULL ? 0 : depth_of(next), out, error));
    }
    return LOAM_OK;
}
