// What a training run does with the findings of preflight (data/preflight.h).
#ifndef LOAM_DATA_PREFLIGHT_LEVEL_H
#define LOAM_DATA_PREFLIGHT_LEVEL_H

enum loam_preflight_level {
    LOAM_PREFLIGHT_WARN,
    LOAM_PREFLIGHT_STRICT, // a mistake ends the run
    LOAM_PREFLIGHT_OFF,
};

#endif
