// Two small trainables with gradients of each step, for comparisons with PyTorch.
#ifndef LOAM_TEST_SET_H
#define LOAM_TEST_SET_H

#include "test.h"

#include "model/trainables.h"

// a [2, 3], decayed; b [4], not. The device's memory is the host's.
void make_set(struct loam_trainables *set, const struct loam_device *device);
// `step` counts from 1.
void set_gradients(struct loam_trainables *set, int step);
// Within 1e-6, relative where the values are large.
void check_values(const float *found, const float *expected, int count);

#endif
