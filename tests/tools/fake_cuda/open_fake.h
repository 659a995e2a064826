// What a test gets from a library of this directory.
#ifndef LOAM_TESTS_OPEN_FAKE_H
#define LOAM_TESTS_OPEN_FAKE_H

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

// Opens a library, "libcuda.so.1", and gives what its function, "fake_cuda", returns; NULL: it is missing.
static inline void *open_fake(const char *library, const char *function)
{
    void *(*get)(void);
    void *const handle = dlopen(library, RTLD_NOW);
    void *const symbol = handle != NULL ? dlsym(handle, function) : NULL;
    if (symbol == NULL) return NULL;
    memcpy(&get, &symbol, sizeof get);
    return get();
}

#endif
