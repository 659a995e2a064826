// Included before every file that scripts/lint analyses. It tells the analyser that loam_fail returns its
// status. Without that, the analyser follows each failure as if it had been a success.
#include "base/status.h"

#define loam_fail(error, status, ...) ((void)(loam_fail)(error, status, __VA_ARGS__), (status))
