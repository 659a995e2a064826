// Warnings about an adapter's config.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "lora/adapter_config.h"

enum {
    LINE_SIZE = 2048,
    LISTED = 8, // names in a line
};

enum loam_status loam_adapter_config_note(struct loam_adapter_config *config, struct loam_error *error,
                                          const char *format, ...)
{
    char line[LINE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    loam_flatten(line); // a name in the file may hold a line break
    const char *before = config->notice;
    char *notice =
        loam_format(error, "%s%s%s", before == NULL ? "" : before, before == NULL ? "" : "\n", line);
    if (notice == NULL) return LOAM_ERROR_MEMORY;
    free(config->notice);
    config->notice = notice;
    return LOAM_OK;
}

void loam_adapter_config_warn(const struct loam_adapter_config *config, const struct loam_log *log)
{
    for (const char *line = config->notice; line != NULL && *line != '\0';) {
        size_t size = strcspn(line, "\n");
        loam_log_write(log, LOAM_LOG_WARNING, "%.*s", (int)size, line);
        line += size + (line[size] != '\0');
    }
}

// A list of names. Only the first LISTED are written, so that the line stays readable.
struct name_list {
    struct loam_bytes text;
    size_t count;
};

// Adds `"name"`. Names beyond LISTED are only counted.
static enum loam_status append_name(struct name_list *names, const char *name, struct loam_error *error)
{
    if (names->count++ >= LISTED) return LOAM_OK;
    return loam_bytes_format(&names->text, error, "%s\"%.100s\"", names->count > 1 ? ", " : "", name);
}

// Adds a line that ends in the names, if there are any.
static enum loam_status note_names(struct loam_adapter_config *config, const char *what,
                                   const struct name_list *names, struct loam_error *error)
{
    char more[64] = "";
    if (names->count == 0) return LOAM_OK;
    if (names->count > LISTED) snprintf(more, sizeof more, " and %zu more", names->count - LISTED);
    return loam_adapter_config_note(config, error, "%s%s: %s%s",
                                    config->fresh ? "" : "adapter_config.json: ", what, names->text.data,
                                    more);
}

static enum loam_status note_targets(struct loam_adapter_config *config,
                                     const struct loam_module_size *modules, size_t count,
                                     struct loam_error *error)
{
    struct name_list unused = {0};
    enum loam_status status = LOAM_OK;
    for (size_t i = 0; i < config->targets.count && status == LOAM_OK; i++) {
        const char *entry = config->targets.entries[i];
        bool used = false;
        for (size_t j = 0; j < count && !used; j++)
            used = loam_target_entry_matches(entry, modules[j].path);
        if (!used) status = append_name(&unused, entry, error);
    }
    if (status == LOAM_OK)
        status = note_names(config, "names in \"target_modules\" match no adapted module", &unused, error);
    loam_bytes_deinit(&unused.text);
    return status;
}

static enum loam_status list_unused(const struct loam_module_values *values, const bool *used,
                                    struct name_list *names, struct loam_error *error)
{
    for (size_t i = 0; i < values->count; i++)
        if (!used[i]) LOAM_TRY(append_name(names, values->items[i].key, error));
    return LOAM_OK;
}

static enum loam_status note_values(struct loam_adapter_config *config, struct loam_module_values *values,
                                    const char *what, const struct loam_module_size *modules, size_t count,
                                    struct loam_error *error)
{
    struct name_list unused = {0};
    bool *used = loam_calloc(values->count, sizeof *used, error);
    enum loam_status status = used == NULL ? LOAM_ERROR_MEMORY : LOAM_OK;
    for (size_t i = 0; i < count && status == LOAM_OK; i++) {
        size_t index = values->count;
        status = loam_module_values_index(values, modules[i].path, &index, error);
        if (status == LOAM_OK && index < values->count) used[index] = true;
    }
    if (status == LOAM_OK) status = list_unused(values, used, &unused, error);
    if (status == LOAM_OK) status = note_names(config, what, &unused, error);
    values->used = 0;
    for (size_t i = 0; status == LOAM_OK && i < values->count; i++)
        values->used += used[i];
    loam_bytes_deinit(&unused.text);
    free(used);
    return status;
}

static enum loam_status note_ranks(struct loam_adapter_config *config, const struct loam_module_size *modules,
                                   size_t count, struct loam_error *error)
{
    const struct loam_module_size *first = NULL;
    size_t others = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t smaller = modules[i].in < modules[i].out ? modules[i].in : modules[i].out;
        if (modules[i].rank <= smaller) continue;
        others += first != NULL;
        if (first == NULL) first = &modules[i];
    }
    if (first == NULL) return LOAM_OK;
    char more[64] = "";
    if (others > 0) snprintf(more, sizeof more, ", and of %zu more", others);
    return loam_adapter_config_note(
        config, error,
        "LoRA rank %lld is above the smaller dimension of %s, which is [%lld, %lld]%s: it takes memory and "
        "expresses no more",
        (long long)first->rank, first->path, (long long)first->out, (long long)first->in, more);
}

enum loam_status loam_adapter_config_note_unused(struct loam_adapter_config *config,
                                                 const struct loam_module_size *modules, size_t count,
                                                 struct loam_error *error)
{
    if (config->fresh && config->excludes_none)
        LOAM_TRY(loam_adapter_config_note(config, error,
                                          "exclude_modules leaves out no linear module of the model"));
    LOAM_TRY(note_targets(config, modules, count, error));
    LOAM_TRY(note_values(config, &config->ranks, "keys of \"rank_pattern\" give no adapted module its rank",
                         modules, count, error));
    LOAM_TRY(note_values(config, &config->alphas,
                         "keys of \"alpha_pattern\" give no adapted module its alpha", modules, count,
                         error));
    return note_ranks(config, modules, count, error);
}
