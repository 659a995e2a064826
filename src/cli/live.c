#include "cli/live.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// ---- The state ----

static void merge_neighbours(struct cli_curve *curve)
{
    for (int i = 0; i < CLI_CURVE_POINTS / 2; i++)
        curve->points[i] = (curve->points[2 * i] + curve->points[2 * i + 1]) / 2;
    curve->count = CLI_CURVE_POINTS / 2;
    curve->stride *= 2;
}

static void add_to_curve(struct cli_curve *curve, double value)
{
    if (curve->stride == 0) curve->stride = 1;
    curve->pending_sum += value;
    if (++curve->pending < curve->stride) return;
    if (curve->count == CLI_CURVE_POINTS) {
        merge_neighbours(curve);
        return; // a point now takes twice as many values, so the pending one is half full
    }
    curve->points[curve->count++] = curve->pending_sum / (double)curve->pending;
    curve->pending = 0;
    curve->pending_sum = 0;
}

// Each step multiplies the sums by 0.9, which gives a mean over about ten steps.
static void update_step(struct cli_live *live, const struct loam_event *event)
{
    static const double kept = 0.9;
    live->recent_steps = kept * live->recent_steps + 1;
    live->recent_tokens = kept * live->recent_tokens + (double)(event->tokens - live->tokens);
    live->recent_seconds = kept * live->recent_seconds + event->seconds - live->seconds;
    if (isfinite(event->loss)) {
        live->recent_loss = kept * live->recent_loss + event->loss;
        live->recent_losses = kept * live->recent_losses + 1;
        add_to_curve(&live->losses, event->loss);
    }
}

static void update_progress(struct cli_live *live, const struct loam_event *event, double now)
{
    bool training = event->activity == LOAM_ACTIVITY_TRAIN;
    if (training) update_step(live, event);
    if (live->activity != event->activity || event->done < live->done) {
        live->since = now;
        live->since_done = event->done;
    }
    live->activity = event->activity;
    live->done = event->done;
    live->total = event->total;
    // When an activity is complete, the training that it interrupted is shown again.
    if (!training && event->done >= event->total) live->activity = LOAM_ACTIVITY_TRAIN;
}

void cli_live_update(struct cli_live *live, const struct loam_event *event, double now)
{
    if (event->kind == LOAM_EVENT_PROGRESS) update_progress(live, event, now);
    if (event->kind == LOAM_EVENT_START || event->kind == LOAM_EVENT_EVAL)
        live->activity = LOAM_ACTIVITY_TRAIN;
    if (event->total_steps == 0) return;
    live->step = event->step;
    live->total_steps = event->total_steps;
    live->tokens = event->tokens;
    live->seconds = event->seconds;
}

bool cli_live_is_active(const struct cli_live *live)
{
    return live->activity != LOAM_ACTIVITY_TRAIN ? live->total > 0 : live->total_steps > 0;
}

// ---- The fields ----

enum { MOST_FIELDS = 6, FIELD_SIZE = 96, GAP = 2 };

struct field {
    char text[FIELD_SIZE];
    int columns;
    int importance; // the lowest is left out first
};
struct fields {
    struct field at[MOST_FIELDS];
    int count;
};

