// The devices of all drivers, and what loam needs of one.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "device/gpu/opencl/host.h"

enum { MOST_PLATFORMS = 64, MOST_DEVICES = 64 }; // of a platform

// ---- the list ----

// GPUs first and CPUs last.
static int rank(cl_bits type)
{
    if ((type & CL_DEVICE_TYPE_GPU) != 0) return 0;
    return (type & CL_DEVICE_TYPE_CPU) != 0 ? 2 : 1;
}

// Adds the devices of a platform. A platform without devices adds none.
static enum loam_status add_devices(const struct loam_opencl_api *api, struct cl_platform *platform,
                                    struct opencl_found *found, size_t *count, struct loam_error *error)
{
    struct cl_device *devices[MOST_DEVICES];
    cl_count have = 0;
    const cl_bits types = CL_DEVICE_TYPE_GPU | CL_DEVICE_TYPE_CPU | CL_DEVICE_TYPE_ACCELERATOR;
    const cl_result result = api->device_ids(platform, types, MOST_DEVICES, devices, &have);
    if (result == CL_DEVICE_NOT_FOUND) return LOAM_OK;
    LOAM_TRY(loam_opencl_check(result, "OpenCL devices", error));
    for (cl_count i = 0; i < have && i < MOST_DEVICES; i++) {
        struct opencl_found *next = &found[*count];
        *next = (struct opencl_found){.platform = platform, .device = devices[i]};
        LOAM_TRY(loam_opencl_check(
            api->device_info(devices[i], CL_DEVICE_TYPE, sizeof next->type, &next->type, NULL),
            "OpenCL devices", error));
        (*count)++;
    }
    return LOAM_OK;
}

// Keeps the order of devices of the same rank.
static void sort(struct opencl_found *found, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        const struct opencl_found moved = found[i];
        size_t to = i;
        for (; to > 0 && rank(found[to - 1].type) > rank(moved.type); to--)
            found[to] = found[to - 1];
        found[to] = moved;
    }
}

enum loam_status loam_opencl_find(const struct loam_opencl_api *api, struct opencl_found **out, size_t *count,
                                  struct loam_error *error)
{
    struct cl_platform *platforms[MOST_PLATFORMS];
    cl_count have = 0;
    *out = NULL;
    *count = 0;
    LOAM_TRY(loam_opencl_check(api->platform_ids(MOST_PLATFORMS, platforms, &have), "OpenCL", error));
    if (have > MOST_PLATFORMS) have = MOST_PLATFORMS;
    struct opencl_found *found = loam_calloc((size_t)have * MOST_DEVICES, sizeof *found, error);
    if (found == NULL) return LOAM_ERROR_MEMORY;
    struct loam_error reason = {0};
    for (cl_count i = 0; i < have; i++) {
        struct loam_error failure = {0};
        if (add_devices(api, platforms[i], found, count, &failure) != LOAM_OK && reason.status == LOAM_OK)
            reason = failure;
    }
    // A driver that fails does not hide the devices of the others.
    if (reason.status != LOAM_OK && *count == 0) {
        free(found);
        *error = reason;
        return reason.status;
    }
    sort(found, *count);
    *out = found;
    return LOAM_OK;
}

// ---- one device ----

// A text that does not fit is cut.
static cl_result read_text(const struct loam_opencl_api *api, struct cl_device *device, cl_enum name,
                           char *text, size_t bytes)
{
    char whole[1024];
    size_t needed = 0;
    cl_result result = api->device_info(device, name, 0, NULL, &needed);
    if (result == CL_SUCCESS && needed > sizeof whole) result = CL_INVALID_VALUE;
    if (result == CL_SUCCESS) result = api->device_info(device, name, sizeof whole, whole, NULL);
    if (result != CL_SUCCESS) return result;
    whole[needed > 0 ? needed - 1 : 0] = '\0';
    (void)snprintf(text, bytes, "%.*s", (int)bytes - 1, whole);
    return CL_SUCCESS;
}

static cl_result read_truth(const struct loam_opencl_api *api, struct cl_device *device, cl_enum name,
                            bool *value)
{
    cl_truth truth = 0;
    const cl_result result = api->device_info(device, name, sizeof truth, &truth, NULL);
    *value = truth != 0;
    return result;
}

static cl_result first_failure(const cl_result *results, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (results[i] != CL_SUCCESS) return results[i];
    return CL_SUCCESS;
}

