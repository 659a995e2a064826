// The state of the training loop, which its parts share.
#ifndef LOAM_RUN_LOOP_STATE_H
#define LOAM_RUN_LOOP_STATE_H

#include "evaluate/answers.h"
#include "run/metrics.h"
#include "run/order.h"
#include "run/scores.h"
#include "run/settings.h"
#include "run/tensorboard.h"
#include "train/schedule.h"
#include "train/step.h"

struct loam_loop;

// Saves a checkpoint after a step. A callback, because run/checkpoint.h includes the state of the loop.
struct loam_loop_saver {
    enum loam_status (*save)(void *user, const struct loam_loop *loop, struct loam_error *error);
    void *user;
};

struct loam_loop {
    // Inputs, owned by the caller.
    const struct loam_train_settings *settings;
    const struct loam_callbacks *callbacks; // may be NULL
    struct loam_trainer *trainer;
    struct loam_order *order;
    struct loam_dataset *dataset;
    struct loam_dataset *eval_dataset; // NULL: none
    struct loam_answerer *answerer;    // NULL: evaluations measure only the loss
    struct loam_step_buffers *buffers;
    // filled while the device works on a step; NULL: the examples of a step are collected before it
    struct loam_step_buffers *next;
    struct loam_metrics *metrics;
    struct loam_tensorboard *board; // writes nothing if it has no file
    struct loam_loop_saver saver;
    struct loam_schedule schedule;
    const char *changes; // a line for each resume that changed the run's options; "": none
    int64_t total_steps;
    int64_t parameters;
    int64_t trainable_parameters;

    // Progress.
    int64_t step;       // steps that are done
    int64_t updates;    // steps that had labels and a finite loss and gradient
    int64_t skipped;    // steps whose loss or gradient was not finite
    int64_t overflows;  // steps whose gradients were not finite because of the scale of the loss
    int64_t unlabelled; // steps none of whose examples had a label
    int64_t saved;      // the last step with a checkpoint in OUT; -1: none
    int64_t examples;
    int64_t tokens;
    double loss_sum;           // sum of the losses of all updates
    struct loam_scores eval;   // of the last evaluation
    int64_t eval_step;         // step of the last evaluation; -1: none
    struct loam_scores best;   // of the best evaluation
    int64_t best_step;         // step of the best evaluation; -1: none
    int64_t worse_evaluations; // evaluations since the best
    bool diverged;             // the loss or gradient of the next step was not finite
    double start;              // when the run started, seconds
    double seconds;            // duration of the run; set at its end
    struct loam_step_result last;
    double learning_rate; // of the last step
    // State of the reports of steps.
    int64_t logged_step;    // step of the last report; 0: none
    double logged_loss_sum; // sum of losses since the last report
    int64_t logged_updates; // updates since the last report
    int64_t logged_skipped; // `skipped` and `overflows` at the last report
    int64_t logged_tokens;  // `tokens` at the last report
    double logged_seconds;  // time of the last report, moved by the time of evaluations
    // Sizes of the files before the report of the end, which a checkpoint leaves out; -1: it is not written.
    int64_t metrics_before_end;
    int64_t board_before_end;
    bool logged_skip;     // the previous step was skipped too, and the log has it
    bool logged_overflow; // the same of a step whose gradients overflowed
    int64_t collected;    // the step whose examples `next` has, or failed to have; -1: none
    struct loam_error collect_failure;
    // Whether the last write to the file failed.
    bool metrics_fail;
    bool board_fails;
};

#endif
