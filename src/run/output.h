// The output directory of a run: adapter or model, tokenizer files, model card, metrics.
#ifndef LOAM_RUN_OUTPUT_H
#define LOAM_RUN_OUTPUT_H

#include "io/staging.h"
#include "run/loop.h"

struct loam_output {
    const char *directory;
    struct loam_staging staging; // the directory of unfinished files; holds the lock until the end
    char *metrics_path;
    char *metrics_before; // where the metrics of an earlier run are set aside; NULL: there were none
};

// Checks that the directory can be written, makes it, and locks it. It must not be the model's directory.
// Unfinished files of a killed run are removed.
enum loam_status loam_output_open(struct loam_output *output, const struct loam_train_settings *settings,
                                  const struct loam_log *log, struct loam_error *error);
// Sets the metrics of an earlier run in this directory aside. They are put back if this run fails.
enum loam_status loam_output_begin_metrics(struct loam_output *output, struct loam_error *error);
// If the directory was removed or replaced, makes it again and locks it. A directory in its place is accepted
// only if it holds nothing but the files of an unfinished run.
enum loam_status loam_output_restore(struct loam_output *output, const struct loam_log *log,
                                     struct loam_error *error);
// Removes the metrics that were set aside. Called after the first checkpoint: the earlier run is replaced.
void loam_output_claim(struct loam_output *output);
// Moves all finished files to their places. `full` is for a model, whose older shards are removed.
enum loam_status loam_output_commit(struct loam_output *output, bool full, struct loam_error *error);
// Fails if loam_output_commit would fail. Moves nothing.
enum loam_status loam_output_check(const struct loam_output *output, bool full, struct loam_error *error);
// Removes the files that were made for loam_output_commit.
enum loam_status loam_output_clear(struct loam_output *output, struct loam_error *error);
// Restores the directory after a failure. Metrics of an earlier run are put back; without them, the metrics
// of this run stay. A directory that this run made is removed if it is empty.
void loam_output_abandon(struct loam_output *output);
void loam_output_deinit(struct loam_output *output);

// Copies the tokenizer's files that the model directory has. With `full`, copies the configuration too.
enum loam_status loam_output_copy_files(const struct loam_output *output, const char *model, bool full,
                                        struct loam_error *error);
// Writes run.yaml, the resolved options of the run. If `text` is NULL, writes nothing.
enum loam_status loam_output_write_record(const struct loam_output *output, const char *text,
                                          struct loam_error *error);
// Appends the settings of the run as the Markdown table of README.md.
enum loam_status loam_output_format_settings(struct loam_bytes *text, const struct loam_loop *loop,
                                             const struct loam_adapter *adapter, struct loam_error *error);
// Writes README.md, the model card. `adapter` is NULL for --method full.
enum loam_status loam_output_write_card(const struct loam_output *output, const struct loam_loop *loop,
                                        const struct loam_adapter *adapter, struct loam_error *error);

#endif
