// Facts about the running process.
#ifndef LOAM_BENCH_PROCESS_H
#define LOAM_BENCH_PROCESS_H

// Seconds since the system started this process, from fork or exec on, to its clock tick (0.01 s); NAN: not
// known.
double loam_bench_process_seconds(void);

#endif
