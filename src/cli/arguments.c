// Reads "--name value", "--name=value", "--switch" and positional arguments.
#include <string.h>

#include "cli/cli.h"

static enum loam_status fail_usage(struct loam_error *error, const char *before, const char *argument,
                                   const char *after)
{
    error->status = LOAM_ERROR_USAGE;
    snprintf(error->message, sizeof error->message, "%s%s%s", before, argument, after);
    return LOAM_ERROR_USAGE;
}

// The first positional option that takes another value; NULL: none.
static const struct loam_option_info *find_positional(const struct loam_options *options,
                                                      enum loam_command command)
{
    const struct loam_option_info *info;
    for (size_t i = 0; (info = loam_option_describe(command, i)) != NULL; i++)
        if (info->positional && (info->repeated || loam_options_get(options, info->name) == NULL))
            return info;
    return NULL;
}

// `before`: the option whose value stands before the argument; NULL: none.
static enum loam_status fail_unexpected(const char *argument, const struct loam_option_info *before,
                                        struct loam_error *error)
{
    if (before == NULL || !before->repeated)
        return fail_usage(error, "unexpected argument \"", argument, "\"; options begin with --");
    error->status = LOAM_ERROR_USAGE;
    snprintf(error->message, sizeof error->message,
             "unexpected argument \"%s\"; write --%s before each of its values", argument, before->name);
    return LOAM_ERROR_USAGE;
}

static enum loam_status set_positional(struct loam_options *options, enum loam_command command,
                                       const char *argument, const struct loam_option_info *before,
                                       struct loam_error *error)
{
    const struct loam_option_info *info = find_positional(options, command);
    if (info == NULL) return fail_unexpected(argument, before, error);
    return loam_options_set_argument(options, info->name, argument, error);
}

// Sets the option of a "--name" argument. Consumes the argument at `*next` if the option needs a value
// and the argument has no "=VALUE". `*option` is the option that is set; NULL: there is none of that name.
static enum loam_status set_named(struct loam_options *options, enum loam_command command,
                                  const char *argument, char ***next, const struct loam_option_info **option,
                                  struct loam_error *error)
{
    const char *equals = strchr(argument, '=');
    size_t size = equals == NULL ? strlen(argument) : (size_t)(equals - argument);
    char name[128];
    if (size >= sizeof name) return fail_usage(error, "there is no option ", argument, "");
    memcpy(name, argument, size);
    name[size] = '\0';

    const struct loam_option_info *info = loam_option_find(command, name + 2);
    *option = info;
    const char *value = equals == NULL ? NULL : equals + 1;
    bool next_is_value = info != NULL && info->argument != NULL && **next != NULL;
    // An optional value does not begin with "-": that is the next option.
    if (next_is_value && info->argument[0] == '[') next_is_value = (**next)[0] != '-';
    if (value == NULL && next_is_value) value = *(*next)++;
    return loam_options_set_argument(options, name + 2, value, error);
}

enum loam_status cli_read_arguments(struct loam_options *options, enum loam_command command, char **arguments,
                                    bool *help, struct loam_error *error)
{
    bool only_positional = false;
    const struct loam_option_info *option = NULL;
    *help = false;
    while (*arguments != NULL) {
        const char *argument = *arguments++;
        enum loam_status status = LOAM_OK;
        if (only_positional || argument[0] != '-' || argument[1] == '\0')
            status = set_positional(options, command, argument, option, error);
        else if (strcmp(argument, "--") == 0)
            only_positional = true;
        else if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0)
            *help = true;
        else if (argument[1] != '-')
            status = fail_usage(error, "there is no option ", argument, "; options begin with --");
        else
            status = set_named(options, command, argument, &arguments, &option, error);
        if (status != LOAM_OK) return status;
        if (*help) return LOAM_OK;
    }
    return LOAM_OK;
}
