// The directory that a run leaves: adapter or model, tokenizer files, a model card, metrics.
#ifndef LOAM_RUN_OUTPUT_H
#define LOAM_RUN_OUTPUT_H

#include "io/staging.h"
#include "run/loop.h"

struct loam_output {
    const char *directory;
    struct loam_staging staging; // where all is made but the metrics; holds the lock until the end
    char *metrics_path;
    char *metrics_before; // where those of a run that was here before are meanwhile; NULL: there were none
};

// Checks that the directory can be written, makes it, and keeps other runs out of it. `model` must be another
// one. What a run that was killed has left half done goes.
enum loam_status loam_output_open(struct loam_output *output, const struct loam_train_settings *settings,
                                  const struct loam_log *log, struct loam_error *error);
// The metrics of a run that was here before are set aside: they come back if this one fails.
enum loam_status loam_output_begin_metrics(struct loam_output *output, struct loam_error *error);
// Where the directory is not there any more, or another one is in its place: makes it again and locks it, or
// takes that one when nothing is in it but what a run leaves that had not come to its end.
enum loam_status loam_output_restore(struct loam_output *output, const struct loam_log *log,
                                     struct loam_error *error);
// What was here before is now replaced, whatever becomes of the run: it has saved a checkpoint.
void loam_output_claim(struct loam_output *output);
// Moves everything to its place. `full`: it is a model, not an adapter, and files of an older one go.
enum loam_status loam_output_commit(struct loam_output *output, bool full, struct loam_error *error);
// Finds what would make that fail, without moving anything, and removes what was made to be moved.
enum loam_status loam_output_check(const struct loam_output *output, bool full, struct loam_error *error);
enum loam_status loam_output_clear(struct loam_output *output, struct loam_error *error);
// After a failure: what was in the directory is as it was. Where there were no metrics those of this run
// stay; without them a directory that it made goes.
void loam_output_abandon(struct loam_output *output);
void loam_output_deinit(struct loam_output *output);

// Copies the tokenizer's files, and with `full` the model's configuration, as far as the model directory has
// them.
enum loam_status loam_output_copy_files(const struct loam_output *output, const char *model, bool full,
                                        struct loam_error *error);
// run.yaml: the run as it was asked for and resolved. `text` NULL: none.
enum loam_status loam_output_write_record(const struct loam_output *output, const char *text,
                                          struct loam_error *error);
// The settings of the run as a Markdown table, as README.md has it.
enum loam_status loam_output_format_settings(struct loam_bytes *text, const struct loam_loop *loop,
                                             const struct loam_adapter *adapter, struct loam_error *error);
// README.md. `adapter` is NULL for --method full.
enum loam_status loam_output_write_card(const struct loam_output *output, const struct loam_loop *loop,
                                        const struct loam_adapter *adapter, struct loam_error *error);

#endif
