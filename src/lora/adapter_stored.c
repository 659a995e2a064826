#include "lora/adapter_stored.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/heap.h"
#include "model/family.h"
#include "model/multimodal.h"

static const char weights_name[] = "adapter_model.safetensors";
static const char pickled_name[] = "adapter_model.bin";

// ---- names ----

static bool skip_prefix(const char **text, const char *prefix)
{
    size_t size = strlen(prefix);
    if (strncmp(*text, prefix, size) != 0) return false;
    *text += size;
    return true;
}

// Returns whether `text` is "[.NAME].weight", or where `bare` also "[.NAME]".
static bool is_ending(const char *text, bool bare)
{
    static const char end[] = ".weight";
    if (strcmp(text, end) == 0 || (bare && *text == '\0')) return true;
    if (*text != '.' || text[1] == '\0') return false;
    text += 1 + strcspn(text + 1, ".");
    return strcmp(text, end) == 0 || (bare && *text == '\0');
}

// Returns whether `text` is ".bias" or ".NAME.bias".
static bool is_bias_ending(const char *text)
{
    if (strcmp(text, ".bias") == 0) return true;
    if (*text != '.') return false;
    return strcmp(text + 1 + strcspn(text + 1, "."), ".bias") == 0;
}

// What a tensor of the file is to its module.
enum stored_part {
    NO_PART,
    PART_A,
    PART_B,
    PART_BIAS,
    PART_MAGNITUDE,
    PART_EMBEDDING_A,
    PART_EMBEDDING_B,
    PART_BASE,
    PART_TOKENS
};

// Skips what PEFT and other programs put in front of a path, once or repeated.
static const char *skip_prefixes(const char *name)
{
    static const char *const prefixes[] = {"base_model.model.", "_orig_mod.", "module."};
    for (bool found = true; found;) {
        found = false;
        for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
            found = skip_prefix(&name, prefixes[i]) || found;
    }
    return name;
}

// Parses "PREFIX.PATH.lora_A[.NAME].weight". PEFT writes the prefix "base_model.model." and no name of the
// adapter. Raw state dictionaries have the name, and other or repeated prefixes. Sets the path; NO_PART: the
// tensor is none of an adapter.
static enum stored_part parse_name(const char *name, const char **path, size_t *size)
{
    static const char infix[] = ".lora_", base[] = ".base_layer.weight", wrapper[] = ".token_adapter",
                      tokens[] = ".token_adapter.trainable_tokens_delta";
    static const struct {
        const char *name;
        enum stored_part part;
        bool bare; // ".weight" may be missing
    } parts[] = {{"A", PART_A, false},
                 {"B", PART_B, false},
                 {"magnitude_vector", PART_MAGNITUDE, true},
                 {"embedding_A", PART_EMBEDDING_A, true},
                 {"embedding_B", PART_EMBEDDING_B, true}};
    name = skip_prefixes(name);
    const char *rest = NULL;
    for (const char *at = name; (at = strstr(at, infix)) != NULL;)
        rest = at += sizeof infix - 1;
    *path = name;
    *size = strlen(name);
    const char *rows = strstr(name, tokens);
    if (rows != NULL && is_ending(rows + sizeof tokens - 1, true)) {
        *size = (size_t)(rows - name);
        return PART_TOKENS;
    }
    if (*size > sizeof base - 1 && strcmp(name + *size - (sizeof base - 1), base) == 0) {
        *size -= sizeof base - 1;
        if (*size > sizeof wrapper - 1 &&
            strncmp(name + *size - (sizeof wrapper - 1), wrapper, sizeof wrapper - 1) == 0)
            *size -= sizeof wrapper - 1;
        return PART_BASE;
    }
    if (rest == NULL) return NO_PART;
    *size = (size_t)(rest - name) - (sizeof infix - 1);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const char *end = rest;
        if (*size == 0 || !skip_prefix(&end, parts[i].name)) continue;
        if (is_ending(end, parts[i].bare)) return parts[i].part;
        if (parts[i].part == PART_B && is_bias_ending(end)) return PART_BIAS;
    }
    return NO_PART;
}

// Returns whether `path` is the module of a weight row, in which "%d" stands for the number of a layer.
static bool is_module_of(const char *path, const char *row)
{
    while (*path != '\0') {
        if (strncmp(row, "%d", 2) == 0) {
            size_t digits = strspn(path, "0123456789");
            if (digits == 0) return false;
            path += digits;
            row += 2;
        } else if (*path++ != *row++) {
            return false;
        }
    }
    return strcmp(row, ".weight") == 0;
}

