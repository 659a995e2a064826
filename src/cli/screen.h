// The terminal at standard error: its abilities and the live line on it.
#ifndef LOAM_CLI_SCREEN_H
#define LOAM_CLI_SCREEN_H

#include "cli/live.h"

struct cli_screen {
    bool live; // the live line is enabled
    bool utf8;
    bool color;
    bool drawn;      // a live line is on the screen, and the cursor is at its end
    double drawn_at; // time of the last drawing; -1: none
};

void cli_screen_init(struct cli_screen *screen, bool quiet);
// Draws the line in place of the last one. Does nothing within 0.1 s of the last drawing unless
// `immediately`.
void cli_screen_draw(struct cli_screen *screen, const struct cli_live *live, bool immediately);
// Erases the line, so that other text can be written.
void cli_screen_clear(struct cli_screen *screen);
// Draws the line a last time and moves to the next one.
void cli_screen_keep(struct cli_screen *screen, const struct cli_live *live);

// Prints "loam: ", `kind` and the text to standard error. `color` is the SGR parameter of the first two.
void cli_screen_print_problem(const char *color, const char *kind, const char *text);

// Whether standard output is a terminal with colours, and NO_COLOR is not set.
bool cli_output_has_color(void);

double cli_clock_seconds(void);

#endif
