#include "api/options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/nearest.h"
#include "api/run_file.h"
#include "base/heap.h"

// ---- Looking up ----

// Name and sentence of every command.
static const char *const command_texts[LOAM_COMMAND_COUNT][2] = {
    [LOAM_COMMAND_TRAIN] = {"train", "train a LoRA adapter that PEFT loads, or the whole model"},
    [LOAM_COMMAND_PLAN] = {"plan", "tell the memory that training takes, and what makes it fit"},
    [LOAM_COMMAND_GENERATE] = {"generate", "continue a prompt with a model, with or without an adapter"},
    [LOAM_COMMAND_EVAL] = {"eval", "measure loss and perplexity on examples, and SQuAD scores"},
    [LOAM_COMMAND_MERGE] = {"merge", "add an adapter into its model and write the model"},
    [LOAM_COMMAND_EXPORT] = {"export", "write an adapter as a GGUF LoRA for llama.cpp"},
    [LOAM_COMMAND_INSPECT] = {"inspect", "show modules, dtypes and parameters of a model or an adapter"},
    [LOAM_COMMAND_INIT] = {"init", "write a randomly initialised model from a config.json"},
    [LOAM_COMMAND_PUSH] = {"push", "put an adapter or a model into a repository of the hub"},
    [LOAM_COMMAND_PULL] = {"pull", "bring a model or an adapter from the hub into the cache"},
    [LOAM_COMMAND_TOKENIZE] = {"tokenize", "turn text from standard input into token ids, or back"},
    [LOAM_COMMAND_BENCH] = {"bench", "measure training steps beside what the machine can do"},
};

static bool is_command(enum loam_command command)
{
    return (unsigned)command < LOAM_COMMAND_COUNT;
}

static bool has_row(enum loam_command command, const struct loam_option_row *row)
{
    return is_command(command) && (row->commands & 1u << command) != 0;
}

// Whether the option `name` is the one called `typed`, an underscore standing for a hyphen.
static bool same_name(const char *typed, const char *name)
{
    if (name == NULL) return false;
    for (; *typed != '\0' && *name != '\0'; typed++, name++)
        if ((*typed == '_' ? '-' : *typed) != *name) return false;
    return *typed == *name;
}

// Whether it may stand without a value, and be turned off by "no-": the value is then "true" or "false".
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
        if (!has_row(command, row)) continue;
        *negated = no && is_switch(row) && same_name(typed + 3, row->info.name);
        if (*negated || same_name(typed, row->info.name) || same_name(typed, row->info.alias)) return row;
    }
    return NULL;
}

const struct loam_option_info *loam_option_find(enum loam_command command, const char *name)
{
    bool negated;
    const struct loam_option_row *row = loam_option_row_find(command, name, &negated);
    return row == NULL ? NULL : &row->info;
}

const struct loam_option_info *loam_option_describe(enum loam_command command, size_t index)
{
    for (size_t i = 0; i < loam_option_row_count; i++) {
        if (!has_row(command, &loam_option_rows[i])) continue;
        if (index == 0) return &loam_option_rows[i].info;
        index--;
    }
    return NULL;
}

const char *loam_command_name(enum loam_command command)
{
    return is_command(command) ? command_texts[command][0] : NULL;
}

const char *loam_command_help(enum loam_command command)
{
    return is_command(command) ? command_texts[command][1] : NULL;
}