// Finds the weight row of the module at `path` in any family. A path may lack the family's prefix, which is
// then returned in `*prefix`. NULL: no family has it.
static const struct loam_weight_row *find_row(const char *path, const char **prefix)
{
    const struct loam_family *family;
    for (size_t i = 0; (family = loam_family_at(i)) != NULL; i++) {
        for (size_t j = 0; j < family->row_count; j++) {
            const char *name = family->rows[j].name;
            const char *short_name = name;
            *prefix = "";
            if (is_module_of(path, name)) return &family->rows[j];
            *prefix = family->prefix;
            if (skip_prefix(&short_name, family->prefix) && is_module_of(path, short_name))
                return &family->rows[j];
        }
    }
    *prefix = "";
    return NULL;
}

// ---- reading ----

// Returns the module's path with its family's prefix, or as a multimodal model has it, and its row. If no family
// has the path, it is unchanged.
static char *complete_path(const char *text, size_t size, const struct loam_weight_row **row,
                           struct loam_error *error)
{
    const char *prefix;
    char *path = loam_strndup(text, size, error);
    if (path == NULL) return NULL;
    const char *known = path, *rest = loam_multimodal_rest(path);
    *row = find_row(rest == NULL ? known : rest, &prefix);
    if (rest != NULL) {
        char *whole = loam_multimodal_path(path, error);
        free(path);
        return whole;
    }
    // Some programs wrap the model once more.
    while (*row == NULL && skip_prefix(&known, "model."))
        *row = find_row(known, &prefix);
    char *full = loam_format(error, "%s%s", prefix, *row != NULL ? known : path);
    free(path);
    return full;
}

static enum loam_status fail_unknown(const struct loam_stored_tensor *tensor, struct loam_error *error)
{
    return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                     "%s: tensor \"%s\" is not a LoRA matrix, nor a parameter of a model "
                     "that loam has: merge this one into its model with PEFT",
                     tensor->file, tensor->name);
}

// Reads the name of a matrix into an entry for its module.
static enum loam_status read_module(struct loam_stored_module *module,
                                    const struct loam_stored_tensor *tensor, const char *path, size_t size,
                                    enum stored_part part, struct loam_error *error)
{
    const bool of_embedding = part == PART_EMBEDDING_A || part == PART_EMBEDDING_B;
    *module = (struct loam_stored_module){.is_embedding = of_embedding,
                                          .a = part == PART_A || part == PART_EMBEDDING_A ? tensor : NULL,
                                          .b = part == PART_B || part == PART_EMBEDDING_B ? tensor : NULL,
                                          .bias = part == PART_BIAS ? tensor : NULL,
                                          .magnitude = part == PART_MAGNITUDE ? tensor : NULL,
                                          .base = part == PART_BASE ? tensor : NULL,
                                          .tokens = part == PART_TOKENS ? tensor : NULL};
    const struct loam_weight_row *row;
    module->path = complete_path(path, size, &row, error);
    if (module->path == NULL) return LOAM_ERROR_MEMORY;
    module->transposed = row != NULL && (row->flags & LOAM_WEIGHT_TRANSPOSED) != 0;
    return LOAM_OK;
}

static int compare_paths(const void *a, const void *b)
{
    const struct loam_stored_module *left = a;
    const struct loam_stored_module *right = b;
    return strcmp(left->path, right->path);
}

const struct loam_stored_tensor *loam_stored_module_tensor(const struct loam_stored_module *module)
{
    const struct loam_stored_tensor *const all[] = {module->a,         module->b,    module->bias,
                                                    module->magnitude, module->base, module->tokens};
    size_t i = 0;
    while (i + 1 < sizeof all / sizeof *all && all[i] == NULL)
        i++;
    return all[i];
}

bool loam_stored_module_is_adapted(const struct loam_stored_module *module)
{
    return module->a != NULL || module->b != NULL || module->bias != NULL || module->magnitude != NULL;
}

// Orders by the place in the file. The tensors of a file are in one array, in the order of their data.
static int compare_places(const void *a, const void *b)
{
    const struct loam_stored_tensor *first = loam_stored_module_tensor(a);
    const struct loam_stored_tensor *second = loam_stored_module_tensor(b);
    return (first > second) - (first < second);
}

