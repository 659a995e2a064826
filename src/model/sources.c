// Which tensor of a checkpoint is which parameter of a model.
#include "model/sources.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/heap.h"
#include "base/log.h"
#include "model/multimodal.h"

enum { COMPARED = 4096, RELEASED = 1 << 22 }; // elements at a time

struct search {
    const struct loam_model *model;
    const struct loam_container *file;
    const char *directory;
    const struct loam_stored_tensor **sources; // [parameter_count]
    bool *claimed;                             // [tensors of the checkpoint]
};

static size_t index_of(const struct search *search, const struct loam_stored_tensor *stored)
{
    return (size_t)(stored - loam_container_at(search->file, 0));
}

// `name` without the family's prefix; NULL when it has none.
static const char *without_prefix(const struct loam_family *family, const char *name)
{
    size_t length = strlen(family->prefix);
    return strncmp(name, family->prefix, length) == 0 ? name + length : NULL;
}

// What checkpoints of multimodal models put in front of the names of their text model, with or without the
// family's prefix after it: in transformers 4 and 5.
static const char *const text_models[] = {"", "language_model.", "model.language_model.", "text_model.",
                                          "model.text_model."};
enum { TEXT_MODELS = sizeof text_models / sizeof text_models[0] };

// Looks for PREFIX + NAME; a second tensor of the same meaning is refused.
static enum loam_status find_prefixed(const struct loam_container *file, const char *prefix, const char *name,
                                      const struct loam_stored_tensor **found, struct loam_error *error)
{
    char *full = loam_format(error, "%s%s", prefix, name);
    if (full == NULL) return LOAM_ERROR_MEMORY;
    const struct loam_stored_tensor *stored = loam_container_find(file, full);
    free(full);
    if (stored != NULL && *found != NULL)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s holds the same tensor twice, as %s and as %s",
                         stored->file, (*found)->name, stored->name);
    if (stored != NULL) *found = stored;
    return LOAM_OK;
}

// The stored tensor of that name, with or without the family's prefix, alone or as a part of a multimodal
// model; NULL: there is none.
static enum loam_status find_stored(const struct loam_container *file, const struct loam_family *family,
                                    const char *name, const struct loam_stored_tensor **found,
                                    struct loam_error *error)
{
    const char *bare = without_prefix(family, name);
    *found = NULL;
    for (size_t i = 0; i < TEXT_MODELS; i++) {
        LOAM_TRY(find_prefixed(file, text_models[i], name, found, error));
        if (bare != NULL) LOAM_TRY(find_prefixed(file, text_models[i], bare, found, error));
    }
    return LOAM_OK;
}

// Skips `prefix` at the start of a name.
static bool skip(const char **name, const char *prefix)
{
    const size_t size = strlen(prefix);
    if (strncmp(*name, prefix, size) != 0) return false;
    *name += size;
    return true;
}

static enum loam_status find_source(struct search *search, size_t index, struct loam_error *error)
{
    const struct loam_parameter *parameter = &search->model->parameters[index];
    const struct loam_config *config = &search->model->config;
    const struct loam_stored_tensor *found = NULL;
    LOAM_TRY(find_stored(search->file, config->family, parameter->name, &found, error));
    // Of a tied pair either may be the one that is stored.
    if (found == NULL && parameter->row->role == LOAM_ROLE_EMBEDDING && config->tied_head)
        LOAM_TRY(find_stored(search->file, config->family, loam_family_tied_row(config->family)->name, &found,
                             error));
    if (found == NULL && parameter->row->role == LOAM_ROLE_HEAD && config->family->head_alias != NULL)
        LOAM_TRY(find_stored(search->file, config->family, config->family->head_alias, &found, error));
    if (found == NULL)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: tensor %s is missing, config.json asks for it",
                         search->directory, parameter->name);
    search->sources[index] = found;
    search->claimed[index_of(search, found)] = true;
    return LOAM_OK;
}

