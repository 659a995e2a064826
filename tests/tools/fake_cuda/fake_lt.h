// cuBLASLt of the tests. Its state comes from the function "fake_lt".
#ifndef LOAM_TESTS_FAKE_LT_H
#define LOAM_TESTS_FAKE_LT_H

#include <stdbool.h>

struct fake_lt {
    int live;     // things that were created and not destroyed
    int chosen;   // shapes that algorithms were asked for
    int products; // so far
    bool refuses; // to be opened
    bool fails;   // products do
};

#endif