static bool has_same_values(const struct loam_stored_tensor *a, const struct loam_stored_tensor *b)
{
    return a->format == b->format && a->rank == b->rank && a->bytes == b->bytes &&
           memcmp(a->shape, b->shape, (size_t)a->rank * sizeof a->shape[0]) == 0 &&
           memcmp(a->data, b->data, a->bytes) == 0;
}

// Adds another tensor of a module to its entry.
static enum loam_status join_module(struct loam_stored_adapter *stored, struct loam_stored_module *module,
                                    const struct loam_stored_module *other, struct loam_error *error)
{
    const struct loam_stored_tensor *tensor = loam_stored_module_tensor(other);
    const struct loam_stored_tensor **place = tensor == other->a           ? &module->a
                                              : tensor == other->b         ? &module->b
                                              : tensor == other->bias      ? &module->bias
                                              : tensor == other->magnitude ? &module->magnitude
                                              : tensor == other->base      ? &module->base
                                                                           : &module->tokens;
    if (*place != NULL && tensor == other->magnitude && has_same_values(*place, tensor)) {
        if (stored->repeated++ == 0) stored->first_repeated = tensor;
        return LOAM_OK;
    }
    if (*place != NULL)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: tensors \"%s\" and \"%s\" are the same matrix",
                         tensor->file, (*place)->name, tensor->name);
    *place = tensor;
    module->is_embedding = module->is_embedding || other->is_embedding;
    return LOAM_OK;
}

// Joins the entries of single tensors to one entry a module.
static enum loam_status join_modules(struct loam_stored_adapter *stored, struct loam_error *error)
{
    size_t kept = 0;
    enum loam_status status = LOAM_OK;
    qsort(stored->modules, stored->count, sizeof *stored->modules, compare_paths);
    for (size_t i = 0; i < stored->count; i++) {
        struct loam_stored_module *last = kept > 0 ? &stored->modules[kept - 1] : NULL;
        if (last == NULL || strcmp(last->path, stored->modules[i].path) != 0) {
            stored->modules[kept++] = stored->modules[i];
            continue;
        }
        if (status == LOAM_OK) status = join_module(stored, last, &stored->modules[i], error);
        free(stored->modules[i].path);
    }
    stored->count = kept;
    qsort(stored->modules, stored->count, sizeof *stored->modules, compare_places);
    return status;
}

// ---- parameters ----

// Takes the first `part` out of a name. Returns whether it was there.
static bool take_out(char *name, const char *part)
{
    char *at = strstr(name, part);
    if (at == NULL) return false;
    memmove(at, at + strlen(part), strlen(at + strlen(part)) + 1);
    return true;
}

// Reads a name such as "base_model.model.model.norm.weight" or "....q_proj.base_layer.bias". With bias "all", PEFT
// also saves the biases of modules_to_save under the names of its own wrapper, and those of the base that they
// replaced: `*name` is NULL for these. A raw state dictionary has the names of the wrapper alone.
static enum loam_status read_parameter_name(const struct loam_stored_adapter *stored,
                                            const struct loam_stored_tensor *tensor, char **name,
                                            struct loam_error *error)
{
    *name = NULL;
    if (strstr(tensor->name, ".original_module.") != NULL) return LOAM_OK;
    char *plain = loam_strdup(tensor->name, error);
    if (plain == NULL) return LOAM_ERROR_MEMORY;
    (void)take_out(plain, ".base_layer");
    if (!take_out(plain, ".modules_to_save.default") && !take_out(plain, ".modules_to_save")) {
        *name = plain;
        return LOAM_OK;
    }
    if (loam_container_find(stored->file, plain) == NULL) {
        *name = plain;
        return LOAM_OK;
    }
    free(plain);
    return LOAM_OK;
}

