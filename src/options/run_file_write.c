// Writes the options of a run as the YAML file that run_file.c reads.
#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/file.h"
#include "base/utf8.h"
#include "data/template.h"
#include "lora/adapter_list.h"
#include "options/option_values.h"
#include "options/run_file.h"

// ---- Scalars ----

// Whether YAML reads the text without quotes as the same text.
static bool is_plain(const char *text)
{
    static const char *const words[] = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"};
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+=@";
    char *end;
    if (!isalpha((unsigned char)text[0]) && text[0] != '/') return false;
    if (text[strspn(text, safe)] != '\0') return false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasecmp(text, words[i]) == 0) return false;
    strtod(text, &end); // "inf", "nan" and the like
    return *end != '\0';
}

// Whether `text` begins with a character that has to be escaped between double quotes. Gives its size in
// bytes and its escape.
static bool find_escape(const char *text, size_t *size, char escape[8])
{
    static const char *const beyond_latin1[][2] = {
        {"\xE2\x80\xA8", "\\u2028"}, // line and paragraph separators
        {"\xE2\x80\xA9", "\\u2029"},
        {"\xEF\xBB\xBF", "\\uFEFF"}, // byte order mark
        {"\xEF\xBF\xBE", "\\uFFFE"}, // noncharacters
        {"\xEF\xBF\xBF", "\\uFFFF"}};
    unsigned char c = (unsigned char)text[0], second = c == 0xC2 ? (unsigned char)text[1] : 0;
    bool control = c < 0x20 || c == 0x7f, late_control = second >= 0x80 && second < 0xA0;
    *size = late_control ? 2 : 1;
    if (control || late_control) return snprintf(escape, 8, "\\x%02x", late_control ? second : c) > 0;
    if (c == '"' || c == '\\') return snprintf(escape, 8, "\\%c", c) > 0;
    *size = 3;
    for (size_t i = 0; i < sizeof beyond_latin1 / sizeof *beyond_latin1; i++)
        if (strncmp(text, beyond_latin1[i][0], 3) == 0)
            return snprintf(escape, 8, "%s", beyond_latin1[i][1]) > 0;
    return false;
}

// Appends the text in double quotes, in which every character can be written. The text is UTF-8.
static enum loam_status append_quoted(struct loam_bytes *out, const char *text, struct loam_error *error)
{
    char escape[8];
    LOAM_TRY(loam_bytes_append_text(out, "\"", error));
    for (size_t size; *text != '\0'; text += size) {
        if (find_escape(text, &size, escape)) {
            LOAM_TRY(loam_bytes_append_text(out, escape, error));
            continue;
        }
        size = 1;
        LOAM_TRY(loam_bytes_append(out, text, size, error));
    }
    return loam_bytes_append_text(out, "\"", error);
}

// Appends a number as it was given, and a text so that YAML reads it as a text.
static enum loam_status append_scalar(struct loam_bytes *out, const struct loam_option_row *row,
                                      const char *text, struct loam_error *error)
{
    bool is_text = row->type == LOAM_OPTION_STRING || loam_option_is_list(row);
    bool number = !is_text && isalnum((unsigned char)text[text[0] == '-']);
    return number || is_plain(text) ? loam_bytes_append_text(out, text, error)
                                    : append_quoted(out, text, error);
}

// ---- Paths ----

// Whether such a file or directory exists, without the factor that may stand after its name.
static bool is_there(const struct loam_option_row *row, const char *text)
{
    char path[PATH_MAX];
    struct loam_error ignored;
    double factor;
    size_t size = strlen(text);
    if (row->factored && loam_adapter_choice_parse(text, &size, &factor, &ignored) != LOAM_OK) return false;
    if (size >= sizeof path) return false;
    memcpy(path, text, size);
    path[size] = '\0';
    return loam_directory_exists(path) || loam_file_exists(path);
}

// Whether a value is a path relative to the current directory. A value that may also be a name is a path if
// such a file or directory exists.
static bool is_relative_path(const struct loam_option_row *row, const char *text)
{
    const struct loam_option_info *info = &row->info;
    if (text[0] == '/' || !(loam_option_takes(info, "DIR") || loam_option_takes(info, "FILE"))) return false;
    if (strchr(info->argument, '|') == NULL) return true;
    if (strcmp(info->name, "template") == 0 && loam_template_is_built_in(text)) return false;
    return is_there(row, text);
}

static enum loam_status append_value(struct loam_bytes *out, const struct loam_option_row *row,
                                     const char *text, struct loam_error *error)
{
    if (!is_relative_path(row, text)) return append_scalar(out, row, text, error);
    char *here = getcwd(NULL, 0);
    char *path = here == NULL ? NULL : loam_path_join(here, text, error);
    enum loam_status status = append_scalar(out, row, path != NULL ? path : text, error);
    free(path);
    free(here);
    return status;
}

