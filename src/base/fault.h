// Unreadable pages of mapped files. The system raises SIGBUS in the thread that reads such a page, after the
// file was shortened or when its disk fails.
#ifndef LOAM_BASE_FAULT_H
#define LOAM_BASE_FAULT_H

#include <loam.h>
#include <stdbool.h>

// Begins (true) or ends (false) a section in which an unreadable page reads as zeros. Requires
// loam_fault_handle. A caller must discard what it computed in the section if loam_fault_occurred().
void loam_fault_tolerate(bool tolerate);
bool loam_fault_occurred(void);
// Records a fault that raised no signal: the file ends within a page, whose rest reads as zeros.
void loam_fault_record(void);

// Gives the calling thread a separate stack for SIGBUS. Every thread that computes needs one, because
// generated code may keep values below its stack pointer.
void loam_fault_prepare_thread(void);

#endif
