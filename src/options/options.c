#include "options/options.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "options/nearest.h"
#include "options/option_needs.h"
#include "options/option_values.h"

// ---- Looking up ----

bool loam_option_row_of(enum loam_command command, const struct loam_option_row *row)
{
    return loam_command_name(command) != NULL && (row->commands & 1u << command) != 0;
}

// Whether `typed` is `name`, where an underscore equals a hyphen.
static bool is_same_name(const char *typed, const char *name)
{
    if (name == NULL) return false;
    for (; *typed != '\0' && *name != '\0'; typed++, name++)
        if ((*typed == '_' ? '-' : *typed) != *name) return false;
    return *typed == *name;
}

// Whether the option may be given without a value, which means "true", and as "no-NAME", which means "false".
static bool is_switch(const struct loam_option_row *row)
{
    return row->info.argument == NULL || row->info.argument[0] == '[';
}

const struct loam_option_row *loam_option_row_find(enum loam_command command, const char *typed,
                                                   bool *negated)
{
    bool no = strncmp(typed, "no-", 3) == 0 || strncmp(typed, "no_", 3) == 0;
    for (size_t i = 0; i < loam_option_row_count; i++) {
        const struct loam_option_row *row = &loam_option_rows[i];
        if (!loam_option_row_of(command, row)) continue;
        *negated = no && is_switch(row) && is_same_name(typed + 3, row->info.name);
        if (*negated || is_same_name(typed, row->info.name) || is_same_name(typed, row->info.alias))
            return row;
    }
    return NULL;
}

const struct loam_option_info *loam_option_find(enum loam_command command, const char *name)
{
    bool negated;
    if (name == NULL) return NULL;
    const struct loam_option_row *row = loam_option_row_find(command, name, &negated);
    return row == NULL ? NULL : &row->info;
}

const struct loam_option_info *loam_option_describe(enum loam_command command, size_t index)
{
    for (size_t i = 0; i < loam_option_row_count; i++) {
        if (!loam_option_row_of(command, &loam_option_rows[i])) continue;
        if (index == 0) return &loam_option_rows[i].info;
        index--;
    }
    return NULL;
}

const char *loam_option_nearest(enum loam_command command, const char *typed)
{
    struct loam_nearest nearest;
    loam_nearest_init(&nearest, typed);
    const struct loam_option_info *info;
    for (size_t i = 0; (info = loam_option_describe(command, i)) != NULL; i++) {
        loam_nearest_offer(&nearest, info->name);
        loam_nearest_offer(&nearest, info->alias);
    }
    return nearest.best;
}

static enum loam_status fail_unknown(enum loam_command command, const char *name, struct loam_error *error)
{
    const char *command_name = loam_command_name(command);
    const char *nearest = loam_option_nearest(command, name);
    if (nearest != NULL)
        return loam_fail(error, LOAM_ERROR_USAGE, "loam %s has no option --%s; did you mean --%s?",
                         command_name, name, nearest);
    return loam_fail(error, LOAM_ERROR_USAGE, "loam %s has no option --%s; loam %s --help lists them",
                     command_name, name, command_name);
}

// ---- The options of a command ----

// Whether a default describes a choice in words, "(by epochs)", or there is none.
static bool is_words(const char *default_text)
{
    return default_text == NULL || default_text[0] == '(';
}

enum loam_status loam_options_create(struct loam_options **out, enum loam_command command,
                                     struct loam_error *error)
{
    LOAM_ENSURE_ERROR(error);
    LOAM_TRY(loam_require(out, "the place for options", error));
    *out = NULL;
    if (loam_command_name(command) == NULL)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "there is no command number %d", (int)command);
    struct loam_options *options = loam_calloc(1, sizeof *options, error);
    if (options == NULL) return error->status;
    options->command = command;
    options->texts = loam_calloc(loam_option_row_count, sizeof *options->texts, error);
    if (options->texts != NULL)
        options->origins = loam_calloc(loam_option_row_count, sizeof *options->origins, error);
    enum loam_status status = options->origins == NULL ? error->status : LOAM_OK;
    for (size_t i = 0; i < loam_option_row_count && status == LOAM_OK; i++) {
        const struct loam_option_row *row = &loam_option_rows[i];
        if (!loam_option_row_of(command, row) || is_words(row->info.default_text)) continue;
        status = loam_option_store(&options->settings, row, row->info.default_text, error);
    }
    if (status != LOAM_OK) {
        loam_options_destroy(options);
        return status;
    }
    *out = options;
    return LOAM_OK;
}

