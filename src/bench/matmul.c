// loam bench matmul: the rate of the matrix library for each shape of a step's products, with the weights in
// the checkpoint's layout and packed.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/heap.h"
#include "bench/ceiling.h"
#include "bench/runner.h"

// The products of one shape.
struct group {
    struct loam_bench_sequence plain; // pieces, in the order of the step
    struct loam_arena packed;         // packed weights; empty: the shape has no packed layout
    size_t packed_bytes;              // of one packed weight
    size_t packed_count;
    double flops;
    double plain_seconds;
    double packed_seconds;
};

struct matmul_bench {
    const struct loam_bench_settings *settings;
    struct loam_bench_runner runner;
    struct loam_bench_ceiling_state ceiling;
    struct group group; // one at a time, so that only one shape's packed weights are in memory
};

static void release_group(struct matmul_bench *bench)
{
    struct group *group = &bench->group;
    loam_bench_sequence_deinit(&group->plain);
    if (group->packed.base != NULL) loam_device_arena_deinit(bench->ceiling.device, &group->packed);
    *group = (struct group){0};
}

// Collects the items of the sequence whose shape is `product`.
static enum loam_status collect_shape(struct group *group, const struct loam_bench_sequence *sequence,
                                      const struct loam_product *product, struct loam_error *error)
{
    for (size_t i = 0; i < sequence->count; i++)
        if (loam_bench_same_product(&sequence->items[i].product, product))
            LOAM_TRY(loam_bench_sequence_add(&group->plain, &sequence->items[i], error));
    return LOAM_OK;
}

static enum loam_status fail_packing(const char *failure, struct loam_error *error)
{
    return loam_fail(error, LOAM_ERROR_UNSUPPORTED, "packed products cannot be measured: %s", failure);
}

// Packs all different weights of the shape, up to the limit of copies.
static enum loam_status pack_weights(struct matmul_bench *bench, struct loam_error *error)
{
    struct group *group = &bench->group;
    struct loam_bench_ceiling_state *ceiling = &bench->ceiling;
    const struct loam_probe_table *probes = ceiling->device->probes;
    const struct loam_bench_product *first = &group->plain.items[0];
    const struct loam_product piece = loam_bench_ceiling_piece(ceiling, first);
    if (first->weight == NULL) return LOAM_OK; // the second operand is an activation, new for each product
    size_t bytes = probes->packed_bytes(ceiling->probe, &piece);
    if (bytes == 0) return LOAM_OK;
    bytes = (bytes + LOAM_ARENA_ALIGN - 1) / LOAM_ARENA_ALIGN * LOAM_ARENA_ALIGN;
    const size_t fit = LOAM_BENCH_COPIES_LIMIT / bytes;
    group->packed_count = fit < group->plain.count ? fit : group->plain.count;
    if (group->packed_count == 0) group->packed_count = 1;
    group->packed_bytes = bytes;
    LOAM_TRY(
        loam_device_arena_init(ceiling->device, &group->packed, bytes * group->packed_count, true, error));
    for (size_t i = 0; i < group->packed_count; i++) {
        const void *w = loam_bench_ceiling_weight(ceiling, &group->plain.items[i], &piece);
        const char *failure = probes->pack(ceiling->probe, &piece, w, group->packed.base + i * bytes);
        if (failure != NULL) return fail_packing(failure, error);
    }
    return LOAM_OK;
}

// Runs packed products with as many operations as the plain ones.
static enum loam_status run_packed(struct matmul_bench *bench, double flops, struct loam_error *error)
{
    struct group *group = &bench->group;
    struct loam_bench_ceiling_state *ceiling = &bench->ceiling;
    const struct loam_probe_table *probes = ceiling->device->probes;
    const struct loam_product piece = loam_bench_ceiling_piece(ceiling, &group->plain.items[0]);
    const int64_t count = llround(flops / loam_bench_product_flops(&piece));
    for (int64_t i = 0; i < count; i++) {
        const char *packed = group->packed.base + ((size_t)i % group->packed_count) * group->packed_bytes;
        const char *failure =
            probes->packed_product(ceiling->probe, &piece, ceiling->a.base, packed, ceiling->c.base);
        if (failure != NULL) return fail_packing(failure, error);
    }
    return LOAM_OK;
}

static enum loam_status run_round(struct matmul_bench *bench, bool measured, struct loam_error *error)
{
    struct group *group = &bench->group;
    double flops;
    const double start = loam_clock_seconds();
    LOAM_TRY(loam_bench_ceiling_run(&bench->ceiling, &group->plain, &flops, error));
    const double between = loam_clock_seconds();
    if (group->packed.base != NULL) LOAM_TRY(run_packed(bench, flops, error));
    if (!measured) return LOAM_OK;
    group->flops += flops;
    group->plain_seconds += between - start;
    group->packed_seconds += loam_clock_seconds() - between;
    return LOAM_OK;
}

