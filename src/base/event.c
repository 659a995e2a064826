#include "base/event.h"

#include <math.h>

struct loam_event loam_event_make(enum loam_event_kind kind)
{
    return (struct loam_event){
        .kind = kind,
        .epoch = NAN,
        .loss = NAN,
        .grad_norm = NAN,
        .learning_rate = NAN,
        .eval_loss = NAN,
        .eval_exact_match = NAN,
        .eval_f1 = NAN,
        .eval_rouge_l = NAN,
        .eval_accuracy = NAN,
        .tokens_per_second = NAN,
        .seconds = NAN,
    };
}

enum loam_status loam_event_send(const struct loam_callbacks *callbacks, const struct loam_event *event,
                                 struct loam_error *error)
{
    if (callbacks == NULL || callbacks->event == NULL || callbacks->event(callbacks->user, event))
        return LOAM_OK;
    if (event->total_steps > 0)
        return loam_fail(error, LOAM_ERROR_STOPPED, "stopped at step %lld of %lld", (long long)event->step,
                         (long long)event->total_steps);
    return loam_fail(error, LOAM_ERROR_STOPPED, "stopped before it was done");
}

enum loam_status loam_event_progress(const struct loam_callbacks *callbacks, enum loam_activity activity,
                                     int64_t done, int64_t total, struct loam_error *error)
{
    struct loam_event event = loam_event_make(LOAM_EVENT_PROGRESS);
    event.activity = activity;
    event.done = done;
    event.total = total;
    return loam_event_send(callbacks, &event, error);
}
