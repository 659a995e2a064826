// Learning rate schedules, as transformers has them: linear warm-up, then linear or cosine decay to zero, or
// none. "constant" has no warm-up either.
#ifndef LOAM_TRAIN_SCHEDULE_H
#define LOAM_TRAIN_SCHEDULE_H

#include <stdint.h>

enum loam_schedule_kind {
    LOAM_SCHEDULE_LINEAR,
    LOAM_SCHEDULE_COSINE,
    LOAM_SCHEDULE_CONSTANT, // from the first step on
    LOAM_SCHEDULE_CONSTANT_WITH_WARMUP,
};

// The schedule that a run asks for.
struct loam_schedule_settings {
    enum loam_schedule_kind kind;
    double learning_rate; // the highest
    int64_t warmup_steps; // of any kind but LOAM_SCHEDULE_CONSTANT
    double warmup_ratio;  // of the total; used when warmup_steps is 0
};
struct loam_schedule {
    enum loam_schedule_kind kind;
    double learning_rate; // the highest
    int64_t warmup_steps;
    int64_t total_steps;
};

// The schedule's name in transformers.
const char *loam_schedule_name(enum loam_schedule_kind kind);

// `warmup_steps` of the settings, or `warmup_ratio` of the total rounded up; 0 for a constant rate.
struct loam_schedule loam_schedule_make(const struct loam_schedule_settings *settings, int64_t total_steps);
// The rate of the 0-based step.
double loam_schedule_rate(const struct loam_schedule *schedule, int64_t step);

#endif
