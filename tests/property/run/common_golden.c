// The goldens' models serve the properties too.
#include "parity/run/common_golden.c"
