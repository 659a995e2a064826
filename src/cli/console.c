// What a command says on its way: log lines on standard error, results and progress on standard output.
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

static void remember_failure(struct cli_console *console)
{
    if (console->output_error == 0) console->output_error = errno != 0 ? errno : EIO;
}

static void write_log(void *user, enum loam_log_level level, const char *line)
{
    (void)user;
    fprintf(stderr, "loam: %s%s\n", level == LOAM_LOG_WARNING ? "warning: " : "", line);
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

// "1,723,981,824"
static const char *grouped(int64_t number, char buffer[32])
{
    char digits[24];
    int count = snprintf(digits, sizeof digits, "%lld", (long long)number);
    char *end = buffer;
    for (int i = 0; i < count; i++) {
        if (i > 0 && (count - i) % 3 == 0 && digits[i - 1] != '-') *end++ = ',';
        *end++ = digits[i];
    }
    *end = '\0';
    return buffer;
}

static void print_start(FILE *stream, const struct loam_event *event)
{
    char trainable[32], all[32];
    fprintf(stream, "training %s of %s parameters (%.2f %%), %lld steps\n",
            grouped(event->trainable_parameters, trainable), grouped(event->parameters, all),
            100.0 * (double)event->trainable_parameters / (double)event->parameters,
            (long long)event->total_steps);
}

static void print_step(FILE *stream, const struct loam_event *event)
{
    int width = snprintf(NULL, 0, "%lld", (long long)event->total_steps);
    fprintf(stream, "step %*lld/%lld  loss %.4f  grad norm %.4f  lr %.3e  %.0f tokens/s\n", width,
            (long long)event->step, (long long)event->total_steps, event->loss, event->grad_norm,
            event->learning_rate, event->tokens_per_second);
}

static void print_eval(FILE *stream, const struct loam_event *event)
{
    int width = snprintf(NULL, 0, "%lld", (long long)event->total_steps);
    fprintf(stream, "step %*lld/%lld  eval loss %.4f  perplexity %.2f\n", width, (long long)event->step,
            (long long)event->total_steps, event->eval_loss, exp(event->eval_loss));
}

// A word as a shell reads it back.
static void print_word(FILE *stream, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+,:@%=";
    if (word[0] != '\0' && word[strspn(word, plain)] == '\0') {
        fputs(word, stream);
        return;
    }
    fputc('\'', stream);
    for (; *word != '\0'; word++) {
        if (*word == '\'')
            fputs("'\\''", stream);
        else
            fputc(*word, stream);
    }
    fputc('\'', stream);
}

static bool ends_with(const char *text, const char *ending)
{
    size_t size = strlen(text), ending_size = strlen(ending);
    return size >= ending_size && strcmp(text + size - ending_size, ending) == 0;
}

// The command that shows what was trained. The prompt is left to fill in, in the form of the training
// examples.
static void print_try_it(FILE *stream, const struct loam_options *options)
{
    const char *out = loam_options_get(options, "out");
    const char *prompt_template = loam_options_get(options, "template");
    const char *data = loam_options_get(options, "data");
    bool full = strcmp(loam_options_get(options, "method"), "full") == 0;
    if (prompt_template == NULL && ends_with(data, ".json")) prompt_template = "squad";
    fprintf(stream, "try it:  loam generate --model ");
    print_word(stream, full ? out : loam_options_get(options, "model"));
    if (!full) {
        fprintf(stream, " --adapter ");
        print_word(stream, out);
    }
    if (prompt_template == NULL) {
        fprintf(stream, " --prompt '...'\n");
        return;
    }
    fprintf(stream, " --template ");
    print_word(stream, prompt_template);
    if (strcmp(prompt_template, "squad") == 0)
        fprintf(stream, " --field context='...' --field question='...'\n");
    else
        fprintf(stream, " --field NAME='...'\n");
}

static void print_end(FILE *stream, const struct loam_event *event, const struct loam_options *options)
{
    char tokens[32];
    bool full = strcmp(loam_options_get(options, "method"), "full") == 0;
    fprintf(stream,
            "mean loss %.4f over %lld steps, %s tokens in %.1f s (%.0f tokens/s), peak memory %.0f MiB\n",
            event->loss, (long long)event->step, grouped(event->tokens, tokens), event->seconds,
            event->tokens_per_second, (double)event->peak_rss / (1024.0 * 1024.0));
    fprintf(stream, "the %s is in %s\n", full ? "model" : "adapter", loam_options_get(options, "out"));
    print_try_it(stream, options);
}

static void print_event(void *user, const struct loam_event *event)
{
    struct cli_console *console = user;
    errno = 0;
    switch (event->kind) {
    case LOAM_EVENT_START:
        print_start(console->progress, event);
        break;
    case LOAM_EVENT_STEP:
        print_step(console->progress, event);
        break;
    case LOAM_EVENT_EVAL:
        print_eval(console->progress, event);
        break;
    case LOAM_EVENT_END:
        print_end(console->progress, event, console->options);
        break;
    }
    if (fflush(console->progress) != 0 && console->progress == stdout) remember_failure(console);
}

// ---- The console ----

void cli_console_init(struct cli_console *console, const struct loam_options *options)
{
    const char *json = loam_options_get(options, "json");
    bool results_are_json = json != NULL && strcmp(json, "true") == 0;
    *console = (struct cli_console){.options = options, .progress = results_are_json ? stderr : stdout};
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
