// The command line over <loam.h>.
#ifndef LOAM_CLI_CLI_H
#define LOAM_CLI_CLI_H

#include <loam.h>
#include <stdio.h>

#include "cli/live.h"
#include "cli/screen.h"

// Exit codes. Stopped by a signal: CLI_SIGNALLED and its number, as shells have it.
enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_SIGNALLED = 128 };

// help.c
void cli_print_overview(FILE *stream);
void cli_print_help(FILE *stream, enum loam_command command);

// completion.c: the completion of "bash", "zsh" or "fish"; false: there is no such shell.
bool cli_print_completion(FILE *stream, const char *shell);

// arguments.c: sets `options` from the arguments after the command's name, up to NULL. `*help`: --help is
// there.
enum loam_status cli_read_arguments(struct loam_options *options, enum loam_command command, char **arguments,
                                    bool *help, struct loam_error *error);

// console.c: what a command says on its way, as lines for a person.
struct cli_console {
    bool quiet;       // results, warnings and errors only
    bool json;        // standard output is for JSON
    bool terminal;    // standard output is one
    FILE *progress;   // the lines of a run: standard output, or standard error where that is for JSON
    int output_error; // errno of the first write to standard output that failed; 0: none
    struct cli_live live;
    struct cli_screen screen;
};
void cli_console_init(struct cli_console *console, const struct loam_options *options);
struct loam_callbacks cli_console_callbacks(struct cli_console *console);
// Flushes standard output, and leaves the terminal at the start of a line; false when anything written to
// standard output was lost, after one line about it.
bool cli_console_finish(struct cli_console *console);
// Reports that writing to standard output failed for that reason (errno). A closed pipe (loam inspect DIR |
// head) is not reported.
void cli_tell_output_lost(int reason);

// process.c: to be called first; false, after one line, where the system gives less than is needed.
bool cli_prepare_process(void);

// stop.c: after SIGINT, SIGTERM and others like them a command that reports events is asked to stop; a second
// SIGINT or SIGTERM ends it at once.
void cli_stop_on_signals(void);
int cli_stop_signal(void); // the signal that came; 0: none

#endif