// ---- Options ----

static bool is_utf8(const char *text)
{
    return loam_utf8_check(text, strlen(text)) == strlen(text);
}

static enum loam_status append_line(struct loam_bytes *out, const struct loam_option_row *row,
                                    const char *text, struct loam_error *error)
{
    const struct loam_option_info *info = &row->info;
    if (text == NULL)
        return loam_bytes_format(out, error, "# %s: %s\n", info->name,
                                 info->default_text != NULL ? info->default_text : "(none)");
    if (!is_utf8(text)) // YAML files are UTF-8
        return loam_bytes_format(out, error, "# %s: (a value that is not UTF-8)\n", info->name);
    LOAM_TRY(loam_bytes_format(out, error, "%s: ", info->name));
    LOAM_TRY(append_value(out, row, text, error));
    return loam_bytes_append_text(out, "\n", error);
}

static enum loam_status append_item(struct loam_bytes *out, const struct loam_option_row *row,
                                    const char *text, size_t number, struct loam_error *error)
{
    if (!is_utf8(text))
        return loam_fail(error, LOAM_ERROR_ARGUMENT,
                         "--%s: value %zu is not UTF-8, which a YAML file must be", row->info.name, number);
    LOAM_TRY(loam_bytes_append_text(out, "  - ", error));
    LOAM_TRY(append_value(out, row, text, error));
    return loam_bytes_append_text(out, "\n", error);
}

static enum loam_status append_list(struct loam_bytes *out, const struct loam_option_row *row,
                                    const struct loam_settings *settings, struct loam_error *error)
{
    LOAM_TRY(loam_bytes_format(out, error, "%s:\n", row->info.name));
    struct loam_bytes text = {0};
    enum loam_status status = LOAM_OK;
    for (size_t i = 0; i < loam_option_item_count(settings, row) && status == LOAM_OK; i++) {
        loam_bytes_clear(&text);
        status = loam_option_append_item(settings, row, i, &text, error);
        if (status == LOAM_OK) status = append_item(out, row, text.data, i + 1, error);
    }
    loam_bytes_deinit(&text);
    return status;
}

enum { NUMBER_SIZE = 16 };

// The value that the run chose for an option; NULL: the run chooses none.
static const char *find_resolved(const struct loam_train_resolved *resolved, const char *name,
                                 char number[NUMBER_SIZE])
{
    const struct {
        const char *name;
        int value;
    } numbers[] = {{"max-length", resolved->max_length},
                   {"token-budget", resolved->token_budget},
                   {"threads", resolved->threads}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (strcmp(name, numbers[i].name) != 0) continue;
        snprintf(number, NUMBER_SIZE, "%d", numbers[i].value);
        return number;
    }
    if (strcmp(name, "target-modules") == 0) return resolved->targets;
    if (strcmp(name, "device") == 0) return resolved->device;
    if (strcmp(name, "dtype") == 0 && resolved->dtype != LOAM_DTYPE_NONE)
        return loam_dtype_name(resolved->dtype);
    return NULL;
}

enum loam_status loam_run_file_write(const struct loam_options *options, struct loam_bytes *text,
                                     struct loam_error *error)
{
    return loam_run_file_write_resolved(options, NULL, text, error);
}

// "auto" is left open, too.
static bool is_auto_device(const struct loam_option_row *row, const char *value)
{
    return strcmp(row->info.name, "device") == 0 && strcmp(value, "auto") == 0;
}

enum loam_status loam_run_file_write_resolved(const struct loam_options *options,
                                              const struct loam_train_resolved *resolved,
                                              struct loam_bytes *text, struct loam_error *error)
{
    char number[NUMBER_SIZE];
    const char *command = loam_command_name(options->command), *group = "";
    LOAM_TRY(loam_bytes_format(text, error, "# loam %s --config FILE runs this again (loam %s)\n", command,
                               LOAM_VERSION));
    for (size_t i = 0; i < loam_option_row_count; i++) {
        const struct loam_option_row *row = &loam_option_rows[i];
        if ((row->commands & 1u << options->command) == 0 || row->of_call) continue;
        if (strcmp(row->info.group, group) != 0)
            LOAM_TRY(loam_bytes_format(text, error, "\n# %s\n", row->info.group));
        group = row->info.group;
        const char *value = loam_options_get(options, row->info.name);
        if (value == NULL && row->info.argument == NULL) value = "false"; // a switch that is off
        if (resolved != NULL && (value == NULL || is_auto_device(row, value)))
            value = find_resolved(resolved, row->info.name, number);
        if (value != NULL && loam_option_item_count(&options->settings, row) > 1)
            LOAM_TRY(append_list(text, row, &options->settings, error));
        else
            LOAM_TRY(append_line(text, row, value, error));
    }
    return LOAM_OK;
}
