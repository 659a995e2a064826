// The options that shape the mathematics of a run, as a checkpoint records them. A resumed run needs the same
// options, so that its result is that of a single command.
#ifndef LOAM_RUN_RECORDED_H
#define LOAM_RUN_RECORDED_H

#include "base/json.h"
#include "run/job.h"

// Makes an object of the opened job's option names and their resolved values, as text. The value of a file or
// a model is {"path", "sha256"}, of which only "sha256" is compared. Released with json_decref().
enum loam_status loam_recorded_options(json_t **out, const struct loam_train_job *job,
                                       struct loam_error *error);
// Compares options. If some differ, fails with LOAM_ERROR_ARGUMENT, naming each with its old and new value;
// with `allow` they are logged instead. `checkpoint` is the directory of `recorded`. `changes`, empty before
// the call, gets the differences as one line.
enum loam_status loam_recorded_compare(const json_t *recorded, const json_t *options, const char *checkpoint,
                                       bool allow, const struct loam_log *log, struct loam_bytes *changes,
                                       struct loam_error *error);

#endif
