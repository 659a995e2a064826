// Fits what a command does into the memory of a device that has its own. `loam train` has a plan for that (run/plan.h).
#ifndef LOAM_SESSION_FIT_H
#define LOAM_SESSION_FIT_H

#include "session/session.h"

// Makes everything that the command makes on its session after the weights are loaded, on a loaded session that only plans
// and has no text, and destroys it again.
typedef enum loam_status loam_session_prepare(void *user, const struct loam_session *planned,
                                              struct loam_error *error);

// Chooses the layers of the session that stay in the host's memory, before its weights are loaded: those that `options`
// name, or as few as make everything fit. LOAM_ERROR_MEMORY if it does not fit. Does nothing on a device that computes in
// the host's memory. `options` are those that the session was opened with.
enum loam_status loam_session_fit(struct loam_session *session, const struct loam_session_options *options,
                                  loam_session_prepare *prepare, void *user, struct loam_error *error);

// Warns that the options, as they were given, have no effect on a device that computes in the host's memory. With --device
// cpu the check of the options tells it.
void loam_session_tell_host_memory(const struct loam_session *session, const char *asked, int64_t offload,
                                   int64_t limit);

#endif
