// metrics.jsonl: one JSON object a line, under the names of transformers' Trainer; and what a process says of
// itself.
#ifndef LOAM_TRAIN_METRICS_H
#define LOAM_TRAIN_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct loam_metric {
    const char *name;
    double value; // left out of the line when it is not finite
};

// The file is made by the first line and each line is on disk at once: a run that fails before it leaves
// nothing, and one that fails later leaves what it knew. Nothing here takes heap memory.
struct loam_metrics {
    const char *path; // owned by the caller
    int descriptor;   // -1: not made yet
};

void loam_metrics_init(struct loam_metrics *metrics, const char *path);
void loam_metrics_deinit(struct loam_metrics *metrics);
enum loam_status loam_metrics_write(struct loam_metrics *metrics, const struct loam_metric *line,
                                    size_t count, struct loam_error *error);

// Before the first line: those in the file `saved` are what the file begins with, whatever it holds now.
enum loam_status loam_metrics_resume(struct loam_metrics *metrics, const char *saved,
                                     struct loam_error *error);

int64_t loam_peak_memory_bytes(void); // the most that this process had in memory; 0: not known

#endif
