// How elementwise ops share out matrices [T, n] whose rows may be strided: chunks of a row, one after the
// other. Matrices without gaps are one long row.
#ifndef LOAM_DEVICE_CPU_KERNELS_SPANS_H
#define LOAM_DEVICE_CPU_KERNELS_SPANS_H

#include "device/cpu/kernels/vector.h"

enum { SPAN = 4096 }; // elements of a task, at most

struct spans {
    int64_t columns; // of a row
    int64_t in_row;  // spans of a row
    int64_t count;   // of all rows
};
struct span {
    int64_t row, first, last; // elements [first, last) of the row
};

// `contiguous`: none of the matrices [rows, columns] has gaps.
INLINE struct spans cut_spans(int64_t rows, int64_t columns, bool contiguous)
{
    if (contiguous) {
        columns *= rows;
        rows = 1;
    }
    const int64_t in_row = (columns + SPAN - 1) / SPAN;
    return (struct spans){columns, in_row, rows * in_row};
}

INLINE struct span span_at(const struct spans *spans, int64_t index)
{
    const int64_t row = index / spans->in_row, first = index % spans->in_row * SPAN;
    return (struct span){row, first, first + SPAN < spans->columns ? first + SPAN : spans->columns};
}

#endif
