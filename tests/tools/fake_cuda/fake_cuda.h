// The driver library of the tests (libcuda.so.1): its memory is the host's and its kernels run on fibers. A test opens the
// same library and gets what follows by the function "fake_cuda". Addresses of the device cannot be read by the host.
//
// For a command as a whole, FAKE_CUDA in the environment sets fields, "capability=75 fail_symbol=cuMemAlloc_v2 fail_at=3",
// and at the end of the process FAKE_CUDA_REPORT, a file, gets what happened.
#ifndef LOAM_TESTS_FAKE_CUDA_H
#define LOAM_TESTS_FAKE_CUDA_H

#include <stdbool.h>

#include "device/gpu/cuda/driver.h"

struct fake_cuda {
    // What it reports.
    int version, devices, capability;
    size_t memory; // bytes of the device
    int shared;    // bytes of shared memory that a block can ask for
    // The call that fails: the n-th, from 1, of those to `fail_symbol`, or to any function (NULL). 0: none.
    int fail_at;
    const char *fail_symbol;
    cuda_result fail_result;
    bool fail_sticky; // every later call gives the same result, as for a lost device
    bool fail_kill;   // the process ends there, as by kill -9
    const char *skip; // the kernel whose launches do nothing, "loam_kernel_product"; NULL: none
    // What happened.
    int calls;          // that count for fail_at
    int live;           // things that were created and not destroyed
    size_t used;        // bytes of the device
    size_t peak;        // the most bytes that were used at a time
    int launches;       // of kernels, alone or in a graph
    int graph_launches; // of graphs
    int changed_nodes;
    int waits;        // for a stream
    int most_pending; // uploads that were queued at a time
};

// For the other libraries of the tests: memory of the device as the host sees it, after the uploads of the stream and as
// used by what the stream queues next; NULL: the device does not own it.
char *fake_cuda_reach(cuda_address address, struct CUstream_st *stream);

#endif
