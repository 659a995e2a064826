// What a command says on its way: log lines on standard error, results and progress on standard output.
#include <errno.h>
#include <math.h>
#include <string.h>

#include "cli/cli.h"

static void remember_failure(struct cli_console *console)
{
    if (console->output_error == 0) console->output_error = errno != 0 ? errno : EIO;
}

static void write_log(void *user, enum loam_log_level level, const char *line)
{
    (void)user;
    fprintf(stderr, "%s%s\n", level == LOAM_LOG_WARNING ? "loam: warning: " : "", line);
}

static bool write_text(void *user, const char *text, size_t size)
{
    struct cli_console *console = user;
    errno = 0;
    if (fwrite(text, 1, size, stdout) == size && fflush(stdout) == 0) return true;
    remember_failure(console);
    return false;
}

static ptrdiff_t read_input(void *user, char *buffer, size_t capacity)
{
    (void)user;
    size_t size = fread(buffer, 1, capacity, stdin);
    return ferror(stdin) ? -1 : (ptrdiff_t)size;
}

// ---- Progress of a training run ----

// "step  10/100", the start of a line.
static void print_place(FILE *stream, const struct loam_event *event)
{
    int width = snprintf(NULL, 0, "%lld", (long long)event->total_steps);
    fprintf(stream, "step %*lld/%lld", width, (long long)event->step, (long long)event->total_steps);
}

static void print_step(FILE *stream, const struct loam_event *event)
{
    print_place(stream, event);
    if (isnan(event->loss))
        fprintf(stream, "  no labels\n");
    else
        fprintf(stream, "  loss %.4f  grad norm %.4f  lr %.3e  %.0f tokens/s\n", event->loss,
                event->grad_norm, event->learning_rate, event->tokens_per_second);
}

static void print_eval(FILE *stream, const struct loam_event *event)
{
    print_place(stream, event);
    fprintf(stream, "  eval loss %.4f  perplexity %.2f\n", event->eval_loss, exp(event->eval_loss));
}

static void print_event(void *user, const struct loam_event *event)
{
    struct cli_console *console = user;
    errno = 0;
    if (event->kind == LOAM_EVENT_STEP) print_step(console->progress, event);
    if (event->kind == LOAM_EVENT_EVAL) print_eval(console->progress, event);
    if (fflush(console->progress) != 0 && console->progress == stdout) remember_failure(console);
}

// ---- The console ----

void cli_console_init(struct cli_console *console, const struct loam_options *options)
{
    const char *json = loam_options_get(options, "json");
    bool results_are_json = json != NULL && strcmp(json, "true") == 0;
    *console = (struct cli_console){.progress = results_are_json ? stderr : stdout};
}

struct loam_callbacks cli_console_callbacks(struct cli_console *console)
{
    return (struct loam_callbacks){
        .user = console,
        .log = {.write = write_log, .user = console},
        .event = print_event,
        .text = write_text,
        .input = read_input,
    };
}

bool cli_console_finish(struct cli_console *console)
{
    errno = 0;
    if (fflush(stdout) != 0 || ferror(stdout)) remember_failure(console);
    return console->output_error == 0;
}
