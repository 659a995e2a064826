// The terminal behind standard error: what it can do, and the live line on it.
#ifndef LOAM_CLI_SCREEN_H
#define LOAM_CLI_SCREEN_H

#include "cli/live.h"

struct cli_screen {
    bool live; // a live line is shown at all
    bool utf8;
    bool color;
    bool drawn;      // the cursor stands behind a live line
    double drawn_at; // when the last one was drawn
};

void cli_screen_init(struct cli_screen *screen, bool quiet);
// Draws the line in place of the last one; without `now_or_never` not more often than an eye can follow.
void cli_screen_draw(struct cli_screen *screen, const struct cli_live *live, bool now_or_never);
// Takes the line away, so that something else can be written.
void cli_screen_clear(struct cli_screen *screen);
// Leaves the line, as it is now, to stay.
void cli_screen_leave(struct cli_screen *screen, const struct cli_live *live);

// "loam: ", `kind` and the text on standard error, in `color` (an SGR parameter) where colours are wanted.
void cli_screen_complain(const char *color, const char *kind, const char *text);

double cli_clock_seconds(void);

#endif
