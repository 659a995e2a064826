// loam bench step: rounds of a training step, each followed by its products in the matrix library alone.
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/heap.h"
#include "bench/ceiling.h"
#include "bench/process.h"
#include "bench/runner.h"
#include "run/metrics.h"

struct step_bench {
    const struct loam_bench_settings *settings;
    struct loam_bench_runner runner;
    struct loam_bench_ceiling_state ceiling;
    double *seconds;        // [steps]
    double *ratios;         // [steps] rate of the step / rate of its ceiling
    double profile_seconds; // of the steps whose ops are measured
    double flops;           // of the measured steps
    int64_t tokens;
    int64_t labels;
    double ceiling_flops;
    double ceiling_seconds;
};

static void clear_trace(struct loam_trace *trace)
{
    for (int op = 0; op < LOAM_OP_COUNT; op++)
        trace->ops[op] = (struct loam_op_total){0};
}

static double trace_flops(const struct loam_trace *trace)
{
    double flops = 0;
    for (int op = 0; op < LOAM_OP_COUNT; op++)
        flops += trace->ops[op].flops;
    return flops;
}

static enum loam_status run_ceiling(struct step_bench *bench, double *rate, struct loam_error *error)
{
    const struct loam_bench_sequence *sequence = &bench->runner.sequence;
    double flops;
    LOAM_TRY(loam_bench_ceiling_prepare(&bench->ceiling, sequence, error));
    const double start = loam_clock_seconds();
    LOAM_TRY(loam_bench_ceiling_run(&bench->ceiling, sequence, &flops, error));
    const double seconds = loam_clock_seconds() - start;
    bench->ceiling_flops += flops;
    bench->ceiling_seconds += seconds;
    *rate = flops / seconds;
    return LOAM_OK;
}

static enum loam_status run_round(struct step_bench *bench, int64_t round, struct loam_error *error)
{
    struct loam_bench_runner *runner = &bench->runner;
    const double before = trace_flops(&runner->trace);
    LOAM_TRY(loam_bench_runner_step(runner, &bench->seconds[round], error));
    const double flops = trace_flops(&runner->trace) - before;
    bench->flops += flops;
    bench->tokens += runner->job.buffers.tokens;
    bench->labels += runner->job.buffers.labels.count;
    if (!bench->settings->ceiling) return LOAM_OK;
    double rate;
    LOAM_TRY(run_ceiling(bench, &rate, error));
    bench->ratios[round] = flops / bench->seconds[round] / rate;
    return LOAM_OK;
}

static void summarise(struct step_bench *bench, struct loam_bench_step *result)
{
    const int64_t steps = bench->settings->steps;
    const struct loam_trace *trace = &bench->runner.trace;
    double in_ops = 0;
    for (int64_t i = 0; i < steps; i++)
        result->seconds_total += bench->seconds[i];
    for (int op = 0; op < LOAM_OP_COUNT; op++) {
        result->ops[op] = trace->ops[op];
        in_ops += trace->ops[op].seconds;
    }
    result->steps = steps;
    result->ops_seconds = bench->profile_seconds > 0 ? bench->profile_seconds : result->seconds_total;
    result->other_seconds = result->ops_seconds - in_ops;
    result->tokens_per_step = (double)bench->tokens / (double)steps;
    result->labels_per_step = (double)bench->labels / (double)steps;
    result->flops_per_step = bench->flops / (double)steps;
    result->tokens_per_second = (double)bench->tokens / result->seconds_total;
    result->gflops = bench->flops / result->seconds_total / 1e9;
    result->loss = bench->runner.last.loss;
    result->seconds_median = loam_bench_median(bench->seconds, (size_t)steps);
    result->seconds_min = bench->seconds[0]; // loam_bench_median has sorted the seconds
    result->of_ceiling = NAN;
    if (!bench->settings->ceiling) return;
    result->of_ceiling = loam_bench_median(bench->ratios, (size_t)steps);
    result->ceiling = loam_bench_ceiling_summary(&bench->ceiling, &bench->runner.sequence,
                                                 bench->ceiling_flops, bench->ceiling_seconds);
}

// Steps whose ops are waited for one by one, on a device that otherwise queues them.
static enum loam_status profile(struct step_bench *bench, struct loam_error *error)
{
    struct loam_bench_runner *runner = &bench->runner;
    double seconds;
    if (!runner->trace.queued) return LOAM_OK;
    clear_trace(&runner->trace);
    runner->trace.queued = false;
    for (int64_t step = 0; step < bench->settings->steps; step++) {
        LOAM_TRY(loam_bench_runner_step(runner, &seconds, error));
        bench->profile_seconds += seconds;
    }
    return LOAM_OK;
}

static enum loam_status measure(struct step_bench *bench, const struct loam_callbacks *callbacks,
                                struct loam_bench_step *result, struct loam_error *error)
{
    const struct loam_bench_settings *settings = bench->settings;
    struct loam_bench_runner *runner = &bench->runner;
    double ignored;
    bench->seconds = loam_calloc((size_t)settings->steps, sizeof *bench->seconds, error);
    bench->ratios = loam_calloc((size_t)settings->steps, sizeof *bench->ratios, error);
    if (bench->seconds == NULL || bench->ratios == NULL) return LOAM_ERROR_MEMORY;
    LOAM_TRY(loam_bench_runner_open(runner, settings, callbacks, error));
    const struct loam_session *session = &runner->job.session;
    if (settings->ceiling)
        LOAM_TRY(
            loam_bench_ceiling_init(&bench->ceiling, session->device, session->model->matrix_dtype, error));
    loam_bench_machine_describe(&result->machine, session);
    result->seconds_to_first_step = loam_bench_process_seconds();
    for (int64_t i = 0; i < settings->warm_up; i++)
        LOAM_TRY(loam_bench_runner_step(runner, &ignored, error));
    result->peak_rss_bytes = loam_peak_memory_bytes();
    clear_trace(&runner->trace);
    runner->trace.queued = !session->device->host_memory;
    for (int64_t round = 0; round < settings->steps; round++)
        LOAM_TRY(run_round(bench, round, error));
    LOAM_TRY(profile(bench, error));
    if (!settings->ceiling) result->peak_rss_bytes = loam_peak_memory_bytes();
    result->machine.peak_gflops = loam_bench_library_peak(session);
    summarise(bench, result);
    return LOAM_OK;
}

enum loam_status loam_bench_step_run(const struct loam_bench_settings *settings,
                                     const struct loam_callbacks *callbacks, struct loam_bench_step *result,
                                     struct loam_error *error)
{
    struct step_bench bench = {.settings = settings};
    *result = (struct loam_bench_step){0};
    enum loam_status status = measure(&bench, callbacks, result, error);
    loam_bench_ceiling_deinit(&bench.ceiling);
    loam_bench_runner_close(&bench.runner);
    free(bench.seconds);
    free(bench.ratios);
    return status;
}
