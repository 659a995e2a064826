// The property tests use the models of the goldens.
#include "parity/run/common_golden.c"
