// Runs training steps one by one: the job of `loam train` on its data, or on generated examples.
#ifndef LOAM_BENCH_RUNNER_H
#define LOAM_BENCH_RUNNER_H

#include "bench/bench.h"
#include "bench/lengths.h"
#include "bench/sequence.h"
#include "run/job.h"

struct loam_bench_runner {
    struct loam_train_settings settings; // completed by `lengths`
    struct loam_bench_lengths lengths;   // empty: the job's data is used
    struct loam_train_job job;
    struct loam_trace trace;             // of all steps since it was cleared
    struct loam_bench_sequence sequence; // products of the last step
    int64_t step;                        // index of the next step
    struct loam_step_result last;
};

// Opens everything that a step needs. The caller must close `runner`, also after a failure.
enum loam_status loam_bench_runner_open(struct loam_bench_runner *runner,
                                        const struct loam_bench_settings *settings,
                                        const struct loam_callbacks *callbacks, struct loam_error *error);
void loam_bench_runner_close(struct loam_bench_runner *runner);
// Runs the next step that has labels. `*seconds` receives its time, including the reading of examples.
enum loam_status loam_bench_runner_step(struct loam_bench_runner *runner, double *seconds,
                                        struct loam_error *error);

// Fills the fields that all measurements have, except the peak.
void loam_bench_machine_describe(struct loam_bench_machine *machine, const struct loam_session *session);
// Measures the rate of multiply-adds in registers on the device's threads, in GFLOP/s: the best of several
// tries. 0: unknown.
double loam_bench_peak_gflops(const struct loam_device *device, enum loam_dtype dtype);
// Measures the peak in the dtype that the matrix library multiplies the session's weights in.
double loam_bench_library_peak(const struct loam_session *session);
double loam_bench_median(double *values, size_t count); // sorts the values; NAN if there are none

#endif
