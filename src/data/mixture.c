#include "data/mixture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "base/rng.h"

size_t loam_data_share_take(const struct loam_data_share *share, size_t count)
{
    if (share->count > 0) return share->count;
    if (share->weight == 0) return count;
    const double taken = round(share->weight * (double)count);
    return taken < 1 ? 1 : (size_t)fmin(taken, (double)UINT32_MAX + 1);
}

static bool takes_whole_passes(const struct loam_mixture_part *part)
{
    return part->count > 0 && part->taken % part->count == 0;
}

enum loam_status loam_mixture_init(struct loam_mixture *mixture, const struct loam_mixture_part *parts,
                                   size_t count, struct loam_error *error)
{
    *mixture = (struct loam_mixture){.count = count};
    size_t largest = 0, records = 0;
    for (size_t i = 0; i < count; i++) {
        if (!loam_add_size(mixture->taken, parts[i].taken, &mixture->taken)) mixture->taken = SIZE_MAX;
        if (parts[i].first + parts[i].count > records) records = parts[i].first + parts[i].count;
        if (!takes_whole_passes(&parts[i]) && parts[i].count > largest) largest = parts[i].count;
    }
    if (mixture->taken == 0 || mixture->taken > UINT32_MAX || records > UINT32_MAX)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "%zu training examples; expected 1 to %u",
                         records > UINT32_MAX ? records : mixture->taken, UINT32_MAX);
    mixture->parts = loam_calloc(count, sizeof *parts, error);
    if (mixture->parts == NULL) return LOAM_ERROR_MEMORY;
    memcpy(mixture->parts, parts, count * sizeof *parts);
    mixture->shuffle = loam_calloc(largest, sizeof *mixture->shuffle, error);
    return mixture->shuffle != NULL ? LOAM_OK : LOAM_ERROR_MEMORY;
}

void loam_mixture_deinit(struct loam_mixture *mixture)
{
    free(mixture->parts);
    free(mixture->shuffle);
    *mixture = (struct loam_mixture){0};
}

// Each source and each of its passes has a stream of random numbers of its own.
static uint64_t stream_of(size_t source, uint64_t pass)
{
    return loam_rng_stream(LOAM_RNG_MIXTURE, (uint32_t)pass) | (uint64_t)source << 40;
}

static void fill_part(struct loam_mixture *mixture, size_t source, int64_t epoch, bool shuffle, uint64_t seed,
                      uint32_t *indices)
{
    const struct loam_mixture_part *part = &mixture->parts[source];
    const bool in_order = !shuffle || takes_whole_passes(part);
    uint64_t position = (uint64_t)epoch * part->taken; // in the sequence of passes
    for (size_t done = 0; done < part->taken;) {
        const uint64_t pass = position / part->count;
        const size_t begin = (size_t)(position % part->count);
        const size_t left = part->taken - done, rest = part->count - begin;
        const size_t size = left < rest ? left : rest;
        if (!in_order) loam_rng_permutation(seed, stream_of(source, pass), mixture->shuffle, part->count);
        for (size_t i = 0; i < size; i++)
            indices[done + i] =
                (uint32_t)(part->first + (in_order ? begin + i : mixture->shuffle[begin + i]));
        done += size;
        position += size;
    }
}

void loam_mixture_fill(struct loam_mixture *mixture, int64_t epoch, bool shuffle, uint64_t seed,
                       uint32_t *indices)
{
    for (size_t i = 0; i < mixture->count; i++) {
        fill_part(mixture, i, epoch, shuffle, seed, indices);
        indices += mixture->parts[i].taken;
    }
}
