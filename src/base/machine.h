// What the machine has: memory that this process may still take, and what it has taken.
#ifndef LOAM_BASE_MACHINE_H
#define LOAM_BASE_MACHINE_H

#include <stddef.h>

struct loam_machine_memory {
    size_t resident;  // bytes of this process in memory; 0: not known
    size_t peak;      // the highest value of `resident` so far; 0: not known
    size_t available; // bytes more that it may take; SIZE_MAX: not known
    const char *by;   // what sets that bound: "this machine", "its control group"
};

// From /proc and /sys below `root` ("" but in tests): the smaller of what the kernel holds to be available
// and what every control group around the process (version 1 or 2) leaves; cached files that could go count
// as free.
struct loam_machine_memory loam_machine_memory(const char *root);

#endif
