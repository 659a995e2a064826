// The property tests use the tiny model directories of the unit tests.
#include "unit/run/common_fixture.c"
