// From the products of the head to logits: cap tanh(x / cap) with x = factor (product + bias).
#ifndef LOAM_DEVICE_CPU_KERNELS_LOGITS_H
#define LOAM_DEVICE_CPU_KERNELS_LOGITS_H

#include "device/cpu/kernels/vector.h"

struct logits {
    vec value;
    vec slope; // d value / dx
};

// cap 0: none
INLINE struct logits cap_logits_vec(vec x, float cap)
{
    if (cap <= 0) return (struct logits){x, splat(1)};
    const vec bent = tanh_vec(x * (1.0f / cap));
    return (struct logits){bent * cap, 1.0f - bent * bent};
}

#endif
