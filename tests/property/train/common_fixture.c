// The tiny model directories of the unit tests serve the properties too.
#include "unit/train/common_fixture.c"
