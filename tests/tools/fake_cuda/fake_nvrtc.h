// The kernels' compiler of the tests (libnvrtc.so.12), for the driver library of the tests. Its state comes from the
// function "fake_nvrtc".
#ifndef LOAM_TESTS_FAKE_NVRTC_H
#define LOAM_TESTS_FAKE_NVRTC_H

struct fake_nvrtc {
    int compiled;   // programs so far
    int newest;     // compute capability that it compiles for
    int live;       // programs that were not destroyed
    int minor;      // 12.minor
    const char *no; // the function that fails; NULL: none
};

#endif
