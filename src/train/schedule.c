#include "train/schedule.h"

#include <math.h>

static const double pi = 3.14159265358979323846;

const char *loam_schedule_name(enum loam_schedule_kind kind)
{
    static const char *const names[] = {[LOAM_SCHEDULE_LINEAR] = "linear",
                                        [LOAM_SCHEDULE_COSINE] = "cosine",
                                        [LOAM_SCHEDULE_CONSTANT] = "constant",
                                        [LOAM_SCHEDULE_CONSTANT_WITH_WARMUP] = "constant_with_warmup"};
    return names[kind];
}

struct loam_schedule loam_schedule_make(const struct loam_schedule_settings *settings, int64_t total_steps)
{
    int64_t warmup = settings->warmup_steps;
    if (warmup <= 0) {
        double steps = ceil(settings->warmup_ratio * (double)total_steps); // may be 2^63
        warmup = steps < (double)total_steps ? (int64_t)steps : total_steps;
    }
    if (settings->kind == LOAM_SCHEDULE_CONSTANT) warmup = 0;
    return (struct loam_schedule){
        .kind = settings->kind,
        .learning_rate = settings->learning_rate,
        .warmup_steps = warmup,
        .total_steps = total_steps,
    };
}

double loam_schedule_rate(const struct loam_schedule *schedule, int64_t step)
{
    int64_t warmup = schedule->warmup_steps;
    int64_t total = schedule->total_steps;
    double decay_steps = (double)(total > warmup ? total - warmup : 1);
    double factor = 1;
    if (step < warmup) {
        factor = (double)step / (double)warmup;
    } else if (schedule->kind == LOAM_SCHEDULE_LINEAR) {
        factor = fmax(0, (double)(total - step) / decay_steps);
    } else if (schedule->kind == LOAM_SCHEDULE_COSINE) {
        factor = fmax(0, 0.5 * (1 + cos(pi * (double)(step - warmup) / decay_steps)));
    }
    return factor * schedule->learning_rate;
}
