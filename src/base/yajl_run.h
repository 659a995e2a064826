// yajl where memory may be refused. It does not look whether it got what it has asked for and would write
// through NULL, so a refusal leaves it where it is, all of its memory is given back, and the caller is told.
#ifndef LOAM_BASE_YAJL_RUN_H
#define LOAM_BASE_YAJL_RUN_H

#include <yajl/yajl_parse.h>

#include "base/status.h"

// What is done with a parser, which is made before and freed after it. A call of yajl in here may not come
// back: nothing that has to be released is held across one. The callbacks of yajl are not interrupted.
typedef enum loam_status loam_yajl_use(void *user, yajl_handle parser);

enum loam_status loam_yajl_run(const yajl_callbacks *callbacks, loam_yajl_use *use, void *user,
                               struct loam_error *error);

#endif
