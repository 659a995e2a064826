// Runs yajl so that a failed allocation is an error. yajl does not check its allocations and would write
// through NULL, so a failed one leaves the parser by longjmp, and all of its memory is released.
#ifndef LOAM_BASE_YAJL_RUN_H
#define LOAM_BASE_YAJL_RUN_H

#include <yajl/yajl_parse.h>

#include "base/status.h"

// Works with the parser, which loam_yajl_run creates and frees. A call of yajl may not return, so the
// function must not hold resources across it. Callbacks of yajl are never interrupted.
typedef enum loam_status loam_yajl_use(void *user, yajl_handle parser);

enum loam_status loam_yajl_run(const yajl_callbacks *callbacks, loam_yajl_use *use, void *user,
                               struct loam_error *error);

#endif