// Sets the entry of a parameter, whose name is taken over.
static enum loam_status read_parameter(struct loam_stored_parameter *parameter,
                                       const struct loam_stored_tensor *tensor, const char *name,
                                       struct loam_error *error)
{
    const char *path = skip_prefixes(name), *dot = strrchr(path, '.');
    const struct loam_weight_row *row;
    *parameter = (struct loam_stored_parameter){.tensor = tensor};
    if (dot == NULL || (strcmp(dot, ".weight") != 0 && strcmp(dot, ".bias") != 0))
        return fail_unknown(tensor, error);
    char *module = complete_path(path, (size_t)(dot - path), &row, error);
    if (module == NULL) return LOAM_ERROR_MEMORY;
    if (row != NULL) {
        parameter->is_head = row->role == LOAM_ROLE_HEAD;
        parameter->name = loam_format(error, "%s%s", module, dot);
    }
    free(module);
    if (row == NULL) return fail_unknown(tensor, error);
    return parameter->name == NULL ? LOAM_ERROR_MEMORY : LOAM_OK;
}

static enum loam_status add_parameter(struct loam_stored_adapter *stored,
                                      const struct loam_stored_tensor *tensor, struct loam_error *error)
{
    char *name;
    LOAM_TRY(read_parameter_name(stored, tensor, &name, error));
    if (name == NULL) return LOAM_OK;
    struct loam_stored_parameter *parameter = &stored->parameters[stored->parameter_count];
    enum loam_status status = read_parameter(parameter, tensor, name, error);
    free(name);
    if (status != LOAM_OK) return status;
    const struct loam_stored_tensor *other = loam_stored_parameter_find(stored, parameter->name);
    stored->parameter_count++;
    if (other == NULL) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s: tensors \"%s\" and \"%s\" are the same parameter",
                     tensor->file, other->name, tensor->name);
}

const struct loam_stored_tensor *loam_stored_parameter_find(const struct loam_stored_adapter *stored,
                                                            const char *name)
{
    for (size_t i = 0; i < stored->parameter_count; i++)
        if (loam_same_module(stored->parameters[i].name, name)) return stored->parameters[i].tensor;
    return NULL;
}

// ---- the file ----

// Passes over tensors of another part of a multimodal model than its text model.
static enum loam_status read_tensor(struct loam_stored_adapter *stored,
                                    const struct loam_stored_tensor *tensor, struct loam_error *error)
{
    const char *path;
    size_t size;
    const enum stored_part part = parse_name(tensor->name, &path, &size);
    if (loam_is_of_other_part(path)) {
        if (stored->others++ == 0) stored->first_other = tensor;
        return LOAM_OK;
    }
    if (part == NO_PART) return add_parameter(stored, tensor, error);
    return read_module(&stored->modules[stored->count++], tensor, path, size, part, error);
}

static enum loam_status read_tensors(struct loam_stored_adapter *stored, const char *path,
                                     struct loam_error *error)
{
    size_t count = loam_container_count(stored->file);
    if (count == 0) return loam_fail(error, LOAM_ERROR_FORMAT, "%s: no tensors", path);
    stored->modules = loam_calloc(count, sizeof *stored->modules, error);
    stored->parameters = loam_calloc(count, sizeof *stored->parameters, error);
    if (stored->modules == NULL || stored->parameters == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < count; i++)
        LOAM_TRY(read_tensor(stored, loam_container_at(stored->file, i), error));
    if (stored->count == 0 && stored->others > 0)
        return loam_fail(
            error, LOAM_ERROR_UNSUPPORTED,
            "%s: all tensors, such as \"%s\", adapt other parts of a multimodal model than its text "
            "part, which is all that loam uses",
            path, stored->first_other->name);
    return join_modules(stored, error);
}

static enum loam_status open_file(struct loam_stored_adapter *stored, const char *path,
                                  struct loam_error *error)
{
    LOAM_TRY(loam_container_open_file(&stored->file, path, error));
    return read_tensors(stored, path, error);
}

enum loam_status loam_stored_adapter_open(struct loam_stored_adapter *stored, const char *directory,
                                          struct loam_error *error)
{
    *stored = (struct loam_stored_adapter){0};
    char *path = loam_path_join(directory, weights_name, error);
    char *pickled = loam_path_join(directory, pickled_name, error);
    enum loam_status status = LOAM_ERROR_MEMORY;
    if (path != NULL && pickled != NULL)
        status =
            open_file(stored, !loam_file_exists(path) && loam_file_exists(pickled) ? pickled : path, error);
    free(path);
    free(pickled);
    if (status != LOAM_OK) loam_stored_adapter_close(stored);
    return status;
}

