// Preflight: mistakes in data, template and model that training would learn in silence. A sample of the
// records is read as it will be trained on. Each check is a row of a table (data/preflight_checks.h).
#ifndef LOAM_DATA_PREFLIGHT_H
#define LOAM_DATA_PREFLIGHT_H

#include "data/preflight_level.h"
#include "data/preflight_types.h"
#include "model/model.h"

void loam_preflight_deinit(struct loam_preflight *preflight);

// Makes the checks that need no weights. Reading does not count records (loam_dataset_counts). At most 256
// records are examined: the first ones and random ones.
enum loam_status loam_preflight_run(struct loam_preflight *preflight,
                                    const struct loam_preflight_input *input, struct loam_error *error);
// Makes the checks of a loaded model, with the tokens that the records of loam_preflight_run use.
enum loam_status loam_preflight_run_loaded(struct loam_preflight *preflight,
                                           const struct loam_preflight_input *input,
                                           const struct loam_model *model, struct loam_error *error);

// Fails if there are mistakes. The message names their checks.
enum loam_status loam_preflight_require(const struct loam_preflight *preflight, struct loam_error *error);
const char *loam_severity_name(enum loam_severity severity); // "doubt", "mistake"

#endif
