// The live line: where a long piece of work is, in one line of text. Nothing here prints or asks the system.
#ifndef LOAM_CLI_LIVE_H
#define LOAM_CLI_LIVE_H

#include <loam.h>

// A quantity over a whole run in few points: when they are full, neighbours are merged, and from then on a
// point is the mean of twice as many values.
enum { CLI_CURVE_POINTS = 20 };
struct cli_curve {
    double points[CLI_CURVE_POINTS];
    int count;
    int64_t stride; // values of a point
    int64_t pending;
    double pending_sum; // of the values that make no point yet
};

// Zeroed: nothing has begun.
struct cli_live {
    enum loam_activity activity; // what goes on now
    int64_t done;
    int64_t total;
    double since; // when it began
    int64_t since_done;
    // Of training, also while it is interrupted by an evaluation.
    int64_t step;
    int64_t total_steps; // 0: nothing is trained
    int64_t tokens;
    double seconds; // of the run, when the last step or evaluation ended
    struct cli_curve losses;
    // Sums over the recent steps, the older the less.
    double recent_loss;
    double recent_losses; // how many
    double recent_tokens;
    double recent_seconds;
    double recent_steps;
};

// How a line may look.
struct cli_style {
    int columns; // of the terminal
    bool utf8;
    bool color;
};

// `now` in seconds, of any clock.
void cli_live_note(struct cli_live *live, const struct loam_event *event, double now);
// Whether there is anything to show.
bool cli_live_busy(const struct cli_live *live);

enum { CLI_LIVE_SIZE = 512 };
// The line, at least one column narrower than the terminal; fields that have no room are left out, the least
// important first. `memory`: bytes that the process has now; 0: not known.
void cli_live_format(const struct cli_live *live, double now, int64_t memory, const struct cli_style *style,
                     char line[CLI_LIVE_SIZE]);

#endif
