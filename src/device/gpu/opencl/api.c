#include "device/gpu/opencl/api.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *symbol;
    size_t offset; // of the member
} calls[] = {
#define CL_CALL(member, result, symbol, parameters, arguments)                                               \
    {#symbol, offsetof(struct loam_opencl_api, member)},
#include "device/gpu/opencl/api_list.def"
#undef CL_CALL
};

static const struct {
    cl_result result;
    const char *name, *meaning;
} results[] = {
#define CL_RESULT(name, value, meaning) {value, #name, meaning},
#include "device/gpu/opencl/api_values.def"
};

static enum loam_status find_functions(struct loam_opencl_api *api, const char *library,
                                       struct loam_error *error)
{
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        void *const function = dlsym(api->library, calls[i].symbol);
        if (function == NULL)
            return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                             "%s has no function %s: install a loader for OpenCL 1.2 or later", library,
                             calls[i].symbol);
        // ISO C has no conversion from an object's address to a function's.
        memcpy((char *)api + calls[i].offset, &function, sizeof function);
    }
    return LOAM_OK;
}

enum loam_status loam_opencl_api_open(struct loam_opencl_api *api, const char *library,
                                      struct loam_error *error)
{
    *api = (struct loam_opencl_api){.library = dlopen(library, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE)};
    if (api->library == NULL) {
        const char *reason = dlerror();
        return loam_fail(
            error, LOAM_ERROR_UNSUPPORTED,
            "no OpenCL: %s; install a loader (Debian: ocl-icd-libopencl1) and the device's driver",
            reason != NULL ? reason : library);
    }
    const enum loam_status status = find_functions(api, library, error);
    if (status != LOAM_OK) loam_opencl_api_close(api);
    return status;
}

void loam_opencl_api_close(struct loam_opencl_api *api)
{
    if (api->library != NULL) (void)dlclose(api->library);
    *api = (struct loam_opencl_api){0};
}

void loam_opencl_describe(cl_result result, char *text, size_t bytes)
{
    const char *name = "an OpenCL error", *meaning = NULL;
    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++) {
        if (results[i].result != result) continue;
        name = results[i].name;
        meaning = results[i].meaning;
    }
    (void)snprintf(text, bytes, "%s (%d)%s%s", name, result, meaning != NULL ? ": " : "",
                   meaning != NULL ? meaning : "");
}

bool loam_opencl_lacks_memory(cl_result result)
{
    return result == CL_MEM_OBJECT_ALLOCATION_FAILURE || result == CL_OUT_OF_HOST_MEMORY ||
           result == CL_OUT_OF_RESOURCES || result == CL_INVALID_BUFFER_SIZE;
}

enum loam_status loam_opencl_check(cl_result result, const char *what, struct loam_error *error)
{
    if (result == CL_SUCCESS) return LOAM_OK;
    char text[256];
    loam_opencl_describe(result, text, sizeof text);
    return loam_fail(error, loam_opencl_lacks_memory(result) ? LOAM_ERROR_MEMORY : LOAM_ERROR_UNSUPPORTED,
                     "%s: %s", what, text);
}
