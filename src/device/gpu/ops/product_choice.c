#include "device/gpu/ops/product_choice.h"

const int loam_gpu_product_sides[PRODUCT_SIDES] = {64, 128};

// Tiles of a class of GPUs. The stages leave room for two blocks on a processor. Cycles are estimates that only compare
// rows of one class with each other: of a step of the sums, of the beginning and the end of a block.
struct tiles {
    int capability; // of the class, at least
    enum product_side side;
    int stages;
    int step_cycles, block_cycles;
};
static const struct tiles tiles[] = {
    {90, SIDE_64, 4, 160, 800},  {90, SIDE_128, 4, 400, 1500},  // Hopper, Blackwell
    {86, SIDE_64, 3, 384, 1200}, {86, SIDE_128, 3, 1024, 2500}, // GeForce and RTX of Ampere and Ada
    {80, SIDE_64, 4, 192, 800},  {80, SIDE_128, 4, 512, 1500},  // A100
    {75, SIDE_64, 2, 384, 1500}, {75, SIDE_128, 2, 1024, 3000}, // Turing, without asynchronous copies
};
enum {
    TILE_ROWS = sizeof tiles / sizeof tiles[0],
    MOST_PARTS = 16,
    LEAST_STEPS = 4,         // of a part
    PARTS_BYTES = 128 << 10, // of scratch, for each processor
    PARTS_CYCLES = 4000,     // of the launch that adds them
    PARTS_BYTES_A_CYCLE = 16 // of a processor
};

size_t loam_gpu_product_scratch(const struct loam_device *device)
{
    const struct loam_gpu *gpu = loam_gpu(device);
    return gpu->mma != 0 ? loam_scratch_bytes((int64_t)gpu->processors * PARTS_BYTES, 1) : 0;
}

static int64_t steps_of(const struct product *product)
{
    return loam_blocks(product->k, PRODUCT_STEP) + loam_blocks(product->k2, PRODUCT_STEP);
}

int64_t loam_gpu_product_share(const struct product *product, int64_t parts)
{
    return loam_blocks(steps_of(product), parts);
}

int64_t loam_gpu_product_parts_size(const struct product *product, int64_t parts)
{
    const int64_t aligned = 16 / (int64_t)sizeof(f32);
    return loam_blocks(parts * product->m * product->n, aligned) * aligned;
}

// Whether all parts of the products have enough to do, and scratch holds them.
static bool can_split(const struct loam_gpu *gpu, const struct product *const group[], int count,
                      int64_t parts)
{
    int64_t size = 0;
    for (int i = 0; i < count; i++) {
        const int64_t share = loam_gpu_product_share(group[i], parts);
        if (share < LEAST_STEPS || share * (parts - 1) >= steps_of(group[i])) return false;
        size += loam_gpu_product_parts_size(group[i], parts);
    }
    return size * (int64_t)sizeof(f32) <= (int64_t)gpu->processors * PARTS_BYTES;
}

// The blocks of the group run in rounds, which take as long as their longest block.
static int64_t estimate(const struct loam_gpu *gpu, const struct product *const group[], int count,
                        const struct tiles *row, int64_t parts)
{
    const int side = loam_gpu_product_sides[row->side];
    int64_t blocks = 0, sums = 0, share = 0;
    for (int i = 0; i < count; i++) {
        const int64_t own = loam_gpu_product_share(group[i], parts);
        blocks += loam_blocks(group[i]->m, side) * loam_blocks(group[i]->n, side) * parts;
        sums += group[i]->m * group[i]->n;
        share = own > share ? own : share;
    }
    const int64_t bytes = parts > 1 ? sums * parts * 8 : 0;
    const int64_t block = share * row->step_cycles + row->block_cycles;
    return loam_blocks(blocks, gpu->processors) * block + (parts > 1 ? PARTS_CYCLES : 0) +
           bytes / (PARTS_BYTES_A_CYCLE * gpu->processors);
}

struct product_choice loam_gpu_choose_tiles(const struct loam_gpu *gpu, const struct product *const group[],
                                            int count, bool halves)
{
    const struct tiles *last = &tiles[TILE_ROWS - 1];
    struct product_choice best = {last->side, last->stages, .parts = 1, .cycles = INT64_MAX};
    int class = 0;
    for (size_t i = 0; i < TILE_ROWS && (class == 0 || tiles[i].capability == class); i++) {
        if (gpu->capability < tiles[i].capability) continue;
        class = tiles[i].capability;
        if (halves && tiles[i].side != SIDE_64) continue;
        for (int64_t parts = 1; parts <= MOST_PARTS; parts *= 2) {
            if (parts > 1 && !can_split(gpu, group, count, parts)) break;
            const int64_t cycles = estimate(gpu, group, count, &tiles[i], parts);
            if (cycles < best.cycles)
                best = (struct product_choice){tiles[i].side, tiles[i].stages, parts, cycles};
        }
    }
    return best;
}
