// The choice of tiles for products on tensor cores, by sizes and by the class of the GPU.
#ifndef LOAM_DEVICE_GPU_OPS_PRODUCT_CHOICE_H
#define LOAM_DEVICE_GPU_OPS_PRODUCT_CHOICE_H

#include "device/gpu/ops/ops.h"

enum product_side { SIDE_64, SIDE_128, PRODUCT_SIDES }; // of tiles

// How a group of products is made.
struct product_choice {
    enum product_side side;
    int stages;     // of tiles in shared memory
    int64_t parts;  // of each sum
    int64_t cycles; // estimated
};

extern const int loam_gpu_product_sides[PRODUCT_SIDES]; // rows and columns of a tile

// `halves`: b is multiplied as two numbers of 16 bits. The choice follows from the arguments alone.
struct product_choice loam_gpu_choose_tiles(const struct loam_gpu *gpu, const struct product *const group[],
                                            int count, bool halves);
// The steps of PRODUCT_STEP terms that a part of the product's sum has.
int64_t loam_gpu_product_share(const struct product *product, int64_t parts);
// f32 that all parts of the product's sum take, a multiple of 16 bytes.
int64_t loam_gpu_product_parts_size(const struct product *product, int64_t parts);

#endif
