// What gemm.c multiplies with: operands are packed into panels of pairs of 16-bit numbers along k, and a tile
// of sums is kept in registers. There is one kernel for each kind of number. Where it is f32, each takes the
// place of a pair, and lengths along k are twice the numbers that there are.
#ifndef LOAM_DEVICE_CPU_SIMD_GEMM_KERNEL_H
#define LOAM_DEVICE_CPU_SIMD_GEMM_KERNEL_H

#include "device/cpu/simd/gemm.h"
#include "device/cpu/simd/vector.h"

enum {
    ROWS = LANES == 16  ? 14
           : LANES == 8 ? 6
                        : 4,               // of a tile: as many as registers allow, at most LANES
    PANEL = GEMM_COLUMNS,                  // columns of a tile
    GROUP = 128,                           // elements along k that may share a unit
    DEPTH = (LANES == 16 ? 8 : 5) * GROUP, // of a slice: a panel of b stays in a near cache
    SLICE_GROUPS = DEPTH / GROUP,
    CACHE_LINE = 64,
    PAIRS_A_LINE = 4, // multiplied for each cache line that is fetched ahead
    STEP = 2 * LANES, // elements along k that are packed at a time; zeros follow the last one
};

// Part of a panel, or all of it: for each pair of elements along k, some lines, `width` apart.
struct part {
    int32_t *pairs; // whole vectors are written, so up to LANES past the last one
    float *units;   // [groups], `units_row` apart; whole vectors as well
    int64_t width, units_row;
};

// Lines of an operand: rows of a, columns of b. One of the two distances is 1.
struct gemm_lines {
    const void *first;
    int64_t count, depth;  // of lines; of elements of each, along k
    int64_t line, element; // from line to line and along k, in numbers of this dtype
    enum loam_dtype dtype;
};

// [ROWS, PANEL] each
struct tile_sums {
    const float *from; // NULL: zero
    float *to;
    int64_t from_row, to_row;
};

// Memory that will be packed next: runs of cache lines, `stride` bytes apart. Fetched too early, it would be
// gone from the cache again.
struct ahead {
    int64_t wait; // calls before the first
    const char *run;
    int64_t runs, lines, stride; // runs that are left, lines of each
    int64_t line;                // the next one of the run
};

// Two of them: what is read of a next, and of b.
enum { AHEAD = 2 };

// Asks for one cache line of each, to be in the second cache when it is needed.
INLINE void fetch_one(struct ahead *ahead)
{
    if (ahead->wait-- > 0 || ahead->runs <= 0) return;
    __builtin_prefetch(ahead->run + ahead->line * CACHE_LINE, 0, 2);
    if (++ahead->line < ahead->lines) return;
    ahead->line = 0;
    ahead->run += ahead->stride;
    ahead->runs--;
}
INLINE void fetch_line(struct ahead ahead[AHEAD])
{
    for (int i = 0; i < AHEAD; i++)
        fetch_one(&ahead[i]);
}

struct gemm_kernel {
    int halves; // of an element along k: 2 where it is f32, else 1
    // Up to LANES lines of up to DEPTH elements that are contiguous, or up to PANEL lines that are adjacent.
    void (*pack)(const struct part *part, const struct gemm_lines *lines);
    // A tile: to = from + a b, of `depth` elements along k. Meanwhile fetches what is ahead, as far as it
    // comes.
    void (*tile)(const struct part *a, const struct part *b, int64_t depth, const struct tile_sums *sums,
                 struct ahead *ahead);
};

extern const struct gemm_kernel CPU_OVERRIDES(gemm_f32);
extern const struct gemm_kernel CPU_OVERRIDES(gemm_block_float);
#if defined(__AVX512F__)
extern const struct gemm_kernel CPU_OVERRIDES(gemm_bf16); // on processors with AVX-512 BF16
#endif

static inline int64_t gemm_min(int64_t x, int64_t y)
{
    return x < y ? x : y;
}

static inline int64_t gemm_round_up(int64_t count, int64_t unit)
{
    return (count + unit - 1) / unit * unit;
}

#endif