enum loam_status loam_command_find(enum loam_command *command, const char *name, struct loam_error *error)
{
    struct loam_nearest nearest;
    loam_nearest_init(&nearest, name);
    for (int i = 0; i < LOAM_COMMAND_COUNT; i++) {
        if (strcmp(name, command_texts[i][0]) == 0) {
            *command = (enum loam_command)i;
            return LOAM_OK;
        }
        loam_nearest_offer(&nearest, command_texts[i][0]);
    }
    if (nearest.best != NULL)
        return loam_fail(error, LOAM_ERROR_USAGE, "there is no command \"%s\"; did you mean \"%s\"?", name,
                         nearest.best);
    return loam_fail(error, LOAM_ERROR_USAGE, "there is no command \"%s\"; loam --help lists them", name);
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

// ---- Values ----

static enum loam_status fail_value(const struct loam_option_row *row, const char *value, const char *expected,
                                   struct loam_error *error)
{
    if (row->info.positional)
        return loam_fail(error, LOAM_ERROR_USAGE, "\"%s\": expected %s", value, expected);
    return loam_fail(error, LOAM_ERROR_USAGE, "--%s %s: expected %s", row->info.name, value, expected);
}

// A number outside the row's interval. The intervals are written in the table, so they are known to be
// well-formed.
static enum loam_status check_range(const struct loam_option_row *row, const char *text, double number,
                                    struct loam_error *error)
{
    if (row->range == NULL) return LOAM_OK;
    char *end;
    double low = strtod(row->range + 1, &end);
    double high = strtod(end + 1, &end);
    bool above = row->range[0] == '[' ? number >= low : number > low;
    bool below = *end == ']' ? number <= high : number < high;
    if (above && below) return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_ARGUMENT, "--%s %s: expected a value in the interval %s",
                     row->info.name, text, row->range);
}

static enum loam_status set_whole(const struct loam_option_row *row, void *field, const char *text,
                                  struct loam_error *error)
{
    char *end;
    errno = 0;
    int64_t number = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0) return fail_value(row, text, "a whole number", error);
    LOAM_TRY(check_range(row, text, (double)number, error));
    if (row->type == LOAM_OPTION_INT64) {
        *(int64_t *)field = number;
        return LOAM_OK;
    }
    if (number < INT32_MIN || number > INT32_MAX) return fail_value(row, text, "a 32-bit number", error);
    *(int *)field = (int)number;
    return LOAM_OK;
}

// "6G" and the like; "none" is more than there can be. Units are powers of 1024.
static enum loam_status set_bytes(const struct loam_option_row *row, int64_t *field, const char *text,
                                  struct loam_error *error)
{
    static const char expected[] = "a size such as 512M, 6G or 1.5GiB, or none";
    static const char units[] = "KMGT";
    *field = INT64_MAX;
    if (strcmp(text, "none") == 0) return LOAM_OK;
    char *end;
    double bytes = strtod(text, &end);
    if (end == text) return fail_value(row, text, expected, error);
    const char *unit = *end != '\0' ? strchr(units, *end) : NULL;
    if (unit != NULL) {
        bytes = ldexp(bytes, 10 * (int)(unit - units + 1));
        end++;
    }
    if (strcmp(end, "") != 0 && strcmp(end, "B") != 0 && (unit == NULL || strcmp(end, "iB") != 0))
        return fail_value(row, text, expected, error);
    if (!(bytes >= 1 && bytes < ldexp(1, 62))) return fail_value(row, text, expected, error);
    *field = (int64_t)bytes;
    return LOAM_OK;
}

static enum loam_status set_seed(const struct loam_option_row *row, uint64_t *field, const char *text,
                                 struct loam_error *error)
{
    char *end;
    errno = 0;
    *field = strtoull(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || strchr(text, '-') != NULL)
        return fail_value(row, text, "a whole number from 0 to 18446744073709551615", error);
    return LOAM_OK;
}

static enum loam_status set_double(const struct loam_option_row *row, double *field, const char *text,
                                   struct loam_error *error)
{
    char *end;
    double number = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(number)) return fail_value(row, text, "a number", error);
    *field = number;
    return check_range(row, text, number, error);
}

static enum loam_status fail_choice(const struct loam_option_row *row, const char *text,
                                    struct loam_error *error)
{
    struct loam_nearest nearest;
    loam_nearest_init(&nearest, text);
    for (const struct loam_choice *choice = row->choices; choice->name != NULL; choice++)
        loam_nearest_offer(&nearest, choice->name);
    if (nearest.best == NULL) return fail_value(row, text, row->info.argument, error);
    char expected[160];
    snprintf(expected, sizeof expected, "%s; did you mean %s?", row->info.argument, nearest.best);
    return fail_value(row, text, expected, error);
}

