// The training loop: steps, reports and evaluations.
#ifndef LOAM_RUN_LOOP_H
#define LOAM_RUN_LOOP_H

#include "evaluate/answers.h"
#include "run/metrics.h"
#include "run/order.h"
#include "run/settings.h"
#include "run/tensorboard.h"
#include "train/schedule.h"
#include "train/step.h"

struct loam_loop;

// Saves the last step as a checkpoint. A callback, since run/checkpoint.h includes this header.
struct loam_loop_saver {
    enum loam_status (*save)(void *user, const struct loam_loop *loop, struct loam_error *error);
    void *user;
};

struct loam_loop {
    // Parts that the caller owns.
    const struct loam_train_settings *settings;
    const struct loam_callbacks *callbacks; // may be NULL
    struct loam_trainer *trainer;
    struct loam_order *order;
    struct loam_dataset *dataset;
    struct loam_dataset *eval_dataset; // NULL: none
    struct loam_answerer *answerer;    // NULL: evaluations compute the loss alone
    struct loam_step_buffers *buffers;
    struct loam_metrics *metrics;
    struct loam_tensorboard *board; // may have no file
    struct loam_loop_saver saver;
    struct loam_schedule schedule;
    const char *changes; // of options when the run was resumed, a line each; "": none
    int64_t total_steps;
    int64_t parameters;
    int64_t trainable_parameters;

    // State of the run.
    int64_t step;       // number of steps done
    int64_t updates;    // steps that had labels and a finite loss and gradient
    int64_t skipped;    // steps whose loss or gradient was not finite
    int64_t unlabelled; // steps none of whose examples had a label
    int64_t saved;      // step of the last checkpoint in OUT; -1: none
    int64_t examples;
    int64_t tokens;
    double loss_sum;           // of the updates
    double eval_loss;          // of the last evaluation; NAN: none
    double eval_exact_match;   // of the same, in percent; NAN: no answers were generated
    double eval_f1;            // of the same, in percent; NAN: no answers were generated
    int64_t eval_step;         // step of the last evaluation; -1: none
    double best_loss;          // of the best evaluation
    double best_exact_match;   // of the same
    double best_f1;            // of the same
    int64_t best_step;         // step of the best evaluation; -1: none
    int64_t worse_evaluations; // since best_step
    bool diverged;             // the loss or gradient after the last step was not finite
    double start;              // seconds
    double seconds;            // of the whole run, once it has ended
    struct loam_step_result last;
    double learning_rate; // of the last step
    // Since the last report.
    int64_t logged_step; // step of the last report; 0: none
    double logged_loss_sum;
    int64_t logged_updates;
    int64_t logged_skipped; // count at the last report
    int64_t logged_tokens;  // count at the last report
    double logged_seconds;  // time at the last report, without evaluations
    // Bytes of the files before the last report; a checkpoint must not hold a part of a report. -1: there was
    // no report.
    int64_t metrics_before_end;
    int64_t board_before_end;
    bool told_skipped; // the step before was skipped, and the log has it
    // The last attempt to write the file failed.
    bool metrics_fail;
    bool board_fails;
};

// Sets the state to that before the first step.
void loam_loop_begin(struct loam_loop *loop);
// Runs a tiny evaluation, so that one that cannot work fails before the first step.
enum loam_status loam_loop_rehearse(struct loam_loop *loop, struct loam_error *error);
// Runs the remaining steps. A loop that is stopped by its caller, by a loss or gradient that is not finite,
// or by any other failure, saves the steps that are done. A step whose examples have no labels counts as a
// step but changes nothing; a run without any label is an error.
enum loam_status loam_loop_run(struct loam_loop *loop, struct loam_error *error);
// Writes the last report. The eval_ fields must belong to the final values.
void loam_loop_end(struct loam_loop *loop);

enum { LOAM_BEST_SIZE = 64 };
// The measure of the best evaluation as text: "an evaluation loss of 1.2345".
const char *loam_loop_best(const struct loam_loop *loop, char text[LOAM_BEST_SIZE]);

#endif
