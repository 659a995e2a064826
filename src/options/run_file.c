#include "options/run_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/heap.h"
#include "options/flat_yaml.h"
#include "options/option_table.h"

enum { LARGEST_FILE = 1 << 20 };

struct run_file_reader {
    struct loam_options *options;
    struct loam_options *unused; // gets the values that the command line overrides, so that they are checked
    const char *name;
    bool *given; // [loam_option_row_count] whether the option was set before the file was read
    int *lines;  // [loam_option_row_count] line that sets the option; 0: none so far
};

static enum loam_status fail_key(const struct run_file_reader *reader, const struct loam_flat_entry *entry,
                                 struct loam_error *error)
{
    const char *command = loam_command_name(reader->options->command);
    const char *nearest = loam_option_nearest(reader->options->command, entry->key);
    if (nearest == NULL)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s:%d: loam %s has no option %s; loam %s --help lists them", reader->name,
                         entry->line, command, entry->key, command);
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s:%d: loam %s has no option %s; did you mean %s?",
                     reader->name, entry->line, command, entry->key, nearest);
}

static enum loam_status find_row(struct run_file_reader *reader, const struct loam_flat_entry *entry,
                                 const struct loam_option_row **out, struct loam_error *error)
{
    bool negated;
    const struct loam_option_row *row = loam_option_row_find(reader->options->command, entry->key, &negated);
    if (row == NULL) return fail_key(reader, entry, error);
    if (negated)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s:%d: %s: in a file this is \"%s: false\"", reader->name,
                         entry->line, entry->key, row->info.name);
    if (row->not_in_file)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s:%d: %s is allowed on the command line only",
                         reader->name, entry->line, row->info.name);
    int *line = &reader->lines[row - loam_option_rows];
    if (*line != 0)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s:%d: %s is already set on line %d", reader->name,
                         entry->line, row->info.name, *line);
    *line = entry->line;
    *out = row;
    return LOAM_OK;
}

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strcmp(text, *words) == 0) return true;
    return false;
}

// Refuses plain words that YAML reads as null or as a truth value where the option takes text.
static enum loam_status check_value(const struct run_file_reader *reader, const struct loam_option_row *row,
                                    const struct loam_flat_value *value, struct loam_error *error)
{
    static const char *const nothing[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const truth[] = {"true", "True", "TRUE", "false", "False", "FALSE", NULL};
    const struct loam_option_info *info = &row->info;
    bool is_text = row->type == LOAM_OPTION_STRING || row->type == LOAM_OPTION_LIST;
    if (value->plain && is_one_of(value->text, nothing))
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s:%d: %s has no value; leave the line out to set none",
                         reader->name, value->line, info->name);
    if (value->plain && is_text && is_one_of(value->text, truth))
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s:%d: %s: expected %s, not a truth value; put quotes around a text", reader->name,
                         value->line, info->name, info->argument);
    return LOAM_OK;
}

static enum loam_status set_value(struct run_file_reader *reader, const struct loam_option_row *row, int line,
                                  const char *text, struct loam_error *error)
{
    struct loam_options *target = reader->given[row - loam_option_rows] ? reader->unused : reader->options;
    enum loam_status status = loam_options_set(target, row->info.name, text, error);
    if (status == LOAM_OK || status == LOAM_ERROR_MEMORY) return status;
    loam_fail_prefix(error, "%s:%d", reader->name, line);
    error->status = LOAM_ERROR_FORMAT; // the file is wrong, not the command line
    return LOAM_ERROR_FORMAT;
}

// Sets an option whose value is a text with commas from a YAML list.
static enum loam_status set_joined_list(struct run_file_reader *reader, const struct loam_option_row *row,
                                        const struct loam_flat_entry *entry, struct loam_error *error)
{
    struct loam_bytes text = {0};
    enum loam_status status = LOAM_OK;
    for (size_t i = 0; i < entry->count && status == LOAM_OK; i++) {
        const char *value = entry->values[i].text;
        if (strchr(value, ',') != NULL)
            status = loam_fail(error, LOAM_ERROR_FORMAT, "%s:%d: %s: a value of the list has a comma",
                               reader->name, entry->values[i].line, row->info.name);
        if (status == LOAM_OK && i > 0) status = loam_bytes_append_text(&text, ",", error);
        if (status == LOAM_OK) status = loam_bytes_append_text(&text, value, error);
    }
    if (status == LOAM_OK) status = set_value(reader, row, entry->line, text.data, error);
    loam_bytes_deinit(&text);
    return status;
}

static bool takes_list(const struct loam_option_row *row)
{
    const char *argument = row->info.argument;
    return argument != NULL && (strncmp(argument, "LIST", 4) == 0 || strstr(argument, ",...") != NULL);
}

static enum loam_status set_entry(void *user, const struct loam_flat_entry *entry, struct loam_error *error)
{
    struct run_file_reader *reader = user;
    const struct loam_option_row *row = NULL;
    LOAM_TRY(find_row(reader, entry, &row, error));
    for (size_t i = 0; i < entry->count; i++)
        LOAM_TRY(check_value(reader, row, &entry->values[i], error));
    if (entry->count == 0)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "%s:%d: %s: the list is empty; leave the line out to set none", reader->name,
                         entry->line, row->info.name);
    if (entry->list && takes_list(row)) return set_joined_list(reader, row, entry, error);
    if (entry->list && !row->info.repeated)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s:%d: %s: expected %s, not a list", reader->name,
                         entry->line, row->info.name,
                         row->info.argument != NULL ? row->info.argument : "true or false");
    for (size_t i = 0; i < entry->count; i++)
        LOAM_TRY(set_value(reader, row, entry->values[i].line, entry->values[i].text, error));
    return LOAM_OK;
}

static enum loam_status init_reader(struct run_file_reader *reader, struct loam_error *error)
{
    reader->given = loam_calloc(loam_option_row_count, sizeof *reader->given, error);
    if (reader->given == NULL) return LOAM_ERROR_MEMORY;
    reader->lines = loam_calloc(loam_option_row_count, sizeof *reader->lines, error);
    if (reader->lines == NULL) return LOAM_ERROR_MEMORY;
    for (size_t i = 0; i < loam_option_row_count; i++)
        reader->given[i] = reader->options->texts[i] != NULL;
    return loam_options_create(&reader->unused, reader->options->command, error);
}

enum loam_status loam_run_file_parse(struct loam_options *options, const char *text, size_t size,
                                     const char *name, struct loam_error *error)
{
    struct run_file_reader reader = {.options = options, .name = name};
    enum loam_status status = init_reader(&reader, error);
    options->reading_file = true;
    if (status == LOAM_OK) status = loam_flat_yaml_read(text, size, name, set_entry, &reader, error);
    options->reading_file = false;
    loam_options_destroy(reader.unused);
    free(reader.lines);
    free(reader.given);
    return status;
}

enum loam_status loam_run_file_load(struct loam_options *options, const char *path, struct loam_error *error)
{
    struct loam_bytes text = {0};
    enum loam_status status = loam_file_read(path, LARGEST_FILE, &text, error);
    if (status == LOAM_OK)
        status = loam_run_file_parse(options, text.data != NULL ? text.data : "", text.size, path, error);
    loam_bytes_deinit(&text);
    return status;
}

enum loam_status loam_options_read_config(struct loam_options *options, struct loam_error *error)
{
    LOAM_ENSURE_ERROR(error);
    LOAM_TRY(loam_require(options, "the options", error));
    const char *path = options->settings.config_file;
    if (path == NULL || options->config_read) return LOAM_OK;
    options->config_read = true;
    return loam_run_file_load(options, path, error);
}
