// The command line over <loam.h>.
#ifndef LOAM_CLI_CLI_H
#define LOAM_CLI_CLI_H

#include <loam.h>
#include <stdio.h>

#include "cli/live.h"
#include "cli/screen.h"

// Exit codes. After a signal the exit code is CLI_SIGNALLED plus the signal's number, as in shells.
enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_SIGNALLED = 128 };

// help.c
void cli_print_overview(FILE *stream);
void cli_print_help(FILE *stream, enum loam_command command);

// completion.c: prints the completion script of "bash", "zsh" or "fish". False for any other shell.
bool cli_print_completion(FILE *stream, const char *shell);

// arguments.c: sets `options` from the arguments after the command's name. `*help`: --help was given.
enum loam_status cli_read_arguments(struct loam_options *options, enum loam_command command, char **arguments,
                                    bool *help, struct loam_error *error);

// reader.c: lines that a person writes, with editing and a history where standard input is a terminal.
struct cli_reader;
struct cli_reader *cli_reader_open(void); // NULL: no memory
void cli_reader_close(struct cli_reader *reader);
// As the callback `line` of loam.h.
enum loam_line cli_reader_read(struct cli_reader *reader, const char *prompt, const char **text,
                               size_t *size);

// console.c: prints the events and results of a command.
struct cli_console {
    bool quiet;       // print results, warnings and errors only
    bool json;        // standard output receives JSON
    bool terminal;    // standard output is a terminal
    bool colored;     // the command writes colours and makes its text printable itself
    FILE *progress;   // receives the lines of a run: standard output, or standard error with `json`
    int output_error; // errno of the first failed write to standard output; 0: none
    struct cli_live live;
    struct cli_screen screen;
    struct cli_reader *reader; // NULL: no line was asked for
};
// Replaces "auto" of an option "color" by what standard output can show.
enum loam_status cli_choose_color(struct loam_options *options, struct loam_error *error);
void cli_console_init(struct cli_console *console, const struct loam_options *options);
struct loam_callbacks cli_console_callbacks(struct cli_console *console);
// Flushes standard output and moves the terminal to the start of a line. If a write to standard output
// has failed, prints one line about it and returns false.
bool cli_console_finish(struct cli_console *console);
// Prints that writing to standard output failed with errno `reason`. A closed pipe (loam inspect DIR |
// head) is no error and prints nothing.
void cli_report_output_error(int reason);

// process.c: must be called first. Prints one line and returns false if the system provides too little.
bool cli_prepare_process(void);

// stop.c: from now on SIGINT, SIGTERM and similar signals ask the command to stop. A second SIGINT or
// SIGTERM ends the process.
void cli_stop_on_signals(void);
int cli_stop_signal(void); // the signal that was received; 0: none
// From now on SIGINT only interrupts what the command does, until cli_stop_resume.
void cli_stop_spare(void);
bool cli_stop_is_interrupted(void);
void cli_stop_resume(void);

#endif
