#include "cli/screen.h"

#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static const double redraw_seconds = 0.1;
enum { USUAL_COLUMNS = 80 };

// ---- Abilities of the terminal ----

static bool is_set(const char *variable)
{
    const char *value = getenv(variable);
    return value != NULL && value[0] != '\0';
}

// Whether a file is a terminal that can move the cursor back in a line.
static bool is_capable(int file)
{
    const char *term = getenv("TERM");
    return isatty(file) && term != NULL && term[0] != '\0' && strcmp(term, "dumb") != 0;
}

static bool has_color(int file)
{
    return is_capable(file) && !is_set("NO_COLOR");
}

bool cli_output_has_color(void)
{
    return has_color(STDOUT_FILENO);
}

// Whether the user's locale encodes text in UTF-8. The process itself stays in the C locale.
static bool locale_is_utf8(void)
{
    locale_t locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
    if (locale == (locale_t)0) return false;
    bool utf8 = strcmp(nl_langinfo_l(CODESET, locale), "UTF-8") == 0;
    freelocale(locale);
    return utf8;
}

// Queried for each line, because the window may be resized at any time.
static int terminal_columns(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return USUAL_COLUMNS;
    return size.ws_col;
}

double cli_clock_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

// Bytes of the process in memory; 0: unknown.
static int64_t resident_memory(void)
{
    long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL) return 0;
    // The file comes from the kernel, and a number that does not fit would only be shown wrongly.
    // NOLINTNEXTLINE(cert-err34-c)
    if (fscanf(file, "%*s %lld", &pages) != 1) pages = 0;
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

// ---- The live line ----

void cli_screen_init(struct cli_screen *screen, bool quiet)
{
    *screen = (struct cli_screen){
        .live = is_capable(STDERR_FILENO) && !quiet,
        .utf8 = locale_is_utf8(),
        .color = has_color(STDERR_FILENO),
        .drawn_at = -1,
    };
}

void cli_screen_draw(struct cli_screen *screen, const struct cli_live *live, bool immediately)
{
    if (!screen->live) return;
    double now = cli_clock_seconds();
    if (!immediately && screen->drawn_at >= 0 && now - screen->drawn_at < redraw_seconds) return;
    struct cli_style style = {terminal_columns(), screen->utf8, screen->color};
    char line[CLI_LIVE_SIZE];
    cli_live_format(live, now, resident_memory(), &style, line);
    fprintf(stderr, "\r%s\033[K", line);
    fflush(stderr);
    screen->drawn = true;
    screen->drawn_at = now;
}

void cli_screen_clear(struct cli_screen *screen)
{
    if (!screen->drawn) return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    screen->drawn = false;
}

void cli_screen_keep(struct cli_screen *screen, const struct cli_live *live)
{
    if (!screen->drawn) return;
    cli_screen_draw(screen, live, true);
    fputc('\n', stderr);
    screen->drawn = false;
}

// ---- Errors and warnings ----

void cli_screen_print_problem(const char *color, const char *kind, const char *text)
{
    if (has_color(STDERR_FILENO))
        fprintf(stderr, "\033[%smloam: %s\033[0m%s\n", color, kind, text);
    else
        fprintf(stderr, "loam: %s%s\n", kind, text);
}
