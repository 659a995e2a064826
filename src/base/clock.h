#ifndef LOAM_BASE_CLOCK_H
#define LOAM_BASE_CLOCK_H

double loam_clock_seconds(void); // monotonic, from a start of its own

#endif