static void add(struct fields *fields, int importance, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void add(struct fields *fields, int importance, const char *format, ...)
{
    struct field *field = &fields->at[fields->count++];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(field->text, sizeof field->text, format, arguments);
    va_end(arguments);
    field->columns = (int)strlen(field->text);
    field->importance = importance;
}

static void add_time(struct fields *fields, int importance, double seconds, bool left)
{
    if (!isfinite(seconds) || seconds < 0 || seconds > 1e9) return;
    long long all = (long long)(seconds + 0.5);
    const char *before = left ? "" : "in ", *after = left ? " left" : "";
    if (all < 3600)
        add(fields, importance, "%s%lld:%02lld%s", before, all / 60, all % 60, after);
    else if (all < 86400)
        add(fields, importance, "%s%lld:%02lld:%02lld%s", before, all / 3600, all / 60 % 60, all % 60, after);
    else
        add(fields, importance, "%s%lld d %lld h%s", before, all / 86400, all / 3600 % 24, after);
}

static void add_memory(struct fields *fields, int importance, int64_t bytes)
{
    static const double mib = 1 << 20, gib = 1 << 30;
    if (bytes <= 0) return;
    if ((double)bytes < 10 * gib)
        add(fields, importance, "%.0f MiB", (double)bytes / mib);
    else
        add(fields, importance, "%.1f GiB", (double)bytes / gib);
}

// Draws a bar (U+2581 to U+2588) for each point. The height covers at least a twentieth of the largest
// value, so that noise does not look like a trend.
static void add_curve(struct fields *fields, int importance, const struct cli_curve *curve, bool color)
{
    if (curve->count < 2) return;
    double least = INFINITY, most = -INFINITY;
    for (int i = 0; i < curve->count; i++) {
        least = fmin(least, curve->points[i]);
        most = fmax(most, curve->points[i]);
    }
    char bars[3 * CLI_CURVE_POINTS + 1] = "";
    double range = fmax(most - least, 0.05 * fabs(most));
    for (int i = 0; i < curve->count; i++) {
        double height = range > 0 ? (curve->points[i] - least) / range : 0;
        const char bar[] = {'\xe2', '\x96', (char)(0x81 + (int)(7 * height + 0.5)), '\0'};
        memcpy(bars + 3 * i, bar, sizeof bar);
    }
    add(fields, importance, "%s%s%s", color ? "\033[36m" : "", bars, color ? "\033[0m" : "");
    fields->at[fields->count - 1].columns = curve->count;
}

static void add_step(struct fields *fields, int importance, const struct cli_live *live)
{
    int width = snprintf(NULL, 0, "%lld", (long long)live->total_steps);
    add(fields, importance, "step %*lld/%lld", width, (long long)live->step, (long long)live->total_steps);
}

static void add_training(struct fields *fields, const struct cli_live *live, const struct cli_style *style)
{
    add_step(fields, 9, live);
    if (live->recent_losses > 0) add(fields, 8, "loss %.4f", live->recent_loss / live->recent_losses);
    if (style->utf8) add_curve(fields, 6, &live->losses, style->color);
    if (live->recent_seconds > 0) add(fields, 5, "%.0f tokens/s", live->recent_tokens / live->recent_seconds);
    if (live->step == live->total_steps)
        add_time(fields, 7, live->seconds, false);
    else if (live->recent_steps > 0)
        add_time(fields, 7,
                 (double)(live->total_steps - live->step) * live->recent_seconds / live->recent_steps, true);
}

static void add_activity(struct fields *fields, const struct cli_live *live, double now)
{
    static const char *const verbs[] = {
        [LOAM_ACTIVITY_TRAIN] = "training",       [LOAM_ACTIVITY_LOAD] = "loading the weights",
        [LOAM_ACTIVITY_MERGE] = "merging",        [LOAM_ACTIVITY_EVALUATE] = "evaluating",
        [LOAM_ACTIVITY_ANSWER] = "answering",     [LOAM_ACTIVITY_GENERATE] = "generating",
        [LOAM_ACTIVITY_DOWNLOAD] = "downloading", [LOAM_ACTIVITY_UPLOAD] = "uploading",
        [LOAM_ACTIVITY_WRITE] = "writing",        [LOAM_ACTIVITY_READ] = "reading",
    };
    const char *verb =
        (size_t)live->activity < sizeof verbs / sizeof verbs[0] ? verbs[live->activity] : "working";
    if (live->total_steps > 0) add_step(fields, 7, live);
    bool bytes = live->activity == LOAM_ACTIVITY_LOAD || live->activity == LOAM_ACTIVITY_DOWNLOAD ||
                 live->activity == LOAM_ACTIVITY_UPLOAD || live->activity == LOAM_ACTIVITY_MERGE ||
                 live->activity == LOAM_ACTIVITY_WRITE;
    if (bytes)
        add(fields, 9, "%s %.0f %%", verb, 100.0 * (double)live->done / (double)live->total);
    else
        add(fields, 9, "%s %lld/%lld", verb, (long long)live->done, (long long)live->total);
    int64_t since = live->done - live->since_done;
    if (since > 0)
        add_time(fields, 8, (now - live->since) * (double)(live->total - live->done) / (double)since, true);
}

// ---- The line ----

static int count_columns(const struct fields *fields)
{
    int columns = -GAP;
    for (int i = 0; i < fields->count; i++)
        columns += GAP + fields->at[i].columns;
    return columns;
}

static void drop_least_important(struct fields *fields)
{
    int least = 0;
    for (int i = 1; i < fields->count; i++)
        if (fields->at[i].importance < fields->at[least].importance) least = i;
    fields->count--;
    for (int i = least; i < fields->count; i++)
        fields->at[i] = fields->at[i + 1];
}

void cli_live_format(const struct cli_live *live, double now, int64_t memory, const struct cli_style *style,
                     char line[CLI_LIVE_SIZE])
{
    struct fields fields = {0};
    line[0] = '\0';
    if (!cli_live_is_active(live)) return;
    if (live->activity == LOAM_ACTIVITY_TRAIN)
        add_training(&fields, live, style);
    else
        add_activity(&fields, live, now);
    add_memory(&fields, 4, memory);

    // The last column stays empty: a cursor after it would be on this line or the next, depending on the
    // terminal.
    int room = style->columns > 1 ? style->columns - 1 : 0;
    while (fields.count > 1 && count_columns(&fields) > room)
        drop_least_important(&fields);
    // The remaining field is ASCII: a byte is a column.
    if (count_columns(&fields) > room) fields.at[0].text[room] = '\0';
    size_t used = 0;
    for (int i = 0; i < fields.count; i++)
        used += (size_t)snprintf(line + used, CLI_LIVE_SIZE - used, "%*s%s", i > 0 ? GAP : 0, "",
                                 fields.at[i].text);
}