void loam_stored_adapter_close(struct loam_stored_adapter *stored)
{
    for (size_t i = 0; i < stored->count; i++)
        free(stored->modules[i].path);
    free(stored->modules);
    for (size_t i = 0; i < stored->parameter_count; i++)
        free(stored->parameters[i].name);
    free(stored->parameters);
    loam_container_destroy(stored->file);
    *stored = (struct loam_stored_adapter){0};
}

enum loam_status loam_stored_adapter_note(const struct loam_stored_adapter *stored,
                                          struct loam_adapter_config *config, struct loam_error *error)
{
    if (stored->repeated > 0)
        LOAM_TRY(loam_adapter_config_note(
            config, error, "%zu tensors, such as \"%s\", are in the file a second time: passed over",
            stored->repeated, stored->first_repeated->name));
    if (stored->others == 0) return LOAM_OK;
    return loam_adapter_config_note(
        config, error,
        "%zu tensors, such as \"%s\", adapt other parts of a multimodal model than its "
        "text part: ignored, and not written with it again",
        stored->others, stored->first_other->name);
}

// ---- checking ----

// Writes "4", or "any number" for 0.
static void format_size(int64_t size, char text[24])
{
    if (size > 0)
        snprintf(text, 24, "%lld", (long long)size);
    else
        snprintf(text, 24, "any number");
}

enum loam_status loam_stored_matrix_check(const struct loam_stored_tensor *stored,
                                          const struct loam_adapter_config *config, int rank, int64_t rows,
                                          int64_t columns, struct loam_error *error)
{
    if (!loam_format_decodes(stored->format))
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED, "%s: tensor \"%s\" is %s; expected f32, f16 or bf16",
                         stored->file, stored->name, loam_format_name(stored->format));
    bool fits = stored->rank == 2 && (rows == 0 || stored->shape[0] == rows) &&
                (columns == 0 || stored->shape[1] == columns);
    if (fits) return LOAM_OK;
    char found[64] = "of rank other than 2";
    char wanted[2][24];
    if (stored->rank == 2)
        snprintf(found, sizeof found, "[%lld, %lld]", (long long)stored->shape[0],
                 (long long)stored->shape[1]);
    format_size(rows, wanted[0]);
    format_size(columns, wanted[1]);
    return loam_fail(error, LOAM_ERROR_FORMAT,
                     "%s: tensor \"%s\" is %s; %s %d ask%s for [%s, %s]; the adapter's base is \"%s\"",
                     stored->file, stored->name, found,
                     rows > 0 && columns > 0 ? "this model and rank" : "rank", rank,
                     rows > 0 && columns > 0 ? "" : "s", wanted[0], wanted[1],
                     config->base_model != NULL ? config->base_model : "not named");
}

// Fails because the other matrix of the pair is missing. Its name is that of `stored` with the other letter.
static enum loam_status fail_missing(const struct loam_stored_tensor *stored, struct loam_error *error)
{
    static const char infix[] = ".lora_";
    const char *letter = stored->name;
    for (const char *at = stored->name; (at = strstr(at, infix)) != NULL;)
        letter = at += sizeof infix - 1;
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s: %.*s%c%s is missing", stored->file,
                     (int)(letter - stored->name), stored->name, *letter == 'A' ? 'B' : 'A', letter + 1);
}

// A vector that goes with a setting of the config.
struct vector {
    const struct loam_stored_tensor *stored;
    bool wanted;
    const char *name, *what, *key;
};

static enum loam_status check_vector(const struct loam_stored_module *module, const struct vector *vector,
                                     int64_t out, struct loam_error *error)
{
    const struct loam_stored_tensor *stored = vector->stored;
    if (stored == NULL && !vector->wanted) return LOAM_OK;
    if (stored == NULL)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: no %s of %s, which \"%s\" in adapter_config.json asks for",
                         loam_stored_module_tensor(module)->file, vector->name, module->path, vector->key);
    if (!vector->wanted)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: tensor \"%s\" is %s, but \"%s\" in adapter_config.json is not true",
                         stored->file, stored->name, vector->what, vector->key);
    if (!loam_format_decodes(stored->format))
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED, "%s: tensor \"%s\" is %s; expected f32, f16 or bf16",
                         stored->file, stored->name, loam_format_name(stored->format));
    if (stored->rank == 1 && stored->shape[0] == out) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s: tensor \"%s\" has another shape than [%lld]",
                     stored->file, stored->name, (long long)out);
}