enum loam_status loam_opencl_read_properties(const struct loam_opencl_api *api, struct cl_device *device,
                                             struct opencl_properties *properties, struct loam_error *error)
{
    struct opencl_properties *p = properties;
    cl_bits rounding = 0;
    *p = (struct opencl_properties){0};
    const cl_result results[] = {
        read_text(api, device, CL_DEVICE_NAME, p->name, sizeof p->name),
        read_text(api, device, CL_DRIVER_VERSION, p->driver, sizeof p->driver),
        read_text(api, device, CL_DEVICE_VERSION, p->version, sizeof p->version),
        api->device_info(device, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof p->memory, &p->memory, NULL),
        api->device_info(device, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof p->largest_buffer, &p->largest_buffer,
                         NULL),
        api->device_info(device, CL_DEVICE_LOCAL_MEM_SIZE, sizeof p->local_memory, &p->local_memory, NULL),
        api->device_info(device, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof p->processors, &p->processors, NULL),
        api->device_info(device, CL_DEVICE_SINGLE_FP_CONFIG, sizeof rounding, &rounding, NULL),
        read_truth(api, device, CL_DEVICE_HOST_UNIFIED_MEMORY, &p->unified),
    };
    p->rounded = (rounding & CL_FP_CORRECTLY_ROUNDED_DIVIDE_SQRT) != 0;
    return loam_opencl_check(first_failure(results, sizeof results / sizeof results[0]), "OpenCL device",
                             error);
}

// A version is "OpenCL 1.2" and the driver's own text.
static bool is_old(const struct loam_opencl_api *api, struct cl_device *device)
{
    char text[64] = "";
    return read_text(api, device, CL_DEVICE_VERSION, text, sizeof text) != CL_SUCCESS ||
           strncmp(text, "OpenCL 1.0", 10) == 0 || strncmp(text, "OpenCL 1.1", 10) == 0;
}

static bool lacks_items(const struct loam_opencl_api *api, struct cl_device *device)
{
    size_t group = 0, items[16] = {0};
    return api->device_info(device, CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof group, &group, NULL) !=
               CL_SUCCESS ||
           api->device_info(device, CL_DEVICE_MAX_WORK_ITEM_SIZES, sizeof items, items, NULL) != CL_SUCCESS ||
           group < BLOCK_THREADS || items[0] < BLOCK_THREADS;
}

static bool lacks(const struct loam_opencl_api *api, struct cl_device *device, cl_enum name)
{
    bool value = false;
    return read_truth(api, device, name, &value) != CL_SUCCESS || !value;
}

const char *loam_opencl_lack(const struct loam_opencl_api *api, struct cl_device *device)
{
    cl_count bits = 0;
    if (lacks(api, device, CL_DEVICE_AVAILABLE)) return "its driver reports that it is not available";
    if (is_old(api, device)) return "its OpenCL is older than 1.2";
    if (lacks(api, device, CL_DEVICE_COMPILER_AVAILABLE)) return "its driver has no compiler";
    if (lacks(api, device, CL_DEVICE_ENDIAN_LITTLE)) return "it is big-endian";
    if (api->device_info(device, CL_DEVICE_ADDRESS_BITS, sizeof bits, &bits, NULL) != CL_SUCCESS ||
        bits != 64)
        return "its addresses do not have 64 bits";
    if (lacks_items(api, device)) return "it cannot run 256 work-items together";
    return NULL;
}

// ---- what is known before a device is used ----

bool loam_opencl_exists(int index, struct loam_error *reason)
{
    struct loam_opencl_api api;
    struct opencl_found *found = NULL;
    size_t count = 0;
    *reason = (struct loam_error){0};
    if (loam_opencl_api_open(&api, LOAM_OPENCL_LIBRARY, reason) != LOAM_OK) return false;
    const enum loam_status status = loam_opencl_find(&api, &found, &count, reason);
    free(found);
    loam_opencl_api_close(&api);
    if (status != LOAM_OK) return false;
    if (index >= 0 && (size_t)index < count) return true;
    (void)loam_fail(reason, LOAM_ERROR_UNSUPPORTED, "the OpenCL drivers have %zu devices", count);
    return false;
}

static void describe(const struct loam_opencl_api *api, struct cl_device *device,
                     struct loam_device_entry *entry)
{
    struct opencl_properties properties;
    struct loam_error unread = {0};
    if (loam_opencl_read_properties(api, device, &properties, &unread) != LOAM_OK) return;
    const size_t words = strcspn(properties.version, " ") + 1;
    const int size = (int)(words + strcspn(properties.version + words, " "));
    (void)snprintf(entry->model, sizeof entry->model, "%s", properties.name);
    (void)snprintf(entry->driver, sizeof entry->driver, "%.*s, %.*s", size < 12 ? size : 12,
                   properties.version, (int)sizeof entry->driver - 15, properties.driver);
    entry->total_memory = properties.memory;
}

void loam_opencl_describe_device(int index, struct loam_device_entry *entry)
{
    struct loam_opencl_api api;
    struct loam_error unread = {0};
    struct opencl_found *found = NULL;
    size_t count = 0;
    if (loam_opencl_api_open(&api, LOAM_OPENCL_LIBRARY, &unread) != LOAM_OK) return;
    if (loam_opencl_find(&api, &found, &count, &unread) == LOAM_OK && index >= 0 && (size_t)index < count)
        describe(&api, found[index].device, entry);
    free(found);
    loam_opencl_api_close(&api);
}