// Whether a name is a row's, with any layer in the place of %d.
static bool matches(const char *pattern, const char *name)
{
    const char *gap = strstr(pattern, "%d");
    if (gap == NULL) return strcmp(pattern, name) == 0;
    size_t head = (size_t)(gap - pattern);
    if (strncmp(pattern, name, head) != 0) return false;
    size_t digits = strspn(name + head, "0123456789");
    return digits > 0 && strcmp(gap + 2, name + head + digits) == 0;
}

// Whether a name is that of a row that is passed over: a known buffer of old checkpoints, or the copy of a
// head that is the embedding (loam_model_settle_head).
static bool is_passed_over(const struct loam_config *config, const char *name)
{
    const struct loam_family *family = config->family;
    for (size_t i = 0; i < family->row_count; i++) {
        const struct loam_weight_row *row = &family->rows[i];
        bool tied_copy = (row->flags & LOAM_WEIGHT_TIED) != 0 && config->tied_head;
        if (row->role != LOAM_ROLE_IGNORED && !tied_copy) continue;
        const char *bare = without_prefix(family, row->name);
        if (matches(row->name, name) || (bare != NULL && matches(bare, name))) return true;
    }
    return false;
}

// Whether a tensor needs no parameter: it is passed over, or of another part of a multimodal model.
static bool is_ignorable(const struct loam_config *config, const char *name)
{
    bool ignorable = loam_is_of_other_part(name);
    for (size_t i = 0; i < TEXT_MODELS && !ignorable; i++) {
        const char *rest = name;
        ignorable = skip(&rest, text_models[i]) && is_passed_over(config, rest);
    }
    return ignorable;
}

static enum loam_status find_sources(struct search *search, struct loam_error *error)
{
    const struct loam_model *model = search->model;
    for (size_t i = 0; i < model->parameter_count; i++)
        LOAM_TRY(find_source(search, i, error));
    for (size_t i = 0; i < loam_container_count(search->file); i++) {
        const struct loam_stored_tensor *stored = loam_container_at(search->file, i);
        if (search->claimed[i] || is_ignorable(&model->config, stored->name)) continue;
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s: tensor %s is not part of a %s model as config.json describes it", stored->file,
                         stored->name, model->config.family->model_type);
    }
    return LOAM_OK;
}

// ---- is it what the model needs ----

static void shape_text(char *text, size_t size, int rank, const int64_t *shape)
{
    size_t used = (size_t)snprintf(text, size, "[");
    for (int i = 0; i < rank && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%lld", i == 0 ? "" : ", ", (long long)shape[i]);
    if (used < size) snprintf(text + used, size - used, "]");
}

static enum loam_status check_source(const struct loam_parameter *parameter,
                                     const struct loam_stored_tensor *source, struct loam_error *error)
{
    const struct loam_tensor *value = &parameter->value;
    if (source->rank != value->rank ||
        memcmp(source->shape, value->shape, sizeof value->shape[0] * (size_t)value->rank) != 0) {
        char expected[128], found[128];
        shape_text(expected, sizeof expected, value->rank, value->shape);
        shape_text(found, sizeof found, source->rank, source->shape);
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s: tensor %s has the shape %s; config.json makes it %s",
                         source->file, source->name, found, expected);
    }
    if (!loam_format_decodes(source->format))
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED, "%s: tensor %s must be F32, F16 or BF16",
                         source->file, source->name);
    return LOAM_OK;
}

static enum loam_status check_sources(const struct search *search, struct loam_error *error)
{
    for (size_t i = 0; i < search->model->parameter_count; i++)
        LOAM_TRY(check_source(&search->model->parameters[i], search->sources[i], error));
    return LOAM_OK;
}

// ---- the head of a config that ties it ----

