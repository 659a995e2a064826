// For tests that run once at each level of instructions: ctest sets LOAM_ISA.
#ifndef LOAM_TESTS_ISA_H
#define LOAM_TESTS_ISA_H

#include "test.h"

#include "device/device.h"

enum { TEST_SKIPPED = 77 };

// TEST_SKIPPED, with the reason printed, where the processor lacks the level that LOAM_ISA names; else 0.
static inline int test_level_is_missing(void)
{
    struct loam_error error = {0};
    struct loam_device *device = NULL;
    enum loam_status status = loam_device_create(&device, "cpu", 1, &error);
    if (status == LOAM_ERROR_UNSUPPORTED) {
        printf("%s\n", error.message);
        return TEST_SKIPPED;
    }
    if (status != LOAM_OK) {
        printf("no CPU device: %s\n", error.message);
        return 1;
    }
    const char *name = getenv("LOAM_ISA");
    const bool forced = name == NULL || strcmp(name, device->isa) == 0;
    if (!forced) printf("the level is %s, and not %s\n", device->isa, name);
    loam_device_destroy(device);
    return forced ? 0 : 1;
}

#endif
