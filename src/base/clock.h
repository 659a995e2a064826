// Time for measurements.
#ifndef LOAM_BASE_CLOCK_H
#define LOAM_BASE_CLOCK_H

// Seconds of a monotonic clock since an arbitrary start.
double loam_clock_seconds(void);

#endif