// Whether elements [first, first + count) have the same values.
static bool equal_block(const struct loam_stored_tensor *a, const struct loam_stored_tensor *b, size_t first,
                        size_t count)
{
    float values[2][COMPARED];
    const uint8_t *left = loam_format_at(a->format, a->data, first);
    const uint8_t *right = loam_format_at(b->format, b->data, first);
    if (a->format == b->format)
        return memcmp(left, right, (size_t)(loam_format_at(a->format, left, count) - left)) == 0;
    loam_format_convert(values[0], LOAM_F32, left, a->format, count);
    loam_format_convert(values[1], LOAM_F32, right, b->format, count);
    return memcmp(values[0], values[1], count * sizeof values[0][0]) == 0;
}

static void release(const struct loam_stored_tensor *stored, size_t first, size_t count)
{
    const uint8_t *begin = loam_format_at(stored->format, stored->data, first);
    loam_map_release(begin, (size_t)(loam_format_at(stored->format, begin, count) - begin));
}

// Ends at the first difference. Pages that were read may leave memory.
static bool equal_values(const struct loam_stored_tensor *a, const struct loam_stored_tensor *b)
{
    if (a->rank != b->rank || memcmp(a->shape, b->shape, sizeof a->shape[0] * (size_t)a->rank) != 0 ||
        !loam_format_decodes(a->format) || !loam_format_decodes(b->format))
        return false;
    const size_t total = loam_format_elements(a->format, a->bytes);
    bool equal = true;
    for (size_t window = 0; window < total && equal; window += RELEASED) {
        const size_t end = total - window < RELEASED ? total : window + RELEASED;
        for (size_t first = window; first < end && equal; first += COMPARED)
            equal = equal_block(a, b, first, end - first < COMPARED ? end - first : COMPARED);
        release(a, window, end - window);
        release(b, window, end - window);
    }
    return equal;
}

// Tells how many tensors of other parts of a multimodal model are not read, with the name of the first.
static void tell_other_parts(const struct loam_container *file, const struct loam_log *log)
{
    const struct loam_stored_tensor *first = NULL;
    size_t count = 0;
    for (size_t i = 0; i < loam_container_count(file); i++) {
        const struct loam_stored_tensor *stored = loam_container_at(file, i);
        if (!loam_is_of_other_part(stored->name)) continue;
        if (count++ == 0) first = stored;
    }
    if (count > 0)
        loam_log_write(log, LOAM_LOG_WARNING,
                       "%s: %zu tensor%s, such as %s, belong%s to other parts of a multimodal model: ignored",
                       first->file, count, count == 1 ? "" : "s", first->name, count == 1 ? "s" : "");
}

enum loam_status loam_model_settle_head(struct loam_model *model, const struct loam_container *file,
                                        const struct loam_log *log, struct loam_error *error)
{
    tell_other_parts(file, log);
    const struct loam_family *family = model->config.family;
    const struct loam_stored_tensor *head = NULL, *embedding = NULL;
    if (!model->config.tied_head) return LOAM_OK;
    LOAM_TRY(find_stored(file, family, loam_family_tied_row(family)->name, &head, error));
    LOAM_TRY(find_stored(file, family, model->embedding->name, &embedding, error));
    if (head == NULL || embedding == NULL || equal_values(head, embedding)) return LOAM_OK;
    loam_log_write(log, LOAM_LOG_WARNING,
                   "%s: %s is not %s, although config.json ties them: it is used as a head of its own, as by "
                   "transformers; \"tie_word_embeddings\": false silences this",
                   head->file, head->name, embedding->name);
    return loam_model_untie_head(model, error);
}

// ---- the whole ----

static enum loam_status find_and_check(struct search *search, struct loam_error *error)
{
    search->claimed = loam_calloc(loam_container_count(search->file), sizeof *search->claimed, error);
    if (search->claimed == NULL) return LOAM_ERROR_MEMORY;
    LOAM_TRY(find_sources(search, error));
    return check_sources(search, error);
}

enum loam_status loam_model_find_sources(const struct loam_model *model, const struct loam_container *file,
                                         const char *directory, const struct loam_stored_tensor **sources,
                                         struct loam_error *error)
{
    struct search search = {.model = model, .file = file, .directory = directory, .sources = sources};
    enum loam_status status = find_and_check(&search, error);
    free(search.claimed);
    return status;
}
