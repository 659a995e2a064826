// The ways to compute LoRA beside a linear; lora.c picks one.
#ifndef LOAM_DEVICE_CPU_SIMD_LORA_KERNEL_H
#define LOAM_DEVICE_CPU_SIMD_LORA_KERNEL_H

#include "device/cpu/simd/level.h"
#include "device/device.h"

struct lora_kernel {
    enum loam_status (*forward)(struct loam_stream *stream, const struct loam_lora_forward_args *args);
    size_t (*forward_scratch)(const struct loam_device *device, const struct loam_lora_forward_args *args);
    enum loam_status (*backward)(struct loam_stream *stream, const struct loam_lora_backward_args *args);
    size_t (*backward_scratch)(const struct loam_device *device, const struct loam_lora_backward_args *args);
};

#if defined(__AVX512F__)
// Activations of bf16 without dropout, on processors with AVX-512 BF16.
extern const struct lora_kernel CPU_OVERRIDES(lora_bf16);
#endif

#endif
