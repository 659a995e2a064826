// The tiny model directories of the unit tests serve the properties too.
#include "unit/run/common_fixture.c"
