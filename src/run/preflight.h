// Preflight of a training run (--preflight).
#ifndef LOAM_RUN_PREFLIGHT_H
#define LOAM_RUN_PREFLIGHT_H

#include "run/job.h"
#include "session/preflight.h"

// Looks at a sample of the opened job's records and logs the findings. With LOAM_PREFLIGHT_STRICT a mistake is an
// error.
enum loam_status loam_train_preflight(const struct loam_train_job *job, struct loam_preflight *preflight,
                                      struct loam_error *error);
// Checks the weights of the loaded job in the same way. A run that trains the embedding skips it.
enum loam_status loam_train_preflight_loaded(const struct loam_train_job *job,
                                             struct loam_preflight *preflight, struct loam_error *error);

#endif
