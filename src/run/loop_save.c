#include "run/loop_save.h"

#include <math.h>
#include <stdio.h>

enum loam_status loam_loop_save(struct loam_loop *loop, struct loam_error *error)
{
    if (loop->saver.save == NULL) return LOAM_OK;
    LOAM_TRY(loop->saver.save(loop->saver.user, loop, error));
    loop->saved = loop->step;
    return LOAM_OK;
}

enum loam_status loam_loop_save_stopped(struct loam_loop *loop, struct loam_error *error)
{
    struct loam_error failure = {0};
    char stopped[64];
    if (loop->step == 0) return LOAM_ERROR_STOPPED;
    snprintf(stopped, sizeof stopped, "stopped at step %lld of %lld", (long long)loop->step,
             (long long)loop->total_steps);
    if (loop->saved != loop->step && loam_loop_save(loop, &failure) != LOAM_OK)
        return loam_fail(error, LOAM_ERROR_STOPPED, "%s, and not saved: %s", stopped, failure.message);
    if (loop->saver.save == NULL) return loam_fail(error, LOAM_ERROR_STOPPED, "%s", stopped);
    return loam_fail(error, LOAM_ERROR_STOPPED,
                     "%s, saved in %s/checkpoint-%lld; --resume goes on from there", stopped,
                     loop->settings->out, (long long)loop->step);
}

// Saves the values only if all are finite. --resume takes the newest checkpoint, which must be usable.
static enum loam_status save_finite(struct loam_loop *loop, struct loam_error *error)
{
    double norm = 0;
    LOAM_TRY(loam_optimiser_value_norm(&loop->trainer->optimiser, &norm, error));
    if (!isfinite(norm)) return loam_fail(error, LOAM_ERROR_NUMERIC, "not all trained values are finite");
    return loop->saved == loop->step ? LOAM_OK : loam_loop_save(loop, error);
}

// A resumed run meets the same value again, so the message advises to skip it, or to resume an earlier checkpoint at a
// lower rate.
enum loam_status loam_loop_save_diverged(struct loam_loop *loop, struct loam_error *error)
{
    struct loam_error failure = {0}, reason = *error;
    int64_t before = loop->saved;
    if (loop->step == 0 || loop->saver.save == NULL) return reason.status;
    loop->diverged = true;
    if (save_finite(loop, &failure) == LOAM_OK)
        return loam_fail(
            error, reason.status,
            "%s; step %lld is saved in %s/checkpoint-%lld: --resume --allow-change goes on from "
            "there with --on-nonfinite skip, or from an earlier one with a lower --learning-rate",
            reason.message, (long long)loop->step, loop->settings->out, (long long)loop->step);
    if (before < 0 || before == loop->step)
        return loam_fail(error, reason.status, "%s; not saved: %s", reason.message, failure.message);
    return loam_fail(error, reason.status,
                     "%s; not saved: %s; --resume --allow-change goes on from step %lld with a lower "
                     "--learning-rate",
                     reason.message, failure.message, (long long)before);
}

// Saves the values unless an update failed, which may have changed only some of them.
static enum loam_status save_consistent(struct loam_loop *loop, struct loam_error *error)
{
    if (loop->trainer->optimiser.step != loop->updates)
        return loam_fail(error, LOAM_ERROR_INTERNAL, "the update of step %lld is not complete",
                         (long long)loop->step + 1);
    return loop->saved == loop->step ? LOAM_OK : loam_loop_save(loop, error);
}

enum loam_status loam_loop_save_failed(struct loam_loop *loop, struct loam_error *error)
{
    enum { REASON = 600 }; // bytes, so that the rest has room
    struct loam_error failure = {0}, reason = *error;
    int64_t before = loop->saved;
    if (loop->step == 0 || loop->saver.save == NULL) return reason.status;
    if (save_consistent(loop, &failure) == LOAM_OK)
        return loam_fail(
            error, reason.status,
            "%.*s; step %lld of %lld is saved in %s/checkpoint-%lld: --resume goes on from there", REASON,
            reason.message, (long long)loop->step, (long long)loop->total_steps, loop->settings->out,
            (long long)loop->step);
    if (before < 0)
        return loam_fail(error, reason.status, "%.*s; %lld steps are not saved: %s", REASON, reason.message,
                         (long long)loop->step, failure.message);
    return loam_fail(error, reason.status, "%.*s; not saved: %s; --resume goes on from step %lld", REASON,
                     reason.message, failure.message, (long long)before);
}
