// Describes the machine for `loam --version --verbose`.
#include "device/device.h"

enum loam_status loam_machine_describe(struct loam_machine *machine, struct loam_error *error)
{
    LOAM_ENSURE_ERROR(error);
    LOAM_TRY(loam_require(machine, "the place for a machine", error));
    struct loam_device *device;
    *machine = (struct loam_machine){0};
    LOAM_TRY(loam_device_create(&device, "cpu", 0, error));
    device->describe(device, machine);
    loam_device_destroy(device);
    return LOAM_OK;
}
