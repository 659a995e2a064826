// The directory that a run leaves: adapter or model, tokenizer files, a model card, metrics.
#ifndef LOAM_RUN_OUTPUT_H
#define LOAM_RUN_OUTPUT_H

#include "io/staging.h"
#include "run/loop.h"

struct loam_output {
    const char *directory;
    struct loam_staging staging; // all files but the metrics are made in it; it holds the lock until the end
    char *metrics_path;
    char *metrics_before; // path where the metrics of an earlier run are set aside; NULL: there were none
};

// Checks that the directory can be written, makes it, and locks out other runs. It must not be the model's.
// Removes what a killed run left unfinished.
enum loam_status loam_output_open(struct loam_output *output, const struct loam_train_settings *settings,
                                  const struct loam_log *log, struct loam_error *error);
// Sets the metrics of an earlier run aside; they are restored if this run fails.
enum loam_status loam_output_begin_metrics(struct loam_output *output, struct loam_error *error);
// If the directory was removed or replaced: makes and locks it again, or takes the new one if it holds only
// what an unfinished run leaves.
enum loam_status loam_output_restore(struct loam_output *output, const struct loam_log *log,
                                     struct loam_error *error);
// Gives up restoring what was here before, because the run has saved a checkpoint.
void loam_output_claim(struct loam_output *output);
// Moves everything to its place. `full`: the result is a model, not an adapter; files of an older model are
// removed.
enum loam_status loam_output_commit(struct loam_output *output, bool full, struct loam_error *error);
// Finds what would make the commit fail, without moving anything.
enum loam_status loam_output_check(const struct loam_output *output, bool full, struct loam_error *error);
// Removes the files that were made to be moved.
enum loam_status loam_output_clear(struct loam_output *output, struct loam_error *error);
// After a failure: restores what was in the directory. Metrics of this run stay where there were none before;
// without metrics, a directory that this run made is removed.
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
