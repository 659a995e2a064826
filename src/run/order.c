#include "run/order.h"

#include <math.h>
#include <stdlib.h>

#include "base/heap.h"
#include "base/rng.h"

static int64_t ceil_divide(size_t a, size_t b)
{
    return (int64_t)(a / b + (a % b != 0));
}

enum loam_status loam_order_init_mixed(struct loam_order *order, const struct loam_mixture_part *parts,
                                       size_t part_count, size_t batch_size, size_t accumulation,
                                       bool shuffle, uint64_t seed, struct loam_error *error)
{
    *order = (struct loam_order){
        .epoch = -1,
        .seed = seed,
        .shuffle = shuffle,
        .batch_size = batch_size,
        .accumulation = accumulation,
    };
    LOAM_TRY(loam_mixture_init(&order->mixture, parts, part_count, error));
    order->count = order->mixture.taken;
    order->batches_per_epoch = ceil_divide(order->count, batch_size);
    order->steps_per_epoch = ceil_divide((size_t)order->batches_per_epoch, accumulation);
    order->indices = loam_calloc(order->count, sizeof *order->indices, error);
    return order->indices != NULL ? LOAM_OK : LOAM_ERROR_MEMORY;
}

enum loam_status loam_order_init(struct loam_order *order, size_t count, size_t batch_size,
                                 size_t accumulation, bool shuffle, uint64_t seed, struct loam_error *error)
{
    const struct loam_mixture_part all = {.count = count, .taken = count};
    return loam_order_init_mixed(order, &all, 1, batch_size, accumulation, shuffle, seed, error);
}

void loam_order_deinit(struct loam_order *order)
{
    loam_mixture_deinit(&order->mixture);
    free(order->indices);
    *order = (struct loam_order){0};
}

enum loam_status loam_order_total_steps(const struct loam_order *order, double epochs, int64_t max_steps,
                                        int64_t *total, struct loam_error *error)
{
    if (max_steps > 0) {
        *total = max_steps;
        return LOAM_OK;
    }
    double steps = ceil(epochs * (double)order->steps_per_epoch);
    if (!(steps >= 1 && steps < 0x1p53)) {
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "%g epochs are no number of steps that can be run",
                         epochs);
    }
    *total = (int64_t)steps;
    return LOAM_OK;
}

static void enter_epoch(struct loam_order *order, int64_t epoch)
{
    if (order->epoch == epoch) return;
    loam_mixture_fill(&order->mixture, epoch, order->shuffle, order->seed, order->indices);
    if (order->shuffle)
        loam_rng_shuffle(order->seed, loam_rng_stream(LOAM_RNG_SHUFFLE, (uint32_t)epoch), order->indices,
                         order->count);
    order->epoch = epoch;
}

const uint32_t *loam_order_step(struct loam_order *order, int64_t step, size_t *count)
{
    enter_epoch(order, step / order->steps_per_epoch);
    size_t size = order->batch_size * order->accumulation;
    size_t first = (size_t)(step % order->steps_per_epoch) * size;
    size_t left = order->count - first;
    *count = left < size ? left : size;
    return order->indices + first;
}

double loam_order_epoch_after(const struct loam_order *order, int64_t step)
{
    int64_t batches = (step % order->steps_per_epoch + 1) * (int64_t)order->accumulation;
    if (batches > order->batches_per_epoch) batches = order->batches_per_epoch;
    int64_t whole = step / order->steps_per_epoch;
    return (double)whole + (double)batches / (double)order->batches_per_epoch;
}
