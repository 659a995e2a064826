// --help, from the option descriptions of the library.
#include <string.h>

#include "cli/cli.h"

enum { HELP_COLUMN = 32, WIDTH = 80 };

// Prints `text` from column `at`, wrapped at WIDTH. All lines but the first are indented by HELP_COLUMN.
static void print_wrapped(FILE *stream, const char *text, size_t at)
{
    while (*text != '\0') {
        size_t word = strcspn(text, " ");
        if (at > HELP_COLUMN && at + 1 + word > WIDTH) {
            fprintf(stream, "\n%*s", HELP_COLUMN, "");
            at = HELP_COLUMN;
        }
        at += (size_t)fprintf(stream, "%s%.*s", at > HELP_COLUMN ? " " : "", (int)word, text);
        text += word;
        text += strspn(text, " ");
    }
}

// Prints "  --name ARGUMENT" and the help text. A switch that is on by default is shown as "--no-name".
static void print_option(FILE *stream, const struct loam_option_info *info)
{
    bool is_switch = info->argument == NULL;
    bool on = is_switch && info->default_text != NULL && strcmp(info->default_text, "true") == 0;
    int at;
    if (info->positional)
        at = fprintf(stream, "  %s", info->argument);
    else
        at = fprintf(stream, "  --%s%s%s%s", on ? "no-" : "", info->name, is_switch ? "" : " ",
                     is_switch ? "" : info->argument);
    if (at >= HELP_COLUMN - 1) {
        fputc('\n', stream);
        at = 0;
    }
    fprintf(stream, "%*s", HELP_COLUMN - at, "");

    char line[1024];
    size_t used = (size_t)snprintf(line, sizeof line, "%s", info->help);
    if (info->required) used += (size_t)snprintf(line + used, sizeof line - used, " Required.");
    if (!is_switch && info->default_text != NULL) {
        bool words = info->default_text[0] == '(';
        int size = (int)strlen(info->default_text) - (words ? 2 : 0);
        used += (size_t)snprintf(line + used, sizeof line - used, " Default: %.*s.", size,
                                 info->default_text + words);
    }
    if (info->alias != NULL) snprintf(line + used, sizeof line - used, " Also --%s.", info->alias);
    print_wrapped(stream, line, HELP_COLUMN);
    fputc('\n', stream);
}

void cli_print_help(FILE *stream, enum loam_command command)
{
    const struct loam_option_info *info;
    fprintf(stream, "loam %s: %s\n\nUsage: loam %s", loam_command_name(command), loam_command_help(command),
            loam_command_name(command));
    for (size_t i = 0; (info = loam_option_describe(command, i)) != NULL; i++) {
        if (!info->required) continue;
        if (info->positional)
            fprintf(stream, " %s", info->argument);
        else
            fprintf(stream, " --%s %s", info->name, info->argument);
    }
    fprintf(stream, " [options]\n");
    const char *group = "";
    for (size_t i = 0; (info = loam_option_describe(command, i)) != NULL; i++) {
        if (strcmp(info->group, group) != 0) fprintf(stream, "\n%s:\n", info->group);
        group = info->group;
        print_option(stream, info);
    }
}

void cli_print_overview(FILE *stream)
{
    fprintf(stream, "Usage: loam COMMAND [options]\n\n"
                    "Fine-tune language models with LoRA, natively.\n\n"
                    "Commands:\n");
    for (int i = 0; i < LOAM_COMMAND_COUNT; i++)
        fprintf(stream, "  %-10s %s\n", loam_command_name((enum loam_command)i),
                loam_command_help((enum loam_command)i));
    fprintf(stream, "\nloam COMMAND --help shows the options of a command.\n"
                    "loam --version shows the version, and with --verbose the processor and threads.\n"
                    "loam completion bash|zsh|fish writes a completion script for that shell.\n");
}
