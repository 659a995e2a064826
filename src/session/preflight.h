// Preflight over the data sets of a session.
#ifndef LOAM_SESSION_PREFLIGHT_H
#define LOAM_SESSION_PREFLIGHT_H

#include "data/preflight.h"
#include "session/session.h"

// The data sets of a run.
struct loam_session_sets {
    struct loam_dataset *dataset;
    struct loam_dataset *eval_dataset; // NULL: none
};

// Makes the checks that need no weights.
enum loam_status loam_session_preflight(const struct loam_session *session,
                                        const struct loam_session_sets *sets,
                                        struct loam_preflight *preflight, struct loam_error *error);
// Makes the checks of the loaded model. Called after loam_session_preflight.
enum loam_status loam_session_preflight_loaded(const struct loam_session *session,
                                               const struct loam_session_sets *sets,
                                               struct loam_preflight *preflight, struct loam_error *error);

// Logs the findings from number `first` on as warnings.
void loam_session_log_findings(const struct loam_session *session, const struct loam_preflight *preflight,
                               size_t first);

#endif