static enum loam_status set_choice(const struct loam_option_row *row, void *field, const char *text,
                                   struct loam_error *error)
{
    for (const struct loam_choice *choice = row->choices; choice->name != NULL; choice++) {
        if (strcmp(text, choice->name) != 0) continue;
        if (row->type == LOAM_OPTION_BOOL)
            *(bool *)field = choice->value != 0;
        else
            *(unsigned *)field = (unsigned)choice->value;
        return LOAM_OK;
    }
    return fail_choice(row, text, error);
}

static enum loam_status add_field(struct loam_settings *settings, const struct loam_option_row *row,
                                  const char *text, struct loam_error *error)
{
    const char *equals = strchr(text, '=');
    if (equals == NULL || equals == text) return fail_value(row, text, row->info.argument, error);
    size_t name_size = (size_t)(equals - text);
    for (size_t i = 0; i < settings->field_count; i++) {
        const char *other = settings->fields[i].name;
        if (strlen(other) == name_size && memcmp(other, text, name_size) == 0)
            return loam_fail(error, LOAM_ERROR_USAGE, "--%s %s is given twice", row->info.name, other);
    }
    struct loam_field *fields = loam_calloc(settings->field_count + 1, sizeof *fields, error);
    if (fields == NULL) return error->status;
    char *name = loam_strndup(text, name_size, error);
    char *value = name == NULL ? NULL : loam_strdup(equals + 1, error);
    if (value == NULL) {
        free(name);
        free(fields);
        return error->status;
    }
    if (settings->field_count > 0) memcpy(fields, settings->fields, settings->field_count * sizeof *fields);
    fields[settings->field_count] = (struct loam_field){name, value, strlen(value)};
    free(settings->fields);
    settings->fields = fields;
    settings->field_count++;
    return LOAM_OK;
}

// The one list of texts is --include.
static enum loam_status add_text(struct loam_settings *settings, const char *text, struct loam_error *error)
{
    struct loam_hub_options *hub = &settings->hub;
    const char **list = loam_calloc(hub->include_count + 1, sizeof *list, error);
    const char *copy = list == NULL ? NULL : loam_strdup(text, error);
    if (copy == NULL) {
        free(list);
        return LOAM_ERROR_MEMORY;
    }
    if (hub->include_count > 0) memcpy(list, hub->include, hub->include_count * sizeof *list);
    list[hub->include_count++] = copy;
    free(hub->include);
    hub->include = list;
    return LOAM_OK;
}

// Fills the row's field. A string field keeps the pointer.
static enum loam_status set_field(struct loam_settings *settings, const struct loam_option_row *row,
                                  const char *text, struct loam_error *error)
{
    void *field = (char *)settings + row->offset;
    if (row->bytes) return set_bytes(row, field, text, error);
    if (row->choices != NULL) return set_choice(row, field, text, error);
    switch (row->type) {
    case LOAM_OPTION_BOOL:
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
            return fail_value(row, text, "true or false", error);
        *(bool *)field = text[0] == 't';
        return LOAM_OK;
    case LOAM_OPTION_INT:
    case LOAM_OPTION_INT64:
        return set_whole(row, field, text, error);
    case LOAM_OPTION_UINT64:
        return set_seed(row, field, text, error);
    case LOAM_OPTION_DOUBLE:
        return set_double(row, field, text, error);
    case LOAM_OPTION_STRING:
        *(const char **)field = text;
        return LOAM_OK;
    case LOAM_OPTION_FIELDS:
        return add_field(settings, row, text, error);
    case LOAM_OPTION_LIST:
        return add_text(settings, text, error);
    case LOAM_OPTION_ENUM:
        break;
    }
    return loam_fail(error, LOAM_ERROR_INTERNAL, "--%s has no choices", row->info.name);
}

