#include "bench/runner.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bench/ceiling.h"
#include "run/plan.h"
#include "session/fit.h"

enum { DEFAULT_BATCH = 8 };

// ---- Opening ----

// Chooses the layers that are offloaded, on a device with memory of its own.
static enum loam_status plan_offload(struct loam_train_job *job, struct loam_error *error)
{
    const struct loam_train_settings *train = job->settings;
    if (!job->session.device->host_memory) return loam_plan_check(job, error);
    loam_session_tell_host_memory(&job->session, train->device, train->offload, train->device_memory_limit);
    return LOAM_OK;
}

static enum loam_status open_all(struct loam_bench_runner *runner, const struct loam_bench_settings *settings,
                                 const struct loam_callbacks *callbacks, struct loam_error *error)
{
    if ((settings->lengths == NULL) == (settings->train.data.count == 0))
        return loam_fail(error, LOAM_ERROR_USAGE, "loam bench needs one of --data and --lengths");
    if (settings->lengths != NULL)
        LOAM_TRY(loam_bench_lengths_open(&runner->lengths, settings->lengths, &runner->settings, error));
    struct loam_train_settings *train = &runner->settings;
    if (train->batch_size == 0) train->batch_size = DEFAULT_BATCH;
    LOAM_TRY(loam_train_job_open(&runner->job, train, callbacks, error));
    if (settings->lengths != NULL)
        LOAM_TRY(loam_order_init(&runner->job.order, runner->lengths.count, (size_t)train->batch_size,
                                 (size_t)train->accumulation, false, train->seed, error));
    LOAM_TRY(plan_offload(&runner->job, error));
    if (settings->ceiling)
        LOAM_TRY(loam_bench_ceiling_check(&runner->job.session, train->device_memory_limit, error));
    return loam_train_job_load(&runner->job, error);
}

enum loam_status loam_bench_runner_open(struct loam_bench_runner *runner,
                                        const struct loam_bench_settings *settings,
                                        const struct loam_callbacks *callbacks, struct loam_error *error)
{
    *runner = (struct loam_bench_runner){.settings = settings->train};
    runner->settings.max_steps = 1; // only passes the check of the settings; the caller counts the steps
    runner->settings.memory_limit =
        INT64_MAX; // bench has no --memory-limit: a step that fits the device is measured
    LOAM_TRY(open_all(runner, settings, callbacks, error));
    runner->trace.watch = loam_bench_sequence_watch;
    runner->trace.user = &runner->sequence;
    loam_decoder_trace(runner->job.trainer.decoder, &runner->trace);
    runner->job.trainer.optimiser.stream.trace = &runner->trace;
    return LOAM_OK;
}

void loam_bench_runner_close(struct loam_bench_runner *runner)
{
    loam_train_job_close(&runner->job);
    loam_bench_sequence_deinit(&runner->sequence);
    loam_bench_lengths_deinit(&runner->lengths);
}

// ---- Steps ----

static enum loam_status collect(struct loam_bench_runner *runner, struct loam_error *error)
{
    struct loam_train_job *job = &runner->job;
    size_t count;
    const uint32_t *indices = loam_order_step(&job->order, runner->step, &count);
    if (job->dataset != NULL) return loam_step_collect(&job->buffers, job->dataset, indices, count, error);
    return loam_bench_lengths_collect(&runner->lengths, job->session.model->config.vocabulary,
                                      runner->settings.seed, indices, count, &job->buffers, error);
}

// Runs one step. Skips it if its examples have no labels, as training does.
static enum loam_status try_step(struct loam_bench_runner *runner, double *seconds, struct loam_error *error)
{
    struct loam_train_job *job = &runner->job;
    loam_bench_sequence_clear(&runner->sequence);
    const double start = loam_clock_seconds();
    LOAM_TRY(collect(runner, error));
    const int64_t step = runner->step++;
    if (job->buffers.labels.count == 0) return LOAM_OK;
    LOAM_TRY(loam_step_run(&job->buffers, &job->trainer, runner->settings.learning_rate, step,
                           runner->settings.seed, &runner->last, error));
    *seconds = loam_clock_seconds() - start;
    if (runner->sequence.failure.status == LOAM_OK) return LOAM_OK;
    *error = runner->sequence.failure;
    return error->status;
}

enum loam_status loam_bench_runner_step(struct loam_bench_runner *runner, double *seconds,
                                        struct loam_error *error)
{
    for (int64_t tries = 0; tries < runner->job.order.steps_per_epoch; tries++) {
        LOAM_TRY(try_step(runner, seconds, error));
        if (runner->job.buffers.labels.count > 0) return LOAM_OK;
    }
    return loam_fail(error, LOAM_ERROR_ARGUMENT,
                     "%s: no example has a label that counts: all are empty, or too long for --max-length",
                     runner->job.dataset != NULL ? loam_dataset_name(runner->job.dataset) : "--lengths");
}

// ---- The machine ----

static int64_t weight_bytes(const struct loam_model *model)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < model->parameter_count; i++)
        bytes += (int64_t)loam_tensor_bytes(&model->parameters[i].value);
    return bytes;
}

void loam_bench_machine_describe(struct loam_bench_machine *machine, const struct loam_session *session)
{
    snprintf(machine->device, sizeof machine->device, "%s", session->device->name);
    if (session->device->isa != NULL) snprintf(machine->isa, sizeof machine->isa, "%s", session->device->isa);
    machine->threads = session->device->threads;
    machine->dtype = session->dtype;
    machine->matrix_dtype = session->model->matrix_dtype;
    machine->weight_bytes = weight_bytes(session->model);
}

double loam_bench_peak_gflops(const struct loam_device *device, enum loam_dtype dtype)
{
    enum { TRIES = 50 };
    static const double enough = 0.002; // seconds of a try, shorter than the time slice of another process
    const struct loam_limits *limits = device->ops.limits;
    double best = 0;
    if (limits == NULL) return 0;
    for (int64_t rounds = 1, tries = 0; tries < TRIES;) {
        const double start = loam_clock_seconds();
        const double operations = limits->multiply_add(device->threads, dtype, rounds);
        const double seconds = loam_clock_seconds() - start;
        if (operations == 0) return 0;
        if (seconds < enough) {
            rounds *= 2;
            continue;
        }
        best = fmax(best, operations / seconds / 1e9);
        tries++;
    }
    return best;
}

double loam_bench_library_peak(const struct loam_session *session)
{
    const bool preferred = loam_formats_have(session->device->formats.preferred, session->dtype);
    return loam_bench_peak_gflops(session->device, preferred ? session->dtype : LOAM_F32);
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double loam_bench_median(double *values, size_t count)
{
    if (count == 0) return NAN;
    qsort(values, count, sizeof *values, compare);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}
