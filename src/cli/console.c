// The output of a command: log lines and the live line on standard error, results and the lines of logged
// steps on standard output.
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

static void remember_failure(struct cli_console *console)
{
    if (console->output_error == 0) console->output_error = errno != 0 ? errno : EIO;
}

static void write_log(void *user, enum loam_log_level level, const char *line)
{
    struct cli_console *console = user;
    if (level == LOAM_LOG_INFO && console->quiet) return;
    bool drawn = console->screen.drawn;
    cli_screen_clear(&console->screen);
    if (level == LOAM_LOG_WARNING)
        cli_screen_print_problem("33", "warning: ", line);
    else
        fprintf(stderr, "%s\n", line);
    if (drawn) cli_screen_draw(&console->screen, &console->live, true);
}

// Writes text to a terminal without characters that the terminal would act on: the text may come from a
// file, a server or a model.
static bool write_printable(const char *text, size_t size)
{
    char piece[4096];
    while (size > 0) {
        size_t taken = size < sizeof piece ? size : sizeof piece;
        // The piece must not end inside a character.
        while (taken < size && taken > sizeof piece - 4 && ((unsigned char)text[taken] & 0xC0) == 0x80)
            taken--;
        memcpy(piece, text, taken);
        size_t printable = loam_make_printable(piece, taken);
        if (fwrite(piece, 1, printable, stdout) != printable) return false;
        text += taken;
        size -= taken;
    }
    return true;
}

static bool write_text(void *user, const char *text, size_t size)
{
    struct cli_console *console = user;
    cli_screen_clear(&console->screen);
    errno = 0;
    bool raw = !console->terminal || console->colored;
    bool written = raw ? fwrite(text, 1, size, stdout) == size : write_printable(text, size);
    if (written && fflush(stdout) == 0) return true;
    remember_failure(console);
    return false;
}

static ptrdiff_t read_input(void *user, char *buffer, size_t capacity)
{
    (void)user;
    size_t size = fread(buffer, 1, capacity, stdin);
    return ferror(stdin) ? -1 : (ptrdiff_t)size;
}

static enum loam_line read_line(void *user, const char *prompt, const char **text, size_t *size)
{
    struct cli_console *console = user;
    cli_screen_clear(&console->screen);
    if (console->reader == NULL) console->reader = cli_reader_open();
    if (console->reader == NULL) return LOAM_LINE_FAILED;
    return cli_reader_read(console->reader, prompt, text, size);
}

// Waits for input or its end, because a signal does not interrupt a read. False if a signal asks to stop.
static bool wait_for_input(void)
{
    enum { POLL_MS = 50 };
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    int count = 0;
    while (count == 0 && cli_stop_signal() == 0)
        count = poll(&input, 1, POLL_MS);
    return count > 0;
}

// Asks a question if standard input and standard error are terminals; otherwise the answer is no.
static bool confirm(void *user, const char *question)
{
    struct cli_console *console = user;
    char answer[16] = "";
    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) return false;
    cli_screen_clear(&console->screen);
    char shown[1024];
    snprintf(shown, sizeof shown, "%s", question);
    shown[loam_make_printable(shown, strlen(shown))] = '\0';
    fprintf(stderr, "%s [y/N] ", shown);
    if (!wait_for_input()) {
        fputc('\n', stderr);
        return false;
    }
    return fgets(answer, sizeof answer, stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y');
}

// ---- Progress of a training run ----

// Prints the start of a line: "step  10/100".
static void print_position(FILE *stream, const struct loam_event *event)
{
    int width = snprintf(NULL, 0, "%lld", (long long)event->total_steps);
    fprintf(stream, "step %*lld/%lld", width, (long long)event->step, (long long)event->total_steps);
}

static void print_step(FILE *stream, const struct loam_event *event)
{
    print_position(stream, event);
    if (isnan(event->loss))
        fprintf(stream, "  no labels\n");
    else if (isinf(event->loss))
        fprintf(stream, "  no finite loss or gradient\n");
    else
        fprintf(stream, "  loss %.4f  grad norm %.4f  lr %.3e  %.0f tokens/s\n", event->loss,
                event->grad_norm, event->learning_rate, event->tokens_per_second);
}

