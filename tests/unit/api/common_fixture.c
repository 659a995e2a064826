// The tiny model directories of the unit tests of runs serve the handles, too.
#include "unit/run/common_fixture.c"
