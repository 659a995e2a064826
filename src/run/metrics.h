// metrics.jsonl: one JSON object a line, under the names of transformers' Trainer; and the peak memory of
// the process.
#ifndef LOAM_RUN_METRICS_H
#define LOAM_RUN_METRICS_H

#include "io/journal.h"

struct loam_metric {
    const char *name;
    double value; // left out of the line when it is not finite
};

// The first line creates the file: a run that fails before it leaves no file, and one that fails later leaves
// its lines. A line that cannot be written is kept (io/journal.h).
struct loam_metrics {
    struct loam_journal journal;
};

enum loam_status loam_metrics_open(struct loam_metrics *metrics, const char *path, struct loam_error *error);
void loam_metrics_close(struct loam_metrics *metrics); // harmless on a zeroed one
enum loam_status loam_metrics_write(struct loam_metrics *metrics, const struct loam_metric *line,
                                    size_t count, struct loam_error *error);

// Before the first line: replaces the contents of the file with those of the file `saved`.
enum loam_status loam_metrics_resume(struct loam_metrics *metrics, const char *saved,
                                     struct loam_error *error);

int64_t loam_peak_memory_bytes(void); // peak of this process; 0: not known

#endif
