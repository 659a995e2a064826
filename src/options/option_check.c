// Checks of how options fit together, by the tables of option_needs.h.
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "options/option_needs.h"
#include "options/option_values.h"
#include "options/options.h"

static const struct loam_option_row *find_row(const struct loam_options *options, const char *name)
{
    bool negated;
    return loam_option_row_find(options->command, name, &negated);
}

static const struct loam_option_origin *origin_of(const struct loam_options *options,
                                                  const struct loam_option_row *row)
{
    return &options->origins[row - loam_option_rows];
}

// Whether the text turns a switch off. The value "false" of another option may be the name of a file.
static bool is_off(const struct loam_option_row *row, const char *text)
{
    const char *argument = row->info.argument;
    return (argument == NULL || argument[0] == '[') && strcmp(text, "false") == 0;
}

static bool is_given(const struct loam_options *options, const char *name)
{
    const char *value = loam_options_get(options, name);
    return value != NULL && !is_off(find_row(options, name), value);
}

// ---- Options without effect ----

static bool is_true(const struct loam_options *options, const struct loam_option_term *term)
{
    const struct loam_option_row *row = find_row(options, term->name);
    const char *value = loam_options_get(options, term->name);
    bool equal = term->value != NULL && value != NULL && loam_option_values_equal(row, value, term->value);
    switch (term->kind) {
    case LOAM_TERM_GIVEN:
        return is_given(options, term->name);
    case LOAM_TERM_ABSENT:
        return !is_given(options, term->name);
    case LOAM_TERM_IS:
        return equal;
    case LOAM_TERM_IS_NOT:
        return !equal;
    case LOAM_TERM_NONE:
        break;
    }
    return false;
}

static bool is_met(const struct loam_options *options, const struct loam_option_need *need)
{
    for (size_t i = 0; i < LOAM_NEED_TERMS && need->any[i].kind != LOAM_TERM_NONE; i++)
        if (is_true(options, &need->any[i])) return true;
    return false;
}

static bool is_about(const struct loam_option_need *need, const char *name)
{
    for (size_t i = 0; i < LOAM_NEED_OPTIONS && need->options[i] != NULL; i++)
        if (strcmp(need->options[i], name) == 0) return true;
    return false;
}

// Whether a value from --config may be reported as without effect. A file that loam wrote holds every default
// and leaves out the options of a single call, so defaults and needs of such options are not reported.
static bool is_reported_in_file(const struct loam_options *options, const struct loam_option_need *need,
                                const struct loam_option_row *row, const char *text)
{
    const char *otherwise = row->info.default_text;
    if (otherwise != NULL && otherwise[0] != '(' && loam_option_values_equal(row, text, otherwise))
        return false;
    for (size_t i = 0; i < LOAM_NEED_TERMS && need->any[i].kind != LOAM_TERM_NONE; i++)
        if (find_row(options, need->any[i].name)->of_call) return false;
    return true;
}

// Whether the option was given a value that is not off or idle, and the need leaves it without effect.
static bool is_ignored(const struct loam_options *options, const struct loam_option_need *need,
                       const struct loam_option_row *row)
{
    const char *text = options->texts[row - loam_option_rows];
    if ((need->commands & 1u << options->command) == 0 || !is_about(need, row->info.name)) return false;
    if (text == NULL || is_off(row, text)) return false;
    if (need->idle != NULL && loam_option_values_equal(row, text, need->idle)) return false;
    if (origin_of(options, row)->from_file && !is_reported_in_file(options, need, row, text)) return false;
    return !is_met(options, need);
}

// The first need of the option that is not met; NULL: the option has an effect.
static const struct loam_option_need *find_unmet(const struct loam_options *options,
                                                 const struct loam_option_row *row)
{
    for (size_t i = 0; i < loam_option_need_count; i++)
        if (is_ignored(options, &loam_option_needs[i], row)) return &loam_option_needs[i];
    return NULL;
}

bool loam_option_is_idle(const struct loam_options *options, const struct loam_option_row *row)
{
    return find_unmet(options, row) != NULL;
}

// Whether the need depends on a value from --config, so that the mistake is not one of the command line
// alone.
static bool involves_file(const struct loam_options *options, const struct loam_option_need *need)
{
    for (size_t i = 0; i < LOAM_NEED_TERMS && need->any[i].kind != LOAM_TERM_NONE; i++)
        if (origin_of(options, find_row(options, need->any[i].name))->from_file) return true;
    return false;
}