static void print_eval(FILE *stream, const struct loam_event *event)
{
    print_position(stream, event);
    if (isfinite(event->eval_loss))
        fprintf(stream, "  eval loss %.4f  perplexity %.2f", event->eval_loss, exp(event->eval_loss));
    else
        fprintf(stream, "  eval loss not finite");
    if (!isnan(event->eval_accuracy)) fprintf(stream, "  accuracy %.2f %%", event->eval_accuracy);
    if (!isnan(event->eval_rouge_l)) fprintf(stream, "  ROUGE-L %.2f %%", event->eval_rouge_l);
    if (!isnan(event->eval_exact_match))
        fprintf(stream, "  exact match %.2f %%  F1 %.2f %%", event->eval_exact_match, event->eval_f1);
    fprintf(stream, "\n");
}

// Prints a permanent line above the live line.
static void print_line(struct cli_console *console, const struct loam_event *event)
{
    cli_screen_clear(&console->screen);
    errno = 0;
    (event->kind == LOAM_EVENT_STEP ? print_step : print_eval)(console->progress, event);
    if (fflush(console->progress) != 0 && console->progress == stdout) remember_failure(console);
    cli_screen_draw(&console->screen, &console->live, true);
}

// `begins`: the activity has changed, so the line is drawn immediately.
static void show_progress(struct cli_console *console, const struct loam_event *event, bool begins)
{
    // No live line while generated text is printed.
    if (event->activity == LOAM_ACTIVITY_GENERATE && !console->json) return;
    if (cli_live_is_active(&console->live))
        cli_screen_draw(&console->screen, &console->live, begins);
    else
        cli_screen_clear(&console->screen);
}

static bool take_event(void *user, const struct loam_event *event)
{
    struct cli_console *console = user;
    bool begins = event->activity != console->live.activity;
    cli_live_update(&console->live, event, cli_clock_seconds());
    switch (event->kind) {
    case LOAM_EVENT_START:
        cli_screen_draw(&console->screen, &console->live, true);
        break;
    case LOAM_EVENT_STEP:
        if (!console->quiet) print_line(console, event);
        break;
    case LOAM_EVENT_EVAL:
        print_line(console, event);
        break;
    case LOAM_EVENT_PROGRESS:
        show_progress(console, event, begins);
        break;
    case LOAM_EVENT_END:
        cli_screen_keep(&console->screen, &console->live);
        break;
    }
    return cli_stop_signal() == 0 && !cli_stop_is_interrupted();
}

// ---- The console ----

static bool has_value(const struct loam_options *options, const char *name, const char *expected)
{
    const char *value = loam_options_get(options, name);
    return value != NULL && strcmp(value, expected) == 0;
}

enum loam_status cli_choose_color(struct loam_options *options, struct loam_error *error)
{
    if (!has_value(options, "color", "auto")) return LOAM_OK;
    return loam_options_set(options, "color", cli_output_has_color() ? "always" : "never", error);
}

void cli_console_init(struct cli_console *console, const struct loam_options *options)
{
    *console = (struct cli_console){.quiet = has_value(options, "quiet", "true"),
                                    .json = has_value(options, "json", "true")};
    console->progress = console->json ? stderr : stdout;
    console->terminal = isatty(STDOUT_FILENO) == 1;
    console->colored = !console->json && has_value(options, "color", "always");
    cli_screen_init(&console->screen, console->quiet);
}

struct loam_callbacks cli_console_callbacks(struct cli_console *console)
{
    return (struct loam_callbacks){
        .user = console,
        .log = {.write = write_log, .user = console},
        .event = take_event,
        .text = write_text,
        .input = read_input,
        .confirm = confirm,
        .line = read_line,
    };
}

bool cli_console_finish(struct cli_console *console)
{
    cli_reader_close(console->reader);
    console->reader = NULL;
    cli_screen_keep(&console->screen, &console->live);
    errno = 0;
    if (fflush(stdout) != 0 || ferror(stdout)) remember_failure(console);
    if (console->output_error == 0) return true;
    cli_report_output_error(console->output_error);
    return false;
}

void cli_report_output_error(int reason)
{
    if (reason != EPIPE) fprintf(stderr, "loam: standard output: %s\n", strerror(reason));
}
