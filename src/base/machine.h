// The memory that this process uses, and the memory that it may still allocate.
#ifndef LOAM_BASE_MACHINE_H
#define LOAM_BASE_MACHINE_H

#include <stddef.h>

struct loam_machine_memory {
    size_t resident;  // bytes of this process in memory; 0: unknown
    size_t peak;      // the highest value of `resident` so far; 0: unknown
    size_t available; // bytes that it may still allocate; SIZE_MAX: unknown
    const char *by;   // what sets the bound of `available`: "this machine" or "its control group"
};

// Reads /proc and /sys below `root`, which is "" except in tests. `available` is the kernel's estimate or
// the rest of the tightest control group (version 1 or 2) around the process, whichever is less. Cached
// files of a control group count as free.
struct loam_machine_memory loam_machine_measure_memory(const char *root);

#endif
