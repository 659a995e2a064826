#include "device/gpu/cuda/driver.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *symbol;
    size_t offset; // of the member
} calls[] = {
#define CUDA_CALL(member, symbol, parameters) {#symbol, offsetof(struct loam_cuda_driver, member)},
#include "device/gpu/cuda/driver_list.def"
#undef CUDA_CALL
};

// What a user can do about a result, where the driver's own text does not tell.
static const struct {
    cuda_result result;
    const char *meaning;
} meanings[] = {
    {CUDA_ERROR_NO_DEVICE,
     "the driver finds no GPU: nvidia-smi must list it, and CUDA_VISIBLE_DEVICES must not hide it"},
    {CUDA_ERROR_STUB_LIBRARY, "libcuda.so.1 is the stub of a toolkit: install the NVIDIA driver"},
    {CUDA_ERROR_CALL_REQUIRES_NEWER_DRIVER, "the GPU needs a newer NVIDIA driver"},
    {CUDA_ERROR_DEVICE_UNAVAILABLE, "another process uses the GPU alone"},
    {CUDA_ERROR_NO_BINARY_FOR_GPU, "the kernels were not compiled for this GPU"},
    {CUDA_ERROR_ECC_UNCORRECTABLE, "the GPU's memory has an error that it cannot correct"},
    {CUDA_ERROR_INVALID_IMAGE, "the kernels' code is of a newer CUDA than the NVIDIA driver"},
    {CUDA_ERROR_ILLEGAL_ADDRESS,
     "a kernel used memory that it does not own; the device is lost to this process"},
    {CUDA_ERROR_LAUNCH_TIMEOUT,
     "a kernel ran longer than the display allows; the device is lost to this process"},
    {CUDA_ERROR_LAUNCH_FAILED, "a kernel failed; the device is lost to this process"},
    {CUDA_ERROR_SYSTEM_DRIVER_MISMATCH,
     "the driver and its kernel module have different versions: restart the machine"},
    {CUDA_ERROR_UNKNOWN, "the driver cannot use the GPU: nvidia-smi and the system's log tell more"},
};

void loam_cuda_describe(const struct loam_cuda_driver *driver, cuda_result result, char *text, size_t bytes)
{
    const char *name = NULL, *meaning = NULL;
    (void)driver->error_name(result, &name);
    (void)driver->error_string(result, &meaning);
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++)
        if (meanings[i].result == result) meaning = meanings[i].meaning;
    (void)snprintf(text, bytes, "%s (%u)%s%s", name != NULL ? name : "CUDA error", result,
                   meaning != NULL ? ": " : "", meaning != NULL ? meaning : "");
}

enum loam_status loam_cuda_check(const struct loam_cuda_driver *driver, cuda_result result, const char *what,
                                 struct loam_error *error)
{
    if (result == CUDA_SUCCESS) return LOAM_OK;
    char text[256];
    loam_cuda_describe(driver, result, text, sizeof text);
    return loam_fail(error, result == CUDA_ERROR_OUT_OF_MEMORY ? LOAM_ERROR_MEMORY : LOAM_ERROR_UNSUPPORTED,
                     "%s: %s", what, text);
}

static enum loam_status find_functions(struct loam_cuda_driver *driver, const char *library,
                                       struct loam_error *error)
{
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        void *const function = dlsym(driver->library, calls[i].symbol);
        if (function == NULL)
            return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                             "%s has no function %s: install an NVIDIA driver for CUDA %d.%d or later",
                             library, calls[i].symbol, LOAM_CUDA_OLDEST / 1000, LOAM_CUDA_OLDEST % 1000 / 10);
        // ISO C has no conversion from an object's address to a function's.
        memcpy((char *)driver + calls[i].offset, &function, sizeof function);
    }
    return LOAM_OK;
}

static enum loam_status start(struct loam_cuda_driver *driver, struct loam_error *error)
{
    LOAM_TRY(loam_cuda_check(driver, driver->driver_version(&driver->version), "CUDA driver", error));
    if (driver->version < LOAM_CUDA_OLDEST)
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED,
                         "the NVIDIA driver supports CUDA %d.%d; install one for CUDA %d.%d or later",
                         driver->version / 1000, driver->version % 1000 / 10, LOAM_CUDA_OLDEST / 1000,
                         LOAM_CUDA_OLDEST % 1000 / 10);
    const cuda_result result = driver->init(0);
    driver->finds_nothing = result == CUDA_ERROR_NO_DEVICE || result == CUDA_ERROR_STUB_LIBRARY;
    return loam_cuda_check(driver, result, "CUDA driver", error);
}

enum loam_status loam_cuda_driver_open(struct loam_cuda_driver *driver, const char *library,
                                       struct loam_error *error)
{
    // The driver keeps threads and state of its own, so it stays in the process.
    *driver = (struct loam_cuda_driver){.library = dlopen(library, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE)};
    if (driver->library == NULL) {
        // The reason has a path where there is a file, which cannot be loaded.
        const char *reason = dlerror();
        const char *at = reason != NULL ? strstr(reason, library) : NULL;
        driver->finds_nothing = at == NULL || at == reason || at[-1] != '/';
        return loam_fail(error, LOAM_ERROR_UNSUPPORTED, "no CUDA: %s; install the NVIDIA driver",
                         reason != NULL ? reason : library);
    }
    enum loam_status status = find_functions(driver, library, error);
    if (status == LOAM_OK) status = start(driver, error);
    if (status != LOAM_OK) loam_cuda_driver_close(driver);
    return status;
}

void loam_cuda_driver_close(struct loam_cuda_driver *driver)
{
    if (driver->library != NULL) (void)dlclose(driver->library);
    *driver = (struct loam_cuda_driver){.finds_nothing = driver->finds_nothing};
}