// ---- The options of a command ----

static bool is_words(const char *default_text)
{
    return default_text == NULL || default_text[0] == '(';
}

enum loam_status loam_options_create(struct loam_options **out, enum loam_command command,
                                     struct loam_error *error)
{
    if (!is_command(command))
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "there is no command number %d", (int)command);
    struct loam_options *options = loam_calloc(1, sizeof *options, error);
    if (options == NULL) return error->status;
    options->command = command;
    options->texts = loam_calloc(loam_option_row_count, sizeof *options->texts, error);
    enum loam_status status = options->texts == NULL ? error->status : LOAM_OK;
    for (size_t i = 0; i < loam_option_row_count && status == LOAM_OK; i++) {
        const struct loam_option_row *row = &loam_option_rows[i];
        if (!has_row(command, row) || is_words(row->info.default_text)) continue;
        status = set_field(&options->settings, row, row->info.default_text, error);
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
    for (size_t i = 0; options->texts != NULL && i < loam_option_row_count; i++)
        free(options->texts[i]);
    free(options->texts);
    for (size_t i = 0; i < options->settings.field_count; i++) {
        free((char *)options->settings.fields[i].name);
        free((char *)options->settings.fields[i].value);
    }
    free(options->settings.fields);
    for (size_t i = 0; i < options->settings.hub.include_count; i++)
        free((char *)options->settings.hub.include[i]);
    free(options->settings.hub.include);
    free(options);
}

enum loam_status loam_options_set(struct loam_options *options, const char *name, const char *value,
                                  struct loam_error *error)
{
    bool negated;
    const struct loam_option_row *row = loam_option_row_find(options->command, name, &negated);
    if (row == NULL) return fail_unknown(options->command, name, error);
    if (negated && value != NULL) return loam_fail(error, LOAM_ERROR_USAGE, "--%s takes no value", name);
    if (value == NULL && !is_switch(row))
        return loam_fail(error, LOAM_ERROR_USAGE, "--%s needs a value: %s", name, row->info.argument);
    if (value == NULL) value = negated ? "false" : "true";

    char *text = loam_strdup(value, error);
    if (text == NULL) return error->status;
    enum loam_status status = set_field(&options->settings, row, text, error);
    if (status != LOAM_OK) {
        free(text);
        return status;
    }
    size_t index = (size_t)(row - loam_option_rows);
    free(options->texts[index]);
    options->texts[index] = text;
    if (strcmp(row->info.group, LOAM_LORA_GROUP) == 0) options->settings.with_lora = true;
    return LOAM_OK;
}

enum loam_status loam_options_read_config(struct loam_options *options, struct loam_error *error)
{
    const char *path = options->settings.config_file;
    if (path == NULL || options->config_read) return LOAM_OK;
    options->config_read = true;
    return loam_run_file_load(options, path, error);
}

const char *loam_options_get(const struct loam_options *options, const char *name)
{
    bool negated;
    const struct loam_option_row *row = loam_option_row_find(options->command, name, &negated);
    if (row == NULL) return NULL;
    const char *text = options->texts[row - loam_option_rows];
    if (text == NULL && !is_words(row->info.default_text)) text = row->info.default_text;
    return text;
}

enum loam_status loam_options_check(const struct loam_options *options, struct loam_error *error)
{
    for (size_t i = 0; i < loam_option_row_count; i++) {
        const struct loam_option_row *row = &loam_option_rows[i];
        if (!has_row(options->command, row) || !row->info.required || options->texts[i] != NULL) continue;
        const struct loam_option_info *info = &row->info;
        return loam_fail(error, LOAM_ERROR_USAGE, "loam %s needs %s%s%s%s: %s",
                         loam_command_name(options->command), info->positional ? "" : "--",
                         info->positional ? "" : info->name, info->positional ? "" : " ", info->argument,
                         info->help);
    }
    return LOAM_OK;
}
