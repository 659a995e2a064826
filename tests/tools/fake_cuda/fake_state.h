// What the files of the driver share.
#ifndef LOAM_TESTS_FAKE_STATE_H
#define LOAM_TESTS_FAKE_STATE_H

#include "fake_cuda.h"

#define EXPORT __attribute__((visibility("default")))
#define CUDA_CALL(member, symbol, parameters) EXPORT cuda_result symbol parameters;
#include "device/gpu/cuda/driver_list.def"
#undef CUDA_CALL
EXPORT struct fake_cuda *fake_cuda(void);

enum { FAKE_STREAMS = 8 }; // streams whose launches are told apart

struct CUstream_st {
    int number;
    long launches;
    long seen[FAKE_STREAMS]; // launches of each stream that were waited for
};

extern struct fake_cuda fake_state;
extern cuda_result fake_lost; // what every call gives

// Begins a call: counts it, and gives its failure.
cuda_result fake_begin(const char *symbol, bool needs_context);
#define BEGIN(needs_context)                                                                                 \
    do {                                                                                                     \
        const cuda_result begun_ = fake_begin(__func__, needs_context);                                      \
        if (begun_ != CUDA_SUCCESS) return begun_;                                                           \
    } while (0)

// Zeroed memory of the host for a thing that counts as live until it is destroyed.
cuda_result fake_create(void **out, size_t bytes);
void fake_destroy(void *created);

// Memory of the device as the host sees it; NULL: the device does not own it.
char *fake_find(cuda_address address, size_t bytes);
// Makes the uploads of a stream that are queued take place.
void fake_run_uploads(const struct CUstream_st *stream);
// Notes that the last launch of the stream has a buffer there.
void fake_note_use(const char *memory, const struct CUstream_st *stream);

#endif