static enum loam_status measure_shape(struct matmul_bench *bench, const struct loam_product *product,
                                      struct loam_bench_matmul *result, struct loam_error *error)
{
    struct group *group = &bench->group;
    struct loam_bench_matmul_shape *shape = &result->shapes[result->shape_count];
    LOAM_TRY(collect_shape(group, &bench->runner.sequence, product, error));
    LOAM_TRY(loam_bench_ceiling_prepare(&bench->ceiling, &group->plain, error));
    LOAM_TRY(pack_weights(bench, error));
    for (int64_t round = -1; round < bench->settings->steps; round++)
        LOAM_TRY(run_round(bench, round >= 0, error));
    *shape = (struct loam_bench_matmul_shape){
        .product = *product,
        .calls = (int64_t)group->plain.count,
        .plain_gflops = group->flops / group->plain_seconds / 1e9,
        .packed_gflops = NAN,
    };
    result->flops_per_step += (double)group->plain.count * loam_bench_product_flops(product);
    if (group->packed.base != NULL) shape->packed_gflops = group->flops / group->packed_seconds / 1e9;
    result->shape_count++;
    return LOAM_OK;
}

static bool is_measured(const struct loam_bench_matmul *result, const struct loam_product *product)
{
    for (size_t i = 0; i < result->shape_count; i++)
        if (loam_bench_same_product(&result->shapes[i].product, product)) return true;
    return false;
}

// Computes the rates over all shapes: all operations divided by all time.
static void summarise(struct loam_bench_matmul *result)
{
    double plain = 0, packed = 0;
    for (size_t i = 0; i < result->shape_count; i++) {
        const struct loam_bench_matmul_shape *shape = &result->shapes[i];
        const double flops = (double)shape->calls * loam_bench_product_flops(&shape->product);
        plain += flops / shape->plain_gflops;
        packed += flops / (isfinite(shape->packed_gflops) ? shape->packed_gflops : shape->plain_gflops);
    }
    result->plain_gflops = result->flops_per_step / plain;
    result->packed_gflops = result->flops_per_step / packed;
}

static enum loam_status measure(struct matmul_bench *bench, const struct loam_callbacks *callbacks,
                                struct loam_bench_matmul *result, struct loam_error *error)
{
    struct loam_bench_runner *runner = &bench->runner;
    double ignored;
    LOAM_TRY(loam_bench_runner_open(runner, bench->settings, callbacks, error));
    const struct loam_session *session = &runner->job.session;
    LOAM_TRY(loam_bench_ceiling_check(session, bench->settings->train.device_memory_limit, error));
    LOAM_TRY(loam_bench_ceiling_init(&bench->ceiling, session->device, session->model->matrix_dtype, error));
    LOAM_TRY(loam_bench_runner_step(runner, &ignored, error));
    const struct loam_bench_sequence *sequence = &runner->sequence;
    result->shapes = loam_calloc(sequence->count, sizeof *result->shapes, error);
    if (result->shapes == NULL) return LOAM_ERROR_MEMORY;
    loam_bench_machine_describe(&result->machine, session);
    result->machine.peak_gflops = loam_bench_library_peak(session);
    result->rounds = bench->settings->steps;
    for (size_t i = 0; i < sequence->count; i++) {
        if (is_measured(result, &sequence->items[i].product)) continue;
        LOAM_TRY(measure_shape(bench, &sequence->items[i].product, result, error));
        release_group(bench);
    }
    result->dtype = bench->ceiling.own_weights ? session->model->matrix_dtype : LOAM_F32;
    summarise(result);
    return LOAM_OK;
}

void loam_bench_matmul_deinit(struct loam_bench_matmul *result)
{
    free(result->shapes);
    *result = (struct loam_bench_matmul){0};
}

enum loam_status loam_bench_matmul_run(const struct loam_bench_settings *settings,
                                       const struct loam_callbacks *callbacks,
                                       struct loam_bench_matmul *result, struct loam_error *error)
{
    struct matmul_bench bench = {.settings = settings};
    *result = (struct loam_bench_matmul){0};
    enum loam_status status = measure(&bench, callbacks, result, error);
    release_group(&bench);
    loam_bench_ceiling_deinit(&bench.ceiling);
    loam_bench_runner_close(&bench.runner);
    return status;
}
