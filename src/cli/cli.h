// The command line over <loam.h>.
#ifndef LOAM_CLI_CLI_H
#define LOAM_CLI_CLI_H

#include <loam.h>
#include <stdio.h>

// Exit codes.
enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

// help.c
void cli_print_overview(FILE *stream);
void cli_print_help(FILE *stream, enum loam_command command);

// arguments.c: sets `options` from the arguments after the command's name, up to NULL. `*help`: --help is
// there.
enum loam_status cli_read_arguments(struct loam_options *options, enum loam_command command, char **arguments,
                                    bool *help, struct loam_error *error);

// console.c: what a command says on its way, as lines for a person.
struct cli_console {
    FILE *progress;   // the lines of a run: standard output, or standard error where that is for JSON
    int output_error; // errno of the first write to standard output that failed; 0: none
};
void cli_console_init(struct cli_console *console, const struct loam_options *options);
struct loam_callbacks cli_console_callbacks(struct cli_console *console);
// Flushes standard output; false when anything written to it was lost.
bool cli_console_finish(struct cli_console *console);

#endif
