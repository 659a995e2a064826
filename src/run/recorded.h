// The options that shape the mathematics of a run, as a checkpoint records them: a run that goes on has to
// have the same, or its result is not that of any one command.
#ifndef LOAM_RUN_RECORDED_H
#define LOAM_RUN_RECORDED_H

#include "base/json.h"
#include "run/job.h"

// Of an opened job: an object of option names and their values, as text, in force after defaults were
// resolved; for a file or a model {"path", "sha256"}, of which the second alone counts. Released with
// json_decref().
enum loam_status loam_recorded_options(json_t **out, const struct loam_train_job *job,
                                       struct loam_error *error);
// LOAM_ERROR_ARGUMENT naming each option that differs with its old and its new value. `checkpoint` is the
// directory that `recorded` comes from. With `allow` they are logged instead. `changes`, which is empty, gets
// them as one line.
enum loam_status loam_recorded_compare(const json_t *recorded, const json_t *options, const char *checkpoint,
                                       bool allow, const struct loam_log *log, struct loam_bytes *changes,
                                       struct loam_error *error);

#endif