void loam_options_destroy(struct loam_options *options)
{
    if (options == NULL) return;
    for (size_t i = 0; options->origins != NULL && i < loam_option_row_count; i++) {
        if (loam_option_row_of(options->command, &loam_option_rows[i]))
            loam_option_release(&options->settings, &loam_option_rows[i]);
        free(options->texts[i]);
        free(options->origins[i].replaced);
    }
    free(options->texts);
    free(options->origins);
    free(options);
}

// Whether the option takes one free text. An empty prompt is useful with a tokenizer that adds BOS.
static bool may_be_empty(const struct loam_option_row *row)
{
    return !row->info.repeated && row->info.argument != NULL && strcmp(row->info.argument, "TEXT") == 0;
}

static enum loam_status fail_empty(const struct loam_option_row *row, struct loam_error *error)
{
    if (row->info.positional)
        return loam_fail(error, LOAM_ERROR_USAGE, "%s needs a value; it is empty", row->info.argument);
    return loam_fail(error, LOAM_ERROR_USAGE, "--%s needs a value: %s; it is empty", row->info.name,
                     row->info.argument != NULL ? row->info.argument : "true or false");
}

enum loam_status loam_options_set(struct loam_options *options, const char *name, const char *value,
                                  struct loam_error *error)
{
    LOAM_ENSURE_ERROR(error);
    LOAM_TRY(loam_require(options, "the options", error));
    LOAM_TRY(loam_require(name, "the option's name", error));
    bool negated;
    const struct loam_option_row *row = loam_option_row_find(options->command, name, &negated);
    if (row == NULL) return fail_unknown(options->command, name, error);
    if (negated && value != NULL) return loam_fail(error, LOAM_ERROR_USAGE, "--%s takes no value", name);
    if (value == NULL && !is_switch(row))
        return loam_fail(error, LOAM_ERROR_USAGE, "--%s needs a value: %s", name, row->info.argument);
    if (value == NULL) value = negated ? "false" : "true";
    if (value[0] == '\0' && !may_be_empty(row)) return fail_empty(row, error);

    char *text = loam_strdup(value, error);
    if (text == NULL) return error->status;
    enum loam_status status = loam_option_store(&options->settings, row, text, error);
    if (status != LOAM_OK) {
        free(text);
        return status;
    }
    size_t index = (size_t)(row - loam_option_rows);
    free(options->texts[index]);
    options->texts[index] = text;
    options->origins[index].from_file = options->reading_file;
    if (strcmp(row->info.group, LOAM_LORA_GROUP) == 0) options->settings.with_lora = true;
    return LOAM_OK;
}

static bool is_refused_twice(const struct loam_option_row *row)
{
    for (const char *const *name = loam_options_refused_twice; *name != NULL; name++)
        if (strcmp(row->info.name, *name) == 0) return true;
    return false;
}

// Takes over `before`, the earlier value of an option that was given again: kept for a warning, or an error.
static enum loam_status note_replaced(struct loam_options *options, const struct loam_option_row *row,
                                      char *before, struct loam_error *error)
{
    size_t index = (size_t)(row - loam_option_rows);
    const char *now = options->texts[index];
    if (before == NULL || loam_option_values_equal(row, before, now)) {
        free(before);
        return LOAM_OK;
    }
    if (!is_refused_twice(row)) {
        free(options->origins[index].replaced);
        options->origins[index].replaced = before;
        return LOAM_OK;
    }
    loam_fail(error, LOAM_ERROR_USAGE, "--%s is given twice, as %.200s and as %.200s; it takes one value",
              row->info.name, before, now);
    free(before);
    return LOAM_ERROR_USAGE;
}

enum loam_status loam_options_set_argument(struct loam_options *options, const char *name, const char *value,
                                           struct loam_error *error)
{
    LOAM_ENSURE_ERROR(error);
    LOAM_TRY(loam_require(options, "the options", error));
    LOAM_TRY(loam_require(name, "the option's name", error));
    bool negated;
    char *before = NULL;
    const struct loam_option_row *row = loam_option_row_find(options->command, name, &negated);
    const char *text = row == NULL || row->info.repeated ? NULL : options->texts[row - loam_option_rows];
    if (text != NULL && (before = loam_strdup(text, error)) == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = loam_options_set(options, name, value, error);
    if (status == LOAM_OK) return note_replaced(options, row, before, error);
    free(before);
    return status;
}

const char *loam_options_get(const struct loam_options *options, const char *name)
{
    bool negated;
    if (options == NULL || name == NULL) return NULL;
    const struct loam_option_row *row = loam_option_row_find(options->command, name, &negated);
    if (row == NULL) return NULL;
    const char *text = options->texts[row - loam_option_rows];
    if (text == NULL && !is_words(row->info.default_text)) text = row->info.default_text;
    return text;
}
