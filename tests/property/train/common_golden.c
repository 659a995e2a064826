// The goldens' models serve the properties too.
#include "parity/train/common_golden.c"