enum loam_status loam_stored_vectors_check(const struct loam_stored_module *module,
                                           const struct loam_adapter_config *config, int64_t out,
                                           struct loam_error *error)
{
    const struct vector magnitude = {module->magnitude, config->dora, "lora_magnitude_vector",
                                     "a magnitude of DoRA", "use_dora"};
    const struct vector bias = {module->bias, config->lora_bias, "lora_B.bias", "a bias of B", "lora_bias"};
    LOAM_TRY(check_vector(module, &magnitude, out, error));
    return check_vector(module, &bias, out, error);
}

static enum loam_status check_pair(const struct loam_stored_module *module,
                                   const struct loam_adapter_config *config, struct loam_error *error)
{
    int rank;
    double scale;
    if (module->a == NULL && module->b == NULL)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: lora_A and lora_B of %s are missing",
                         loam_stored_module_tensor(module)->file, module->path);
    const struct loam_stored_tensor *there = module->a != NULL ? module->a : module->b;
    if (module->a == NULL || module->b == NULL) return fail_missing(there, error);
    LOAM_TRY(loam_adapter_config_module(config, module->path, &rank, &scale, error));
    LOAM_TRY(loam_stored_matrix_check(module->a, config, rank, rank, 0, error));
    LOAM_TRY(loam_stored_matrix_check(module->b, config, rank, 0, rank, error));
    return loam_stored_vectors_check(module, config, module->b->shape[0], error);
}

enum loam_status loam_stored_parameter_check(const struct loam_stored_parameter *parameter,
                                             struct loam_error *error)
{
    const struct loam_stored_tensor *tensor = parameter->tensor;
    if (loam_format_decodes(tensor->format)) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_UNSUPPORTED, "%s: tensor \"%s\" is %s; expected f32, f16 or bf16",
                     tensor->file, tensor->name, loam_format_name(tensor->format));
}

bool loam_stored_parameter_is_named(const struct loam_stored_parameter *parameter,
                                    const struct loam_adapter_config *config)
{
    const bool bias = config->bias != LOAM_BIAS_NONE && strcmp(strrchr(parameter->name, '.'), ".bias") == 0;
    const bool tied = config->ensure_weight_tying && parameter->is_head;
    return bias || tied || loam_adapter_config_saves(config, parameter->name);
}

// Without the model, parameters of the file that its settings do not name cannot be compared with the base.
static enum loam_status check_parameters(const struct loam_stored_adapter *stored,
                                         struct loam_adapter_config *config, struct loam_error *error)
{
    const struct loam_stored_tensor *first = NULL;
    size_t count = 0;
    for (size_t i = 0; i < stored->parameter_count; i++) {
        const struct loam_stored_parameter *parameter = &stored->parameters[i];
        LOAM_TRY(loam_stored_parameter_check(parameter, error));
        if (loam_stored_parameter_is_named(parameter, config)) continue;
        if (count++ == 0) first = parameter->tensor;
    }
    if (count == 0) return LOAM_OK;
    return loam_adapter_config_note(
        config, error,
        "%zu tensors, such as \"%s\", are parameters of the model that adapter_config.json does not name: "
        "taken for copies of the base's",
        count, first->name);
}

// PEFT takes a head that ensure_weight_tying ties out of "target_modules".
static bool is_tied_head(const struct loam_stored_module *module, const struct loam_adapter_config *config)
{
    return config->ensure_weight_tying && strchr(module->path, '.') == NULL;
}

enum loam_status loam_stored_adapter_check(const struct loam_stored_adapter *stored,
                                           struct loam_adapter_config *config, struct loam_error *error)
{
    for (size_t i = 0; i < stored->count; i++) {
        const struct loam_stored_module *module = &stored->modules[i];
        const struct loam_stored_tensor *tensor = loam_stored_module_tensor(module);
        bool matches = false;
        if (!loam_stored_module_is_adapted(module)) continue;
        LOAM_TRY(loam_adapter_config_adapts(config, module->path, &matches, error));
        if (!matches && !is_tied_head(module, config))
            return loam_fail(error, LOAM_ERROR_FORMAT,
                             "%s: tensor \"%s\" is for a module that \"target_modules\" in "
                             "adapter_config.json leaves out",
                             tensor->file, tensor->name);
        LOAM_TRY(check_pair(module, config, error));
    }
    return check_parameters(stored, config, error);
}
