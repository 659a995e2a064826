// What is known of the driver's GPUs before one is used.
#include <stdio.h>

#include "device/gpu/cuda/host.h"

bool loam_cuda_exists(int index, struct loam_error *reason)
{
    struct loam_cuda_driver driver;
    int count = 0;
    *reason = (struct loam_error){0};
    if (loam_cuda_driver_open(&driver, LOAM_CUDA_LIBRARY, reason) != LOAM_OK)
        return !driver.finds_nothing && index == 0;
    const cuda_result result = driver.device_count(&count);
    loam_cuda_driver_close(&driver);
    if (result != CUDA_SUCCESS) return index == 0;
    if (index < count) return true;
    (void)loam_fail(reason, LOAM_ERROR_UNSUPPORTED, "the driver finds %d GPUs", count);
    return false;
}

static void describe(const struct loam_cuda_driver *driver, int index, struct loam_device_entry *entry)
{
    int device, major, minor;
    size_t bytes;
    (void)snprintf(entry->driver, sizeof entry->driver, "CUDA %d.%d", driver->version / 1000,
                   driver->version % 1000 / 10);
    if (driver->device_get(&device, index) != CUDA_SUCCESS) return;
    if (driver->device_name(entry->model, sizeof entry->model, device) != CUDA_SUCCESS)
        entry->model[0] = '\0';
    if (driver->device_memory(&bytes, device) == CUDA_SUCCESS) entry->total_memory = bytes;
    if (driver->device_attribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device) ==
            CUDA_SUCCESS &&
        driver->device_attribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device) ==
            CUDA_SUCCESS)
        (void)snprintf(entry->capability, sizeof entry->capability, "%d.%d", major, minor);
}

void loam_cuda_describe_device(int index, struct loam_device_entry *entry)
{
    struct loam_cuda_driver driver;
    struct loam_error unread = {0};
    if (loam_cuda_driver_open(&driver, LOAM_CUDA_LIBRARY, &unread) != LOAM_OK) return;
    describe(&driver, index, entry);
    loam_cuda_driver_close(&driver);
}
