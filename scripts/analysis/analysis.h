// Included before every file that scripts/lint analyses: loam_fail returns the status that it is given, which a
// reader of one file cannot see. Without it each failure is followed further as if it were none.
#include "base/status.h"

#define loam_fail(error, status, ...) ((void)(loam_fail)(error, status, __VA_ARGS__), (status))