static enum loam_status refuse_ignored(const struct loam_options *options, struct loam_error *error)
{
    for (size_t i = 0; i < loam_option_row_count; i++) {
        const struct loam_option_row *row = &loam_option_rows[i];
        const struct loam_option_need *need =
            loam_option_row_of(options->command, row) ? find_unmet(options, row) : NULL;
        if (need == NULL || !need->refused || origin_of(options, row)->from_file) continue;
        enum loam_status status = involves_file(options, need) ? LOAM_ERROR_ARGUMENT : LOAM_ERROR_USAGE;
        return loam_fail(error, status, "--%s %s", row->info.name, need->why);
    }
    return LOAM_OK;
}

static void warn_ignored(const struct loam_options *options, const struct loam_option_row *row,
                         const struct loam_log *log)
{
    const struct loam_option_need *need = find_unmet(options, row);
    if (need == NULL) return;
    if (origin_of(options, row)->from_file)
        loam_log_write(log, LOAM_LOG_WARNING, "%s: %s %s", options->settings.config_file, row->info.name,
                       need->why);
    else
        loam_log_write(log, LOAM_LOG_WARNING, "--%s %s", row->info.name, need->why);
}

static void warn_replaced(const struct loam_options *options, const struct loam_option_row *row,
                          const struct loam_log *log)
{
    const char *replaced = origin_of(options, row)->replaced;
    if (replaced != NULL)
        loam_log_write(log, LOAM_LOG_WARNING, "--%s is given twice: the last value, %s, is used, not %s",
                       row->info.name, options->texts[row - loam_option_rows], replaced);
}

// ---- Options that exclude each other ----

static enum loam_status list_rivals(struct loam_bytes *text, const struct loam_option_rivals *rivals,
                                    const char *last, struct loam_error *error)
{
    for (size_t i = 0; i < LOAM_NEED_OPTIONS && rivals->options[i] != NULL; i++) {
        bool ends = i + 1 == LOAM_NEED_OPTIONS || rivals->options[i + 1] == NULL;
        LOAM_TRY(loam_bytes_format(text, error, "%s--%s",
                                   i == 0 ? ""
                                   : ends ? last
                                          : ", ",
                                   rivals->options[i]));
    }
    return LOAM_OK;
}

static enum loam_status fail_rivals(const struct loam_options *options,
                                    const struct loam_option_rivals *rivals, struct loam_error *error)
{
    const char *command = loam_command_name(options->command);
    struct loam_bytes text = {0};
    enum loam_status status = list_rivals(&text, rivals, rivals->required ? " and " : " or ", error);
    if (status == LOAM_OK && rivals->required)
        status = loam_fail(error, LOAM_ERROR_USAGE, "loam %s needs exactly one of %s", command, text.data);
    else if (status == LOAM_OK)
        status = loam_fail(error, LOAM_ERROR_USAGE, "loam %s takes %s, not both", command, text.data);
    loam_bytes_deinit(&text);
    return status;
}

static enum loam_status check_rivals(const struct loam_options *options, struct loam_error *error)
{
    for (size_t i = 0; i < loam_option_rivals_count; i++) {
        const struct loam_option_rivals *rivals = &loam_option_rivals[i];
        if ((rivals->commands & 1u << options->command) == 0) continue;
        int given = 0;
        for (size_t j = 0; j < LOAM_NEED_OPTIONS && rivals->options[j] != NULL; j++)
            given += is_given(options, rivals->options[j]);
        if (given > 1 || (given == 0 && rivals->required)) return fail_rivals(options, rivals, error);
    }
    return LOAM_OK;
}

// ---- All checks ----

static enum loam_status check_required(const struct loam_options *options, struct loam_error *error)
{
    for (size_t i = 0; i < loam_option_row_count; i++) {
        const struct loam_option_row *row = &loam_option_rows[i];
        const struct loam_option_info *info = &row->info;
        if (!loam_option_row_of(options->command, row) || !info->required || options->texts[i] != NULL)
            continue;
        return loam_fail(error, LOAM_ERROR_USAGE, "loam %s needs %s%s%s%s: %s",
                         loam_command_name(options->command), info->positional ? "" : "--",
                         info->positional ? "" : info->name, info->positional ? "" : " ", info->argument,
                         info->help);
    }
    return LOAM_OK;
}

enum loam_status loam_options_check(const struct loam_options *options, const struct loam_log *log,
                                    struct loam_error *error)
{
    LOAM_TRY(check_required(options, error));
    LOAM_TRY(check_rivals(options, error));
    LOAM_TRY(refuse_ignored(options, error));
    for (size_t i = 0; i < loam_option_row_count; i++) {
        const struct loam_option_row *row = &loam_option_rows[i];
        if (!loam_option_row_of(options->command, row)) continue;
        warn_replaced(options, row, log);
        warn_ignored(options, row, log);
    }
    return LOAM_OK;
}
