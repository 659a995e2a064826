// What a command reports while it works, and whether its caller wants it to go on.
#ifndef LOAM_BASE_EVENT_H
#define LOAM_BASE_EVENT_H

#include "base/status.h"

// An event whose fields are all "not there": NAN and 0.
struct loam_event loam_event_make(enum loam_event_kind kind);
// Passes it on; `callbacks` may be NULL. LOAM_ERROR_STOPPED: the caller wants no more.
enum loam_status loam_event_send(const struct loam_callbacks *callbacks, const struct loam_event *event,
                                 struct loam_error *error);
// The same for a LOAM_EVENT_PROGRESS that has no more to say than how much is done.
enum loam_status loam_event_progress(const struct loam_callbacks *callbacks, enum loam_activity activity,
                                     int64_t done, int64_t total, struct loam_error *error);

#endif
