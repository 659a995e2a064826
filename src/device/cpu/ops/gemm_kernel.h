// The kernels of gemm.c: operands are packed into panels of pairs of 16-bit numbers along k, and a tile
// of sums is kept in registers. There is one kernel for each kind of number. Where it is f32, each takes the
// place of a pair, and lengths along k are twice the numbers that there are. How large panels and tiles are
// is in the context (struct gemm_blocks).
#ifndef LOAM_DEVICE_CPU_OPS_GEMM_KERNEL_H
#define LOAM_DEVICE_CPU_OPS_GEMM_KERNEL_H

#include "device/cpu/ops/gemm.h"

enum {
    GEMM_GROUP = 128,     // elements along k that may share a unit
    GEMM_MOST_SUMS = 512, // of a tile, at any level
    CACHE_LINE = 64,
    PAIRS_A_LINE = 4, // multiplied for each cache line that is fetched ahead
};

// Part of a panel, or all of it: for each pair of elements along k, some lines, `width` apart.
struct part {
    int32_t *pairs; // whole vectors are written, so up to a vector past the last one
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

// [rows of a tile, columns of a tile] each
struct tile_sums {
    const float *from; // NULL: zero
    float *to;
    int64_t from_row, to_row;
    int64_t rows; // that are read afterwards
};

// Memory that will be packed next: runs of cache lines, `stride` bytes apart. Memory that is fetched too
// early leaves the cache again.
struct prefetch {
    int64_t wait; // calls before the first
    const char *run;
    int64_t runs, lines, stride; // runs that are left, lines of each
    int64_t line;                // the next one of the run
};

// What is prefetched beside a tile: the next part of a, and of b.
enum { PREFETCHES = 2 };

struct gemm_kernel {
    int halves; // of an element along k: 2 where it is f32, else 1
    // Up to a vector's lines of up to a slice's depth of contiguous elements, or up to a tile's columns of
    // adjacent lines.
    void (*pack)(const struct part *part, const struct gemm_lines *lines);
    // A tile: to = from + a b, of `depth` elements along k. It issues prefetches on the way.
    void (*tile)(const struct part *a, const struct part *b, int64_t depth, const struct tile_sums *sums,
                 struct prefetch *prefetches);
};

static inline int64_t gemm_min(int64_t x, int64_t y)
{
    return x < y ? x : y;
}

static inline int64_t gemm_max(int64_t x, int64_t y)
{
    return x > y ? x : y;
}

static inline int64_t gemm_round_up(int64_t count, int64_t unit)
{
    return (count + unit - 1) / unit * unit;
}

#endif
