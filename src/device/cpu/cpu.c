// The CPU device: made here, from the reference ops and the overrides of the files beside this one.
#include "device/cpu/cpu.h"

#include <omp.h>
#include <stdlib.h>

#include "base/heap.h"

static void cpu_destroy(struct loam_device *device)
{
    free(device->state);
    free(device);
}

enum loam_status loam_device_cpu_create(struct loam_device **out, int threads, struct loam_error *error)
{
    *out = NULL;
    if (threads < 0 || threads > 4096)
        return loam_fail(error, LOAM_ERROR_ARGUMENT, "threads %d: expected 0 (one a core) to 4096", threads);
    struct loam_device *device = loam_calloc(1, sizeof *device, error);
    if (device == NULL) return LOAM_ERROR_MEMORY;
    struct cpu_state *state = loam_calloc(1, sizeof *state, error);
    if (state == NULL) {
        free(device);
        return LOAM_ERROR_MEMORY;
    }
    // oneDNN asks OpenMP for its thread count, which is a setting of the process: the device made last
    // decides.
    state->threads = threads > 0 ? threads : omp_get_num_procs();
    omp_set_num_threads(state->threads);
    device->name = "cpu";
    device->threads = state->threads;
    device->host_memory = true;
    device->memory = &loam_host_memory;
    device->state = state;
    device->destroy = cpu_destroy;
    loam_ref_ops(&device->ops);
    *out = device;
    return LOAM_OK;
}
