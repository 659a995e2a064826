// The command: `loam COMMAND [options]`.
#include <errno.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "cli/cli.h"

static int fail(const struct loam_error *error)
{
    cli_screen_print_problem("31", "", error->message);
    if (error->status == LOAM_ERROR_STOPPED && cli_stop_signal() != 0)
        return CLI_SIGNALLED + cli_stop_signal();
    return error->status == LOAM_ERROR_USAGE ? CLI_USAGE : CLI_FAILED;
}

// Flushes standard output and returns the exit code of a command that only prints.
static int finish_output(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) return CLI_OK;
    cli_report_output_error(errno);
    return CLI_FAILED;
}

static int print_machine(void)
{
    struct loam_error error = {0};
    struct loam_machine machine;
    if (loam_machine_describe(&machine, &error) != LOAM_OK) return fail(&error);
    printf("loam %s\n", loam_version());
    if (machine.processor[0] != '\0') printf("processor     %s\n", machine.processor);
    if (machine.instructions[0] != '\0') printf("instructions  %s\n", machine.instructions);
    printf("levels        %s\n", machine.levels);
    printf("level         %s\n", machine.level);
    printf("oneDNN        %s, uses %s\n", machine.onednn, machine.onednn_isa);
    printf("bf16          %s\n", machine.native_bf16
                                     ? "native products"
                                     : "no native products; 16-bit block floating point instead");
    printf("threads       %d, on %d core%s\n", machine.threads, machine.cores, machine.cores == 1 ? "" : "s");
    return finish_output();
}

static int print_version(char **arguments)
{
    if (arguments[0] != NULL && strcmp(arguments[0], "--verbose") == 0 && arguments[1] == NULL)
        return print_machine();
    if (arguments[0] != NULL) {
        fprintf(stderr, "loam: --version takes --verbose or nothing\n");
        return CLI_USAGE;
    }
    printf("loam %s\n", loam_version());
    return finish_output();
}

// `loam completion SHELL`.
static int print_completion(char **arguments)
{
    const char *shell = arguments[0];
    if (shell == NULL)
        fprintf(stderr, "loam: completion needs a shell: bash, zsh or fish\n");
    else if (arguments[1] != NULL)
        fprintf(stderr, "loam: completion takes one shell, not also \"%s\"\n", arguments[1]);
    else if (cli_print_completion(stdout, shell))
        return finish_output();
    else
        fprintf(stderr, "loam: completion %s: expected bash, zsh or fish\n", shell);
    return CLI_USAGE;
}

// Whether the command sends events. Only such a command can be asked to stop.
static bool is_stoppable(enum loam_command command)
{
    return command == LOAM_COMMAND_TRAIN || command == LOAM_COMMAND_EVAL ||
           command == LOAM_COMMAND_GENERATE || command == LOAM_COMMAND_PULL || command == LOAM_COMMAND_PUSH ||
           command == LOAM_COMMAND_MERGE || command == LOAM_COMMAND_INIT || command == LOAM_COMMAND_EXPORT ||
           command == LOAM_COMMAND_COMBINE || command == LOAM_COMMAND_CONVERT ||
           command == LOAM_COMMAND_CHAT || command == LOAM_COMMAND_DATA;
}

static int run(struct loam_options *options, enum loam_command command, struct loam_error *error)
{
    struct cli_console console;
    if (cli_choose_color(options, error) != LOAM_OK) return fail(error);
    cli_console_init(&console, options);
    if (is_stoppable(command)) cli_stop_on_signals();
    struct loam_callbacks callbacks = cli_console_callbacks(&console);
    enum loam_status status = loam_run(options, &callbacks, error);
    bool written = cli_console_finish(&console);
    // A command stops when its output cannot be written. cli_console_finish has reported that already.
    bool lost = !written && status == LOAM_ERROR_STOPPED && cli_stop_signal() == 0;
    if (status != LOAM_OK && !lost) return fail(error);
    return written ? CLI_OK : CLI_FAILED;
}

static int run_command(enum loam_command command, char **arguments)
{
    struct loam_error error = {0};
    struct loam_options *options;
    if (loam_options_create(&options, command, &error) != LOAM_OK) return fail(&error);
    bool help;
    int code;
    if (cli_read_arguments(options, command, arguments, &help, &error) != LOAM_OK)
        code = fail(&error);
    else if (help) {
        cli_print_help(stdout, command);
        code = finish_output();
    } else if (loam_options_read_config(options, &error) != LOAM_OK)
        code = fail(&error);
    else
        code = run(options, command, &error);
    loam_options_destroy(options);
    return code;
}

// Makes glibc map blocks of a MiB and more, so that they return to the system when they are freed and
// grow without copies. By default it keeps up to 64 MiB of them after a large one was freed, which a plan
// does not include.
static void set_up_heap(void)
{
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
#endif
}

int main(int argc, char **argv)
{
    set_up_heap();
    if (!cli_prepare_process()) return CLI_FAILED;
    if (argc < 2) {
        cli_print_overview(stderr);
        return CLI_USAGE;
    }
    const char *name = argv[1];
    bool help = strcmp(name, "help") == 0;
    if ((help && argc == 2) || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        cli_print_overview(stdout);
        return finish_output();
    }
    if (strcmp(name, "--version") == 0) return print_version(argv + 2);
    if (strcmp(name, "completion") == 0) return print_completion(argv + 2);
    struct loam_error error = {0};
    enum loam_command command;
    if (loam_command_find(&command, help ? argv[2] : name, &error) != LOAM_OK) return fail(&error);
    if (!help) return run_command(command, argv + 2);
    cli_print_help(stdout, command);
    return finish_output();
}
