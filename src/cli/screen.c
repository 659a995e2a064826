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

// ---- what the terminal can do ----

static bool is_set(const char *variable)
{
    const char *value = getenv(variable);
    return value != NULL && value[0] != '\0';
}

// A terminal that can go back in its line.
static bool is_capable(void)
{
    const char *term = getenv("TERM");
    return isatty(STDERR_FILENO) && term != NULL && term[0] != '\0' && strcmp(term, "dumb") != 0;
}

static bool has_color(void)
{
    return is_capable() && !is_set("NO_COLOR");
}

// The process stays in the C locale; only what the user's locale encodes text in is asked.
static bool locale_is_utf8(void)
{
    locale_t locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
    if (locale == (locale_t)0) return false;
    bool utf8 = strcmp(nl_langinfo_l(CODESET, locale), "UTF-8") == 0;
    freelocale(locale);
    return utf8;
}

// Asked for each line: a window may be resized at any time.
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

// Bytes that the process has in memory now; 0: not known.
static int64_t resident_memory(void)
{
    long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL) return 0;
    // The kernel's own file; a number that does not fit would be told wrongly, no more.
    // NOLINTNEXTLINE(cert-err34-c)
    if (fscanf(file, "%*s %lld", &pages) != 1) pages = 0;
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

// ---- the live line ----

void cli_screen_init(struct cli_screen *screen, bool quiet)
{
    *screen = (struct cli_screen){
        .live = is_capable() && !quiet,
        .utf8 = locale_is_utf8(),
        .color = has_color(),
        .drawn_at = -1,
    };
}

void cli_screen_draw(struct cli_screen *screen, const struct cli_live *live, bool now_or_never)
{
    if (!screen->live) return;
    double now = cli_clock_seconds();
    if (!now_or_never && screen->drawn_at >= 0 && now - screen->drawn_at < redraw_seconds) return;
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

void cli_screen_leave(struct cli_screen *screen, const struct cli_live *live)
{
    if (!screen->drawn) return;
    cli_screen_draw(screen, live, true);
    fputc('\n', stderr);
    screen->drawn = false;
}

// ---- complaints ----

void cli_screen_complain(const char *color, const char *kind, const char *text)
{
    if (has_color())
        fprintf(stderr, "\033[%smloam: %s\033[0m%s\n", color, kind, text);
    else
        fprintf(stderr, "loam: %s%s\n", kind, text);
}
