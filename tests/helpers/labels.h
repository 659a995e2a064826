// Where the labels of an example begin.
#ifndef TEST_LABELS_H
#define TEST_LABELS_H

#include <stdint.h>

// The first of the weights [count] that is not 0; `count` where all are.
static inline int32_t test_first_label(const float *weights, int32_t count)
{
    int32_t first = 0;
    while (first < count && weights[first] == 0)
        first++;
    return first;
}

#endif
