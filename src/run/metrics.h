// metrics.jsonl: one JSON object a line, with the names of transformers' Trainer. Also the peak memory of the
// process.
#ifndef LOAM_RUN_METRICS_H
#define LOAM_RUN_METRICS_H

#include "io/journal.h"

struct loam_metric {
    const char *name;
    double value; // left out of the line if it is not finite
};

// The first line creates the file, so that a run that fails earlier leaves no file. A line that cannot be
// written stays in memory and is tried again (io/journal.h).
struct loam_metrics {
    struct loam_journal journal;
};

enum loam_status loam_metrics_open(struct loam_metrics *metrics, const char *path, struct loam_error *error);
void loam_metrics_close(struct loam_metrics *metrics); // harmless on a zeroed one
enum loam_status loam_metrics_write(struct loam_metrics *metrics, const struct loam_metric *line,
                                    size_t count, struct loam_error *error);

// Replaces the contents of the file by those of the file `saved`. Called before the first line.
enum loam_status loam_metrics_resume(struct loam_metrics *metrics, const char *saved,
                                     struct loam_error *error);

// Returns the peak resident memory of this process; 0: not known.
int64_t loam_peak_memory_bytes(void);

#endif
