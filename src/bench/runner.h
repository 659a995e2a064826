// Runs training steps one by one: the job of `loam train` on its data, or on made-up examples.
#ifndef LOAM_BENCH_RUNNER_H
#define LOAM_BENCH_RUNNER_H

#include "bench/bench.h"
#include "bench/lengths.h"
#include "bench/sequence.h"
#include "run/job.h"

struct loam_bench_runner {
    struct loam_train_settings settings; // with what `lengths` decides filled in
    struct loam_bench_lengths lengths;   // none: the job's data
    struct loam_train_job job;
    struct loam_trace trace;             // of all steps since it was cleared
    struct loam_bench_sequence sequence; // products of the last step
    int64_t step;                        // to come
    struct loam_step_result last;
};

// Everything that a step needs; `runner` is to be closed whatever comes of it.
enum loam_status loam_bench_runner_open(struct loam_bench_runner *runner,
                                        const struct loam_bench_settings *settings,
                                        const struct loam_callbacks *callbacks, struct loam_error *error);
void loam_bench_runner_close(struct loam_bench_runner *runner);
// Reads and computes the next step that has labels; its time.
enum loam_status loam_bench_runner_step(struct loam_bench_runner *runner, double *seconds,
                                        struct loam_error *error);

// Describes the machine for every measurement, without its peak.
void loam_bench_machine_describe(struct loam_bench_machine *machine, const struct loam_session *session);
// Multiply-adds in registers, GFLOP/s on the device's threads: the best of a few tries. 0: not known.
double loam_bench_peak_gflops(const struct loam_device *device, enum loam_dtype dtype);
// The same in the dtype that the matrix library multiplies the session's weights in.
double loam_bench_library_peak(const struct loam_session *session);
double loam_bench_median(double *values, size_t count); // sorts them; NAN for none

#endif
