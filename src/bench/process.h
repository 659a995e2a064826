// The age of this process.
#ifndef LOAM_BENCH_PROCESS_H
#define LOAM_BENCH_PROCESS_H

// Seconds since the system started this process, with the precision of a clock tick (0.01 s); NAN: unknown.
double loam_bench_process_seconds(void);

#endif
