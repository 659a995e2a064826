// Events that a command sends while it works. The caller's answer tells whether to continue.
#ifndef LOAM_BASE_EVENT_H
#define LOAM_BASE_EVENT_H

#include "base/status.h"

// An event with empty fields: NAN for real numbers, 0 for whole ones.
struct loam_event loam_event_make(enum loam_event_kind kind);
// Passes the event to the caller. `callbacks` may be NULL. LOAM_ERROR_STOPPED: the caller wants to stop.
enum loam_status loam_event_send(const struct loam_callbacks *callbacks, const struct loam_event *event,
                                 struct loam_error *error);
// Sends a LOAM_EVENT_PROGRESS with the amount that is done.
enum loam_status loam_event_progress(const struct loam_callbacks *callbacks, enum loam_activity activity,
                                     int64_t done, int64_t total, struct loam_error *error);

#endif
