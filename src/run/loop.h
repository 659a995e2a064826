// The training loop: steps, what is reported of them, and evaluation in between.
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

// Saves the step that is done as a checkpoint (run/checkpoint.h, which stands above the loop).
struct loam_loop_saver {
    enum loam_status (*save)(void *user, const struct loam_loop *loop, struct loam_error *error);
    void *user;
};

struct loam_loop {
    // What it works with; owned by the caller.
    const struct loam_train_settings *settings;
    const struct loam_callbacks *callbacks; // may be NULL
    struct loam_trainer *trainer;
    struct loam_order *order;
    struct loam_dataset *dataset;
    struct loam_dataset *eval_dataset; // NULL: none
    struct loam_answerer *answerer;    // NULL: evaluations are of the loss alone
    struct loam_step_buffers *buffers;
    struct loam_metrics *metrics;
    struct loam_tensorboard *board; // may have no file
    struct loam_loop_saver saver;
    struct loam_schedule schedule;
    const char *changes; // of the run's options on its way, a line each; "": none
    int64_t total_steps;
    int64_t parameters;
    int64_t trainable_parameters;

    // What has happened.
    int64_t step;       // done
    int64_t updates;    // steps that had labels and a finite loss and gradient
    int64_t skipped;    // steps whose loss or gradient was not finite
    int64_t unlabelled; // steps none of whose examples had a label
    int64_t saved;      // last step with a checkpoint in OUT; -1: none
    int64_t examples;
    int64_t tokens;
    double loss_sum;           // of the updates
    double eval_loss;          // of the last evaluation; NAN: none
    double eval_exact_match;   // of the last evaluation, in percent; NAN: no answers were generated
    double eval_f1;            // of the last evaluation, in percent; NAN: no answers were generated
    int64_t eval_step;         // of the last evaluation; -1: none
    double best_loss;          // of the best evaluation
    double best_exact_match;   // of the best evaluation, in percent
    double best_f1;            // of the best evaluation, in percent
    int64_t best_step;         // of the best evaluation; -1: none
    int64_t worse_evaluations; // since the best one
    bool diverged;             // the step after the last one done had a loss or gradient that was not finite
    double start;              // seconds, of the clock
    double seconds;            // of the whole run, once it has ended
    struct loam_step_result last;
    double learning_rate; // of the last step
    // Since the last report.
    int64_t logged_step; // of the last report; 0: none
    double logged_loss_sum;
    int64_t logged_updates;
    int64_t logged_skipped; // `skipped` at the last report
    int64_t logged_tokens;  // `tokens` at the last report
    double logged_seconds;  // time at the last report, evaluation not counted
    // Bytes of the files before the last report, which no checkpoint may contain in part; -1: no report yet.
    int64_t metrics_before_end;
    int64_t board_before_end;
    bool told_skipped; // the step before was skipped as well, and reported
    // Files that could not be written when it was last tried.
    bool metrics_fail;
    bool board_fails;
};

// Before anything has happened.
void loam_loop_begin(struct loam_loop *loop);
// Runs a tiny evaluation, so that one that cannot work fails before the first step.
enum loam_status loam_loop_rehearse(struct loam_loop *loop, struct loam_error *error);
// All steps that are left. One that is stopped by its caller, by a loss or gradient that is not finite, or by
// any other failure, saves the steps it has done. A step whose examples have no labels counts as a step but
// changes nothing; a run without any label is an error.
enum loam_status loam_loop_run(struct loam_loop *loop, struct loam_error *error);
// The last report. The eval_ fields are those of the values that the run results in.
void loam_loop_end(struct loam_loop *loop);

enum { LOAM_BEST_SIZE = 64 };
// What the best evaluation has: "an evaluation loss of 1.2345".
const char *loam_loop_best(const struct loam_loop *loop, char text[LOAM_BEST_SIZE]);

#endif
