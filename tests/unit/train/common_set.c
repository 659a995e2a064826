#include "unit/train/common_set.h"

#include <math.h>

// a [2, 3], decayed; b [4], not.
void make_set(struct loam_trainables *set, const struct loam_device *device)
{
    static const float a[6] = {0.5f, -1.0f, 2.0f, 0.25f, 0.0f, -3.0f};
    static const float b[4] = {1.0f, -2.0f, 0.5f, 4.0f};
    struct loam_error error;
    *set = (struct loam_trainables){0};
    assert_ok(loam_trainables_add(set, "a", loam_tensor_2d(NULL, LOAM_F32, 2, 3), true, NULL, &error));
    assert_ok(loam_trainables_add(set, "b", loam_tensor_1d(NULL, LOAM_F32, 4), false, NULL, &error));
    assert_ok(loam_trainables_allocate(set, device, &error));
    memcpy(set->items[0].value.data, a, sizeof a);
    memcpy(set->items[1].value.data, b, sizeof b);
}

void set_gradients(struct loam_trainables *set, int step)
{
    static const float a[6] = {0.1f, -0.2f, 0.3f, 0.0f, 1.5f, -0.7f};
    static const float b[4] = {2.0f, -0.01f, 0.0f, 0.4f};
    float *grad_a = set->items[0].grad.data;
    float *grad_b = set->items[1].grad.data;
    for (int i = 0; i < 6; i++)
        grad_a[i] = a[i] * (float)step;
    for (int i = 0; i < 4; i++)
        grad_b[i] = b[i] / (float)step;
}

void check_values(const float *found, const float *expected, int count)
{
    for (int i = 0; i < count; i++)
        if (!(fabsf(found[i] - expected[i]) <= 1e-6f * fmaxf(1, fabsf(expected[i]))))
            fail_msg("element %d: %.9g, expected %.9g", i, (double)found[i], (double)expected[i]);
}
