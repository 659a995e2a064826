// The directory that a run leaves: adapter or model, tokenizer files, a model card, metrics.
#ifndef LOAM_RUN_OUTPUT_H
#define LOAM_RUN_OUTPUT_H

#include "io/staging.h"
#include "run/loop.h"

struct loam_output {
    const char *directory;
    struct loam_staging staging; // holds every file but the metrics until the end, and the lock
    char *metrics_path;
    char *metrics_before; // path of the metrics of an earlier run, set aside; NULL: there are none
};

// Checks that the directory can be written, makes it, and locks it against other runs. It must not be the
// directory of the model. Removes what a killed run left unfinished.
enum loam_status loam_output_open(struct loam_output *output, const struct loam_train_settings *settings,
                                  const struct loam_log *log, struct loam_error *error);
// Sets the metrics of an earlier run aside; they are restored if this run fails.
enum loam_status loam_output_begin_metrics(struct loam_output *output, struct loam_error *error);
// Where the directory was removed, makes it again and locks it. Where another directory took its place, uses
// that one if it has nothing but files of an unfinished run.
enum loam_status loam_output_restore(struct loam_output *output, const struct loam_log *log,
                                     struct loam_error *error);
// From here on the earlier contents count as replaced, even if the run fails: it has saved a checkpoint.
void loam_output_claim(struct loam_output *output);
// Moves every file to its place. `full`: the result is a model, not an adapter; files of an older model are
// removed.
enum loam_status loam_output_commit(struct loam_output *output, bool full, struct loam_error *error);
// Finds what would make loam_output_commit fail, without moving a file. loam_output_clear empties the work
// directory.
enum loam_status loam_output_check(const struct loam_output *output, bool full, struct loam_error *error);
enum loam_status loam_output_clear(struct loam_output *output, struct loam_error *error);
// After a failure: restores the earlier contents of the directory. Where there were no metrics before, those
// of this run stay; without them a directory that the run made is removed.
void loam_output_abandon(struct loam_output *output);
void loam_output_deinit(struct loam_output *output);

// Copies the tokenizer's files, and with `full` the model's configuration. Files that the model's directory
// does not have are left out.
enum loam_status loam_output_copy_files(const struct loam_output *output, const char *model, bool full,
                                        struct loam_error *error);
// Writes run.yaml, the resolved options of the run. `text` NULL: writes no file.
enum loam_status loam_output_write_record(const struct loam_output *output, const char *text,
                                          struct loam_error *error);
// Appends the settings of the run as the Markdown table of README.md.
enum loam_status loam_output_format_settings(struct loam_bytes *text, const struct loam_loop *loop,
                                             const struct loam_adapter *adapter, struct loam_error *error);
// Writes README.md. `adapter` is NULL for --method full.
enum loam_status loam_output_write_card(const struct loam_output *output, const struct loam_loop *loop,
                                        const struct loam_adapter *adapter, struct loam_error *error);

#endif
