// The reports of the training loop: events for the caller, lines of metrics.jsonl and of the event file, log lines.
#ifndef LOAM_RUN_LOOP_REPORT_H
#define LOAM_RUN_LOOP_REPORT_H

#include "run/loop_state.h"

// Where the loop's log lines go; NULL: nowhere.
const struct loam_log *loam_loop_log(const struct loam_loop *loop);

// Reports fail only with LOAM_ERROR_STOPPED, when the caller asks to stop; the report is made in full before that. A
// file that cannot be written is logged, and training goes on.
enum loam_status loam_loop_report_start(const struct loam_loop *loop, struct loam_error *error);
// Reports a step. `updated` is whether it had labels and its loss and gradient were finite.
enum loam_status loam_loop_report_progress(const struct loam_loop *loop, bool updated,
                                           struct loam_error *error);
// Reports the steps since the last such report, and records them.
enum loam_status loam_loop_report_step(struct loam_loop *loop, struct loam_error *error);
// Reports and records the evaluation whose scores are in loop->eval.
enum loam_status loam_loop_report_evaluation(struct loam_loop *loop, const struct loam_evaluation *evaluation,
                                             struct loam_error *error);
// Reports the end of the run. loop->eval must describe the values that the run saves.
void loam_loop_report_end(struct loam_loop *loop);
// Logs how many steps made no update, and why.
void loam_loop_log_skipped(const struct loam_loop *loop);

#endif
