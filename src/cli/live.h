// The live line: a line of text that shows the progress of a command. These functions do not print.
#ifndef LOAM_CLI_LIVE_H
#define LOAM_CLI_LIVE_H

#include <loam.h>

// A quantity over a whole run in few points. When all points are used, neighbours are merged; each point
// is then the mean of twice as many values.
enum { CLI_CURVE_POINTS = 20 };
struct cli_curve {
    double points[CLI_CURVE_POINTS];
    int count;
    int64_t stride;     // values in a point
    int64_t pending;    // values that are not yet in a point
    double pending_sum; // their sum
};

// A zeroed struct is valid before the first event.
struct cli_live {
    enum loam_activity activity; // current activity
    int64_t done;
    int64_t total;
    double since;       // start of the activity
    int64_t since_done; // `done` at that time
    // Training, also while an evaluation interrupts it.
    int64_t step;
    int64_t total_steps; // 0: no training
    int64_t tokens;
    double seconds; // time of the run at the end of the last step or evaluation
    struct cli_curve losses;
    // Sums over recent steps, with weights that decrease with age.
    double recent_loss;
    double recent_losses; // sum of the weights of finite losses
    double recent_tokens;
    double recent_seconds;
    double recent_steps;
};

// The abilities of the terminal.
struct cli_style {
    int columns; // of the terminal
    bool utf8;
    bool color;
};

// Updates the state by an event. `now`: seconds of any clock.
void cli_live_update(struct cli_live *live, const struct loam_event *event, double now);
// Whether there is an activity to show.
bool cli_live_is_active(const struct cli_live *live);

enum { CLI_LIVE_SIZE = 512 };
// Writes the line, at least one column narrower than the terminal. If room is short, the least important
// fields are left out. `memory`: bytes of the process in memory; 0: unknown.
void cli_live_format(const struct cli_live *live, double now, int64_t memory, const struct cli_style *style,
                     char line[CLI_LIVE_SIZE]);

#endif
