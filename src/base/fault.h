// Pages of mapped files that cannot be read any more: the file was cut short, or its disk fails. The system
// tells it with SIGBUS, in the middle of whatever computes.
#ifndef LOAM_BASE_FAULT_H
#define LOAM_BASE_FAULT_H

#include <loam.h>
#include <stdbool.h>

// After loam_fault_handle, between (true) and (false), such a page reads as zeros and loam_fault_met() tells
// it: what was computed meanwhile is worth nothing.
void loam_fault_tolerate(bool tolerate);
bool loam_fault_met(void);

// To be called in each thread that computes: code that is made while running keeps values below its stack
// pointer, so that SIGBUS needs a stack of its own.
void loam_fault_prepare_thread(void);

#endif
